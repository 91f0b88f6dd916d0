//! Packed pixels to normalised numbers; the reference draws the very same changes.

use gatefold_engine::Result;
use gatefold_engine::ops::concat::concat;
use gatefold_engine::ops::input::{Augment, InputOp, input, words};
use gatefold_engine::params::{ParameterStore, StepWords};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

use crate::dropout::{hash, seed_of};
use crate::{Array, Checked, Row, Runner, STEP, tolerance};

/// Packed pictures: bytes from `(sample, y, x, channel)`.
fn packed(n: usize, (h, w): (usize, usize), byte: impl Fn(usize, usize, usize, usize) -> u8) -> Vec<u32> {
    let bytes = Array::from_fn(Shape::new(n, h, w, 3), |n, y, x, c| f64::from(byte(n, y, x, c)));
    let mut bytes: Vec<u8> = bytes.data.iter().map(|&v| v as u8).collect();
    bytes.resize(4 * words(n, h, w), 0xff);
    bytes.chunks(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}

/// A picture without pattern.
fn noise(n: usize, y: usize, x: usize, c: usize) -> u8 {
    (hash([n as u32, y as u32, (4 * x + c) as u32])[0] >> 24) as u8
}

/// Whether a sample is mirrored, and its shift in y and x.
fn drawn(sample: usize, augment: Augment) -> (bool, i64, i64) {
    let bits = hash([sample as u32, STEP.step, seed_of(STEP, 1)]);
    let range = 2 * augment.shift as u64 + 1;
    let shift = |bits: u32| ((u64::from(bits >> 16) * range) >> 16) as i64 - augment.shift as i64;
    (augment.flip && bits[0] >> 31 == 1, shift(bits[1]), shift(bits[2]))
}

/// Further random bits of a sample.
fn more(sample: usize, which: u32) -> [u32; 3] {
    hash([sample as u32 | which << 30, STEP.step, seed_of(STEP, 1)])
}

fn below(bits: u32, count: usize) -> usize {
    ((u64::from(bits >> 16) * count as u64) >> 16) as usize
}

/// Red, green and blue of 0 to 255 with the sample's brightness, contrast and saturation.
fn recoloured(rgb: [f64; 3], sample: usize, colour: f32) -> [f64; 3] {
    if colour == 0.0 {
        return rgb;
    }
    let [b, k, s] = more(sample, 1).map(|bits| {
        let unit = f64::from(bits >> 8) / f64::from(1 << 24);
        1.0 + f64::from(colour) * (2.0 * unit - 1.0)
    });
    let u = rgb.map(|v| (v * b - 127.5) * k + 127.5);
    let grey = 0.299 * u[0] + 0.587 * u[1] + 0.114 * u[2];
    u.map(|v| (grey + (v - grey) * s).clamp(0.0, 255.0))
}

/// Whether a pixel of the output is erased.
fn erased(sample: usize, (y, x): (usize, usize), (h, w): (usize, usize), share: f32) -> bool {
    let side = |bits: u32, side: usize| (1 + side / 10 + below(bits, (2 * side / 5).max(1))).min(side);
    let [chance, down, right] = more(sample, 2);
    let (height, width) = (side(down, h), side(right, w));
    let corner = more(sample, 3);
    let (top, left) = (below(corner[0], h - height + 1), below(corner[1], w - width + 1));
    f64::from(chance) < f64::from(share) * f64::from(u32::MAX)
        && (top..top + height).contains(&y)
        && (left..left + width).contains(&x)
}

fn expected(n: usize, op: &InputOp) -> Array {
    let ((sh, sw), (h, w)) = (op.source, op.size);
    Array::from_fn(Shape::new(n, h, w, 4), |n, y, x, c| {
        if c == 3 || erased(n, (y, x), (h, w), op.augment.erase) {
            return 0.0;
        }
        let (flip, dy, dx) = drawn(n, op.augment);
        let x = if flip { w - 1 - x } else { x };
        let place = |at: usize, source: usize, size: usize, moved: i64| {
            let centre = ((source as f64 - size as f64) / 2.0).round_ties_even() as i64;
            (at as i64 + centre + moved).clamp(0, source as i64 - 1) as usize
        };
        let rgb = [0, 1, 2].map(|c| f64::from(noise(n, place(y, sh, h, dy), place(x, sw, w, dx), c)));
        let value = recoloured(rgb, n, op.augment.colour)[c];
        (value / 255.0 - f64::from(op.mean[c])) / f64::from(op.std[c])
    })
}

const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
const STD: [f32; 3] = [0.229, 0.224, 0.225];

fn operation(source: (usize, usize), size: (usize, usize), flip: bool, shift: usize) -> InputOp {
    InputOp { source, size, mean: MEAN, std: STD, augment: Augment { flip, shift, ..Augment::default() } }
}

/// With changes of colour and erased rectangles.
fn changed(op: InputOp, colour: f32, erase: f32) -> InputOp {
    InputOp { augment: Augment { colour, erase, ..op.augment }, ..op }
}

/// `beside` channels before it in a concatenation.
fn row(name: &str, n: usize, op: InputOp, beside: usize) -> Row {
    Row::new(
        "input",
        name,
        vec![],
        move |tape, _| {
            let source = packed(n, op.source, noise);
            let pixels = tape.constant(Shape::vector(source.len()), source);
            let y = input(tape, pixels, n, &op)?;
            if beside > 0 {
                let neighbour = tape.input(y.shape.with_c(beside));
                concat(tape, &[neighbour, y])?;
            }
            Ok(vec![y])
        },
        move |_| vec![expected(n, &op)],
    )
}

/// Reads the draws back from pictures whose colours say where a pixel came from.
fn statistics(runner: &Runner) -> Result<Vec<Checked>> {
    const SAMPLES: usize = 6000;
    const SHIFT: usize = 2;
    let op = InputOp { mean: [0.0; 3], std: [1.0 / 255.0; 3], ..operation((6, 6), (2, 2), true, SHIFT) };
    let source = packed(SAMPLES, op.source, |_, y, x, c| [y, x, 0][c] as u8);
    let mut tape = Tape::new();
    let pixels = tape.constant(Shape::vector(source.len()), source);
    let y = input(&mut tape, pixels, SAMPLES, &op)?;
    tape.keep(y);
    let step = tape.step();
    let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
    let mut plan = runner.plan(&tape, &store)?;
    let mut draws = vec![];
    for words in [STEP, StepWords { step: STEP.step + 1, ..STEP }] {
        plan.write(step, &[words])?;
        let out = plan.run()?.get(y)?;
        let draw = |v: &[f32]| {
            let flip = v[1] > v[5];
            (flip, v[0].round() as usize, v[1].min(v[5]).round() as usize)
        };
        draws.push(out.chunks(16).map(draw).collect::<Vec<_>>());
    }
    // In standard deviations of a binomial count.
    let deviations = |count: usize, share: f64| {
        let n = SAMPLES as f64;
        (count as f64 - n * share) / (n * share * (1.0 - share)).sqrt()
    };
    let mut checked = vec![];
    for flip in [false, true] {
        for dy in 0..=2 * SHIFT {
            for dx in 0..=2 * SHIFT {
                let count = draws[0].iter().filter(|d| **d == (flip, dy, dx)).count();
                checked.push(Checked::deviations(format!("{flip} {dy} {dx}"), deviations(count, 1.0 / 50.0)));
            }
        }
    }
    let same = draws[0].iter().zip(&draws[1]).filter(|(a, b)| a == b).count();
    checked.push(Checked::deviations("the next step draws the same", deviations(same, 1.0 / 50.0)));
    Ok(checked)
}

pub fn rows() -> Vec<Row> {
    vec![
        row("as it is", 2, operation((8, 8), (8, 8), false, 0), 0),
        row("centre crop, odd sizes", 3, operation((11, 9), (6, 5), false, 0), 0),
        row("flip", 9, operation((5, 7), (5, 7), true, 0), 0),
        row("shift over the edge", 9, operation((6, 7), (5, 5), false, 3), 0),
        row("flip and shift", 20, operation((13, 12), (9, 8), true, 2), 0),
        row("larger than its source", 3, operation((3, 5), (8, 8), true, 1), 0),
        row("colour", 20, changed(operation((7, 6), (7, 6), false, 0), 0.4, 0.0), 0),
        row("colours beyond black and white", 20, changed(operation((6, 6), (6, 6), true, 0), 1.0, 0.0), 0),
        row("erase", 40, changed(operation((9, 12), (9, 12), false, 0), 0.0, 0.5), 0),
        row("erase in one pixel", 4, changed(operation((1, 1), (1, 1), false, 0), 0.0, 1.0), 0),
        row("all changes", 30, changed(operation((25, 23), (21, 22), true, 2), 0.3, 0.4), 0),
        row("all changes into a slice", 9, changed(operation((12, 12), (11, 11), true, 1), 0.3, 0.4), 3),
        row("one pixel", 1, operation((1, 1), (1, 1), true, 1), 0),
        row("into an aligned slice", 4, operation((8, 8), (7, 7), true, 1), 4),
        row("into an unaligned slice", 4, operation((8, 8), (7, 7), true, 1), 3),
        Row::custom("input", "statistics (unit: 5 deviations)", statistics).tolerance(tolerance::ONE_UNIT),
        row("32 of 128x128", 32, operation((144, 144), (128, 128), true, 8), 0).bench(),
    ]
}
