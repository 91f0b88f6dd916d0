//! What years in a crate do to a cover: vignette, creases, scratches, grain, a poor scan.

use std::f32::consts::TAU;

use image::codecs::jpeg::JpegEncoder;
use image::{ExtendedColorType, ImageFormat, RgbImage};
use tiny_skia::Pixmap;

use super::background::neutral;
use super::dice::Dice;
use super::palette::faded;
use super::pen::Pen;
use crate::{Error, Result};

/// Creases, scratches, and the ring that a record presses into its sleeve.
pub(super) fn marks(picture: &mut Pixmap, dice: &mut Dice) {
    let light = neutral(dice.chance(0.7));
    let (scratches, crease, ring) = (dice.whole(0, 5), dice.chance(0.2), dice.chance(0.15));
    let mut pen = Pen::unit(picture);
    for _ in 0..scratches {
        let (x, y) = (dice.unit(), dice.unit());
        let (s, c) = dice.range(0.0, TAU).sin_cos();
        let length = dice.range(0.05, 0.3);
        let end = (x + length * c, y + length * s);
        let alpha = dice.range(0.12, 0.35);
        pen.line(&[(x, y), end], 0.006, faded(light, alpha));
    }
    if crease {
        let (a, b) = (dice.range(0.05, 0.3), dice.range(0.05, 0.3));
        let mirror = |x: f32| if scratches % 2 == 0 { x } else { 1.0 - x };
        let fold = [(mirror(0.0), a), (mirror(b), 0.0)];
        pen.line(&fold, 0.008, faded(light, 0.4));
    }
    if ring {
        let jolt = (dice.range(-0.01, 0.01), dice.range(-0.01, 0.01));
        pen.ring((0.5 + jolt.0, 0.5 + jolt.1), 0.47, 0.012, faded(light, 0.16));
    }
}

/// Vignette, fading, grain, and sometimes the blocks of a JPEG file.
pub(super) fn develop(picture: &Pixmap, dice: &mut Dice) -> Result<RgbImage> {
    let side = picture.width();
    let vignette = if dice.chance(0.4) { dice.range(0.15, 0.45) } else { 0.0 };
    let fade = if dice.chance(0.4) { dice.range(0.0, 0.14) } else { 0.0 };
    let grain = dice.range(0.0, 0.045);
    let quality = dice.chance(0.45).then(|| dice.whole(45, 90) as u8);
    let mut out = RgbImage::new(side, side);
    for ((x, y, to), from) in out.enumerate_pixels_mut().zip(picture.pixels()) {
        let (u, v) = (x as f32 / side as f32 - 0.5, y as f32 / side as f32 - 0.5);
        let shade = 1.0 - vignette * (u * u + v * v) * 2.0;
        let noise = (dice.unit() + dice.unit() - 1.0) * grain * 2.0;
        for (to, from) in to.0.iter_mut().zip([from.red(), from.green(), from.blue()]) {
            let value = f32::from(from) / 255.0 * shade;
            let value = value * (1.0 - fade) + fade * 0.55 + noise;
            *to = (value * 255.0).round().clamp(0.0, 255.0) as u8;
        }
    }
    match quality {
        Some(quality) => through_jpeg(&out, quality),
        None => Ok(out),
    }
}

fn through_jpeg(picture: &RgbImage, quality: u8) -> Result<RgbImage> {
    let fail = |e| Error::run(format!("cannot re-encode a sample cover: {e}"));
    let (w, h) = picture.dimensions();
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality)
        .encode(picture.as_raw(), w, h, ExtendedColorType::Rgb8)
        .map_err(fail)?;
    let back = image::load_from_memory_with_format(&bytes, ImageFormat::Jpeg).map_err(fail)?;
    Ok(back.into_rgb8())
}
