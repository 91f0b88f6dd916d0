//! A fully connected layer.

use gatefold_engine::ops::dense::dense;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row};

fn row(name: &str, n: usize, inputs: usize, outputs: usize, with_bias: bool) -> Row {
    let mut tensors = vec![Input::map(Shape::matrix(n, inputs)), Input::parameter(Shape::new(1, 1, inputs, outputs))];
    if with_bias {
        tensors.push(Input::parameter(Shape::vector(outputs)));
    }
    let forward = move |a: &[Array]| {
        let bias = |o: usize| a.get(2).map_or(0.0, |b| b.data[o]);
        let product = |n: usize, o: usize| (0..inputs).map(|i| a[0].at(n, 0, 0, i) * a[1].at(0, 0, i, o)).sum::<f64>();
        vec![Array::from_fn(Shape::matrix(n, outputs), |n, _, _, o| bias(o) + product(n, o))]
    };
    let backward = move |a: &[Array], dy: &Array| {
        let (x, w) = (&a[0], &a[1]);
        let dx = |n, i| (0..outputs).map(|o| dy.at(n, 0, 0, o) * w.at(0, 0, i, o)).sum();
        let dw = |i, o| (0..n).map(|n| dy.at(n, 0, 0, o) * x.at(n, 0, 0, i)).sum();
        let db = |o| (0..n).map(|n| dy.at(n, 0, 0, o)).sum();
        let all = [
            Array::from_fn(x.shape, |n, _, _, i| dx(n, i)),
            Array::from_fn(w.shape, |_, _, i, o| dw(i, o)),
            Array::from_fn(Shape::vector(outputs), |_, _, _, o| db(o)),
        ];
        all.into_iter().take(a.len()).collect()
    };
    Row::new("dense", name, tensors, |tape, t| Ok(vec![dense(tape, t[0], t[1], t.get(2).copied())?]), forward)
        .backward(backward)
}

pub fn rows() -> Vec<Row> {
    vec![
        row("even", 8, 24, 12, true),
        row("even, no bias", 8, 24, 12, false),
        row("odd sizes", 5, 7, 3, true),
        row("one output", 3, 100, 1, true),
        row("one input, no bias", 4, 1, 6, false),
        row("many samples", 130, 36, 68, true),
        row("many inputs", 4, 4608, 20, true),
        row("1024 -> 1024, 256 samples", 256, 1024, 1024, false).bench(),
        row("2048 -> 1000, 64 samples", 64, 2048, 1000, true).bench(),
        row("512 -> 100, 32 samples", 32, 512, 100, true).bench(),
    ]
}
