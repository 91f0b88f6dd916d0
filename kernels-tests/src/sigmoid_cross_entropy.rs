//! Cross-entropy of a sigmoid with class weights, label smoothing and sample weights.

use gatefold_engine::Result;
use gatefold_engine::ops::sigmoid_cross_entropy::{Loss, sigmoid_cross_entropy};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::softmax_cross_entropy::{Expected, Truth, given_row, mean, random_row};
use crate::{Array, Row};

fn expected(logits: &Array, truth: &Truth) -> Expected {
    let smoothing = f64::from(truth.smoothing);
    let samples = logits.data.iter().zip(&truth.labels).map(|(&z, &label)| {
        let target = f64::from(label) * (1.0 - smoothing) + smoothing / 2.0;
        let weight = truth.class_weight(label as usize);
        let e = (-z.abs()).exp();
        let loss = z.max(0.0) - z * target + e.ln_1p();
        let sigmoid = if z > 0.0 { 1.0 / (1.0 + e) } else { e / (1.0 + e) };
        (weight * loss, weight, (z > 0.0) == (label == 1), vec![weight * (sigmoid - target)])
    });
    mean(samples, truth)
}

fn recorded(tape: &mut Tape, logits: Tensor, truth: &Truth) -> Result<Loss> {
    let targets = truth.targets(tape);
    let class_weights = truth.class_weights.as_ref().map(|w| [w[0], w[1]]);
    sigmoid_cross_entropy(tape, logits, &targets, class_weights, truth.smoothing)
}

pub fn rows() -> Vec<Row> {
    let row = |name: &str, truth: Truth| {
        let shape = Shape::matrix(truth.labels.len(), 1);
        random_row("sigmoid_cross_entropy", name, shape, truth, recorded, expected)
    };
    let of = |data: Vec<f64>| Array { shape: Shape::matrix(data.len(), 1), data };
    let given = |name: &str, logits: Array, truth: Truth| {
        let results = expected(&logits, &truth);
        given_row("sigmoid_cross_entropy", name, logits, truth, recorded, results)
    };
    let plain = |n: usize| Truth::plain(n, 2);
    let labelled = |labels: &[u32]| Truth { labels: labels.to_vec(), ..plain(labels.len()) };
    // torch.nn.functional.binary_cross_entropy_with_logits in f64 (PyTorch 2).
    let loss = 7.257680209521415;
    let gradient = vec![-0.0629234448, 0.0371166898, 0.146799513, -0.08333333333, 1.559603828e-14, 0.1666666667];
    let pytorch = given_row(
        "sigmoid_cross_entropy",
        "PyTorch",
        of(vec![0.5, -1.25, 2.0, 0.0, -30.0, 40.0]),
        labelled(&[1, 0, 0, 1, 0, 0]),
        recorded,
        (loss, [6.0 * loss, 6.0, 3.0, 6.0], gradient),
    );
    let large = vec![1e4, -1e4, 1e4, -1e4, 88.0, -88.0, 104.0, -104.0];
    let right = vec![9.0, -9.0, 12.0, -12.0, 3.0, -3.0, 20.0, -20.0];
    let hostile = vec![0.5, f64::from(f32::MAX), -0.25, f64::from(f32::MIN), 1.0, f64::from(f32::MAX)];
    vec![
        row("plain", plain(8)),
        row("one sample", plain(1)),
        row("many samples", plain(333)),
        row("class weights", plain(9).class_weighted(2)),
        row("smoothing", plain(9).smoothed(0.1)),
        row("sample weights, some 0", plain(70).weighted(|i| 0.5 * (i % 3) as f32)),
        row("all weights", plain(70).class_weighted(2).smoothed(0.2).weighted(|i| (i % 4) as f32)),
        row("no sample counts", plain(4).smoothed(0.1).weighted(|_| 0.0)),
        given("large logits", of(large), labelled(&[0, 1, 1, 0, 0, 1, 1, 0])),
        given("right and sure: small losses", of(right), labelled(&[1, 0, 1, 0, 1, 0, 1, 0])),
        given("a logit of 0 is class 0", of(vec![0.0, 0.0, 0.0]), labelled(&[0, 1, 0])),
        given("hostile logits of weight 0", of(hostile), plain(6).weighted(|i| ((i + 1) % 2) as f32)),
        pytorch,
        row("1024 samples", plain(1024)).bench(),
    ]
}
