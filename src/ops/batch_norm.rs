//! Normalisation per channel (Ioffe and Szegedy, 2015), with PyTorch's conventions.

use super::both_widths;
use super::global_avg_pool::sum_pixels;
use crate::gpu::{Kernel, Shader};
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

/// What a batch-norm learns and remembers: vectors of one number per channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    pub gamma: Tensor,
    pub beta: Tensor,
    pub running_mean: Tensor,
    /// The unbiased variance.
    pub running_var: Tensor,
    pub eps: f32,
    /// The share of the newest batch in the running statistics: 0.1 in PyTorch.
    pub momentum: f32,
}

/// What the input was normalised with.
#[derive(Clone, Copy)]
struct Statistics {
    mean: Tensor,
    /// Inverse deviation of the batch, or the running variance.
    spread: Tensor,
}

/// `y = (x - mean) / sqrt(variance + eps) * gamma + beta`, per channel of `n x h x w x c`.
///
/// In training with mean and biased variance of this batch, which also move the running statistics; else with the running
/// statistics. Gradients reach `x`, `gamma` and `beta` either way.
///
/// # Errors
/// If a vector has not one number per channel, or a batch of one pixel per channel is to be trained on: it has no variance.
pub fn batch_norm(tape: &mut Tape, x: Tensor, norm: &BatchNorm, training: bool) -> Result<Tensor> {
    let norm = *norm;
    let vectors = [norm.gamma, norm.beta, norm.running_mean, norm.running_var];
    if let Some(odd) = vectors.iter().find(|v| v.shape != Shape::vector(x.shape.c)) {
        return Err(Error::run(format!("batch_norm: a vector of {} for an input of {}", odd.shape, x.shape)));
    }
    if training && x.shape.pixels() < 2 {
        return Err(Error::run(format!("batch_norm: training needs more than one value per channel, got {}", x.shape)));
    }
    let y = tape.output(x.shape, &[x, norm.gamma, norm.beta]);
    let statistics = if training {
        batch_statistics(tape, x, norm)
    } else {
        Statistics { mean: norm.running_mean, spread: norm.running_var }
    };
    let launch = Launch::new("batch_norm", "normalise").read(x).read(statistics.mean).read(statistics.spread);
    let launch = launch.read(norm.gamma).read(norm.beta).write(y);
    let launch = launch.u32(x.shape.pixels()).u32(runs(x)).f32(norm.eps).view(x).view(y).flops(3 * x.shape.len());
    tape.launch(both_widths(launch, x.shape.c, |channels| {
        let kernel = per_run(shader!("batch_norm/normalise.wgsl"), x, channels);
        kernel.constant("VARIANCE", i64::from(!training))
    }));
    tape.on_backward(&[x, norm.gamma, norm.beta], move |tape| backward(tape, x, y, norm, statistics, training));
    Ok(y)
}

/// Mean and inverse deviation of the batch; moves the running statistics.
fn batch_statistics(tape: &mut Tape, x: Tensor, norm: BatchNorm) -> Statistics {
    let (c, pixels) = (x.shape.c, x.shape.pixels());
    let (mut block, mut blocks) = blocks(x.shape);
    let [mut means, mut squares] = [(); 2].map(|()| tape.scratch(Shape::matrix(blocks, c)));
    let launch = Launch::new("batch_norm", "statistics").read(x).write(means).write(squares);
    let launch = launch.u32(pixels).u32(blocks).view(x).flops(5 * x.shape.len());
    tape.launch(both_widths(launch, c, |channels| {
        let kernel = Kernel::per_item(shader!("batch_norm/statistics.wgsl"), blocks * channels);
        kernel.constant("BLOCK", block as i64)
    }));
    while blocks > 1 {
        let joined = blocks.div_ceil(JOIN);
        let [to_means, to_squares] = [(); 2].map(|()| tape.scratch(Shape::matrix(joined, c)));
        let launch = Launch::new("batch_norm", "join").read(means).read(squares).write(to_means).write(to_squares);
        let launch = launch.u32(pixels).u32(blocks).u32(joined).flops(6 * blocks * c);
        tape.launch(both_widths(launch, c, |channels| {
            let kernel = Kernel::per_item(shader!("batch_norm/join.wgsl"), joined * channels);
            kernel.constant("BLOCK", block as i64).constant("RUN", JOIN as i64)
        }));
        (means, squares, blocks, block) = (to_means, to_squares, joined, block * JOIN);
    }
    let spread = tape.scratch(Shape::vector(c));
    let launch = Launch::new("batch_norm", "finish").read(squares).read(means).write(spread);
    let launch = launch.write(norm.running_mean).write(norm.running_var);
    let launch = launch.u32(pixels).f32(norm.eps).f32(norm.momentum).flops(8 * c);
    tape.launch(both_widths(launch, c, |channels| Kernel::per_item(shader!("batch_norm/finish.wgsl"), channels)));
    Statistics { mean: means, spread }
}

fn backward(tape: &mut Tape, x: Tensor, y: Tensor, norm: BatchNorm, by: Statistics, training: bool) -> Result<()> {
    let Some(dy) = tape.grad(y)? else { return Ok(()) };
    let learned = tape.requires_grad(norm.gamma) || tape.requires_grad(norm.beta);
    let wanted = tape.requires_grad(x);
    let [level, slope] = [(); 2].map(|()| tape.scratch(Shape::vector(x.shape.c)));
    if learned || training {
        reduce(tape, x, dy, norm, by, training, [level, slope])?;
    }
    if !wanted {
        return Ok(());
    }
    let dx = tape.grad_destination(x)?;
    let pixels = x.shape.pixels();
    let (launch, shader) = if training {
        let launch = Launch::new("batch_norm", "backward").read(x).read(dy).read(by.mean).read(by.spread);
        let launch = launch.read(norm.gamma).read(level).read(slope).write(dx.tensor).u32(pixels).u32(runs(x));
        (launch.view(x).flops(5 * x.shape.len()), shader!("batch_norm/backward.wgsl"))
    } else {
        let launch = Launch::new("batch_norm", "backward").read(dy).read(by.spread).read(norm.gamma).write(dx.tensor);
        let launch = launch.u32(pixels).u32(runs(x)).f32(norm.eps);
        (launch.flops(x.shape.len()), shader!("batch_norm/backward_inference.wgsl"))
    };
    tape.launch(both_widths(launch.view(dy).view(dx.tensor), x.shape.c, |channels| {
        per_run(shader, x, channels).constant("ACCUMULATE", i64::from(dx.accumulate))
    }));
    Ok(())
}

/// Gradients of `gamma` and `beta`, and the two vectors that the input's gradient in training needs.
fn reduce(
    tape: &mut Tape,
    x: Tensor,
    dy: Tensor,
    norm: BatchNorm,
    by: Statistics,
    training: bool,
    [level, slope]: [Tensor; 2],
) -> Result<()> {
    let (c, pixels) = (x.shape.c, x.shape.pixels());
    let runs = pixels.div_ceil(SUMMED);
    let partial = tape.scratch(Shape::new(1, 1, runs, 2 * c));
    let launch = Launch::new("batch_norm", "reduce").read(x).read(dy).read(by.mean).write(partial);
    let launch = launch.u32(pixels).u32(runs).view(x).view(dy).flops(4 * x.shape.len());
    tape.launch(both_widths(launch, c, |channels| {
        Kernel::per_item(shader!("batch_norm/reduce.wgsl"), runs * channels)
    }));
    let sums = tape.scratch(Shape::vector(2 * c));
    sum_pixels(tape, ("batch_norm", "reduce"), partial, sums, 1.0);

    // A frozen parameter's gradient goes nowhere.
    let mut destination = |parameter: Tensor| {
        if tape.requires_grad(parameter) {
            tape.grad_destination(parameter).map(|to| (to.tensor, to.accumulate))
        } else {
            Ok((tape.scratch(parameter.shape), false))
        }
    };
    let (dgamma, accumulate_gamma) = destination(norm.gamma)?;
    let (dbeta, accumulate_beta) = destination(norm.beta)?;
    let launch = Launch::new("batch_norm", "finish_backward").read(sums).read(by.spread);
    let launch = launch.write(dgamma).write(dbeta).write(level).write(slope);
    let launch = launch.u32(pixels).f32(norm.eps).flops(4 * c);
    tape.launch(both_widths(launch, c, |channels| {
        let kernel = Kernel::per_item(shader!("batch_norm/finish_backward.wgsl"), channels);
        let kernel = kernel.constant("VARIANCE", i64::from(!training));
        let kernel = kernel.constant("ACCUMULATE_GAMMA", i64::from(accumulate_gamma));
        kernel.constant("ACCUMULATE_BETA", i64::from(accumulate_beta))
    }));
    Ok(())
}

/// Blocks whose statistics one invocation joins.
const JOIN: usize = 32;

/// Pixels in a block of the statistics, and the number of blocks. A block of all channels is about 16 KiB: enough blocks to
/// keep a GPU busy, and on a processor few enough memory pages for its prefetcher to follow.
fn blocks(shape: Shape) -> (usize, usize) {
    let block = (4096 / shape.c.max(1)).clamp(8, 64).next_multiple_of(4);
    (block, shape.pixels().div_ceil(block))
}

/// Pixels that one invocation of the backward reduction sums up. They are far apart, so that neighbouring invocations read
/// neighbouring words; a processor's prefetcher follows no more such streams (two for each pixel) than these.
const SUMMED: usize = 8;

/// Pixels of one invocation of an element-wise pass, which loads its channels' numbers once. As far apart, for the same reason.
const RUN: usize = 4;

fn runs(x: Tensor) -> usize {
    x.shape.pixels().div_ceil(RUN)
}

fn per_run(shader: Shader, x: Tensor, channels: usize) -> Kernel {
    Kernel::per_item(shader, runs(x) * channels)
}
