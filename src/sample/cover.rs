//! One cover: a genre's motif on a sleeve that knows nothing of the genre.

use image::RgbImage;
use tiny_skia::{Color, Pixmap, PixmapPaint, Transform};

use super::dice::Dice;
use super::layout::Spot;
use super::motifs::{GENRES, Style};
use super::palette::{Palette, faded, lightness_of, lightness_under};
use super::pen::Pen;
use super::print::{self, Sheet};
use super::{background, wear};
use crate::{Error, Result};

/// Everything about a cover but its genre.
#[derive(Clone, Debug)]
pub(super) struct Sleeve {
    pub seed: u64,
    /// The cover's number in the whole set: all its random streams hang on it.
    pub serial: u64,
    pub artist: String,
    pub album: String,
}

/// The smallest rectangle of whole pixels around the evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PixelBox {
    pub x: u32,
    pub y: u32,
    pub w: u32,
    pub h: u32,
}

/// Draws the cover; `genre` is an index into [`GENRES`], or nothing for the sleeve without evidence.
pub(super) fn draw(sleeve: &Sleeve, genre: Option<usize>, size: u32) -> Result<(RgbImage, Option<PixelBox>)> {
    let (mut picture, found) = unworn(sleeve, genre, size)?;
    let mut dice = sleeve.dice("wear");
    wear::marks(&mut picture, &mut dice);
    Ok((wear::develop(&picture, &mut dice)?, found))
}

/// The cover fresh from the press.
fn unworn(sleeve: &Sleeve, genre: Option<usize>, size: u32) -> Result<(Pixmap, Option<PixelBox>)> {
    let mut picture = blank(size)?;
    let palette = Palette::draw(&mut sleeve.dice("palette"));
    background::paint(&mut picture, palette, &mut sleeve.dice("background"));
    let bare = picture.clone();

    let spot = Spot::draw(&mut sleeve.dice("spot"));
    let look = Look::draw(palette, &bare, &spot, &mut sleeve.dice("look"));
    let mut found = None;
    if let Some(genre) = genre {
        let layer = motif(sleeve, genre, &spot, &look, size)?;
        found = bounds(&layer);
        let paint = PixmapPaint::default();
        picture.draw_pixmap(0, 0, layer.as_ref(), &paint, Transform::identity(), None);
    }

    let sheet = Sheet { palette, bare: &bare };
    let mut dice = sleeve.dice("print");
    print::frame(&mut picture, &sheet, &mut dice);
    let names = (sleeve.artist.as_str(), sleeve.album.as_str());
    let taken = print::lettering(&mut picture, &spot, names, &sheet, &mut dice);
    print::stickers(&mut picture, &spot, &taken, &sheet, &mut dice);
    Ok((picture, found))
}

impl Sleeve {
    fn dice(&self, stream: &str) -> Dice {
        Dice::new(self.seed, self.serial, stream)
    }
}

/// How whatever motif comes is inked: chosen against the background, before the genre is known.
struct Look {
    style: Style,
    /// A second, misplaced impression beneath the motif: how far off, and in which colour.
    echo: Option<(f32, f32, Color)>,
}

impl Look {
    fn draw(palette: &Palette, bare: &Pixmap, spot: &Spot, dice: &mut Dice) -> Self {
        let a = spot.area();
        let under = lightness_under(bare, a.x, a.y, a.w, a.h);
        let main = palette.ink_against(under, 0.44, dice);
        let detail = palette.ink_against(lightness_of(main), 0.35, dice);
        let ghost = faded(palette.any_ink(dice), 0.45);
        let (dx, dy) = (0.07 * dice.sign(), 0.07 * dice.range(-1.0, 1.0));
        Self {
            style: Style { main, detail, weight: dice.range(0.8, 1.25) },
            echo: dice.chance(0.25).then_some((dx, dy, ghost)),
        }
    }
}

/// The motif alone, on a transparent layer.
fn motif(sleeve: &Sleeve, genre: usize, spot: &Spot, look: &Look, size: u32) -> Result<Pixmap> {
    let mut layer = blank(size)?;
    let side = size as f32;
    let room = if look.echo.is_some() { 0.94 } else { 1.0 };
    let place = Transform::from_scale(side, side)
        .pre_translate(spot.x, spot.y)
        .pre_rotate(spot.turn)
        .pre_scale(spot.r * room, spot.r * room);
    let shape = sleeve.dice("shape");
    let (_, paint) = GENRES[genre];
    if let Some((dx, dy, ghost)) = look.echo {
        let mut pen = Pen::new(&mut layer, place.pre_translate(dx, dy)).tinted(ghost);
        paint(&mut pen, &look.style, &mut shape.clone());
    }
    paint(&mut Pen::new(&mut layer, place), &look.style, &mut shape.clone());
    Ok(layer)
}

fn blank(size: u32) -> Result<Pixmap> {
    Pixmap::new(size, size).ok_or_else(|| Error::run(format!("no memory for a {size}x{size} cover")))
}

/// The smallest box around everything that is not wholly transparent.
fn bounds(layer: &Pixmap) -> Option<PixelBox> {
    let width = layer.width();
    let mut range: Option<(u32, u32, u32, u32)> = None;
    for (i, pixel) in (0u32..).zip(layer.pixels()) {
        if pixel.alpha() > 0 {
            let (x, y) = (i % width, i / width);
            let (l, t, r, b) = range.unwrap_or((x, y, x, y));
            range = Some((l.min(x), t.min(y), r.max(x), b.max(y)));
        }
    }
    range.map(|(l, t, r, b)| PixelBox { x: l, y: t, w: r - l + 1, h: b - t + 1 })
}

#[cfg(test)]
#[path = "cover_tests.rs"]
mod tests;
