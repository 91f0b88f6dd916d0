//! A heat map as the page shows it: a picture to lie over what the network sees, as transparent as there is no heat.

use image::imageops::{FilterType, resize};
use image::{RgbImage, Rgba, RgbaImage};
use serde::Serialize;

use super::training::QUALITY;
use crate::Result;
use crate::explain::{HeatMap, colormap};
use crate::report::page;

/// Both pictures have this many pixels a side, or the network's own size where that is larger.
const LEAST_SIDE: u32 = 256;

/// How much of the cover the hottest place hides.
const ALPHA: f32 = 0.9;

/// A heat map, and what it lies over.
#[derive(Serialize)]
pub struct Drawn {
    /// What the network sees, as the `data:` address of a JPEG.
    seen: String,
    /// The map, as the `data:` address of a PNG of the same size; null where it has no positive evidence.
    heat: Option<String>,
    /// The hottest place, in shares of the width and height from the top left corner; null without evidence.
    peak: Option<[f64; 2]>,
    /// Cells of the map: width and height.
    resolution: [usize; 2],
    /// The raw map, row by row.
    values: Vec<f32>,
}

/// Draws the map of what the network sees.
///
/// # Errors
/// [`Error::Run`] if it cannot be encoded.
pub fn draw(seen: &RgbImage, heat: &HeatMap) -> Result<Drawn> {
    let side = seen.width().max(LEAST_SIDE);
    let large = resize(seen, side, side, FilterType::CatmullRom);
    let shade = |value: f32| {
        let [r, g, b] = colormap::heat(value);
        Rgba([r, g, b, (255.0 * ALPHA * value).round() as u8])
    };
    let map = heat.upsampled(side, side).map(|values| {
        let shades = RgbaImage::from_fn(side, side, |x, y| shade(values[(y * side + x) as usize]));
        page::png(&shades)
    });
    let place = |pixel: u32| (f64::from(pixel) + 0.5) / f64::from(side);
    Ok(Drawn {
        seen: page::jpeg(&large, QUALITY)?,
        heat: map.transpose()?,
        peak: heat.peak(side, side).map(|(x, y)| [place(x), place(y)]),
        resolution: [heat.width(), heat.height()],
        values: heat.values().to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn heat_hides_and_its_absence_shows() {
        let seen = RgbImage::from_pixel(8, 8, image::Rgb([9, 9, 9]));
        let drawn = draw(&seen, &HeatMap::new(2, 2, vec![0.0, 0.0, 0.0, 3.0]).unwrap()).unwrap();
        let bytes = STANDARD.decode(drawn.heat.unwrap().split_once(',').unwrap().1).unwrap();
        let map = image::load_from_memory(&bytes).unwrap().to_rgba8();
        assert_eq!((map.dimensions(), map[(0, 0)][3], map[(255, 255)][3]), ((256, 256), 0, 230));
        let [x, y] = drawn.peak.unwrap();
        assert!(x > 0.7 && y > 0.7, "{x} {y}");
        let cold = draw(&seen, &HeatMap::new(2, 2, vec![0.0; 4]).unwrap()).unwrap();
        assert!(cold.heat.is_none() && cold.peak.is_none() && cold.seen.starts_with("data:image/jpeg"));
    }
}
