//! Adam and AdamW over whole arenas.

use std::sync::Arc;

use gatefold::Result;
use gatefold::gpu::{BufferPool, Gpu};
use gatefold::ops::adam::{Adam, adam};
use gatefold::params::{Init, Layout, ParameterSpec, ParameterStore, StepWords};
use gatefold::plan::{Choice, Plan};
use gatefold::tape::{Arena, Tape};
use gatefold::tensor::{Shape, Tensor};

use crate::array::relative_error;
use crate::{Array, Checked, Row};

/// A learned vector without a meaning.
pub fn parameter(tape: &mut Tape, len: usize) -> Tensor {
    let name = format!("p{}", tape.spec().parameters.len());
    tape.parameter(ParameterSpec { name, shape: Shape::vector(len), layout: Layout::Vector, init: Init::Constant(0.0) })
}

/// Parameters, first and second moments.
#[derive(Clone)]
struct State([Vec<f64>; 3]);

impl State {
    fn step(&mut self, gradients: &[f64], options: Adam, step: StepWords) {
        let [beta1, beta2, eps] = [options.beta1, options.beta2, options.eps].map(f64::from);
        let [lr, decay] = [step.learning_rate, step.weight_decay].map(f64::from);
        let [correction1, correction2] = [step.bias_correction1, step.bias_correction2].map(f64::from);
        let [parameters, first, second] = &mut self.0;
        for (((p, m), v), g) in parameters.iter_mut().zip(first).zip(second).zip(gradients) {
            let mut g = *g;
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

/// Runs steps from given parameters and zero moments; returns the three arenas after the last.
fn run(
    gpu: &Arc<Gpu>,
    choice: Choice,
    lens: &[usize],
    options: Adam,
    start: impl Fn(usize) -> Vec<f32>,
    steps: &[(StepWords, Vec<f32>)],
) -> Result<[Vec<f32>; 3]> {
    let mut tape = Tape::new();
    for &len in lens {
        parameter(&mut tape, len);
    }
    let words = tape.spec().parameter_words();
    adam(&mut tape, words, options);
    let step = tape.step();
    let store = ParameterStore::new(gpu, tape.spec(), true)?;
    store.write(gpu, Arena::Parameters, &start(words))?;
    for moment in [Arena::Moment1, Arena::Moment2] {
        store.write(gpu, moment, &vec![0.0; words])?;
    }
    let mut plan = Plan::with_choice(gpu, &tape, &store, &BufferPool::default(), choice)?;
    for (words, gradients) in steps {
        store.write(gpu, Arena::Gradients, gradients)?;
        plan.write(step, &[*words])?;
        plan.run()?;
    }
    let [p, m, v] = ARENAS.map(|arena| store.read(gpu, arena));
    Ok([p?, m?, v?])
}

fn row(name: &str, lens: &'static [usize], options: Adam, decay: f32) -> Row {
    Row::custom("adam", name, move |gpu, choice| {
        const STEPS: u32 = 5;
        let words: usize = lens.iter().map(|len| len.next_multiple_of(64)).sum();
        let array = |seed: u64, scale: f64| Array::random(Shape::vector(words), seed).map(|v| scale * v).to_f32();
        // Gradients of very different sizes: Adam takes the size out again.
        let gradients = |step: u32| array(u64::from(step) + 2, 10.0_f64.powi(2 - 2 * step as i32));
        let steps: Vec<_> = (0..STEPS).map(|i| (schedule(options, i, decay), gradients(i))).collect();
        let start = array(1, 1.0);
        let out = run(gpu, choice, lens, options, |_| start.clone(), &steps)?;

        let wide = |values: &[f32]| values.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
        let mut state = State([wide(&start), vec![0.0; words], vec![0.0; words]]);
        steps.iter().for_each(|(step, g)| state.step(&wide(g), options, *step));
        let moved = |p: &[f64]| p.iter().zip(&start).map(|(p, &s)| p - f64::from(s)).collect::<Vec<_>>();
        let way: Vec<f32> = moved(&wide(&out[0])).iter().map(|&d| d as f32).collect();
        let mut checked = vec![Checked { what: "way".into(), error: relative_error(&way, &moved(&state.0[0])) }];
        for ((what, out), reference) in ["parameters", "moment 1", "moment 2"].iter().zip(&out).zip(&state.0) {
            checked.push(Checked { what: (*what).into(), error: relative_error(out, reference) });
        }
        Ok(checked)
    })
}

/// Four steps of `torch.optim.Adam` and `AdamW` (PyTorch 2, f64) on four parameters.
fn pytorch(name: &str, decoupled: bool, expected: [f64; 4]) -> Row {
    Row::custom("adam", name, move |gpu, choice| {
        let options = Adam { decoupled, ..Adam::default() };
        let padded = |values: [f32; 4]| [&values[..], &[0.0; 60]].concat();
        let steps: Vec<_> = (0..4)
            .map(|i| {
                let words = StepWords { learning_rate: 0.1, ..schedule(options, i, 0.05) };
                let factor = (i + 1) as f32 * if i % 2 == 0 { 1.0 } else { -1.0 };
                (words, padded([0.1, -0.2, 0.3, 1e-6].map(|g| g * factor)))
            })
            .collect();
        let [parameters, ..] = run(gpu, choice, &[4], options, |_| padded([0.5, -1.0, 2.0, 0.0]), &steps)?;
        let gap = parameters[4..].iter().filter(|v| **v != 0.0).count();
        Ok(vec![
            Checked { what: "parameters".into(), error: relative_error(&parameters[..4], &expected) },
            Checked { what: "the gap after them stays zero".into(), error: gap as f64 },
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
            let words = tape.spec().parameter_words();
            adam(tape, words, Adam::default());
            Ok(vec![p])
        },
        |_| vec![Array::zeros(Shape::vector(25_000_000))],
    );
    vec![
        row("plain", MANY, plain, 0.0),
        row("L2", MANY, plain, 0.1),
        row("decoupled", MANY, decoupled, 0.1),
        row("other constants", &[130], other, 0.01),
        pytorch("PyTorch's Adam", false, [0.3957903905, -0.8938464368, 1.881879438, 0.07552704371]),
        pytorch("PyTorch's AdamW", true, [0.4169139971, -0.9069887433, 1.887138243, -0.07234044538]),
        bench.bench(),
    ]
}
