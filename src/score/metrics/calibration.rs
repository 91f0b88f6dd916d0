//! Whether probabilities can be taken at their word.

use super::Answer;

/// Bins of the reliability diagram.
pub const BINS: usize = 10;

/// The covers whose most probable class has a probability within one tenth.
#[derive(Clone, Debug, PartialEq)]
pub struct Bin {
    /// How many there are.
    pub count: usize,
    /// Their mean probability of the predicted class.
    pub confidence: f64,
    /// The share of them that is right.
    pub accuracy: f64,
    /// How many of them are right.
    pub right: usize,
}

/// A reliability diagram (Niculescu-Mizil and Caruana 2005) and its summary.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// Bin `i` holds probabilities from `i / 10` (not included) to `(i + 1) / 10`.
    pub bins: Vec<Bin>,
    /// The expected calibration error (Naeini and others 2015): the mean over all covers of the distance between their bin's
    /// confidence and its accuracy.
    pub ece: f64,
}

impl Calibration {
    /// The number of the bin that holds a probability.
    #[must_use]
    pub fn place(confidence: f32) -> usize {
        // In f32: there 0.6 is 6 tenths, in f64 it is a little more.
        ((confidence * BINS as f32).ceil() as usize).clamp(1, BINS) - 1
    }

    /// From the answers for covers.
    pub fn new(answers: &[Answer]) -> Self {
        let mut sums = vec![(0_usize, 0.0_f64, 0_usize); BINS];
        for answer in answers {
            let (count, sum, right) = &mut sums[Self::place(answer.confidence)];
            (*count, *sum, *right) =
                (*count + 1, *sum + f64::from(answer.confidence), *right + usize::from(answer.is_right()));
        }
        let bins: Vec<Bin> = sums
            .into_iter()
            .map(|(count, sum, right)| {
                let n = count.max(1) as f64;
                Bin { count, confidence: sum / n, accuracy: right as f64 / n, right }
            })
            .collect();
        let gaps = bins.iter().map(|bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs());
        Self { ece: gaps.sum::<f64>() / answers.len().max(1) as f64, bins }
    }
}
