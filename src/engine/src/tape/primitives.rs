//! What the tape itself needs of kernels: to set values, and to copy them.

use super::{GradDestination, Launch, Tape};
use crate::shader;
use crate::tensor::Tensor;

impl Tape {
    /// Sets every element of `y` to `value`. No gradient.
    pub fn fill(&mut self, y: Tensor, value: f32) {
        let launch = Launch::new("fill", "forward").write(y).u32(y.shape.len()).f32(value).view(y);
        self.launch(launch.element_wise(shader!("fill.wgsl"), y.shape, &[]));
    }

    /// `to (+)= x`. No gradient: [`copy`](crate::ops::copy::copy) is the op.
    pub fn copy_into(&mut self, x: Tensor, to: GradDestination) {
        let y = to.tensor;
        let launch = Launch::new("copy", "forward").read(x).write(y).u32(x.shape.len()).view(x).view(y);
        self.launch(launch.element_wise(shader!("copy.wgsl"), x.shape, &[("ACCUMULATE", to.accumulate)]));
    }
}
