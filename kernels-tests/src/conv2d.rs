//! Two-dimensional convolution.

use gatefold_engine::ops::add::add_relu;
use gatefold_engine::ops::batch_norm::batch_norm as op_batch_norm;
use gatefold_engine::ops::conv2d::{conv2d, norm_relu_conv2d};
use gatefold_engine::ops::relu::relu as op_relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row, batch_norm, relu};

/// Calls `f` with the places in output, input and weight of every product that is not with padding.
pub fn products(
    x: Shape,
    weight: Shape,
    window: Window,
    y: Shape,
    mut f: impl FnMut([usize; 4], [usize; 4], [usize; 2]),
) {
    for n in 0..y.n {
        for (oy, ox) in (0..y.h).flat_map(|oy| (0..y.w).map(move |ox| (oy, ox))) {
            for (ky, kx) in (0..weight.n).flat_map(|ky| (0..weight.h).map(move |kx| (ky, kx))) {
                let row = (oy * window.stride[0] + ky).checked_sub(window.padding[0]).filter(|&row| row < x.h);
                let column = (ox * window.stride[1] + kx).checked_sub(window.padding[2]).filter(|&column| column < x.w);
                let Some((row, column)) = row.zip(column) else { continue };
                for i in 0..weight.w {
                    for o in 0..weight.c {
                        f([n, oy, ox, o], [n, row, column, i], [ky, kx]);
                    }
                }
            }
        }
    }
}

fn forward(x: &Array, weight: &Array, bias: Option<&Array>, window: Window, y: Shape) -> Array {
    let mut out = Array::from_fn(y, |_, _, _, c| bias.map_or(0.0, |b| b.data[c]));
    products(x.shape, weight.shape, window, y, |[n, oy, ox, o], [_, row, column, i], [ky, kx]| {
        *out.at_mut(n, oy, ox, o) += x.at(n, row, column, i) * weight.at(ky, kx, i, o);
    });
    out
}

fn backward(x: &Array, weight: &Array, window: Window, dy: &Array) -> [Array; 3] {
    let (mut dx, mut dw) = (Array::zeros(x.shape), Array::zeros(weight.shape));
    products(x.shape, weight.shape, window, dy.shape, |[n, oy, ox, o], [_, row, column, i], [ky, kx]| {
        let upstream = dy.at(n, oy, ox, o);
        *dx.at_mut(n, row, column, i) += upstream * weight.at(ky, kx, i, o);
        *dw.at_mut(ky, kx, i, o) += upstream * x.at(n, row, column, i);
    });
    let mut db = Array::zeros(Shape::vector(weight.shape.c));
    for (place, v) in dy.data.iter().enumerate() {
        db.data[place % weight.shape.c] += v;
    }
    [dx, dw, db]
}

/// A row: input shape, output channels, window.
pub fn row(name: &str, x: Shape, cout: usize, window: Window, with_bias: bool) -> Row {
    let weight = Shape::new(window.kernel[0], window.kernel[1], x.c, cout);
    let mut inputs = vec![Input::map(x), Input::parameter(weight)];
    if with_bias {
        inputs.push(Input::parameter(Shape::vector(cout)));
    }
    let (h, w) = window.output("row", x).expect("rows fit");
    let y = Shape::new(x.n, h, w, cout);
    Row::new(
        "conv2d",
        name,
        inputs,
        move |tape, t| Ok(vec![conv2d(tape, t[0], t[1], t.get(2).copied(), window)?]),
        move |a| vec![forward(&a[0], &a[1], a.get(2), window, y)],
    )
    .backward(move |a, dy| backward(&a[0], &a[1], window, dy).into_iter().take(a.len()).collect())
}

/// A row of the form that normalises and rectifies its input while loading it.
fn normalised(name: &str, x: Shape, cout: usize, window: Window, training: bool) -> Row {
    let weight = Shape::new(window.kernel[0], window.kernel[1], x.c, cout);
    let vector = Input::parameter(Shape::vector(x.c));
    let (h, w) = window.output("row", x).expect("rows fit");
    let y = Shape::new(x.n, h, w, cout);
    Row::new(
        "conv2d",
        name,
        vec![Input::map(x), vector.clone(), vector, Input::parameter(weight)],
        move |tape, t| {
            let norm = batch_norm::norm(tape, t[1], t[2], training);
            Ok(vec![norm_relu_conv2d(tape, t[0], &norm, t[3], window, training)?])
        },
        move |a| {
            let activated = relu::reference(&batch_norm::reference(&a[..3], training));
            vec![forward(&activated, &a[3], None, window, y)]
        },
    )
    .backward(move |a, dy| {
        let hat = batch_norm::reference(&a[..3], training);
        let [dz, dw, _] = backward(&relu::reference(&hat), &a[3], window, dy);
        let mut gradients = batch_norm::gradients(&a[..3], &relu::gradient(&hat, &dz), training);
        gradients.push(dw);
        gradients
    })
}

/// A row of a convolution and a ReLU in one launch, with the gradient of both.
fn then_relu(name: &str, x: Shape, cout: usize, window: Window) -> Row {
    let weight = Shape::new(window.kernel[0], window.kernel[1], x.c, cout);
    let (h, w) = window.output("row", x).expect("rows fit");
    let y = Shape::new(x.n, h, w, cout);
    let sum = move |a: &[Array]| forward(&a[0], &a[1], Some(&a[2]), window, y);
    Row::new(
        "conv2d",
        name,
        vec![Input::map(x), Input::parameter(weight), Input::parameter(Shape::vector(cout))],
        move |tape, t| {
            let y = conv2d(tape, t[0], t[1], Some(t[2]), window)?;
            Ok(vec![op_relu(tape, y)])
        },
        move |a| vec![relu::reference(&sum(a))],
    )
    .backward(move |a, dy| backward(&a[0], &a[1], window, &relu::gradient(&sum(a), dy)).to_vec())
    .fused()
}

/// A row of what ends a residual block in inference, in one launch: convolution, batch-norm, sum and ReLU.
fn then_all(name: &str, x: Shape, cout: usize, window: Window) -> Row {
    let weight = Shape::new(window.kernel[0], window.kernel[1], x.c, cout);
    let (h, w) = window.output("row", x).expect("rows fit");
    let y = Shape::new(x.n, h, w, cout);
    let vector = Input::parameter(Shape::vector(cout));
    Row::new(
        "conv2d",
        name,
        vec![Input::map(x), Input::parameter(weight), vector.clone(), vector, Input::map(y)],
        move |tape, t| {
            let y = conv2d(tape, t[0], t[1], None, window)?;
            let norm = batch_norm::norm(tape, t[2], t[3], false);
            let y = op_batch_norm(tape, y, &norm, false)?;
            Ok(vec![add_relu(tape, t[4], y)?])
        },
        move |a| {
            let y = forward(&a[0], &a[1], None, window, y);
            let normalised = batch_norm::reference(&[y, a[2].clone(), a[3].clone()], false);
            vec![relu::reference(&normalised.zip(&a[4], |a, b| a + b))]
        },
    )
    .fused()
}

/// A row of a convolution that keeps the statistics of what it stores, and the batch-norm that takes them. A bias' own gradient is
/// nothing but rounding there, so with one there is none.
fn then_statistics(name: &str, x: Shape, cout: usize, window: Window, with_bias: bool) -> Row {
    let weight = Shape::new(window.kernel[0], window.kernel[1], x.c, cout);
    let (h, w) = window.output("row", x).expect("rows fit");
    let y = Shape::new(x.n, h, w, cout);
    let vector = Input::parameter(Shape::vector(cout));
    let mut inputs = vec![Input::map(x), Input::parameter(weight), vector.clone(), vector.clone()];
    if with_bias {
        inputs.push(vector);
    }
    let norm_of = move |a: &[Array]| [forward(&a[0], &a[1], a.get(4), window, y), a[2].clone(), a[3].clone()];
    let row = Row::new(
        "conv2d",
        name,
        inputs,
        move |tape, t| {
            let y = conv2d(tape, t[0], t[1], t.get(4).copied(), window)?;
            let norm = batch_norm::norm(tape, t[2], t[3], true);
            Ok(vec![op_batch_norm(tape, y, &norm, true)?])
        },
        move |a| vec![batch_norm::reference(&norm_of(a), true)],
    );
    if with_bias {
        return row.fused();
    }
    row.backward(move |a, dy| {
        let mut of_norm = batch_norm::gradients(&norm_of(a), dy, true);
        let [dx, dw, _] = backward(&a[0], &a[1], window, &of_norm.remove(0));
        [vec![dx, dw], of_norm].concat()
    })
    .fused()
}

pub fn rows() -> Vec<Row> {
    let same = Window::square(3, 1, 1);
    let point = Window::square(1, 1, 0);
    let uneven = Window { kernel: [2, 5], stride: [2, 1], padding: [0, 1, 3, 2] };
    let mut rows = vec![
        row("3x3 same", Shape::new(2, 6, 8, 8), 16, same, true),
        row("3x3 same, odd sizes", Shape::new(3, 7, 5, 4), 12, same, false),
        row("3x3 stride 2", Shape::new(2, 9, 8, 8), 8, Window::square(3, 2, 1), true),
        row("1x1", Shape::new(2, 5, 6, 24), 20, point, false),
        row("1x1 stride 2", Shape::new(2, 5, 6, 8), 4, Window::square(1, 2, 0), false),
        row("1x1 stride 2, many tiles", Shape::new(2, 13, 11, 36), 72, Window::square(1, 2, 0), true),
        row("1x1 stride 3x2", Shape::new(1, 11, 10, 12), 20, Window { stride: [3, 2], ..point }, false),
        row("7x7 stride 2 of 4", Shape::new(2, 15, 13, 4), 8, Window::square(7, 2, 3), false),
        row("2x5, stride 2x1, asymmetric padding", Shape::new(2, 7, 6, 8), 8, uneven, true),
        row("1x7", Shape::new(1, 4, 9, 4), 8, Window { kernel: [1, 7], stride: [1, 1], padding: [0, 0, 3, 3] }, false),
        row("no padding, stride leaves a rest", Shape::new(1, 8, 8, 4), 4, Window::square(3, 2, 0), false),
        row("stride larger than the kernel", Shape::new(1, 9, 9, 4), 4, Window::square(2, 3, 0), false),
        row("stride larger than the kernel, 8 in", Shape::new(2, 9, 10, 8), 12, Window::square(2, 3, 0), false),
        row("padding wider than the kernel reaches, 8 in", Shape::new(1, 3, 3, 8), 4, Window::square(3, 1, 3), false),
        row("one channel in, one out", Shape::new(2, 5, 4, 1), 1, same, true),
        row("odd sizes", Shape::new(3, 5, 7, 5), 3, same, true),
        row("3 in, 5 out", Shape::new(2, 5, 4, 3), 5, same, true),
        row("uneven, 5 in, 3 out", Shape::new(2, 7, 6, 5), 3, uneven, true),
        row("many tiles", Shape::new(2, 17, 19, 36), 72, same, true),
        row("3x3 without padding", Shape::new(2, 8, 11, 12), 20, Window::square(3, 1, 0), true),
        row("3x3, uneven padding", Shape::new(1, 5, 17, 4), 12, Window { padding: [2, 0, 0, 1], ..same }, false),
        row("1x1, many tiles", Shape::new(2, 13, 11, 36), 72, point, true),
        row("1x1, tiles beside each other", Shape::new(1, 5, 9, 96), 260, point, true),
        row("3x3, tiles beside each other", Shape::new(1, 6, 7, 192), 132, same, false),
        row("7x7 stride 2, many tiles", Shape::new(1, 37, 41, 4), 20, Window::square(7, 2, 3), true),
        row("padding wider than the kernel reaches", Shape::new(1, 3, 3, 4), 4, Window::square(3, 1, 3), false),
    ];
    rows.extend([
        normalised("normalised 1x1", Shape::new(2, 5, 6, 24), 20, point, true),
        normalised("normalised 1x1, 5 in, 3 out", Shape::new(2, 7, 5, 5), 3, point, true),
        normalised("normalised 1x1, many tiles", Shape::new(2, 13, 11, 72), 36, point, true),
        normalised("normalised 3x3 stride 2", Shape::new(2, 7, 8, 8), 8, Window::square(3, 2, 0), true),
        normalised("normalised 1x1, inference", Shape::new(2, 5, 6, 8), 12, point, false),
    ]);
    let shapes = [
        ("3x3", Shape::new(2, 7, 11, 12), 20, same),
        ("3x3 stride 2", Shape::new(2, 9, 8, 8), 8, Window::square(3, 2, 1)),
        ("1x1", Shape::new(2, 13, 11, 36), 72, point),
        ("7x7 stride 2", Shape::new(1, 37, 41, 4), 20, Window::square(7, 2, 3)),
        ("uneven", Shape::new(2, 7, 6, 5), 3, uneven),
    ];
    for (name, x, cout, window) in shapes {
        rows.push(then_relu(&format!("{name}, then ReLU"), x, cout, window));
        rows.push(then_all(&format!("{name}, then normalise, add, ReLU"), x, cout, window));
    }
    rows.extend([
        then_statistics("3x3, then statistics", Shape::new(2, 7, 11, 12), 20, same, false),
        then_statistics("1x1, then statistics of many tiles", Shape::new(2, 13, 11, 36), 72, point, false),
        then_statistics(
            "3x3 stride 2 with a bias, then statistics",
            Shape::new(3, 9, 9, 8),
            36,
            Window::square(3, 2, 1),
            true,
        ),
    ]);
    let bench = [
        ("3x3 64->64 at 56x56", Shape::new(4, 56, 56, 64), 64, same),
        ("3x3 256->256 at 14x14", Shape::new(4, 14, 14, 256), 256, same),
        ("1x1 256->64 at 56x56", Shape::new(4, 56, 56, 256), 64, point),
        ("7x7/2 4->64 at 224x224", Shape::new(4, 224, 224, 4), 64, Window::square(7, 2, 3)),
        ("3x3 4->32 at 128x128", Shape::new(8, 128, 128, 4), 32, same),
        ("3x3 32->32 at 64x64", Shape::new(8, 64, 64, 32), 32, same),
        ("3x3 128->128 at 8x8", Shape::new(32, 8, 8, 128), 128, same),
    ];
    rows.extend(bench.map(|(name, x, cout, window)| row(name, x, cout, window, false).bench()));
    rows.push(normalised("normalised 1x1 256->128 at 28x28", Shape::new(4, 28, 28, 256), 128, point, true).bench());
    rows.push(
        then_all("1x1 64->256 at 56x56, then normalise, add, ReLU", Shape::new(4, 56, 56, 64), 256, point).bench(),
    );
    rows.push(row("1x1 256->128 at 28x28", Shape::new(4, 28, 28, 256), 128, point, false).bench());
    rows
}
