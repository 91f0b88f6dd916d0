//! The mean of each whole feature map.

use crate::gpu::Kernel;
use crate::tape::{GradDestination, Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

/// Pixels that one invocation sums up. Larger maps become trees of sums, which keeps many invocations busy and the rounding
/// small.
const RUN: usize = 64;
/// Pixels that one invocation of the backward pass writes.
const BACKWARD_RUN: usize = 8;

/// `n x h x w x c` to `n x 1 x 1 x c`: the mean over all pixels of an image, per channel.
///
/// # Errors
/// If there is no pixel.
pub fn global_avg_pool(tape: &mut Tape, x: Tensor) -> Result<Tensor> {
    let Shape { n, h, w, c } = x.shape;
    if x.shape.is_empty() {
        return Err(Error::run(format!("global_avg_pool: no pixels in {}", x.shape)));
    }
    let y = tape.output(Shape::matrix(n, c), &[x]);
    let (mut left, names) = (x, ("global_avg_pool", "forward"));
    while left.shape.h * left.shape.w > RUN {
        left = sum_runs(tape, names, left);
    }
    sums(tape, names, left, y, 1.0 / (h * w) as f32);
    tape.on_gradient(x, y, backward);
    Ok(y)
}

/// The sums over runs of pixels of each image: one level of a tree of fixed shape. No gradient.
pub(super) fn sum_runs(tape: &mut Tape, names: (&'static str, &'static str), x: Tensor) -> Tensor {
    let y = tape.scratch(Shape::new(x.shape.n, 1, (x.shape.h * x.shape.w).div_ceil(RUN), x.shape.c));
    sums(tape, names, x, y, 1.0);
    y
}

fn sums(tape: &mut Tape, (op, pass): (&'static str, &'static str), x: Tensor, y: Tensor, scale: f32) {
    let (Shape { n, h, w, c }, runs) = (x.shape, y.shape.w);
    let launch = Launch::new(op, pass).read(x).write(y).u32(n * runs).u32(h * w).u32(c).u32(runs).f32(scale);
    let launch = launch.view(x).view(y).flops(x.shape.len());
    tape.launch(launch.any_width(c, |channels| {
        let kernel = Kernel::per_item(shader!("global_avg_pool/forward.wgsl"), n * runs * channels);
        kernel.constant("RUN", RUN as i64)
    }));
}

fn backward(tape: &mut Tape, dy: Tensor, dx: GradDestination) {
    let Shape { n, h, w, c } = dx.tensor.shape;
    let runs = (h * w).div_ceil(BACKWARD_RUN);
    let launch = Launch::new("global_avg_pool", "backward").read(dy).write(dx.tensor).u32(n * runs).u32(h * w);
    let launch = launch.f32(1.0 / (h * w) as f32).view(dy).view(dx.tensor).flops(dx.tensor.shape.len());
    tape.launch(launch.both_widths(c, |channels| {
        let kernel = Kernel::per_item(shader!("global_avg_pool/backward.wgsl"), n * runs * channels);
        let kernel = kernel.constant("RUNS", runs as i64).constant("RUN", BACKWARD_RUN as i64);
        kernel.constant("ACCUMULATE", dx.accumulate)
    }));
}
