//! `y = max(x, 0)`.

use crate::shader;
use crate::tape::{Follow, GradDestination, Launch, Tape};
use crate::tensor::Tensor;

/// Rectifies every number of `x`. The gradient is taken as 0 where `x` is 0.
pub fn relu(tape: &mut Tape, x: Tensor) -> Tensor {
    let y = tape.output(x.shape, &[x]);
    let launch = Launch::new("relu", "forward").read(x).write(y).u32(x.shape.len()).view(x).view(y);
    let launch = launch.follows(Follow::Relu);
    tape.launch(launch.element_wise(shader!("relu/forward.wgsl"), x.shape, &[]));
    tape.on_gradient(x, y, move |tape, dy, dx| backward(tape, y, dy, dx));
    y
}

/// `dx (+)= dy` where `y > 0`.
// Reads y, not x: its sign tells the same, and x is free as soon as y is made.
pub(super) fn backward(tape: &mut Tape, y: Tensor, dy: Tensor, dx: GradDestination) {
    let launch = Launch::new("relu", "backward").read(y).read(dy).write(dx.tensor);
    let launch = launch.u32(y.shape.len()).view(y).view(dy).view(dx.tensor);
    let launch = if dx.accumulate { launch } else { launch.follows(Follow::ReluGradient(y)) };
    tape.launch(launch.element_wise(shader!("relu/backward.wgsl"), y.shape, &[("ACCUMULATE", dx.accumulate)]));
}
