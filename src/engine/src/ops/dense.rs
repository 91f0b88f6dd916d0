//! A fully connected layer: a convolution of 1x1 pictures, and run by its kernels.

use super::conv2d::conv2d;
use super::window::Window;
use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// `y = x weight + bias`, with `x` as `n` vectors of `inputs` numbers, `weight` as `1 x 1 x inputs x outputs`, and a bias of
/// `outputs` numbers.
///
/// # Errors
/// If shapes don't fit together.
pub fn dense(tape: &mut Tape, x: Tensor, weight: Tensor, bias: Option<Tensor>) -> Result<Tensor> {
    if x.shape.h != 1 || x.shape.w != 1 {
        return Err(Error::run(format!("dense: {} is no list of vectors; flatten it first", x.shape)));
    }
    conv2d(tape, x, weight, bias, Window::square(1, 1, 0))
}
