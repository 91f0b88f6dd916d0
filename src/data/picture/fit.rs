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

/// How a picture that is not square becomes one, and by which filter it is resized.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// Keep the largest square around the centre, cut off the rest.
    #[default]
    Crop,
    /// Keep everything, fill the missing sides with black.
    Pad,
    /// As torchvision does it: the shorter side is resized, by a triangle as wide as a step is long, then the centre is kept.
    Bilinear,
    /// The same by the cubic with a = -0.5, as timm does it for most of its weights.
    Bicubic,
    /// The same by a windowed sinc of three lobes.
    Lanczos,
}

impl Fit {
    /// All of them; the place is the number in a pack.
    pub const ALL: [Self; 5] = [Self::Crop, Self::Pad, Self::Bilinear, Self::Bicubic, Self::Lanczos];

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Pad => "pad",
            Self::Bilinear => "bilinear",
            Self::Bicubic => "bicubic",
            Self::Lanczos => "lanczos",
        }
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the middle `part` of `whole` pixels begins: half of what is left over, halves to the even neighbour, as Python's `round` in
/// torchvision's `center_crop`.
pub fn centred(whole: u32, part: u32) -> u32 {
    let left = whole.saturating_sub(part);
    // 2k + 1 halves: k if it is even, else k + 1.
    if left % 4 == 3 { left / 2 + 1 } else { left / 2 }
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
            let scaled = |n: u32| padded(n, width.max(height), size);
            let small = imageops::resize(picture, scaled(width), scaled(height), FILTER);
            let mut out = RgbImage::new(size, size);
            let (x, y) = ((size - small.width()) / 2, (size - small.height()) / 2);
            imageops::replace(&mut out, &small, i64::from(x), i64::from(y));
            out
        }
        Fit::Bilinear => shorter_side(picture, size, FilterType::Triangle),
        Fit::Bicubic => shorter_side(picture, size, FilterType::CatmullRom),
        Fit::Lanczos => shorter_side(picture, size, FilterType::Lanczos3),
    }
}

/// Longer pictures are cut to this before they are resized: of a strip of a pixel by a million the whole would need a machine's memory.
const LONGEST: u32 = 16;

/// Resizes the picture so that its shorter side is `size`, and keeps the centre.
fn shorter_side(picture: &RgbImage, size: u32, filter: FilterType) -> RgbImage {
    let (width, height) = picture.dimensions();
    let longest = LONGEST.saturating_mul(width.min(height));
    if width.max(height) > longest {
        let (w, h) = (width.min(longest), height.min(longest));
        let centre = imageops::crop_imm(picture, centred(width, w), centred(height, h), w, h);
        return shorter_side(&centre.to_image(), size, filter);
    }
    let [w, h] = resized(width, height, size);
    // Rows, then columns, with whole numbers of 0 to 255 between them, as Pillow does it.
    let along = |picture: &RgbImage, w, h| {
        if (w, h) == picture.dimensions() { picture.clone() } else { imageops::resize(picture, w, h, filter) }
    };
    let whole = along(&along(picture, w, height), w, h);
    imageops::crop_imm(&whole, centred(w, size), centred(h, size), size, size).to_image()
}

/// Width and height of a picture whose shorter side has become `size`.
fn resized(width: u32, height: u32, size: u32) -> [u32; 2] {
    let (shorter, longer) = (width.min(height).max(1), width.max(height));
    let longer = (u64::from(longer) * u64::from(size) / u64::from(shorter)) as u32;
    if width <= height { [size, longer] } else { [longer, size] }
}

/// A part of a picture, or the picture with some of what is around it: in its pixels, from its top left corner. `x` and `y` are
/// negative where it begins beyond the edges.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Region {
    pub x: f64,
    pub y: f64,
    pub width: f64,
    pub height: f64,
}

impl Region {
    /// The part that the middle `size` of its `whole` pixels make.
    #[must_use]
    pub fn inner(self, size: u32, whole: u32) -> Self {
        let [edge, size] = [centred(whole, size), size].map(|pixels| f64::from(pixels) / f64::from(whole));
        let Self { x, y, width, height } = self;
        Self { x: x + edge * width, y: y + edge * height, width: size * width, height: size * height }
    }

    /// To hundredths of a pixel.
    #[must_use]
    pub fn rounded(self) -> Self {
        let Self { x, y, width, height } = self;
        let [x, y, width, height] = [x, y, width, height].map(hundredths);
        Self { x, y, width, height }
    }
}

/// A number of pixels to two places.
pub fn hundredths(pixels: f64) -> f64 {
    // Adding 0 makes a negative zero a zero.
    (pixels * 100.0).round() / 100.0 + 0.0
}

/// What [`square`] makes a square of: the region of a picture of this width and height.
pub fn region(width: u32, height: u32, size: u32, fit: Fit) -> Region {
    match fit {
        Fit::Crop => {
            let side = width.min(height);
            let [x, y, side] = [(width - side) / 2, (height - side) / 2, side].map(f64::from);
            Region { x, y, width: side, height: side }
        }
        Fit::Pad => {
            // Along each axis so many of the square's pixels are the picture's; each axis has its own scale, by rounding.
            let side = width.max(height);
            let along = |pixels: u32| {
                let scaled = padded(pixels, side, size);
                let scale = f64::from(pixels) / f64::from(scaled);
                (-f64::from((size - scaled) / 2) * scale, f64::from(size) * scale)
            };
            let ((x, width), (y, height)) = (along(width), along(height));
            Region { x, y, width, height }
        }
        Fit::Bilinear | Fit::Bicubic | Fit::Lanczos => {
            let along = |pixels: u32, resized: u32| {
                let scale = f64::from(pixels) / f64::from(resized);
                (f64::from(centred(resized, size)) * scale, f64::from(size) * scale)
            };
            let [w, h] = resized(width, height, size);
            let ((x, width), (y, height)) = (along(width, w), along(height, h));
            Region { x, y, width, height }
        }
    }
}

/// How many of `size` pixels are those of a side of a picture whose longer side is `longer`.
fn padded(pixels: u32, longer: u32, size: u32) -> u32 {
    let share = f64::from(pixels) / f64::from(longer.max(1));
    ((share * f64::from(size)).round() as u32).clamp(1, size.max(1))
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
    fn the_region_of_a_square_is_where_its_pixels_come_from() {
        let of = |width, height, fit| region(width, height, 8, fit);
        let all = |x, y, width, height| Region { x, y, width, height };
        assert_eq!(of(40, 10, Fit::Crop), all(15.0, 0.0, 10.0, 10.0));
        assert_eq!(of(10, 41, Fit::Crop), all(0.0, 15.0, 10.0, 10.0));
        assert_eq!(of(40, 10, Fit::Pad), all(0.0, -15.0, 40.0, 40.0));
        // 3 of 8 rows are the picture's, two above are not: a row is 10/3 pixels.
        assert_eq!(of(30, 10, Fit::Pad).rounded(), all(0.0, -6.67, 30.0, 26.67));
        assert_eq!(of(8, 8, Fit::Pad), all(0.0, 0.0, 8.0, 8.0));
        assert_eq!(all(0.0, -15.0, 40.0, 40.0).inner(6, 8), all(5.0, -10.0, 30.0, 30.0));
        // A dot in the picture is where the region says.
        for (width, height, fit, (x, y)) in [(90, 30, Fit::Crop, (40, 20)), (30, 90, Fit::Pad, (20, 70))] {
            let mut dot = RgbImage::new(width, height);
            for (u, v) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
                dot.put_pixel(x + u, y + v, Rgb([255; 3]));
            }
            let (seen, region) = (square(&dot, 60, fit), region(width, height, 60, fit));
            let brightest = seen.enumerate_pixels().max_by_key(|(_, _, pixel)| pixel[0]).unwrap();
            let place = |start: f64, length: f64, pixel: u32| start + (f64::from(pixel) + 0.5) / 60.0 * length;
            let found = (place(region.x, region.width, brightest.0), place(region.y, region.height, brightest.1));
            let (x, y) = (f64::from(x + 1), f64::from(y + 1));
            assert!((found.0 - x).abs() < 1.3 && (found.1 - y).abs() < 1.3, "{found:?} {x} {y}");
        }
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

    /// `tests/weights/pillow.py` made the file.
    #[test]
    fn others_rules_give_what_pillow_gives() {
        let mut left = &include_bytes!("../../../tests/weights/pillow.bin")[..];
        let lying = RgbImage::from_fn(31, 23, |x, y| {
            Rgb([0, 1, 2].map(|c| ((x * (37 + 20 * c) + y * 91 + x * y * (c + 3)) % 256) as u8))
        });
        let standing = imageops::flip_horizontal(&imageops::rotate90(&lying));
        for picture in [&lying, &standing] {
            for size in [12, 29] {
                for fit in [Fit::Bilinear, Fit::Bicubic, Fit::Lanczos] {
                    let ours = square(picture, size, fit);
                    let (theirs, rest) = left.split_at(ours.len());
                    let differences = ours.iter().zip(theirs).map(|(a, b)| a.abs_diff(*b));
                    assert!(differences.max() <= Some(1), "{:?} to {size}, {fit}", picture.dimensions());
                    left = rest;
                }
            }
        }
        assert!(left.is_empty());
    }

    #[test]
    fn centres_are_those_of_pythons_round() {
        let halves: Vec<u32> = (10..18).map(|whole| centred(whole, 10)).collect();
        assert_eq!(halves, [0, 0, 1, 2, 2, 2, 3, 4]);
        assert_eq!((centred(342, 299), centred(5, 10)), (22, 0));
    }

    #[test]
    fn a_strip_takes_no_memory_and_every_rule_is_named_once() {
        let strip = RgbImage::from_pixel(1, 60_000, Rgb([9, 8, 7]));
        for fit in Fit::ALL {
            assert_eq!(Fit::named(fit.name()), Some(fit));
            if fit != Fit::Pad {
                assert!(square(&strip, 64, fit).pixels().all(|pixel| *pixel == Rgb([9, 8, 7])), "{fit}");
            }
            // What is said of the region is what was taken.
            let region = region(40, 20, 10, fit);
            let expected = if fit == Fit::Pad { (0.0, 40.0) } else { (10.0, 20.0) };
            assert_eq!((region.x, region.width), expected, "{fit}");
        }
    }
}
