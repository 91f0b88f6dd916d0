//! Shapes and tensor handles. Everything is `f32` (or raw 32-bit words), channels last.

use std::fmt;

/// Batch, height, width, channels. A vector per sample is `n x 1 x 1 x c`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shape {
    pub n: usize,
    pub h: usize,
    pub w: usize,
    pub c: usize,
}

impl Shape {
    pub const fn new(n: usize, h: usize, w: usize, c: usize) -> Self {
        Self { n, h, w, c }
    }

    /// `n` vectors of `c` numbers.
    pub const fn matrix(n: usize, c: usize) -> Self {
        Self::new(n, 1, 1, c)
    }

    /// One vector of `c` numbers.
    pub const fn vector(c: usize) -> Self {
        Self::new(1, 1, 1, c)
    }

    /// Pixels of all samples: `n * h * w`.
    pub const fn pixels(self) -> usize {
        self.n * self.h * self.w
    }

    /// Numbers in the tensor.
    pub const fn len(self) -> usize {
        self.pixels() * self.c
    }

    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// The same extents with another number of channels.
    #[must_use]
    pub const fn with_c(self, c: usize) -> Self {
        Self { c, ..self }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}x{}", self.n, self.h, self.w, self.c)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A value recorded on a [`Tape`](crate::tape::Tape). Where its numbers live (which buffer, which channel slice of it)
/// is the tape's knowledge and can still change until the tape becomes a plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Tensor {
    /// Its number on the tape.
    pub id: usize,
    pub shape: Shape,
}
