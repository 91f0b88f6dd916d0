//! The window that convolutions and poolings slide over a picture.

use crate::tensor::Shape;
use crate::{Error, Result};

/// Kernel, stride and padding, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Height and width.
    pub kernel: [usize; 2],
    /// Down and across.
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

    /// Height and width of the output, `floor((size + padding - kernel) / stride) + 1` each.
    ///
    /// # Errors
    /// If the window is empty, stands still, or is larger than the padded input.
    pub fn output(&self, op: &str, input: Shape) -> Result<(usize, usize)> {
        let [top, bottom, left, right] = self.padding;
        let along = |size: usize, kernel: usize, stride: usize| {
            (kernel > 0 && stride > 0 && size >= kernel).then(|| (size - kernel) / stride + 1)
        };
        let h = along(input.h + top + bottom, self.kernel[0], self.stride[0]);
        let w = along(input.w + left + right, self.kernel[1], self.stride[1]);
        h.zip(w).ok_or_else(|| Error::run(format!("{op}: {self:?} does not fit an input of {input}")))
    }
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
