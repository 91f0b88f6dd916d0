//! What a picture looks like from afar: enough to tell that two files show the same cover.

use std::sync::LazyLock;

use image::imageops::{self, FilterType};
use image::{GrayImage, Luma, RgbImage};
use image_hasher::{HashAlg, Hasher, HasherConfig};

/// Pixels on a side of [`Fingerprint::grey`].
pub const SIDE: u32 = 32;
/// Pixels on a side after the first of two steps down.
const COARSE: u32 = 128;
/// Bytes of [`Fingerprint::grey`].
pub const BYTES: usize = (SIDE * SIDE) as usize;

/// A picture from afar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// Perceptual hash: the signs of the lowest 8 x 8 frequencies against their median. Pictures that were scaled or
    /// compressed again differ in few bits.
    pub hash: u64,
    /// The whole picture at 32 x 32, its luminance, squeezed if it is not square.
    pub grey: [u8; BYTES],
}

static HASHER: LazyLock<Hasher<[u8; 8]>> = LazyLock::new(|| {
    HasherConfig::with_bytes_type().hash_size(8, 8).hash_alg(HashAlg::Median).preproc_dct().to_hasher()
});

impl Fingerprint {
    pub fn of(picture: &RgbImage) -> Self {
        // The fast step samples coarsely, so it stops well above the last size; the slow one averages.
        let coarse = (picture.width().min(COARSE), picture.height().min(COARSE));
        let near = imageops::thumbnail(picture, coarse.0, coarse.1);
        let small = imageops::resize(&near, SIDE, SIDE, FilterType::Triangle);
        let mut grey = [0; BYTES];
        for (to, pixel) in grey.iter_mut().zip(small.pixels()) {
            let [r, g, b] = pixel.0.map(u32::from);
            *to = ((299 * r + 587 * g + 114 * b + 500) / 1000) as u8;
        }
        Self { hash: perceptual_hash(&grey), grey }
    }
}

/// The perceptual hash of a small grey picture.
pub fn perceptual_hash(grey: &[u8; BYTES]) -> u64 {
    let luma = GrayImage::from_fn(SIDE, SIDE, |x, y| Luma([grey[(y * SIDE + x) as usize]]));
    u64::from_be_bytes(HASHER.hash_image(&luma).into_inner())
}

/// In how many of the 64 bits two perceptual hashes differ.
pub fn distance(a: u64, b: u64) -> u32 {
    (a ^ b).count_ones()
}

/// Standard deviation of the pixels. Near 0 the picture is one plain area, of which many different covers look alike.
pub fn contrast(grey: &[u8]) -> f64 {
    let count = grey.len() as f64;
    let mean = grey.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    (grey.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / count).sqrt()
}

/// Pearson's correlation of two pictures' pixels; 0 if one of them is plain.
pub fn correlation(a: &[u8], b: &[u8]) -> f64 {
    let count = a.len() as f64;
    let mean = |values: &[u8]| values.iter().map(|&v| f64::from(v)).sum::<f64>() / count;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (&x, &y) in a.iter().zip(b) {
        let (x, y) = (f64::from(x) - mean_a, f64::from(y) - mean_b);
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    if aa == 0.0 || bb == 0.0 { 0.0 } else { ab / (aa * bb).sqrt() }
}

/// What is known of a picture beside its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureInfo {
    /// Width of the file's picture in pixels, after turning.
    pub width: u32,
    /// Height of the file's picture in pixels, after turning.
    pub height: u32,
    /// BLAKE3 of the picture's bytes.
    pub hash: blake3::Hash,
    /// Its perceptual hash, see [`Fingerprint`].
    pub phash: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    /// Patches of colour that `seed` decides.
    fn patches(seed: u32, side: u32) -> RgbImage {
        RgbImage::from_fn(side, side, |x, y| {
            let patch = (x * 6 / side) * 7919 + (y * 6 / side) * 104_729 + seed * 15_485_863;
            let mixed = (patch ^ patch >> 15).wrapping_mul(2_246_822_519);
            let mixed = (mixed ^ mixed >> 13).wrapping_mul(3_266_489_917);
            Rgb((mixed ^ mixed >> 16).to_be_bytes()[..3].try_into().unwrap())
        })
    }

    #[test]
    fn the_same_picture_at_another_size_looks_alike_and_another_does_not() {
        let first = patches(1, 300);
        let small = imageops::resize(&first, 170, 168, FilterType::Triangle);
        let (a, b, c) = (Fingerprint::of(&first), Fingerprint::of(&small), Fingerprint::of(&patches(2, 300)));
        assert_eq!(a, Fingerprint::of(&first));
        let (bits, alike) = (distance(a.hash, b.hash), correlation(&a.grey, &b.grey));
        assert!(bits <= 4 && alike > 0.98, "{bits} {alike}");
        assert!(distance(a.hash, c.hash) > 12 && correlation(&a.grey, &c.grey) < 0.7);
    }

    #[test]
    fn correlation_knows_opposites_and_plain_areas() {
        let ramp: Vec<u8> = (0..100).collect();
        let down: Vec<u8> = ramp.iter().rev().copied().collect();
        assert!((correlation(&ramp, &ramp) - 1.0).abs() < 1e-12 && (correlation(&ramp, &down) + 1.0).abs() < 1e-12);
        assert_eq!(correlation(&ramp, &[7; 100]), 0.0);
        assert_eq!(contrast(&[9; 64]), 0.0);
        assert!((contrast(&[0, 10, 0, 10]) - 5.0).abs() < 1e-12);
    }
}
