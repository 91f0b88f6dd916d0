//! Noisy linear imputation (Rong and others, 2022), without its noise: each missing pixel is the weighted mean of its
//! neighbours, 1/6 for those beside it and 1/12 for those across the corner, over the ones that lie in the picture. That
//! is a sparse symmetric system of linear equations with a solution as smooth as the picture allows.
//!
//! It is solved by conjugate gradients, from a coarse picture to fine ones: half the size is solved first and is where the
//! full size begins (Bornemann and Deuflhard, 1996, "The cascadic multigrid method for elliptic problems"), so that large
//! holes do not take as many steps as they are wide.

use crate::explain::render::resized;
use crate::explain::scorer::CHANNELS;

const SIDE: f32 = 1.0 / 6.0;
const CORNER: f32 = 1.0 / 12.0;
/// Root of the mean square by which the equations may be missed, in units of the normalised picture.
const TOLERANCE: f64 = 1e-5;
/// Pictures this small begin with the mean of what is known.
const SMALL: usize = 4;

/// Fills in the pixels that are missing in a normalised picture, `height x width x 4`, where the fourth channel is left alone.
/// If nothing is known, all becomes 0, the mean colour.
pub fn impute(picture: &mut [f32], missing: &[bool], width: usize, height: usize) {
    for c in 0..CHANNELS - 1 {
        let mut plane: Vec<f32> = picture.iter().skip(c).step_by(CHANNELS).copied().collect();
        solve(&mut plane, missing, width, height);
        picture.iter_mut().skip(c).step_by(CHANNELS).zip(plane).for_each(|(to, value)| *to = value);
    }
}

fn solve(plane: &mut [f32], missing: &[bool], width: usize, height: usize) {
    let known = || plane.iter().zip(missing).filter(|(_, missing)| !**missing).map(|(v, _)| v);
    let count = known().count();
    if count == plane.len() {
        return;
    }
    let first = if width.max(height) <= SMALL || count == 0 {
        let mean = known().sum::<f32>() / count.max(1) as f32;
        vec![mean; plane.len()]
    } else {
        from_half(plane, missing, width, height)
    };
    plane
        .iter_mut()
        .zip(missing)
        .zip(first)
        .filter(|((_, missing), _)| **missing)
        .for_each(|((v, _), first)| *v = first);
    if count > 0 {
        conjugate_gradients(plane, &Grid::new(missing, width, height));
    }
}

/// The solution at half the size, where a pixel is known if one of its four is, brought back to this size.
fn from_half(plane: &[f32], missing: &[bool], width: usize, height: usize) -> Vec<f32> {
    let (w, h) = (width.div_ceil(2), height.div_ceil(2));
    let (mut sums, mut counts) = (vec![0.0_f32; w * h], vec![0_u8; w * h]);
    for (place, (&value, _)) in plane.iter().zip(missing).enumerate().filter(|(_, (_, missing))| !**missing) {
        let half = place / width / 2 * w + place % width / 2;
        sums[half] += value;
        counts[half] += 1;
    }
    let mut half: Vec<f32> = sums.iter().zip(&counts).map(|(sum, &n)| sum / f32::from(n.max(1))).collect();
    let gone: Vec<bool> = counts.iter().map(|&n| n == 0).collect();
    solve(&mut half, &gone, w, h);
    let double = resized(&half, w, h, 2 * w as u32, 2 * h as u32);
    double.chunks(2 * w).take(height).flat_map(|row| &row[..width]).copied().collect()
}

/// Which pixels are missing. All planes have a border of zeros, one pixel wide, so that no neighbour needs a look at its place.
struct Grid {
    width: usize,
    height: usize,
    /// 1 where a pixel is missing.
    missing: Vec<f32>,
    /// The weights of the neighbours that lie in the picture, added up.
    total: Vec<f32>,
}

impl Grid {
    fn new(missing: &[bool], width: usize, height: usize) -> Self {
        let mut grid = Self { width, height, missing: vec![], total: vec![] };
        let missing: Vec<f32> = missing.iter().map(|&m| f32::from(u8::from(m))).collect();
        grid.missing = grid.bordered(&missing);
        let ones = grid.bordered(&vec![1.0; width * height]);
        grid.total = vec![0.0; ones.len()];
        let mut sums = vec![0.0; ones.len()];
        grid.excess(&ones, &mut sums);
        // With a total of 0 the excess of ones is the sum of the neighbours' weights, where a pixel is missing.
        grid.total = sums;
        grid
    }

    fn bordered(&self, plane: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; (self.width + 2) * (self.height + 2)];
        for (row, values) in out.chunks_mut(self.width + 2).skip(1).zip(plane.chunks(self.width)) {
            row[1..=self.width].copy_from_slice(values);
        }
        out
    }

    /// For each missing pixel, the sum of its neighbours by their weights less the total weight times the pixel: 0 everywhere is
    /// what we want. Other pixels get 0.
    fn excess(&self, plane: &[f32], out: &mut [f32]) {
        let (n, stride) = (self.width, self.width + 2);
        for y in 1..=self.height {
            let row = |y: usize| &plane[y * stride..][..stride];
            let (up, here, down) = (row(y - 1), row(y), row(y + 1));
            let inner = |of: &[f32]| -> std::ops::Range<usize> { y * stride + 1..y * stride + 1 + of.len() - 2 };
            let range = inner(here);
            let (missing, total, out) = (&self.missing[range.clone()], &self.total[range.clone()], &mut out[range]);
            for x in 0..n {
                let side = up[x + 1] + down[x + 1] + here[x] + here[x + 2];
                let corner = up[x] + up[x + 2] + down[x] + down[x + 2];
                out[x] = missing[x] * (SIDE * side + CORNER * corner - total[x] * here[x + 1]);
            }
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    // Eight sums side by side, which the compiler turns into vectors; f32 within a row is exact enough.
    let rows = a.chunks(1024).zip(b.chunks(1024));
    rows.map(|(a, b)| {
        let mut sums = [0.0_f32; 8];
        for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
            (0..8).for_each(|i| sums[i] += a[i] * b[i]);
        }
        let rest = a.len() / 8 * 8;
        let rest: f32 = a[rest..].iter().zip(&b[rest..]).map(|(a, b)| a * b).sum();
        f64::from(sums.iter().sum::<f32>() + rest)
    })
    .sum()
}

/// Hestenes and Stiefel's method on the missing pixels. The matrix is symmetric, and positive definite since something is known.
fn conjugate_gradients(plane: &mut [f32], grid: &Grid) {
    let mut x = grid.bordered(plane);
    let mut residual = vec![0.0; x.len()];
    grid.excess(&x, &mut residual);
    let (mut direction, mut image) = (residual.clone(), vec![0.0; x.len()]);
    let count: f64 = grid.missing.iter().map(|&m| f64::from(m)).sum();
    let mut square = dot(&residual, &residual);
    // In exact arithmetic there are no more steps than unknowns, and from a good beginning far fewer.
    let most = 4 * (grid.width + grid.height);
    for _ in 0..most {
        if square <= count * TOLERANCE * TOLERANCE {
            break;
        }
        grid.excess(&direction, &mut image);
        let along = -dot(&direction, &image);
        if along <= 0.0 {
            break;
        }
        let step = (square / along) as f32;
        x.iter_mut().zip(&direction).for_each(|(x, d)| *x += step * d);
        residual.iter_mut().zip(&image).for_each(|(r, a)| *r += step * a);
        let next = dot(&residual, &residual);
        let share = (next / square) as f32;
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + share * *d);
        square = next;
    }
    let rows = x.chunks(grid.width + 2).skip(1);
    for (to, row) in plane.chunks_mut(grid.width).zip(rows) {
        to.copy_from_slice(&row[1..=grid.width]);
    }
}
