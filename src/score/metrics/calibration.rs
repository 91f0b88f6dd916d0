//! Whether probabilities can be taken at their word.

use super::predicted;

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
    /// From true labels and one row of probabilities for each cover.
    pub fn new(labels: &[usize], rows: &[f32], classes: usize) -> Self {
        let mut sums = vec![(0_usize, 0.0_f64, 0_usize); BINS];
        for (&label, row) in labels.iter().zip(rows.chunks_exact(classes)) {
            let best = predicted(row);
            let confidence = f64::from(row[best]);
            // In f32: there 0.6 is 6 tenths, in f64 it is a little more.
            let bin = ((row[best] * BINS as f32).ceil() as usize).clamp(1, BINS) - 1;
            let (count, sum, right) = &mut sums[bin];
            (*count, *sum, *right) = (*count + 1, *sum + confidence, *right + usize::from(best == label));
        }
        let bins: Vec<Bin> = sums
            .into_iter()
            .map(|(count, sum, right)| {
                let n = count.max(1) as f64;
                Bin { count, confidence: sum / n, accuracy: right as f64 / n }
            })
            .collect();
        let gaps = bins.iter().map(|bin| bin.count as f64 * (bin.accuracy - bin.confidence).abs());
        Self { ece: gaps.sum::<f64>() / labels.len().max(1) as f64, bins }
    }
}
