//! Constant contents.

use super::element_wise;
use crate::shader;
use crate::tape::{Launch, Tape};
use crate::tensor::Tensor;

/// Sets every number of `y` to `value`.
pub fn fill(tape: &mut Tape, y: Tensor, value: f32) {
    let launch = Launch::new("fill", "forward").write(y).u32(y.shape.len()).f32(value).view(y);
    tape.launch(element_wise(launch, shader!("fill.wgsl"), y.shape, &[]));
}

/// Sets every number of `y` to zero.
pub fn zero(tape: &mut Tape, y: Tensor) {
    fill(tape, y, 0.0);
}
