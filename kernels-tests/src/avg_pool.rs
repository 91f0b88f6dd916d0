//! The mean of each window.

use gatefold_engine::ops::avg_pool::avg_pool;
use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Shape;

use crate::max_pool::pixels;
use crate::{Array, Input, Row};

fn divisor(window: Window, count_padding: bool, inside: usize) -> f64 {
    if count_padding { (window.kernel[0] * window.kernel[1]) as f64 } else { inside as f64 }
}

fn reference(x: &Array, window: Window, count_padding: bool) -> Array {
    let (h, w) = window.output("avg_pool", x.shape).unwrap();
    Array::from_fn(Shape { h, w, ..x.shape }, |n, oy, ox, c| {
        let pixels = pixels(window, x.shape, oy, ox);
        let sum: f64 = pixels.iter().map(|&(iy, ix)| x.at(n, iy, ix, c)).sum();
        sum / divisor(window, count_padding, pixels.len())
    })
}

fn gradient(x: &Array, dy: &Array, window: Window, count_padding: bool) -> Array {
    let mut dx = Array::zeros(x.shape);
    for n in 0..dy.shape.n {
        for oy in 0..dy.shape.h {
            for ox in 0..dy.shape.w {
                let pixels = pixels(window, x.shape, oy, ox);
                for c in 0..dy.shape.c {
                    let part = dy.at(n, oy, ox, c) / divisor(window, count_padding, pixels.len());
                    pixels.iter().for_each(|&(iy, ix)| *dx.at_mut(n, iy, ix, c) += part);
                }
            }
        }
    }
    dx
}

fn row(name: &str, shape: Shape, window: Window, count_padding: bool) -> Row {
    Row::new(
        "avg_pool",
        name,
        vec![Input::map(shape)],
        move |tape, x| Ok(vec![avg_pool(tape, x[0], window, count_padding)?]),
        move |x| vec![reference(&x[0], window, count_padding)],
    )
    .backward(move |x, dy| vec![gradient(&x[0], dy, window, count_padding)])
}

pub fn rows() -> Vec<Row> {
    let asymmetric = Window { kernel: [2, 3], stride: [1, 2], padding: [1, 0, 0, 2] };
    let same = Window::square(3, 1, 1);
    vec![
        row("2x2/2", Shape::new(2, 6, 8, 8), Window::square(2, 2, 0), true),
        row("2x2/2, odd sizes", Shape::new(2, 7, 5, 3), Window::square(2, 2, 0), true),
        row("3x3/1 pad 1, counted", Shape::new(2, 7, 6, 8), same, true),
        row("3x3/1 pad 1, not counted", Shape::new(2, 7, 6, 8), same, false),
        row("3x3/1 pad 1, not counted, odd sizes", Shape::new(1, 5, 9, 5), same, false),
        row("3x3/2 pad 1, one channel", Shape::new(3, 6, 7, 1), Window::square(3, 2, 1), false),
        row("5x5/3", Shape::new(2, 17, 14, 4), Window::square(5, 3, 0), true),
        row("2x3/1x2, asymmetric, counted", Shape::new(2, 5, 8, 12), asymmetric, true),
        row("2x3/1x2, asymmetric, not counted", Shape::new(2, 5, 8, 6), asymmetric, false),
        row("2x2/3, gaps between windows", Shape::new(2, 9, 11, 4), Window::square(2, 3, 1), false),
        row("8x8/1, the whole input", Shape::new(2, 8, 8, 4), Window::square(8, 1, 0), true),
        row("3x3/1 pad 1, 288 at 35x35", Shape::new(4, 35, 35, 288), same, true).bench(),
    ]
}
