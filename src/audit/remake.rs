//! Pictures made again: brought through another pipeline, or all through the same one.

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};

use crate::data::Fit;
use crate::data::picture::{BadPicture, square};

/// Quality of the planted shortcut's JPEG, as servers of covers use it.
const PLANTED_QUALITY: u8 = 75;
/// Shorter sides on the detour: enlarged, then stored by a data set's owner.
const DETOUR: [u32; 2] = [512, 260];
/// What `import --harmonise` is advised to do, and what the audit does to see what would be left.
const HARMONISED_SIDE: u32 = 96;
pub const HARMONISED_QUALITY: u8 = 60;

/// The planted shortcut: the original at 512 pixels, as JPEG, then at 260 by Lanczos' filter, as a published data set of album
/// covers was made for one of its two classes.
pub fn detour(original: &RgbImage) -> Result<RgbImage, BadPicture> {
    let large = recompressed(&scaled(original, DETOUR[0]), PLANTED_QUALITY)?;
    Ok(scaled(&large, DETOUR[1]))
}

fn scaled(picture: &RgbImage, shorter: u32) -> RgbImage {
    let (width, height) = picture.dimensions();
    let least = f64::from(width.min(height).max(1));
    let side = |side: u32| ((f64::from(side) * f64::from(shorter) / least).round() as u32).max(1);
    resize(picture, side(width), side(height), FilterType::Lanczos3)
}

/// Pixels on a side in the middle of [`harmonised`], for squares of this size.
pub fn harmonised_side(size: u32) -> u32 {
    HARMONISED_SIDE.min(size * 3 / 4)
}

/// A square brought down to [`harmonised_side`], compressed, and back to its size.
pub fn harmonised(own: &RgbImage) -> Result<RgbImage, BadPicture> {
    let small = square(own, harmonised_side(own.width()), Fit::Crop);
    Ok(square(&recompressed(&small, HARMONISED_QUALITY)?, own.width(), Fit::Crop))
}

/// The picture as it comes out of a JPEG of this quality.
fn recompressed(picture: &RgbImage, quality: u8) -> Result<RgbImage, BadPicture> {
    let mut bytes = Vec::new();
    let failed = |e: image::ImageError| BadPicture { reason: format!("cannot be compressed ({e})") };
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).map_err(failed)?;
    Ok(image::load_from_memory(&bytes).map_err(failed)?.into_rgb8())
}
