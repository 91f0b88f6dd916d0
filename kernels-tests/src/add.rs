//! `y = a + b`.

use gatefold_engine::ops::add::{add, add_relu};
use gatefold_engine::ops::relu::relu;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row, relu};

fn row(name: &str, shape: Shape) -> Row {
    Row::new(
        "add",
        name,
        vec![Input::map(shape), Input::map(shape)],
        |tape, x| Ok(vec![add(tape, x[0], x[1])?]),
        |x| vec![x[0].zip(&x[1], |a, b| a + b)],
    )
    .backward(|_, dy| vec![dy.clone(), dy.clone()])
}

fn rectified(name: &str, shape: Shape) -> Row {
    let sum = |x: &[Array]| x[0].zip(&x[1], |a, b| a + b);
    Row::new(
        "add",
        name,
        vec![Input::map(shape), Input::map(shape)],
        |tape, x| Ok(vec![add_relu(tape, x[0], x[1])?]),
        move |x| vec![relu::reference(&sum(x))],
    )
    .backward(move |x, dy| vec![relu::gradient(&sum(x), dy); 2])
}

pub fn rows() -> Vec<Row> {
    let shape = Shape::new(2, 3, 5, 4);
    let doubled = Row::new(
        "add",
        "with itself",
        vec![Input::map(shape)],
        |tape, x| Ok(vec![add(tape, x[0], x[0])?]),
        |x| vec![x[0].map(|v| 2.0 * v)],
    )
    .backward(|_, dy| vec![dy.map(|v| 2.0 * v)]);
    // A residual block in small: x and a function of x, then a ReLU.
    let residual = Row::new(
        "add",
        "residual",
        vec![Input::map(shape)],
        |tape, x| {
            let branch = relu(tape, x[0]);
            let sum = add(tape, branch, x[0])?;
            Ok(vec![relu(tape, sum)])
        },
        |x| vec![relu::reference(&x[0]).map(|v| 2.0 * v)],
    )
    .backward(|x: &[Array], dy| vec![relu::gradient(&x[0], dy).map(|v| 2.0 * v)]);
    let doubled_relu = Row::new(
        "add",
        "with itself, ReLU",
        vec![Input::map(shape)],
        |tape, x| Ok(vec![add_relu(tape, x[0], x[0])?]),
        |x| vec![relu::reference(&x[0]).map(|v| 2.0 * v)],
    )
    .backward(|x, dy| vec![relu::gradient(&x[0], dy).map(|v| 2.0 * v)]);
    vec![
        rectified("ReLU, even", Shape::new(2, 4, 6, 8)),
        rectified("ReLU, odd sizes", Shape::new(3, 5, 7, 3)),
        rectified("ReLU, one channel", Shape::new(2, 3, 3, 1)),
        doubled_relu,
        row("even", Shape::new(2, 4, 6, 8)),
        row("odd sizes", Shape::new(3, 5, 7, 3)),
        row("one channel", Shape::new(2, 3, 3, 1)),
        doubled,
        residual,
        row("256 at 56x56", Shape::new(4, 56, 56, 256)).bench(),
        rectified("ReLU, 256 at 56x56", Shape::new(4, 56, 56, 256)).bench(),
    ]
}
