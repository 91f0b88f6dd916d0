//! JPEG files: do they reach their end, how strongly are they compressed, and compressing them again.

use image::{ImageFormat, RgbImage};
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use crate::data::picture::fit::BadPicture;

/// Whether the JPEG in `bytes` has its end-of-image marker. Decoders fill missing rows with grey and report success, so we look
/// ourselves.
///
/// Walks from marker to marker, so an end marker inside an embedded thumbnail does not count, and bytes after the
/// picture's own end (a second picture, a downloader's newline) do no harm.
pub fn is_whole(bytes: &[u8]) -> bool {
    let mut at = 2; // behind the start-of-image marker
    loop {
        let Some(marker) = next_marker(bytes, &mut at) else {
            return false;
        };
        match marker {
            0xD9 => return true,
            // Markers that stand alone: fill, restart, start of image.
            0x01 | 0xD0..=0xD8 => {}
            // Reserved codes have no known length: what looks like one is damage, and the walk goes on behind it.
            0x02..=0xBF => {}
            // All others carry their length. Behind a scan's header come its entropy-coded bytes, which `next_marker`
            // passes over, since it takes no stuffed 0xFF00 for a marker.
            _ => {
                let Some(&[high, low]) = bytes.get(at..at + 2) else {
                    return false;
                };
                at += usize::from(u16::from_be_bytes([high, low])).max(2);
            }
        }
    }
}

/// What a strict decoder says of bytes between headers, which many files have and which hurt nothing.
const HARMLESS: &str = "Extra bytes between headers";

/// The RGB bytes of a JPEG in colour, by the decoder that `image` uses, which gives the same bytes. But `image` has it pass over
/// codes that no encoder writes and fill up what follows; here they are damage. None if it is not to be decoded strictly.
///
/// # Errors
/// What the decoder says.
pub fn decode_strictly(bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(usize::MAX)
        .set_max_height(usize::MAX)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    match JpegDecoder::new_with_options(ZCursor::new(bytes), options).decode() {
        Ok(pixels) => Ok(Some(pixels)),
        Err(e) if format!("{e:?}").contains(HARMLESS) => Ok(None),
        Err(e) => Err(format!("{e:?}")),
    }
}

/// The next marker's code at or behind `at`, which then stands behind it. None at the end of the bytes.
pub(crate) fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let rest = bytes.get(*at..)?;
        *at += rest.iter().position(|&b| b == 0xFF)? + 1;
        match *bytes.get(*at)? {
            // A stuffed zero is data. Another 0xFF is padding and may itself begin the marker.
            0x00 => *at += 1,
            0xFF => {}
            code => {
                *at += 1;
                return Some(code);
            }
        }
    }
}

/// How strongly a JPEG is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compression {
    /// 1 to 100 on the scale of the Independent JPEG Group: the one whose table of luminance is nearest to the file's.
    pub quality: u8,
    /// Whether colours are stored at less resolution than luminance.
    pub subsampled: bool,
}

/// The table of luminance at quality 50, in zigzag order (ITU-T T.81, table K.1).
const LUMINANCE: [u16; 64] = [
    16, 11, 12, 14, 12, 10, 16, 14, 13, 14, 18, 17, 16, 19, 24, 40, 26, 24, 22, 22, 24, 49, 35, 37, 29, 40, 58, 51, 61,
    60, 57, 51, 56, 55, 64, 72, 92, 78, 64, 68, 87, 69, 55, 56, 80, 109, 81, 87, 95, 98, 103, 104, 103, 62, 77, 113,
    121, 112, 100, 120, 92, 101, 103, 99,
];

/// How strongly the JPEG in `bytes` is compressed; none if they are no JPEG, or it lacks its first table or frame.
pub fn compression(bytes: &[u8]) -> Option<Compression> {
    if !bytes.starts_with(&[0xFF, 0xD8]) {
        return None;
    }
    let (mut at, mut quality, mut subsampled) = (2, None, None);
    while quality.is_none() || subsampled.is_none() {
        let marker = next_marker(bytes, &mut at)?;
        if matches!(marker, 0x01..=0xBF | 0xD0..=0xD9) {
            continue;
        }
        let length = usize::from(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
        let segment = bytes.get(at + 2..at + length)?;
        at += length;
        match marker {
            0xDB => quality = quality.or_else(|| Some(nearest_quality(first_table(segment)?).0)),
            // Frames of all kinds; 0xC4, 0xC8 and 0xCC are other things. Of each component three bytes follow the first six, and
            // the second one holds both sampling factors.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let factors: Vec<u8> = segment.get(6..)?.chunks_exact(3).map(|component| component[1]).collect();
                subsampled = Some(factors.iter().any(|factor| *factor != factors[0]));
            }
            _ => {}
        }
    }
    Some(Compression { quality: quality?, subsampled: subsampled? })
}

/// Quantisation table 0, in zigzag order, of a segment that may hold several.
pub(crate) fn first_table(segment: &[u8]) -> Option<[u16; 64]> {
    let mut rest = segment;
    while let Some((&about, numbers)) = rest.split_first() {
        let wide = about >> 4 != 0;
        let (table, others) = numbers.split_at_checked(if wide { 128 } else { 64 })?;
        if about & 15 == 0 {
            let mut found = [0; 64];
            for (i, to) in found.iter_mut().enumerate() {
                *to = if wide { u16::from_be_bytes([table[2 * i], table[2 * i + 1]]) } else { table[i].into() };
            }
            return Some(found);
        }
        rest = others;
    }
    None
}

/// The quality whose table is nearest, by the rule of the Independent JPEG Group's encoder, and how far it is off: 0 if the table
/// is that encoder's.
pub(crate) fn nearest_quality(table: [u16; 64]) -> (u8, u32) {
    let away = |quality: u8| {
        let quality = u32::from(quality);
        let scale = if quality < 50 { 5000 / quality } else { 200 - 2 * quality };
        let scaled = LUMINANCE.map(|v| ((u32::from(v) * scale + 50) / 100).clamp(1, 255));
        scaled.iter().zip(table).map(|(a, b)| a.abs_diff(b.into())).sum::<u32>()
    };
    (1..=100).map(|quality| (quality, away(quality))).min_by_key(|&(_, away)| away).unwrap_or((100, 0))
}

/// The picture as it comes back from a JPEG of this quality (1 to 100), its colours at half the resolution if `subsampled`. The
/// encoder is ours and always the same, so the same picture gives the same pixels everywhere.
///
/// # Errors
/// [`BadPicture`] if it has no pixels, or more than 65,535 on a side.
pub fn recompressed(picture: &RgbImage, quality: u8, subsampled: bool) -> Result<RgbImage, BadPicture> {
    let bad = |cause: &dyn std::fmt::Display| BadPicture::new(format!("cannot be compressed as JPEG: {cause}"));
    let sides = [picture.width(), picture.height()].map(u16::try_from);
    let [Ok(width), Ok(height)] = sides else { return Err(bad(&"too large")) };
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_sampling_factor(if subsampled { SamplingFactor::F_2_2 } else { SamplingFactor::F_1_1 });
    encoder.encode(picture.as_raw(), width, height, ColorType::Rgb).map_err(|e| bad(&e))?;
    let decoded = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).map_err(|e| bad(&e))?;
    Ok(decoded.into_rgb8())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn quality_and_subsampling_are_read_back_from_a_file() {
        let picture = RgbImage::from_fn(40, 24, |x, y| Rgb([x as u8 * 6, y as u8 * 9, 90]));
        for quality in [1, 10, 35, 50, 60, 75, 90, 95, 100] {
            for subsampled in [false, true] {
                let mut bytes = Vec::new();
                let mut encoder = Encoder::new(&mut bytes, quality);
                encoder.set_progressive(quality % 2 == 0);
                encoder.set_sampling_factor(if subsampled { SamplingFactor::F_2_1 } else { SamplingFactor::F_1_1 });
                encoder.encode(picture.as_raw(), 40, 24, ColorType::Rgb).unwrap();
                assert_eq!(compression(&bytes), Some(Compression { quality, subsampled }));
                assert_eq!(compression(&bytes[..30]), None);
            }
        }
        let mut other = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut other, 83).encode_image(&picture).unwrap();
        assert_eq!(compression(&other).map(|found| found.quality), Some(83));
        assert_eq!((compression(b"GIF89a"), compression(&START), compression(b"")), (None, None, None));
    }

    #[test]
    fn compressing_again_loses_with_the_quality() {
        let noise = |x: u32, y: u32| (((x * 7919) ^ (y * 104_729)).wrapping_mul(2_654_435_761) >> 24) as u8;
        let picture = RgbImage::from_fn(48, 40, |x, y| Rgb([noise(x, y), x as u8 * 5, 100]));
        let lost = |quality, subsampled| {
            let after = recompressed(&picture, quality, subsampled).unwrap();
            assert_eq!(after.dimensions(), (48, 40));
            after.as_raw().iter().zip(picture.as_raw()).map(|(&a, &b)| u64::from(a.abs_diff(b))).sum::<u64>()
        };
        assert!(lost(95, false) < lost(40, false) && lost(95, false) < lost(95, true));
        assert!(recompressed(&RgbImage::new(0, 0), 80, true).is_err());
    }

    const START: [u8; 2] = [0xFF, 0xD8];
    /// An APP1 segment holding a thumbnail that has an end marker of its own.
    const THUMBNAIL: [u8; 8] = [0xFF, 0xE1, 0, 6, 0xFF, 0xD8, 0xFF, 0xD9];
    const SCAN: [u8; 10] = [0xFF, 0xDA, 0, 3, 1, 7, 0xFF, 0x00, 0xFF, 0xD0];
    const END: [u8; 3] = [0xFF, 0xFF, 0xD9];

    #[test]
    fn finds_the_pictures_own_end() {
        assert!(is_whole(&[&START[..], &THUMBNAIL, &SCAN, &SCAN, &END, b"junk"].concat()));
        assert!(!is_whole(&[&START[..], &THUMBNAIL, &SCAN].concat()));
        assert!(!is_whole(&[&START[..], &THUMBNAIL[..5]].concat()));
        assert!(!is_whole(&[&START[..], &SCAN, &END[..2]].concat()));
        assert!(!is_whole(&START));
        assert!(!is_whole(&[]));
    }
}
