//! Lays one small picture over another: moved, stretched, and of the other's brightness and contrast.
//!
//! Least squares by Gauss-Newton steps, as in B. D. Lucas and T. Kanade, "An Iterative Image Registration Technique with an
//! Application to Stereo Vision" (1981), with the weights of a robust fit, so that a number that differs moves nothing.

/// A square plane of values, row by row.
#[derive(Clone, Debug)]
pub struct Plane {
    pub side: usize,
    pub values: Vec<f32>,
}

impl Plane {
    pub fn of(bytes: &[u8], side: usize) -> Self {
        Self { side, values: bytes.iter().map(|&value| f32::from(value)).collect() }
    }

    /// Each value with its neighbours: weights 1, 2, 1 across and down.
    pub fn smoothed(&self) -> Self {
        let side = self.side;
        let near = |at: usize| [at.saturating_sub(1), at, (at + 1).min(side - 1)];
        let mix = |[a, b, c]: [f32; 3]| (a + 2.0 * b + c) / 4.0;
        let across: Vec<f32> =
            (0..side * side).map(|i| mix(near(i % side).map(|x| self.values[i - i % side + x]))).collect();
        let down = (0..side * side).map(|i| mix(near(i / side).map(|y| across[y * side + i % side])));
        Self { side, values: down.collect() }
    }

    /// At a third of the size.
    pub fn shrunk(&self) -> Self {
        let side = self.side / 3;
        let cell = |i: usize| {
            let start = (i / side) * 3 * self.side + (i % side) * 3;
            (0..3).flat_map(|row| &self.values[start + row * self.side..][..3]).sum::<f32>() / 9.0
        };
        Self { side, values: (0..side * side).map(cell).collect() }
    }
}

/// How the first picture lies over the second.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// What place of the first picture is at place u of the second: 0.5 + shift + (u - 0.5) * stretch, in shares of the side;
    /// across and down.
    across: (f64, f64),
    down: (f64, f64),
    /// The second picture is about this much of the first one's values,
    pub gain: f32,
    /// and this more.
    pub offset: f32,
}

/// The most that is moved, as a share of the side; and the least and most that is stretched: crops and borders of some per cent.
const MOST_SHIFT: f64 = 0.07;
const STRETCHES: (f64, f64) = (0.88, 1.13);
/// The most of one step.
const MOST_STEP: f64 = 0.03;
/// A step smaller than this is the last one.
const LAST_STEP: f64 = 2e-4;
/// Differences of this size (of 255) have half a say.
const HALF_A_SAY: f32 = 15.0;
/// Keeps what nothing in the picture fixes where it is.
const DAMPING: f64 = 0.05;

impl Placed {
    /// One on the other as they are.
    pub fn start() -> Self {
        Self { across: (0.0, 1.0), down: (0.0, 1.0), gain: 1.0, offset: 0.0 }
    }

    /// Better placed, by at most so many steps.
    pub fn moved(mut self, a: &Plane, b: &Plane, steps: usize) -> Self {
        let side = b.side;
        for _ in 0..steps {
            let seen = self.seen(a);
            let common = self.common(side, 1);
            self.tone(&seen, b, &common);
            let mut sums = Sums::default();
            for y in 1..side - 1 {
                let v = (y as f32 + 0.5) / side as f32 - 0.5;
                for x in 1..side - 1 {
                    let i = y * side + x;
                    if !common[i] {
                        continue;
                    }
                    let u = (x as f32 + 0.5) / side as f32 - 0.5;
                    let slope = self.gain * side as f32 / 2.0;
                    let right = (seen.values[i + 1] - seen.values[i - 1]) * slope / self.across.1 as f32;
                    let below = (seen.values[i + side] - seen.values[i - side]) * slope / self.down.1 as f32;
                    let off = b.values[i] - self.gain * seen.values[i] - self.offset;
                    sums.add([right, right * u, below, below * v, seen.values[i], 1.0], off, say(off));
                }
            }
            let Some(step) = sums.solved(DAMPING * (side * side) as f64) else { break };
            let step = step.map(|step| step.clamp(-MOST_STEP, MOST_STEP));
            let place = |(shift, stretch): (f64, f64), step: &[f64]| {
                let stretch = (stretch + step[1]).clamp(STRETCHES.0, STRETCHES.1);
                ((shift + step[0]).clamp(-MOST_SHIFT, MOST_SHIFT), stretch)
            };
            (self.across, self.down) = (place(self.across, &step[..2]), place(self.down, &step[2..4]));
            if step[..4].iter().all(|step| step.abs() < LAST_STEP) {
                break;
            }
        }
        let (seen, common) = (self.seen(a), self.common(side, 1));
        self.tone(&seen, b, &common);
        self
    }

    /// Finds gain and offset: twice, the second time without the say of what does not fit.
    fn tone(&mut self, seen: &Plane, b: &Plane, common: &[bool]) {
        let pairs =
            || seen.values.iter().zip(&b.values).zip(common).filter(|(_, common)| **common).map(|(pair, _)| pair);
        for round in 0..2 {
            let mut sums = [0.0f64; 5];
            for (&a, &b) in pairs() {
                let weight = if round == 0 { 1.0 } else { f64::from(say(b - self.gain * a - self.offset)) };
                let (a, b) = (f64::from(a), f64::from(b));
                for (sum, value) in sums.iter_mut().zip([1.0, a, b, a * b, a * a]) {
                    *sum += weight * value;
                }
            }
            let [n, a, b, ab, aa] = sums;
            let spread = aa - a * a / n.max(1e-9);
            let gain = if spread > 1e-6 { (ab - a * b / n) / spread } else { 1.0 };
            (self.gain, self.offset) = (gain as f32, ((b - gain * a) / n.max(1e-9)) as f32);
        }
    }

    /// The first picture as it lies over the second: cubic, a = -0.5.
    pub fn seen(&self, a: &Plane) -> Plane {
        let side = a.side;
        let (columns, rows) = (taps(self.across, side), taps(self.down, side));
        let mut across = vec![0.0; side * side];
        for (to, from) in across.chunks_exact_mut(side).zip(a.values.chunks_exact(side)) {
            for (to, (places, weights)) in to.iter_mut().zip(&columns) {
                *to = (0..4).map(|i| weights[i] * from[places[i]]).sum();
            }
        }
        let mut values = vec![0.0; side * side];
        for (to, (places, weights)) in values.chunks_exact_mut(side).zip(&rows) {
            let lines = places.map(|place| &across[place * side..][..side]);
            for (x, to) in to.iter_mut().enumerate() {
                *to = (0..4).map(|i| weights[i] * lines[i][x]).sum();
            }
        }
        Plane { side, values }
    }

    /// Which places of the second picture lie in the first too, at least `margin` pixels from the edges of both.
    pub fn common(&self, side: usize, margin: usize) -> Vec<bool> {
        let last = (side - 1 - margin) as f64 + 0.01;
        let within = |place: (f64, f64)| -> Vec<bool> {
            let inner = |i: usize| {
                let at = at(place, side, i);
                (margin..side - margin).contains(&i) && at >= margin as f64 - 0.01 && at <= last
            };
            (0..side).map(inner).collect()
        };
        let (columns, rows) = (within(self.across), within(self.down));
        rows.iter().flat_map(|&row| columns.iter().map(move |&column| row && column)).collect()
    }
}

fn say(off: f32) -> f32 {
    1.0 / (1.0 + (off / HALF_A_SAY).powi(2))
}

/// The pixel of the first picture, with its part, that lies at pixel `i` of the second.
fn at((shift, stretch): (f64, f64), side: usize, i: usize) -> f64 {
    let u = (i as f64 + 0.5) / side as f64;
    (0.5 + shift + (u - 0.5) * stretch) * side as f64 - 0.5
}

/// For each pixel the four that it is made of, and their weights.
fn taps(place: (f64, f64), side: usize) -> Vec<([usize; 4], [f32; 4])> {
    let tap = |i: usize| {
        let at = at(place, side, i);
        let t = (at - at.floor()) as f32;
        let places = [-1.0, 0.0, 1.0, 2.0].map(|more| (at.floor() + more).clamp(0.0, (side - 1) as f64) as usize);
        let (t2, t3) = (t * t, t * t * t);
        let weights =
            [-0.5 * t + t2 - 0.5 * t3, 1.0 - 2.5 * t2 + 1.5 * t3, 0.5 * t + 2.0 * t2 - 1.5 * t3, -0.5 * t2 + 0.5 * t3];
        (places, weights)
    };
    (0..side).map(tap).collect()
}

/// The normal equations of six unknowns: four of the place, gain and offset.
#[derive(Default)]
struct Sums {
    products: [[f64; 6]; 6],
    right: [f64; 6],
}

impl Sums {
    fn add(&mut self, slopes: [f32; 6], off: f32, weight: f32) {
        for i in 0..6 {
            let weighted = f64::from(weight * slopes[i]);
            for (product, &slope) in self.products[i].iter_mut().zip(&slopes).skip(i) {
                *product += weighted * f64::from(slope);
            }
            self.right[i] += weighted * f64::from(off);
        }
    }

    /// The unknowns, by elimination; none where the picture is plain.
    fn solved(mut self, damping: f64) -> Option<[f64; 6]> {
        for i in 0..6 {
            for j in 0..i {
                self.products[i][j] = self.products[j][i];
            }
            if i < 4 {
                self.products[i][i] += damping;
            }
        }
        let Self { mut products, mut right } = self;
        for i in 0..6 {
            if products[i][i].abs() < 1e-9 {
                return None;
            }
            for row in i + 1..6 {
                let factor = products[row][i] / products[i][i];
                let above = products[i];
                products[row].iter_mut().zip(above).skip(i).for_each(|(product, above)| *product -= factor * above);
                right[row] -= factor * right[i];
            }
        }
        for i in (0..6).rev() {
            let known: f64 = (i + 1..6).map(|j| products[i][j] * right[j]).sum();
            right[i] = (right[i] - known) / products[i][i];
        }
        Some(right)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A smooth picture; `at` maps a place (shares of the side) to where it is looked up.
    fn waves(side: usize, at: impl Fn(f64, f64) -> (f64, f64), tone: impl Fn(f64) -> f64) -> Plane {
        let value = |i: usize| {
            let (x, y) = at((i % side) as f64 / side as f64 - 0.5, (i / side) as f64 / side as f64 - 0.5);
            tone(120.0 + 60.0 * (9.0 * x + 4.0 * y).sin() + 40.0 * (11.0 * y - 5.0 * x).cos()) as f32
        };
        Plane { side, values: (0..side * side).map(value).collect() }
    }

    #[test]
    fn a_picture_that_was_moved_stretched_and_brightened_is_laid_over_the_other() {
        let a = waves(48, |x, y| (x, y), |v| v);
        let b = waves(48, |x, y| (0.02 + 0.96 * x, 1.03 * y - 0.01), |v| 0.9 * v + 12.0);
        let placed = Placed::start().moved(&a, &b, 20);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 2e-3, "{a} {b}, {placed:?}");
        near(placed.across.1, 0.96);
        near(placed.down.1, 1.03);
        near(placed.across.0, 0.02 - 0.04 * 0.5 / 48.0);
        near(placed.down.0, -0.01 + 0.03 * 0.5 / 48.0);
        assert!((placed.gain - 0.9).abs() < 5e-3 && (placed.offset - 12.0).abs() < 0.6, "{placed:?}");
        let (seen, common) = (placed.seen(&a), placed.common(48, 2));
        for i in (0..48 * 48).filter(|&i| common[i]) {
            assert!((placed.gain * seen.values[i] + placed.offset - b.values[i]).abs() < 1.5, "{i}");
        }
        // A place that is not in both is not common: b goes beyond a at the top and bottom.
        assert!(!common[2 * 48 + 24] && common[24 * 48 + 24]);
    }

    #[test]
    fn a_plain_picture_stays_where_it_is() {
        let plain = Plane { side: 48, values: vec![7.0; 48 * 48] };
        let placed = Placed::start().moved(&plain, &plain, 5);
        assert_eq!((placed.across, placed.down), ((0.0, 1.0), (0.0, 1.0)));
        assert!(placed.gain.is_finite() && placed.offset.is_finite());
    }
}
