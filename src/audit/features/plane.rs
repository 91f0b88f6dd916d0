//! One channel of a square as numbers.

/// size × size values, row after row.
#[derive(Clone, Debug)]
pub struct Plane {
    pub size: usize,
    pub values: Vec<f32>,
}

/// Luminance and the two colour differences of BT.601, as JPEG stores them, each from 0 to 255 or -128 to 127.
pub struct Planes {
    pub luma: Plane,
    pub blue: Plane,
    pub red: Plane,
}

impl Planes {
    /// `square` has size × size × 3 bytes of RGB.
    pub fn of(square: &[u8], size: usize) -> Self {
        let plane = |weights: [f32; 3]| {
            let value = |p: &[u8]| (0..3).map(|c| weights[c] * f32::from(p[c])).sum();
            Plane { size, values: square.chunks_exact(3).map(value).collect() }
        };
        Self {
            luma: plane([0.299, 0.587, 0.114]),
            blue: plane([-0.168_736, -0.331_264, 0.5]),
            red: plane([0.5, -0.418_688, -0.081_312]),
        }
    }
}

impl Plane {
    pub fn at(&self, x: usize, y: usize) -> f32 {
        self.values[y * self.size + x]
    }

    /// Rows become columns.
    pub fn turned(&self) -> Self {
        let size = self.size;
        let values = (0..size * size).map(|i| self.values[i % size * size + i / size]).collect();
        Self { size, values }
    }

    /// Four times each inner pixel less its four neighbours: (size - 2) × (size - 2).
    pub fn laplacian(&self) -> Self {
        let size = self.size - 2;
        let mut values = Vec::with_capacity(size * size);
        for y in 1..=size {
            let row = |y: usize| &self.values[y * self.size..][..self.size];
            let (above, here, below) = (row(y - 1), row(y), row(y + 1));
            values.extend((1..=size).map(|x| 4.0 * here[x] - here[x - 1] - here[x + 1] - above[x] - below[x]));
        }
        Self { size, values }
    }

    pub fn mean(&self) -> f64 {
        self.values.iter().map(|&v| f64::from(v)).sum::<f64>() / self.values.len().max(1) as f64
    }

    pub fn variance(&self) -> f64 {
        let mean = self.mean();
        self.values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / self.values.len().max(1) as f64
    }
}

/// The natural logarithm of a ratio of energies. What 8-bit rounding leaves in a plain area is added to both, so that plain
/// pictures give 0 and not infinity.
pub fn log_ratio(above: f64, below: f64) -> f64 {
    const ROUNDING: f64 = 1.0 / 12.0;
    ((above + ROUNDING) / (below + ROUNDING)).ln()
}
