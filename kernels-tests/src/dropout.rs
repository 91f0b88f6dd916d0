//! Dropout: the reference draws the very same mask.

use gatefold_engine::Result;
use gatefold_engine::ops::copy::copy;
use gatefold_engine::ops::dropout::{drop_samples, dropout};
use gatefold_engine::params::{ParameterStore, StepWords};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::{Array, Checked, Input, Row, Runner, STEP, tolerance};

/// `gatefold::random::hash` in Rust.
pub fn hash(counters: [u32; 3]) -> [u32; 3] {
    let mut v = counters.map(|c| c.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    let mix = |v: &mut [u32; 3]| {
        v[0] = v[0].wrapping_add(v[1].wrapping_mul(v[2]));
        v[1] = v[1].wrapping_add(v[2].wrapping_mul(v[0]));
        v[2] = v[2].wrapping_add(v[0].wrapping_mul(v[1]));
    };
    mix(&mut v);
    v = v.map(|w| w ^ (w >> 16));
    mix(&mut v);
    v
}

/// The seed's counter of an op with this stream.
pub fn seed_of(step: StepWords, stream: u32) -> u32 {
    step.seed ^ stream.wrapping_mul(0x9e37_79b9)
}

/// 24 random bits for an element of an op with this stream.
fn draw(index: usize, step: StepWords, stream: u32) -> u32 {
    let words = hash([index as u32 / 4, step.step, seed_of(step, stream)]);
    match index % 4 {
        3 => (words[0] & 255) | (words[1] & 255) << 8 | (words[2] & 255) << 16,
        i => words[i] >> 8,
    }
}

fn masked(x: &Array, rate: f32, stream: u32) -> Array {
    let rate = f64::from(rate);
    let limit = (rate * f64::from(1 << 24)).round() as u32;
    let before = STEP.first as usize * x.data.len() / x.shape.n;
    let numbers = x.data.iter().enumerate();
    let data =
        numbers.map(|(i, &v)| if draw(before + i, STEP, stream) < limit { 0.0 } else { v / (1.0 - rate) }).collect();
    Array { shape: x.shape, data }
}

fn row(name: &str, shape: Shape, rate: f32) -> Row {
    Row::new(
        "dropout",
        name,
        vec![Input::map(shape)],
        move |tape, x| Ok(vec![dropout(tape, x[0], rate)?]),
        move |x| vec![masked(&x[0], rate, 1)],
    )
    .backward(move |_, dy| vec![masked(dy, rate, 1)])
}

/// Whole samples: a draw for each.
fn thinned(x: &Array, rate: f32) -> Array {
    let limit = (f64::from(rate) * f64::from(1 << 24)).round() as u32;
    let dropped = |n: usize| draw(STEP.first as usize + n, STEP, 1) < limit;
    Array::from_fn(
        x.shape,
        |n, y, column, c| {
            if dropped(n) { 0.0 } else { x.at(n, y, column, c) / (1.0 - f64::from(rate)) }
        },
    )
}

fn samples(name: &str, shape: Shape, rate: f32) -> Row {
    let forward = move |x: &[Array]| vec![thinned(&x[0], rate)];
    let record = move |tape: &mut Tape, x: &[Tensor]| Ok(vec![drop_samples(tape, x[0], rate)?]);
    Row::new("dropout", name, vec![Input::map(shape)], record, forward).backward(move |_, dy| vec![thinned(dy, rate)])
}

/// What two dropouts make of ones in one step.
fn two_masks(runner: &Runner, len: usize, rate: f32, steps: &[StepWords]) -> Result<Vec<Vec<f32>>> {
    let mut tape = Tape::new();
    let shape = Shape::vector(len);
    let ones = tape.constant(shape, vec![1.0_f32.to_bits(); len]);
    let both = [dropout(&mut tape, ones, rate)?, dropout(&mut tape, ones, rate)?];
    both.iter().for_each(|&y| tape.keep(y));
    let step = tape.step();
    let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
    let mut plan = runner.plan(&tape, &store)?;
    let mut masks = vec![];
    for &words in steps {
        plan.write(step, &[words])?;
        let results = plan.run()?;
        for y in both {
            masks.push(results.get(y)?);
        }
    }
    Ok(masks)
}

/// The share of kept numbers, and that masks of different streams, steps and seeds have nothing to do with each other.
fn statistics(runner: &Runner) -> Result<Vec<Checked>> {
    const LEN: usize = 1 << 18;
    const RATE: f32 = 0.3;
    let steps = [STEP, StepWords { step: STEP.step + 1, ..STEP }, StepWords { seed: STEP.seed + 1, ..STEP }, STEP];
    let masks = two_masks(runner, LEN, RATE, &steps)?;
    let (keep, spread) = (0.7_f64, (0.3 * 0.7 / LEN as f64).sqrt());
    let share = |count: usize| count as f64 / LEN as f64;
    let mut checked = vec![];
    let mut note = |what: String, deviations: f64| checked.push(Checked::deviations(what, deviations));
    for (i, mask) in masks.iter().enumerate() {
        let kept = share(mask.iter().filter(|v| **v != 0.0).count());
        note(format!("share kept by mask {i}"), (kept - keep) / spread);
        let runs = share(mask.windows(2).filter(|w| w[0] != 0.0 && w[1] != 0.0).count());
        note(format!("neighbours kept by mask {i}"), (runs - keep * keep) / (2.0 * spread));
        for (j, other) in masks[..6].iter().enumerate().take(i.min(6)) {
            let both = share(mask.iter().zip(other).filter(|(a, b)| **a != 0.0 && **b != 0.0).count());
            if i - j < 6 {
                let spread = (keep * keep * (1.0 - keep * keep) / LEN as f64).sqrt();
                note(format!("masks {j} and {i} agree"), (both - keep * keep) / spread);
            }
        }
    }
    checked.push(Checked::count("the same step, another mask", usize::from(masks[..2] != masks[6..])));
    Ok(checked)
}

pub fn rows() -> Vec<Row> {
    // x itself comes back, so something must be done with it to see its gradient.
    let nothing = Row::new(
        "dropout",
        "rate 0",
        vec![Input::map(Shape::new(1, 2, 3, 4))],
        |tape, x| {
            let same = dropout(tape, x[0], 0.0)?;
            assert_eq!(same, x[0]);
            Ok(vec![copy(tape, same)])
        },
        |x| vec![x[0].clone()],
    )
    .backward(|_, dy| vec![dy.clone()]);
    // Two of them, so that each must have a stream of its own; the second reads what the first made.
    let twice = Row::new(
        "dropout",
        "twice",
        vec![Input::map(Shape::new(2, 3, 5, 8))],
        |tape, x| {
            let once = dropout(tape, x[0], 0.25)?;
            Ok(vec![dropout(tape, once, 0.5)?])
        },
        |x| vec![masked(&masked(&x[0], 0.25, 1), 0.5, 2)],
    )
    .backward(|_, dy| vec![masked(&masked(dy, 0.5, 2), 0.25, 1)]);
    vec![
        row("even", Shape::new(2, 4, 6, 8), 0.5),
        row("odd sizes", Shape::new(3, 5, 7, 3), 0.2),
        row("one channel", Shape::new(2, 3, 3, 1), 0.5),
        nothing,
        row("rate near 1", Shape::new(2, 9, 9, 6), 0.99),
        row("a vector per sample", Shape::matrix(5, 100), 0.5),
        twice,
        samples("whole samples", Shape::new(9, 4, 3, 8), 0.5),
        samples("whole samples, odd sizes", Shape::new(7, 5, 3, 3), 0.3),
        samples("whole samples of one number", Shape::matrix(13, 1), 0.7),
        Row::custom("dropout", "statistics (unit: 5 deviations)", statistics).tolerance(tolerance::ONE_UNIT),
        row("64 at 64x64", Shape::new(8, 64, 64, 64), 0.5).bench(),
    ]
}
