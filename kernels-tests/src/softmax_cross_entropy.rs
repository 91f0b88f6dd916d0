//! Cross-entropy of a softmax with class weights, label smoothing and sample weights.

use gatefold_engine::Result;
use gatefold_engine::ops::softmax_cross_entropy::{Loss, Targets, softmax_cross_entropy};
use gatefold_engine::params::ParameterStore;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::{Array, Checked, Input, Row, Runner};

/// What a loss compares logits with.
#[derive(Clone, Debug)]
pub struct Truth {
    pub labels: Vec<u32>,
    pub weights: Vec<f32>,
    pub class_weights: Option<Vec<f32>>,
    pub smoothing: f32,
}

impl Truth {
    /// Labels that reach all of `classes`, weights of 1.
    pub fn plain(n: usize, classes: usize) -> Self {
        let labels = (0..n).map(|i| (7 * i + 3) as u32 % classes as u32).collect();
        Self { labels, weights: vec![1.0; n], class_weights: None, smoothing: 0.0 }
    }

    pub fn weighted(self, weights: impl Fn(usize) -> f32) -> Self {
        Self { weights: (0..self.labels.len()).map(weights).collect(), ..self }
    }

    pub fn class_weighted(self, classes: usize) -> Self {
        Self { class_weights: Some((0..classes).map(|c| 0.25 + 0.5 * (c % 5) as f32).collect()), ..self }
    }

    pub fn smoothed(self, smoothing: f32) -> Self {
        Self { smoothing, ..self }
    }

    pub fn targets(&self, tape: &mut Tape) -> Targets {
        let n = self.labels.len();
        let labels = tape.constant(Shape::vector(n), self.labels.clone());
        let weights = tape.constant(Shape::matrix(n, 1), self.weights.iter().map(|w| w.to_bits()).collect());
        Targets { labels, weights }
    }

    pub fn class_weight(&self, class: usize) -> f64 {
        self.class_weights.as_ref().map_or(1.0, |w| f64::from(w[class]))
    }
}

/// Loss, stats, gradient for an upstream gradient of 1.
pub type Expected = (f64, [f64; 4], Vec<f64>);

/// Puts samples together: of each its loss, its weight before the sample's own, whether its class was found, and its
/// gradient.
pub fn mean(samples: impl Iterator<Item = (f64, f64, bool, Vec<f64>)>, truth: &Truth) -> Expected {
    let (mut stats, mut gradients) = ([0.0; 4], vec![]);
    for ((loss, class_weight, found, gradient), &weight) in samples.zip(&truth.weights) {
        let weight = f64::from(weight);
        let counts = weight > 0.0;
        if counts {
            let hit = if found { weight } else { 0.0 };
            for (sum, value) in stats.iter_mut().zip([weight * loss, weight * class_weight, hit, 1.0]) {
                *sum += value;
            }
        }
        gradients.extend(gradient.iter().map(|g| if counts { weight * g } else { 0.0 }));
    }
    let share = if stats[1] > 0.0 { 1.0 / stats[1] } else { 0.0 };
    gradients.iter_mut().for_each(|g| *g *= share);
    (stats[0] * share, stats, gradients)
}

fn expected(logits: &Array, truth: &Truth) -> Expected {
    let classes = logits.shape.c;
    let smoothing = f64::from(truth.smoothing);
    let samples = logits.data.chunks(classes).zip(&truth.labels).map(|(z, &label)| {
        let label = label as usize;
        let largest = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_sum = z.iter().map(|v| (v - largest).exp()).sum::<f64>().ln();
        let log_p: Vec<f64> = z.iter().map(|v| v - largest - log_sum).collect();
        // The weight of each class's -log p in this sample's loss.
        let part = |c: usize| {
            let hit = if c == label { 1.0 - smoothing } else { 0.0 };
            truth.class_weight(c) * (hit + smoothing / classes as f64)
        };
        let loss = (0..classes).map(|c| -part(c) * log_p[c]).sum();
        let all: f64 = (0..classes).map(part).sum();
        let gradient = (0..classes).map(|c| log_p[c].exp() * all - part(c)).collect();
        let found = z.iter().position(|&v| v == largest) == Some(label);
        (loss, truth.class_weight(label), found, gradient)
    });
    mean(samples, truth)
}

fn recorded(tape: &mut Tape, logits: Tensor, truth: &Truth) -> Result<Loss> {
    let targets = truth.targets(tape);
    softmax_cross_entropy(tape, logits, &targets, truth.class_weights.as_deref(), truth.smoothing)
}

type Record = fn(&mut Tape, Tensor, &Truth) -> Result<Loss>;
type Reference = fn(&Array, &Truth) -> Expected;

/// A row on random logits.
pub fn random_row(
    op: &'static str,
    name: &str,
    shape: Shape,
    truth: Truth,
    record: Record,
    expected: Reference,
) -> Row {
    let [recorded, forward, backward] = [truth.clone(), truth.clone(), truth];
    Row::new(
        op,
        name,
        vec![Input::map(shape)],
        move |tape, x| {
            let Loss { loss, stats } = record(tape, x[0], &recorded)?;
            Ok(vec![loss, stats])
        },
        move |x| {
            let (loss, stats, _) = expected(&x[0], &forward);
            let stats = Array { shape: Shape::vector(4), data: stats.to_vec() };
            vec![Array { shape: Shape::vector(1), data: vec![loss] }, stats]
        },
    )
    .backward(move |x, dy| {
        let (_, _, gradient) = expected(&x[0], &backward);
        vec![Array { shape: x[0].shape, data: gradient }.map(|g| g * dy.data[0])]
    })
}

/// A row on given logits, which may be large, and given results.
pub fn given_row(op: &'static str, name: &str, logits: Array, truth: Truth, record: Record, results: Expected) -> Row {
    Row::custom(op, name, move |runner: &Runner| {
        const UPSTREAM: f32 = -1.5;
        let mut tape = Tape::new();
        let x = tape.input(logits.shape);
        tape.require_grad(x);
        let Loss { loss, stats } = record(&mut tape, x, &truth)?;
        let upstream = tape.constant(Shape::vector(1), vec![UPSTREAM.to_bits()]);
        tape.backward(&[(loss, upstream)])?;
        let gradient = tape.grad(x)?.unwrap_or(x);
        [loss, stats, gradient].iter().for_each(|&kept| tape.keep(kept));
        let store = ParameterStore::new(runner.gpu(), tape.spec(), false)?;
        let mut plan = runner.plan(&tape, &store)?;
        plan.write(x, &logits.to_f32())?;
        plan.poison();
        let out = plan.run()?;
        let compared = |what: &str, tensor: Tensor, reference: &[f64]| -> Result<Checked> {
            Ok(Checked::norm(what, &out.get(tensor)?, reference))
        };
        let expected: Vec<f64> = results.2.iter().map(|g| g * f64::from(UPSTREAM)).collect();
        Ok(vec![
            compared("loss", loss, &[results.0])?,
            compared("stats", stats, &results.1)?,
            compared("gradient", gradient, &expected)?,
        ])
    })
}

/// `torch.nn.functional.cross_entropy` in f64 (PyTorch 2) on three samples of four classes: loss, gradient of the logits.
fn pytorch() -> Vec<Row> {
    let logits = vec![0.5, -1.25, 2.0, 0.0, 1.5, 1.0, -0.5, 3.0, -2.0, 0.25, 0.75, -1.0];
    let logits = Array { shape: Shape::matrix(3, 4), data: logits };
    #[rustfmt::skip]
    let results = [
        ("PyTorch", false, 0.0, 1.0916343613648956, [
            0.05323118334, 0.009250192644, -0.09476772074, 0.03228634475, -0.2797733772, 0.03248575551,
            0.00724855183, 0.2400390699, 0.01155455588, -0.2237067594, 0.1807436642, 0.03140853929]),
        ("PyTorch, class weights", true, 0.0, 0.9922273205848926, [
            0.04562672858, 0.007928736552, -0.08122947492, 0.02767400979, -0.119902876, 0.01392246665,
            0.003106522213, 0.1028738871, 0.01980781008, -0.3834973019, 0.3098462816, 0.05384321021]),
        ("PyTorch, smoothing", false, 0.1, 1.181217694698229, [
            0.04489785001, 0.0009168593109, -0.06976772074, 0.02395301142, -0.2547733772, 0.02415242218,
            -0.001084781504, 0.2317057366, 0.003221222549, -0.1987067594, 0.1724103309, 0.02307520596]),
        ("PyTorch, class weights and smoothing", true, 0.1, 1.0615287782789395, [
            0.04177013296, -0.006406532337, -0.06107893356, 0.02571533294, -0.1071800919, 0.0008549681935,
            -0.003764514237, 0.1100896379, 0.0151840916, -0.3506240077, 0.2862428407, 0.04919707538]),
    ];
    let row = |(name, weighted, smoothing, loss, gradient): (&str, bool, f32, f64, [f64; 12])| {
        let class_weights = weighted.then(|| vec![0.5, 2.0, 1.0, 0.25]);
        let truth = Truth { labels: vec![2, 0, 1], weights: vec![1.0; 3], class_weights, smoothing };
        let weight = if weighted { 3.5 } else { 3.0 };
        let results = (loss, [loss * weight, weight, 1.0, 3.0], gradient.to_vec());
        given_row("softmax_cross_entropy", name, logits.clone(), truth, recorded, results)
    };
    results.into_iter().map(row).collect()
}

pub fn rows() -> Vec<Row> {
    let row = |name: &str, n: usize, c: usize, truth: Truth| {
        random_row("softmax_cross_entropy", name, Shape::matrix(n, c), truth, recorded, expected)
    };
    let given = |name: &str, logits: Array, truth: Truth| {
        let results = expected(&logits, &truth);
        given_row("softmax_cross_entropy", name, logits, truth, recorded, results)
    };
    let large = |n: usize, c: usize| Array::random(Shape::matrix(n, c), 5).map(|v| f64::from((1e4 * v) as f32));
    // Rows of weight 0 hold what would overflow.
    let mut hostile = Array::random(Shape::matrix(6, 5), 6);
    for (i, v) in hostile.data.iter_mut().enumerate().filter(|(i, _)| i / 5 % 2 == 1) {
        *v = if i % 2 == 0 { f64::from(f32::MAX) } else { f64::from(f32::MIN) };
    }
    let ties = Array::from_fn(Shape::matrix(8, 3), |n, _, _, c| if (n >> c) & 1 == 1 { 1.0 } else { -1.0 });
    let plain = Truth::plain;
    let mut rows = vec![
        row("15 classes", 8, 15, plain(8, 15)),
        row("odd sizes", 7, 131, plain(7, 131)),
        row("one sample", 1, 10, plain(1, 10)),
        row("one class", 5, 1, plain(5, 1)),
        row("one class, smoothed", 5, 1, plain(5, 1).smoothed(0.1)),
        row("two classes, many samples", 300, 2, plain(300, 2)),
        row("class weights", 9, 12, plain(9, 12).class_weighted(12)),
        row("smoothing", 9, 12, plain(9, 12).smoothed(0.1)),
        row("smoothing 1, class weights", 6, 7, plain(6, 7).class_weighted(7).smoothed(1.0)),
        row("sample weights, some 0", 11, 6, plain(11, 6).weighted(|i| 0.5 * (i % 3) as f32)),
        row("all weights", 70, 65, plain(70, 65).class_weighted(65).smoothed(0.2).weighted(|i| (i % 4) as f32)),
        row("no sample counts", 4, 6, plain(4, 6).smoothed(0.1).weighted(|_| 0.0)),
        row("1000 classes", 12, 1000, plain(12, 1000)),
        given("logits of 1e4", large(9, 20), plain(9, 20)),
        given("logits of 1e4, smoothed", large(9, 20), plain(9, 20).class_weighted(20).smoothed(0.1)),
        given("hostile logits of weight 0", hostile, plain(6, 5).weighted(|i| ((i + 1) % 2) as f32)),
        given("ties go to the lowest class", ties, plain(8, 3)),
        row("64 samples of 1000 classes", 64, 1000, plain(64, 1000)).bench(),
    ];
    rows.extend(pytorch());
    rows
}
