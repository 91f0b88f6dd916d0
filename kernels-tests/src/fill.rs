//! Constant contents.

use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::{Array, Row};

fn row(name: &str, shape: Shape, value: f32) -> Row {
    let record = move |tape: &mut Tape, _: &[Tensor]| {
        let y = tape.output(shape, &[]);
        tape.fill(y, value);
        Ok(vec![y])
    };
    Row::new("fill", name, vec![], record, move |_| vec![Array::zeros(shape).map(|_| f64::from(value))])
}

pub fn rows() -> Vec<Row> {
    vec![
        row("zeros", Shape::new(2, 3, 5, 4), 0.0),
        row("odd sizes", Shape::new(1, 3, 7, 5), -2.5),
        row("pixels in fours", Shape::new(2, 4, 6, 8), 1.5),
        row("pixels in fours, odd channels", Shape::new(2, 4, 6, 3), 1.5),
        // Each pixel has an invocation of its own: 65,601 workgroups, more than one dimension of the grid holds.
        row("many pixels", Shape::new(1, 2049, 2049, 1), 2.0),
        row("256 at 56x56", Shape::new(4, 56, 56, 256), 1.0).bench(),
    ]
}
