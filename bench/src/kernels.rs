//! Single kernels: the rows of `kernels-tests` that are marked for the bench, or those of whole networks' training steps.

use std::collections::HashSet;
use std::sync::Arc;

use clap::Args;
use gatefold_engine::gpu::{Gpu, Stopwatch};
use gatefold_engine::plan::{Choice, Choices, Trial, admissible, choose, distinct_launches};
use gatefold_engine::tape::Tape;
use gatefold_engine::{Error, Result};
use kernels_tests::{Row, RowKind, known_op};
use serde::Serialize;

use crate::contents::{contents, difference, tolerance};
use crate::measure::{Measured, known_choices, measure};
use crate::roofline::Ceilings;
use crate::{Common, networks};

/// Time single kernels, forward and backward
#[derive(Args)]
pub struct Arguments {
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Only this pass, such as forward or grad_weight
    #[arg(long)]
    pass: Option<String>,
    #[command(flatten)]
    of: networks::Source,
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

pub fn run(arguments: &Arguments) -> Result<()> {
    crate::check_seconds(arguments.seconds)?;
    arguments.op.as_deref().map(known_op).transpose()?;
    let gpu = arguments.common.open()?;
    let sources = match arguments.of.tapes(gpu.adapter())? {
        Some(tapes) => tapes.into_iter().map(|(name, tape)| Source { name, tape, only: None }).collect(),
        None => row_sources(arguments)?,
    };
    arguments.of.check(gpu.adapter())?;
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
            // A row's own op decides what belongs to it: dense layers run convolutions, and copies that only bring the gradient
            // in are the harness.
            let harness = only.is_some_and(|op| launch.op == "copy" && op != "copy");
            let of_op = only.is_some() || wanted(&arguments.op, launch.op);
            if harness || !of_op || !wanted(&arguments.pass, launch.pass) {
                continue;
            }
            let fill = |operand: usize, tensor| contents(launch, operand, tensor);
            let trial = Trial::new(gpu, tape, number, rotation(gpu), &fill)?;
            let chosen = choose(tape, launch, gpu.adapter(), Choice::Tuned(&self.choices))?;
            let kernels = admissible(tape, launch, gpu.adapter());
            // The last one runs everywhere and is the plainest.
            let Some(plain) = kernels.last() else { continue };
            let prepared = trial.prepare(plain)?;
            let reference = trial.outputs(&self.stopwatch, &prepared)?;
            for kernel in kernels.iter().filter(|kernel| arguments.all || **kernel == chosen) {
                let prepared = trial.prepare(kernel)?;
                let measured = measure(gpu, &self.stopwatch, &trial, &prepared, arguments.seconds)?;
                let error = difference(&reference, &trial.outputs(&self.stopwatch, &prepared)?);
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
                show(&timing, arguments.common.json)?;
                self.timings.push(timing);
            }
        }
        Ok(())
    }
}

/// At once: whoever stops it, or a driver that crashes, loses nothing of what was measured.
fn show(timing: &Timing, as_json: bool) -> Result<()> {
    let Timing { op, pass, shape, variant, median_ms, gflops, gbytes_per_s, roofline_share, .. } = timing;
    if as_json {
        println!("{}", serde_json::to_string(timing).map_err(Error::run)?);
    } else {
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
    Ok(())
}
