//! The mean of each whole feature map.

use gatefold_engine::ops::global_avg_pool::global_avg_pool;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row};

fn reference(x: &Array) -> Array {
    let Shape { n, h, w, c } = x.shape;
    Array::from_fn(Shape::matrix(n, c), |n, _, _, c| {
        (0..h * w).map(|pixel| x.at(n, pixel / w, pixel % w, c)).sum::<f64>() / (h * w) as f64
    })
}

fn row(name: &str, shape: Shape) -> Row {
    Row::new(
        "global_avg_pool",
        name,
        vec![Input::map(shape)],
        |tape, x| Ok(vec![global_avg_pool(tape, x[0])?]),
        |x| vec![reference(&x[0])],
    )
    .backward(move |_, dy| vec![Array::from_fn(shape, |n, _, _, c| dy.at(n, 0, 0, c) / (shape.h * shape.w) as f64)])
}

pub fn rows() -> Vec<Row> {
    vec![
        row("even", Shape::new(2, 4, 4, 8)),
        row("odd sizes", Shape::new(3, 5, 7, 5)),
        row("one channel", Shape::new(2, 3, 9, 1)),
        row("one pixel", Shape::new(4, 1, 1, 12)),
        row("a tree of two levels", Shape::new(2, 13, 17, 4)),
        row("a tree of three levels", Shape::new(1, 65, 67, 3)),
        row("2048 at 7x7", Shape::new(4, 7, 7, 2048)).bench(),
    ]
}
