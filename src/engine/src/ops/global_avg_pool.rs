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
    sum_pixels(tape, ("global_avg_pool", "forward"), x, y, 1.0 / (h * w) as f32);
    tape.on_gradient(x, y, backward);
    Ok(y)
}

/// `y = scale * sum of x over the pixels of each image`, as a tree of sums of fixed shape. No gradient.
pub(super) fn sum_pixels(tape: &mut Tape, (op, pass): (&'static str, &'static str), x: Tensor, y: Tensor, scale: f32) {
    let Shape { n, h, w, c } = x.shape;
    let (pixels, runs) = (h * w, (h * w).div_ceil(RUN));
    let (to, by) = if runs == 1 { (y, scale) } else { (tape.scratch(Shape::new(n, 1, runs, c)), 1.0) };
    let launch = Launch::new(op, pass).read(x).write(to).u32(n * runs).u32(pixels).u32(c).u32(runs).f32(by);
    let launch = launch.view(x).view(to).flops(x.shape.len());
    tape.launch(launch.any_width(c, |channels| {
        let kernel = Kernel::per_item(shader!("global_avg_pool/forward.wgsl"), n * runs * channels);
        kernel.constant("RUN", RUN as i64)
    }));
    if runs > 1 {
        sum_pixels(tape, (op, pass), to, y, scale);
    }
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
