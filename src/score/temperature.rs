//! How sure a network may be: one number by which logits are divided, so that what is said with 70 % is right in 70 of 100 cases (Guo
//! and others, "On Calibration of Modern Neural Networks", 2017). It changes no answer, only how probable it is called.

use super::predictions::Predictions;

/// Between a seventh and seven: what lies outside is chance.
const RANGE: f64 = 2.0;

/// How far the temperature's logarithm strays from 0 where the covers say nothing: a few covers that are all right must not make a
/// network certain.
const SPREAD: f64 = 0.5;

/// Halvings of the range, to about six digits.
const HALVINGS: u32 = 24;

/// The temperature at which these answers, given at temperature 1, say most of the labels; 1 if there are none, or if there are so many
/// classes that not all probabilities are known.
pub fn temperature(answers: &Predictions) -> f64 {
    let classes = answers.labels.len();
    let mut rows = Vec::with_capacity(answers.covers.len());
    for cover in &answers.covers {
        let row = cover.probabilities();
        if row.len() < classes {
            return 1.0;
        }
        // Logits but for a constant, which falls out. What was rounded to 0 is as improbable as a number can be.
        let logs: Vec<f64> = row.iter().map(|&(_, p)| f64::from(p.max(f32::MIN_POSITIVE)).ln()).collect();
        rows.push((cover.answer.label, logs));
    }
    if rows.is_empty() {
        return 1.0;
    }
    let (mut cold, mut warm) = (-RANGE, RANGE);
    for _ in 0..HALVINGS {
        let middle = f64::midpoint(cold, warm);
        // It falls towards the best temperature.
        if slope(&rows, middle) < 0.0 { cold = middle } else { warm = middle }
    }
    f64::midpoint(cold, warm).exp()
}

/// The derivative, by the temperature's logarithm, of the negative log-likelihood of all labels and of the temperature's own (a normal
/// distribution of [`SPREAD`]).
fn slope(rows: &[(usize, Vec<f64>)], log_temperature: f64) -> f64 {
    let inverse = (-log_temperature).exp();
    let of_labels: f64 = rows
        .iter()
        .map(|(label, logits)| {
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let powers = logits.iter().map(|logit| (inverse * (logit - largest)).exp());
            let (sum, mean) =
                powers.zip(logits).fold((0.0, 0.0), |(sum, mean), (p, logit)| (sum + p, mean + p * logit));
            inverse * (logits[*label] - mean / sum)
        })
        .sum();
    of_labels + log_temperature / (SPREAD * SPREAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::predictions::Answered;

    fn answers(rows: &[(usize, Vec<f32>)], classes: usize) -> Predictions {
        let covers = rows.iter().map(|(label, row)| Answered::new("a".into(), String::new(), *label, row).unwrap());
        Predictions { labels: (0..classes).map(|i| i.to_string()).collect(), covers: covers.collect() }
    }

    /// `right` of `of` covers are answered rightly, each with probability `p`.
    fn said(right: usize, of: usize, p: f32) -> Predictions {
        let rows: Vec<_> = (0..of).map(|i| (usize::from(i >= right), vec![p, 1.0 - p])).collect();
        answers(&rows, 2)
    }

    #[test]
    fn what_is_said_after_it_is_as_often_right() {
        for (right, p) in [(700, 0.95), (700, 0.6), (900, 0.9)] {
            let t = temperature(&said(right, 1000, p));
            let logit = f64::from(p / (1.0 - p)).ln() / t;
            let after = 1.0 / (1.0 + (-logit).exp());
            assert!((after - right as f64 / 1000.0).abs() < 0.01, "{p} becomes {after} at {t}");
        }
    }

    #[test]
    fn few_covers_say_little_and_none_say_nothing() {
        let few = temperature(&said(5, 5, 0.9));
        let many = temperature(&said(500, 500, 0.9));
        assert!(many < few && (0.7..1.0).contains(&few), "{many} {few}");
        assert!(temperature(&said(0, 500, 0.999)) < RANGE.exp() + 1e-3);
        assert_eq!(temperature(&said(0, 0, 0.5)), 1.0);
        // A probability that was rounded to 0.
        assert!(temperature(&said(99, 100, 1.0)).is_finite());
    }

    #[test]
    fn of_more_classes_than_are_kept_nothing_can_be_told() {
        let mut row = vec![0.0; 150];
        (row[3], row[4]) = (0.75, 0.25);
        assert_eq!(temperature(&answers(&[(4, row)], 150)), 1.0);
    }

    #[test]
    fn the_slope_is_that_of_the_likelihood() {
        let rows = [(0, vec![0.3, -1.0, 2.0]), (2, vec![0.1, 0.2, 0.9]), (1, vec![-3.0, -0.5, -1.0])];
        let loss = |log_temperature: f64| -> f64 {
            let inverse = (-log_temperature).exp();
            let each = rows.iter().map(|(label, row)| {
                let sum: f64 = row.iter().map(|logit| (inverse * logit).exp()).sum();
                sum.ln() - inverse * row[*label]
            });
            each.sum::<f64>() + log_temperature.powi(2) / (2.0 * SPREAD * SPREAD)
        };
        for at in [-1.0, 0.0, 0.4] {
            let expected = (loss(at + 1e-5) - loss(at - 1e-5)) / 2e-5;
            assert!((slope(&rows, at) - expected).abs() < 1e-6 * expected.abs().max(1.0), "{at}");
        }
    }
}
