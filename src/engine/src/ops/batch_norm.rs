//! Normalisation per channel (Ioffe and Szegedy, 2015), with PyTorch's conventions.

use super::global_avg_pool::sum_runs;
use crate::gpu::{Kernel, QUOTIENTS, Shader};
use crate::tape::{Follow, Launch, Meeting, STATISTICS, Statistics, Tape};
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

/// `y = (x - mean) / sqrt(variance + eps) * gamma + beta`, per channel of `n x h x w x c`.
///
/// In training with mean and biased variance of this batch, which also move the running statistics; else with the running
/// statistics. Gradients reach `x`, `gamma` and `beta` either way.
///
/// # Errors
/// If a vector has not one number per channel, or a batch of one pixel per channel is to be trained on: it has no variance.
pub fn batch_norm(tape: &mut Tape, x: Tensor, norm: &BatchNorm, training: bool) -> Result<Tensor> {
    normalise(tape, x, norm, training, false)
}

/// [`batch_norm`] and a ReLU in one: the numbers between them are never stored.
///
/// # Errors
/// As [`batch_norm`].
pub fn batch_norm_relu(tape: &mut Tape, x: Tensor, norm: &BatchNorm, training: bool) -> Result<Tensor> {
    normalise(tape, x, norm, training, true)
}

fn normalise(tape: &mut Tape, x: Tensor, norm: &BatchNorm, training: bool, rectified: bool) -> Result<Tensor> {
    let normalisation = Normalisation::new(tape, x, norm, training, rectified)?;
    let inputs = [x, norm.gamma, norm.beta];
    let (vectors, y) = (normalisation.operands(), tape.output(x.shape, &inputs));
    let launch = vectors.into_iter().fold(Launch::new("batch_norm", "normalise").read(x), Launch::read).write(y);
    let launch = with_runs(launch, x, RUN)
        .view(x)
        .view(y)
        .flops(3 * x.shape.len())
        .cheap()
        .follows(Follow::Normalise { vectors, rectified });
    // After its own ReLU there is nothing for an epilogue to add.
    let launch = if rectified { launch } else { launch.with_epilogue() };
    tape.launch(launch.any_width(x.shape.c, |channels| {
        per_run(shader!("batch_norm/normalise.wgsl"), x, RUN, channels).constant("RELU", rectified)
    }));
    tape.on_backward(&inputs, move |tape| match tape.grad(y)? {
        Some(dy) => normalisation.backward(tape, x, dy),
        None => Ok(()),
    });
    Ok(y)
}

/// `(x - mean) * scale + beta`, rectified if wanted, with the vectors recorded: for whoever applies it to `x`.
#[derive(Clone, Copy)]
pub(super) struct Normalisation {
    norm: BatchNorm,
    by: Statistics,
    /// `gamma / sqrt(variance + eps)`.
    scale: Tensor,
    training: bool,
    rectified: bool,
}

impl Normalisation {
    /// Records statistics and scale of `x`.
    pub fn new(tape: &mut Tape, x: Tensor, norm: &BatchNorm, training: bool, rectified: bool) -> Result<Self> {
        let norm = *norm;
        let vectors = [norm.gamma, norm.beta, norm.running_mean, norm.running_var];
        if let Some(odd) = vectors.iter().find(|v| v.shape != Shape::vector(x.shape.c)) {
            return Err(Error::run(format!("batch_norm: a vector of {} for an input of {}", odd.shape, x.shape)));
        }
        if training && x.shape.pixels() < 2 {
            return Err(Error::run(format!(
                "batch_norm: training needs more than one value per channel, got {}",
                x.shape
            )));
        }
        let scale = tape.scratch(Shape::vector(x.shape.c));
        let by = if training {
            let by = batch_statistics(tape, x);
            track(tape, norm, by, scale, x.shape.pixels() * (tape.others + 1));
            by
        } else {
            let by = Statistics { mean: norm.running_mean, variance: norm.running_var };
            let launch = Launch::new("batch_norm", "scale").read(by.variance).read(norm.gamma).write(scale);
            per_channel(tape, launch.u32(x.shape.c).f32(norm.eps), shader!("batch_norm/scale.wgsl"), x.shape.c);
            by
        };
        Ok(Self { norm, by, scale, training, rectified })
    }

    /// The operands of a kernel that applies it while it loads `x`: mean, scale, and what is added.
    pub fn operands(&self) -> [Tensor; 3] {
        [self.by.mean, self.scale, self.norm.beta]
    }

    /// What its result depends on, besides `x`.
    pub fn parameters(&self) -> [Tensor; 2] {
        [self.norm.gamma, self.norm.beta]
    }

    /// Records the gradients of `x`, `gamma` and `beta` for a gradient `dy` of what was applied to `x`. Whether the ReLU let a
    /// number through is computed again from `x`.
    pub fn backward(&self, tape: &mut Tape, x: Tensor, dy: Tensor) -> Result<()> {
        let (norm, c) = (self.norm, x.shape.c);
        let [mean_dy, mean_dy_xmu] = [(); 2].map(|()| tape.scratch(Shape::vector(c)));
        if self.training || tape.requires_grad(norm.gamma) || tape.requires_grad(norm.beta) {
            self.reduce(tape, x, dy, [mean_dy, mean_dy_xmu])?;
        }
        if !tape.requires_grad(x) {
            return Ok(());
        }
        let dx = tape.grad_destination(x)?;
        // Without a ReLU the kernel for inference does not read x, which then need not be kept until here.
        let x = if self.training || self.rectified { x } else { dy };
        let launch = self.reading("backward", x, dy);
        let (launch, flops, shader) = if self.training {
            (launch.read(mean_dy).read(mean_dy_xmu), 5, shader!("batch_norm/backward.wgsl"))
        } else {
            (launch, 1, shader!("batch_norm/backward_inference.wgsl"))
        };
        let launch = with_runs(launch.write(dx.tensor), x, RUN).view(x).flops(flops * x.shape.len());
        tape.launch(launch.view(dy).view(dx.tensor).any_width(c, |channels| {
            let kernel = per_run(shader, x, RUN, channels).constant("ACCUMULATE", dx.accumulate);
            kernel.constant("RELU", self.rectified)
        }));
        Ok(())
    }

    /// A launch that reads `x`, its result's gradient, and what was done to `x`.
    fn reading(&self, pass: &'static str, x: Tensor, dy: Tensor) -> Launch {
        self.operands().into_iter().fold(Launch::new("batch_norm", pass).read(x).read(dy), Launch::read)
    }

    /// Gradients of `gamma` and `beta`, and the two vectors that the input's gradient in training needs: the means of `dy` and, over
    /// the variance, of `dy * (x - mean)`.
    fn reduce(&self, tape: &mut Tape, x: Tensor, dy: Tensor, [mean_dy, mean_dy_xmu]: [Tensor; 2]) -> Result<()> {
        let (c, pixels) = (x.shape.c, x.shape.pixels());
        let partial = tape.scratch(Shape::new(1, 1, runs(x, SUMMED), 2 * c));
        let launch = self.reading("reduce", x, dy).write(partial);
        let launch = with_runs(launch, x, SUMMED).view(x).view(dy).flops(4 * x.shape.len());
        tape.launch(launch.any_width(c, |channels| {
            per_run(shader!("batch_norm/reduce.wgsl"), x, SUMMED, channels).constant("RELU", self.rectified)
        }));
        let (mut sums, most) = (partial, if tape.others > 0 { 1 } else { AT_ONCE });
        while sums.shape.w > most {
            sums = sum_runs(tape, ("batch_norm", "reduce"), sums);
        }
        self.finish(tape, sums, [mean_dy, mean_dy_xmu], pixels, true)?;
        // Parameters' gradients are of this process's batch alone; they meet with all others at the end of the step.
        if tape.others > 0 {
            tape.meet(Meeting::Sum(sums));
            self.finish(tape, sums, [mean_dy, mean_dy_xmu], pixels * (tape.others + 1), false)?;
        }
        Ok(())
    }

    /// What follows from the sums over runs of so many pixels; the parameters' gradients only where they are `wanted`.
    fn finish(&self, tape: &mut Tape, sums: Tensor, means: [Tensor; 2], pixels: usize, wanted: bool) -> Result<()> {
        let (norm, c) = (self.norm, self.norm.gamma.shape.c);
        // A frozen parameter's gradient goes nowhere.
        let mut destination = |parameter: Tensor| {
            if wanted && tape.requires_grad(parameter) {
                tape.grad_destination(parameter).map(|to| (to.tensor, to.accumulate))
            } else {
                Ok((tape.scratch(parameter.shape), false))
            }
        };
        let (dgamma, accumulate_gamma) = destination(norm.gamma)?;
        let (dbeta, accumulate_beta) = destination(norm.beta)?;
        let launch = Launch::new("batch_norm", "finish_backward").read(sums).read(self.by.variance);
        let launch = launch.write(dgamma).write(dbeta).write(means[0]).write(means[1]);
        let launch = launch.u32(c).u32(pixels).u32(sums.shape.w).f32(norm.eps).flops(4 * c + sums.shape.len());
        tape.launch(in_lanes(launch, shader!("batch_norm/finish_backward.wgsl"), c, |kernel| {
            let kernel = kernel.constant("ACCUMULATE_GAMMA", accumulate_gamma);
            kernel.constant("ACCUMULATE_BETA", accumulate_beta)
        }));
        Ok(())
    }
}

/// Mean and variance of the batch: of all channels, or of those that nobody has asked for yet.
fn batch_statistics(tape: &mut Tape, x: Tensor) -> Statistics {
    let (view, c) = (tape.view(x), x.shape.c);
    let shared = tape.shared_statistics.get_mut(&view.root).filter(|_| view.offset == 0);
    let Some(shared) = shared else {
        let [mean, variance] = [(); 2].map(|()| tape.scratch(Shape::vector(c)));
        let to = Statistics { mean, variance };
        record_statistics(tape, x, to);
        return to;
    };
    let (by, from) = (shared.by, shared.done.min(c));
    shared.done = shared.done.max(c);
    let part = |tape: &mut Tape, from: usize, c: usize| Statistics {
        mean: tape.slice(by.mean, from, c),
        variance: tape.slice(by.variance, from, c),
    };
    if from < c {
        let (new, to) = (tape.slice(x, from, c - from), part(tape, from, c - from));
        record_statistics(tape, new, to);
    }
    part(tape, 0, c)
}

fn record_statistics(tape: &mut Tape, x: Tensor, to: Statistics) {
    let (c, pixels) = (x.shape.c, x.shape.pixels());
    let (block, blocks) = blocks(tape, x);
    let of_blocks = [(); 2].map(|()| tape.scratch(Shape::matrix(blocks, c)));
    let launch = Launch::new("batch_norm", "statistics").read(x).write(of_blocks[0]).write(of_blocks[1]);
    let launch = launch.u32(pixels).u32(blocks).view(x).flops(5 * x.shape.len());
    let launch = if block == STATISTICS { launch.follows(Follow::Statistics) } else { launch };
    tape.launch(launch.both_widths(c, |channels| {
        let kernel = Kernel::per_item(shader!("batch_norm/statistics.wgsl"), blocks * channels);
        kernel.constant("BLOCK", block as i64)
    }));
    if tape.others == 0 {
        return finish_statistics(tape, of_blocks, [pixels, block], to);
    }
    // The host writes whole values, and `to` may be a part of one.
    let [mean, variance] = [(); 2].map(|()| tape.scratch(Shape::vector(c)));
    finish_statistics(tape, of_blocks, [pixels, block], Statistics { mean, variance });
    tape.meet(Meeting::Statistics { mean, variance });
    finish_statistics(tape, [mean, variance], [1, 1], to);
}

/// Mean and variance of so many pixels, from the statistics of blocks of them.
fn finish_statistics(tape: &mut Tape, [means, squares]: [Tensor; 2], [pixels, block]: [usize; 2], to: Statistics) {
    let Shape { n: blocks, c, .. } = means.shape;
    let launch = Launch::new("batch_norm", "finish").read(squares).read(means).write(to.mean).write(to.variance);
    let launch = launch.u32(c).u32(pixels).u32(block).u32(blocks).view(to.mean).view(to.variance).flops(6 * blocks * c);
    tape.launch(in_lanes(launch, shader!("batch_norm/finish.wgsl"), c, |kernel| kernel));
}

/// Scale from batch statistics, and the next running statistics.
fn track(tape: &mut Tape, norm: BatchNorm, by: Statistics, scale: Tensor, pixels: usize) {
    let launch = Launch::new("batch_norm", "track").read(by.mean).read(by.variance).read(norm.gamma).write(scale);
    let launch = launch.write(norm.running_mean).write(norm.running_var);
    let launch = launch.u32(scale.shape.c).u32(pixels).f32(norm.eps).f32(norm.momentum);
    per_channel(tape, launch, shader!("batch_norm/track.wgsl"), scale.shape.c);
}

/// Records a launch of one invocation per channel (or per four). The number of channels is the first word of its block.
fn per_channel(tape: &mut Tape, launch: Launch, shader: Shader, c: usize) {
    tape.launch(launch.flops(4 * c).any_width(c, |channels| Kernel::per_item(shader, channels)));
}

/// The kernels of a launch that combines the parts of each channel.
fn in_lanes(launch: Launch, shader: Shader, c: usize, with: impl Fn(Kernel) -> Kernel) -> Launch {
    let launch = launch.any_width(c, |channels| with(Kernel::in_lanes(shader, channels, 256)));
    launch.any_width(c, |channels| with(Kernel::in_lanes(shader, channels, 1)))
}

/// The most sums of a channel that such a launch adds up: more would take its few invocations too long.
const AT_ONCE: usize = 2048;

/// Pixels in a block of the statistics, and the number of blocks. A block of all channels is about 16 KiB: enough blocks to
/// keep a GPU busy, and on a processor few enough memory pages for its prefetcher to follow. Where the kernel that makes the map
/// can keep its statistics, that kernel's blocks.
fn blocks(tape: &Tape, x: Tensor) -> (usize, usize) {
    let small = (4096 / x.shape.c.max(1)).clamp(8, 64).next_multiple_of(4);
    let block = if tape.keeps_statistics(x) { STATISTICS } else { small };
    (block, x.shape.pixels().div_ceil(block))
}

/// Pixels that one invocation of the backward reduction sums up. They are far apart, so that neighbouring invocations read
/// neighbouring words; a processor's prefetcher follows no more such streams (two for each pixel) than these.
const SUMMED: usize = 8;

/// Pixels of one invocation of an element-wise pass, which loads its channels' numbers once. As far apart, for the same reason.
const RUN: usize = 4;

/// Pixels in a run: `wanted`, or more where there would be more runs than `grid::quotient` tells apart.
fn run_length(x: Tensor, wanted: usize) -> usize {
    wanted.max(x.shape.pixels().div_ceil(QUOTIENTS - 1))
}

fn runs(x: Tensor, wanted: usize) -> usize {
    x.shape.pixels().div_ceil(run_length(x, wanted))
}

/// The words of `runs::Map`. The kernels divide by the number of channels with the help of its inverse: a constant would mean a
/// kernel for each width of a network, and DenseNet has fifty.
fn with_runs(launch: Launch, x: Tensor, wanted: usize) -> Launch {
    let c = x.shape.c;
    launch.u32(c).f32(1.0 / c as f32).u32(x.shape.pixels()).u32(runs(x, wanted))
}

/// A kernel of one invocation per run of pixels and channel.
fn per_run(shader: Shader, x: Tensor, wanted: usize, channels: usize) -> Kernel {
    let run = run_length(x, wanted);
    let kernel = Kernel::per_item(shader, runs(x, wanted) * channels).constant("RUN", run as i64);
    kernel.constant("WHOLE", x.shape.pixels().is_multiple_of(run))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Launches of a normalisation in training and of its gradient.
    fn runs_of(shape: Shape) -> Vec<(i32, u32)> {
        let mut tape = Tape::new();
        let x = tape.input(shape);
        tape.require_grad(x);
        let [gamma, beta, running_mean, running_var] = [(); 4].map(|()| tape.input(Shape::vector(shape.c)));
        let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
        let y = batch_norm(&mut tape, x, &norm, true).unwrap();
        tape.backward(&[(y, x)]).unwrap();
        let kernels = tape.launches().iter().map(|launch| &launch.kernels[0]).filter(|kernel| {
            ["normalise", "reduce", "backward"]
                .map(|name| format!("batch_norm/{name}.wgsl"))
                .contains(&kernel.shader.path.into())
        });
        let run = |kernel: &Kernel| kernel.constants.iter().find(|(name, _)| *name == "RUN").unwrap().1;
        kernels.map(|kernel| (run(kernel), kernel.workgroups.iter().product())).collect()
    }

    #[test]
    fn runs_are_no_more_than_a_quotient_can_be() {
        // One channel: an invocation for each run.
        let side = QUOTIENTS / 1000;
        let groups = |runs: usize| runs.div_ceil(64) as u32;
        let most = runs_of(Shape::new(1, RUN * 1000, side - 1, 1));
        assert_eq!(
            most,
            [(4, groups(QUOTIENTS - 1000)), (8, groups((QUOTIENTS - 1000) / 2)), (4, groups(QUOTIENTS - 1000))]
        );
        let beyond = runs_of(Shape::new(1, RUN * 1000, side, 1));
        assert_eq!(beyond[0], (5, groups(RUN * QUOTIENTS / 5)));
        assert_eq!(beyond[1], (8, groups(QUOTIENTS / 2)));
        let far = runs_of(Shape::new(1, 64 * RUN * 1000, side, 1));
        assert!(far.iter().all(|(run, _)| *run == 257), "{far:?}");
    }
}
