//! Folk: a painted tulip on a stem with pairs of leaves.

use tiny_skia::PathBuilder;

use super::Style;
use crate::sample::dice::Dice;
use crate::sample::pen::{P, Pen, bezier};

pub(super) fn draw(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let bend = dice.range(-0.12, 0.12);
    let stem = [(0.0, 0.95), (bend, 0.5), (-bend, 0.1), (0.0, -0.3)];
    let points: Vec<P> = (0..=20).map(|i| bezier(stem, i as f32 / 20.0)).collect();
    pen.line(&points, 0.085 * style.weight, style.main);
    let pairs = dice.whole(2, 3);
    let fat = dice.range(0.26, 0.34);
    for i in 0..pairs {
        let t = 0.14 + 0.6 * i as f32 / pairs as f32;
        let root = bezier(stem, t);
        let length = dice.range(0.78, 0.86) - 0.14 * i as f32;
        let rise = dice.range(0.5, 0.72);
        for side in [-1.0, 1.0] {
            leaf(pen, style, root, (side * length, -length * rise), fat);
        }
    }
    tulip(pen, style, dice);
}

/// A pointed leaf from `root` along `(x, y)`, with its vein.
fn leaf(pen: &mut Pen, style: &Style, root: P, (x, y): P, fat: f32) {
    let tip = (root.0 + x, root.1 + y);
    let side = |k: f32| (root.0 + x * 0.5 - y * k, root.1 + y * 0.5 + x * k);
    let (a, b) = (side(fat * 1.2), side(-fat * 1.2));
    let mut path = PathBuilder::new();
    path.move_to(root.0, root.1);
    path.quad_to(a.0, a.1, tip.0, tip.1);
    path.quad_to(b.0, b.1, root.0, root.1);
    path.close();
    if let Some(path) = path.finish() {
        pen.fill(&path, style.main);
    }
    let along = |t: f32| (root.0 + x * t, root.1 + y * t);
    pen.line(&[along(0.22), along(0.8)], 0.05, style.detail);
}

/// Three petals, a heart, and dots above.
fn tulip(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let wide = dice.range(0.36, 0.44);
    let mut cup = PathBuilder::new();
    cup.move_to(0.0, -0.22);
    cup.cubic_to(-wide * 1.2, -0.24, -wide * 1.15, -0.62, -wide, -0.86);
    cup.quad_to(-wide * 0.62, -0.8, -wide * 0.45, -0.64);
    cup.quad_to(-wide * 0.25, -0.86, 0.0, -0.96);
    cup.quad_to(wide * 0.25, -0.86, wide * 0.45, -0.64);
    cup.quad_to(wide * 0.62, -0.8, wide, -0.86);
    cup.cubic_to(wide * 1.15, -0.62, wide * 1.2, -0.24, 0.0, -0.22);
    cup.close();
    if let Some(path) = cup.finish() {
        pen.fill(&path, style.main);
    }
    pen.oval((0.0, -0.5), 0.1, 0.17, 0.0, style.detail);
    for side in [-1.0, 1.0] {
        pen.disc((side * wide * 0.66, -0.52), 0.06, style.detail);
    }
}
