//! From feature maps to vectors, in the order `h, w, c`.

use gatefold_engine::ops::flatten::flatten;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row, relu};

fn row(name: &str, shape: Shape) -> Row {
    let flat = Shape::matrix(shape.n, shape.h * shape.w * shape.c);
    Row::new(
        "flatten",
        name,
        vec![Input::map(shape)],
        |tape, x| {
            let mapped = relu(tape, x[0]);
            Ok(vec![flatten(tape, mapped)])
        },
        move |x| vec![Array { shape: flat, data: relu::reference(&x[0]).data }],
    )
    .backward(move |x, dy| {
        let dy = Array { shape, data: dy.data.clone() };
        vec![relu::gradient(&x[0], &dy)]
    })
}

pub fn rows() -> Vec<Row> {
    vec![
        row("even", Shape::new(2, 2, 3, 4)),
        row("odd sizes", Shape::new(3, 5, 1, 7)),
        row("one channel", Shape::new(2, 3, 5, 1)),
    ]
}
