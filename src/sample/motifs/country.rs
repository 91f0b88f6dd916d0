//! Country: a saguaro before a low sun with rays.

use std::f32::consts::PI;

use super::Style;
use crate::sample::dice::Dice;
use crate::sample::pen::{P, Pen};

pub(super) fn draw(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let ground = dice.range(0.42, 0.52);
    let r = dice.range(0.6, 0.68);
    sun(pen, style, r, ground, dice);
    desert(pen, style, ground, dice);
    cactus(pen, style, ground, dice);
}

/// The part of a disc above the ground, and rays around it.
fn sun(pen: &mut Pen, style: &Style, r: f32, ground: f32, dice: &mut Dice) {
    let dip = (ground / r).clamp(-1.0, 1.0).asin();
    let on = |angle: f32, r: f32| (r * angle.cos(), r * angle.sin());
    let points: Vec<P> = (0..=48).map(|i| on(PI - dip + (PI + 2.0 * dip) * i as f32 / 48.0, r)).collect();
    pen.polygon(&points, style.main);
    let n = dice.whole(9, 13);
    let (near, far) = (r + 0.13, dice.range(0.93, 0.96));
    for i in 0..n {
        let angle = PI + PI * (i as f32 + 0.5) / n as f32;
        let far = if i % 2 == 0 { far } else { (near + far) / 2.0 };
        pen.line(&[on(angle, near), on(angle, far)], 0.075 * style.weight, style.main);
    }
}

/// Two or three lines that end in the dust.
fn desert(pen: &mut Pen, style: &Style, ground: f32, dice: &mut Dice) {
    let width = 0.085 * style.weight;
    for (i, half) in [0.88, 0.66, 0.4].into_iter().enumerate() {
        let y = ground + 0.04 + i as f32 * 0.17;
        let shift = dice.range(-0.06, 0.06);
        let ripple = dice.range(0.0, 0.035);
        let points: Vec<P> = (0..=16)
            .map(|k| {
                let t = k as f32 / 8.0 - 1.0;
                (half * t + shift, y + ripple * (t * 7.0).sin())
            })
            .collect();
        pen.line(&points, width, style.main);
    }
}

fn cactus(pen: &mut Pen, style: &Style, ground: f32, dice: &mut Dice) {
    let ink = style.detail;
    let foot = dice.range(-0.08, 0.08);
    let trunk = 0.2 * style.weight.min(1.1);
    pen.line(&[(foot, -0.4), (foot, ground)], trunk, ink);
    for side in [-1.0, 1.0] {
        let low = ground - dice.range(0.3, 0.48);
        let out = foot + side * dice.range(0.27, 0.33);
        let top = low - dice.range(0.22, 0.36);
        let elbow = 0.07 * side;
        let arm = [(foot, low), (out - elbow, low), (out, low - elbow.abs()), (out, top)];
        pen.line(&arm, trunk * 0.7, ink);
    }
}
