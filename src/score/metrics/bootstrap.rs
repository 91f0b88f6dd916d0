//! Intervals of scores that have no formula for one: covers are drawn again, with replacement.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::Metrics;
use crate::Result;

/// Times that the covers are drawn.
const DRAWS: u64 = 1000;

/// 95 % intervals from the percentiles of a bootstrap (Efron 1979). The same covers give the same intervals.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Intervals {
    pub balanced_accuracy: [f64; 2],
    pub macro_f1: [f64; 2],
    pub loss: [f64; 2],
    /// For two classes.
    pub roc_auc: Option<[f64; 2]>,
}

impl Intervals {
    /// From what [`Metrics::new`] takes, with one row of probabilities for each cover.
    ///
    /// # Errors
    /// As [`Metrics::new`].
    pub fn new(labels: &[usize], rows: &[f32], names: &[String], training_counts: &[u64]) -> Result<Self> {
        let (n, classes) = (labels.len(), names.len());
        let draws: Result<Vec<Metrics>> = (0..DRAWS)
            .into_par_iter()
            .map(|draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(draw);
                let (mut drawn, mut drawn_rows) = (Vec::with_capacity(n), Vec::with_capacity(n * classes));
                for _ in 0..n {
                    let i = rng.random_range(0..n);
                    drawn.push(labels[i]);
                    drawn_rows.extend_from_slice(&rows[i * classes..(i + 1) * classes]);
                }
                Metrics::new(&drawn, &drawn_rows, names, training_counts)
            })
            .collect();
        let draws = draws?;
        let interval = |score: fn(&Metrics) -> f64| percentiles(draws.iter().map(score).collect());
        let areas: Vec<f64> = draws.iter().filter_map(|m| m.roc_auc).collect();
        Ok(Self {
            balanced_accuracy: interval(|m| m.balanced_accuracy),
            macro_f1: interval(|m| m.macro_f1),
            loss: interval(|m| m.loss),
            roc_auc: (!areas.is_empty()).then(|| percentiles(areas)),
        })
    }
}

/// The 2.5 and 97.5 % points.
fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}
