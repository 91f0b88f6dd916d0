//! Intervals of scores that have no formula for one: covers are drawn again, with replacement.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::answer::{Answer, Tally};
use super::{mean, roc_auc};

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

/// What a draw keeps of a cover. Classes without covers count nowhere, so they have no place.
struct Drawn {
    label: usize,
    predicted: Option<usize>,
    loss: f64,
}

/// The scores of one draw.
struct Draw {
    balanced_accuracy: f64,
    macro_f1: f64,
    loss: f64,
    roc_auc: Option<f64>,
}

impl Intervals {
    /// From answers that [`super::Metrics::of`] has scored. Memory grows with the covers, not with the classes.
    #[must_use]
    pub fn new(answers: &[Answer], classes: usize) -> Self {
        let mut occurring: Vec<usize> = answers.iter().map(|answer| answer.label).collect();
        occurring.sort_unstable();
        occurring.dedup();
        let covers: Vec<Drawn> = answers
            .iter()
            .map(|answer| Drawn {
                label: occurring.partition_point(|&class| class < answer.label),
                predicted: occurring.binary_search(&answer.predicted).ok(),
                loss: answer.loss(),
            })
            .collect();
        let room = || (vec![Tally::default(); occurring.len()], vec![], vec![]);
        let draws: Vec<Draw> = (0..DRAWS)
            .into_par_iter()
            .map_init(room, |(tallies, labels, scores), draw| {
                let mut rng = ChaCha8Rng::seed_from_u64(draw);
                tallies.fill(Tally::default());
                labels.clear();
                scores.clear();
                let mut loss = 0.0;
                for _ in 0..covers.len() {
                    let i = rng.random_range(0..covers.len());
                    let cover = &covers[i];
                    tallies[cover.label].support += 1;
                    tallies[cover.label].right += u64::from(cover.predicted == Some(cover.label));
                    if let Some(predicted) = cover.predicted {
                        tallies[predicted].called += 1;
                    }
                    loss += cover.loss;
                    if classes == 2 {
                        labels.push(answers[i].label);
                        scores.push(answers[i].second);
                    }
                }
                let drawn = || tallies.iter().filter(|tally| tally.support > 0);
                Draw {
                    balanced_accuracy: mean(drawn().map(|tally| tally.recall())),
                    macro_f1: mean(drawn().map(|tally| tally.f1())),
                    loss: loss / covers.len() as f64,
                    roc_auc: roc_auc(labels, scores),
                }
            })
            .collect();
        let interval = |score: fn(&Draw) -> f64| percentiles(draws.iter().map(score).collect());
        let areas: Vec<f64> = draws.iter().filter_map(|draw| draw.roc_auc).collect();
        Self {
            balanced_accuracy: interval(|draw| draw.balanced_accuracy),
            macro_f1: interval(|draw| draw.macro_f1),
            loss: interval(|draw| draw.loss),
            roc_auc: (!areas.is_empty()).then(|| percentiles(areas)),
        }
    }
}

/// The 95 % interval of an accuracy where whole groups of covers are drawn again: covers of one artist are answered right or wrong
/// together, so they say less than as many of others. `groups` has the number of each cover's group. All of 0 to 1 without covers.
#[must_use]
pub fn accuracy_of_groups(right: &[bool], groups: &[usize]) -> [f64; 2] {
    let mut tallies = vec![(0_u64, 0_u64); groups.iter().max().map_or(0, |most| most + 1)];
    for (&right, &group) in right.iter().zip(groups) {
        tallies[group].0 += u64::from(right);
        tallies[group].1 += 1;
    }
    tallies.retain(|&(_, covers)| covers > 0);
    if tallies.is_empty() {
        return [0.0, 1.0];
    }
    let draw = |draw| {
        let mut rng = ChaCha8Rng::seed_from_u64(draw);
        let drawn = (0..tallies.len()).map(|_| tallies[rng.random_range(0..tallies.len())]);
        let (right, covers) = drawn.fold((0, 0), |(right, covers), (r, c)| (right + r, covers + c));
        right as f64 / covers as f64
    };
    percentiles((0..DRAWS).into_par_iter().map(draw).collect())
}

/// The 2.5 and 97.5 % points.
fn percentiles(mut values: Vec<f64>) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    let at = |share: f64| values[((values.len() - 1) as f64 * share).round() as usize];
    [at(0.025), at(0.975)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::metrics::wilson;

    #[test]
    fn an_interval_over_groups_is_that_of_covers_where_each_is_alone_and_wider_where_they_go_together() {
        let right: Vec<bool> = (0..400).map(|i| i % 5 < 2).collect();
        let alone: Vec<usize> = (0..400).collect();
        let (drawn, formula) = (accuracy_of_groups(&right, &alone), wilson(160, 400));
        assert!((drawn[0] - formula[0]).abs() < 0.01 && (drawn[1] - formula[1]).abs() < 0.01, "{drawn:?} {formula:?}");
        // 40 groups of ten that are right or wrong as a whole.
        let groups: Vec<usize> = (0..400).map(|i| i / 10).collect();
        let right: Vec<bool> = groups.iter().map(|group| group % 5 < 2).collect();
        let wide = accuracy_of_groups(&right, &groups);
        let few = wilson(16, 40);
        assert!((wide[0] - few[0]).abs() < 0.03 && (wide[1] - few[1]).abs() < 0.03, "{wide:?} {few:?}");
        assert_eq!(accuracy_of_groups(&[], &[]), [0.0, 1.0]);
    }
}
