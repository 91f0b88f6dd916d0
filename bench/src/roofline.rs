//! The adapter's own ceilings: how many multiply-adds and how many bytes a second it reaches at most.

use clap::Args;
use gatefold_engine::gpu::{Gpu, Kernel, Shader, Stopwatch, fold};
use gatefold_engine::plan::Trial;
use gatefold_engine::tape::{Launch, Tape};
use gatefold_engine::tensor::Shape;
use gatefold_engine::{Error, Result};
use serde::Serialize;

use crate::measure::{Measured, measure};
use crate::{Common, json};

/// Measure the adapter's own ceilings
#[derive(Args)]
pub struct Arguments {
    /// Time for each kernel, in seconds
    #[arg(long, default_value_t = 1.0)]
    seconds: f64,
    #[command(flatten)]
    common: Common,
}

/// A kernel of this file: the path is only its name.
macro_rules! shader {
    ($name:literal) => {
        Shader { path: concat!("roofline/", $name), source: include_str!(concat!("roofline/", $name)) }
    };
}

const MULTIPLY_ADD: Shader = shader!("multiply_add.wgsl");
const COPY: Shader = shader!("copy.wgsl");
const COOPERATIVE: Shader = shader!("cooperative.wgsl");

/// What the adapter reaches at most, in operations and bytes a second; a multiply-add is two operations, a copied byte is read
/// and written and so counts twice. The best of all variants and repeats.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Ceilings {
    pub gflops: f64,
    pub copy_gbytes_per_s: f64,
    /// Of f16; `None` where the adapter has none.
    pub f16_gflops: Option<f64>,
    /// Of square cooperative matrices, f16 to f32; `None` where the adapter has none.
    pub cooperative_gflops: Option<f64>,
    /// Per second of processor time, on software adapters: stands on a busy machine too.
    pub gflops_per_cpu_s: Option<f64>,
    pub copy_gbytes_per_cpu_s: Option<f64>,
}

/// One ceiling's kernel.
#[derive(Serialize)]
struct Measurement {
    what: &'static str,
    variant: String,
    unit: &'static str,
    best: f64,
    median: f64,
    per_cpu_s: Option<f64>,
    runs: usize,
    clock: String,
}

#[derive(Serialize)]
struct Report {
    adapter: String,
    driver: String,
    ceilings: Ceilings,
    measurements: Vec<Measurement>,
    /// What was left out, and why.
    skipped: Vec<String>,
}

impl Ceilings {
    /// The shortest time for so many operations and bytes, in seconds.
    pub fn floor(&self, flops: u64, bytes: u64) -> f64 {
        (flops as f64 / (self.gflops * 1e9)).max(bytes as f64 / (self.copy_gbytes_per_s * 1e9))
    }

    /// The least processor time, in seconds.
    pub fn cpu_floor(&self, flops: u64, bytes: u64) -> Option<f64> {
        let (gflops, gbytes) = self.gflops_per_cpu_s.zip(self.copy_gbytes_per_cpu_s)?;
        Some((flops as f64 / (gflops * 1e9)).max(bytes as f64 / (gbytes * 1e9)))
    }

    /// Measures those that the roofline is made of, with `seconds` for each kernel.
    pub fn measure(gpu: &Gpu, seconds: f64) -> Result<Self> {
        Ok(report(gpu, seconds, false)?.ceilings)
    }
}

pub fn run(arguments: &Arguments) -> Result<()> {
    crate::check_seconds(arguments.seconds)?;
    let gpu = arguments.common.open()?;
    let report = report(&gpu, arguments.seconds, true)?;
    if arguments.common.json {
        return json(&report);
    }
    for m in &report.measurements {
        let cpu = m.per_cpu_s.map_or(String::new(), |rate| format!(", {rate:.1} per second of processor time"));
        println!("{:<20} {:<44} best {:>9.1} median {:>9.1} {}{cpu}", m.what, m.variant, m.best, m.median, m.unit);
    }
    report.skipped.iter().for_each(|line| println!("{line}"));
    Ok(())
}

fn report(gpu: &Gpu, seconds: f64, all: bool) -> Result<Report> {
    let adapter = gpu.adapter();
    let stopwatch = Stopwatch::new(gpu)?;
    let mut report = Report {
        adapter: adapter.name.clone(),
        driver: adapter.driver.clone(),
        ceilings: Ceilings::default(),
        measurements: vec![],
        skipped: vec![],
    };
    let chains: &[u32] = if adapter.software { &[2, 3, 4] } else { &[4, 8] };
    for &chains in chains {
        let rate = timed(gpu, &stopwatch, seconds, |rounds| multiply_add(gpu, chains, rounds, false))?;
        report.note("multiply-add f32", "GFLOP/s", rate);
    }
    for (width, each) in COPIES {
        let rate = timed(gpu, &stopwatch, seconds, |_| copy(gpu, width, each))?;
        report.note("copy", "GB/s", rate);
    }
    if all {
        if adapter.f16 {
            for &chains in chains {
                let rate = timed(gpu, &stopwatch, seconds, |rounds| multiply_add(gpu, chains, rounds, true))?;
                report.note("multiply-add f16", "GFLOP/s", rate);
            }
        } else {
            report.skipped.push("multiply-add f16: skipped, the adapter has no f16 in shaders".into());
        }
        if let Some(side) = adapter.cooperative_matrix {
            let rate = timed(gpu, &stopwatch, seconds, |rounds| cooperative(gpu, side, rounds))?;
            report.note("cooperative matrix", "GFLOP/s", rate);
        } else {
            let line = "cooperative matrix: skipped, the adapter has no square form from f16 to f32";
            report.skipped.push(line.into());
        }
    }
    Ok(report)
}

/// A tape of one launch, and what a run of it does: operations or bytes.
struct Load {
    tape: Tape,
    amount: f64,
}

/// A kernel's rates.
struct Rate {
    variant: String,
    amount: f64,
    measured: Measured,
}

/// Makes the work longer until one run takes long enough to be timed well, then measures.
fn timed(gpu: &Gpu, stopwatch: &Stopwatch, seconds: f64, load: impl Fn(usize) -> Result<Load>) -> Result<Rate> {
    const LONG_ENOUGH: f64 = 0.02;
    let mut rounds = 8;
    loop {
        let Load { tape, amount } = load(rounds)?;
        let launch = tape.launches().first().ok_or_else(|| Error::run("a roofline without a launch"))?;
        let kernel = launch.kernels.first().ok_or_else(|| Error::run("a roofline without a kernel"))?;
        let noise = |operand: usize, tensor: gatefold_engine::tensor::Tensor| match launch.pass {
            // As f16s these are 1; as the sums of products they start from, about 0.
            "cooperative" => vec![if operand == 0 { 0x3c00_3c00 } else { 0 }; tensor.shape.len()],
            _ => crate::contents::contents(launch, operand, tensor),
        };
        let trial = Trial::new(gpu, &tape, 0, 0, &noise)?;
        let prepared = trial.prepare(kernel)?;
        trial.time(stopwatch, &prepared, 1)?;
        let once = trial.time(stopwatch, &prepared, 1)?.median().as_secs_f64().max(1e-7);
        if once >= LONG_ENOUGH.min(seconds) || launch.pass == "copy" || rounds >= 1 << 24 {
            let measured = measure(gpu, stopwatch, &trial, &prepared, seconds)?;
            let outputs = trial.outputs(stopwatch, &prepared)?;
            if crate::contents::difference(&outputs, &outputs).is_infinite() {
                return Err(Error::run(format!("{}: its result is no finite number", kernel.variant())));
            }
            return Ok(Rate { variant: kernel.variant(), amount, measured });
        }
        // At most sixteenfold, so that no run becomes so long that a watchdog ends it.
        let factor = (1.5 * LONG_ENOUGH / once).clamp(2.0, 16.0);
        rounds = (rounds as f64 * factor) as usize;
    }
}

/// Enough invocations to fill any GPU; on a processor enough to divide among its cores.
fn invocations(gpu: &Gpu) -> usize {
    if gpu.adapter().software { 1 << 14 } else { 1 << 19 }
}

fn multiply_add(gpu: &Gpu, chains: u32, rounds: usize, half: bool) -> Result<Load> {
    let items = invocations(gpu);
    let mut tape = Tape::new();
    let y = tape.scratch(Shape::vector(items));
    let kernel = Kernel::per_item(MULTIPLY_ADD, items).def("CHAINS", chains).def("HALF", u32::from(half));
    let launch = Launch::new("roofline", "multiply_add").write(y).u32(rounds).f32(0.5).f32(1.0);
    tape.launch(launch.kernel(kernel));
    Ok(Load { tape, amount: (items * rounds) as f64 * 8.0 * f64::from(chains) * 4.0 * 2.0 })
}

/// Numbers of an element, and elements of an invocation.
const COPIES: [(usize, usize); 4] = [(4, 1), (4, 4), (1, 1), (1, 4)];

fn copy(gpu: &Gpu, width: usize, each: usize) -> Result<Load> {
    let adapter = gpu.adapter();
    // Larger than the caches: 256 MiB, or what the adapter binds.
    let most = adapter.max_binding_bytes.min(adapter.max_buffer_bytes).min(256 << 20);
    let words = (most / 4) as usize / 1024 * 1024;
    let mut tape = Tape::new();
    let [x, y] = [(); 2].map(|()| tape.scratch(Shape::vector(words)));
    let items = words / width / each;
    let kernel = Kernel::per_item(COPY, items).def("WIDTH", width as u32).def("EACH", each as u32);
    tape.launch(Launch::new("roofline", "copy").read(x).write(y).u32(items).kernel(kernel));
    Ok(Load { tape, amount: 2.0 * 4.0 * words as f64 })
}

fn cooperative(gpu: &Gpu, side: u32, rounds: usize) -> Result<Load> {
    const TILES: usize = 64;
    let (lanes, groups, area) = (gpu.adapter().subgroup_max, 1 << 13, (side * side) as usize);
    let mut tape = Tape::new();
    let x = tape.scratch(Shape::vector(TILES * area / 2));
    let y = tape.scratch(Shape::vector(groups * area));
    let mut kernel = Kernel::per_group(COOPERATIVE, groups).def("LANES", lanes).def("SIDE", side);
    (kernel.workgroups, kernel.needs.invocations) = (fold(groups), lanes);
    tape.launch(Launch::new("roofline", "cooperative").read(x).write(y).u32(rounds).u32(TILES).kernel(kernel));
    Ok(Load { tape, amount: (groups * rounds * area) as f64 * 8.0 * 2.0 * f64::from(side) })
}

impl Report {
    fn note(&mut self, what: &'static str, unit: &'static str, rate: Rate) {
        let Rate { variant, amount, measured } = rate;
        let per_second = |seconds: f64| amount / seconds / 1e9;
        let (best, per_cpu_s) = (per_second(measured.best), measured.cpu.map(per_second));
        let higher = |old: Option<f64>, new: Option<f64>| new.map(|new| old.map_or(new, |old| old.max(new))).or(old);
        let ceilings = &mut self.ceilings;
        match what {
            "multiply-add f32" => {
                ceilings.gflops = ceilings.gflops.max(best);
                ceilings.gflops_per_cpu_s = higher(ceilings.gflops_per_cpu_s, per_cpu_s);
            }
            "copy" => {
                ceilings.copy_gbytes_per_s = ceilings.copy_gbytes_per_s.max(best);
                ceilings.copy_gbytes_per_cpu_s = higher(ceilings.copy_gbytes_per_cpu_s, per_cpu_s);
            }
            "multiply-add f16" => ceilings.f16_gflops = higher(ceilings.f16_gflops, Some(best)),
            _ => ceilings.cooperative_gflops = higher(ceilings.cooperative_gflops, Some(best)),
        }
        let (median, clock) = (per_second(measured.median), format!("{:?}", measured.clock));
        let runs = measured.runs;
        self.measurements.push(Measurement { what, variant, unit, best, median, per_cpu_s, runs, clock });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatefold_engine::gpu::compose;

    #[test]
    fn every_roofline_kernel_composes_and_validates() {
        for chains in [2, 3, 4, 8] {
            for half in [0, 1] {
                compose(MULTIPLY_ADD, &[("CHAINS", chains), ("HALF", half)]).unwrap();
            }
        }
        for (width, each) in COPIES {
            compose(COPY, &[("WIDTH", width as u32), ("EACH", each as u32)]).unwrap();
        }
        // The one kernel that most adapters cannot run.
        for side in [8, 16] {
            compose(COOPERATIVE, &[("LANES", 32), ("SIDE", side)]).unwrap();
        }
    }

    #[test]
    fn the_floor_is_set_by_what_takes_longer() {
        let ceilings = Ceilings { gflops: 100.0, copy_gbytes_per_s: 10.0, ..Ceilings::default() };
        assert_eq!(ceilings.floor(100_000_000_000, 1_000_000_000), 1.0);
        assert_eq!(ceilings.floor(1_000_000_000, 10_000_000_000), 1.0);
        assert_eq!(ceilings.cpu_floor(1, 1), None);
    }
}
