//! What was taken for what. A matrix takes memory with the square of the classes, so for many only the cells that are not 0 are kept.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::{Answer, Metrics};

/// Up to so many classes all is written: the confusion matrix, and each class's probability for each cover.
pub const WHOLE: usize = 100;

/// A wrong answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confused {
    /// The true class.
    pub label: String,
    /// The class that was answered.
    pub predicted: String,
    /// How many covers of `label` were answered so.
    pub count: u64,
}

/// A wrong answer by the numbers of its classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mistake {
    /// The true class.
    pub label: usize,
    /// The class that was answered.
    pub predicted: usize,
    /// How many covers of `label` were answered so.
    pub count: u64,
}

/// Rows are true classes, columns predicted ones.
pub(super) fn matrix(answers: &[Answer], classes: usize) -> Vec<Vec<u64>> {
    let mut matrix = vec![vec![0; classes]; classes];
    answers.iter().for_each(|answer| matrix[answer.label][answer.predicted] += 1);
    matrix
}

/// All wrong answers, the most frequent first; no more than there are answers.
pub(super) fn confused(answers: &[Answer], names: &[String]) -> Vec<Confused> {
    let mut counts = BTreeMap::new();
    for answer in answers.iter().filter(|answer| !answer.is_right()) {
        *counts.entry((answer.label, answer.predicted)).or_insert(0_u64) += 1;
    }
    let name = |Mistake { label, predicted, count }| Confused {
        label: names[label].clone(),
        predicted: names[predicted].clone(),
        count,
    };
    let mistakes = counts.into_iter().map(|((label, predicted), count)| Mistake { label, predicted, count });
    sorted(mistakes.collect()).into_iter().map(name).collect()
}

/// The most frequent first, equals in the order of the classes.
fn sorted(mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    mistakes.sort_by_key(|mistake| (std::cmp::Reverse(mistake.count), mistake.label, mistake.predicted));
    mistakes
}

impl Metrics {
    /// All wrong answers, the most frequent first, equals in the order of the classes.
    #[must_use]
    pub fn mistakes(&self) -> Vec<Mistake> {
        let mut found = vec![];
        if let Some(matrix) = &self.confusion {
            for (label, row) in matrix.iter().enumerate() {
                let wrong = row.iter().enumerate().filter(|&(predicted, &count)| predicted != label && count > 0);
                found.extend(wrong.map(|(predicted, &count)| Mistake { label, predicted, count }));
            }
        } else {
            let places: HashMap<&str, usize> =
                self.labels.iter().zip(0..).map(|(name, i)| (name.as_str(), i)).collect();
            let place = |name: &String| places.get(name.as_str()).copied();
            found.extend(self.confused.iter().flatten().filter_map(|confused| {
                let (label, predicted) = (place(&confused.label)?, place(&confused.predicted)?);
                Some(Mistake { label, predicted, count: confused.count })
            }));
        }
        sorted(found)
    }

    /// How many covers of a class were answered right.
    #[must_use]
    pub fn right(&self, class: usize) -> u64 {
        let score = &self.per_class[class];
        // The quotient of two whole numbers, so this is exact.
        (score.recall * score.support as f64).round() as u64
    }
}
