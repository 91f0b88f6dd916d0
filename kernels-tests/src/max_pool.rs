//! The largest number of each window.

use gatefold_engine::Result;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::relu::relu as op_relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::ParameterStore;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

use crate::{Array, Checked, Input, Row, Runner, relu};

/// For each output its value and the place of the first maximum: the row and column in the input.
fn maxima(x: &Array, window: Window) -> (Array, Vec<(usize, usize)>) {
    let (h, w) = window.output("max_pool", x.shape).unwrap();
    let mut y = Array::zeros(Shape { h, w, ..x.shape });
    let mut places = vec![];
    for n in 0..x.shape.n {
        for oy in 0..h {
            for ox in 0..w {
                for c in 0..x.shape.c {
                    let pixels = pixels(window, x.shape, oy, ox);
                    let at = |&(iy, ix): &(usize, usize)| x.at(n, iy, ix, c);
                    let first = pixels[0];
                    let larger = |best, next| if at(&next) > at(&best) || at(&next).is_nan() { next } else { best };
                    let best = pixels.into_iter().fold(first, larger);
                    *y.at_mut(n, oy, ox, c) = at(&best);
                    places.push(best);
                }
            }
        }
    }
    (y, places)
}

/// The pixels of a window that lie inside the input, row by row.
pub fn pixels(window: Window, input: Shape, oy: usize, ox: usize) -> Vec<(usize, usize)> {
    let [top, _, left, _] = window.padding;
    let mut pixels = vec![];
    for ky in 0..window.kernel[0] {
        for kx in 0..window.kernel[1] {
            let (y, x) = (oy * window.stride[0] + ky, ox * window.stride[1] + kx);
            if (top..top + input.h).contains(&y) && (left..left + input.w).contains(&x) {
                pixels.push((y - top, x - left));
            }
        }
    }
    pixels
}

fn gradient(x: &Array, dy: &Array, window: Window) -> Array {
    let mut places = maxima(x, window).1.into_iter();
    let mut dx = Array::zeros(x.shape);
    for n in 0..dy.shape.n {
        for oy in 0..dy.shape.h {
            for ox in 0..dy.shape.w {
                for c in 0..dy.shape.c {
                    let (iy, ix) = places.next().unwrap();
                    *dx.at_mut(n, iy, ix, c) += dy.at(n, oy, ox, c);
                }
            }
        }
    }
    dx
}

fn row(name: &str, shape: Shape, window: Window) -> Row {
    Row::new(
        "max_pool",
        name,
        vec![Input::map(shape)],
        move |tape, x| Ok(vec![max_pool(tape, x[0], window)?]),
        move |x| vec![maxima(&x[0], window).0],
    )
    .backward(move |x, dy| vec![gradient(&x[0], dy, window)])
}

/// A row of a pooling behind a ReLU, whose gradients are one launch.
fn after_relu(name: &str, shape: Shape, window: Window) -> Row {
    Row::new(
        "max_pool",
        name,
        vec![Input::map(shape)],
        move |tape, x| {
            let rectified = op_relu(tape, x[0]);
            Ok(vec![max_pool(tape, rectified, window)?])
        },
        move |x| vec![maxima(&relu::reference(&x[0]), window).0],
    )
    .backward(move |x, dy| vec![relu::gradient(&x[0], &gradient(&relu::reference(&x[0]), dy, window))])
    .fused()
}

/// Runs on the numbers given, for what random ones don't hold. Compares what is a number and counts what should be none.
fn on(runner: &Runner, x: &Array, window: Window) -> Result<Vec<Checked>> {
    let mut tape = Tape::new();
    let input = tape.input(x.shape);
    tape.require_grad(input);
    let y = max_pool(&mut tape, input, window)?;
    let upstream = tape.input(y.shape);
    tape.backward(&[(y, upstream)])?;
    let dx = tape.grad(input)?.unwrap_or(input);
    tape.keep(y);
    tape.keep(dx);
    let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
    let mut plan = runner.plan(&tape, &store)?;
    let dy = Array::random(y.shape, 5);
    plan.write(input, &x.to_f32())?;
    plan.write(upstream, &dy.to_f32())?;
    plan.poison();
    let results = plan.run()?;
    let (out, reference) = (results.get(y)?, maxima(x, window).0);
    // Exactly: a maximum is one of the numbers that were there.
    let agree = |(out, reference): (&f32, &f64)| f64::from(*out) == *reference || (out.is_nan() && reference.is_nan());
    let wrong = out.iter().zip(&reference.data).filter(|&pair| !agree(pair)).count();
    Ok(vec![
        Checked::count("outputs that differ", wrong),
        Checked::norm("gradient", &results.get(dx)?, &gradient(x, &dy, window).data),
    ])
}

pub fn rows() -> Vec<Row> {
    let asymmetric = Window { kernel: [3, 2], stride: [2, 1], padding: [0, 2, 1, 0] };
    let wide = Window { kernel: [18, 19], stride: [3, 5], padding: [4, 0, 0, 7] };
    let stem = Window::square(3, 2, 1);
    // Whole numbers: most windows hold their maximum more than once, and the first one must get the gradient.
    let ties = Row::custom("max_pool", "ties", move |runner| {
        let x = Array::random(Shape::new(2, 9, 8, 8), 3).map(|v| (1.5 * v).round());
        on(runner, &x, stem)
    });
    // Without a gradient no taps are kept.
    let inference = Row::new(
        "max_pool",
        "3x3/2 pad 1, inference",
        vec![Input::map(Shape::new(2, 7, 9, 8))],
        move |tape, x| Ok(vec![max_pool(tape, x[0], stem)?]),
        move |x| vec![maxima(&x[0], stem).0],
    );
    let odd = Row::custom("max_pool", "NaN and infinities", move |runner| {
        let specials = |v: f64| match v {
            v if v > 0.9 => f64::NAN,
            v if v < 0.3 => f64::NEG_INFINITY,
            v if v > 0.8 => f64::INFINITY,
            v => v,
        };
        on(runner, &Array::random(Shape::new(2, 9, 8, 7), 4).map(specials), stem)
    });
    vec![
        row("2x2/2", Shape::new(2, 6, 8, 8), Window::square(2, 2, 0)),
        row("2x2/2, odd sizes", Shape::new(2, 7, 5, 3), Window::square(2, 2, 0)),
        row("2x2/2, padded", Shape::new(2, 7, 6, 4), Window::square(2, 2, 1)),
        row("3x3/2 pad 1", Shape::new(2, 8, 8, 8), stem),
        row("3x3/2 pad 1, odd sizes", Shape::new(1, 9, 7, 5), stem),
        row("3x3/2", Shape::new(2, 9, 8, 4), Window::square(3, 2, 0)),
        row("3x3/1 pad 1", Shape::new(2, 5, 7, 4), Window::square(3, 1, 1)),
        row("5x5/1 pad 2, one channel", Shape::new(3, 7, 6, 1), Window::square(5, 1, 2)),
        row("3x2/2x1, asymmetric padding", Shape::new(2, 8, 5, 12), asymmetric),
        row("2x2/3, gaps between windows", Shape::new(2, 9, 11, 6), Window::square(2, 3, 1)),
        row("4x4/4, the whole input", Shape::new(2, 4, 4, 8), Window::square(4, 4, 0)),
        row("18x19/3x5, taps beyond a byte", Shape::new(1, 20, 25, 6), wide),
        after_relu("2x2/2 after a ReLU", Shape::new(2, 6, 8, 8), Window::square(2, 2, 0)),
        after_relu("2x2/2 after a ReLU, odd sizes", Shape::new(2, 7, 5, 3), Window::square(2, 2, 0)),
        after_relu("3x3/2 pad 1 after a ReLU", Shape::new(2, 9, 8, 8), stem),
        inference,
        ties,
        odd,
        row("3x3/2 pad 1, 64 at 112x112", Shape::new(4, 112, 112, 64), stem).bench(),
        row("2x2/2, 32 at 128x128", Shape::new(8, 128, 128, 32), Window::square(2, 2, 0)).bench(),
    ]
}
