//! Adam and AdamW over whole arenas.

use gatefold_engine::Result;
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::grad_norm::grad_norm;
use gatefold_engine::ops::optimizer::{Preparation, Segment, vectors};
use gatefold_engine::params::{Arena, Init, Layout, ParameterSpec, ParameterStore, StepWords};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::{Array, Checked, Row, Runner};

/// A learned vector without a meaning.
pub fn parameter(tape: &mut Tape, len: usize) -> Tensor {
    let name = format!("p{}", tape.spec().parameters.len());
    tape.parameter(ParameterSpec { name, shape: Shape::vector(len), layout: Layout::Vector, init: Init::Constant(0.0) })
}

/// A learned matrix of one column.
pub fn matrix(tape: &mut Tape, len: usize) -> Tensor {
    let name = format!("p{}", tape.spec().parameters.len());
    let (shape, layout) = (Shape::new(1, 1, len, 1), Layout::Dense);
    tape.parameter(ParameterSpec { name, shape, layout, init: Init::Constant(0.0) })
}

/// Parameters, first and second moments.
#[derive(Clone)]
struct State([Vec<f64>; 3]);

impl State {
    /// One step; `scales(i)` are those of parameter `i`'s rate and decay.
    fn step(&mut self, gradients: &[f64], options: Adam, scales: impl Fn(usize) -> [f64; 2], step: StepWords) {
        let [beta1, beta2, eps] = [options.beta1, options.beta2, options.eps].map(f64::from);
        let [lr, decay] = [step.learning_rate, step.weight_decay].map(f64::from);
        let [correction1, correction2] = [step.bias_correction1, step.bias_correction2].map(f64::from);
        let [parameters, first, second] = &mut self.0;
        for (i, (((p, m), v), g)) in parameters.iter_mut().zip(first).zip(second).zip(gradients).enumerate() {
            let [scale, decays] = scales(i);
            let (mut g, lr, decay) = (*g, lr * scale, decay * decays);
            if options.decoupled {
                *p *= 1.0 - lr * decay;
            } else {
                g += decay * *p;
            }
            *m = beta1 * *m + (1.0 - beta1) * g;
            *v = beta2 * *v + (1.0 - beta2) * g * g;
            *p -= lr / correction1 * *m / (v.sqrt() / correction2.sqrt() + eps);
        }
    }
}

const ARENAS: [Arena; 3] = [Arena::Parameters, Arena::Moment1, Arena::Moment2];

/// Step words of a schedule that changes from step to step.
fn schedule(options: Adam, step: u32, decay: f32) -> StepWords {
    let [bias_correction1, bias_correction2] = options.bias_corrections(step);
    let learning_rate = 0.1 / (step + 1) as f32;
    StepWords { step, learning_rate, weight_decay: decay, bias_correction1, bias_correction2, ..StepWords::default() }
}

/// Which parameters there are and how they are trained.
#[derive(Clone, Copy)]
struct Setup {
    /// Frozen parameters, then those that are trained.
    frozen: &'static [usize],
    lens: &'static [usize],
    options: Adam,
    /// What the rate of the first so many trained parameters is multiplied by.
    slow: Option<(usize, f32)>,
    max_norm: Option<f32>,
    /// Gradients come multiplied by [`LOSS_SCALE`], and the last step's have no finite norm.
    scaled: bool,
    /// Every second trained parameter, the first one too, is a matrix, and only those decay.
    spares: bool,
}

const LOSS_SCALE: f32 = 1024.0;

impl Setup {
    fn new(lens: &'static [usize], options: Adam) -> Self {
        Self { frozen: &[], lens, options, slow: None, max_norm: None, scaled: false, spares: false }
    }

    fn words(lens: &[usize]) -> usize {
        lens.iter().map(|len| len.next_multiple_of(64)).sum()
    }

    /// Words of the trained parameters with a rate of their own, and its factor.
    fn slow_words(&self) -> (usize, f32) {
        self.slow.map_or((0, 1.0), |(count, scale)| (Self::words(&self.lens[..count]), scale))
    }

    /// Whether a trained word decays.
    fn decays(&self, word: usize) -> bool {
        let ends = (1..=self.lens.len()).map(|count| Self::words(&self.lens[..count]));
        !self.spares || ends.take_while(|end| *end <= word).count().is_multiple_of(2)
    }

    fn record(&self, tape: &mut Tape) {
        tape.freeze();
        for &len in self.frozen {
            parameter(tape, len);
        }
        tape.thaw();
        for (number, &len) in self.lens.iter().enumerate() {
            if self.spares && number.is_multiple_of(2) {
                matrix(tape, len)
            } else {
                parameter(tape, len)
            };
        }
        let all = Segment::all(tape);
        let (slow, scale) = self.slow_words();
        let segments = [
            Segment { words: slow, scale, ..all },
            Segment { start: all.start + slow, words: all.words - slow, ..all },
        ];
        let segments: Vec<_> = segments.into_iter().filter(|segment| segment.words > 0).collect();
        let (max_norm, scaled) = (self.max_norm, self.scaled);
        let norm = (scaled || max_norm.is_some()).then(|| grad_norm(tape, all.words, scaled));
        let undecayed = self.spares.then(|| vectors(tape));
        adam(tape, &segments, self.options, Preparation { norm, max_norm, scaled, undecayed });
    }
}

/// Runs steps of what `record` records from given parameters and zero moments; returns these arenas, of which the parameters are the
/// first, after the last.
pub fn run<const N: usize>(
    runner: &Runner,
    record: impl Fn(&mut Tape),
    arenas: [Arena; N],
    start: &[f32],
    steps: &[(StepWords, Vec<f32>)],
) -> Result<[Vec<f32>; N]> {
    let gpu = runner.gpu();
    let mut tape = Tape::new();
    record(&mut tape);
    let step = tape.step();
    let store = ParameterStore::for_training(gpu, tape.spec(), tape.frozen_words())?;
    store.write(gpu, Arena::Parameters, start)?;
    for &moment in &arenas[1..] {
        store.write(gpu, moment, &vec![0.0; tape.trained_words()])?;
    }
    let mut plan = runner.plan(&tape, &store)?;
    for (words, gradients) in steps {
        store.write(gpu, Arena::Gradients, gradients)?;
        plan.write(step, &[*words])?;
        plan.run()?;
    }
    let mut read = arenas.map(|_| vec![]);
    for (read, arena) in read.iter_mut().zip(arenas) {
        *read = store.read(gpu, arena)?;
    }
    Ok(read)
}

fn row(name: &str, setup: Setup, decay: f32) -> Row {
    Row::custom("adam", name, move |runner| {
        const STEPS: u32 = 5;
        let options = setup.options;
        let (frozen, words) = (Setup::words(setup.frozen), Setup::words(setup.lens));
        let array =
            |len: usize, seed: u64, scale: f64| Array::random(Shape::vector(len), seed).map(|v| scale * v).to_f32();
        // Gradients of very different sizes: Adam takes the size out again. Clipping to a norm of 1 meets the first two.
        let gradients = |step: u32| array(words, u64::from(step) + 2, 10.0_f64.powi(2 - 2 * step as i32));
        let mut steps: Vec<_> = (0..STEPS).map(|i| (schedule(options, i, decay), gradients(i))).collect();
        if setup.scaled {
            for (words, gradients) in &mut steps {
                words.gradient_scale = 1.0 / LOSS_SCALE;
                gradients.iter_mut().for_each(|g| *g *= LOSS_SCALE);
            }
            steps[STEPS as usize - 1].1[words / 2] = f32::INFINITY;
        }
        let start = array(frozen + words, 1, 1.0);
        let mut out = run(runner, |tape| setup.record(tape), ARENAS, &start, &steps)?;
        let touched = out[0][..frozen].iter().zip(&start).filter(|(a, b)| a.to_bits() != b.to_bits()).count();
        let (trained, start) = (out[0].split_off(frozen), &start[frozen..]);
        out[0] = trained;

        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let mut state = State([wide(start), vec![0.0; words], vec![0.0; words]]);
        let (slow, scale) = setup.slow_words();
        for (step, gradients) in &steps {
            if gradients.iter().any(|g| !g.is_finite()) {
                continue;
            }
            let mut gradients = wide(gradients);
            if setup.scaled {
                gradients.iter_mut().for_each(|g| *g /= f64::from(LOSS_SCALE));
            }
            if let Some(max_norm) = setup.max_norm {
                // torch.nn.utils.clip_grad_norm_
                let norm = gradients.iter().map(|g| g * g).sum::<f64>().sqrt();
                let factor = (f64::from(max_norm) / (norm + 1e-6)).min(1.0);
                gradients.iter_mut().for_each(|g| *g *= factor);
            }
            let scales =
                |i: usize| [if i < slow { f64::from(scale) } else { 1.0 }, if setup.decays(i) { 1.0 } else { 0.0 }];
            state.step(&gradients, options, scales, *step);
        }
        let moved = |p: &[f64]| p.iter().zip(start).map(|(p, &s)| p - f64::from(s)).collect::<Vec<_>>();
        let way: Vec<f32> = moved(&wide(&out[0])).iter().map(|&d| d as f32).collect();
        let mut checked = vec![Checked::norm("way", &way, &moved(&state.0[0]))];
        checked.push(Checked::count("frozen parameters stay", touched));
        for ((what, out), reference) in ["parameters", "moment 1", "moment 2"].into_iter().zip(&out).zip(&state.0) {
            checked.push(Checked::norm(what, out, reference));
        }
        Ok(checked)
    })
}

/// Four steps of `torch.optim.Adam` and `AdamW` (PyTorch 2, f64) on four parameters.
fn pytorch(name: &str, decoupled: bool, expected: [f64; 4]) -> Row {
    Row::custom("adam", name, move |runner| {
        let options = Adam { decoupled, ..Adam::default() };
        let padded = |values: [f32; 4]| [&values[..], &[0.0; 60]].concat();
        let steps: Vec<_> = (0..4)
            .map(|i| {
                let words = StepWords { learning_rate: 0.1, ..schedule(options, i, 0.05) };
                let factor = (i + 1) as f32 * if i % 2 == 0 { 1.0 } else { -1.0 };
                (words, padded([0.1, -0.2, 0.3, 1e-6].map(|g| g * factor)))
            })
            .collect();
        let start = padded([0.5, -1.0, 2.0, 0.0]);
        let setup = Setup::new(&[4], options);
        let [parameters, ..] = run(runner, |tape| setup.record(tape), ARENAS, &start, &steps)?;
        let gap = parameters[4..].iter().filter(|v| **v != 0.0).count();
        Ok(vec![
            Checked::norm("parameters", &parameters[..4], &expected),
            Checked::count("the gap after them stays zero", gap),
        ])
    })
}

pub fn rows() -> Vec<Row> {
    let plain = Adam::default();
    let decoupled = Adam { decoupled: true, ..plain };
    let other = Adam { beta1: 0.8, beta2: 0.95, eps: 1e-3, decoupled: false };
    const MANY: &[usize] = &[1, 300, 5000, 7];
    let bench = Row::new(
        "adam",
        "25M parameters",
        vec![],
        |tape, _| {
            let p = parameter(tape, 25_000_000);
            let all = Segment::all(tape);
            adam(tape, &[all], Adam::default(), Preparation::default());
            Ok(vec![p])
        },
        |_| vec![Array::zeros(Shape::vector(25_000_000))],
    );
    let (many, slow) = (Setup::new(MANY, decoupled), Some((2, 0.1)));
    vec![
        row("plain", Setup::new(MANY, plain), 0.0),
        row("L2", Setup::new(MANY, plain), 0.1),
        row("decoupled", many, 0.1),
        row("other constants", Setup::new(&[130], other), 0.01),
        row("clipped", Setup { max_norm: Some(1.0), ..many }, 0.1),
        row("L2, clipped", Setup { max_norm: Some(1.0), ..Setup::new(MANY, plain) }, 0.1),
        row("scaled", Setup { scaled: true, ..many }, 0.1),
        row("scaled, clipped", Setup { scaled: true, max_norm: Some(1.0), ..many }, 0.1),
        row("two rates", Setup { slow, ..many }, 0.1),
        row("frozen, two rates, clipped", Setup { frozen: &[70, 3], slow, max_norm: Some(1.0), ..many }, 0.1),
        row("vectors without decay", Setup { spares: true, ..many }, 0.1),
        row("vectors without decay, L2", Setup { spares: true, ..Setup::new(MANY, plain) }, 0.1),
        row("vectors without decay, frozen, two rates", Setup { spares: true, frozen: &[70, 3], slow, ..many }, 0.1),
        pytorch("PyTorch's Adam", false, [0.3957903905, -0.8938464368, 1.881879438, 0.07552704371]),
        pytorch("PyTorch's AdamW", true, [0.4169139971, -0.9069887433, 1.887138243, -0.07234044538]),
        bench.bench(),
    ]
}
