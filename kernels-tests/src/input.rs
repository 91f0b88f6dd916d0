//! Packed pixels to normalised numbers; the reference draws the very same changes.

use gatefold_engine::Result;
use gatefold_engine::ops::concat::concat;
use gatefold_engine::ops::input::{Augment, InputOp, Mix, MixWords, input, input_mixed, words};
use gatefold_engine::params::{ParameterStore, StepWords};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

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
    let bits = more(sample, 0);
    let range = 2 * augment.shift as u64 + 1;
    let shift = |bits: u32| ((u64::from(bits >> 16) * range) >> 16) as i64 - augment.shift as i64;
    (augment.flip && bits[0] >> 31 == 1, shift(bits[1]), shift(bits[2]))
}

/// Random bits of a sample, by its place in the whole batch.
fn more(sample: usize, which: u32) -> [u32; 3] {
    hash([(STEP.first + sample as u32) | (which << 30), STEP.step, seed_of(STEP, 1)])
}

/// As [`more`], from a stream of its own.
fn beside(sample: usize, which: u32) -> [f64; 3] {
    hash([(STEP.first + sample as u32) | (which << 30), STEP.step, seed_of(STEP, 1).wrapping_add(0x9e37_79b9)])
        .map(unit)
}

fn unit(bits: u32) -> f64 {
    f64::from(bits >> 8) / f64::from(1 << 24)
}

fn below(bits: u32, count: usize) -> usize {
    ((u64::from(bits >> 16) * count as u64) >> 16) as usize
}

/// Red, green and blue of 0 to 255 with the sample's brightness, contrast and saturation.
fn recoloured(rgb: [f64; 3], sample: usize, colour: f32) -> [f64; 3] {
    if colour == 0.0 {
        return rgb;
    }
    let [b, k, s] = more(sample, 1).map(|bits| 1.0 + f64::from(colour) * (2.0 * unit(bits) - 1.0));
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

/// Where the output shows what, in source pixels counted from the output's first one: a part of the picture, turned.
fn warped(sample: usize, (y, x): (usize, usize), (h, w): (usize, usize), augment: Augment) -> (f64, f64) {
    let ([area, ratio, angle], [right, down, _]) = (beside(sample, 0), beside(sample, 1));
    let least = 1.0 - f64::from(augment.crop);
    let area = least + (1.0 - least) * area;
    let ratio = if least < 1.0 { (4.0f64 / 3.0).powf(2.0 * ratio - 1.0) } else { 1.0 };
    let (wide, high) = ((area * ratio).sqrt().min(1.0), (area / ratio).sqrt().min(1.0));
    let (sine, cosine) = (f64::from(augment.rotate).to_radians() * (2.0 * angle - 1.0)).sin_cos();
    let side = |part: f64, side: usize, unit: f64| 0.5 * (1.0 - part) * side as f64 * (2.0 * unit - 1.0);
    let mut place = [x as f64 + 0.5 - 0.5 * w as f64, y as f64 + 0.5 - 0.5 * h as f64];
    for change in [1, 0].map(|number| change(sample, number, augment)) {
        place = before(change, place, (h, w));
    }
    let (u, v) = (place[0] * wide, place[1] * high);
    (
        u * sine + v * cosine + side(high, h, down) + 0.5 * h as f64 - 0.5,
        u * cosine - v * sine + side(wide, w, right) + 0.5 * w as f64 - 0.5,
    )
}

/// One of RandAugment's changes of a sample: which of eleven, how far and which way.
fn change(sample: usize, number: usize, augment: Augment) -> (usize, f64) {
    let bits = hash([(STEP.first + sample as u32) | 2 << 30, STEP.step, seed_of(STEP, 1).wrapping_add(0x9e37_79b9)]);
    let by = f64::from(augment.randaugment);
    (below(bits[number], 11), if (bits[2] >> (31 - number)) & 1 == 1 { -by } else { by })
}

/// Where a place of the changed picture was, counted from the middle.
fn before((which, by): (usize, f64), [x, y]: [f64; 2], (h, w): (usize, usize)) -> [f64; 2] {
    let (sine, cosine) = (30_f64.to_radians() * by).sin_cos();
    match which {
        1 => [x * cosine - y * sine, x * sine + y * cosine],
        2 => [x + 0.3 * by * y, y],
        3 => [x, y + 0.3 * by * x],
        4 => [x + 0.45 * by * w as f64, y],
        5 => [x, y + 0.45 * by * h as f64],
        _ => [x, y],
    }
}

/// What a change makes of a colour.
fn after((which, by): (usize, f64), rgb: [f64; 3]) -> [f64; 3] {
    let (factor, grey) = (1.0 + 0.9 * by, 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]);
    let low = 2_f64.powf((4.0 * by.abs()).round());
    let changed = rgb.map(|v| match which {
        6 => v * factor,
        7 => (v - 127.5) * factor + 127.5,
        8 => grey + (v - grey) * factor,
        9 => (v / low).floor() * low,
        10 if v > 255.0 * (1.0 - by.abs()) => 255.0 - v,
        _ => v,
    });
    changed.map(|v| v.clamp(0.0, 255.0))
}

/// What a sample alone shows.
fn shown(sample: usize, (y, x): (usize, usize), op: &InputOp) -> [f64; 3] {
    let ((sh, sw), (h, w), augment) = (op.source, op.size, op.augment);
    if erased(sample, (y, x), (h, w), augment.erase) {
        return [0.0; 3];
    }
    let (flip, dy, dx) = drawn(sample, augment);
    let x = if flip { w - 1 - x } else { x };
    let place = |at: i64, source: usize, size: usize, moved: i64| {
        let centre = ((source as f64 - size as f64) / 2.0).round_ties_even() as i64;
        (at + centre + moved).clamp(0, source as i64 - 1) as usize
    };
    let pixel =
        |y: i64, x: i64| [0, 1, 2].map(|c| f64::from(noise(sample, place(y, sh, h, dy), place(x, sw, w, dx), c)));
    let mut rgb = if augment.crop > 0.0 || augment.rotate > 0.0 || augment.randaugment > 0.0 {
        let (down, right) = warped(sample, (y, x), (h, w), augment);
        let (y, x) = (down.floor() as i64, right.floor() as i64);
        let (beneath, beside) = (down - down.floor(), right - right.floor());
        let corners = [pixel(y, x), pixel(y, x + 1), pixel(y + 1, x), pixel(y + 1, x + 1)];
        let shares =
            [(1.0 - beneath) * (1.0 - beside), (1.0 - beneath) * beside, beneath * (1.0 - beside), beneath * beside];
        [0, 1, 2].map(|c| corners.iter().zip(shares).map(|(corner, share)| corner[c] * share).sum())
    } else {
        pixel(y as i64, x as i64)
    };
    if augment.randaugment > 0.0 {
        rgb = (0..2).fold(rgb, |rgb, number| after(change(sample, number, augment), rgb));
    }
    let value = recoloured(rgb, sample, augment.colour);
    [0, 1, 2].map(|c| (value[c] / 255.0 - f64::from(op.mean[c])) / f64::from(op.std[c]))
}

fn expected(n: usize, op: &InputOp) -> Array {
    let (h, w) = op.size;
    Array::from_fn(Shape::new(n, h, w, 4), |n, y, x, c| if c == 3 { 0.0 } else { shown(n, (y, x), op)[c] })
}

/// The sample that one of `n` is mixed with.
fn partner(sample: usize, n: usize) -> usize {
    (7 * sample + 3) % n
}

fn expected_mixed(n: usize, op: &InputOp, mix: MixWords) -> Array {
    let (h, w) = op.size;
    Array::from_fn(Shape::new(n, h, w, 4), |sample, y, x, c| {
        if c == 3 {
            return 0.0;
        }
        let [own, other] = [sample, partner(sample, n)].map(|sample| shown(sample, (y, x), op)[c]);
        let (down, right) =
            (mix.top as usize..(mix.top + mix.height) as usize, mix.left as usize..(mix.left + mix.width) as usize);
        let share = if down.contains(&y) && right.contains(&x) { 0.0 } else { f64::from(mix.share) };
        share * own + (1.0 - share) * other
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

/// The pictures of a row, as a constant.
fn pixels(tape: &mut Tape, n: usize, op: &InputOp) -> Tensor {
    let source = packed(n, op.source, noise);
    tape.constant(Shape::vector(source.len()), source)
}

/// `beside` channels before it in a concatenation.
fn row(name: &str, n: usize, op: InputOp, beside: usize) -> Row {
    Row::new(
        "input",
        name,
        vec![],
        move |tape, _| {
            let pixels = pixels(tape, n, &op);
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

/// Showing a part, and turned.
fn moved(op: InputOp, crop: f32, rotate: f32) -> InputOp {
    InputOp { augment: Augment { crop, rotate, ..op.augment }, ..op }
}

/// With two of RandAugment's changes.
fn random(op: InputOp, randaugment: f32) -> InputOp {
    InputOp { augment: Augment { randaugment, ..op.augment }, ..op }
}

/// A row whose samples are mixed.
fn mixed(name: &str, n: usize, op: InputOp, words: MixWords) -> Row {
    Row::new(
        "input",
        name,
        vec![],
        move |tape, _| {
            let pixels = pixels(tape, n, &op);
            let partners = (0..n).map(|sample| partner(sample, n) as u32).collect();
            let mix = Mix {
                partners: tape.constant(Shape::vector(n), partners),
                words: tape.constant(
                    Shape::vector(5),
                    vec![words.share.to_bits(), words.top, words.left, words.height, words.width],
                ),
            };
            Ok(vec![input_mixed(tape, pixels, n, &op, &mix)?])
        },
        move |_| vec![expected_mixed(n, &op, words)],
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
        row("parts", 20, moved(operation((13, 11), (13, 11), false, 0), 0.7, 0.0), 0),
        row("turned", 20, moved(operation((9, 12), (9, 12), false, 0), 0.0, 45.0), 0),
        row("a part of one pixel", 4, moved(operation((1, 1), (1, 1), false, 0), 0.9, 45.0), 0),
        row(
            "parts, turned and changed, into a slice",
            9,
            moved(changed(operation((17, 15), (12, 11), true, 2), 0.3, 0.4), 0.5, 15.0),
            3,
        ),
        // So many samples that each change comes up, both ways.
        row("two of eleven changes", 60, random(operation((7, 6), (7, 6), false, 0), 0.31), 0),
        row("two of eleven changes, as far as they go", 60, random(operation((6, 9), (6, 9), false, 0), 0.99), 0),
        row(
            "two of eleven changes on top of all others, into a slice",
            30,
            random(moved(changed(operation((17, 15), (12, 11), true, 2), 0.3, 0.4), 0.5, 15.0), 0.63),
            3,
        ),
        mixed("mixed", 5, operation((6, 7), (6, 7), true, 1), MixWords { share: 0.7, ..MixWords::default() }),
        mixed(
            "a rectangle of another",
            5,
            operation((6, 7), (6, 7), false, 0),
            MixWords { share: 1.0, top: 1, left: 2, height: 4, width: 3 },
        ),
        mixed(
            "all changes, mixed",
            7,
            moved(changed(operation((12, 13), (11, 11), true, 2), 0.3, 0.4), 0.5, 15.0),
            MixWords { share: 0.6, top: 9, left: 0, height: 2, width: 11 },
        ),
        row("one pixel", 1, operation((1, 1), (1, 1), true, 1), 0),
        row("into an aligned slice", 4, operation((8, 8), (7, 7), true, 1), 4),
        row("into an unaligned slice", 4, operation((8, 8), (7, 7), true, 1), 3),
        Row::custom("input", "statistics (unit: 5 deviations)", statistics).tolerance(tolerance::ONE_UNIT),
        row("32 of 128x128", 32, operation((144, 144), (128, 128), true, 8), 0).bench(),
        row("two of eleven changes, 32 of 128x128", 32, random(operation((128, 128), (128, 128), true, 0), 0.3), 0)
            .bench(),
        row("parts, turned, 32 of 128x128", 32, moved(operation((128, 128), (128, 128), true, 0), 0.5, 10.0), 0)
            .bench(),
    ]
}
