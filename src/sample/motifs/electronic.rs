//! Electronic: rings of broken neon around the bars of an equaliser.

use std::f32::consts::TAU;

use super::Style;
use crate::sample::dice::Dice;
use crate::sample::palette::faded;
use crate::sample::pen::{Pen, arc};

pub(super) fn draw(pen: &mut Pen, style: &Style, dice: &mut Dice) {
    let rings = dice.whole(3, 4);
    let inner = dice.range(0.5, 0.56);
    let width = 0.075 * style.weight;
    let step = (0.95 - inner) / (rings - 1) as f32;
    for i in 0..rings {
        let r = inner + step * i as f32;
        let start = dice.range(0.0, TAU);
        let sweep = if dice.chance(0.35) { TAU } else { dice.range(0.72, 0.93) * TAU };
        let dash = (i > 0 && dice.chance(0.35)).then(|| [dice.range(0.12, 0.3), 0.09]);
        if let Some(path) = arc((0.0, 0.0), r, start, sweep) {
            if dash.is_none() {
                pen.stroke(&path, (width * 2.2).min(2.0 * (1.0 - r)), faded(style.main, 0.3));
            }
            pen.stroke_dashed(&path, width, dash, style.main);
        }
    }
    bars(pen, style, inner - 0.12, dice);
}

/// Bars about a middle line, tallest in the middle, inside a circle of radius `r`.
fn bars(pen: &mut Pen, style: &Style, r: f32, dice: &mut Dice) {
    let n = 5;
    let step = 2.0 * r / n as f32;
    for i in 0..n {
        let x = -r + (i as f32 + 0.5) * step;
        let tall = (r * r - x * x).sqrt() * dice.range(0.35, 1.0);
        let w = step * 0.62;
        pen.rect(x - w / 2.0, -tall, w, 2.0 * tall, style.main);
    }
}
