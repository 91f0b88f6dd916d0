//! Can these networks tell a wrong label at all? Each cover is given a wrong label too, drawn at random, and it is counted how often a
//! drawn label looks more wrong than a given one of the same class. The order of suspicion in which that is so most often is taken.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::confident::Opinion;
use super::order::{Measure, Order};
use crate::audit::auc::{Ranked, drawn_again, interval};
use crate::train::folds::Score;

/// A drawn label must look more wrong than a given one this often, by the lower end of the interval, before anything is called a
/// suspect; 0.5 is guessing.
const LEAST: f64 = 0.65;
/// How often the interval draws groups anew.
const DRAWS: u64 = 1000;

/// How well wrong labels can be told from those that were given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trust {
    /// Whether they can be told.
    pub can_tell: bool,
    /// The order in which they are told best.
    pub order: Order,
    /// How often a wrong label that was drawn at random looks more wrong than a label of the same class that was given: the mean area
    /// under the ROC curve, 0.5 for guessing. Classes count as often as they were given. Labels that were given wrong lower it.
    pub area: f64,
    /// Its 95 % interval, with whole groups drawn again.
    pub interval: [f64; 2],
    /// What to know, in a sentence.
    pub verdict: String,
}

/// Given and drawn labels of one class.
struct OfClass {
    ranked: Ranked,
    /// Covers with this label, those that were drawn behind those that have it.
    covers: Vec<usize>,
    given: usize,
}

impl OfClass {
    /// The area where each cover counts so many times.
    fn area(&self, times: impl Fn(usize) -> u32) -> Option<f64> {
        let counted = |(place, &cover): (usize, &usize)| (place >= self.given, times(cover));
        self.ranked.auc(self.covers.iter().enumerate().map(counted))
    }
}

/// The mean over classes that have both, by their given covers; 0.5 if none has.
fn mean(classes: &[OfClass], times: impl Fn(usize) -> u32) -> f64 {
    let areas = classes.iter().filter_map(|class| Some((class.area(&times)?, class.given as f64)));
    let (sum, weight) = areas.fold((0.0, 0.0), |(sum, weight), (area, w)| (sum + area * w, weight + w));
    if weight > 0.0 { sum / weight } else { 0.5 }
}

impl Trust {
    /// From what is believed of each cover if neighbours count so much; `groups` has the covers' groups. The same seed draws the same
    /// labels.
    pub fn new(
        score: &Score,
        believed: &dyn Fn(f32) -> Vec<Opinion>,
        groups: &[usize],
        classes: usize,
        seed: u64,
    ) -> Self {
        let of_order = |order: Order| drawn(order, &believed(order.vote), classes, seed);
        let all = Order::all().map(|order| (order, mean(&of_order(order), |_| 1)));
        // The first of equals.
        let best = all.reduce(|best, other| if other.1 > best.1 { other } else { best });
        let order = best.map_or(Order { measure: Measure::SelfConfidence, vote: 0.0 }, |(order, _)| order);
        let (area, interval) = measured(&of_order(order), groups, seed);
        let can_tell = interval[0] >= LEAST;
        let Score { all, accuracy_ci: [low, high], .. } = score;
        let reached = format!(
            "the networks agree with {:.1} % of the labels (95 % interval {:.1} to {:.1}), and always naming the largest class would \
             with {:.1} %",
            100.0 * all.accuracy,
            100.0 * low,
            100.0 * high,
            100.0 * all.majority
        );
        let [low, high] = interval.map(|end| 100.0 * end);
        let drawn = format!(
            "a wrong label drawn at random looks more wrong than a given one in {:.0} of 100 cases ({low:.0} to {high:.0}), where \
             guessing has 50",
            100.0 * area
        );
        let verdict = if can_tell {
            format!("{reached}; {drawn}")
        } else {
            format!("{reached}; {drawn}, and {:.0} would be the least to go by", 100.0 * LEAST)
        };
        Self { can_tell, order, area, interval, verdict }
    }
}

/// Given and drawn labels of each class, by their suspicion.
fn drawn(order: Order, beliefs: &[Opinion], classes: usize, seed: u64) -> Vec<OfClass> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut given: Vec<Vec<usize>> = vec![Vec::new(); classes];
    let mut drawn = given.clone();
    for (i, belief) in beliefs.iter().enumerate() {
        given[belief.label].push(i);
        let other = dice.random_range(0..classes - 1);
        drawn[other + usize::from(other >= belief.label)].push(i);
    }
    let of_class = |(class, (given, drawn)): (usize, (Vec<usize>, Vec<usize>))| {
        let count = given.len();
        let covers = [given, drawn].concat();
        let scores: Vec<f64> = covers.iter().map(|&i| order.suspicion(&beliefs[i], class)).collect();
        OfClass { ranked: Ranked::new(&scores), covers, given: count }
    };
    given.into_iter().zip(drawn).enumerate().map(of_class).collect()
}

/// The area and its interval.
fn measured(of_classes: &[OfClass], groups: &[usize], seed: u64) -> (f64, [f64; 2]) {
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let draw = |draw: u64| {
        let times = drawn_again(count, seed, 1 + draw);
        mean(of_classes, |cover| times[groups[cover]])
    };
    let draws: Vec<f64> = (0..DRAWS).into_par_iter().map(draw).collect();
    (mean(of_classes, |_| 1), interval(&draws))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three classes, the first with most covers; `knows` is how far the right class stands out.
    fn beliefs(knows: f32) -> Vec<Opinion> {
        let mut dice = ChaCha8Rng::seed_from_u64(7);
        let one = |i: usize| {
            let label = [0, 0, 0, 0, 1, 2][i % 6];
            // Each favours the largest class, as a network does that knows nothing else.
            let mut p = [0.6, 0.2, 0.2].map(|p: f32| p + dice.random_range(0.0..0.1));
            p[label] += knows;
            let sum: f32 = p.iter().sum();
            Opinion { label, probabilities: p.iter().map(|p| p / sum).enumerate().collect() }
        };
        (0..600).map(one).collect()
    }

    #[test]
    fn networks_that_know_only_which_class_is_largest_cannot_tell() {
        let groups: Vec<usize> = (0..600).collect();
        let measure = |knows: f32, groups: &[usize]| {
            let order = Order { measure: Measure::NormalisedMargin, vote: 0.0 };
            measured(&drawn(order, &beliefs(knows), 3, 1), groups, 1)
        };
        let (area, interval) = measure(0.0, &groups);
        assert!((area - 0.5).abs() < 0.05 && interval[0] < 0.5 && interval[1] > 0.5, "{area} {interval:?}");
        let (area, interval) = measure(0.5, &groups);
        assert!(area > 0.99 && interval[0] > 0.95, "{area} {interval:?}");
        let (some, narrow) = measure(0.03, &groups);
        let together: Vec<usize> = (0..600).map(|i| i / 30).collect();
        let (same, wide) = measure(0.03, &together);
        assert!(some > 0.6 && same == some && wide != narrow, "{some} {narrow:?} {wide:?}");
    }
}
