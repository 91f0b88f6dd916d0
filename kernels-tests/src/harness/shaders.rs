//! What every kernel keeps to, whoever launches it: it composes and validates, and its bindings, overrides and workgroup are what
//! the op declares. Needs no adapter. A fault is one line that names the kernel.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::gpu::{Kernel, Shader, compose, store_as_half, store_in_pairs};
use gatefold_engine::tape::{Access, Launch, Tape};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, Scalar, StorageAccess, TypeInner, VectorSize};

/// A kernel's file and definitions: one module each.
type Variant = (Shader, Vec<(&'static str, u32)>);

fn variants(launches: &[Launch]) -> BTreeMap<Variant, Vec<(&Launch, &Kernel)>> {
    let mut variants: BTreeMap<Variant, Vec<(&Launch, &Kernel)>> = BTreeMap::new();
    for launch in launches {
        for kernel in &launch.kernels {
            variants.entry((kernel.shader, kernel.defs.clone())).or_default().push((launch, kernel));
        }
    }
    variants
}

/// How many variants there are, and what is wrong with them as they are.
pub fn faults(launches: &[Launch]) -> (usize, Vec<String>) {
    let variants = variants(launches);
    let mut faults = BTreeSet::new();
    for ((shader, defs), users) in &variants {
        let name = users[0].1.variant();
        let module = match compose(*shader, defs) {
            Ok(module) => module,
            Err(e) => {
                faults.insert(format!("{name}: {e}"));
                continue;
            }
        };
        // No capability beyond WebGPU's core but what it says it needs: such a kernel runs on every adapter.
        faults.extend(invalid(&module, capabilities(users[0].1), *shader).map(|fault| format!("{name}: {fault}")));
        faults.extend(module_faults(&module).into_iter().map(|fault| format!("{name}: {fault}")));
        for (launch, kernel) in users {
            let of_launch = binding_faults(&module, launch, kernel).into_iter().chain(kernel_faults(&module, kernel));
            faults.extend(of_launch.map(|fault| format!("{name} in {}: {fault}", launch.label())));
        }
    }
    (variants.len(), faults.into_iter().collect())
}

/// How many variants move numbers in pairs, as software adapters run them, and what is wrong with those.
pub fn faults_in_pairs(launches: &[Launch]) -> (usize, Vec<String>) {
    let (mut changed, mut faults) = (0, vec![]);
    for ((shader, defs), users) in variants(launches) {
        let kernel = users[0].1;
        let paired = compose(shader, &defs).and_then(|mut module| store_in_pairs(&mut module).map(|()| module));
        match paired {
            Ok(module) => {
                let pairs = TypeInner::Vector { size: VectorSize::Bi, scalar: Scalar::U64 };
                changed += usize::from(module.types.iter().any(|(_, ty)| ty.inner == pairs));
                let fault = invalid(&module, capabilities(kernel) | Capabilities::SHADER_INT64, shader);
                faults.extend(fault.map(|fault| format!("{}: {fault}", kernel.variant())));
            }
            Err(e) => faults.push(format!("{}: {e}", kernel.variant())),
        }
    }
    (changed, faults)
}

/// How many kernels meet operands in half precision in these tapes, and what is wrong with them there.
pub fn faults_with_halves<'a>(tapes: impl IntoIterator<Item = &'a Tape>) -> (usize, Vec<String>) {
    let (mut seen, mut faults) = (BTreeSet::new(), vec![]);
    for tape in tapes {
        for launch in tape.launches() {
            let operands = (1..).zip(launch.operands());
            let halves: Vec<u32> = operands.filter(|(_, (t, _))| tape.is_half(*t)).map(|(number, _)| number).collect();
            for kernel in &launch.kernels {
                if !halves.is_empty() && seen.insert((kernel.shader, kernel.defs.clone(), halves.clone())) {
                    let name = format!("{} with halves at {halves:?}", kernel.variant());
                    faults.extend(half_faults(launch, kernel, &halves).map(|fault| format!("{name}: {fault}")));
                }
            }
        }
    }
    (seen.len(), faults)
}

fn half_faults(launch: &Launch, kernel: &Kernel, halves: &[u32]) -> impl Iterator<Item = String> {
    let mut faults = vec![];
    let stored = compose(kernel.shader, &kernel.defs).and_then(|mut module| {
        store_as_half(&mut module, halves)?;
        Ok(module)
    });
    match stored {
        Ok(mut module) => {
            // Nothing but 16-bit numbers is asked for besides.
            let capabilities = capabilities(kernel) | Capabilities::SHADER_FLOAT16;
            faults.extend(invalid(&module, capabilities, kernel.shader));
            faults.extend(binding_faults(&module, launch, kernel));
            // Software adapters move the rest in pairs.
            match store_in_pairs(&mut module) {
                Ok(()) => {
                    let fault = invalid(&module, capabilities | Capabilities::SHADER_INT64, kernel.shader);
                    faults.extend(fault.map(|fault| format!("in pairs: {fault}")));
                }
                Err(e) => faults.push(format!("in pairs: {e}")),
            }
        }
        Err(e) => faults.push(e.to_string()),
    }
    faults.into_iter()
}

/// Launches whose last kernel does not run on every adapter.
pub fn without_plain_kernel(launches: &[Launch]) -> Vec<String> {
    let mut faults = BTreeSet::new();
    for launch in launches {
        let Some(last) = launch.kernels.last() else {
            faults.insert(format!("{}: has no kernel", launch.label()));
            continue;
        };
        let needs = last.needs;
        let everywhere = !needs.aligned
            && needs.cooperative.is_none()
            && needs.subgroup.is_none()
            && needs.workgroup_memory <= EVERYWHERE
            && needs.invocations <= 256;
        if !everywhere {
            faults.insert(format!("{}: {} needs {needs:?}", launch.label(), last.variant()));
        }
    }
    faults.into_iter().collect()
}

/// Files of kernels with an epilogue, and those among them that would leave it out without a word because they do not import it.
pub fn without_epilogue(launches: &[Launch]) -> (usize, Vec<&'static str>) {
    let kernels = launches.iter().flat_map(|launch| &launch.kernels);
    let with_epilogue: BTreeSet<_> = kernels
        .filter(|kernel| kernel.defs.iter().any(|(name, _)| name.starts_with("THEN_")))
        .map(|k| k.shader)
        .collect();
    let imports = |source: &str| source.contains("#import gatefold::epilogue") && source.contains("epilogue::end_");
    let without = with_epilogue.iter().filter(|shader| !imports(shader.source)).map(|shader| shader.path).collect();
    (with_epilogue.len(), without)
}

/// Why a module is not valid, if it is not.
fn invalid(module: &Module, capabilities: Capabilities, shader: Shader) -> Option<String> {
    let checked = Validator::new(ValidationFlags::all(), capabilities).validate(module);
    checked.err().map(|e| e.emit_to_string(shader.source))
}

/// What the adapter must have for a kernel beyond WebGPU's core.
fn capabilities(kernel: &Kernel) -> Capabilities {
    let matrices = Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
    let of_matrices = kernel.needs.cooperative.map_or(Capabilities::empty(), |_| matrices);
    of_matrices | kernel.needs.subgroup.map_or(Capabilities::empty(), |_| Capabilities::SUBGROUP)
}

/// One compute entry point called `main`, and no atomics on floats, whose order of addition would change from run to run.
fn module_faults(module: &Module) -> Vec<String> {
    let mut faults = vec![];
    let entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.name.as_str(), entry.stage)).collect();
    if entries != [("main", naga::ShaderStage::Compute)] {
        faults.push(format!("entry points {entries:?} instead of one compute `main`"));
    }
    for (_, ty) in module.types.iter() {
        if let TypeInner::Atomic(scalar) = ty.inner
            && scalar.kind == naga::ScalarKind::Float
        {
            faults.push("a float atomic".to_owned());
        }
    }
    faults
}

/// Group 0 only: the uniform block at 0, then the operands in their order, read or written as the launch says.
fn binding_faults(module: &Module, launch: &Launch, kernel: &Kernel) -> Vec<String> {
    let mut faults = vec![];
    let mut found: BTreeMap<u32, AddressSpace> = BTreeMap::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        if binding.group != 0 || found.insert(binding.binding, variable.space).is_some() {
            faults.push(format!("group {} binding {}: another group, or twice", binding.group, binding.binding));
        }
        if binding.binding == 0 {
            let size = module.types[variable.ty].inner.size(module.to_ctx()) as usize;
            let block = 4 * launch.block_words();
            if size != block {
                faults.push(format!("the uniform block has {size} bytes, the launch fills {block}"));
            }
        }
    }
    let read = AddressSpace::Storage { access: StorageAccess::LOAD };
    let written = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
    let operands = launch.operands_of(kernel).iter().map(|(_, access)| match access {
        Access::Read => read,
        Access::Write => written,
    });
    let declared: BTreeMap<u32, AddressSpace> =
        (0..).zip(std::iter::once(AddressSpace::Uniform).chain(operands)).collect();
    if found != declared {
        faults.push(format!("bindings are {found:?}, declared {declared:?}"));
    }
    faults
}

/// Every workgroup-memory use within what each adapter has unless the kernel says that it needs more.
const EVERYWHERE: u32 = 16 << 10;

fn kernel_faults(module: &Module, kernel: &Kernel) -> Vec<String> {
    let mut faults = vec![];
    let overrides: BTreeMap<&str, &naga::Override> =
        module.overrides.iter().filter_map(|(_, o)| Some((o.name.as_deref()?, o))).collect();
    let mut names = BTreeSet::new();
    for &(name, value) in &kernel.constants {
        if !names.insert(name) {
            faults.push(format!("{name} is set twice"));
        }
        match overrides.get(name).map(|o| module.types[o.ty].inner.scalar_kind()) {
            None => faults.push(format!("there is no override {name}")),
            Some(Some(naga::ScalarKind::Bool)) if !(0..=1).contains(&value) => {
                faults.push(format!("{name} = {value} for a bool"));
            }
            Some(Some(naga::ScalarKind::Uint)) if value < 0 => faults.push(format!("{name} = {value} for a u32")),
            Some(_) => {}
        }
    }
    for name in overrides.iter().filter(|(name, o)| o.init.is_none() && !names.contains(*name)).map(|(name, _)| name) {
        faults.push(format!("the override {name} has no default and is not set"));
    }
    let invocations: u32 = module.entry_points.iter().map(|entry| entry.workgroup_size.iter().product::<u32>()).sum();
    if invocations != kernel.needs.invocations {
        faults.push(format!("{invocations} invocations, declared {}", kernel.needs.invocations));
    }
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let memory: u32 = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum();
    if memory > kernel.needs.workgroup_memory.max(EVERYWHERE) {
        faults.push(format!("{memory} bytes of workgroup memory, declared {}", kernel.needs.workgroup_memory));
    }
    faults
}
