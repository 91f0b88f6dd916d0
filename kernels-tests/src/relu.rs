//! `y = max(x, 0)`.

use gatefold_engine::ops::relu::relu;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row};

fn row(name: &str, shape: Shape) -> Row {
    Row::new(
        "relu",
        name,
        vec![Input::map(shape)],
        |tape, x| Ok(vec![relu(tape, x[0])]),
        |x| vec![x[0].map(|v| v.max(0.0))],
    )
    .backward(|x, dy| vec![gradient(&x[0], dy)])
}

pub fn rows() -> Vec<Row> {
    vec![
        row("even", Shape::new(2, 4, 6, 8)),
        row("odd sizes", Shape::new(3, 5, 7, 3)),
        row("pixels not in fours", Shape::new(3, 5, 9, 8)),
        row("one channel", Shape::new(2, 3, 3, 1)),
        row("256 at 56x56", Shape::new(4, 56, 56, 256)).bench(),
        row("many pixels", Shape::new(1, 600, 701, 2)),
    ]
}

/// The reference, for ops that end in a ReLU.
pub fn reference(x: &Array) -> Array {
    x.map(|v| v.max(0.0))
}

/// Its gradient.
pub fn gradient(x: &Array, dy: &Array) -> Array {
    x.zip(dy, |x, dy| if x > 0.0 { dy } else { 0.0 })
}
