//! Jazz: a saxophone leaning on a curved keyboard.

use std::f32::consts::PI;

use super::Style;
use crate::sample::dice::Dice;
use crate::sample::pen::{P, Pen, bezier};

pub(super) fn draw(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    keyboard(pen, style, dice);
    saxophone(pen, style, dice);
}

/// Black and white keys along an arc at the upper right.
fn keyboard(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let n = dice.whole(7, 9);
    let (near, far) = (0.56, 0.98);
    let start = dice.range(-0.6, -0.54) * PI;
    let key = dice.range(0.54, 0.58) * PI / n as f32;
    let on = |angle: f32, r: f32| (r * angle.cos(), r * angle.sin());
    let wedge = |a: f32, b: f32, r0: f32, r1: f32| [on(a, r0), on(b, r0), on(b, r1), on(a, r1)];
    for i in 0..n {
        let a = start + key * i as f32;
        pen.polygon(&wedge(a + key * 0.09, a + key * 0.91, near, far), style.main);
        if i > 0 && i % 4 != 3 {
            let w = key * 0.3;
            pen.polygon(&wedge(a - w, a + w, near + 0.17, far), style.detail);
        }
    }
}

fn saxophone(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let bow = dice.range(0.9, 0.96);
    let bell = dice.range(0.06, 0.16);
    let fat = dice.range(0.9, 1.12);
    // Centre line and half width of the tube, from the mouthpiece to the bell.
    let parts = [
        ([(-0.93, -0.5), (-0.9, -0.78), (-0.72, -0.9), (-0.56, -0.74)], 0.035, 0.055),
        ([(-0.56, -0.74), (-0.46, -0.5), (-0.34, -0.1), (-0.24, 0.3)], 0.055, 0.11),
        ([(-0.24, 0.3), (-0.1, bow), (0.46, bow), (0.46, 0.42)], 0.11, 0.15),
        ([(0.46, 0.42), (0.46, 0.3), (0.48, 0.16), (0.56, bell)], 0.15, 0.27),
    ];
    let mut spine: Vec<(P, f32)> = Vec::new();
    for (curve, from, to) in parts {
        for i in 0..=12 {
            let t = i as f32 / 12.0;
            spine.push((bezier(curve, t), (from + (to - from) * t * t.max(0.5)) * fat));
        }
    }
    let edge = |side: f32| -> Vec<P> {
        (0..spine.len())
            .map(|i| {
                let (a, b) = (spine[i.saturating_sub(2)].0, spine[(i + 2).min(spine.len() - 1)].0);
                let (dx, dy) = (b.0 - a.0, b.1 - a.1);
                let k = side * spine[i].1 / dx.hypot(dy).max(1e-3);
                (spine[i].0.0 - dy * k, spine[i].0.1 + dx * k)
            })
            .collect()
    };
    let mut outline = edge(1.0);
    outline.extend(edge(-1.0).into_iter().rev());
    pen.polygon(&outline, style.main);
    keys(pen, style, &spine);
}

fn keys(pen: &mut Pen, style: &Style, spine: &[(P, f32)]) {
    for i in [16, 19, 22, 25, 28] {
        let ((x, y), r) = spine[i];
        pen.disc((x, y), r * 0.62, style.detail);
    }
    let ((x, y), r) = spine[spine.len() - 1];
    pen.oval((x, y), r * 0.78, r * 0.24, 0.42, style.detail);
}
