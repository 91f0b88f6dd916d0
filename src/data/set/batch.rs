//! The order in which covers are fed, and batches cut from it.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};
use rayon::prelude::*;

use crate::Result;
use crate::data::picture::fit::square;
use crate::data::set::dataset::Dataset;
use crate::data::set::pack::bytes_of;
use crate::data::set::split::Split;

/// One pass over a split, in batches of exactly the same length.
///
/// The last batch is filled up with covers from the start of the same order at weight 0: the loss does not count them,
/// and batch statistics still see real pictures. Every cover of the split has weight 1 exactly once, unless the epoch is
/// [balanced](Epoch::balanced) or [weighted](Epoch::weighted).
#[derive(Clone, Debug, PartialEq)]
pub struct Epoch {
    order: Vec<usize>,
    batch: usize,
    /// There are a multiple of so many batches.
    group: usize,
    /// For each cover of the manifest; empty if all count 1.
    weights: Vec<f32>,
    /// Side of the pictures, if it is not the pack's.
    side: Option<u32>,
}

impl Epoch {
    /// The split's covers in an order that `seed` and `epoch` decide: the same on every machine.
    ///
    /// # Panics
    /// If `batch` is 0.
    pub fn shuffled(dataset: &Dataset, split: Split, batch: usize, seed: u64, epoch: u64) -> Self {
        let mut this = Self::in_order(dataset, split, batch);
        shuffle(&mut this.order, seed, epoch, 0);
        this
    }

    /// As many covers as the split has, the same number of each of its classes: some of a frequent class are left out, those
    /// of a rare one come several times, but none again before all of its class have come.
    ///
    /// # Panics
    /// If `batch` is 0.
    pub fn balanced(dataset: &Dataset, split: Split, batch: usize, seed: u64, epoch: u64) -> Self {
        let covers = dataset.manifest.indices(split);
        let mut classes = vec![Vec::new(); dataset.manifest.classes.len()];
        covers.iter().for_each(|&i| classes[dataset.manifest.covers[i].label].push(i));
        classes.retain(|class: &Vec<usize>| !class.is_empty());
        let mut order = Vec::with_capacity(covers.len());
        let mut rounds = 1;
        for turn in 0..covers.len() / classes.len().max(1) + 1 {
            for (number, class) in classes.iter_mut().enumerate() {
                let place = turn % class.len();
                if place == 0 {
                    shuffle(class, seed, epoch, rounds << 32 | number as u64);
                    rounds += 1;
                }
                order.push(class[place]);
            }
        }
        order.truncate(covers.len());
        shuffle(&mut order, seed, epoch, 0);
        Self::of(order, batch)
    }

    /// The same order, each cover counting what its class counts.
    ///
    /// # Panics
    /// If there are fewer weights than classes.
    #[must_use]
    pub fn weighted(mut self, dataset: &Dataset, of_class: &[f32]) -> Self {
        self.weights = dataset.manifest.covers.iter().map(|cover| of_class[cover.label]).collect();
        self
    }

    /// The same order, filled up to a multiple of so many batches, as if they were one.
    ///
    /// # Panics
    /// If `group` is 0.
    #[must_use]
    pub fn in_groups(self, group: usize) -> Self {
        assert!(group > 0, "groups of no batch");
        Self { group, ..self }
    }

    /// The same order, of pictures that are made smaller, to `side` × `side` pixels, by the pack's [`Fit`](crate::data::Fit).
    #[must_use]
    pub fn shrunk(self, side: usize) -> Self {
        Self { side: Some(side as u32), ..self }
    }

    /// Bytes of a picture.
    pub fn image_bytes(&self, dataset: &Dataset) -> usize {
        self.side.map_or(dataset.pack.image_bytes(), bytes_of)
    }

    /// The split's covers in the manifest's order, for evaluation.
    ///
    /// # Panics
    /// If `batch` is 0.
    pub fn in_order(dataset: &Dataset, split: Split, batch: usize) -> Self {
        Self::of(dataset.manifest.indices(split), batch)
    }

    /// These covers in this order (indices into the manifest), for any other choice.
    ///
    /// # Panics
    /// If `batch` is 0.
    pub fn of(order: Vec<usize>, batch: usize) -> Self {
        assert!(batch > 0, "a batch of no pictures");
        Self { order, batch, group: 1, weights: Vec::new(), side: None }
    }

    /// How many covers the split has.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether the split is empty; it then has no batches.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many batches there are.
    pub fn batches(&self) -> usize {
        self.order.len().div_ceil(self.batch).next_multiple_of(self.group)
    }

    /// Pictures in a batch.
    pub fn batch_size(&self) -> usize {
        self.batch
    }

    /// The covers of one batch as (index into the manifest, weight, 0 for what fills it up); always exactly as many as the
    /// batch.
    ///
    /// # Panics
    /// If `batch_no` is not below [`Epoch::batches`].
    pub fn batch(&self, batch_no: usize) -> impl Iterator<Item = (usize, f32)> + '_ {
        assert!(batch_no < self.batches(), "batch {batch_no} of {}", self.batches());
        let covers = self.order.len();
        (batch_no * self.batch..(batch_no + 1) * self.batch).map(move |at| {
            let index = self.order[at % covers];
            (index, if at < covers { self.weights.get(index).copied().unwrap_or(1.0) } else { 0.0 })
        })
    }

    /// Fills the buffers with one batch: `pixels` with batch × size × size × 3 bytes (NHWC, RGB), [`Epoch::image_bytes`] for each
    /// picture, `labels` with class indices, `weights` with how much each counts, one each per picture.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if a picture is damaged.
    ///
    /// # Panics
    /// If `batch_no` is not below [`Epoch::batches`] or a buffer has another length.
    pub fn fill(
        &self,
        dataset: &Dataset,
        batch_no: usize,
        pixels: &mut [u8],
        labels: &mut [u32],
        weights: &mut [f32],
    ) -> Result<()> {
        let each = self.image_bytes(dataset);
        assert_eq!(
            (pixels.len(), labels.len(), weights.len()),
            (self.batch * each, self.batch, self.batch),
            "buffers for a batch of {}",
            self.batch
        );
        for ((index, counts), (label, weight)) in self.batch(batch_no).zip(labels.iter_mut().zip(weights)) {
            *label = dataset.manifest.covers[index].label as u32;
            *weight = counts;
        }
        let covers: Vec<usize> = self.batch(batch_no).map(|(index, _)| index).collect();
        let Some(side) = self.side else {
            return pixels.chunks_exact_mut(each).zip(covers).try_for_each(|(pixels, index)| {
                pixels.copy_from_slice(dataset.pack.image(index)?);
                Ok(())
            });
        };
        pixels.par_chunks_exact_mut(each).zip(covers).try_for_each(|(pixels, index)| {
            pixels.copy_from_slice(&square(&dataset.pack.picture(index)?, side, dataset.pack.fit()));
            Ok(())
        })
    }
}

/// Weights of classes with these numbers of covers such that each class counts the same in all, and a cover 1 on average.
pub fn even_weights(counts: &[u64]) -> Vec<f32> {
    let (covers, classes) =
        (counts.iter().sum::<u64>() as f64, counts.iter().filter(|&&count| count > 0).count() as f64);
    counts.iter().map(|&count| (covers / (classes * count.max(1) as f64)) as f32).collect()
}

/// Fisher–Yates with a generator whose numbers are part of its contract, unlike those of a library's own `shuffle`.
/// Different streams give different orders.
pub fn shuffle(order: &mut [usize], seed: u64, epoch: u64, stream: u64) {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..16].copy_from_slice(&epoch.to_le_bytes());
    key[16..24].copy_from_slice(&stream.to_le_bytes());
    let mut rng = ChaCha8Rng::from_seed(key);
    for i in (1..order.len()).rev() {
        // A 64-bit product's upper half is uniform below i + 1 up to a bias of 2^-40 or less.
        let j = (u128::from(rng.next_u64()) * (i as u128 + 1)) >> 64;
        order.swap(i, j as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shuffles_by_seed_and_epoch() {
        let shuffled = |seed, epoch| {
            let mut order: Vec<usize> = (0..100).collect();
            shuffle(&mut order, seed, epoch, 0);
            order
        };
        assert_eq!(shuffled(1, 0), shuffled(1, 0));
        assert_ne!(shuffled(1, 0), shuffled(1, 1));
        assert_ne!(shuffled(1, 0), shuffled(2, 0));
        let mut sorted = shuffled(7, 3);
        sorted.sort_unstable();
        assert_eq!(sorted, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn every_place_is_equally_likely() {
        let mut firsts = [0; 5];
        for epoch in 0..5000 {
            let mut order = [0, 1, 2, 3, 4];
            shuffle(&mut order, 0, epoch, 0);
            firsts[order[0]] += 1;
        }
        assert!(firsts.iter().all(|count| (850..1150).contains(count)), "{firsts:?}");
    }

    #[test]
    fn the_last_batch_is_filled_up_at_weight_zero() {
        let epoch = Epoch::of(vec![5, 3, 9, 1, 7], 3);
        assert_eq!((epoch.len(), epoch.batches()), (5, 2));
        assert_eq!(epoch.batch(0).collect::<Vec<_>>(), [(5, 1.0), (3, 1.0), (9, 1.0)]);
        assert_eq!(epoch.batch(1).collect::<Vec<_>>(), [(1, 1.0), (7, 1.0), (5, 0.0)]);
        let small = Epoch::of(vec![4, 2], 5);
        assert_eq!(small.batch(0).collect::<Vec<_>>(), [(4, 1.0), (2, 1.0), (4, 0.0), (2, 0.0), (4, 0.0)]);
        assert_eq!(Epoch::of(Vec::new(), 3).batches(), 0);
    }
}
