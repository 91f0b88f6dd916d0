//! The area under the ROC curve, its interval, and Holm's correction.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// The probability that a picture of the class scores above one of the rest, ties counting half (Mann and Whitney). None if one
/// of the two does not occur.
pub fn auc(scores: &[f64], labels: &[bool]) -> Option<f64> {
    Ranked::new(scores).auc(labels.iter().map(|&label| (label, 1)))
}

/// Scores that were sorted once, for many questions about the same ones.
pub struct Ranked {
    /// Numbers of the scores, lowest first.
    order: Vec<u32>,
    /// Whether the score at this place of the order equals the one before.
    tied: Vec<bool>,
}

impl Ranked {
    pub fn new(scores: &[f64]) -> Self {
        let mut order: Vec<u32> = (0..scores.len() as u32).collect();
        order.sort_by(|&a, &b| scores[a as usize].total_cmp(&scores[b as usize]));
        let same = |at: usize| at > 0 && scores[order[at] as usize] == scores[order[at - 1] as usize];
        Self { tied: (0..order.len()).map(same).collect(), order }
    }

    /// The area if picture i is of the class or not, and counts so many times.
    pub fn auc(&self, pictures: impl Iterator<Item = (bool, u32)>) -> Option<f64> {
        let pictures: Vec<(bool, u32)> = pictures.collect();
        // Pairs won, in halves; negatives below; both sides of the ties at hand.
        let (mut halves, mut below, mut positives) = (0_u64, 0_u64, 0_u64);
        let mut tie = [0_u64; 2];
        for (&i, &tied) in self.order.iter().zip(&self.tied) {
            if !tied {
                halves += tie[1] * (2 * below + tie[0]);
                below += tie[0];
                positives += tie[1];
                tie = [0; 2];
            }
            let (label, count) = pictures[i as usize];
            tie[usize::from(label)] += u64::from(count);
        }
        halves += tie[1] * (2 * below + tie[0]);
        below += tie[0];
        positives += tie[1];
        (below > 0 && positives > 0).then(|| halves as f64 / 2.0 / (below as f64 * positives as f64))
    }
}

/// How often the interval draws groups anew.
const DRAWS: u64 = 1000;

/// How often each of `count` groups is drawn if as many are drawn with replacement.
pub fn drawn_again(count: usize, seed: u64, stream: u64) -> Vec<u32> {
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(stream);
    let mut times = vec![0; count];
    (0..count).for_each(|_| times[dice.random_range(0..count)] += 1);
    times
}

/// Areas of `scores` if whole groups are drawn again with replacement, a list for each list of scores; the same draws for all, so
/// that differences can be taken.
pub fn bootstrap(scores: &[&[f64]], labels: &[bool], groups: &[usize], seed: u64) -> Vec<Vec<f64>> {
    let ranked: Vec<Ranked> = scores.iter().map(|scores| Ranked::new(scores)).collect();
    let count = groups.iter().max().map_or(0, |most| most + 1);
    let mut areas = vec![Vec::new(); scores.len()];
    for draw in 0..DRAWS {
        let times = drawn_again(count, seed, draw);
        let pictures = || labels.iter().zip(groups).map(|(&label, &group)| (label, times[group]));
        let drawn: Option<Vec<f64>> = ranked.iter().map(|ranked| ranked.auc(pictures())).collect();
        // A draw without one of the sides says nothing.
        if let Some(drawn) = drawn {
            areas.iter_mut().zip(drawn).for_each(|(areas, area)| areas.push(area));
        }
    }
    areas
}

/// The 2.5 % and the 97.5 % point of some values; 0 and 1 if there are none.
pub fn interval(values: &[f64]) -> [f64; 2] {
    [quantile(values, 0.025).unwrap_or(0.0), quantile(values, 0.975).unwrap_or(1.0)]
}

/// The value below which this share of the values lies, interpolated. None if there are none.
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let place = share * sorted.len().checked_sub(1)? as f64;
    let (low, rest) = (place.floor() as usize, place.fract());
    let high = sorted[(low + 1).min(sorted.len() - 1)];
    Some(sorted[low] * (1.0 - rest) + high * rest)
}

/// Mean and standard deviation.
pub fn spread(values: &[f64]) -> (f64, f64) {
    let count = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / count;
    (mean, (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / count).sqrt())
}

/// Holm's (1979) correction: what each p is worth when so many questions were asked at once.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&a, &b| p[a].total_cmp(&p[b]));
    let mut adjusted = vec![1.0; p.len()];
    let mut most: f64 = 0.0;
    for (rank, &i) in order.iter().enumerate() {
        most = most.max((p[i] * (p.len() - rank) as f64).min(1.0));
        adjusted[i] = most;
    }
    adjusted
}

/// The probability that a standard normal number lies as far from 0 as `z`, on either side.
pub fn two_sided(z: f64) -> f64 {
    libm::erfc(z.abs() / std::f64::consts::SQRT_2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn areas_of_known_cases() {
        let labels = [false, false, true, true];
        assert_eq!(auc(&[0.1, 0.4, 0.35, 0.8], &labels), Some(0.75));
        assert_eq!(auc(&[1.0; 4], &labels), Some(0.5));
        assert_eq!(auc(&[4.0, 3.0, 2.0, 1.0], &labels), Some(0.0));
        assert_eq!(auc(&[1.0, 2.0, 2.0, 3.0], &labels), Some(0.875));
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
        // A picture that counts twice is two pictures.
        let twice = Ranked::new(&[0.1, 0.4, 0.35, 0.8]).auc(labels.into_iter().zip([1, 2, 1, 1]));
        assert_eq!(twice, auc(&[0.1, 0.4, 0.4, 0.35, 0.8], &[false, false, false, true, true]));
    }

    #[test]
    fn an_interval_holds_its_area_and_shrinks_with_more_groups() {
        let mut dice = ChaCha8Rng::seed_from_u64(1);
        let mut width = |count: usize, per_group: usize| {
            let labels: Vec<bool> = (0..count).map(|i| (i / per_group).is_multiple_of(2)).collect();
            // Pictures of a group score alike.
            let mut scores: Vec<f64> = Vec::new();
            for i in 0..count {
                let own = if i % per_group == 0 { dice.random::<f64>() } else { scores[i - 1] };
                scores.push(own);
            }
            let groups: Vec<usize> = (0..count).map(|i| i / per_group).collect();
            let areas = bootstrap(&[&scores], &labels, &groups, 3);
            let ([low, high], area) = (interval(&areas[0]), auc(&scores, &labels).unwrap());
            assert!(low < area && area < high, "{low} {area} {high}");
            high - low
        };
        let (few, many, clumped) = (width(60, 1), width(600, 1), width(600, 10));
        assert!(many < 0.45 * few, "{few} {many}");
        assert!(clumped > 2.0 * many, "{many} {clumped}");
    }

    #[test]
    fn holms_correction_of_a_known_case() {
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (own, wanted) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((own - wanted).abs() < 1e-12, "{adjusted:?}");
        }
        assert!((two_sided(1.959_963_984_540_054) - 0.05).abs() < 1e-9);
        assert_eq!(quantile(&[3.0, 1.0, 2.0], 0.25), Some(1.5));
        assert_eq!(quantile(&[], 0.5), None);
    }
}
