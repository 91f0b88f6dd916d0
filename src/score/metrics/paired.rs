//! Two classifiers on the same covers.

/// McNemar's test (1947) in its exact form: where just one of two classifiers is right, is it more often the first or the second
/// than a fair coin would have it?
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct McNemar {
    /// Covers that only the first one got right.
    pub only_first: u64,
    /// Covers that only the second one got right.
    pub only_second: u64,
    /// Two-sided; 1 where the two never disagree in being right.
    pub p: f64,
}

impl McNemar {
    /// From which covers each of the two got right, in the same order.
    pub fn new(first: &[bool], second: &[bool]) -> Self {
        let only = |a: &[bool], b: &[bool]| a.iter().zip(b).filter(|&(&a, &b)| a && !b).count() as u64;
        let (only_first, only_second) = (only(first, second), only(second, first));
        Self { only_first, only_second, p: sign_test(only_first.min(only_second), only_first + only_second) }
    }
}

/// Two-sided probability that of `n` tosses of a fair coin at most `fewer` fall on the rarer side.
fn sign_test(fewer: u64, n: u64) -> f64 {
    // Binomial terms in logarithms, each from the one before: 2^-n is 0 in f64 from 1075 tosses on.
    let mut term = -(n as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for k in 0..=fewer {
        tail += term.exp();
        term += ((n - k) as f64 / (k + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// Holm's step-down correction (1979) of several p values, in their order: what is below 0.05 afterwards is so with at most 5 %
/// risk of a single false alarm among all.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let (mut corrected, mut largest) = (vec![0.0; p.len()], 0.0_f64);
    for (rank, place) in order.into_iter().enumerate() {
        largest = largest.max((p[place] * (p.len() - rank) as f64).min(1.0));
        corrected[place] = largest;
    }
    corrected
}
