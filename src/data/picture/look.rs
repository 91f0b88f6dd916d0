//! A picture's look: small, but with the detail and the colour that tell two covers of a series apart.
//!
//! [`Fingerprint`](super::fingerprint::Fingerprint) tells quickly which pictures are like each other from afar. A look is compared
//! after it: the covers of a series have one layout, and differ by a number or a colour only.

use image::RgbImage;

use super::align::{Placed, Plane};

/// Pixels on a side of the luminance. A digit of a 20th of the cover's height is nearly 5 of them high.
pub const SIDE: usize = 96;
/// Pixels on a side of each of the two planes of colour.
pub const TINTS: usize = 32;
/// Bytes of a look: luminance, then Cb and Cr.
pub const BYTES: usize = SIDE * SIDE + 2 * TINTS * TINTS;

/// Pixels on a side of the blocks of luminance that are compared.
const BLOCK: usize = 4;
/// Differences (root of the mean square of a block, of 255) that rounding makes; what two pictures differ by in the usual block, its
/// square so many times, is to be expected in every one; but no more than this makes.
const ROUNDING: f32 = 0.7;
const USUAL: f32 = 3.0;
const MOST_USUAL: f32 = 3.0;
/// The fine detail of a block, in units of its deviation from its smoothed self.
const SHARPNESS: f32 = 4.0;
/// The share of blocks that differ most, which say nothing of what the whole picture went through.
const APART: f64 = 0.05;
/// Pixels at the edges that are not compared: what lies beyond is smoothed into them.
const MARGIN: usize = 2;
/// The values of a plain picture lie no further apart, of 255.
const PLAIN: u8 = 10;
/// A pixel as light or dark as this may have been cut off there.
const BLACK: f32 = 3.0;
const WHITE: f32 = 252.0;

/// How far two looks are apart, after one was moved, stretched, brightened and given the contrast of the other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// The largest difference of a block of luminance, in units of what the pictures' noise and blur explain there.
    pub detail: f64,
    /// The largest difference of a block's colour: distance in the plane of Cb and Cr (0 to 255 each).
    pub colour: f64,
}

/// The look of a picture, squeezed if it is not square.
pub fn look(picture: &RgbImage) -> Vec<u8> {
    let rgb = averaged(picture);
    let luma = |[r, g, b]: [f32; 3]| 0.299 * r + 0.587 * g + 0.114 * b;
    let mut out: Vec<u8> = rgb.iter().map(|&pixel| luma(pixel).round() as u8).collect();
    // ITU-T T.871: Cb and Cr are (B - Y) / 1.772 and (R - Y) / 1.402, about 128.
    let step = SIDE / TINTS;
    let tints = (0..TINTS * TINTS).map(|i| {
        let (x, y) = (i % TINTS * step, i / TINTS * step);
        let cells = (0..step * step).map(|at| rgb[(y + at / step) * SIDE + x + at % step]);
        let [r, g, b] = cells.fold([0.0; 3], |sum, cell| std::array::from_fn(|c| sum[c] + cell[c]));
        [r, g, b].map(|sum| sum / (step * step) as f32)
    });
    let tints: Vec<[f32; 3]> = tints.collect();
    out.extend(tints.iter().map(|&pixel| ((pixel[2] - luma(pixel)) / 1.772 + 128.0).round() as u8));
    out.extend(tints.iter().map(|&pixel| ((pixel[0] - luma(pixel)) / 1.402 + 128.0).round() as u8));
    out
}

/// Mean colours of [`SIDE`] x [`SIDE`] equal parts. Exact, so that a picture gives the same at any of its sizes.
fn averaged(picture: &RgbImage) -> Vec<[f32; 3]> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let (columns, rows) = (shares(width), shares(height));
    let mut out = vec![[0.0; 3]; SIDE * SIDE];
    let mut line = vec![[0.0f32; 3]; width];
    for (to, (top, shares)) in out.chunks_exact_mut(SIDE).zip(&rows) {
        line.fill([0.0; 3]);
        for (y, share) in (*top..).zip(shares) {
            let source = &picture.as_raw()[3 * width * y..][..3 * width];
            for (sum, pixel) in line.iter_mut().zip(source.chunks_exact(3)) {
                (0..3).for_each(|c| sum[c] += share * f32::from(pixel[c]));
            }
        }
        for (cell, (left, shares)) in to.iter_mut().zip(&columns) {
            for (pixel, share) in line[*left..].iter().zip(shares) {
                (0..3).for_each(|c| cell[c] += share * pixel[c]);
            }
        }
    }
    out
}

/// For each of [`SIDE`] equal parts of `count` pixels: the first pixel that lies in it, and what share of it each has.
fn shares(count: usize) -> Vec<(usize, Vec<f32>)> {
    let part = |i: usize| {
        // In units of a SIDE-th of a pixel.
        let (start, end) = (i * count, (i + 1) * count);
        let (first, last) = (start / SIDE, end.div_ceil(SIDE));
        let share = |pixel: usize| (end.min((pixel + 1) * SIDE) - start.max(pixel * SIDE)) as f32 / count as f32;
        (first, (first..last).map(share).collect())
    };
    (0..SIDE).map(part).collect()
}

/// Whether a look is one colour all over, or nearly: no plane of it has values further apart than compression explains.
pub fn is_plain(look: &[u8]) -> bool {
    let (luma, tints) = look.split_at(SIDE * SIDE);
    let range = |plane: &[u8]| plane.iter().max().zip(plane.iter().min()).map_or(0, |(most, least)| most - least);
    [luma, &tints[..TINTS * TINTS], &tints[TINTS * TINTS..]].into_iter().all(|plane| range(plane) <= PLAIN)
}

/// How far two looks, of [`BYTES`] each, are apart. What differs in detail by no more than `enough` is not laid better.
pub fn apart(a: &[u8], b: &[u8], enough: f64) -> Apart {
    let [(luma_a, tints_a), (luma_b, tints_b)] = [a, b].map(|look| {
        let (luma, tints) = look.split_at(SIDE * SIDE);
        (Plane::of(luma, SIDE).smoothed(), tints)
    });
    let measured = |placed: Placed| (placed, detail(&placed, &luma_a, &luma_b));
    let mut best = measured(Placed::start().moved(&luma_a, &luma_b, 0));
    if best.1 > enough {
        let coarse = Placed::start().moved(&luma_a.shrunk(), &luma_b.shrunk(), 8);
        best = measured(coarse.moved(&luma_a, &luma_b, 3));
    }
    let (placed, detail) = best;
    let tints = |i: usize| {
        let plane = |tints: &[u8]| Plane::of(&tints[i * TINTS * TINTS..][..TINTS * TINTS], TINTS).smoothed();
        (placed.seen(&plane(tints_a)), plane(tints_b))
    };
    Apart { detail, colour: colour(&[tints(0), tints(1)], &placed.common(TINTS, 1)) }
}

/// The largest difference of a block, in units of what is to be expected there: what differs in the usual block, and a share of the
/// block's fine detail. What was compressed, scaled or moved by a part of a pixel differs by that everywhere. Another number differs
/// at one place.
fn detail(placed: &Placed, a: &Plane, b: &Plane) -> f64 {
    let seen = placed.seen(a);
    let common = placed.common(SIDE, MARGIN);
    let mut squares = vec![0.0; SIDE * SIDE];
    let mut middle = Plane { side: SIDE, values: vec![0.0; SIDE * SIDE] };
    for i in 0..SIDE * SIDE {
        let (was, is) = (seen.values[i], b.values[i]);
        let toned = (placed.gain * was + placed.offset).clamp(0.0, 255.0);
        middle.values[i] = (toned + is) / 2.0;
        // Brightened so far that it was cut off, a pixel may have been anything beyond.
        let (low, high) = (if was <= BLACK { 0.0 } else { toned }, if was >= WHITE { 255.0 } else { toned });
        let off = (is - high).max(0.0) + (low - is).max(0.0);
        squares[i] = if common[i] { off * off } else { 0.0 };
    }
    let soft = middle.smoothed();
    let fine = (0..SIDE * SIDE).map(|i| {
        let fine = SHARPNESS * (middle.values[i] - soft.values[i]);
        if common[i] { fine * fine } else { 0.0 }
    });
    let fine = block_means(&fine.collect::<Vec<f32>>());
    let squares = block_means(&squares);
    let mut order: Vec<f32> = squares.clone();
    let kept = ((1.0 - APART) * (order.len() - 1) as f64) as usize;
    let most = *order.select_nth_unstable_by(kept, f32::total_cmp).1;
    let usual = squares.iter().zip(&fine).filter(|(square, _)| **square <= most);
    let (lost, had, count) =
        usual.fold((0.0, 0.0, 0.0), |(lost, had, count), (square, fine)| (lost + square, had + fine, count + 1.0));
    let share = lost / f32::max(had, 1e-6);
    let noise = ROUNDING * ROUNDING + f32::min(USUAL * lost / f32::max(count, 1.0), MOST_USUAL * MOST_USUAL);
    let expected = |fine: &f32| noise + share * fine;
    let most = squares.iter().zip(&fine).map(|(square, fine)| square / expected(fine)).fold(0.0, f32::max);
    f64::from(most.sqrt())
}

/// The means of all blocks of [`BLOCK`] x [`BLOCK`] pixels, which overlap.
fn block_means(values: &[f32]) -> Vec<f32> {
    let places = SIDE - BLOCK + 1;
    let across: Vec<f32> =
        values.chunks_exact(SIDE).flat_map(|row| row.windows(BLOCK).map(|block| block.iter().sum::<f32>())).collect();
    let sum = |i: usize| (0..BLOCK).map(|row| across[i + row * places]).sum::<f32>();
    (0..places * places).map(|i| sum(i) / (BLOCK * BLOCK) as f32).collect()
}

/// The largest difference of the mean colours of 2 x 2 pixels; planes of Cb and Cr, the first picture's seen as the second.
fn colour(tints: &[(Plane, Plane); 2], common: &[bool]) -> f64 {
    let off = tints.each_ref().map(|(a, b)| {
        let off = a.values.iter().zip(&b.values).zip(common).map(|((a, b), common)| if *common { a - b } else { 0.0 });
        off.collect::<Vec<f32>>()
    });
    let mean = |off: &[f32], i: usize| (off[i] + off[i + 1] + off[i + TINTS] + off[i + TINTS + 1]) / 4.0;
    let places = (0..TINTS * (TINTS - 1)).filter(|i| i % TINTS + 1 < TINTS);
    f64::from(places.map(|i| mean(&off[0], i).hypot(mean(&off[1], i))).fold(0.0, f32::max))
}

#[cfg(test)]
mod tests;
