//! Colours that go together. Every genre draws from the same palettes: colour tells nothing.

use tiny_skia::{Color, Pixmap};

use super::dice::Dice;

/// Three grounds of nearly one lightness, and five inks of which some are far lighter or darker.
pub(super) struct Palette {
    pub grounds: [u32; 3],
    pub inks: [u32; 5],
}

#[rustfmt::skip]
const PALETTES: [Palette; 14] = [
    Palette { grounds: [0x1b1f3b, 0x262b52, 0x141729], inks: [0xf4e9cd, 0xff6b5e, 0xf2b134, 0x6fd0c5, 0xe8a0bf] },
    Palette { grounds: [0xd9a441, 0xcf9433, 0xe3b45a], inks: [0x1d1a16, 0x7a1f1f, 0xf8f1dc, 0x1f4e5f, 0x3a2f6b] },
    Palette { grounds: [0x1f6f78, 0x27808a, 0x185a61], inks: [0xf7ecd0, 0xffb347, 0x0f1b26, 0xff8f6b, 0xf2d0d9] },
    Palette { grounds: [0xf0e6cf, 0xe8dbbd, 0xf6efdf], inks: [0x1c1c22, 0xb23a2e, 0x1e5b6e, 0x37642f, 0x6a2c5a] },
    Palette { grounds: [0xa63d2f, 0x94342a, 0xb84a3a], inks: [0xf6e7c9, 0x1b1412, 0xf2b950, 0x11303d, 0xf7c9b6] },
    Palette { grounds: [0x5b6236, 0x4d542d, 0x687042], inks: [0xf3ead0, 0x17180f, 0xe7c25c, 0xf5b08a, 0xd9e5c0] },
    Palette { grounds: [0xe6a5b0, 0xdd94a2, 0xedb8c0], inks: [0x2a1a33, 0x7d1538, 0xfff6ec, 0x174a5b, 0x3d2a7d] },
    Palette { grounds: [0x111114, 0x1b1b21, 0x0b0b0d], inks: [0xe9e4d8, 0xe0474c, 0xf2c14e, 0x59c3c3, 0xb388eb] },
    Palette { grounds: [0x9cc5d9, 0x8bb7cf, 0xb1d3e3], inks: [0x14213d, 0x8a2430, 0xfdf8ea, 0x3a3a6a, 0x1f4a33] },
    Palette { grounds: [0x4a2545, 0x3b1c38, 0x5a3054], inks: [0xf4dcc2, 0xf49d6e, 0x8fd3c8, 0xf6d65a, 0xe9a0bd] },
    Palette { grounds: [0x1f4037, 0x183229, 0x294f45], inks: [0xefe6c8, 0xe9a23b, 0xf28b80, 0xa8d8b9, 0xf7f3e0] },
    Palette { grounds: [0x9a9ea6, 0x8d9199, 0xa7abb2], inks: [0x101114, 0xfffaf0, 0x5e1220, 0x12324a, 0x2b1d52] },
    Palette { grounds: [0xe2762d, 0xd6691f, 0xec8a45], inks: [0x20130d, 0xfff3dc, 0x4a1222, 0x12343f, 0x2b2459] },
    Palette { grounds: [0xdfe7ea, 0xd0dbe0, 0xeaf0f2], inks: [0x1d2733, 0xb0303c, 0x24617a, 0x4b3a86, 0x2f6b4b] },
];

impl Palette {
    /// One palette, all equally likely.
    pub fn draw(dice: &mut Dice) -> &'static Self {
        dice.pick(&PALETTES)
    }

    /// One of the grounds.
    pub fn ground(&self, dice: &mut Dice) -> Color {
        color(*dice.pick(&self.grounds))
    }

    /// Any ink at all.
    pub fn any_ink(&self, dice: &mut Dice) -> Color {
        color(*dice.pick(&self.inks))
    }

    /// An ink at least `gap` lighter or darker than `lightness`; failing that, the farthest of all.
    pub fn ink_against(&self, lightness: f32, gap: f32, dice: &mut Dice) -> Color {
        let far = |c: &Color| (lightness_of(*c) - lightness).abs();
        let order = dice.order(self.inks.len());
        let inks = order.into_iter().map(|i| color(self.inks[i]));
        let rescue = [color(0xfffaf0), color(0x101014)];
        inks.clone()
            .find(|c| far(c) >= gap)
            .or_else(|| inks.chain(rescue).max_by(|a, b| far(a).total_cmp(&far(b))))
            .unwrap_or(Color::WHITE)
    }
}

/// `0xrrggbb` as an opaque colour.
pub(super) fn color(rgb: u32) -> Color {
    let [_, r, g, b] = rgb.to_be_bytes();
    Color::from_rgba8(r, g, b, 255)
}

/// The same colour, `alpha` of it.
pub(super) fn faded(mut color: Color, alpha: f32) -> Color {
    color.set_alpha(alpha);
    color
}

/// `t` of the way from `a` to `b`.
pub(super) fn mix(a: Color, b: Color, t: f32) -> Color {
    let at = |x: f32, y: f32| (x + (y - x) * t).clamp(0.0, 1.0);
    Color::from_rgba(at(a.red(), b.red()), at(a.green(), b.green()), at(a.blue(), b.blue()), 1.0).unwrap_or(a)
}

/// Perceived lightness (CIE L*) from 0, black, to 1, white.
pub(super) fn lightness_of(c: Color) -> f32 {
    lightness(c.red(), c.green(), c.blue())
}

fn lightness(r: f32, g: f32, b: f32) -> f32 {
    let linear = |v: f32| v.powf(2.2);
    let y = 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
    (1.16 * y.cbrt() - 0.16).clamp(0.0, 1.0)
}

/// Mean lightness of the pixels inside a rectangle in units of the picture's side.
pub(super) fn lightness_under(picture: &Pixmap, x: f32, y: f32, w: f32, h: f32) -> f32 {
    let side = picture.width() as f32;
    let end = picture.width();
    let px = |v: f32| ((v * side).round().max(0.0) as u32).min(end - 1);
    let (mut sum, mut n) = (0.0f64, 0u32);
    for row in (px(y)..=px(y + h)).step_by(2) {
        for column in (px(x)..=px(x + w)).step_by(2) {
            if let Some(p) = picture.pixel(column, row) {
                let v = |byte: u8| f32::from(byte) / 255.0;
                sum += f64::from(lightness(v(p.red()), v(p.green()), v(p.blue())));
                n += 1;
            }
        }
    }
    (sum / f64::from(n.max(1))) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_palette_has_an_ink_far_from_its_grounds() {
        let mut dice = Dice::new(0, 0, "test");
        for palette in &PALETTES {
            for ground in palette.grounds {
                let l = lightness_of(color(ground));
                let ink = palette.ink_against(l, 0.35, &mut dice);
                assert!((lightness_of(ink) - l).abs() >= 0.35, "{ground:06x}");
            }
        }
    }
}
