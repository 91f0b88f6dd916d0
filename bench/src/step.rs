//! A whole training step: input, forward, backward, optimiser.

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Args;
use gatefold::gpu::BufferPool;
use gatefold::params::{ParameterStore, StepWords};
use gatefold::plan::Plan;
use gatefold::tape::Arena;
use gatefold::train::step::TrainingStep;
use gatefold::train::{Config, Needs};
use gatefold::{Error, Result};
use serde::Serialize;

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
    /// Timed steps, of which the median counts
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Also time each launch by itself: by kind, and the ten dearest
    #[arg(long)]
    profile: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct StepTime {
    network: String,
    batch: usize,
    size: usize,
    precision: &'static str,
    images_per_second: f64,
    /// Median time of a step, in milliseconds.
    step_ms: f64,
    /// Time to hand a step to the device, while it works: median.
    host_ms_per_step: f64,
    launches_per_step: usize,
    flops_per_step: u64,
    peak_bytes: u64,
    /// From the empty plan to the end of the first step: compiling included.
    first_step_s: f64,
    adapter: String,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { net, batch, size, .. } = arguments;
    let config = Config { net: net.clone(), batch: *batch, size: *size, ..Config::default() };
    config.check()?;
    if arguments.classes < 2 {
        return Err(Error::input(format!("--classes {}: must be at least 2", arguments.classes)));
    }
    let gpu = arguments.common.open()?;
    let net_config = config.net_config(arguments.classes);
    let needs = Needs::of(&config, &net_config, gpu.adapter())?;

    let start = Instant::now();
    let step = TrainingStep::record(&config, &net_config, *batch)?;
    let store = ParameterStore::new(&gpu, step.tape.spec(), true)?;
    let (parameters, states) = step.tape.spec().initial(1);
    store.write(&gpu, Arena::Parameters, &parameters)?;
    if !states.is_empty() {
        store.write(&gpu, Arena::State, &states)?;
    }
    let mut plan = Plan::new(&gpu, &step.tape, &store, &BufferPool::default())?;
    // Noise: zeros would be faster than pictures.
    let mut noise = 1_u32;
    let mut random = || {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise
    };
    let pixels: Vec<u32> = (0..step.pixels.shape.len()).map(|_| random() ^ (random() >> 16)).collect();
    let labels: Vec<u32> = (0..*batch as u32).map(|i| i % arguments.classes as u32).collect();
    plan.write(step.pixels, &pixels)?;
    plan.write(step.labels, &labels)?;
    plan.write(step.weights, &vec![1.0_f32; *batch])?;
    let words = |number: u32| StepWords {
        step: number,
        seed: 1,
        learning_rate: 1e-3,
        bias_correction1: 1.0,
        bias_correction2: 1.0,
        ..StepWords::default()
    };
    let (mut times, mut host) = (vec![], vec![]);
    let mut first_step_s = 0.0;
    for number in 0..=arguments.steps {
        let begin = Instant::now();
        if let Some(input) = step.tape.step_input() {
            plan.write(input, &[words(number as u32)])?;
        }
        plan.write(step.pixels, &pixels)?;
        let ticket = plan.submit()?;
        host.push(begin.elapsed().as_secs_f64());
        plan.results(ticket)?;
        if number == 0 {
            first_step_s = start.elapsed().as_secs_f64();
        } else {
            times.push(begin.elapsed().as_secs_f64());
        }
    }
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let step_s = median(&mut times);
    let time = StepTime {
        network: net.clone(),
        batch: *batch,
        size: *size,
        precision: "f32",
        images_per_second: *batch as f64 / step_s.max(1e-9),
        step_ms: step_s * 1e3,
        host_ms_per_step: median(&mut host) * 1e3,
        launches_per_step: needs.launches_per_step,
        flops_per_step: needs.flops_per_step,
        peak_bytes: needs.peak_bytes,
        first_step_s,
        adapter: gpu.adapter().name.clone(),
    };
    if arguments.common.json {
        json(&time)?;
    } else {
        println!(
            "{net} at {size} px, batch {batch}: {:.1} images/s, {:.1} ms per step ({:.1} GFLOP/s), host {:.2} ms, {} launches, first \
             step after {first_step_s:.1} s",
            time.images_per_second,
            time.step_ms,
            time.flops_per_step as f64 / step_s / 1e9,
            time.host_ms_per_step,
            time.launches_per_step
        );
    }
    if arguments.profile { profile(&plan) } else { Ok(()) }
}

fn profile(plan: &Plan) -> Result<()> {
    let mut times = plan.profile(3)?;
    let total: f64 = times.iter().map(|t| t.median.as_secs_f64()).sum();
    let mut kinds: BTreeMap<String, (usize, f64, u64)> = BTreeMap::new();
    for time in &times {
        let kind = kinds.entry(format!("{} {}", time.op, time.pass)).or_default();
        *kind = (kind.0 + 1, kind.1 + time.median.as_secs_f64(), kind.2 + time.flops);
    }
    let mut kinds: Vec<_> = kinds.into_iter().collect();
    kinds.sort_by(|a, b| b.1.1.total_cmp(&a.1.1));
    eprintln!("by kind:");
    for (name, (count, seconds, flops)) in kinds {
        let (ms, share, rate) = (seconds * 1e3, 100.0 * seconds / total, flops as f64 / seconds / 1e9);
        eprintln!("  {name:<34} {count:>4} launches {ms:>9.2} ms {share:>5.1} % {rate:>7.1} GFLOP/s");
    }
    times.sort_by_key(|t| std::cmp::Reverse(t.median));
    eprintln!("the ten dearest:");
    for t in times.iter().take(10) {
        let seconds = t.median.as_secs_f64();
        let (op, pass, variant) = (t.op, t.pass, &t.variant);
        eprintln!(
            "  {op} {pass:<16} {variant:<36} {:>9.2} ms {:>7.1} GFLOP/s",
            seconds * 1e3,
            t.flops as f64 / seconds / 1e9
        );
    }
    Ok(())
}
