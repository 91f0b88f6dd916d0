//! Through which rows make their plans: it says on which adapter and with which kernels, and notes what is launched.

use std::cell::RefCell;
use std::collections::HashSet;
use std::sync::Arc;

use gatefold_engine::Result;
use gatefold_engine::gpu::{AdapterSummary, BufferPool, Gpu, Kernel};
use gatefold_engine::params::ParameterStore;
use gatefold_engine::plan::{Choice, Plan, admissible, taken};
use gatefold_engine::tape::{Access, Launch, Tape};
use gatefold_engine::tensor::Shape;

/// One run of a row: an adapter, and the number of the kernel that each launch takes.
pub struct Runner<'a> {
    gpu: &'a Arc<Gpu>,
    choice: Choice<'static>,
    noted: RefCell<Noted>,
}

/// What the plans of a run launch.
#[derive(Default)]
pub struct Noted {
    pub launches: Vec<Noticed>,
    /// The most kernels that any launch can choose from.
    pub kernels: usize,
}

impl Noted {
    /// The launches of an op itself, without those of the tests around it; all of them where the op has none of its own but is
    /// made of others.
    pub fn of(&self, op: &str) -> impl Iterator<Item = &Noticed> {
        let own = self.launches.iter().any(|noticed| noticed.launch.op == op);
        self.launches.iter().filter(move |noticed| !own || noticed.launch.op == op)
    }
}

/// A launch as it was planned: what coverage is derived from.
#[derive(Clone, Debug)]
pub struct Noticed {
    pub launch: Launch,
    /// The kernel it took; `None` if it was left out because a kernel before it keeps its statistics.
    pub kernel: Option<Kernel>,
    /// Its feature maps: operands of more than one pixel whose place the kernels are given.
    pub maps: Vec<Map>,
    /// Sizes of what it works on where it has no feature map: its operands, and the parameters in them.
    pub sizes: Vec<Shape>,
}

/// A feature map of a launch.
#[derive(Clone, Debug)]
pub struct Map {
    pub shape: Shape,
    pub access: Access,
    /// A channel slice of something wider.
    pub slice: bool,
    /// In half precision.
    pub half: bool,
}

impl<'a> Runner<'a> {
    /// Takes kernel `number` of each launch, counted among those that run here, or the last one where there are fewer.
    pub fn new(gpu: &'a Arc<Gpu>, number: usize) -> Self {
        Self { gpu, choice: Choice::Number(number), noted: RefCell::default() }
    }

    pub fn gpu(&self) -> &'a Arc<Gpu> {
        self.gpu
    }

    /// Plans a tape with this run's kernels.
    ///
    /// # Errors
    /// If a kernel does not compile or the memory is not there.
    pub fn plan(&self, tape: &Tape, store: &ParameterStore) -> Result<Plan> {
        self.note(tape)?;
        Plan::with_choice(self.gpu, tape, store, &BufferPool::default(), self.choice)
    }

    fn note(&self, tape: &Tape) -> Result<()> {
        let adapter = self.gpu.adapter();
        let mut noted = self.noted.borrow_mut();
        for (launch, kernel) in tape.launches().iter().zip(taken(tape, adapter, self.choice)?) {
            noted.kernels = noted.kernels.max(admissible(tape, launch, adapter).len());
            noted.launches.push(Noticed::new(tape, launch, kernel));
        }
        Ok(())
    }

    /// The launches of its plans so far.
    pub fn launches(&self) -> Vec<Launch> {
        self.noted.borrow().launches.iter().map(|noticed| noticed.launch.clone()).collect()
    }

    /// What was planned.
    pub(super) fn noted(self) -> Noted {
        self.noted.into_inner()
    }
}

impl Noticed {
    fn new(tape: &Tape, launch: &Launch, kernel: Option<&Kernel>) -> Self {
        let told: HashSet<_> = launch.maps().collect();
        let maps = launch.operands().iter().filter(|(tensor, _)| told.contains(tensor) && tensor.shape.pixels() > 1);
        let maps = maps.map(|&(tensor, access)| Map {
            shape: tensor.shape,
            access,
            slice: tape.is_slice(tensor),
            half: tape.is_half(tensor),
        });
        let parameters = tape.spec().parameters.iter().map(|(_, parameter)| parameter.shape);
        let sizes = launch.operands().iter().map(|(tensor, _)| tensor.shape).chain(parameters).collect();
        Self { launch: launch.clone(), kernel: kernel.cloned(), maps: maps.collect(), sizes }
    }
}

/// What an adapter lacks for a kernel, in words; `None` if it runs there.
pub fn lacks(kernel: &Kernel, adapter: &AdapterSummary) -> Option<String> {
    let needs = kernel.needs;
    if kernel.runs_on(adapter) {
        None
    } else if let Some(side) = needs.cooperative.filter(|&side| adapter.cooperative_matrix != Some(side)) {
        Some(format!("cooperative matrices of {side}x{side}"))
    } else if let Some(size) = needs.subgroup.filter(|&size| !adapter.subgroups_of(size)) {
        Some(format!("subgroups of {size} invocations"))
    } else if needs.workgroup_memory > adapter.workgroup_memory_bytes {
        Some(format!("{} bytes of workgroup memory", needs.workgroup_memory))
    } else if needs.invocations > adapter.max_invocations {
        Some(format!("workgroups of {} invocations", needs.invocations))
    } else {
        Some("driver of Mesa's, for which these are made".to_owned())
    }
}
