//! `y = x`, in storage of its own.

use gatefold_engine::ops::add::add;
use gatefold_engine::ops::copy::copy;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row};

fn row(name: &str, shape: Shape) -> Row {
    Row::new("copy", name, vec![Input::map(shape)], |tape, x| Ok(vec![copy(tape, x[0])]), |x| vec![x[0].clone()])
        .backward(|_, dy| vec![dy.clone()])
}

pub fn rows() -> Vec<Row> {
    // The gradients of both copies are added up.
    let twice = Row::new(
        "copy",
        "twice",
        vec![Input::map(Shape::new(3, 5, 7, 3))],
        |tape, x| {
            let both = [copy(tape, x[0]), copy(tape, x[0])];
            Ok(vec![add(tape, both[0], both[1])?])
        },
        |x| vec![x[0].map(|v| 2.0 * v)],
    )
    .backward(|_, dy: &Array| vec![dy.map(|v| 2.0 * v)]);
    vec![
        row("even", Shape::new(2, 4, 6, 8)),
        row("odd sizes", Shape::new(3, 5, 7, 3)),
        row("pixels not in fours", Shape::new(3, 5, 9, 8)),
        row("one channel", Shape::new(2, 3, 3, 1)),
        twice,
        row("256 at 56x56", Shape::new(4, 56, 56, 256)).bench(),
    ]
}
