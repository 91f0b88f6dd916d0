//! Which squares of a data set show the same picture, also after it was scaled, compressed, brightened, cropped or mirrored?
//!
//! Two steps. Perceptual hashes of each whole square and of some of its *windows*, also mirrored, propose pairs: a picture that
//! was cropped is near a window of the other. Then the window is moved until the two correlate best, which decides.

use std::collections::HashMap;

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma};
use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::data::import::duplicates::LEAST_CONTRAST;
use crate::data::picture::fingerprint::{self, contrast, correlation, distance, perceptual_hash};
use crate::data::set::disjoint::Disjoint;
use crate::data::{Cover, Dataset};

/// How one picture came from the other, as far as can be seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The same bytes.
    Copy,
    /// The same picture of the same size, compressed again.
    ReEncoded,
    /// The same picture of another size.
    Resized,
    /// Of another brightness or contrast.
    Altered,
    /// A part of the other.
    Cropped,
    /// Left and right are exchanged.
    Mirrored,
}

/// Two covers (by their numbers in the manifest, the smaller one first) that show the same picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    pub first: usize,
    pub second: usize,
    pub kind: Kind,
    /// Pearson's correlation of the small grey pictures, the one cropped and mirrored as fits best; 1 of copies.
    pub correlation: f64,
}

/// Grey pictures that are compared are this many pixels wide and high.
const SIDE: usize = 64;
type Grey = Vec<u8>;

/// Hashes that differ in more bits are not compared further.
const MOST_DISTANT: u32 = 14;
/// Aligned pictures that correlate less are different.
const LEAST_CORRELATION: f64 = 0.95;
/// Pictures that correlate so without being moved need not be.
const CERTAIN: f64 = 0.985;
/// Median correlation, over blocks of the aligned pictures, of what is left when their blurred selves are taken away: covers of
/// a series share a layout, labels of records are round, a dark picture with a bright spot is like another one, but details
/// differ.
const LEAST_DETAIL: f64 = 0.6;
/// Blocks whose details are weaker than this (standard deviation, of 255) are passed over: they are compression's.
const LEAST_DETAIL_CONTRAST: f64 = 3.0;
/// With fewer blocks than this details are not asked.
const LEAST_BLOCKS: usize = 4;
/// Before alignment at least this much, or there is no slope to climb.
const LEAST_BEFORE: f64 = 0.4;
/// Rows of the table of all pairs that are compared at a time, for each core.
const ROWS: usize = 32;
/// Of groups that are larger than this not every pair is compared: a picture that is there a thousand times over would make
/// half a million of them.
const MOST_IN_FULL: usize = 20;

/// A square part of a square picture.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    mirrored: bool,
    /// Its side, and the place of its left upper corner, as shares of the whole's side.
    side: f64,
    x: f64,
    y: f64,
}

const WHOLE: Window = Window { mirrored: false, side: 1.0, x: 0.0, y: 0.0 };
/// The side of windows that propose pairs: near enough to crops of 3 to 14 per cent.
const INNER: f64 = 0.92;
/// Smaller parts than this are not looked for.
const LEAST_SIDE: f64 = 0.8;

/// The whole first; then what a crop at the middle, or of two neighbouring edges, leaves; and all of them mirrored.
fn windows() -> Vec<Window> {
    let rest = 1.0 - INNER;
    let parts = [(0.5, 0.5), (0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)];
    let parts = parts.map(|(x, y)| Window { mirrored: false, side: INNER, x: x * rest, y: y * rest });
    let plain: Vec<Window> = [WHOLE].into_iter().chain(parts).collect();
    let mirrored = plain.clone().into_iter().map(|window| Window { mirrored: true, ..window });
    plain.iter().copied().chain(mirrored).collect()
}

/// All pairs of `dataset` that show the same picture, in the order of their numbers. Looks at the squares of its pack, so the
/// files need not be there any more. `progress(done, total)` counts rows of the table of all pairs.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if a square is damaged.
pub fn find(dataset: &Dataset, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Vec<Pair>> {
    let covers = &dataset.manifest.covers;
    let mut pairs = Vec::new();
    let mut groups = Disjoint::new(covers.len());
    let mut first_of: HashMap<blake3::Hash, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (i, cover) in covers.iter().enumerate() {
        match first_of.get(&cover.hash) {
            Some(&first) => {
                pairs.push(Pair { first, second: i, kind: Kind::Copy, correlation: 1.0 });
                groups.join(first, i);
            }
            None => {
                first_of.insert(cover.hash, i);
                distinct.push(i);
            }
        }
    }
    let windows = windows();
    let size = dataset.pack.size();
    let hashed = |&cover: &usize| {
        let square = match dataset.pack.image(cover) {
            Ok(square) => square,
            Err(e) => return Some(Err(e)),
        };
        let grey = grey(size, square);
        let of_window = |window: &Window| perceptual_hash(&sampled(&grey, *window));
        (contrast(&grey) >= LEAST_CONTRAST)
            .then(|| Ok(Hashed { cover, square, windows: windows.iter().map(of_window).collect() }))
    };
    let hashed: Vec<Hashed> = distinct.par_iter().filter_map(hashed).collect::<Result<_>>()?;

    let all: Vec<usize> = (0..hashed.len()).collect();
    let mut done = 0;
    for rows in all.chunks(ROWS * rayon::current_num_threads()) {
        let roots: Vec<usize> = hashed.iter().map(|hashed| groups.root(hashed.cover)).collect();
        let mut members: HashMap<usize, usize> = HashMap::new();
        roots.iter().for_each(|&root| *members.entry(root).or_default() += 1);
        let of_row = |&a: &usize| -> Vec<Pair> {
            let known = members[&roots[a]] > MOST_IN_FULL;
            let others = (a + 1..hashed.len()).filter(|&b| !(known && roots[a] == roots[b]));
            others.filter_map(|b| compare(dataset, &hashed[a], &hashed[b], &windows)).collect()
        };
        for pair in rows.par_iter().map(of_row).collect::<Vec<_>>().into_iter().flatten() {
            groups.join(pair.first, pair.second);
            pairs.push(pair);
        }
        done += rows.len();
        progress(done, hashed.len());
    }
    pairs.sort_by_key(|pair| (pair.first, pair.second));
    Ok(pairs)
}

/// A cover with the hashes of its windows.
struct Hashed<'a> {
    cover: usize,
    square: &'a [u8],
    windows: Vec<u64>,
}

/// The pair, if the two covers show the same picture.
fn compare(dataset: &Dataset, a: &Hashed, b: &Hashed, windows: &[Window]) -> Option<Pair> {
    // A mirrored picture is found from either side, so one of them is enough.
    let (of_a, of_b) = (&a.windows, &b.windows);
    let forwards = of_a.iter().map(|&hash| distance(hash, of_b[0])).zip(windows).map(|at| (at, false));
    let backwards = of_b.iter().map(|&hash| distance(hash, of_a[0])).zip(windows).map(|at| (at, true)).skip(1);
    let ((bits, &window), swapped) = forwards.chain(backwards).min_by_key(|((bits, _), _)| *bits)?;
    if bits > MOST_DISTANT {
        return None;
    }
    let (part, whole) = if swapped { (b, a) } else { (a, b) };
    let [part, whole] = [part, whole].map(|hashed| grey(dataset.pack.size(), hashed.square));
    let start = windows.iter().filter(|start| start.mirrored == window.mirrored);
    let (window, correlation) = aligned(&part, &whole, start)?;
    if correlation < LEAST_CORRELATION || !details_agree(&part, &whole, window) {
        return None;
    }
    let covers = &dataset.manifest.covers;
    let kind = kind(&covers[a.cover], &covers[b.cover], &part, &whole, window);
    Some(Pair { first: a.cover, second: b.cover, kind, correlation: (correlation * 1e4).round() / 1e4 })
}

fn kind(a: &Cover, b: &Cover, part: &Grey, whole: &Grey, window: Window) -> Kind {
    let mean = |grey: &[u8]| grey.iter().map(|&v| f64::from(v)).sum::<f64>() / grey.len() as f64;
    let (seen, whole) = (sampled(part, window), sampled(whole, WHOLE));
    if window.mirrored {
        Kind::Mirrored
    } else if window.side < 0.985 {
        Kind::Cropped
    } else if (mean(&seen) - mean(&whole)).abs() > 6.0
        || (contrast(&seen) / contrast(&whole).max(1.0)).ln().abs() > 0.12
    {
        Kind::Altered
    } else if (a.width, a.height) != (b.width, b.height) {
        Kind::Resized
    } else {
        Kind::ReEncoded
    }
}

/// The luminance of a square of `size` pixels at [`SIDE`].
fn grey(size: u32, square: &[u8]) -> Grey {
    let full = GrayImage::from_fn(size, size, |x, y| {
        let at = 3 * (y * size + x) as usize;
        let [r, g, b] = [0, 1, 2].map(|channel| u32::from(square[at + channel]));
        Luma([((299 * r + 587 * g + 114 * b + 500) / 1000) as u8])
    });
    imageops::resize(&full, SIDE as u32, SIDE as u32, FilterType::Triangle).into_raw()
}

/// A window of a grey picture, `COUNT` pixels in all, as many on each side.
fn resampled<const COUNT: usize>(grey: &[u8], window: Window) -> [u8; COUNT] {
    let side = (COUNT as f64).sqrt() as usize;
    let mut out = [0; COUNT];
    // Places of four samples in each of its pixels, so that none of the source is passed over.
    let last = (SIDE - 1) as f64;
    let place = |start: f64, n: usize| {
        let at = (start + window.side * (n as f64 + 0.5) / (2 * side) as f64) * SIDE as f64 - 0.5;
        let at = at.clamp(0.0, last);
        let low = (at as usize).min(SIDE - 2);
        (low, at - low as f64)
    };
    let columns: Vec<(usize, f64)> = (0..2 * side).map(|n| place(window.x, n)).collect();
    let rows: Vec<(usize, f64)> = (0..2 * side).map(|n| place(window.y, n)).collect();
    let mut sums = vec![0.0; COUNT];
    for (v, &(y, down)) in rows.iter().enumerate() {
        let (upper, lower) = (&grey[y * SIDE..][..SIDE], &grey[(y + 1) * SIDE..][..SIDE]);
        for (u, &(x, right)) in columns.iter().enumerate() {
            let mixed = |row: &[u8]| f64::from(row[x]) * (1.0 - right) + f64::from(row[x + 1]) * right;
            let to = if window.mirrored { side - 1 - u / 2 } else { u / 2 };
            sums[v / 2 * side + to] += mixed(upper) * (1.0 - down) + mixed(lower) * down;
        }
    }
    out.iter_mut().zip(sums).for_each(|(to, sum)| *to = (sum / 4.0).round() as u8);
    out
}

fn sampled(grey: &Grey, window: Window) -> [u8; fingerprint::BYTES] {
    resampled(grey, window)
}

/// The window of `part` that correlates best with all of `whole`: the best one of `start`, the first of which is the whole, is
/// moved, grown and shrunk in ever smaller steps. None if none is a beginning.
fn aligned<'w>(part: &Grey, whole: &Grey, start: impl Iterator<Item = &'w Window>) -> Option<(Window, f64)> {
    let whole = sampled(whole, WHOLE);
    let score = |window: Window| correlation(&sampled(part, window), &whole);
    let scored: Vec<(Window, f64)> = start.map(|&window| (window, score(window))).collect();
    let mut best = *scored.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    // What agrees as it is was not cropped.
    if scored[0].1 >= CERTAIN {
        return Some(scored[0]);
    }
    if best.1 < LEAST_BEFORE {
        return None;
    }
    let mut step = 0.04;
    while step > 0.004 {
        let Window { side, x, y, .. } = best.0;
        let moves = [(0.0, 0.0, -1.0), (0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (0.0, 1.0, 0.0)];
        // A window grows and shrinks about its middle.
        let sizes = [(-1.0, 0.5, 0.5), (1.0, -0.5, -0.5)];
        let near = moves.into_iter().chain(sizes).map(|(grow, right, down)| {
            let side = (side + grow * step).clamp(LEAST_SIDE, 1.0);
            let within = |at: f64| at.clamp(0.0, 1.0 - side);
            Window { side, x: within(x + right * step), y: within(y + down * step), ..best.0 }
        });
        let next = near.map(|window| (window, score(window))).max_by(|a, b| a.1.total_cmp(&b.1))?;
        if next.1 > best.1 + 1e-6 {
            best = next;
        } else {
            step /= 2.0;
        }
    }
    Some(best)
}

/// Whether the details agree too, where there are any: block by block, so that one strong outline that both have, such as a
/// record on black, cannot speak for all.
fn details_agree(part: &Grey, whole: &Grey, window: Window) -> bool {
    const SIDE: usize = 48;
    const BLOCK: usize = 8;
    let [a, b] = [resampled::<{ SIDE * SIDE }>(part, window), resampled(whole, WHOLE)].map(|grey| details(&grey, SIDE));
    let block = |picture: &[u8], x: usize, y: usize| -> Vec<u8> {
        (0..BLOCK).flat_map(|row| picture[(y + row) * SIDE + x..][..BLOCK].iter().copied()).collect()
    };
    let places = (0..SIDE / BLOCK).flat_map(|y| (0..SIDE / BLOCK).map(move |x| (x * BLOCK, y * BLOCK)));
    let mut agreement: Vec<f64> = places
        .map(|(x, y)| (block(&a, x, y), block(&b, x, y)))
        .filter(|(a, b)| contrast(a).max(contrast(b)) >= LEAST_DETAIL_CONTRAST)
        .map(|(a, b)| correlation(&a, &b))
        .collect();
    agreement.sort_by(f64::total_cmp);
    // With details in a few places only there is too little to ask.
    agreement.len() < LEAST_BLOCKS || agreement[agreement.len() / 2] >= LEAST_DETAIL
}

/// What is left of a grey picture without the mean of each pixel's 7 x 7 neighbours, about 128.
fn details(grey: &[u8], side: usize) -> Vec<u8> {
    let reach = 3;
    let range = |at: usize| at.saturating_sub(reach)..(at + reach + 1).min(side);
    (0..grey.len())
        .map(|i| {
            let (x, y) = (i % side, i / side);
            let sum: u32 = range(y).flat_map(|v| range(x).map(move |u| u32::from(grey[v * side + u]))).sum();
            let mean = f64::from(sum) / (range(x).len() * range(y).len()) as f64;
            (f64::from(grey[i]) - mean + 128.0).round().clamp(0.0, 255.0) as u8
        })
        .collect()
}
