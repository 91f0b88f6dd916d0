//! How a picture of any shape becomes a square, and why a picture cannot be used.

use std::fmt;

use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::{Deserialize, Serialize};

/// The largest size of squares, in pixels on a side.
pub const MAX_SIZE: u32 = 8192;

/// Cubic with a = -0.5, anti-aliased when it shrinks. A triangle blurs lettering, Lanczos draws halos along its hard
/// edges, and a network would learn either; this one sits between, and is what most people's "bicubic" means.
const FILTER: FilterType = FilterType::CatmullRom;

/// How a picture that is not square becomes one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keep the largest square around the centre, cut off the rest.
    #[default]
    Crop,
    /// Keep everything, fill the missing sides with black.
    Pad,
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Crop => "crop",
            Self::Pad => "pad",
        })
    }
}

/// Makes a picture of any shape a square of `size` × `size` pixels.
pub fn square(picture: &RgbImage, size: u32, fit: Fit) -> RgbImage {
    let (width, height) = picture.dimensions();
    if (width, height) == (size, size) {
        return picture.clone();
    }
    match fit {
        Fit::Crop => {
            let side = width.min(height);
            let centre = imageops::crop_imm(picture, (width - side) / 2, (height - side) / 2, side, side);
            imageops::resize(&*centre, size, size, FILTER)
        }
        Fit::Pad => {
            let side = f64::from(width.max(height).max(1));
            let scaled = |n: u32| ((f64::from(n) / side * f64::from(size)).round() as u32).clamp(1, size.max(1));
            let small = imageops::resize(picture, scaled(width), scaled(height), FILTER);
            let mut out = RgbImage::new(size, size);
            let (x, y) = ((size - small.width()) / 2, (size - small.height()) / 2);
            imageops::replace(&mut out, &small, i64::from(x), i64::from(y));
            out
        }
    }
}

/// Why a picture cannot be used, in words for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadPicture {
    /// One clause without the file's name: "empty file (0 bytes)".
    pub reason: String,
}

impl BadPicture {
    pub(crate) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for BadPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for BadPicture {}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;

    /// A picture whose left half is red and right half blue.
    fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| if x < width / 2 { Rgb([255, 0, 0]) } else { Rgb([0, 0, 255]) })
    }

    #[test]
    fn crop_keeps_the_centre_and_pad_keeps_all() {
        let wide = halves(40, 10);
        let crop = square(&wide, 8, Fit::Crop);
        assert_eq!(crop.dimensions(), (8, 8));
        assert_eq!((crop[(0, 0)].0, crop[(7, 7)].0), ([255, 0, 0], [0, 0, 255]));
        let pad = square(&wide, 8, Fit::Pad);
        assert_eq!(pad.dimensions(), (8, 8));
        assert_eq!((pad[(0, 2)].0, pad[(0, 5)].0), ([0; 3], [0; 3]));
        assert_eq!((pad[(0, 3)].0, pad[(7, 4)].0), ([255, 0, 0], [0, 0, 255]));
        // However thin a picture is, a line of it stays.
        assert_eq!(square(&RgbImage::from_pixel(1, 999, Rgb([9; 3])), 4, Fit::Pad)[(1, 2)].0, [9; 3]);
        assert_eq!(square(&wide, 1, Fit::Pad).dimensions(), (1, 1));
    }

    #[test]
    fn a_picture_of_the_right_size_is_not_touched() {
        let picture = RgbImage::from_fn(6, 6, |x, y| Rgb([x as u8 * 40, y as u8 * 40, 7]));
        assert_eq!(square(&picture, 6, Fit::Crop), picture);
        assert_eq!(square(&picture, 6, Fit::Pad), picture);
    }

    #[test]
    fn shrinking_averages_instead_of_picking() {
        // A one-pixel checkerboard has no grey pixel; shrunk without anti-aliasing it stays black and white.
        let board = RgbImage::from_fn(64, 64, |x, y| Rgb([((x + y) % 2 * 255) as u8; 3]));
        let small = square(&board, 8, Fit::Crop);
        assert!(small.pixels().all(|p| (120..=135).contains(&p[0])), "{:?}", small.as_raw());
    }
}
