//! Pictures made again: brought through another pipeline, or all through the same one.

use image::RgbImage;
use image::imageops::{FilterType, resize};

use crate::data::picture::fit::BadPicture;
use crate::data::picture::jpeg::recompressed;
use crate::data::{Fit, Harmonise, Pipeline};

/// Quality of the planted shortcut's JPEG, as servers of covers use it.
const PLANTED_QUALITY: u8 = 75;
/// Shorter sides on the detour: enlarged, then stored by a data set's owner.
const DETOUR: [u32; 2] = [512, 260];

/// The planted shortcut: the original at 512 pixels, as JPEG, then at 260 by Lanczos' filter, as a published data set of album
/// covers was made for one of its two classes.
///
/// # Errors
/// [`BadPicture`] if it cannot be compressed.
pub fn detour(original: &RgbImage) -> Result<RgbImage, BadPicture> {
    let large = recompressed(&scaled(original, DETOUR[0]), PLANTED_QUALITY, true)?;
    Ok(scaled(&large, DETOUR[1]))
}

fn scaled(picture: &RgbImage, shorter: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let least = f64::from(width.min(height).max(1));
    let side = |side: u32| ((f64::from(side) * f64::from(shorter) / least).round() as u32).max(1);
    resize(picture, side(width), side(height), FilterType::Lanczos3)
}

/// The degradation that `import --harmonise` is advised to do for squares of this size, and that the audit does itself to see
/// what would be left.
pub fn advised(size: u32) -> Harmonise {
    Harmonise { size: 96.min(size * 3 / 4), quality: 60 }
}

/// A square that went through [`advised`].
///
/// # Errors
/// [`BadPicture`] if it cannot be compressed.
pub fn harmonised(square: &RgbImage) -> Result<RgbImage, BadPicture> {
    let size = square.width();
    Pipeline { fit: Fit::Crop, harmonise: Some(advised(size)) }.square(square, size)
}
