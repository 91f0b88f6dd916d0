//! What a real GPU's compiler makes of the kernels, without the GPU: Mesa's RADV opens a device that is not there.

mod driver;
mod machine;
mod model;
mod report;
mod spirv;

use std::collections::HashMap;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use driver::{Compiled, Driver};
use gatefold::train::Precision;
use gatefold_engine::gpu::{Binding, Kernel};
use gatefold_engine::plan::{Choice, admissible, choose, distinct_launches};
use gatefold_engine::tape::{Access, Launch, Tape};
use gatefold_engine::{Error, Result};
use model::{CARDS, Card, Work};
use report::{Earlier, Line, Report};

use super::Source;
use super::traffic::Traffic;

/// Families of GPUs that there is a card's model for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Family {
    /// RDNA2; the card is an RX 6800
    Navi21,
    /// RDNA3; the card is an RX 7900 XTX
    Navi31,
}

/// What AMD's open compiler makes of each kernel, for a GPU that need not be there
#[derive(Args)]
pub struct Arguments {
    /// The network whose step's kernels are compiled; `all` for the five large ones and prognet
    #[arg(long, default_value = "all")]
    net: String,
    /// Pictures in a batch
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Width of the pictures in pixels
    #[arg(long, default_value_t = 224)]
    size: usize,
    /// Precision of feature maps; both where it is not given
    #[arg(long)]
    precision: Option<Precision>,
    /// GPUs to compile for
    #[arg(long, value_enum, default_value_t = Family::Navi21)]
    family: Family,
    /// Every kernel that could run there, not just the one that training would take
    #[arg(long)]
    all: bool,
    /// What an earlier run printed with --json, to compare with
    #[arg(long)]
    against: Option<PathBuf>,
    /// Print JSON, a line for each launch and one for each step
    #[arg(long)]
    json: bool,
}

impl Arguments {
    fn card(&self) -> Card {
        CARDS[self.family as usize]
    }

    /// The steps that are looked at: a name and a precision each, with the tape.
    fn sources(&self, driver: &Driver) -> Result<Vec<(String, Precision, Tape)>> {
        let precisions = self.precision.map_or(vec![Precision::F32, Precision::Mixed], |one| vec![one]);
        let mut found = vec![];
        for precision in precisions {
            let source = Source { net: Some(self.net.clone()), batch: self.batch, size: self.size, precision };
            let tapes = source.tapes(&driver.summary)?.unwrap_or_default();
            found.extend(tapes.into_iter().map(|(name, tape)| (name, precision, tape)));
        }
        Ok(found)
    }
}

/// A kernel and its bindings.
type Key = (&'static str, Vec<(&'static str, u32)>, Vec<(&'static str, i32)>, Vec<Binding>);

/// Compiles each kernel once.
struct Kernels {
    driver: Driver,
    modules: spirv::Modules,
    compiled: HashMap<Key, Compiled>,
}

impl Kernels {
    fn get(&mut self, tape: &Tape, launch: &Launch, kernel: &Kernel) -> Result<&Compiled> {
        let bindings: Vec<Binding> = launch
            .operands_of(kernel)
            .iter()
            .map(|&(tensor, access)| Binding { write: access == Access::Write, half: tape.is_half(tensor) })
            .collect();
        let key = (kernel.shader.path, kernel.defs.clone(), kernel.constants.clone(), bindings);
        if !self.compiled.contains_key(&key) {
            let halves: Vec<u32> = (1..).zip(&key.3).filter(|(_, of)| of.half).map(|(number, _)| number).collect();
            let spirv = self.modules.spirv(kernel, &halves)?;
            let made = self.driver.compile(&spirv, key.3.len());
            let made = made.map_err(|e| Error::run(format!("{}: {e}", kernel.variant())))?;
            self.compiled.insert(key.clone(), made);
        }
        Ok(&self.compiled[&key])
    }
}

/// Outputs and depth of a workgroup's tile.
fn tile(kernel: &Kernel) -> Option<(f64, f64)> {
    let side = kernel.defs.iter().find(|(name, _)| *name == "SIDE").map(|&(_, side)| f64::from(side));
    match (kernel.shader.path, side) {
        (path, Some(side)) if path.ends_with("_matrix.wgsl") => Some((16.0 * side * side, 2.0 * side)),
        (path, _) if path.ends_with("_tiled.wgsl") => Some((64.0 * 64.0, 16.0)),
        _ => None,
    }
}

/// What the model has to know of a launch.
fn work(tape: &Tape, launch: &Launch, kernel: &Kernel, compiled: &Compiled) -> Work {
    let figure = |name: &str| compiled.statistics.get(name).copied().unwrap_or_default() as f64;
    let workgroups: f64 = kernel.workgroups.iter().map(|&extent| f64::from(extent)).product();
    // The first operand that is written is the result; what is summed in parts has one for each of them.
    let written = launch.operands().iter().find(|(_, access)| *access == Access::Write);
    let outputs = written.map_or(1, |(tensor, _)| tensor.shape.len()).max(1) as f64;
    let tile = tile(kernel);
    Work {
        flops: launch.flops as f64,
        bytes: tape.bytes_moved(launch) as f64,
        workgroups,
        invocations: f64::from(kernel.needs.invocations),
        wave: f64::from(compiled.wave),
        tile: tile.map(|(outputs, depth)| outputs * depth),
        overhang: tile.map_or(1.0, |(each, _)| (workgroups * each / outputs).max(1.0)),
        waves: figure("Subgroups per SIMD"),
        latency: figure("Latency"),
        inverse_throughput: figure("Inverse Throughput"),
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let earlier = arguments.against.as_deref().map(Earlier::read).transpose()?;
    let card = arguments.card();
    let driver = Driver::open(card.family)?;
    eprintln!("compiler: {}, for {} ({})", driver.summary.driver, card.family, card.name);
    let sources = arguments.sources(&driver)?;
    let adapter = driver.summary.clone();
    let mut kernels = Kernels { driver, modules: spirv::Modules::default(), compiled: HashMap::new() };
    let mut report = Report::new(card, &adapter.driver, earlier, arguments.json);
    for (source, precision, tape) in &sources {
        let step = report::Step { network: source.clone(), precision: precision.to_string() };
        report.traffic(step.clone(), Traffic::of(tape, &adapter)?);
        for (number, count) in distinct_launches(tape, &adapter) {
            let launch = &tape.launches()[number];
            let chosen = choose(tape, launch, &adapter, Choice::Rule)?;
            for kernel in admissible(tape, launch, &adapter) {
                if *kernel != *chosen && !arguments.all {
                    continue;
                }
                let compiled = kernels.get(tape, launch, kernel)?;
                let code = machine::read(&compiled.assembly);
                let time = card.time(&code, &work(tape, launch, kernel, compiled));
                let figures = report::Figures::new(compiled, code, time);
                report.line(Line::new(step.clone(), launch, kernel, count, *kernel == *chosen, figures))?;
            }
        }
    }
    report.end(kernels.compiled.len())
}
