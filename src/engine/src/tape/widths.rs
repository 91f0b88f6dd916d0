//! Kernels in two widths from one file: `VECTOR` channels at a time, 4 where every view is aligned, else 1.

use super::Launch;
use crate::gpu::{Kernel, Shader};
use crate::tensor::Shape;

impl Launch {
    /// Adds the element-wise kernel of `shader` in both widths. The kernel imports `gatefold::element`; `switches` are its
    /// overrides of type `bool`. An invocation takes an element of each of four pixels, a quarter of the map apart, so that
    /// their loads are under way together; of one pixel where the pixels do not divide by four.
    #[must_use]
    pub fn element_wise(self, shader: Shader, shape: Shape, switches: &[(&'static str, bool)]) -> Self {
        let turns = if shape.pixels().is_multiple_of(4) { 4 } else { 1 };
        self.in_widths(shape.c, |width| {
            let kernel = Kernel::per_item(shader, shape.len() / width / turns);
            let kernel = kernel.def("VECTOR", width as u32).def("TURNS", turns as u32);
            let kernel = kernel.constant("CHANNELS", (shape.c / width) as i64);
            switches.iter().fold(kernel, |kernel, &(name, on)| kernel.constant(name, i64::from(on)))
        })
    }

    /// Like [`Launch::any_width`], with the number of channels, counted in the kernel's Elements, as its override `CHANNELS`.
    #[must_use]
    pub fn both_widths(self, channels: usize, variant: impl Fn(usize) -> Kernel) -> Self {
        self.any_width(channels, |elements| variant(elements).constant("CHANNELS", elements as i64))
    }

    /// Adds a kernel in both widths: `variant` makes it for a number of channels, counted in the kernel's Elements.
    #[must_use]
    pub fn any_width(self, channels: usize, variant: impl Fn(usize) -> Kernel) -> Self {
        self.in_widths(channels, |width| variant(channels / width).def("VECTOR", width as u32))
    }

    /// Adds the kernel of width 4 where the channels allow it, then that of width 1, which runs everywhere.
    fn in_widths(self, channels: usize, kernel: impl Fn(usize) -> Kernel) -> Self {
        let launch = if channels.is_multiple_of(4) { self.kernel(kernel(4).aligned()) } else { self };
        launch.kernel(kernel(1))
    }
}
