//! From feature maps to vectors.

use super::copy::copy;
use crate::tape::Tape;
use crate::tensor::{Shape, Tensor};

/// Turns `n x h x w x c` into `n` vectors of `h * w * c` numbers: without a copy where the words are dense, else with one.
///
/// The vector's order is `h, w, c`; PyTorch's is `c, h, w`. [`Layout::DenseFlat`](crate::params::Layout::DenseFlat)
/// translates the weights of the dense layer that follows.
pub fn flatten(tape: &mut Tape, x: Tensor) -> Tensor {
    let shape = Shape::matrix(x.shape.n, x.shape.h * x.shape.w * x.shape.c);
    if let Some(y) = tape.alias(x, shape) {
        return y;
    }
    let dense = copy(tape, x);
    // A fresh copy owns dense storage, so this cannot miss.
    tape.alias(dense, shape).unwrap_or(dense)
}
