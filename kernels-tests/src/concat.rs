//! Joining channels.

use gatefold_engine::ops::add::add;
use gatefold_engine::ops::concat::{Stack, concat};
use gatefold_engine::ops::relu::relu;
use gatefold_engine::tensor::Shape;

use crate::{Array, Input, Row, relu};

/// Side by side.
pub fn joined(parts: &[Array]) -> Array {
    let mut shape = parts[0].shape;
    shape.c = parts.iter().map(|p| p.shape.c).sum();
    Array::from_fn(shape, |n, y, x, mut c| {
        for part in parts {
            if c < part.shape.c {
                return part.at(n, y, x, c);
            }
            c -= part.shape.c;
        }
        unreachable!()
    })
}

fn split(like: &[Array], dy: &Array) -> Vec<Array> {
    let mut from = 0;
    let part = |p: &Array| {
        from += p.shape.c;
        dy.channels(from - p.shape.c, p.shape.c)
    };
    like.iter().map(part).collect()
}

/// Parts of 30 pixels each.
fn inputs(channels: &[usize]) -> Vec<Input> {
    inputs_of(Shape::new(2, 3, 5, 0), channels)
}

fn inputs_of(shape: Shape, channels: &[usize]) -> Vec<Input> {
    channels.iter().map(|&c| Input::map(shape.with_c(c))).collect()
}

pub fn rows() -> Vec<Row> {
    let copied = |name: &str, inputs: Vec<Input>| {
        Row::new("concat", name, inputs, |tape, x| Ok(vec![concat(tape, x)?]), |x| vec![joined(x)]).backward(split)
    };
    // The parts are made by an op, so they become slices of the whole.
    let moved = |name: &str, channels: &[usize]| {
        Row::new(
            "concat",
            name,
            inputs(channels),
            |tape, x| {
                let parts: Vec<_> = x.iter().map(|&x| relu(tape, x)).collect();
                Ok(vec![concat(tape, &parts)?])
            },
            |x| vec![joined(&x.iter().map(relu::reference).collect::<Vec<_>>())],
        )
        .backward(|x, dy| x.iter().zip(split(x, dy)).map(|(x, dy)| relu::gradient(x, &dy)).collect())
    };
    // DenseNet's growth: what was joined is joined again, and read in between; and a part that is a ReLU of another part,
    // which must not end up in the buffer it reads.
    let nested = Row::new(
        "concat",
        "nested, read in between",
        inputs(&[4, 8]),
        |tape, x| {
            let (a, b) = (relu(tape, x[0]), relu(tape, x[1]));
            let first = concat(tape, &[a, b])?;
            let c = relu(tape, first);
            Ok(vec![concat(tape, &[first, c])?])
        },
        |x| {
            let first = joined(&x.iter().map(relu::reference).collect::<Vec<_>>());
            vec![joined(&[first.clone(), first])]
        },
    )
    .backward(|x, dy| {
        let c = dy.shape.c / 2;
        let both = dy.channels(0, c).zip(&dy.channels(c, c), |a, b| a + b);
        x.iter().zip(split(x, &both)).map(|(x, dy)| relu::gradient(x, &dy)).collect()
    });
    // Each new part is a function of all parts so far: [a], [a 2a], [a 2a 2a 4a].
    let stacked = |name: &str, channels: usize| {
        Row::new(
            "concat",
            name,
            inputs(&[channels]),
            move |tape, x| {
                let first = relu(tape, x[0]);
                let mut stack = Stack::new(tape, first, 4 * channels)?;
                for _ in 0..2 {
                    let so_far = stack.so_far(tape);
                    let branch = relu(tape, so_far);
                    let part = add(tape, branch, branch)?;
                    stack.push(tape, part)?;
                }
                Ok(vec![stack.so_far(tape)])
            },
            |x| {
                let a = relu::reference(&x[0]);
                let [twice, four] = [2.0, 4.0].map(|by| a.map(|v| by * v));
                vec![joined(&[a, twice.clone(), twice, four])]
            },
        )
        .backward(move |x, dy| {
            let part = |i: usize, by: f64| dy.channels(i * channels, channels).map(|v| by * v);
            let sum =
                [part(1, 2.0), part(2, 2.0), part(3, 4.0)].iter().fold(part(0, 1.0), |a, b| a.zip(b, |a, b| a + b));
            vec![relu::gradient(&x[0], &sum)]
        })
    };
    // Its second place cannot be copied to from the first one, which lies in the same buffer.
    let twice = |name: &str, channels: usize| {
        Row::new(
            "concat",
            name,
            inputs(&[channels, 4]),
            |tape, x| {
                let [a, b] = [relu(tape, x[0]), relu(tape, x[1])];
                Ok(vec![concat(tape, &[a, b, a])?])
            },
            |x| {
                let [a, b] = [0, 1].map(|i| relu::reference(&x[i]));
                vec![joined(&[a.clone(), b, a])]
            },
        )
        .backward(|x, dy| {
            let c = x[0].shape.c;
            let both = dy.channels(0, c).zip(&dy.channels(c + 4, c), |a, b| a + b);
            vec![relu::gradient(&x[0], &both), relu::gradient(&x[1], &dy.channels(c, 4))]
        })
    };
    vec![
        twice("a part twice, aligned", 8),
        twice("a part twice, odd", 3),
        copied("inputs, aligned", inputs(&[4, 8])),
        copied("inputs, odd", inputs(&[3, 5, 1])),
        copied("inputs, odd sizes", inputs_of(Shape::new(3, 5, 7, 0), &[3, 5, 1])),
        moved("results, aligned", &[8, 4, 4]),
        moved("results, odd", &[1, 6, 3]),
        nested,
        stacked("a stack, aligned", 4),
        stacked("a stack, odd", 3),
    ]
}
