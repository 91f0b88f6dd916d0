//! The mean over samples that both cross-entropies end with.

use gatefold_engine::ops::loss::loss;
use gatefold_engine::params::ParameterStore;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

use crate::{Array, Checked, Row, Runner};

/// Records of `samples` samples, `channels` numbers each: weighted loss, weight, weighted hit, one; then what must not matter.
fn records(samples: usize, channels: usize, weight: fn(usize) -> f64) -> Array {
    let noise = Array::random(Shape::matrix(samples, channels), 1);
    Array::from_fn(noise.shape, |n, _, _, c| {
        let (value, weight) = (noise.at(n, 0, 0, c), weight(n));
        match c {
            0 => weight * value.abs(),
            1 => weight,
            2 => weight * f64::from(u8::from(value > 0.0)),
            3 => f64::from(u8::from(weight > 0.0)),
            _ => 1e3,
        }
    })
}

fn row(name: &str, samples: usize, channels: usize, weight: fn(usize) -> f64) -> Row {
    Row::custom("loss", name, move |runner: &Runner| {
        let records = records(samples, channels, weight);
        let mut tape = Tape::new();
        let input = tape.input(records.shape);
        let result = loss(&mut tape, "loss", input, input);
        tape.keep(result.loss);
        tape.keep(result.stats);
        let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
        let mut plan = runner.plan(&tape, &store)?;
        // The reference sees what the kernel sees.
        let words = records.to_f32();
        plan.write(input, &words)?;
        plan.poison();
        let results = plan.run()?;

        let sum = |c: usize| words.chunks(channels).map(|record| f64::from(record[c])).sum::<f64>();
        let stats = [0, 1, 2, 3].map(sum);
        let mean = if stats[1] > 0.0 { stats[0] / stats[1] } else { 0.0 };
        Ok(vec![
            Checked::norm("loss", &results.get(result.loss)?, &[mean]),
            Checked::norm("stats", &results.get(result.stats)?, &stats),
        ])
    })
}

pub fn rows() -> Vec<Row> {
    let bench = Row::new(
        "loss",
        "1024 samples",
        vec![],
        |tape, _| {
            let records = tape.input(Shape::matrix(1024, 8));
            let result = loss(tape, "loss", records, records);
            Ok(vec![result.loss, result.stats])
        },
        |_| vec![Array::zeros(Shape::vector(1)), Array::zeros(Shape::vector(4))],
    );
    vec![
        row("one sample", 1, 4, |_| 1.0),
        row("three samples, wide records", 3, 8, |_| 1.0),
        row("as many samples as invocations", 64, 4, |_| 1.0),
        row("one more", 65, 8, |_| 0.5),
        row("many samples, some of weight 0", 333, 4, |n| 0.5 * (n % 3) as f64),
        row("no sample counts", 5, 8, |_| 0.0),
        bench.bench(),
    ]
}
