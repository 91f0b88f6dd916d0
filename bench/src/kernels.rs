//! Single kernels: those of whole networks' training steps, or the rows of `kernels-tests` that are marked for the bench.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;
use gatefold::nets::{self, NETS};
use gatefold::train::Precision;
use gatefold::train::step::TrainingStep;
use gatefold_engine::gpu::{Gpu, Stopwatch};
use gatefold_engine::plan::{Choice, Choices, Probe, admissible, choose, distinct_launches};
use gatefold_engine::tape::Tape;
use gatefold_engine::{Error, Result};
use kernels_tests::{OPS, Row, RowKind};
use serde::Serialize;

use crate::contents::{contents, difference, tolerance};
use crate::measure::{Measured, measure};
use crate::roofline::Ceilings;
use crate::session::{Load, check_precision, known_choices};
use crate::{Common, json};

/// Time single kernels, forward and backward
#[derive(Args)]
pub struct Arguments {
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Only this pass, such as forward or grad_weight
    #[arg(long)]
    pass: Option<String>,
    /// All launches of this network's training step that differ; `all` for the five large networks and prognet. Without it the
    /// rows of kernels-tests that are marked for the bench
    #[arg(long)]
    net: Option<String>,
    /// Pictures in a batch, with --net
    #[arg(long, default_value_t = 4, requires = "net")]
    batch: usize,
    /// Width of the pictures in pixels, with --net
    #[arg(long, default_value_t = 224, requires = "net")]
    size: usize,
    /// Precision of feature maps, with --net
    #[arg(long, default_value_t, requires = "net")]
    precision: Precision,
    /// Every kernel that runs here, not just the one that training would take
    #[arg(long)]
    all: bool,
    /// Time for each kernel, in seconds
    #[arg(long, default_value_t = 0.5)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Timing {
    op: &'static str,
    pass: &'static str,
    shape: String,
    variant: String,
    /// Whether training would take this one.
    chosen: bool,
    /// The network, or the row of `kernels-tests`.
    source: String,
    /// Launches of this shape in the source.
    count: usize,
    median_ms: f64,
    best_ms: f64,
    /// Processor time of all threads, on software adapters.
    cpu_ms: Option<f64>,
    runs: usize,
    /// From the median; 0 for kernels that only move numbers.
    gflops: f64,
    /// From the median; every operand once.
    gbytes_per_s: f64,
    /// The shortest time that the adapter's ceilings allow, over the median.
    roofline_share: f64,
    /// The same in processor time, on software adapters.
    roofline_share_cpu: Option<f64>,
    /// Relative difference from the plain kernel's result.
    error: f64,
    /// What that difference may be.
    tolerance: f64,
    clock: String,
}

/// What is timed: a name and a tape.
struct Source {
    name: String,
    tape: Tape,
    /// The op of a row: its tape holds launches of the harness too.
    only: Option<&'static str>,
}

/// The networks of `--net all`.
const LARGE: [&str; 6] = ["prognet", "resnet18", "resnet50", "densenet121", "densenet169", "inception_v3"];

pub fn run(arguments: &Arguments) -> Result<()> {
    crate::check_seconds(arguments.seconds)?;
    if let Some(op) = arguments.op.as_deref().filter(|op| !OPS.contains(op)) {
        return Err(Error::input(format!("--op {op}: there is no such op; there are: {}", OPS.join(", "))));
    }
    let sources = match &arguments.net {
        Some(net) => network_sources(net, arguments)?,
        None => row_sources(arguments)?,
    };
    let gpu = arguments.common.open()?;
    check_precision(arguments.precision, gpu.adapter())?;
    let ceilings = Ceilings::measure(&gpu, arguments.seconds)?;
    eprintln!(
        "ceilings: {:.1} GFLOP/s, copies {:.2} GB/s{}",
        ceilings.gflops,
        ceilings.copy_gbytes_per_s,
        ceilings
            .gflops_per_cpu_s
            .map_or(String::new(), |rate| format!(", {rate:.1} GFLOP per second of processor time"))
    );
    let choices = if gpu.adapter().software { Choices::new(gpu.adapter()) } else { known_choices(&gpu) };
    let mut bench =
        Bench { arguments, gpu: &gpu, stopwatch: Stopwatch::new(&gpu)?, ceilings, choices, timings: vec![] };
    for source in &sources {
        bench.source(source)?;
    }
    let timings = bench.timings;
    if timings.is_empty() {
        return Err(Error::input("--op and --pass: nothing to time; no launch is of both"));
    }
    if arguments.common.json {
        json(&timings)?;
    }
    let wrong: HashSet<_> = timings.iter().filter(|t| t.error > t.tolerance).map(|t| &t.variant).collect();
    match wrong.into_iter().next() {
        Some(variant) => Err(Error::run(format!("{variant}: its result differs from the plain kernel's, see above"))),
        None => Ok(()),
    }
}

fn row_sources(arguments: &Arguments) -> Result<Vec<Source>> {
    let wanted = |row: &Row| row.bench && arguments.op.as_deref().is_none_or(|op| op == row.op);
    let mut sources = vec![];
    for row in kernels_tests::rows().into_iter().filter(wanted) {
        if let RowKind::Op { .. } = row.kind {
            let tape = kernels_tests::record_row(&row)?;
            sources.push(Source { name: row.name.clone(), tape, only: Some(row.op) });
        }
    }
    Ok(sources)
}

fn network_sources(net: &str, arguments: &Arguments) -> Result<Vec<Source>> {
    let names: Vec<&str> = if net == "all" { LARGE.to_vec() } else { vec![net] };
    let source = |name: &&str| {
        let smallest = NETS.iter().find(|known| known.name == *name).map_or(0, |known| known.smallest);
        // `all` takes what fits each of them; a network that was named is refused by its own rule.
        let size = if net == "all" { arguments.size.max(smallest) } else { arguments.size };
        let load =
            Load { net: (*name).to_owned(), batch: arguments.batch, size, classes: 5, precision: arguments.precision };
        let config = load.config()?;
        let net_config = config.net_config(load.classes);
        nets::find(&net_config)?;
        let tape = TrainingStep::record(&config, &net_config, config.batch)?.tape;
        Ok(Source { name: (*name).to_owned(), tape, only: None })
    };
    names.iter().map(source).collect()
}

struct Bench<'a> {
    arguments: &'a Arguments,
    gpu: &'a Arc<Gpu>,
    stopwatch: Stopwatch,
    ceilings: Ceilings,
    /// None on software adapters, where training goes by the rule of thumb.
    choices: Choices,
    timings: Vec<Timing>,
}

/// Bytes of inputs that runs rotate through: more than caches hold.
fn rotation(gpu: &Gpu) -> u64 {
    if gpu.adapter().software { 128 << 20 } else { 256 << 20 }
}

impl Bench<'_> {
    fn source(&mut self, source: &Source) -> Result<()> {
        let Source { name, tape, only } = source;
        let (gpu, arguments) = (self.gpu, self.arguments);
        for (number, count) in distinct_launches(tape, gpu.adapter()) {
            let launch = &tape.launches()[number];
            let wanted = |given: &Option<String>, this: &str| given.as_deref().is_none_or(|given| given == this);
            // A row's own op decides what belongs to it: dense layers run convolutions, and concatenations that only bring
            // the gradient in are the harness.
            let harness = only.is_some_and(|op| launch.op == "concat" && op != "concat");
            let of_op = only.is_some() || wanted(&arguments.op, launch.op);
            if harness || !of_op || !wanted(&arguments.pass, launch.pass) {
                continue;
            }
            let fill = |operand: usize, tensor| contents(launch, operand, tensor);
            let probe = Probe::new(gpu, tape, number, rotation(gpu), &fill)?;
            let chosen = choose(tape, launch, gpu.adapter(), Choice::Tuned(&self.choices))?;
            let kernels = admissible(tape, launch, gpu.adapter());
            // The last one runs everywhere and is the plainest.
            let Some(plain) = kernels.last() else { continue };
            let prepared = probe.prepare(plain)?;
            let reference = probe.outputs(&self.stopwatch, &prepared)?;
            for kernel in kernels.iter().filter(|kernel| arguments.all || **kernel == chosen) {
                let prepared = probe.prepare(kernel)?;
                let measured = measure(gpu, &self.stopwatch, &probe, &prepared, arguments.seconds)?;
                let error = difference(&reference, &probe.outputs(&self.stopwatch, &prepared)?);
                let Measured { median, best, cpu, runs, clock } = measured;
                let (flops, bytes) = (launch.flops, tape.bytes_moved(launch));
                let timing = Timing {
                    op: launch.op,
                    pass: launch.pass,
                    shape: launch.shape(),
                    variant: kernel.variant(),
                    chosen: *kernel == chosen,
                    source: name.clone(),
                    count,
                    median_ms: median * 1e3,
                    best_ms: best * 1e3,
                    cpu_ms: cpu.map(|cpu| cpu * 1e3),
                    runs,
                    gflops: flops as f64 / median / 1e9,
                    gbytes_per_s: bytes as f64 / median / 1e9,
                    roofline_share: self.ceilings.floor(flops, bytes) / median,
                    roofline_share_cpu: self.ceilings.cpu_floor(flops, bytes).zip(cpu).map(|(floor, cpu)| floor / cpu),
                    error,
                    tolerance: tolerance(&reference, kernel.rounds_factors()),
                    clock: format!("{clock:?}"),
                };
                show(&timing, arguments.common.json);
                self.timings.push(timing);
            }
        }
        Ok(())
    }
}

fn show(timing: &Timing, as_json: bool) {
    let Timing { op, pass, shape, variant, median_ms, gflops, gbytes_per_s, roofline_share, .. } = timing;
    if !as_json {
        let share = timing.roofline_share_cpu.unwrap_or(*roofline_share) * 100.0;
        let cpu = timing.cpu_ms.map_or(String::new(), |cpu| format!(" {cpu:>9.3} cpu ms"));
        println!(
            "{op:<12} {pass:<12} {shape:<52} {variant:<44} {median_ms:>9.3} ms{cpu} {gflops:>8.1} GFLOP/s \
             {gbytes_per_s:>7.2} GB/s {share:>5.1} %"
        );
    }
    if timing.error > timing.tolerance {
        eprintln!("{op} {pass} {shape}: {variant} is {:.1e} from the plain kernel", timing.error);
    }
}
