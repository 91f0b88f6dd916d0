//! Metal: a skull in a mirrored emblem of thorns.

use std::f32::consts::{FRAC_PI_2, PI};

use tiny_skia::PathBuilder;

use super::Style;
use crate::sample::dice::Dice;
use crate::sample::pen::{P, Pen};

pub(super) fn draw(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    thorns(pen, style, dice);
    skull(pen, style, dice);
}

/// Long thorns with hollow curves between them, the left side mirroring the right.
fn thorns(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let n = dice.whole(6, 8);
    let step = PI / n as f32;
    let at = |angle: f32, r: f32| (r * angle.cos(), r * angle.sin());
    let right: Vec<P> = (0..=n)
        .map(|i| {
            let lean = if i == 0 || i == n { 0.0 } else { dice.range(-0.2, 0.2) };
            let long = i == 0 || i == n || i % 2 == 0;
            let r = if long { dice.range(0.9, 1.0) } else { dice.range(0.68, 0.82) };
            at(-FRAC_PI_2 + (i as f32 + lean) * step, r)
        })
        .collect();
    let left = right[1..n].iter().rev().map(|&(x, y)| (-x, y));
    let tips: Vec<P> = right.iter().copied().chain(left).collect();
    let hollow = dice.range(0.36, 0.42) * style.weight;
    let mut path = PathBuilder::new();
    path.move_to(tips[0].0, tips[0].1);
    for (i, &(x, y)) in tips.iter().enumerate() {
        let (nx, ny) = tips[(i + 1) % tips.len()];
        let (mx, my) = (x + nx, y + ny);
        let k = hollow / mx.hypot(my).max(0.1);
        let root = (mx * k, my * k);
        path.quad_to((x + root.0) * 0.44, (y + root.1) * 0.44, root.0, root.1);
        path.quad_to((nx + root.0) * 0.44, (ny + root.1) * 0.44, nx, ny);
    }
    path.close();
    if let Some(path) = path.finish() {
        pen.fill(&path, style.main);
    }
}

fn skull(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let (bone, hole) = (style.detail, style.main);
    let size = dice.range(0.92, 1.12);
    let wide = size * dice.range(0.92, 1.08);
    let p = |x: f32, y: f32| (x * wide, y * size);
    pen.oval(p(0.0, -0.1), 0.38 * wide, 0.34 * size, 0.0, bone);
    pen.polygon(&[p(-0.22, 0.1), p(0.22, 0.1), p(0.19, 0.42), p(-0.19, 0.42)], bone);
    let slant = dice.range(0.2, 0.6);
    for side in [-1.0, 1.0] {
        let (x, y) = p(side * 0.16, -0.05);
        pen.oval((x, y), 0.125 * size, 0.1 * size, side * slant, hole);
    }
    pen.polygon(&[p(0.0, 0.07), p(-0.055, 0.18), p(0.055, 0.18)], hole);
    for i in -1..=1 {
        let x = i as f32 * 0.1;
        pen.line(&[p(x, 0.29), p(x, 0.4)], 0.045, hole);
    }
}
