//! The norm of all gradients.

use gatefold_engine::ops::grad_norm::grad_norm;
use gatefold_engine::params::{ARENA_PIECE, Arena, ParameterStore};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

use crate::adam::parameter;
use crate::{Array, Checked, Row, Runner, STEP};

fn row(name: &str, lens: &'static [usize], gradients: fn(usize) -> Vec<f32>) -> Row {
    scaled_row(name, lens, gradients, false)
}

fn scaled_row(name: &str, lens: &'static [usize], gradients: fn(usize) -> Vec<f32>, scaled: bool) -> Row {
    Row::custom("grad_norm", name, move |runner: &Runner| {
        let words: usize = lens.iter().map(|len| len.next_multiple_of(64)).sum();
        let mut tape = Tape::new();
        for &len in lens {
            parameter(&mut tape, len);
        }
        let norm = grad_norm(&mut tape, words, scaled);
        tape.keep(norm);
        let store = ParameterStore::new(runner.gpu(), tape.spec(), true)?;
        let gradients = gradients(words);
        store.write(runner.gpu(), Arena::Gradients, &gradients)?;
        let mut plan = runner.plan(&tape, &store)?;
        plan.poison();
        plan.write(tape.step(), &[STEP])?;
        let out = plan.run()?.get(norm)?;
        let expected = gradients.iter().map(|&g| f64::from(g).powi(2)).sum::<f64>().sqrt();
        let expected = if scaled { expected * f64::from(STEP.gradient_scale) } else { expected };
        Ok(vec![Checked::norm("norm", &out, &[expected])])
    })
}

fn random(words: usize) -> Vec<f32> {
    Array::random(Shape::vector(words), 1).to_f32()
}

/// Numbers that a sum in one chain would lose: a few large ones first, many small ones after them.
fn uneven(words: usize) -> Vec<f32> {
    (0..words).map(|i| if i < 4 { 30.0 } else { 0.01 }).collect()
}

/// Almost nothing but zeros: what lies around the border of two pieces and at the end must be there.
fn around_the_border(words: usize) -> Vec<f32> {
    let mut gradients = vec![0.0; words];
    for place in [0, ARENA_PIECE - 1, ARENA_PIECE, ARENA_PIECE + 20_000, words - 1] {
        gradients[place] = 1.0 + place as f32 / words as f32;
    }
    gradients
}

pub fn rows() -> Vec<Row> {
    let bench = Row::new(
        "grad_norm",
        "25M parameters",
        vec![],
        |tape, _| {
            parameter(tape, 25_000_000);
            let words = tape.spec().parameter_words();
            Ok(vec![grad_norm(tape, words, false)])
        },
        |_| vec![Array::zeros(Shape::vector(1))],
    );
    vec![
        row("one parameter", &[1], random),
        row("odd sizes", &[3, 65, 1000], random),
        row("more than one run", &[16_384, 16_400, 5], random),
        scaled_row("of a scaled loss", &[3, 65, 1000], random, true),
        row("zeros", &[100], |words| vec![0.0; words]),
        row("3M, uneven", &[3_000_000], uneven),
        row("two pieces", &[ARENA_PIECE, 30_000], around_the_border).one_kernel(),
        bench.bench(),
    ]
}
