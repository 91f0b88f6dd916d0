//! One picture file to RGB pixels: turned, composited, converted, squared.

use std::fmt;
use std::fs;
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use image::error::{ImageError, LimitErrorKind};
use image::imageops::{self, FilterType};
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};
use serde::{Deserialize, Serialize};

use super::harmonise::Pipeline;
use super::{audio, jpeg};

/// Pictures of this many pixels on a side, or more, are refused.
pub const MAX_SIDE: u32 = 20_000;
/// Pictures of more pixels than this are refused.
pub const MAX_PIXELS: u64 = 200_000_000;
/// The most bytes a decoded picture may take.
const MAX_DECODED: u64 = 1 << 30;
/// The most bytes a picture file may have: none of the formats needs more for [`MAX_PIXELS`].
const MAX_FILE: u64 = 1 << 30;

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

/// A decoded picture.
#[derive(Clone, Debug)]
pub struct Picture {
    /// size × size pixels, 3 × u8 each.
    pub pixels: RgbImage,
    /// Width of the file's picture in pixels, after turning.
    pub width: u32,
    /// Height of the file's picture in pixels, after turning.
    pub height: u32,
    /// BLAKE3 of the file's bytes, in hexadecimal digits.
    pub hash: String,
}

/// Why a picture cannot be used, in words for its owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadPicture {
    /// One clause without the file's name: "empty file (0 bytes)".
    pub reason: String,
}

impl BadPicture {
    pub(super) fn new(reason: impl Into<String>) -> Self {
        Self { reason: reason.into() }
    }
}

impl fmt::Display for BadPicture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl std::error::Error for BadPicture {}

/// Loads a picture as a square of `size` × `size` RGB pixels.
///
/// The content decides the format, not the extension; of an audio file the embedded front cover is taken. EXIF
/// orientation is applied, alpha composited over white, and grey, CMYK and 16-bit pictures are converted to 8-bit RGB;
/// colour profiles are ignored. Of an animation the first frame is taken.
///
/// # Errors
/// [`BadPicture`] if the file cannot be read, is no picture, is cut off or damaged, or is absurdly large (decided from
/// its header, before memory is taken for its pixels).
pub fn load(path: &Path, size: u32, pipeline: impl Into<Pipeline>) -> Result<Picture, BadPicture> {
    let bytes = read(path)?;
    let full = decode_caught(&bytes)?;
    let (width, height) = full.dimensions();
    let hash = blake3::hash(&bytes).to_hex().to_string();
    Ok(Picture { pixels: pipeline.into().square(&full, size)?, width, height, hash })
}

/// Loads a picture at its full resolution, turned, composited and converted as [`load`] does.
///
/// # Errors
/// As [`load`].
pub fn load_rgb(path: &Path) -> Result<RgbImage, BadPicture> {
    decode_caught(&read(path)?)
}

/// As [`load_rgb`], with the BLAKE3 of the picture's bytes.
///
/// # Errors
/// As [`load`].
pub fn load_hashed(path: &Path) -> Result<(RgbImage, blake3::Hash), BadPicture> {
    let bytes = read(path)?;
    Ok((decode_caught(&bytes)?, blake3::hash(&bytes)))
}

/// Why these bytes of a picture file will not do, as far as can be told without decoding them.
pub fn fault(bytes: &[u8]) -> Option<BadPicture> {
    check(bytes).err()
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

/// The bytes of a picture file, or of the front cover in an audio file.
///
/// # Errors
/// [`BadPicture`] if it cannot be read, is no file, or is absurdly large.
pub fn read(path: &Path) -> Result<Vec<u8>, BadPicture> {
    let unreadable = |e: std::io::Error| BadPicture::new(format!("cannot be read: {e}"));
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(BadPicture::new("not a file"));
    }
    if about.len() > MAX_FILE {
        return Err(BadPicture::new(format!("a file of {} MB, too large for a cover", about.len() / 1_000_000)));
    }
    if audio::is_audio(path) {
        return audio::front_cover(path).map_err(BadPicture::new);
    }
    fs::read(path).map_err(unreadable)
}

/// The picture in these bytes at its full resolution, turned, composited and converted as [`load`] does. A decoder's panic on
/// damaged bytes is one more bad picture: one file in 80,000 must not end an import.
///
/// # Errors
/// As [`load`].
pub fn decode_caught(bytes: &[u8]) -> Result<RgbImage, BadPicture> {
    catch_unwind(AssertUnwindSafe(|| decode(bytes)))
        .unwrap_or_else(|_| Err(BadPicture::new("damaged (the decoder gave up on it)")))
}

/// The format of a file that is not empty, not something else than a picture, and not plainly cut off.
fn check(bytes: &[u8]) -> Result<ImageFormat, BadPicture> {
    if bytes.is_empty() {
        return Err(BadPicture::new("empty file (0 bytes)"));
    }
    let format = image::guess_format(bytes)
        .map_err(|_| BadPicture::new("not a picture (its content is no JPEG, PNG, WebP, GIF, BMP or TIFF)"))?;
    if !format.reading_enabled() {
        return Err(BadPicture::new(format!("{format:?} pictures are not supported: convert it to JPEG or PNG")));
    }
    if format == ImageFormat::Jpeg && !jpeg::is_whole(bytes) {
        return Err(BadPicture::new("truncated JPEG (it ends before its end marker): fetch it again"));
    }
    Ok(format)
}

fn decode(bytes: &[u8]) -> Result<RgbImage, BadPicture> {
    let format = check(bytes)?;
    let explain = |e: ImageError| explain(format, &e);

    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE - 1);
    limits.max_image_height = Some(MAX_SIDE - 1);
    limits.max_alloc = Some(2 * MAX_DECODED);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(explain)?;

    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS || decoder.total_bytes() > MAX_DECODED {
        return Err(BadPicture::new(format!("{width}x{height} pixels: too large for a cover, scale it down")));
    }
    if width == 0 || height == 0 {
        return Err(BadPicture::new(format!("{width}x{height} pixels: an empty picture")));
    }
    let orientation = decoder.orientation().map_err(explain)?;
    let mut picture = DynamicImage::from_decoder(decoder).map_err(explain)?;
    picture.apply_orientation(orientation);
    Ok(over_white(picture))
}

/// 8-bit RGB, what is transparent laid over white. Before any resizing, so that colours hidden under transparent
/// pixels cannot bleed into visible ones.
fn over_white(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        ((colour * alpha + 255 * (255 - alpha) + 127) / 255) as u8
    };
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [r, g, b, a] = rgba.get_pixel(x, y).0;
        Rgb([blend(r, a), blend(g, a), blend(b, a)])
    })
}

fn explain(format: ImageFormat, error: &ImageError) -> BadPicture {
    let format = format!("{format:?}").to_uppercase();
    BadPicture::new(match error {
        ImageError::Limits(limit) if limit.kind() == LimitErrorKind::DimensionError => {
            format!("{MAX_SIDE} or more pixels on a side: too large for a cover, scale it down")
        }
        ImageError::Limits(_) => "too large for a cover (its pixels do not fit in memory): scale it down".into(),
        ImageError::Unsupported(e) => {
            format!("a kind of {format} that is not supported ({e}): convert it")
        }
        e => format!("damaged or truncated {format} ({})", one_line(&e.to_string())),
    })
}

/// Decoders' messages may span lines and pages; ours do not.
fn one_line(text: &str) -> String {
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(160) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
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

    #[test]
    fn messages_stay_one_short_line() {
        assert_eq!(one_line("a\n  b\tc"), "a b c");
        assert_eq!(one_line(&"ä".repeat(500)).chars().count(), 161);
    }
}
