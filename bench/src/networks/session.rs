//! A network's training step, ready to run on noise.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatefold::train::step::{Seed, TrainingStep};
use gatefold::train::tuning::{self, BUDGET, When};
use gatefold::train::{Config, Needs, Precision};
use gatefold::weights::LossScale;
use gatefold_engine::gpu::{AdapterSummary, BufferPool, Gpu, cache_folder, processor_time, thread_time};
use gatefold_engine::params::{Arena, ParameterStore, StepWords};
use gatefold_engine::plan::tune::Tuner;
use gatefold_engine::plan::{Choice, Choices, Plan, Ticket};
use gatefold_engine::tape::Tape;
use gatefold_engine::{Error, Result};

use super::traffic::Traffic;
use crate::measure::known_choices;

/// Which step.
#[derive(Clone, Debug)]
pub struct Load {
    pub net: String,
    pub batch: usize,
    pub size: usize,
    pub classes: usize,
    pub precision: Precision,
}

/// Half precision needs an adapter that has it.
pub fn check_precision(precision: Precision, adapter: &AdapterSummary) -> Result<()> {
    if precision == Precision::Mixed && !adapter.f16 {
        return Err(Error::input(format!("--precision mixed: {} has no f16 in shaders", adapter.name)));
    }
    Ok(())
}

impl Load {
    /// The settings of the run, checked.
    pub fn config(&self) -> Result<Config> {
        let Self { batch, size, precision, .. } = *self;
        let config = Config { net: self.net.clone(), batch, size, precision, ..Config::default() };
        config.check()?;
        if self.classes < 2 {
            return Err(Error::input(format!("--classes {}: must be at least 2", self.classes)));
        }
        Ok(config)
    }
}

impl Load {
    /// As people say it.
    pub fn name(&self) -> String {
        let precision = if self.precision == Precision::Mixed { ", mixed precision" } else { "" };
        format!("{} at {} px, batch {}{precision}", self.net, self.size, self.batch)
    }
}

/// A planned step.
pub struct Session {
    pub plan: Plan,
    pub needs: Needs,
    step: TrainingStep,
    pixels: Vec<u32>,
    labels: Vec<u32>,
    weights: Vec<f32>,
    number: u32,
    /// What the loss is multiplied by, in mixed precision.
    factor: f32,
    under_way: Option<Ticket>,
    /// When the last step was done, and the processor time until then.
    done: (Instant, Option<Duration>),
}

/// One step, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct StepSample {
    /// From the end of the step before to the end of this one.
    pub wall: f64,
    /// Processor time of all threads meanwhile.
    pub cpu: Option<f64>,
    /// What the host took to write the inputs and hand the next step over.
    pub host: f64,
    /// Processor time of the host's thread for it.
    pub host_cpu: Option<f64>,
}

impl Session {
    /// Records and plans the step and initialises the parameters.
    pub fn new(gpu: &Arc<Gpu>, load: &Load, tune: When) -> Result<Self> {
        let config = load.config()?;
        let net_config = config.net_config(load.classes);
        let needs = Needs::of(&config, &net_config, gpu.adapter())?;
        let start = Instant::now();
        let step = TrainingStep::record_for(gpu.adapter(), &config, &net_config, load.batch)?;
        let store = ParameterStore::new(gpu, step.tape.spec(), true)?;
        let (parameters, states) = step.tape.spec().initial(1);
        store.write(gpu, Arena::Parameters, &parameters)?;
        if !states.is_empty() {
            store.write(gpu, Arena::State, &states)?;
        }
        let choices = choices(gpu, &step.tape, tune)?;
        let choice = Choice::Tuned(&choices);
        let plan = Plan::with_choice(gpu, &step.tape, &store, &BufferPool::default(), choice)?;
        // Noise: zeros would be faster than pictures.
        let mut noise = 1_u32;
        let mut random = || {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            noise
        };
        let pixels = (0..step.pixels.shape.len()).map(|_| random() ^ (random() >> 16)).collect();
        let labels = (0..load.batch).map(|i| (i % load.classes) as u32).collect();
        let weights = vec![1.0; load.batch];
        let done = (start, processor_time());
        let factor = if load.precision == Precision::Mixed { LossScale::default().factor } else { 1.0 };
        Ok(Self { plan, needs, step, pixels, labels, weights, number: 0, factor, under_way: None, done })
    }

    /// The bytes that it moves, by kind of launch.
    pub fn traffic(&self, adapter: &AdapterSummary) -> Result<BTreeMap<String, Traffic>> {
        Traffic::of(&self.step.tape, adapter)
    }

    /// Takes the first step: seconds from before it was recorded to its end.
    pub fn first(&mut self) -> Result<f64> {
        // Where handing over waits for the work, as lavapipe lets it, most of the time is the first call's.
        Ok(self.run()?.wall + self.settle()?)
    }

    /// Submits a step and then waits for the one before, as training does. The first call only submits.
    pub fn run(&mut self) -> Result<StepSample> {
        let (begin, thread) = (Instant::now(), thread_time());
        let words = StepWords {
            step: self.number,
            seed: 1,
            learning_rate: 1e-3,
            bias_correction1: 1.0,
            bias_correction2: 1.0,
            gradient_scale: 1.0 / self.factor,
            ..StepWords::default()
        };
        if let Some(input) = self.step.tape.step_input() {
            self.plan.write(input, &[words])?;
        }
        for &Seed { value: seed, part, .. } in &self.step.seeds {
            self.plan.write(seed, &[part * self.factor])?;
        }
        self.plan.write(self.step.pixels, &self.pixels)?;
        self.plan.write(self.step.labels, &self.labels)?;
        self.plan.write(self.step.weights, &self.weights)?;
        let ticket = self.plan.submit()?;
        let host = begin.elapsed().as_secs_f64();
        let host_cpu = thread_time().zip(thread).map(|(now, then)| (now - then).as_secs_f64());
        self.number += 1;
        let before = self.under_way.replace(ticket);
        let (wall, cpu) = self.finish(before)?;
        Ok(StepSample { wall, cpu, host, host_cpu })
    }

    /// Waits for the step under way, if there is one: seconds since the last call came back.
    pub fn settle(&mut self) -> Result<f64> {
        let last = self.under_way.take();
        Ok(self.finish(last)?.0)
    }

    fn finish(&mut self, ticket: Option<Ticket>) -> Result<(f64, Option<f64>)> {
        if let Some(ticket) = ticket {
            let loss = self.plan.results(ticket)?.get(self.step.loss)?;
            if loss.iter().any(|v| !v.is_finite()) {
                return Err(Error::run("the loss is no finite number"));
            }
        }
        let (now, processor) = (Instant::now(), processor_time());
        let (then, processor_then) = std::mem::replace(&mut self.done, (now, processor));
        let cpu = processor.zip(processor_then).map(|(now, then)| (now - then).as_secs_f64());
        Ok(((now - then).as_secs_f64(), cpu))
    }
}

/// The kernels that training would take for this tape.
fn choices(gpu: &Gpu, tape: &Tape, tune: When) -> Result<Choices> {
    let wanted = tune == When::Always || (tune == When::OnGpus && !gpu.adapter().software);
    if !wanted {
        return Ok(Choices::new(gpu.adapter()));
    }
    let mut choices = known_choices(gpu);
    let file = cache_folder().map(|folder| folder.join(gpu.adapter().cache_name("tune", "json")));
    let file = file.filter(|file| file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok()));
    Tuner { gpu, budget: BUDGET, listen: &mut |_| () }.tune(tape, &mut choices)?;
    if let Some(file) = file {
        tuning::write(&choices, &file)?;
    }
    Ok(choices)
}

/// Memory of this process, in bytes.
pub fn rss() -> Result<u64> {
    let unknown = || Error::run("the system does not tell how much memory this process has");
    let id = sysinfo::get_current_pid().map_err(|_| unknown())?;
    let mut system = sysinfo::System::new().map_err(|_| unknown())?;
    system.refresh_processes(sysinfo::ProcessesToUpdate::Some(&[id]), false);
    system.process(id).map(sysinfo::Process::memory).ok_or_else(unknown)
}
