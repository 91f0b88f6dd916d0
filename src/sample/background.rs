//! What lies under everything: flat paper, gradients, patterns, landscapes, clouds.

use std::f32::consts::TAU;

use tiny_skia::{
    Color, GradientStop, LinearGradient, PathBuilder, Pixmap, Point, RadialGradient, Rect, Shader, SpreadMode,
    Transform,
};

use super::dice::Dice;
use super::palette::{Palette, color, faded, mix};
use super::pen::{P, Pen};

/// Paints the whole picture.
pub(super) fn paint(picture: &mut Pixmap, palette: &Palette, dice: &mut Dice) {
    let base = palette.ground(dice);
    picture.fill(base);
    // A second colour of nearly the same lightness, so that one ink reads on both.
    let other = mix(base, palette.any_ink(dice), dice.range(0.14, 0.28));
    let kinds = [flat, gradient, glow, stripes, dots, clouds, bokeh, hills, facets, blocks, tiles, speckle];
    dice.pick(&kinds)(picture, [base, other], palette, dice);
}

type Tones = [Color; 2];

fn flat(_: &mut Pixmap, _: Tones, _: &Palette, _: &mut Dice) {}

fn stops([a, b]: Tones) -> Vec<GradientStop> {
    vec![GradientStop::new(0.0, a), GradientStop::new(1.0, b)]
}

fn shade(picture: &mut Pixmap, shader: Option<Shader<'_>>) {
    if let (Some(shader), Some(all)) = (shader, Rect::from_xywh(0.0, 0.0, 1.0, 1.0)) {
        Pen::unit(picture).shade(&PathBuilder::from_rect(all), shader);
    }
}

fn gradient(picture: &mut Pixmap, tones: Tones, _: &Palette, dice: &mut Dice) {
    let (s, c) = dice.range(0.0, TAU).sin_cos();
    let shader = LinearGradient::new(
        Point::from_xy(0.5 - 0.6 * c, 0.5 - 0.6 * s),
        Point::from_xy(0.5 + 0.6 * c, 0.5 + 0.6 * s),
        stops(tones),
        SpreadMode::Pad,
        Transform::identity(),
    );
    shade(picture, shader);
}

fn glow(picture: &mut Pixmap, [a, b]: Tones, _: &Palette, dice: &mut Dice) {
    let center = Point::from_xy(dice.range(0.1, 0.9), dice.range(0.1, 0.9));
    let shader = RadialGradient::new(
        center,
        0.0,
        center,
        dice.range(0.6, 1.0),
        stops([b, a]),
        SpreadMode::Pad,
        Transform::identity(),
    );
    shade(picture, shader);
}

fn stripes(picture: &mut Pixmap, [_, b]: Tones, _: &Palette, dice: &mut Dice) {
    let (s, c) = dice.range(0.0, TAU).sin_cos();
    let step = dice.range(0.08, 0.22);
    let width = step * dice.range(0.25, 0.6);
    let mut pen = Pen::unit(picture);
    let mut at = -0.9;
    while at < 0.9 {
        let (x, y) = (0.5 + at * c, 0.5 + at * s);
        pen.line(&[(x - s, y + c), (x + s, y - c)], width, b);
        at += step;
    }
}

fn dots(picture: &mut Pixmap, [_, b]: Tones, _: &Palette, dice: &mut Dice) {
    let step = dice.range(0.055, 0.13);
    let grows = dice.chance(0.5);
    let size = dice.range(0.18, 0.34) * step;
    let mut pen = Pen::unit(picture);
    let n = (1.0 / step).ceil() as i32 + 1;
    for row in 0..n {
        for column in 0..n {
            let shift = if row % 2 == 0 { 0.0 } else { step / 2.0 };
            let k = if grows { 0.4 + 1.2 * row as f32 / n as f32 } else { 1.0 };
            pen.disc((column as f32 * step + shift, row as f32 * step), size * k, b);
        }
    }
}

/// Smooth noise over several scales, as in a blurred photograph of weather.
fn clouds(picture: &mut Pixmap, [a, b]: Tones, palette: &Palette, dice: &mut Dice) {
    let side = picture.width() as usize;
    let noise = Noise::new(dice);
    let (zoom, squash) = (dice.range(2.0, 5.0), dice.range(0.4, 1.0));
    let tint = mix(a, palette.any_ink(dice), 0.2);
    for (i, pixel) in picture.pixels_mut().iter_mut().enumerate() {
        let (x, y) = ((i % side) as f32 / side as f32, (i / side) as f32 / side as f32);
        let t = noise.at(x * zoom * squash, y * zoom);
        let u = noise.at(x * zoom * 0.7 + 40.0, y * zoom * 0.7);
        let c = mix(mix(a, b, (t * 1.6 - 0.3).clamp(0.0, 1.0)), tint, u * 0.6);
        *pixel = c.premultiply().to_color_u8();
    }
}

fn bokeh(picture: &mut Pixmap, [_, b]: Tones, palette: &Palette, dice: &mut Dice) {
    let n = dice.whole(9, 20);
    let mut pen = Pen::unit(picture);
    for _ in 0..n {
        let ink = if dice.chance(0.5) { b } else { palette.any_ink(dice) };
        let center = (dice.unit(), dice.unit());
        let r = dice.range(0.04, 0.2);
        let alpha = dice.range(0.06, 0.16);
        for k in [1.0, 0.93, 0.86] {
            pen.disc(center, r * k, faded(ink, alpha * 0.6));
        }
    }
}

fn hills(picture: &mut Pixmap, [a, b]: Tones, _: &Palette, dice: &mut Dice) {
    let n = dice.whole(3, 5);
    let top = dice.range(0.2, 0.55);
    let mut pen = Pen::unit(picture);
    for layer in 0..n {
        let y = top + (1.0 - top) * layer as f32 / n as f32;
        let (phase, pace, height) = (dice.range(0.0, TAU), dice.range(3.0, 9.0), dice.range(0.02, 0.07));
        let mut points: Vec<P> = (0..=40)
            .map(|i| {
                let x = i as f32 / 40.0;
                let wave = (x * pace + phase).sin() + 0.4 * (x * pace * 2.3 + phase).sin();
                (x, y + height * wave)
            })
            .collect();
        points.extend([(1.0, 1.0), (0.0, 1.0)]);
        pen.polygon(&points, mix(a, b, (layer + 1) as f32 / n as f32));
    }
}

/// A sheet of triangles, each of its own shade.
fn facets(picture: &mut Pixmap, [a, b]: Tones, _: &Palette, dice: &mut Dice) {
    let n = dice.whole(3, 6);
    let step = 1.0 / n as f32;
    let points: Vec<P> = (0..(n + 3) * (n + 3))
        .map(|i| {
            let (x, y) = ((i % (n + 3)) as f32 - 1.0, (i / (n + 3)) as f32 - 1.0);
            let jolt = step * 0.38;
            (x * step + dice.range(-jolt, jolt), y * step + dice.range(-jolt, jolt))
        })
        .collect();
    let mut pen = Pen::unit(picture);
    for row in 0..n + 2 {
        for column in 0..n + 2 {
            let i = row * (n + 3) + column;
            let [p, q, r, s] = [i, i + 1, i + n + 3, i + n + 4].map(|i| points[i]);
            for triangle in [[p, q, r], [q, s, r]] {
                pen.polygon(&triangle, mix(a, b, dice.unit()));
            }
        }
    }
}

/// Large plain areas, cut by slanting straight lines.
fn blocks(picture: &mut Pixmap, [a, b]: Tones, palette: &Palette, dice: &mut Dice) {
    let third = mix(a, palette.ground(dice), 0.8);
    let mut pen = Pen::unit(picture);
    for ink in [b, third, mix(b, third, 0.5)] {
        let (s, c) = dice.range(0.0, TAU).sin_cos();
        let d = dice.range(0.1, 0.45);
        let (x, y) = (0.5 + d * c, 0.5 + d * s);
        let far = 1.6;
        pen.polygon(
            &[
                (x - far * s, y + far * c),
                (x + far * s, y - far * c),
                (x + far * (s + c), y + far * (s - c)),
                (x + far * (c - s), y + far * (s + c)),
            ],
            ink,
        );
    }
}

fn tiles(picture: &mut Pixmap, [a, b]: Tones, _: &Palette, dice: &mut Dice) {
    let n = dice.whole(4, 9);
    let step = 1.0 / n as f32;
    let free = dice.chance(0.5);
    let mut pen = Pen::unit(picture);
    for row in 0..n {
        for column in 0..n {
            let t = if free { dice.unit() } else { ((row + column) % 2) as f32 };
            let (x, y) = (column as f32 * step, row as f32 * step);
            pen.rect(x, y, step * 1.01, step * 1.01, mix(a, b, t));
        }
    }
}

/// Paper with fibres and flecks.
fn speckle(picture: &mut Pixmap, [a, b]: Tones, palette: &Palette, dice: &mut Dice) {
    let ink = mix(a, palette.any_ink(dice), 0.35);
    let mut pen = Pen::unit(picture);
    for i in 0..140 {
        let (x, y) = (dice.unit(), dice.unit());
        let (s, c) = dice.range(0.0, TAU).sin_cos();
        let length = dice.range(0.004, 0.03);
        let shade = if i % 3 == 0 { ink } else { b };
        pen.line(&[(x, y), (x + length * c, y + length * s)], 0.008, shade);
    }
}

/// Value noise over four octaves.
struct Noise(Vec<f32>);

impl Noise {
    fn new(dice: &mut Dice) -> Self {
        Self((0..4096).map(|_| dice.unit()).collect())
    }

    fn corner(&self, x: i32, y: i32, octave: i32) -> f32 {
        let hash = x.wrapping_mul(73_856_093) ^ y.wrapping_mul(19_349_663) ^ (octave * 83_492_791);
        self.0[(hash & 4095) as usize]
    }

    /// From 0 to 1.
    fn at(&self, x: f32, y: f32) -> f32 {
        let smooth = |t: f32| t * t * (3.0 - 2.0 * t);
        let mix = |a: f32, b: f32, t: f32| a + (b - a) * t;
        let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
        for octave in 0..4 {
            let (x, y) = (x * scale, y * scale);
            let (i, j) = (x.floor() as i32, y.floor() as i32);
            let (u, v) = (smooth(x - x.floor()), smooth(y - y.floor()));
            let at = |dx, dy| self.corner(i + dx, j + dy, octave);
            sum += weight * mix(mix(at(0, 0), at(1, 0), u), mix(at(0, 1), at(1, 1), u), v);
            weight /= 2.0;
            scale *= 2.0;
        }
        sum / 0.9375
    }
}

/// A plain dark or light tone that is in no palette's way.
pub(super) fn neutral(light: bool) -> Color {
    color(if light { 0xf6f1e6 } else { 0x14141a })
}
