//! Tensors of the reference: f64, dense, NHWC.

use gatefold_engine::tensor::Shape;
use rand::{RngExt, SeedableRng};

/// A dense NHWC tensor in f64.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    pub shape: Shape,
    pub data: Vec<f64>,
}

impl Array {
    pub fn zeros(shape: Shape) -> Self {
        Self { shape, data: vec![0.0; shape.len()] }
    }

    /// Each number from its place `(n, y, x, c)`.
    pub fn from_fn(shape: Shape, f: impl Fn(usize, usize, usize, usize) -> f64) -> Self {
        let mut array = Self::zeros(shape);
        for n in 0..shape.n {
            for y in 0..shape.h {
                for x in 0..shape.w {
                    for c in 0..shape.c {
                        *array.at_mut(n, y, x, c) = f(n, y, x, c);
                    }
                }
            }
        }
        array
    }

    /// Uniform in [-1, 1), rounded to f32 so that the device starts from the very same numbers.
    pub fn random(shape: Shape, seed: u64) -> Self {
        let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
        let data = (0..shape.len()).map(|_| f64::from(2.0 * random.random::<f32>() - 1.0)).collect();
        Self { shape, data }
    }

    fn index(&self, n: usize, y: usize, x: usize, c: usize) -> usize {
        ((n * self.shape.h + y) * self.shape.w + x) * self.shape.c + c
    }

    pub fn at(&self, n: usize, y: usize, x: usize, c: usize) -> f64 {
        self.data[self.index(n, y, x, c)]
    }

    pub fn at_mut(&mut self, n: usize, y: usize, x: usize, c: usize) -> &mut f64 {
        let index = self.index(n, y, x, c);
        &mut self.data[index]
    }

    pub fn map(&self, f: impl Fn(f64) -> f64) -> Self {
        Self { shape: self.shape, data: self.data.iter().map(|&v| f(v)).collect() }
    }

    /// Number by number with another array of the same shape.
    pub fn zip(&self, other: &Self, f: impl Fn(f64, f64) -> f64) -> Self {
        assert_eq!(self.shape, other.shape);
        let data = self.data.iter().zip(&other.data).map(|(&a, &b)| f(a, b)).collect();
        Self { shape: self.shape, data }
    }

    /// Channels `from..from + c`.
    pub fn channels(&self, from: usize, c: usize) -> Self {
        Self::from_fn(self.shape.with_c(c), |n, y, x, k| self.at(n, y, x, from + k))
    }

    pub fn dot(&self, other: &Self) -> f64 {
        self.data.iter().zip(&other.data).map(|(a, b)| a * b).sum()
    }

    pub fn to_f32(&self) -> Vec<f32> {
        self.data.iter().map(|&v| v as f32).collect()
    }
}
