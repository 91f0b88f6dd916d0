//! The ops. One file each: what it computes, its shape check, its forward and its backward launches. The kernels are in the
//! file of the same name in `shaders/`, the f64 reference and the test rows in the one in `kernels-tests/src/`.

pub mod adam;
pub mod add;
pub mod avg_pool;
pub mod batch_norm;
pub mod concat;
pub mod conv2d;
pub mod dense;
pub mod dropout;
pub mod fill;
pub mod flatten;
pub mod global_avg_pool;
pub mod grad_norm;
pub mod input;
pub mod loss;
pub mod max_pool;
pub mod relu;
pub mod sigmoid_cross_entropy;
pub mod softmax_cross_entropy;
pub mod window;

use crate::gpu::{Kernel, Shader};
use crate::tape::Launch;
use crate::tensor::Shape;
use crate::{Error, Result};

/// Adds the element-wise kernel of `shader` in both widths: four channels at a time where every view is aligned, else one.
/// The kernel imports `gatefold::element`; `switches` are its overrides of type `bool`. An invocation takes an
/// element of each of four pixels, a quarter of the map apart, so that their loads are under way together; of one pixel where the
/// pixels do not divide by four.
pub(crate) fn element_wise(launch: Launch, shader: Shader, shape: Shape, switches: &[(&'static str, bool)]) -> Launch {
    let turns = if shape.pixels().is_multiple_of(4) { 4 } else { 1 };
    let variant = |width: usize| {
        let kernel = Kernel::per_item(shader, shape.len() / width / turns);
        let kernel = kernel.def("VECTOR", width as u32).def("TURNS", turns as u32);
        let kernel = kernel.constant("CHANNELS", (shape.c / width) as i64);
        switches.iter().fold(kernel, |kernel, &(name, on)| kernel.constant(name, i64::from(on)))
    };
    let launch = if shape.c.is_multiple_of(4) { launch.kernel(variant(4).aligned()) } else { launch };
    launch.kernel(variant(1))
}

/// Like [`any_width`], with the number of channels, counted in the kernel's Elements, as its override `CHANNELS`.
pub(crate) fn both_widths(launch: Launch, channels: usize, variant: impl Fn(usize) -> Kernel) -> Launch {
    any_width(launch, channels, |elements| variant(elements).constant("CHANNELS", elements as i64))
}

/// Adds a kernel in both widths, like [`element_wise`], for kernels whose items are not single numbers: `variant` makes it for
/// a number of channels, counted in the kernel's Elements.
pub(crate) fn any_width(launch: Launch, channels: usize, variant: impl Fn(usize) -> Kernel) -> Launch {
    let width = |width: usize| variant(channels / width).def("VECTOR", width as u32);
    let launch = if channels.is_multiple_of(4) { launch.kernel(width(4).aligned()) } else { launch };
    launch.kernel(width(1))
}

/// Fails with the op's name and both shapes unless they are equal.
pub(crate) fn same_shape(op: &str, a: Shape, b: Shape) -> Result<()> {
    if a == b { Ok(()) } else { Err(Error::run(format!("{op}: shapes {a} and {b} differ"))) }
}
