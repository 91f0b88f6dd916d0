use image::imageops::{FilterType, resize};
use image::{Rgb, RgbImage};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

fn feature(picture: &RgbImage, name: &str) -> f64 {
    let size = picture.width() as usize;
    let row = measure(picture.as_raw(), size, &Transforms::new(size));
    assert!(row.iter().all(|v| v.is_finite()), "{row:?}");
    row[FEATURES.iter().position(|&(own, _)| own == name).unwrap()]
}

/// Grey noise.
fn noise(seed: u64, side: u32) -> RgbImage {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    RgbImage::from_fn(side, side, |_, _| Rgb([dice.random_range(60..200); 3]))
}

fn jpeg(picture: &RgbImage, quality: u8) -> RgbImage {
    let mut bytes = Vec::new();
    image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(picture).unwrap();
    image::load_from_memory(&bytes).unwrap().into_rgb8()
}

#[test]
fn every_number_is_finite_even_for_plain_pictures() {
    for level in [0, 128, 255] {
        for size in [LEAST_SIZE as u32, 33, 64] {
            let plain = RgbImage::from_pixel(size, size, Rgb([level; 3]));
            assert_eq!(feature(&plain, "plain borders"), 1.0);
            assert!(feature(&plain, "blocks anywhere").abs() < 1e-9);
        }
    }
}

#[test]
fn contrast_does_not_change_the_shape_of_a_spectrum() {
    let loud = resize(&noise(1, 96), 96, 96, FilterType::Gaussian);
    let quiet = RgbImage::from_fn(96, 96, |x, y| Rgb(loud[(x, y)].0.map(|v| 64 + v / 2)));
    for (name, _) in &FEATURES[..10] {
        let (a, b) = (feature(&loud, name), feature(&quiet, name));
        assert!((a - b).abs() < 0.1, "{name}: {a} {b}");
    }
}

#[test]
fn blocks_are_seen_where_they_are() {
    let picture = jpeg(&noise(2, 128), 20);
    let shifted = image::imageops::crop_imm(&picture, 3, 3, 120, 120).to_image();
    assert!(feature(&picture, "blocks here") > 0.08, "{}", feature(&picture, "blocks here"));
    assert!(feature(&shifted, "blocks here") < 0.02, "{}", feature(&shifted, "blocks here"));
    assert!(feature(&shifted, "blocks anywhere") > 0.08);
    assert!(feature(&noise(2, 128), "blocks anywhere") < 0.05);
}

#[test]
fn enlarging_leaves_a_period_and_takes_fine_detail() {
    let (plain, large) = (noise(3, 128), resize(&noise(3, 96), 128, 128, FilterType::Triangle));
    // 96 pixels on 128: every fourth pixel lies where it lay, so 0.25 cycles per pixel.
    let (before, after) = (feature(&plain, "period 0.19-0.30"), feature(&large, "period 0.19-0.30"));
    assert!(after > before + 1.0, "{before} {after}");
    assert!(feature(&large, "spectrum 0.45-0.50") < feature(&plain, "spectrum 0.45-0.50") - 1.0);
    assert!(feature(&large, "residual lag 1") > feature(&plain, "residual lag 1") + 0.1);
}

#[test]
fn halved_colours_and_stretched_levels_are_seen() {
    let mut dice = ChaCha8Rng::seed_from_u64(5);
    let colours = RgbImage::from_fn(64, 64, |_, _| Rgb(std::array::from_fn(|_| dice.random_range(0..=255))));
    let small = resize(&colours, 32, 32, FilterType::Triangle);
    let halved = resize(&small, 64, 64, FilterType::Nearest);
    assert!(feature(&halved, "colour pairs").abs() > 3.0 && feature(&colours, "colour pairs").abs() < 0.3);
    let stretched = RgbImage::from_fn(64, 64, |x, y| Rgb(colours[(x, y)].0.map(|v| (v / 2) * 2)));
    assert!(feature(&stretched, "empty levels") > 0.3 && feature(&colours, "empty levels") < 0.05);
}
