//! The honest score of a classifier: never a number without its interval and its baselines.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

mod answer;
mod bootstrap;
mod calibration;
mod confusion;
mod paired;
mod text;
mod threshold;

#[cfg(test)]
mod many;
#[cfg(test)]
mod tests;

pub use answer::{Answer, is_probability, predicted};
pub use bootstrap::{Intervals, accuracy_of_groups};
pub use calibration::Calibration;
pub use confusion::{Confused, Mistake, WHOLE};
pub use paired::{McNemar, holm};
pub use text::Verdict;
pub use threshold::{Curves, Point};

use answer::Tally;

/// The standard normal's 97.5 % point.
const Z95: f64 = 1.959_963_984_540_054;
/// Probabilities are not taken below this when their logarithm is: a saturated f32 gives 0, and JSON has no infinity.
const MIN_PROBABILITY: f64 = 1e-12;

/// What a classifier reached on a set of covers, beside what guessing reaches.
///
/// The field names are the keys of `gatefold eval --json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Metrics {
    /// How many covers were scored.
    pub n: usize,
    /// Class names, in the order of every table here.
    pub labels: Vec<String>,
    /// The share of covers whose most probable class is the true one.
    pub accuracy: f64,
    /// Wilson's 95 % interval of the accuracy.
    pub accuracy_ci: [f64; 2],
    /// Mean recall over the classes that occur.
    pub balanced_accuracy: f64,
    /// Mean F1 over the classes that occur.
    pub macro_f1: f64,
    /// The accuracy, on these covers, of always answering [`Self::majority_label`].
    pub majority: f64,
    /// The most frequent class of the training set (the first of equals).
    pub majority_label: String,
    /// The accuracy expected of guessing evenly: one over the number of classes.
    pub chance: f64,
    /// The accuracy expected of guessing each class as often as the training set has it. 0 in files of older versions.
    #[serde(default)]
    pub stratified: f64,
    /// Counts: rows are true classes, columns predicted ones. Of at most [`WHOLE`] classes; of more it would take memory with
    /// their square, and [`Self::confused`] is there instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Vec<Vec<u64>>>,
    /// Of more than [`WHOLE`] classes: all wrong answers, the most frequent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confused: Option<Vec<Confused>>,
    /// Two classes: the probability that a cover of class 1 scores above one of class 0, ties counting half.
    /// `None` when one of the two does not occur, and for more classes.
    pub roc_auc: Option<f64>,
    /// One entry for each label.
    pub per_class: Vec<ClassScore>,
    /// Mean negative log-likelihood of the true class, in nats; probabilities below 1e-12 count as 1e-12.
    pub loss: f64,
}

/// How well one class is found. Where a quotient is 0/0, it is 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassScore {
    /// The class's name.
    pub label: String,
    /// Of the covers called so, the share that is so; 0 when none is called so.
    pub precision: f64,
    /// Of the covers that are so, the share called so; 0 when none is so.
    pub recall: f64,
    /// The harmonic mean of precision and recall; 0 when both are 0.
    pub f1: f64,
    /// How many covers are so.
    pub support: u64,
}

impl Metrics {
    /// Scores `probabilities` against the true `labels`.
    ///
    /// `probabilities` holds one row of `names.len()` values for each cover, or, for two classes, just one value:
    /// the probability of class 1. `training_counts` is how many covers of each class the *training* set has;
    /// the majority class is taken from there, since that is all that a guesser knows.
    ///
    /// # Errors
    /// [`Error::Input`] when there is nothing to score or a label has no name; [`Error::Run`] when lengths disagree
    /// or a probability is none (NaN, outside 0 to 1, a row that does not add up to 1).
    pub fn new(labels: &[usize], probabilities: &[f32], names: &[String], training_counts: &[u64]) -> Result<Self> {
        let (n, classes, got) = (labels.len(), names.len(), probabilities.len());
        let answer = |(i, (&label, row)): (usize, (&usize, &[f32]))| {
            // Two classes may come as one number.
            let answer = match *row {
                [p] if classes == 2 => Answer::new(label, &[1.0 - p, p]),
                _ => Answer::new(label, row),
            };
            answer.map_err(|why| Error::run(format!("cover number {i}: {why}")))
        };
        if let Some(label) = labels.iter().find(|&&label| label >= classes) {
            return Err(no_class(*label, classes));
        }
        let width = if classes == 2 && got == n { 1 } else { classes };
        if got != n * width {
            return Err(Error::run(format!("{got} probabilities were given for {n} covers of {classes} classes")));
        }
        let rows = labels.iter().zip(probabilities.chunks_exact(width.max(1)));
        let answers: Result<Vec<Answer>> = rows.enumerate().map(answer).collect();
        Self::of(&answers?, names, training_counts)
    }

    /// Scores answers, as [`Self::new`] does. Memory grows with the covers and with the classes, not with their product.
    ///
    /// # Errors
    /// [`Error::Input`] when there is nothing to score or a class has no name; [`Error::Run`] when the counts are not of these
    /// classes or all 0.
    pub fn of(answers: &[Answer], names: &[String], training_counts: &[u64]) -> Result<Self> {
        check(answers, names, training_counts)?;
        let (n, classes) = (answers.len(), names.len());
        let mut tallies = vec![Tally::default(); classes];
        let mut loss = 0.0;
        for answer in answers {
            tallies[answer.label].support += 1;
            tallies[answer.label].right += u64::from(answer.is_right());
            tallies[answer.predicted].called += 1;
            loss += answer.loss();
        }

        let per_class: Vec<_> = tallies.iter().zip(names).map(|(&tally, name)| class_score(tally, name)).collect();
        let occurring = || per_class.iter().filter(|s| s.support > 0);
        let right: u64 = tallies.iter().map(|tally| tally.right).sum();
        let majority = (1..classes).fold(0, |m, c| if training_counts[c] > training_counts[m] { c } else { m });
        let trained = training_counts.iter().sum::<u64>() as f64;
        let drawn = per_class.iter().zip(training_counts).map(|(s, &count)| s.support as f64 * count as f64 / trained);
        let stratified = drawn.sum::<f64>() / n as f64;
        let roc_auc = if classes == 2 {
            let (labels, scores): (Vec<usize>, Vec<f32>) = answers.iter().map(|a| (a.label, a.second)).unzip();
            roc_auc(&labels, &scores)
        } else {
            None
        };

        Ok(Self {
            n,
            labels: names.to_vec(),
            accuracy: right as f64 / n as f64,
            accuracy_ci: wilson(right, n as u64),
            balanced_accuracy: mean(occurring().map(|s| s.recall)),
            macro_f1: mean(occurring().map(|s| s.f1)),
            majority: per_class[majority].support as f64 / n as f64,
            majority_label: names[majority].clone(),
            chance: 1.0 / classes as f64,
            stratified,
            roc_auc,
            loss: loss / n as f64,
            confusion: (classes <= WHOLE).then(|| confusion::matrix(answers, classes)),
            confused: (classes > WHOLE).then(|| confusion::confused(answers, names)),
            per_class,
        })
    }
}

impl Metrics {
    /// How many classes have covers here.
    #[must_use]
    pub fn occurring(&self) -> usize {
        self.per_class.iter().filter(|class| class.support > 0).count()
    }
}

/// Wilson's 95 % interval for `hits` of `n`; all of 0 to 1 when `n` is 0.
#[must_use]
pub fn wilson(hits: u64, n: u64) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    let (k, m, z2) = (hits as f64, n as f64, Z95 * Z95);
    let p = k / m;
    let centre = p + z2 / (2.0 * m);
    let half = Z95 * (p * (1.0 - p) / m + z2 / (4.0 * m * m)).sqrt();
    let scale = 1.0 + z2 / m;
    let low = if hits == 0 { 0.0 } else { ((centre - half) / scale).max(0.0) };
    let high = if hits == n { 1.0 } else { ((centre + half) / scale).min(1.0) };
    [low, high]
}

/// Area under the ROC curve by Mann and Whitney's ranks, ties counting half; `labels` are 0 or 1.
/// `None` when one of the two does not occur.
#[must_use]
pub fn roc_auc(labels: &[usize], scores: &[f32]) -> Option<f64> {
    let mut order: Vec<(f32, bool)> = labels.iter().zip(scores).map(|(&l, &s)| (s, l == 1)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut wins, mut below) = (0.0, 0_usize);
    for group in order.chunk_by(|a, b| a.0 == b.0) {
        let ones = group.iter().filter(|(_, one)| *one).count();
        let zeros = group.len() - ones;
        wins += ones as f64 * (below as f64 + 0.5 * zeros as f64);
        below += zeros;
    }
    let ones = order.len() - below;
    (ones > 0 && below > 0).then(|| wins / (ones as f64 * below as f64))
}

/// Checks what [`Metrics::of`] was given.
fn check(answers: &[Answer], names: &[String], counts: &[u64]) -> Result<()> {
    let classes = names.len();
    if answers.is_empty() {
        return Err(Error::input("there are no covers to score: the set is empty"));
    }
    if classes < 2 {
        return Err(Error::input(format!("{classes} class cannot be scored: at least two are needed")));
    }
    if let Some(class) = answers.iter().map(|a| a.label.max(a.predicted)).find(|&class| class >= classes) {
        return Err(no_class(class, classes));
    }
    if counts.len() != classes {
        return Err(Error::run(format!("{} training counts were given for {classes} classes", counts.len())));
    }
    if counts.iter().all(|&c| c == 0) {
        return Err(Error::run("the training counts are all 0: there is no majority class"));
    }
    Ok(())
}

fn no_class(class: usize, classes: usize) -> Error {
    Error::input(format!("a cover has class number {class}, but there are only {classes} classes"))
}

fn class_score(tally: Tally, label: &str) -> ClassScore {
    ClassScore {
        label: label.to_owned(),
        precision: tally.precision(),
        recall: tally.recall(),
        f1: tally.f1(),
        support: tally.support,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = values.fold((0.0, 0_u32), |(sum, n), v| (sum + v, n + 1));
    if n == 0 { 0.0 } else { sum / f64::from(n) }
}
