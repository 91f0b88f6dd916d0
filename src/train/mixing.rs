//! Pictures that are mixed with others of their batch, and labels with theirs (mixup: Zhang et al. 2018; CutMix: Yun et al. 2019).
//!
//! A batch shares one mixing ratio, as in both papers' code, so the loss is `share * loss(labels) + (1 - share) * loss(partners'
//! labels)`: the loss of soft labels, from two hard ones.

use gatefold_engine::ops::input::MixWords;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use statrs::distribution::{Beta, ContinuousCDF};

use crate::train::Augmentation;

/// How the samples of a batch are mixed.
#[derive(Clone, Debug, PartialEq)]
pub struct Mixing {
    pub words: MixWords,
    /// How much the samples' own labels count; from 0.5 to 1.
    pub share: f64,
    /// For each sample the one that it is mixed with.
    pub partners: Vec<u32>,
}

impl Mixing {
    /// What seed and number of a batch decide, for pictures of this side. Samples of weight 0 stay by themselves: they are there
    /// twice, and would be mixed in twice.
    pub fn draw(augment: &Augmentation, side: usize, weights: &[f32], seed: u64, number: u64) -> Self {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        // Shuffles of an epoch have streams below 2^63.
        random.set_stream(1 << 63 | number);
        let mut unit = || (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64;
        let coin = unit();
        let cuts = augment.cutmix > 0.0 && (augment.mixup == 0.0 || coin < 0.5);
        let alpha = f64::from(if cuts { augment.cutmix } else { augment.mixup });
        // The larger part is the sample's own: which of a pair is called the partner is chance anyway.
        let share = Beta::new(alpha, alpha).map_or(1.0, |beta| beta.inverse_cdf(unit()));
        let share = if share.is_nan() { 1.0 } else { share.max(1.0 - share).min(1.0) };
        let (words, share) = if cuts {
            let cut = (1.0 - share).sqrt() * side as f64;
            // As in the paper the middle may lie anywhere, and what is beyond the edge is cut off.
            let [(top, height), (left, width)] = [unit(), unit()].map(|middle| {
                let place = |at: f64| (at * side as f64).round().clamp(0.0, side as f64) as u32;
                let (from, to) = (place(middle - 0.5 * cut / side as f64), place(middle + 0.5 * cut / side as f64));
                (from, to - from)
            });
            let words = MixWords { share: 1.0, top, left, height, width };
            (words, 1.0 - f64::from(height) * f64::from(width) / (side * side) as f64)
        } else {
            (MixWords { share: share as f32, ..MixWords::default() }, share)
        };
        let mut partners: Vec<u32> = (0..weights.len() as u32).collect();
        let counted: Vec<usize> = (0..weights.len()).filter(|&sample| weights[sample] > 0.0).collect();
        for last in (1..counted.len()).rev() {
            let other = (unit() * (last + 1) as f64) as usize;
            partners.swap(counted[last], counted[other.min(last)]);
        }
        Self { words, share, partners }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn augment(mixup: f32, cutmix: f32) -> Augmentation {
        Augmentation { mixup, cutmix, ..Augmentation::default() }
    }

    #[test]
    fn a_batch_is_mixed_as_its_number_says_and_fillers_are_not() {
        let weights = [1.0, 2.0, 0.5, 1.0, 0.0, 0.0];
        let draw = |number| Mixing::draw(&augment(0.2, 0.0), 16, &weights, 7, number);
        assert_eq!(draw(3), draw(3));
        assert_ne!(draw(3), draw(4));
        for number in 0..50 {
            let Mixing { mut partners, share, words } = draw(number);
            assert!((0.5..=1.0).contains(&share) && words.share == share as f32 && words.height == 0);
            assert_eq!(partners[4..], [4, 5]);
            partners.sort_unstable();
            assert_eq!(partners, [0, 1, 2, 3, 4, 5]);
        }
    }

    /// The mean of `max(l, 1 - l)` for Beta(1, 1) is 3/4; CutMix's rectangles lie within the picture and have the area they count.
    #[test]
    fn shares_are_distributed_as_said_and_rectangles_are_what_they_count() {
        const DRAWS: u64 = 4000;
        let draws = |mixup, cutmix| {
            (0..DRAWS).map(move |number| Mixing::draw(&augment(mixup, cutmix), 64, &[1.0; 4], 1, number))
        };
        let mean = draws(1.0, 0.0).map(|mixing| mixing.share).sum::<f64>() / DRAWS as f64;
        // Its standard deviation is 1 / sqrt(48).
        assert!((mean - 0.75).abs() < 5.0 / (48.0 * DRAWS as f64).sqrt(), "{mean}");
        let mut areas = 0.0;
        for Mixing { words, share, .. } in draws(0.0, 1.0) {
            let MixWords { top, left, height, width, .. } = words;
            assert!(top + height <= 64 && left + width <= 64 && words.share == 1.0);
            assert!((1.0 - share - f64::from(height * width) / 4096.0).abs() < 1e-12);
            areas += 1.0 - share;
        }
        // Without the edge a quarter on average; with it less.
        assert!((0.1..0.25).contains(&(areas / DRAWS as f64)), "{areas}");
        let both = draws(0.2, 1.0).filter(|mixing| mixing.words.height > 0).count();
        assert!(
            (DRAWS as f64 / 2.0 - both as f64).abs() < 5.0 * (DRAWS as f64).sqrt() / 2.0 + 0.02 * DRAWS as f64,
            "{both}"
        );
    }
}
