//! The same degradation for every picture, so that where it came from no longer shows.
//!
//! Sources differ in native size and compression, and both leave traces that survive scaling. Bringing all pictures down to a
//! common, smaller size and compressing them alike covers those traces with the same new ones. It costs detail.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use crate::data::picture::fit::{BadPicture, Fit, MAX_SIZE, Region, region, square};
use crate::data::picture::jpeg;
use crate::data::picture::read::{decode_caught, read};
use crate::{Error, Result};

/// Sides below this leave nothing of a cover.
const LEAST_SIZE: u32 = 16;

/// What every picture goes through: a square of `size`, compressed as JPEG of `quality`, its colours at half the resolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Harmonise {
    /// Pixels on a side.
    pub size: u32,
    /// 1 to 100 on the scale of the Independent JPEG Group.
    pub quality: u8,
}

impl Harmonise {
    /// What is wrong with it, if anything: it may come from a file that says what it wants.
    pub fn fault(self) -> Option<String> {
        let Self { size, quality } = self;
        let sound = (LEAST_SIZE..=MAX_SIZE).contains(&size) && (1..=100).contains(&quality);
        (!sound).then(|| {
            format!("the size must be {LEAST_SIZE} to {MAX_SIZE} pixels and the quality 1 to 100, such as 96,60")
        })
    }
}

impl FromStr for Harmonise {
    type Err = Error;

    /// Reads `SIZE,QUALITY`.
    fn from_str(text: &str) -> Result<Self> {
        let bad = |what: String| Error::Input(format!("--harmonise {text}: {what}"));
        let parsed = text.split_once(',').and_then(|(size, quality)| {
            Some(Self { size: size.trim().parse().ok()?, quality: quality.trim().parse().ok()? })
        });
        let this = parsed.ok_or_else(|| bad("give a size in pixels and a JPEG quality, such as 96,60".into()))?;
        this.fault().map_or(Ok(this), |what| Err(bad(what)))
    }
}

impl fmt::Display for Harmonise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{},{}", self.size, self.quality)
    }
}

/// All that makes a picture of any shape the square that a network sees. It belongs to the data set and to the checkpoint: a
/// network that was trained on squares of one pipeline must be shown squares of the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pipeline {
    pub fit: Fit,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmonise: Option<Harmonise>,
}

impl From<Fit> for Pipeline {
    fn from(fit: Fit) -> Self {
        Self { fit, harmonise: None }
    }
}

impl Pipeline {
    /// The picture as `size` × `size` pixels.
    ///
    /// # Errors
    /// [`BadPicture`] if it cannot be compressed, which no picture of a sound size is known to do.
    pub fn square(self, picture: &RgbImage, size: u32) -> Result<RgbImage, BadPicture> {
        let Some(Harmonise { size: common, quality }) = self.harmonise else {
            return Ok(square(picture, size, self.fit));
        };
        let small = square(picture, common, self.fit);
        Ok(square(&jpeg::recompressed(&small, quality, true)?, size, self.fit))
    }

    /// What of a picture of this width and height [`Self::square`] makes the square of `size` pixels of.
    pub fn region(self, width: u32, height: u32, size: u32) -> Region {
        region(width, height, self.harmonise.map_or(size, |harmonise| harmonise.size), self.fit)
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

/// Loads a picture as a square of `size` × `size` RGB pixels.
///
/// The content decides the format, not the extension; of an audio file the embedded front cover is taken. EXIF
/// orientation is applied, alpha composited over white (but ignored where it is 0 all over), and grey, CMYK and 16-bit pictures are converted to 8-bit RGB;
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

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn sizes_and_qualities_are_read_and_bad_ones_refused() {
        let good: Harmonise = "96, 60".parse().unwrap();
        assert_eq!((good, good.to_string().as_str()), (Harmonise { size: 96, quality: 60 }, "96,60"));
        for text in ["", "96", "96,60,1", "96,0", "96,101", "15,60", "9000,60", "-1,5", "a,b", "96;60", "96,60%"] {
            let said = text.parse::<Harmonise>().unwrap_err().to_string();
            assert!(said.starts_with(&format!("--harmonise {text}: ")) && said.contains("such as 96,60"), "{said}");
            assert!(!said.contains('\n'));
        }
    }

    #[test]
    fn fine_detail_goes_and_the_picture_stays() {
        let half =
            RgbImage::from_fn(256, 256, |x, y| Rgb([if x < 128 { 40 } else { 200 } + ((x + y) % 2 * 40) as u8; 3]));
        let pipeline = Pipeline { fit: Fit::Crop, harmonise: Some(Harmonise { size: 64, quality: 50 }) };
        let seen = pipeline.square(&half, 256).unwrap();
        assert_eq!(seen.dimensions(), (256, 256));
        let [left, right] = [seen[(40, 100)][0], seen[(41, 100)][0]];
        assert!(left.abs_diff(60) < 12 && left.abs_diff(right) < 6, "{left} {right}");
        assert!(seen[(200, 100)][0].abs_diff(220) < 12);
        assert_eq!(Pipeline::from(Fit::Crop).square(&half, 256).unwrap(), half);
    }
}
