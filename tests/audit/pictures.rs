//! Made-up covers, and the ways they can go before they reach a data set.

use image::codecs::jpeg::JpegEncoder;
use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Pixels on a side of [`master`].
pub const MASTER: u32 = 320;

/// A large picture of coloured shapes with hard edges on a shaded ground, grainy to another degree each time: from plain sleeves to
/// busy ones.
pub fn master(number: u64) -> RgbImage {
    let mut dice = ChaCha8Rng::seed_from_u64(number);
    let colour = |dice: &mut ChaCha8Rng| -> [f32; 3] { std::array::from_fn(|_| dice.random_range(0.0..255.0)) };
    let (top, bottom) = (colour(&mut dice), colour(&mut dice));
    let mut values: Vec<[f32; 3]> = (0..MASTER * MASTER)
        .map(|i| {
            let share = (i / MASTER) as f32 / MASTER as f32;
            std::array::from_fn(|c| top[c] * (1.0 - share) + bottom[c] * share)
        })
        .collect();
    let side = MASTER as f32;
    for _ in 0..dice.random_range(4..60) {
        let ink = colour(&mut dice);
        let (x, y) = (dice.random_range(0.0..side), dice.random_range(0.0..side));
        let largest = if dice.random::<bool>() { 12.0 } else { 90.0 };
        let (w, h) = (dice.random_range(1.0..largest), dice.random_range(1.0..largest));
        let round = dice.random::<bool>();
        let range =
            |middle: f32, half: f32| ((middle - half).max(0.0) as u32)..((middle + half).clamp(0.0, side) as u32);
        for v in range(y, h) {
            for u in range(x, w) {
                let inside = ((u as f32 - x) / w).powi(2) + ((v as f32 - y) / h).powi(2) <= 1.0;
                if !round || inside {
                    values[(v * MASTER + u) as usize] = ink;
                }
            }
        }
    }
    let grain = dice.random_range(0.5_f32..14.0);
    RgbImage::from_fn(MASTER, MASTER, |x, y| {
        let noise = grain * (dice.random::<f32>() + dice.random::<f32>() + dice.random::<f32>() - 1.5);
        Rgb(values[(y * MASTER + x) as usize].map(|value| (value + noise).clamp(0.0, 255.0) as u8))
    })
}

pub fn jpeg_bytes(picture: &RgbImage, quality: u8) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).unwrap();
    bytes
}

pub fn jpeg(picture: &RgbImage, quality: u8) -> RgbImage {
    image::load_from_memory(&jpeg_bytes(picture, quality)).unwrap().into_rgb8()
}

pub fn lanczos(picture: &RgbImage, side: u32) -> RgbImage {
    resize(picture, side, side, FilterType::Lanczos3)
}
