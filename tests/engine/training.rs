//! A recorded training step on made-up pictures, run by hand.

use std::ops::Range;

use gatefold::train::Config;
use gatefold::train::step::TrainingStep;
use gatefold_engine::gpu::BufferPool;
use gatefold_engine::ops::adam::Adam;
use gatefold_engine::params::{Arena, ParameterStore, StepWords};
use gatefold_engine::plan::{Choice, Plan};

use super::gpu;

pub struct Training {
    pub recorded: TrainingStep,
    pub store: ParameterStore,
    pub plan: Plan,
    image_bytes: usize,
}

impl Training {
    /// The step that `config` makes, with first values of seed 1.
    pub fn new(config: &Config, classes: usize) -> Self {
        Self::of(TrainingStep::record(config, &config.net_config(classes), config.batch).unwrap(), config)
    }

    pub fn of(recorded: TrainingStep, config: &Config) -> Self {
        Self::with_choice(recorded, config, Choice::Rule)
    }

    pub fn with_choice(recorded: TrainingStep, config: &Config, choice: Choice) -> Self {
        let store = ParameterStore::for_training(&gpu(), recorded.tape.spec(), recorded.tape.frozen_words()).unwrap();
        let (parameters, states) = recorded.tape.spec().initial(1);
        store.write(&gpu(), Arena::Parameters, &parameters).unwrap();
        if !states.is_empty() {
            store.write(&gpu(), Arena::State, &states).unwrap();
        }
        let plan = Plan::with_choice(&gpu(), &recorded.tape, &store, &BufferPool::default(), choice).unwrap();
        Self { recorded, store, plan, image_bytes: 3 * config.size * config.size }
    }

    /// Sends these of an endless row of pictures. Their labels are 0, 1, 1, 0 and so on, their weights 1.
    pub fn write(&self, pictures: Range<usize>) {
        let bytes = pictures.start * self.image_bytes..pictures.end * self.image_bytes;
        let pixels: Vec<u8> = bytes.map(|i| ((i as u32).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let labels: Vec<u32> = pictures.clone().map(|i| [0, 1, 1, 0][i % 4]).collect();
        self.plan.write(self.recorded.pixels, &pixels).unwrap();
        self.plan.write(self.recorded.labels, &labels).unwrap();
        self.plan.write(self.recorded.weights, &vec![1.0_f32; pictures.len()]).unwrap();
    }

    /// Sends the numbers of a step: rate 0.001, no weight decay.
    pub fn write_step(&self, step: u32, seed: u32) {
        self.write_scaled_step(step, seed, 1.0);
    }

    /// The same, of gradients that are to be multiplied by `gradient_scale`.
    pub fn write_scaled_step(&self, step: u32, seed: u32, gradient_scale: f32) {
        let [bias_correction1, bias_correction2] = Adam::default().bias_corrections(step);
        let learning_rate = 1e-3;
        let words = StepWords {
            step,
            seed,
            learning_rate,
            bias_correction1,
            bias_correction2,
            gradient_scale,
            ..StepWords::default()
        };
        self.plan.write(self.recorded.tape.step_input().unwrap(), &[words]).unwrap();
    }

    /// Runs a whole step and returns its loss.
    pub fn step(&mut self, step: u32, seed: u32) -> f32 {
        self.write_step(step, seed);
        self.plan.run().unwrap().get(self.recorded.loss).unwrap()[0]
    }

    /// Runs some phases and returns the norm of the gradient.
    pub fn phases(&mut self, phases: Range<usize>) -> f32 {
        let ticket = self.plan.submit_phases(phases).unwrap();
        self.plan.results(ticket).unwrap().get(self.recorded.grad_norm).unwrap()[0]
    }

    pub fn read(&self, arena: Arena) -> Vec<f32> {
        self.store.read(&gpu(), arena).unwrap()
    }
}
