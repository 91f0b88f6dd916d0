//! The answer for one cover, as far as a score needs it: of a row of probabilities, however many classes it has, five numbers.

use super::MIN_PROBABILITY;

/// What a network answered for one cover.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Answer {
    /// The true class.
    pub label: usize,
    /// The most probable class, the first of equals.
    pub predicted: usize,
    /// The probability of [`Self::predicted`].
    pub confidence: f32,
    /// The probability of the true class.
    pub truth: f32,
    /// The probability of class 1: with two classes the ROC curve is made of it.
    pub second: f32,
}

impl Answer {
    /// From the true class and one probability for each class.
    ///
    /// # Errors
    /// The reason, if there is no such class or these are no probabilities (NaN, outside 0 to 1, a sum that is not 1).
    pub fn new(label: usize, row: &[f32]) -> Result<Self, String> {
        let truth = *row.get(label).ok_or_else(|| format!("class number {label} of {} classes", row.len()))?;
        if row.iter().any(|p| !p.is_finite()) {
            return Err("the network's answer is not a number".to_owned());
        }
        if let Some(p) = row.iter().find(|&&p| !is_probability(p)) {
            return Err(format!("{p} is no probability"));
        }
        // In f64: the rounding of 100,000 small numbers in f32 would look like a wrong sum.
        let sum: f64 = row.iter().copied().map(f64::from).sum();
        if (sum - 1.0).abs() > 1e-3 {
            return Err(format!("the probabilities add up to {sum:.4}, not to 1"));
        }
        let predicted = predicted(row);
        Ok(Self { label, predicted, confidence: row[predicted], truth, second: row.get(1).copied().unwrap_or(0.0) })
    }

    /// Whether the most probable class is the true one.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.predicted == self.label
    }

    /// Negative log-likelihood of the true class, in nats.
    pub(super) fn loss(&self) -> f64 {
        -f64::from(self.truth).max(MIN_PROBABILITY).ln()
    }
}

/// Whether a number is between 0 and 1, but for rounding.
#[must_use]
pub fn is_probability(p: f32) -> bool {
    (-1e-4..=1.0001).contains(&p)
}

/// The predicted class of one cover: the most probable, the first of equals.
#[must_use]
pub fn predicted(probabilities: &[f32]) -> usize {
    (1..probabilities.len()).fold(0, |best, i| if probabilities[i] > probabilities[best] { i } else { best })
}

/// What is counted of one class over a set of answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    /// Covers that are so and are called so.
    pub right: u64,
    /// Covers that are so.
    pub support: u64,
    /// Covers that are called so.
    pub called: u64,
}

impl Tally {
    pub fn precision(self) -> f64 {
        self.share(self.called as f64)
    }

    pub fn recall(self) -> f64 {
        self.share(self.support as f64)
    }

    pub fn f1(self) -> f64 {
        self.share((self.support + self.called) as f64 / 2.0)
    }

    fn share(self, of: f64) -> f64 {
        if of > 0.0 { self.right as f64 / of } else { 0.0 }
    }
}
