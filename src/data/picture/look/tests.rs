//! What of a cover may change, and what makes it another one.

use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::*;

/// A made-up cover: waves of three colours under a frame, with a word's worth of strokes that `number` decides at the place.
fn cover(side: u32, number: u32, (x, y): (f64, f64), tall: f64) -> RgbImage {
    RgbImage::from_fn(side, side, |px, py| {
        let (u, v) = ((f64::from(px) + 0.5) / f64::from(side), (f64::from(py) + 0.5) / f64::from(side));
        // Three by five cells, as a digit of a simple font has.
        let (column, row) = ((u - x) / tall * 5.0, (v - y) / tall * 5.0);
        if (0.0..3.0).contains(&column) && (0.0..5.0).contains(&row) {
            const DIGITS: [u32; 3] = [0b111_001_111_001_111, 0b111_001_010_010_010, 0b111_101_111_101_111];
            let lit = DIGITS[number as usize] >> (14 - (row as u32 * 3 + column as u32)) & 1 == 1;
            return Rgb(if lit { [10; 3] } else { [245; 3] });
        }
        let wave = |a: f64, b: f64| (128.0 + 60.0 * (a * u + b * v).sin()) as u8;
        Rgb([wave(17.0, 5.0), wave(-4.0, 21.0), wave(9.0, -13.0)])
    })
}

const CORNER: (f64, f64) = (0.88, 0.86);

fn between(a: &RgbImage, b: &RgbImage) -> Apart {
    apart(&look(a), &look(b), 4.2)
}

#[test]
fn the_same_cover_at_another_size_compressed_cropped_and_brightened_is_near() {
    let whole = cover(300, 0, CORNER, 0.1);
    let jpeg = |quality| crate::data::picture::jpeg::recompressed(&whole, quality, true).unwrap();
    let scaled = |side| imageops::resize(&whole, side, side, FilterType::CatmullRom);
    let brighter =
        |by: f32| RgbImage::from_fn(300, 300, |x, y| Rgb(whole[(x, y)].0.map(|v| (f32::from(v) * by) as u8)));
    let mut bordered = RgbImage::from_pixel(308, 308, Rgb([255; 3]));
    imageops::replace(&mut bordered, &whole, 4, 4);
    for (name, other) in [
        ("itself", whole.clone()),
        ("quality 40", jpeg(40)),
        ("quality 95", jpeg(95)),
        ("half", scaled(150)),
        ("double", scaled(600)),
        ("cropped", imageops::crop_imm(&whole, 3, 3, 294, 294).to_image()),
        ("one edge", imageops::crop_imm(&whole, 0, 0, 295, 300).to_image()),
        ("brighter", brighter(1.05)),
        ("darker", brighter(0.95)),
        ("bordered", bordered),
    ] {
        for found in [between(&whole, &other), between(&other, &whole)] {
            assert!(found.detail <= 4.2 && found.colour <= 13.0, "{name}: {found:?}");
        }
    }
    assert_eq!(between(&whole, &whole), Apart { detail: 0.0, colour: 0.0 });
}

#[test]
fn another_number_is_far_in_detail_and_another_colour_in_colour() {
    for tall in [0.3, 0.1, 0.06] {
        let first = cover(300, 0, (0.6, 0.6), tall);
        for number in [1, 2] {
            let other = cover(300, number, (0.6, 0.6), tall);
            // Also where the second was scaled and cropped, if the number is not too small.
            let part = imageops::crop_imm(&other, 3, 3, 294, 294).to_image();
            let changed = imageops::resize(&part, 150, 150, FilterType::CatmullRom);
            for other in [Some(other), (tall > 0.2).then_some(changed)].into_iter().flatten() {
                let found = between(&first, &other);
                assert!(found.detail > 4.2 && found.colour <= 13.0, "{tall} {number}: {found:?}");
            }
        }
    }
    let red = RgbImage::from_fn(200, 200, |x, y| Rgb([200, if (x / 20 + y / 30) % 2 == 0 { 40 } else { 90 }, 60]));
    // Of the same luminance, nearly.
    let blue = RgbImage::from_fn(200, 200, |x, y| Rgb([90, red[(x, y)][1] + 40, 140]));
    let found = between(&red, &blue);
    assert!(found.colour > 13.0, "{found:?}");
}

#[test]
fn a_look_holds_mean_colours() {
    // Left half red, right half blue, at sizes that 96 divides and does not, also below 96.
    for side in [192, 250, 50] {
        let halves = RgbImage::from_fn(side, side, |x, _| Rgb(if x < side / 2 { [255, 0, 0] } else { [0, 0, 255] }));
        let look = look(&halves);
        assert_eq!(look.len(), BYTES);
        assert_eq!([look[0], look[SIDE - 1]], [76, 29], "{side}");
        // ITU-T T.871: red has Cb 85 and Cr 255 (255.5 cut off), blue Cb 255 and Cr 107.
        let (cb, cr) = look[SIDE * SIDE..].split_at(TINTS * TINTS);
        assert_eq!([cb[0], cr[0], cb[TINTS - 1], cr[TINTS - 1]], [85, 255, 255, 107], "{side}");
    }
    // One pixel in nine of a cell of three is a ninth.
    let dot = RgbImage::from_fn(288, 288, |x, y| Rgb([if (x, y) == (4, 4) { 180 } else { 0 }; 3]));
    let seen = look(&dot);
    assert_eq!((seen[SIDE + 1], seen[SIDE + 2], seen[0]), (20, 0, 0));
}

#[test]
fn one_colour_is_plain_and_a_thin_line_is_not() {
    let plain = RgbImage::from_pixel(200, 160, Rgb([200, 30, 90]));
    assert!(is_plain(&look(&plain)));
    let noisy = RgbImage::from_fn(200, 160, |x, y| Rgb([200 + (x % 3) as u8, 30 + (y % 4) as u8, 90]));
    assert!(is_plain(&look(&noisy)));
    let mut lined = plain.clone();
    (20..60).for_each(|x| lined.put_pixel(x, 80, Rgb([255; 3])));
    assert!(!is_plain(&look(&lined)));
}
