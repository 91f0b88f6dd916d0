//! Normalisation per channel, in training and with running statistics.

use gatefold_engine::Result;
use gatefold_engine::ops::add::add_relu;
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm, batch_norm_relu};
use gatefold_engine::ops::concat::{Stack, concat};
use gatefold_engine::ops::relu::relu as op_relu;
use gatefold_engine::params::{ParameterStore, StateSpec};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::concat::joined;
use crate::{Array, Checked, Input, Row, Runner, relu, tolerance};

const EPS: f32 = 1e-3;
const MOMENTUM: f32 = 0.1;
/// First running mean and variance of the training rows.
const START: [f32; 2] = [0.25, 2.0];

fn column(x: &Array, c: usize) -> impl Iterator<Item = f64> {
    x.data.iter().skip(c).step_by(x.shape.c).copied()
}

fn batch_statistics(x: &Array) -> (Vec<f64>, Vec<f64>) {
    let pixels = x.shape.pixels() as f64;
    let mean: Vec<f64> = (0..x.shape.c).map(|c| column(x, c).sum::<f64>() / pixels).collect();
    let variance = |c: usize| column(x, c).map(|v| (v - mean[c]).powi(2)).sum::<f64>() / pixels;
    let variance = (0..x.shape.c).map(variance).collect();
    (mean, variance)
}

/// Running statistics of the inference rows.
fn running(c: usize) -> [Vec<f32>; 2] {
    [(0..c).map(|c| 0.1 * c as f32 - 0.3).collect(), (0..c).map(|c| 0.5 + 0.2 * c as f32).collect()]
}

fn statistics(x: &Array, training: bool) -> (Vec<f64>, Vec<f64>) {
    let [mean, variance] = running(x.shape.c).map(|v| v.into_iter().map(f64::from).collect());
    if training { batch_statistics(x) } else { (mean, variance) }
}

/// `(x - mean) / sqrt(variance + eps)`, and the inverse deviations.
fn normalised(x: &Array, training: bool) -> (Array, Vec<f64>) {
    let (mean, variance) = statistics(x, training);
    let inverse: Vec<f64> = variance.iter().map(|v| 1.0 / (v + f64::from(EPS)).sqrt()).collect();
    (Array::from_fn(x.shape, |n, h, w, c| (x.at(n, h, w, c) - mean[c]) * inverse[c]), inverse)
}

pub fn reference(inputs: &[Array], training: bool) -> Array {
    let (hat, _) = normalised(&inputs[0], training);
    Array::from_fn(hat.shape, |n, h, w, c| hat.at(n, h, w, c) * inputs[1].data[c] + inputs[2].data[c])
}

pub fn gradients(inputs: &[Array], dy: &Array, training: bool) -> Vec<Array> {
    let (hat, inverse) = normalised(&inputs[0], training);
    let vector = Shape::vector(hat.shape.c);
    let dbeta = Array::from_fn(vector, |_, _, _, c| column(dy, c).sum());
    let dgamma = Array::from_fn(vector, |_, _, _, c| column(dy, c).zip(column(&hat, c)).map(|(a, b)| a * b).sum());
    let share = if training { 1.0 / hat.shape.pixels() as f64 } else { 0.0 };
    let dx = Array::from_fn(hat.shape, |n, h, w, c| {
        let through_statistics = share * (dbeta.data[c] + hat.at(n, h, w, c) * dgamma.data[c]);
        inputs[1].data[c] * inverse[c] * (dy.at(n, h, w, c) - through_statistics)
    });
    vec![dx, dgamma, dbeta]
}

/// The parameters and statistics of a batch-norm over `c` channels.
pub fn norm(tape: &mut Tape, gamma: Tensor, beta: Tensor, training: bool) -> BatchNorm {
    let c = gamma.shape.c;
    let [running_mean, running_var] = if training {
        let mut state = |i: usize| tape.state(StateSpec { name: format!("state{i}"), len: c, init: START[i] });
        [state(0), state(1)]
    } else {
        running(c).map(|v| tape.constant(Shape::vector(c), v.into_iter().map(f32::to_bits).collect()))
    };
    BatchNorm { gamma, beta, running_mean, running_var, eps: EPS, momentum: MOMENTUM }
}

fn record(tape: &mut Tape, x: Tensor, gamma: Tensor, beta: Tensor, training: bool) -> Result<Tensor> {
    let norm = norm(tape, gamma, beta, training);
    batch_norm(tape, x, &norm, training)
}

fn row(name: &str, shape: Shape, training: bool) -> Row {
    let vector = Input::parameter(Shape::vector(shape.c));
    let row = Row::new(
        "batch_norm",
        name,
        vec![Input::map(shape), vector.clone(), vector],
        move |tape, x| Ok(vec![record(tape, x[0], x[1], x[2], training)?]),
        move |x| vec![reference(x, training)],
    )
    .backward(move |x, dy| gradients(x, dy, training));
    if training { row.state(|x| moved(&x[0])) } else { row }
}

/// With the ReLU in it.
fn rectified(name: &str, shape: Shape, training: bool) -> Row {
    let vector = Input::parameter(Shape::vector(shape.c));
    let row = Row::new(
        "batch_norm",
        name,
        vec![Input::map(shape), vector.clone(), vector],
        move |tape, x| {
            let norm = norm(tape, x[1], x[2], training);
            Ok(vec![batch_norm_relu(tape, x[0], &norm, training)?])
        },
        move |x| vec![relu::reference(&reference(x, training))],
    )
    .backward(move |x, dy| gradients(x, &relu::gradient(&reference(x, training), dy), training));
    if training { row.state(|x| moved(&x[0])) } else { row }
}

/// The end of a residual block in training: normalisation, sum and ReLU in one launch.
fn added(name: &str, shape: Shape) -> Row {
    let vector = Input::parameter(Shape::vector(shape.c));
    let sum = |x: &[Array]| reference(&x[..3], true).zip(&x[3], |a, b| a + b);
    Row::new(
        "batch_norm",
        name,
        vec![Input::map(shape), vector.clone(), vector, Input::map(shape)],
        move |tape, x| {
            let y = record(tape, x[0], x[1], x[2], true)?;
            Ok(vec![add_relu(tape, y, x[3])?])
        },
        move |x| vec![relu::reference(&sum(x))],
    )
    .backward(move |x, dy| {
        let dsum = relu::gradient(&sum(x), dy);
        gradients(&x[..3], &dsum, true).into_iter().chain([dsum]).collect()
    })
    .state(|x| moved(&x[0]))
    .fused()
}

/// Two normalisations of a stack, one before its second part is there: the first part's statistics are computed once.
fn stacked(name: &str, channels: [usize; 2]) -> Row {
    let [a, b] = channels;
    let both = a + b;
    let vectors = [a, a, both, both].map(|c| Input::parameter(Shape::vector(c)));
    let maps = [a, b].map(|c| Input::map(Shape::new(2, 5, 7, c)));
    Row::new(
        "batch_norm",
        name,
        maps.into_iter().chain(vectors).collect(),
        move |tape, x| {
            let first = op_relu(tape, x[0]);
            let mut stack = Stack::new(tape, first, both)?;
            let before = stack.so_far(tape);
            let early = norm(tape, x[2], x[3], true);
            let early = batch_norm(tape, before, &early, true)?;
            let second = op_relu(tape, x[1]);
            stack.push(tape, second)?;
            let after = stack.so_far(tape);
            let late = norm(tape, x[4], x[5], true);
            let late = batch_norm_relu(tape, after, &late, true)?;
            Ok(vec![concat(tape, &[early, late])?])
        },
        move |x| {
            let parts = [relu::reference(&x[0]), relu::reference(&x[1])];
            let whole = joined(&parts);
            let early = reference(&[parts[0].clone(), x[2].clone(), x[3].clone()], true);
            let late = relu::reference(&reference(&[whole, x[4].clone(), x[5].clone()], true));
            vec![joined(&[early, late])]
        },
    )
    .backward(move |x, dy| {
        let parts = [relu::reference(&x[0]), relu::reference(&x[1])];
        let whole = joined(&parts);
        let early = gradients(&[parts[0].clone(), x[2].clone(), x[3].clone()], &dy.channels(0, a), true);
        let inputs = [whole, x[4].clone(), x[5].clone()];
        let late = relu::gradient(&reference(&inputs, true), &dy.channels(a, both));
        let late = gradients(&inputs, &late, true);
        let da = early[0].zip(&late[0].channels(0, a), |a, b| a + b);
        let dx = [relu::gradient(&x[0], &da), relu::gradient(&x[1], &late[0].channels(a, b))];
        dx.into_iter().chain([&early[1], &early[2], &late[1], &late[2]].map(Clone::clone)).collect()
    })
    .state(|x| {
        let parts = [relu::reference(&x[0]), relu::reference(&x[1])];
        moved(&parts[0]).into_iter().chain(moved(&joined(&parts))).collect()
    })
}

/// Running statistics after one batch: all means, then all variances, which are the unbiased ones.
fn moved(x: &Array) -> Vec<f64> {
    let (mean, variance) = batch_statistics(x);
    let pixels = x.shape.pixels() as f64;
    let step = |from: f32, to: f64| f64::from(from) + f64::from(MOMENTUM) * (to - f64::from(from));
    let unbiased = variance.iter().map(|v| v * pixels / (pixels - 1.0));
    mean.iter().map(|&v| step(START[0], v)).chain(unbiased.map(|v| step(START[1], v))).collect()
}

/// Deviations of about 1 around 1000, where sums of squares would have no digit left.
fn large_offset(runner: &Runner) -> Result<Vec<Checked>> {
    let shape = Shape::new(2, 29, 31, 8);
    // Multiples of 2^-13: exact at 1000 in f32.
    let x = Array::random(shape, 1).map(|v| 1000.0 + (v * 2.0 * 8192.0).round() / 8192.0);
    let arrays = [x, Array::random(Shape::vector(8), 2), Array::random(Shape::vector(8), 3)];
    let mut tape = Tape::new();
    let inputs: Vec<_> = arrays.iter().map(|array| tape.input(array.shape)).collect();
    inputs.iter().for_each(|&input| tape.require_grad(input));
    let y = record(&mut tape, inputs[0], inputs[1], inputs[2], true)?;
    let upstream = tape.input(shape);
    tape.backward(&[(y, upstream)])?;
    let gradients = inputs.iter().map(|&x| Ok(tape.grad(x)?.unwrap_or(x))).collect::<Result<Vec<_>>>()?;
    tape.keep(y);
    gradients.iter().for_each(|&gradient| tape.keep(gradient));
    let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
    let mut plan = runner.plan(&tape, &store)?;
    for (&input, array) in inputs.iter().zip(&arrays) {
        plan.write(input, &array.to_f32())?;
    }
    let dy = Array::random(shape, 4);
    plan.write(upstream, &dy.to_f32())?;
    plan.poison();
    let results = plan.run()?;
    let mut checked = vec![Checked::norm("output", &results.get(y)?, &reference(&arrays, true).data)];
    for (i, (&gradient, expected)) in gradients.iter().zip(self::gradients(&arrays, &dy, true)).enumerate() {
        checked.push(Checked::norm(format!("gradient {i}"), &results.get(gradient)?, &expected.data));
    }
    Ok(checked)
}

pub fn rows() -> Vec<Row> {
    vec![
        row("training, even", Shape::new(2, 4, 6, 8), true),
        row("training, odd sizes", Shape::new(3, 5, 7, 5), true),
        row("training, one channel", Shape::new(2, 9, 11, 1), true).tolerance(tolerance::ONE_SUM),
        row("training, two pixels", Shape::new(2, 1, 1, 12), true),
        row("training, many blocks", Shape::new(2, 47, 53, 8), true),
        row("training, many blocks, odd", Shape::new(2, 47, 53, 3), true),
        rectified("training, ReLU, even", Shape::new(2, 4, 6, 8), true),
        rectified("training, ReLU, odd sizes", Shape::new(3, 5, 7, 5), true),
        rectified("training, ReLU, many blocks", Shape::new(2, 47, 53, 8), true),
        rectified("inference, ReLU, even", Shape::new(2, 4, 6, 8), false),
        rectified("inference, ReLU, odd sizes", Shape::new(1, 5, 7, 5), false),
        added("training, sum, ReLU, even", Shape::new(2, 4, 6, 8)),
        added("training, sum, ReLU, odd sizes", Shape::new(3, 5, 7, 5)),
        stacked("a stack, aligned", [4, 8]),
        stacked("a stack, odd", [3, 6]),
        row("inference, even", Shape::new(2, 4, 6, 8), false),
        row("inference, odd sizes", Shape::new(1, 5, 7, 5), false),
        row("inference, one pixel", Shape::new(1, 1, 1, 4), false),
        Row::custom("batch_norm", "training, mean 1000, deviation 1", large_offset).tolerance(tolerance::LARGE_MEAN),
        row("training, 256 at 56x56", Shape::new(4, 56, 56, 256), true).bench(),
        rectified("training, ReLU, 256 at 56x56", Shape::new(4, 56, 56, 256), true).bench(),
    ]
}
