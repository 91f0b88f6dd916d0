//! What frequencies a picture has, and what periods scaling left in it.

use std::f32::consts::TAU;
use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlannerScalar};

use super::plane::{Plane, log_ratio};

/// Where rings of the spectrum end, in cycles per pixel; the first is the reference's beginning only.
const RINGS: [f32; 11] = [0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.35, 0.40, 0.45, 0.50, 0.71];
/// The lowest frequency that counts for the reference: below lies the picture's layout.
const LOWEST: f32 = 0.02;
/// Where bands of periods end.
const BANDS: [f32; 5] = [0.08, 0.19, 0.30, 0.41, 0.501];

/// Fourier transforms of one size. The scalar ones, since those of different processors' vector units differ in their last bits.
pub struct Transforms {
    size: usize,
    square: Arc<dyn Fft<f32>>,
    /// For the series of second differences, two shorter.
    series: Arc<dyn Fft<f32>>,
    /// Hann's window, so that the picture's opposite edges do not meet in a step.
    window: Vec<f32>,
}

impl Transforms {
    pub fn new(size: usize) -> Self {
        let mut planner = FftPlannerScalar::new();
        let window = (0..size).map(|i| 0.5 - 0.5 * (TAU * (i as f32 + 0.5) / size as f32).cos()).collect();
        Self { size, square: planner.plan_fft_forward(size), series: planner.plan_fft_forward(size - 2), window }
    }

    /// Mean power in each ring against that of the whole spectrum, logarithms: ten numbers.
    pub fn rings(&self, luma: &Plane) -> Vec<f64> {
        let size = self.size;
        let mean = luma.mean() as f32;
        let windowed = |i: usize| (luma.values[i] - mean) * self.window[i % size] * self.window[i / size];
        let mut spectrum: Vec<Complex<f32>> = (0..size * size).map(|i| Complex::new(windowed(i), 0.0)).collect();
        let mut scratch = vec![Complex::default(); self.square.get_inplace_scratch_len()];
        self.square.process_with_scratch(&mut spectrum, &mut scratch);
        let mut turned: Vec<Complex<f32>> = (0..size * size).map(|i| spectrum[i % size * size + i / size]).collect();
        self.square.process_with_scratch(&mut turned, &mut scratch);

        let frequency = |i: usize| i.min(size - i) as f32 / size as f32;
        let mut power = [0.0_f64; RINGS.len()];
        let mut count = [0_u32; RINGS.len()];
        for (i, value) in turned.iter().enumerate() {
            let radius = frequency(i % size).hypot(frequency(i / size));
            if radius < LOWEST {
                continue;
            }
            let ring = RINGS.iter().position(|&end| radius < end).unwrap_or(RINGS.len() - 1);
            power[ring] += f64::from(value.norm_sqr());
            count[ring] += 1;
        }
        // Per pixel of the picture and weight of the window, so that rounding's share is the same at every size.
        let scale = (size as f64).powi(2) * (3.0 / 8.0_f64).powi(2);
        let all = power.iter().sum::<f64>() / scale / f64::from(count.iter().sum::<u32>().max(1));
        (1..RINGS.len()).map(|ring| log_ratio(power[ring] / scale / f64::from(count[ring].max(1)), all)).collect()
    }

    /// The strongest period of all and of each band: five numbers.
    ///
    /// Interpolated pixels are sums of their neighbours, more so at some places than at others, and these places repeat. The
    /// mean size of second differences along rows, as a function of the column, then has a line in its spectrum (Gallagher 2005,
    /// "Detection of linear and cubic interpolation in JPEG compressed images"; Kirchner 2008 reads the same from a fixed linear
    /// predictor). So do the seams of JPEG's blocks, at whatever distance scaling left them. Logarithms are averaged instead of
    /// sizes, or a single hard edge in the picture would drown the rest.
    pub fn periods(&self, luma: &Plane) -> Vec<f64> {
        let rows = self.magnitudes(luma);
        let columns = self.magnitudes(&luma.turned());
        let both: Vec<f32> = rows.iter().zip(&columns).map(|(a, b)| a + b).collect();
        let length = self.size - 2;
        let frequency = |i: usize| i as f32 / length as f32;
        let inside = |low: f32, high: f32| {
            both.iter().enumerate().filter(move |&(i, _)| (low..high).contains(&frequency(i))).map(|(_, &m)| m)
        };
        let mut sorted: Vec<f32> = inside(BANDS[0], BANDS[4]).collect();
        sorted.sort_by(f32::total_cmp);
        let middle = f64::from(sorted[sorted.len() / 2]).max(1e-6);
        let peak = |low: f32, high: f32| (f64::from(inside(low, high).fold(0.0, f32::max)).max(1e-6) / middle).ln();
        let bands = (0..4).map(|band| peak(BANDS[band], BANDS[band + 1]));
        [peak(BANDS[0], BANDS[4])].into_iter().chain(bands).collect()
    }

    /// Magnitudes of the spectrum of the second differences' mean logarithm, up to half a cycle per pixel.
    fn magnitudes(&self, plane: &Plane) -> Vec<f32> {
        let length = self.size - 2;
        let mut series = vec![0.0_f32; length];
        for row in plane.values.chunks_exact(self.size) {
            for (sum, three) in series.iter_mut().zip(row.windows(3)) {
                *sum += (1.0 + (2.0 * three[1] - three[0] - three[2]).abs()).ln();
            }
        }
        // What changes slowly is where the picture has its detail, not how it was scaled.
        let smooth = |i: usize| {
            let (first, last) = (i.saturating_sub(SMOOTH), (i + SMOOTH).min(length - 1));
            series[first..=last].iter().sum::<f32>() / (last - first + 1) as f32
        };
        let mut values: Vec<Complex<f32>> =
            (0..length).map(|i| Complex::new((series[i] - smooth(i)) / self.size as f32, 0.0)).collect();
        self.series.process(&mut values);
        values[..=length / 2].iter().map(|v| v.norm()).collect()
    }
}

/// Half the width of the running mean that is taken off a series, in pixels: longer than the longest period looked for.
const SMOOTH: usize = 8;
