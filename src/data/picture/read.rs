//! One picture file to RGB pixels: turned, composited, converted, squared.

use std::fs;
use std::io::Cursor;
use std::path::Path;

use image::error::{ImageError, LimitErrorKind};
use image::metadata::Orientation;
use image::{ColorType, DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, Rgb, RgbImage};

use crate::data::picture::budget::{self, Share};
use crate::data::picture::fit::BadPicture;
use crate::data::picture::{audio, jpeg, tiff};
use crate::panics::caught;

/// Pictures of this many pixels on a side, or more, are refused.
pub const MAX_SIDE: u32 = 20_000;
/// Pictures of more pixels than this are refused.
pub const MAX_PIXELS: u64 = 200_000_000;
/// The most bytes a decoded picture may take.
const MAX_DECODED: u64 = 1 << 30;
/// The most bytes a picture file may have: none of the formats needs more for [`MAX_PIXELS`].
const MAX_FILE: u64 = 1 << 30;

/// Loads a picture at its full resolution, turned, composited and converted as [`load`](crate::data::picture::load) does.
///
/// # Errors
/// As [`load`](crate::data::picture::load).
pub fn load_rgb(path: &Path) -> Result<RgbImage, BadPicture> {
    decode_caught(&read(path)?)
}

/// As [`load_rgb`], with the BLAKE3 of the picture's bytes, and the memory that it counts for as long as it is held.
///
/// # Errors
/// As [`load`](crate::data::picture::load).
pub fn load_hashed(path: &Path) -> Result<(RgbImage, blake3::Hash, Share), BadPicture> {
    let bytes = read(path)?;
    let (picture, share) = decode_counted(&bytes)?;
    Ok((picture, blake3::hash(&bytes), share))
}

/// Why these bytes of a picture file will not do, as far as can be told without decoding them.
pub fn fault(bytes: &[u8]) -> Option<BadPicture> {
    check(bytes).err()
}

/// Whether a picture can be decoded. Of a JPEG its end tells, so only the rarer formats are decoded for it.
pub fn is_usable(bytes: &[u8]) -> bool {
    match check(bytes) {
        Ok(ImageFormat::Jpeg) => true,
        Ok(_) => decode_caught(bytes).is_ok(),
        Err(_) => false,
    }
}

/// The bytes of a picture file, or of the cover in an audio file.
///
/// # Errors
/// [`BadPicture`] if it cannot be read, is no file, or is absurdly large.
pub fn read(path: &Path) -> Result<Vec<u8>, BadPicture> {
    let unreadable = |e: std::io::Error| BadPicture::new(format!("cannot be read: {e}"));
    let about = fs::metadata(path).map_err(unreadable)?;
    if !about.is_file() {
        return Err(BadPicture::new("not a file"));
    }
    // However long the sound is, only the tags are read.
    if audio::is_audio(path) {
        return audio::front_cover(path, &is_usable).map_err(BadPicture::new);
    }
    if about.len() > MAX_FILE {
        return Err(BadPicture::new(format!(
            "a file of {} MB: too large for a cover (at most {} MB), scale it down",
            about.len() / 1_000_000,
            MAX_FILE / 1_000_000
        )));
    }
    fs::read(path).map_err(unreadable)
}

/// The picture in these bytes at its full resolution, turned, composited and converted as [`load`](crate::data::picture::load) does. A decoder's panic on
/// damaged bytes is one more bad picture: one file in 80,000 must not end an import.
///
/// # Errors
/// As [`load`](crate::data::picture::load).
pub fn decode_caught(bytes: &[u8]) -> Result<RgbImage, BadPicture> {
    decode_counted(bytes).map(|(picture, _)| picture)
}

fn decode_counted(bytes: &[u8]) -> Result<(RgbImage, Share), BadPicture> {
    decode_within(bytes, MAX_PIXELS)
}

/// As [`decode_caught`] for a picture of at most `most` pixels, which are counted before any is decoded; with the memory that it counts
/// for as long as it is held.
///
/// # Errors
/// As [`load`](crate::data::picture::load).
pub fn decode_within(bytes: &[u8], most: u64) -> Result<(RgbImage, Share), BadPicture> {
    caught(|| decode(bytes, most)).unwrap_or_else(|| Err(BadPicture::new("damaged (the decoder gave up on it)")))
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

fn decode(bytes: &[u8], most: u64) -> Result<(RgbImage, Share), BadPicture> {
    let format = check(bytes)?;
    let explain = |e: ImageError| explain(format, &e);

    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE - 1);
    limits.max_image_height = Some(MAX_SIDE - 1);
    limits.max_alloc = Some(2 * MAX_DECODED);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits.clone());
    let mut decoder = reader.into_decoder().map_err(explain)?;

    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > most || decoder.total_bytes() > MAX_DECODED {
        return Err(BadPicture::new(format!(
            "{width}x{height} pixels: too large for a cover (at most {} million, and {} MB decoded), scale it down",
            most / 1_000_000,
            MAX_DECODED / 1_000_000
        )));
    }
    if width == 0 || height == 0 {
        return Err(BadPicture::new(format!("{width}x{height} pixels: an empty picture")));
    }
    // What it says of its size bounds what its decoder may take: a GIF of a hundred bytes can hold a frame of 65,535 x 65,535.
    let needed = needed(&decoder);
    let share = budget::take(needed);
    limits.max_alloc = Some(needed + MORE);
    decoder.set_limits(limits).map_err(explain)?;
    let orientation = orientation(&mut decoder).map_err(explain)?;
    let strict = if format == ImageFormat::Jpeg && decoder.color_type() == ColorType::Rgb8 {
        jpeg::decode_strictly(bytes).map_err(|e| BadPicture::new(format!("damaged JPEG ({})", one_line(&e))))?
    } else {
        None
    };
    let mut picture = match strict.and_then(|pixels| RgbImage::from_raw(width, height, pixels)) {
        Some(rgb) => DynamicImage::from(rgb),
        None => DynamicImage::from_decoder(decoder).map_err(explain)?,
    };
    picture.apply_orientation(orientation);
    Ok((over_white(picture, format == ImageFormat::Tiff && tiff::is_premultiplied(bytes)), share))
}

/// Bytes that a decoder may take besides: for colour profiles, or a frame that is somewhat larger than its picture.
const MORE: u64 = 16 << 20;

/// About how many bytes a picture takes at most while it is decoded: what the decoder gives and what it works on, or that and what
/// is made of it where it is not RGB of 8 bits. A TIFF may be one strip, and hold a channel more than what it gives.
fn needed(decoder: &impl ImageDecoder) -> u64 {
    let (width, height) = decoder.dimensions();
    let own = decoder.total_bytes();
    let converted = if decoder.color_type() == ColorType::Rgb8 { 0 } else { 7 * u64::from(width) * u64::from(height) };
    own + converted.max(2 * own)
}

/// How a picture is to be turned. Some programs begin a WebP's or PNG's EXIF with the mark that only a JPEG's has.
fn orientation(decoder: &mut impl ImageDecoder) -> Result<Orientation, ImageError> {
    let known = decoder.orientation()?;
    if known != Orientation::NoTransforms {
        return Ok(known);
    }
    let exif = decoder.exif_metadata().ok().flatten().unwrap_or_default();
    Ok(exif.strip_prefix(b"Exif\0\0").and_then(Orientation::from_exif_chunk).unwrap_or(known))
}

/// Alpha that is nowhere more than this (of 255) hides the whole picture, which nobody meant: a program wrote zeros, or ones.
const NO_ALPHA: u8 = 1;

/// 8-bit RGB, what is transparent laid over white. Before any resizing, so that colours hidden under transparent
/// pixels cannot bleed into visible ones. A picture that would be transparent all over keeps its colours. Of a `premultiplied` one
/// the colours hold their share already.
fn over_white(picture: DynamicImage, premultiplied: bool) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let rgba = picture.into_rgba8();
    if rgba.pixels().all(|pixel| pixel[3] <= NO_ALPHA) {
        return DynamicImage::from(rgba).into_rgb8();
    }
    let blend = |colour: u8, alpha: u8| {
        let (colour, alpha) = (u32::from(colour), u32::from(alpha));
        if premultiplied {
            return (colour + 255 - alpha).min(255) as u8;
        }
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
        ImageError::Limits(_) => {
            "its decoder asks for more memory than a picture of its size needs: damaged, or too large for a cover"
                .to_owned()
        }
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
mod tests;
