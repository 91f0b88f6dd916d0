//! Gradient descent with momentum over whole arenas.

use gatefold_engine::ops::grad_norm::grad_norm;
use gatefold_engine::ops::optimizer::{Preparation, Segment, vectors};
use gatefold_engine::ops::sgd::{Sgd, sgd};
use gatefold_engine::params::{Arena, StepWords};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

use crate::adam::{matrix, parameter, run};
use crate::{Array, Checked, Row};

/// Which parameters there are and how they are trained.
#[derive(Clone, Copy)]
struct Setup {
    /// Words of a frozen parameter before all others.
    frozen: usize,
    lens: &'static [usize],
    options: Sgd,
    decay: f32,
    /// What the rate of the first parameter is multiplied by.
    slow: f32,
    max_norm: Option<f32>,
    /// Gradients come multiplied by [`LOSS_SCALE`], and the last step's have no finite norm.
    scaled: bool,
    /// The first parameter is a matrix, and only that decays.
    spares: bool,
}

const LOSS_SCALE: f32 = 1024.0;
const STEPS: u32 = 5;

impl Setup {
    fn new(momentum: f32, nesterov: bool) -> Self {
        let options = Sgd { momentum, nesterov };
        Self {
            frozen: 0,
            lens: &[300, 1, 5000, 7],
            options,
            decay: 0.0,
            slow: 1.0,
            max_norm: None,
            scaled: false,
            spares: false,
        }
    }

    /// Words of the first parameter, of all that are trained, and of the frozen one.
    fn words(&self) -> [usize; 3] {
        let words = |len: usize| len.next_multiple_of(64);
        [words(self.lens[0]), self.lens.iter().map(|&len| words(len)).sum(), words(self.frozen)]
    }

    fn record(&self, tape: &mut Tape) {
        tape.freeze();
        if self.frozen > 0 {
            parameter(tape, self.frozen);
        }
        tape.thaw();
        for (number, &len) in self.lens.iter().enumerate() {
            if self.spares && number == 0 {
                matrix(tape, len)
            } else {
                parameter(tape, len)
            };
        }
        let ([first, words, _], all) = (self.words(), Segment::all(tape));
        let segments = if self.slow == 1.0 {
            vec![all]
        } else {
            let rest = Segment { start: all.start + first, words: words - first, ..all };
            vec![Segment { words: first, scale: self.slow, ..all }, rest]
        };
        let (max_norm, scaled) = (self.max_norm, self.scaled);
        let norm = (scaled || max_norm.is_some()).then(|| grad_norm(tape, words, scaled));
        let undecayed = self.spares.then(|| vectors(tape));
        sgd(tape, &segments, self.options, Preparation { norm, max_norm, scaled, undecayed });
    }

    /// One step of the reference on parameters and velocity.
    fn step(&self, [parameters, velocity]: &mut [Vec<f64>; 2], gradients: &[f64], step: StepWords) {
        let [momentum, decay, rate] = [self.options.momentum, step.weight_decay, step.learning_rate].map(f64::from);
        let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
        // torch.nn.utils.clip_grad_norm_
        let clip = self.max_norm.map_or(1.0, |most| (f64::from(most) / (norm + 1e-6)).min(1.0));
        let first = self.words()[0];
        for (i, ((p, v), g)) in parameters.iter_mut().zip(velocity).zip(gradients).enumerate() {
            let rate = if i < first { rate * f64::from(self.slow) } else { rate };
            let decay = if self.spares && i >= first { 0.0 } else { decay };
            let g = clip * g + decay * *p;
            *v = momentum * *v + g;
            *p -= rate * if self.options.nesterov { g + momentum * *v } else { *v };
        }
    }
}

fn row(name: &str, setup: Setup) -> Row {
    Row::custom("sgd", name, move |runner| {
        let [_, words, frozen] = setup.words();
        let array = |len: usize, seed: u64| Array::random(Shape::vector(len), seed).to_f32();
        let factor = if setup.scaled { LOSS_SCALE } else { 1.0 };
        let mut steps: Vec<(StepWords, Vec<f32>)> = (0..STEPS)
            .map(|step| {
                let learning_rate = 0.1 / (step + 1) as f32;
                let (weight_decay, gradient_scale) = (setup.decay, 1.0 / factor);
                let words_of_step =
                    StepWords { step, learning_rate, weight_decay, gradient_scale, ..StepWords::default() };
                let gradients = array(words, u64::from(step) + 2);
                (words_of_step, gradients.into_iter().map(|g| g * factor).collect())
            })
            .collect();
        if setup.scaled {
            steps[STEPS as usize - 1].1[words / 2] = f32::INFINITY;
        }
        let start = array(frozen + words, 1);
        let arenas = [Arena::Parameters, Arena::Moment1];
        let [mut parameters, velocity] = run(runner, |tape| setup.record(tape), arenas, &start, &steps)?;
        let touched = parameters[..frozen].iter().zip(&start).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let parameters = parameters.split_off(frozen);

        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let mut state = [wide(&start[frozen..]), vec![0.0; words]];
        for (step, gradients) in steps.iter().filter(|(_, gradients)| gradients.iter().all(|g| g.is_finite())) {
            let gradients: Vec<f64> = gradients.iter().map(|&g| f64::from(g) / f64::from(factor)).collect();
            setup.step(&mut state, &gradients, *step);
        }
        Ok(vec![
            Checked::norm("parameters", &parameters, &state[0]),
            Checked::norm("velocity", &velocity, &state[1]),
            Checked::count("frozen parameters stay", touched),
        ])
    })
}

pub fn rows() -> Vec<Row> {
    let bench = Row::new(
        "sgd",
        "25M parameters",
        vec![],
        |tape, _| {
            let p = parameter(tape, 25_000_000);
            let all = Segment::all(tape);
            sgd(tape, &[all], Sgd { momentum: 0.9, nesterov: true }, Preparation::default());
            Ok(vec![p])
        },
        |_| vec![Array::zeros(Shape::vector(25_000_000))],
    );
    let nesterov = Setup { decay: 0.1, ..Setup::new(0.9, true) };
    vec![
        row("no momentum", Setup::new(0.0, false)),
        row("momentum", Setup::new(0.9, false)),
        row("Nesterov", Setup::new(0.9, true)),
        row("decay", Setup { decay: 0.1, ..Setup::new(0.8, false) }),
        row("Nesterov, decay", nesterov),
        row("clipped", Setup { max_norm: Some(1.0), ..nesterov }),
        row("scaled", Setup { scaled: true, ..nesterov }),
        row("scaled, clipped", Setup { scaled: true, max_norm: Some(1.0), ..nesterov }),
        row("frozen, two rates, clipped", Setup { frozen: 70, slow: 0.1, max_norm: Some(1.0), ..nesterov }),
        row("vectors without decay", Setup { spares: true, ..nesterov }),
        row("vectors without decay, frozen", Setup { spares: true, frozen: 70, slow: 0.1, ..nesterov }),
        bench.bench(),
    ]
}
