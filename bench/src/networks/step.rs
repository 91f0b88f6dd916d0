//! A whole training step: input, forward, backward, optimiser.

mod first;
mod profile;

use clap::Args;
use gatefold::train::Precision;
use gatefold::train::tuning::When;
use gatefold_engine::{Error, Result};
use serde::Serialize;

use super::session::{Load, Session, StepSample, rss};
use crate::measure::median;
use crate::roofline::Ceilings;
use crate::{Common, json};

/// Time whole training steps of a network
#[derive(Args)]
pub struct Arguments {
    /// Network
    net: String,
    #[arg(long, default_value_t = 32)]
    batch: usize,
    #[arg(long, default_value_t = 128)]
    size: usize,
    #[arg(long, default_value_t = 5)]
    classes: usize,
    /// Precision of feature maps
    #[arg(long, default_value_t)]
    precision: Precision,
    #[command(flatten)]
    tuning: Tuning,
    /// Timed steps, of which the median counts
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Also time each launch by itself: by kind, and the ten most expensive
    #[arg(long)]
    profile: bool,
    /// Also take the first step in two fresh processes: with empty caches, and with what the first of them left there
    #[arg(long)]
    first_step: bool,
    #[command(flatten)]
    common: Common,
}

/// As `train` has it.
#[derive(Args, Clone, Copy)]
struct Tuning {
    /// Look for the fastest kernels first, also on a software adapter
    #[arg(long, conflicts_with = "no_tune")]
    tune: bool,
    /// Take the kernels that a rule of thumb names; software adapters do so anyway
    #[arg(long)]
    no_tune: bool,
}

impl Tuning {
    fn when(self) -> When {
        match self {
            Self { tune: true, .. } => When::Always,
            Self { no_tune: true, .. } => When::Never,
            _ => When::OnGpus,
        }
    }
}

impl Arguments {
    fn load(&self) -> Load {
        let Self { batch, size, classes, precision, .. } = *self;
        Load { net: self.net.clone(), batch, size, classes, precision }
    }
}

#[derive(Serialize)]
struct StepTime {
    network: String,
    batch: usize,
    size: usize,
    precision: Precision,
    /// From the median step.
    images_per_second: f64,
    step_ms: f64,
    best_step_ms: f64,
    /// Processor time of all threads for a step, on software adapters: the median.
    cpu_ms_per_step: Option<f64>,
    /// Time to write a step's inputs and to hand it to the device, with nothing under way: the median.
    host_ms_per_step: f64,
    /// Processor time of the host's thread for it: the median.
    host_cpu_ms_per_step: Option<f64>,
    launches_per_step: usize,
    flops_per_step: u64,
    peak_bytes: u64,
    /// From the recording to the end of the first step: compiling included.
    first_step_s: f64,
    /// The same in a fresh process with empty caches, and with filled ones; with `--first-step`.
    first_step_cold_s: Option<f64>,
    first_step_warm_s: Option<f64>,
    steps: usize,
    /// Of the process, in bytes, with no step under way.
    rss_after_10: Option<u64>,
    rss_at_end: u64,
    /// What the device's allocator has handed out, in bytes; null where it does not tell.
    allocated_after_10: Option<u64>,
    allocated_at_end: Option<u64>,
    adapter: String,
    driver: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile: Option<profile::Profile>,
}

/// Steps after which the memory counts as settled.
const SETTLED: usize = 10;

/// Steps whose handing over is timed.
const HOST_STEPS: usize = 5;

pub fn run(arguments: &Arguments) -> Result<()> {
    let load = arguments.load();
    load.config()?;
    if arguments.steps == 0 {
        return Err(Error::input("--steps 0: must be at least 1"));
    }
    let gpu = arguments.common.open()?;
    let mut session = Session::new(&gpu, &load, arguments.tuning.when())?;
    let first_step_s = session.first()?;

    let mut samples: Vec<StepSample> = vec![];
    let (mut rss_after_10, mut allocated_after_10) = (None, None);
    // The host's part alone, with nothing under way: some drivers, lavapipe's among them, let a submission wait for the one
    // before.
    let mut hosts = vec![];
    for _ in 0..arguments.steps.min(HOST_STEPS) {
        hosts.push(session.run()?);
        session.settle()?;
    }
    // Steps overlap: each call hands one over and ends the one before, so the first ends nothing. The last one is not counted: where
    // handing over waits for most of the work, little of it is left.
    session.run()?;
    for number in 1..=arguments.steps {
        samples.push(session.run()?);
        if number == SETTLED && number < arguments.steps {
            session.settle()?;
            (rss_after_10, allocated_after_10) = (Some(rss()?), gpu.allocated_bytes());
            session.run()?;
        }
    }
    session.settle()?;
    let middle = |samples: &[StepSample], of: fn(&StepSample) -> Option<f64>| {
        let values: Vec<f64> = samples.iter().filter_map(of).collect();
        (!values.is_empty()).then(|| median(&values) * 1e3)
    };
    let walls: Vec<f64> = samples.iter().map(|s| s.wall).collect();
    let step_s = median(&walls).max(1e-9);
    let (adapter, software) = (gpu.adapter().name.clone(), gpu.adapter().software);
    let (rss_at_end, allocated_at_end) = (rss()?, gpu.allocated_bytes());
    let profile = if arguments.profile {
        let ceilings = Ceilings::measure(&gpu, 0.3)?;
        Some(profile::Profile::new(&session.plan, &ceilings, session.traffic(gpu.adapter())?)?)
    } else {
        None
    };
    let driver = gpu.adapter().driver.clone();
    let needs = session.needs.clone();
    drop((session, gpu));
    let fresh = if arguments.first_step { Some(first::cold_and_warm(arguments)?) } else { None };
    let time = StepTime {
        network: load.net.clone(),
        batch: load.batch,
        size: load.size,
        precision: load.precision,
        images_per_second: load.batch as f64 / step_s,
        step_ms: step_s * 1e3,
        best_step_ms: walls.iter().copied().fold(f64::INFINITY, f64::min) * 1e3,
        cpu_ms_per_step: middle(&samples, |s| s.cpu).filter(|_| software),
        host_ms_per_step: middle(&hosts, |s| Some(s.host)).unwrap_or(0.0),
        host_cpu_ms_per_step: middle(&hosts, |s| s.host_cpu),
        launches_per_step: needs.launches_per_step,
        flops_per_step: needs.flops_per_step,
        peak_bytes: needs.peak_bytes,
        first_step_s,
        first_step_cold_s: fresh.map(|(cold, _)| cold),
        first_step_warm_s: fresh.map(|(_, warm)| warm),
        steps: arguments.steps,
        rss_after_10,
        rss_at_end,
        allocated_after_10,
        allocated_at_end,
        adapter,
        driver,
        profile,
    };
    if arguments.common.json {
        return json(&time);
    }
    time.show();
    Ok(())
}

impl StepTime {
    fn show(&self) {
        let gflops = self.flops_per_step as f64 / self.step_ms / 1e6;
        let mib = |bytes: u64| bytes as f64 / f64::from(1 << 20);
        println!(
            "{} at {} px, batch {}: {:.1} images/s, {:.1} ms per step ({gflops:.1} GFLOP/s), {} launches",
            self.network, self.size, self.batch, self.images_per_second, self.step_ms, self.launches_per_step
        );
        if let Some(cpu) = self.cpu_ms_per_step {
            println!("processor time {cpu:.1} ms per step");
        }
        let thread = self.host_cpu_ms_per_step.map_or(String::new(), |ms| format!(" ({ms:.2} of processor time)"));
        println!("host {:.2} ms per step{thread}; peak {:.1} MiB", self.host_ms_per_step, mib(self.peak_bytes));
        println!("first step after {:.1} s", self.first_step_s);
        if let Some((cold, warm)) = self.first_step_cold_s.zip(self.first_step_warm_s) {
            println!("first step of a fresh process: {cold:.1} s with empty caches, {warm:.1} s with filled ones");
        }
        if let Some(after_10) = self.rss_after_10 {
            print!("process {:.1} MiB after 10 steps, {:.1} at the end", mib(after_10), mib(self.rss_at_end));
            match self.allocated_after_10.zip(self.allocated_at_end) {
                Some((then, end)) => println!("; device memory {:.1} and {:.1} MiB", mib(then), mib(end)),
                None => println!(),
            }
        }
        if let Some(profile) = &self.profile {
            profile.show();
        }
    }
}
