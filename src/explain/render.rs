//! Heat maps as pictures: up to the cover's size, in colour, over the cover.

use image::{Rgb, RgbImage};
use serde::Serialize;

use super::colormap;
use crate::data::picture::fit::Region;
use crate::{Error, Result};

mod sheet;

#[cfg(test)]
mod tests;

pub(super) use sheet::{BACKGROUND, BRIGHT, DIM, PANEL, TEXT, fill};
pub use sheet::{NO_EVIDENCE, SHEET_LIMIT, SheetRow, contact_sheet};

/// How much of the cover the hottest place of an overlay hides.
const OVERLAY_ALPHA: f32 = 0.85;
/// How much of its colour and of its light the cover keeps under an overlay.
const OVERLAY_COLOUR: f32 = 0.6;
const OVERLAY_LIGHT: f32 = 0.75;
/// The line at half the maximum.
const CONTOUR: [u8; 3] = [255, 255, 255];

/// A map of positive evidence, one value for each cell of the layer it was taken from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HeatMap {
    width: usize,
    height: usize,
    values: Vec<f32>,
}

impl HeatMap {
    /// A map of `width` x `height` cells, row by row: Grad-CAM after its ReLU, not yet scaled.
    ///
    /// # Errors
    /// [`Error::Run`] when there are no cells, or `values` are not one for each.
    pub fn new(width: usize, height: usize, values: Vec<f32>) -> Result<Self> {
        if width == 0 || height == 0 || values.len() != width * height {
            let got = values.len();
            return Err(Error::run(format!("{got} values do not make a heat map of {width}x{height} cells")));
        }
        Ok(Self { width, height, values })
    }

    /// Cells in a row.
    #[must_use]
    pub fn width(&self) -> usize {
        self.width
    }

    /// Rows of cells.
    #[must_use]
    pub fn height(&self) -> usize {
        self.height
    }

    /// The values as they were given, row by row.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }

    /// The values over their maximum, negative ones as 0.
    ///
    /// `None` means "no positive evidence": no value is above 0, or one is not a number.
    #[must_use]
    pub fn normalised(&self) -> Option<Vec<f32>> {
        let max = self.values.iter().copied().fold(0.0, f32::max);
        let usable = max > 0.0 && self.values.iter().all(|v| v.is_finite());
        usable.then(|| self.values.iter().map(|v| v.max(0.0) / max).collect())
    }

    /// The normalised map at `width` x `height` pixels: bilinear, pixel centres aligned and edges clamped, as
    /// PyTorch's `interpolate(mode="bilinear", align_corners=False)` and OpenCV's `resize`.
    ///
    /// The library pytorch-grad-cam shows the same map stretched: less its minimum and over its maximum, before and after it is
    /// resized, so that the coldest pixel is always 0 and the hottest 1. Here 0 means no evidence, and stays what it is.
    #[must_use]
    pub fn upsampled(&self, width: u32, height: u32) -> Option<Vec<f32>> {
        Some(resized(&self.normalised()?, self.width, self.height, width, height))
    }

    /// The map alone, in colour. `None` when there is no positive evidence: there is nothing to paint.
    #[must_use]
    pub fn heat_image(&self, width: u32, height: u32) -> Option<RgbImage> {
        let heat = self.upsampled(width, height)?;
        let bytes = heat.into_iter().flat_map(colormap::heat).collect();
        RgbImage::from_raw(width, height, bytes)
    }

    /// The map laid over the cover, at the cover's size: the hotter, the less of the cover shows through. Where
    /// there is no heat the cover stays visible, somewhat darker and greyer, so that heat also stands out on a bright
    /// or orange one. A thin line runs where the map reaches half its maximum. `None` when there is no positive
    /// evidence.
    #[must_use]
    pub fn overlay(&self, cover: &RgbImage) -> Option<RgbImage> {
        let (width, height) = cover.dimensions();
        let whole = Region { x: 0.0, y: 0.0, width: f64::from(width), height: f64::from(height) };
        self.overlay_within(cover, whole)
    }

    /// As [`Self::overlay`], for a map of a region of the picture only, which may go beyond it. Outside the region there is no heat.
    #[must_use]
    pub fn overlay_within(&self, picture: &RgbImage, region: Region) -> Option<RgbImage> {
        let (width, height) = picture.dimensions();
        let cells = self.normalised()?;
        let across = taps_within(self.width, width, region.x, region.width);
        let down = taps_within(self.height, height, region.y, region.height);
        // Asked for pixel by pixel: a picture may be large, and a map of its size larger still.
        let heat = |x: u32, y: u32| match (across[x as usize], down[y as usize]) {
            (Some(across), Some(down)) => between(&cells, self.width, across, down),
            _ => 0.0,
        };
        let mut out = picture.clone();
        for (x, y, pixel) in out.enumerate_pixels_mut() {
            let value = heat(x, y);
            let alpha = OVERLAY_ALPHA * value;
            let under = faded(pixel.0);
            let over = colormap::heat(value);
            *pixel =
                Rgb(std::array::from_fn(|c| (under[c] * (1.0 - alpha) + f32::from(over[c]) * alpha).round() as u8));
        }
        let line = (width.min(height) / 200).max(1);
        let hot = |x: u32, y: u32| heat(x, y) >= 0.5;
        for (x, y, pixel) in out.enumerate_pixels_mut() {
            let (left, up) = (x.saturating_sub(line), y.saturating_sub(line));
            let (right, down) = ((x + line).min(width - 1), (y + line).min(height - 1));
            let inside = hot(left, y) && hot(right, y) && hot(x, up) && hot(x, down);
            if hot(x, y) && !inside {
                *pixel = Rgb(CONTOUR);
            }
        }
        Some(out)
    }

    /// The pixel (x, y) where the map is hottest at `width` x `height` pixels. Of equally hot ones it is the
    /// nearest to the centre of the hottest cell (of the first hottest cell in reading order). `None` when
    /// there is no positive evidence.
    #[must_use]
    pub fn peak(&self, width: u32, height: u32) -> Option<(u32, u32)> {
        let heat = self.upsampled(width, height)?;
        let cells = self.normalised()?;
        let cell = cells.iter().position(|&v| v == 1.0)?;
        let centre =
            |cell: usize, cells: usize, pixels: u32| (cell as f64 + 0.5) * f64::from(pixels) / cells as f64 - 0.5;
        let cx = centre(cell % self.width, self.width, width);
        let cy = centre(cell / self.width, self.height, height);

        let max = heat.iter().copied().fold(0.0, f32::max);
        let hottest = heat.iter().enumerate().filter(|(_, v)| **v >= max * (1.0 - 1e-6));
        let (_, x, y) = hottest
            .map(|(i, _)| {
                let (x, y) = (i as u32 % width, i as u32 / width);
                ((f64::from(x) - cx).powi(2) + (f64::from(y) - cy).powi(2), x, y)
            })
            .min_by(|a, b| a.0.total_cmp(&b.0))?;
        Some((x, y))
    }
}

/// Cells, row by row, at `width` x `height` pixels; see [`HeatMap::upsampled`].
pub(super) fn resized(cells: &[f32], columns: usize, lines: usize, width: u32, height: u32) -> Vec<f32> {
    let (across, down) = (taps(columns, width), taps(lines, height));
    let mut out = Vec::with_capacity(across.len() * down.len());
    for &(top, bottom, v) in &down {
        out.extend(across.iter().map(|&across| between(cells, columns, across, (top, bottom, v))));
    }
    out
}

/// Less their minimum, over what is then their maximum; zeros if all are the same.
pub(super) fn stretched(mut values: Vec<f32>) -> Vec<f32> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let range = values.iter().copied().fold(f32::NEG_INFINITY, f32::max) - low;
    values.iter_mut().for_each(|v| *v = if range > 0.0 { (*v - low) / range } else { 0.0 });
    values
}

/// A cover's pixel as an overlay shows it where there is no heat.
fn faded(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(f32::from);
    let grey = 0.299 * r + 0.587 * g + 0.114 * b;
    [r, g, b].map(|c| (grey + (c - grey) * OVERLAY_COLOUR) * OVERLAY_LIGHT)
}

/// For each of `pixels` places, the two cells it lies between and the second one's share.
fn taps(cells: usize, pixels: u32) -> Vec<Tap> {
    let scale = cells as f64 / f64::from(pixels);
    (0..pixels).map(|i| tap(cells, (f64::from(i) + 0.5) * scale)).collect()
}

/// As [`taps`], where the cells lie between `start` and `start + length` of the pixels; none for pixels outside.
fn taps_within(cells: usize, pixels: u32, start: f64, length: f64) -> Vec<Option<Tap>> {
    let within = |i: u32| {
        let at = f64::from(i) + 0.5 - start;
        (0.0..length).contains(&at).then(|| tap(cells, at * (cells as f64 / length)))
    };
    (0..pixels).map(within).collect()
}

/// Two cells of a row, and the second one's share.
type Tap = (usize, usize, f32);

/// The cells that a place, in cells from the first one's edge, lies between.
fn tap(cells: usize, place: f64) -> Tap {
    let at = (place - 0.5).max(0.0);
    let low = (at as usize).min(cells - 1);
    (low, (low + 1).min(cells - 1), (at - low as f64).min(1.0) as f32)
}

/// The value between four cells.
fn between(cells: &[f32], columns: usize, (left, right, u): Tap, (top, bottom, v): Tap) -> f32 {
    let (top, bottom) = (&cells[top * columns..], &cells[bottom * columns..]);
    let upper = top[left] * (1.0 - u) + top[right] * u;
    let lower = bottom[left] * (1.0 - u) + bottom[right] * u;
    upper * (1.0 - v) + lower * v
}
