//! The windows that pooling and convolution slide over a feature map.

use crate::gpu::Kernel;
use crate::tensor::Shape;
use crate::{Error, Result};

/// Extents, steps and padding of a sliding window; vertical, then horizontal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    pub kernel: [usize; 2],
    pub stride: [usize; 2],
    /// Top, bottom, left, right.
    pub padding: [usize; 4],
}

impl Window {
    /// The same in both directions.
    pub const fn square(kernel: usize, stride: usize, padding: usize) -> Self {
        Self { kernel: [kernel; 2], stride: [stride; 2], padding: [padding; 4] }
    }

    /// Pixels under the window.
    pub const fn area(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Height and width of what comes out: `floor((extent + padding - kernel) / stride) + 1`, as in PyTorch.
    ///
    /// # Errors
    /// If the kernel does not fit into the padded input, or kernel or stride is 0.
    pub fn output(&self, op: &str, input: Shape) -> Result<(usize, usize)> {
        let [top, bottom, left, right] = self.padding;
        let extent = |size: usize, axis: usize| {
            let (kernel, stride) = (self.kernel[axis], self.stride[axis]);
            (kernel > 0 && stride > 0 && kernel <= size).then(|| (size - kernel) / stride + 1)
        };
        match (extent(input.h + top + bottom, 0), extent(input.w + left + right, 1)) {
            (Some(h), Some(w)) => Ok((h, w)),
            _ => Err(Error::run(format!("{op}: {self:?} does not fit an input of {input}"))),
        }
    }

    /// The output's shape of a pooling, each of whose windows must hold at least one pixel of the input.
    ///
    /// # Errors
    /// If the kernel does not fit, or the padding is as large as the kernel.
    pub(crate) fn pooled(&self, op: &str, input: Shape) -> Result<Shape> {
        let (h, w) = self.output(op, input)?;
        let [top, bottom, left, right] = self.padding;
        if top.max(bottom) >= self.kernel[0] || left.max(right) >= self.kernel[1] {
            return Err(Error::run(format!("{op}: the padding of {self:?} is not smaller than its kernel")));
        }
        Ok(Shape { h, w, ..input })
    }

    /// Sets the overrides of a forward pooling kernel, which makes 2x2 pixels of its output at a time.
    pub(crate) fn forward(&self, kernel: Kernel, output: Shape) -> Kernel {
        self.tiles(self.constants(kernel), output)
    }

    /// Sets the overrides that count squares of 2x2 outputs.
    pub(crate) fn tiles(&self, kernel: Kernel, output: Shape) -> Kernel {
        let (tiles_y, tiles_x) = (output.h.div_ceil(2), output.w.div_ceil(2));
        kernel.constant("TILES_Y", tiles_y as i64).constant("TILES_X", tiles_x as i64)
    }

    /// Sets the overrides of a backward pooling kernel, which makes 2x2 pixels of its input at a time.
    pub(crate) fn backward(&self, kernel: Kernel, input: Shape) -> Kernel {
        let [y, x] = [self.squares(0, input.h), self.squares(1, input.w)];
        let kernel = self.constants(kernel).constant("SQUARES_Y", y.count as i64).constant("SQUARES_X", x.count as i64);
        let kernel = kernel.constant("SHIFT_Y", y.shift as i64).constant("SHIFT_X", x.shift as i64);
        kernel.constant("TOUCHING_Y", y.touching as i64).constant("TOUCHING_X", x.touching as i64)
    }

    /// How many squares of 2x2 pixels of the input the backward kernels work on.
    pub(crate) fn square_count(&self, input: Shape) -> usize {
        input.n * self.squares(0, input.h).count * self.squares(1, input.w).count
    }

    fn constants(&self, kernel: Kernel) -> Kernel {
        let ([ky, kx], [sy, sx]) = (self.kernel, self.stride);
        let kernel = kernel.constant("KERNEL_Y", ky as i64).constant("KERNEL_X", kx as i64);
        let kernel = kernel.constant("STRIDE_Y", sy as i64).constant("STRIDE_X", sx as i64);
        kernel.constant("TOP", self.padding[0] as i64).constant("LEFT", self.padding[2] as i64)
    }

    /// With stride 2 the squares start where windows start, so that a square meets as few of them as possible.
    fn squares(&self, axis: usize, size: usize) -> Squares {
        let (kernel, stride, before) = (self.kernel[axis], self.stride[axis], self.padding[2 * axis]);
        let (shift, touching) = if stride == 2 { (before % 2, kernel.div_ceil(2)) } else { (0, kernel / stride + 1) };
        Squares { shift, count: (size + shift).div_ceil(2), touching }
    }
}

/// The cover of an axis of the input with pairs of pixels.
struct Squares {
    /// How far before the input the first one starts.
    shift: usize,
    count: usize,
    /// How many windows can touch one of them.
    touching: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_sizes_are_pytorchs() {
        let size = |window: Window, h: usize, w: usize| window.output("test", Shape::new(1, h, w, 3));
        assert_eq!(size(Window::square(3, 1, 1), 7, 5).unwrap(), (7, 5));
        assert_eq!(size(Window::square(7, 2, 3), 224, 224).unwrap(), (112, 112));
        assert_eq!(size(Window::square(3, 2, 0), 8, 9).unwrap(), (3, 4));
        let uneven = Window { kernel: [1, 7], stride: [1, 2], padding: [0, 0, 2, 3] };
        assert_eq!(size(uneven, 4, 6).unwrap(), (4, 3));
        assert!(size(Window::square(5, 1, 0), 4, 9).is_err());
        assert!(size(Window::square(3, 0, 1), 4, 9).is_err());
    }
}
