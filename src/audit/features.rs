//! Pixel facts: what the squares that a network is fed tell of how they were made.
//!
//! Every number is a ratio against the picture's own energy, or a shape without a scale, so that loud and quiet pictures count
//! alike. Content still bears on some of them (fine print has other spectra than a plain sleeve), which is why none counts as a
//! fact about the making alone.

mod grid;
mod plane;
mod residual;
mod spectrum;

use std::sync::atomic::{AtomicUsize, Ordering};

use plane::Planes;
use rayon::prelude::*;
use spectrum::Transforms;

use super::table::{Column, Nature, Table};
use crate::Result;

/// The smallest squares that can be measured, in pixels on a side: below, the rings of the spectrum are empty.
pub const LEAST_SIZE: usize = 32;

/// Name and meaning of everything measured, in the order of [`measure`].
const FEATURES: [(&str, &str); 33] = [
    ("spectrum 0.05-0.10", "power at 0.05 to 0.10 cycles per pixel against all power, logarithm: rather coarse detail"),
    ("spectrum 0.10-0.15", "power at 0.10 to 0.15 cycles per pixel"),
    ("spectrum 0.15-0.20", "power at 0.15 to 0.20 cycles per pixel"),
    ("spectrum 0.20-0.25", "power at 0.20 to 0.25 cycles per pixel"),
    ("spectrum 0.25-0.30", "power at 0.25 to 0.30 cycles per pixel: detail of three or four pixels"),
    ("spectrum 0.30-0.35", "power at 0.30 to 0.35 cycles per pixel"),
    ("spectrum 0.35-0.40", "power at 0.35 to 0.40 cycles per pixel: fine detail, which scaling takes"),
    ("spectrum 0.40-0.45", "power at 0.40 to 0.45 cycles per pixel: fine detail, which scaling takes"),
    ("spectrum 0.45-0.50", "power at 0.45 to 0.50 cycles per pixel: the finest detail, which scaling takes first"),
    ("spectrum corners", "power beyond 0.50 cycles per pixel, where only diagonal detail is"),
    ("fine detail", "strength of edges and specks (the Laplacian) against the picture's contrast"),
    ("Laplacian peakedness", "kurtosis of the Laplacian, logarithm: ringing and blocks change it"),
    ("Laplacian skew", "whether bright or dark specks prevail: sharpening changes it"),
    ("smooth pixels", "share of pixels without any edge or speck: compression flattens"),
    ("residual lag 1", "how alike the finest detail of neighbouring pixels is: scaling changes it"),
    ("residual lag 2", "how alike the finest detail two pixels apart is: scaling changes it"),
    ("residual diagonal", "how alike the finest detail of diagonal neighbours is: scaling changes it"),
    ("residual direction", "whether finest detail is more alike along rows or along columns"),
    ("blocks here", "steps at every eighth pixel, where JPEG's blocks meet if nothing was scaled since"),
    ("blocks anywhere", "steps at the strongest of the eight phases: blocks of a picture that was cropped since"),
    ("period", "the strongest period in the strength of edges along rows and columns: scaling leaves one"),
    ("period 0.08-0.19", "the strongest period of 5 to 12 pixels"),
    ("period 0.19-0.30", "the strongest period of 3.3 to 5 pixels: JPEG's blocks at half their size, for one"),
    ("period 0.30-0.41", "the strongest period of 2.4 to 3.3 pixels"),
    ("period 0.41-0.50", "the strongest period of 2 to 2.4 pixels"),
    ("colour detail", "finest detail of the colours against the brightness's: JPEG thins out colours"),
    ("colour smoothness", "colour steps over one pixel against those over two: halved colours are smooth"),
    ("colour pairs", "colour steps at even against odd pixels: colours stored at half the resolution"),
    ("border detail", "finest detail beside the edge against that inside"),
    ("border line", "the step from the outermost pixel against steps further in: a trimmed or added rim"),
    ("plain borders", "share of the four outermost lines that are one plain colour: padding"),
    ("empty levels", "share of brightness levels that are missing between levels in use: stretched contrast, palettes"),
    ("clipped", "share of values at 0 or 255, square root: hard levels, white added around"),
];

/// How many features there are.
pub const COUNT: usize = FEATURES.len();

/// What the columns of [`table`] are.
pub fn columns() -> Vec<Column> {
    let column =
        |&(name, about): &(&str, &str)| Column { name: name.into(), about: about.into(), nature: Nature::Either };
    FEATURES.iter().map(column).collect()
}

/// Measures `count` squares of `size` × `size` RGB pixels on all cores; `square` gives their bytes.
///
/// `progress(done, total)` is called from many threads.
///
/// # Errors
/// The first of those that `square` gives.
pub fn table<S: AsRef<[u8]>>(
    size: usize,
    count: usize,
    square: impl Fn(usize) -> Result<S> + Sync,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Table> {
    let transforms = Transforms::new(size);
    let done = AtomicUsize::new(0);
    let one = |i: usize| {
        let row = measure(square(i)?.as_ref(), size, &transforms);
        progress(done.fetch_add(1, Ordering::Relaxed) + 1, count);
        Ok(row)
    };
    let rows: Vec<Vec<f64>> = (0..count).into_par_iter().map(one).collect::<Result<_>>()?;
    Ok(Table::new(columns(), rows))
}

/// The features of one square, in the order of [`FEATURES`].
fn measure(square: &[u8], size: usize, transforms: &Transforms) -> Vec<f64> {
    let planes = Planes::of(square, size);
    let luma = &planes.luma;
    let mut row = Vec::with_capacity(COUNT);
    row.extend(transforms.rings(luma));
    let residual = luma.laplacian();
    row.extend(residual::moments(luma, &residual));
    row.extend(residual::correlations(&residual));
    row.extend(grid::blocks(luma));
    row.extend(transforms.periods(luma));
    row.extend(residual::colours(&planes, &residual));
    row.extend(residual::borders(luma, &residual));
    row.extend(residual::levels(square));
    debug_assert_eq!(row.len(), COUNT);
    row
}

#[cfg(test)]
mod tests;
