//! What is printed over the picture: frames, lettering, stickers. None of it knows the genre.

use std::f32::consts::TAU;

use tiny_skia::{Color, Pixmap, Transform};

use super::background::neutral;
use super::dice::Dice;
use super::layout::{Area, Spot};
use super::letters::{Hand, letter, width};
use super::palette::{Palette, lightness_of, lightness_under};
use super::pen::{Pen, round_rect};

/// The colours in use, and the bare background to choose them against.
pub(super) struct Sheet<'a> {
    pub palette: &'a Palette,
    pub bare: &'a Pixmap,
}

impl Sheet<'_> {
    fn ink(&self, a: Area, dice: &mut Dice) -> Color {
        let under = lightness_under(self.bare, a.x, a.y, a.w, a.h);
        self.palette.ink_against(under, 0.36, dice)
    }
}

const WHOLE: Area = Area { x: 0.0, y: 0.0, w: 1.0, h: 1.0 };

/// A frame around the cover, or none.
pub(super) fn frame(picture: &mut Pixmap, sheet: &Sheet, dice: &mut Dice) {
    let ink = sheet.ink(WHOLE, dice);
    let kind = dice.whole(0, 6);
    let thick = dice.range(0.012, 0.035);
    let mut pen = Pen::unit(picture);
    let mut ring = |inset: f32, width: f32, corner: f32| {
        let side = 1.0 - 2.0 * inset;
        if let Some(path) = round_rect(inset, inset, side, side, corner) {
            pen.stroke(&path, width, ink);
        }
    };
    match kind {
        0 => ring(thick / 2.0, thick, 0.001),
        1 => ring(0.03, 0.008, 0.001),
        2 => ring(0.035, 0.01, 0.08),
        3 => {
            ring(0.02, 0.012, 0.001);
            ring(0.042, 0.006, 0.001);
        }
        _ => {}
    }
}

/// The artist's and the album's name, in up to two of the free areas around the motif. Returns where.
pub(super) fn lettering(
    picture: &mut Pixmap,
    spot: &Spot,
    (artist, album): (&str, &str),
    sheet: &Sheet,
    dice: &mut Dice,
) -> Vec<Area> {
    let room = spot.room();
    let order = dice.order(room.len());
    let big = dice.range(0.072, 0.108);
    let small = big * dice.range(0.5, 0.68);
    let mut used: Vec<Area> = Vec::new();
    for (text, size) in [(artist, big), (album, small)] {
        let free = order.iter().map(|&i| room[i]).find(|area| used.iter().all(|u| !u.overlaps(area)));
        match free {
            Some(area) => {
                let ink = sheet.ink(area, dice);
                used.push(block(picture, text, area, size, ink, dice));
            }
            // One area left only: go below what is written there, where there is still room.
            None => {
                let Some(above) = used.last().copied() else { break };
                let y = above.y + above.h + 0.025;
                let Some(outer) = room.iter().find(|r| r.overlaps(&above)) else { break };
                let area = Area { x: outer.x, y, w: outer.w, h: outer.y + outer.h - y };
                if area.h > 0.06 {
                    let ink = sheet.ink(area, dice);
                    used.push(block(picture, text, area, size, ink, dice));
                }
            }
        }
    }
    used
}

/// One text, broken into lines and shrunk until it fits its area; turned on its side in a narrow column.
fn block(picture: &mut Pixmap, text: &str, area: Area, size: f32, ink: Color, dice: &mut Dice) -> Area {
    let hand = Hand {
        stretch: dice.range(0.6, 1.0),
        weight: dice.range(0.11, 0.2),
        slant: if dice.chance(0.25) { 0.22 } else { 0.0 },
    };
    let (align, low) = (dice.whole(0, 2), dice.chance(0.5));
    let upright = area.w < 0.3 && area.h > area.w;
    let (long, deep) = if upright { (area.h, area.w) } else { (area.w, area.h) };
    let text = text.to_uppercase();
    let (lines, height) = set(&text, hand, long, deep, size);

    let widest = lines.iter().map(|l| width(l, hand.stretch)).fold(0.0, f32::max) * height;
    let tall = height * (lines.len() as f32 * 1.5 - 0.5);
    let slack = [0.0, (long - widest) / 2.0, long - widest][align].max(0.0);
    let drop = if low { (deep - tall).max(0.0) } else { 0.0 };
    let side = picture.width() as f32;
    let place = Transform::from_scale(side, side).pre_translate(area.x, area.y);
    let place = if upright { place.pre_translate(0.0, area.h).pre_rotate(-90.0) } else { place };
    let mut pen = Pen::new(picture, place);
    for (i, line) in lines.iter().enumerate() {
        let w = width(line, hand.stretch) * height;
        let x = slack + [0.0, (widest - w) / 2.0, widest - w][align];
        let y = drop + i as f32 * 1.5 * height;
        letter(&mut pen, line, (x, y), height, hand, ink);
    }
    if upright {
        Area { x: area.x + drop, y: area.y + area.h - slack - widest, w: tall, h: widest }
    } else {
        Area { x: area.x + slack, y: area.y + drop, w: widest, h: tall }
    }
}

/// Lines of `text` and the letters' height: as large as `size`, if need be smaller.
fn set(text: &str, hand: Hand, long: f32, deep: f32, size: f32) -> (Vec<String>, f32) {
    let words: Vec<&str> = text.split(' ').collect();
    let mut best = (vec![text.to_owned()], 0.0);
    for count in 1..=words.len().min(3) {
        let lines: Vec<String> = words.chunks(words.len().div_ceil(count)).map(|w| w.join(" ")).collect();
        let widest = lines.iter().map(|l| width(l, hand.stretch)).fold(0.1, f32::max);
        let height = (long / (widest + 0.3)).min(deep / (lines.len() as f32 * 1.5 - 0.4)).min(size);
        if height > best.1 * 1.05 {
            best = (lines, height);
        }
    }
    best
}

/// A price tag, a seal or a strip, where it covers neither motif nor lettering; often none.
pub(super) fn stickers(picture: &mut Pixmap, spot: &Spot, taken: &[Area], sheet: &Sheet, dice: &mut Dice) {
    let count = [0, 0, 0, 1, 1, 2][dice.whole(0, 5)];
    let mut taken: Vec<Area> = taken.iter().copied().chain([spot.area()]).collect();
    for _ in 0..count {
        let r = dice.range(0.05, 0.085);
        let kind = dice.whole(0, 2);
        let fill = if dice.chance(0.5) { sheet.palette.any_ink(dice) } else { neutral(dice.chance(0.5)) };
        let turn = dice.range(-20.0, 20.0);
        for _ in 0..30 {
            let (x, y) = (dice.range(r + 0.03, 0.97 - r), dice.range(r + 0.03, 0.97 - r));
            let area = Area { x: x - r, y: y - r, w: 2.0 * r, h: 2.0 * r };
            if taken.iter().all(|t| !t.overlaps(&area)) {
                taken.push(area);
                let side = picture.width() as f32;
                let place = Transform::from_scale(side, side).pre_translate(x, y).pre_rotate(turn).pre_scale(r, r);
                sticker(&mut Pen::new(picture, place), kind, fill);
                break;
            }
        }
    }
}

fn sticker(pen: &mut Pen, kind: usize, fill: Color) {
    let ink = neutral(lightness_of(fill) < 0.55);
    let hand = Hand { stretch: 0.8, weight: 0.2, slant: 0.0 };
    match kind {
        0 => {
            pen.disc((0.0, 0.0), 0.95, fill);
            let w = width("HI FI", 0.8) * 0.42;
            letter(pen, "HI FI", (-w / 2.0, -0.21), 0.42, hand, ink);
        }
        1 => {
            pen.rect(-1.0, -0.5, 2.0, 1.0, fill);
            pen.rect(-0.8, -0.3, 1.6, 0.22, ink);
            pen.rect(-0.8, 0.1, 1.1, 0.16, ink);
        }
        _ => {
            let points: Vec<_> = (0..24)
                .map(|i| {
                    let (s, c) = (i as f32 * TAU / 24.0).sin_cos();
                    let r = if i % 2 == 0 { 0.98 } else { 0.84 };
                    (r * c, r * s)
                })
                .collect();
            pen.polygon(&points, fill);
            let w = width("NEW", 0.8) * 0.46;
            letter(pen, "NEW", (-w / 2.0, -0.23), 0.46, hand, ink);
        }
    }
}
