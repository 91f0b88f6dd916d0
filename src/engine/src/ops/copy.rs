//! A copy in storage of its own.

use crate::tape::{GradDestination, Tape};
use crate::tensor::Tensor;

/// `y = x`, of the same shape. The gradient of `y` is added to that of `x`.
pub fn copy(tape: &mut Tape, x: Tensor) -> Tensor {
    let y = tape.output(x.shape, &[x]);
    copy_to(tape, x, y);
    y
}

/// [`copy()`] into a value that is there.
pub(super) fn copy_to(tape: &mut Tape, x: Tensor, y: Tensor) {
    tape.copy_into(x, GradDestination { tensor: y, accumulate: false });
    tape.on_gradient(x, y, Tape::copy_into);
}
