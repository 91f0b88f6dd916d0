//! Batches for the device, the next one always in the making.

use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::data::set::batch::Epoch;
use crate::data::set::dataset::Dataset;
use crate::{Error, Result};

/// A batch on the host.
#[derive(Clone, Debug)]
pub struct Batch {
    /// count × size × size × 3 bytes (NHWC, RGB), padded to whole words of four bytes.
    pub pixels: Vec<u8>,
    /// Class indices.
    pub labels: Vec<u32>,
    /// How much each picture counts; 0 for what fills up a short batch.
    pub weights: Vec<f32>,
    bytes: usize,
}

impl Batch {
    fn new(count: usize, image_bytes: usize) -> Self {
        let bytes = count * image_bytes;
        Self { pixels: vec![0; bytes.next_multiple_of(4)], labels: vec![0; count], weights: vec![0.0; count], bytes }
    }
}

/// Batches that are filled or in use at a time.
const BATCHES: usize = 3;

/// Hands all batches of an epoch to `each`, as [`feed_some`] does.
///
/// # Errors
/// As there.
pub fn feed<E: From<Error>>(
    dataset: &Dataset,
    order: &Epoch,
    each: impl FnMut(usize, &Batch) -> Result<(), E>,
) -> Result<Duration, E> {
    let all: Vec<usize> = (0..order.batches()).collect();
    feed_some(dataset, order, &all, each)
}

/// Hands the batches with these numbers, in their order, to `each`, while a thread of its own fills the next ones. Tells how long
/// `each` had to be kept waiting for a batch; the first one is waited for in any case and does not count.
///
/// # Errors
/// The first one that `each` returns, or that of a damaged picture; no further batch is handed out then.
pub fn feed_some<E: From<Error>>(
    dataset: &Dataset,
    order: &Epoch,
    numbers: &[usize],
    mut each: impl FnMut(usize, &Batch) -> Result<(), E>,
) -> Result<Duration, E> {
    std::thread::scope(|scope| {
        let (fill, filled) = sync_channel::<Result<Batch>>(BATCHES);
        let (empty, to_fill) = sync_channel::<Batch>(BATCHES);
        for _ in 0..BATCHES {
            // There is room for all of them, and the receiver stands two lines above.
            let _ = empty.send(Batch::new(order.batch_size(), order.image_bytes(dataset)));
        }
        scope.spawn(move || {
            for &number in numbers {
                // Either end is gone when `each` has failed.
                let Ok(mut batch) = to_fill.recv() else { return };
                let Batch { pixels, labels, weights, bytes } = &mut batch;
                let done = order.fill(dataset, number, &mut pixels[..*bytes], labels, weights);
                if fill.send(done.map(|()| batch)).is_err() {
                    return;
                }
            }
        });
        let mut waited = Duration::ZERO;
        for (place, &number) in numbers.iter().enumerate() {
            let start = Instant::now();
            // The thread ends only after its last batch.
            let Ok(batch) = filled.recv() else { break };
            let batch = batch?;
            if place > 0 {
                waited += start.elapsed();
            }
            each(number, &batch)?;
            // Nobody wants it any more after the last batch.
            let _ = empty.send(batch);
        }
        Ok(waited)
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::picture::fit::Fit;
    use crate::data::set::manifest::{Cover, Manifest};
    use crate::data::set::names::{MANIFEST, PACK};
    use crate::data::set::pack;
    use crate::data::set::split::Split;
    use crate::data::set::strings::Strings;

    /// 24 covers of two classes, all for training, 5 x 5 pixels each.
    fn dataset(dir: &Path) -> Dataset {
        let covers: Vec<Cover> = (0..24_u8)
            .map(|i| Cover {
                strings: Strings::of(&format!("{i}.png"), &[]),
                label: usize::from(i >= 16),
                split: Split::Train,
                width: 9,
                height: 9,
                hash: blake3::hash(&[i]),
                phash: 0,
            })
            .collect();
        let manifest = Manifest { classes: vec!["a".into(), "b".into()], group_columns: vec![], covers };
        manifest.write(&dir.join(MANIFEST)).unwrap();
        let squares = (0..24_u8).map(|i| Ok([i, 7, 9].repeat(25)));
        let hashes = manifest.covers.iter().map(|cover| cover.hash);
        pack::write(&dir.join(PACK), 5, Fit::Crop.into(), squares, hashes).unwrap();
        Dataset::open(dir).unwrap()
    }

    #[test]
    fn batches_come_in_order_and_as_filled_by_hand() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = dataset(dir.path());
        let order = Epoch::shuffled(&dataset, Split::Train, 5, 1, 0);
        let mut seen = Vec::new();
        feed::<Error>(&dataset, &order, |number, batch| {
            let (mut pixels, mut labels, mut weights) = (vec![0; 5 * 75], vec![0; 5], vec![0.0; 5]);
            order.fill(&dataset, number, &mut pixels, &mut labels, &mut weights).unwrap();
            assert_eq!((&batch.pixels[..375], &batch.labels, &batch.weights), (&pixels[..], &labels, &weights));
            assert_eq!(batch.pixels.len(), 376);
            seen.push(number);
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn an_error_ends_it() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = dataset(dir.path());
        let order = Epoch::in_order(&dataset, Split::Train, 2);
        let mut calls = 0;
        let ended = feed(&dataset, &order, |number, _| {
            calls += 1;
            if number == 2 { Err(Error::run("enough")) } else { Ok(()) }
        });
        assert_eq!((ended.unwrap_err().to_string(), calls), ("enough".to_owned(), 3));
    }

    #[test]
    fn balanced_epochs_show_each_class_equally_often_and_weights_make_up_for_its_rarity() {
        let dir = tempfile::tempdir().unwrap();
        let dataset = dataset(dir.path());
        let balanced = |epoch| Epoch::balanced(&dataset, Split::Train, 4, 1, epoch);
        assert_eq!(balanced(0), balanced(0));
        assert_ne!(balanced(0), balanced(1));
        let mut times = vec![0; 24];
        let order = balanced(0);
        (0..order.batches()).flat_map(|number| order.batch(number)).for_each(|(i, _)| times[i] += 1);
        let covers = &dataset.manifest.covers;
        let of =
            |label: usize| -> Vec<usize> { (0..24).filter(|&i| covers[i].label == label).map(|i| times[i]).collect() };
        assert_eq!((of(0).iter().sum::<usize>(), of(1).iter().sum::<usize>()), (12, 12));
        // Nobody comes twice before all of its class have come once.
        assert!(of(0).iter().all(|&n| n <= 1) && of(1).iter().all(|n| (1..=2).contains(n)), "{times:?}");

        let weighted = Epoch::shuffled(&dataset, Split::Train, 24, 1, 0).weighted(&dataset, &[0.75, 1.5]);
        let weights: Vec<_> = weighted.batch(0).map(|(i, weight)| (dataset.manifest.covers[i].label, weight)).collect();
        assert!(weights.iter().all(|&(label, weight)| weight == [0.75, 1.5][label]));
        assert_eq!(crate::data::set::batch::even_weights(&[16, 8]), [0.75, 1.5]);
    }
}
