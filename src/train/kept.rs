//! Where an epoch's batches come from: pixels, or what the frozen layers made of them, kept.

use std::time::Duration;

use crate::Result;
use crate::data::set::feed::feed_some;
use crate::data::{Dataset, Epoch};
use crate::score::Features;

/// What the frozen layers make of the covers of a run.
pub struct Kept {
    pub train: Features,
    /// Versions of each training cover; epochs take one after the other.
    pub views: u64,
    /// `None` without a validation set.
    pub val: Option<Features>,
}

/// Where it is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    Memory,
    /// Of the run folder, without a name.
    File,
    /// There is no room: it is computed in each epoch.
    Nowhere,
}

/// A batch for the device.
pub struct Fed<'a> {
    pub pictures: Pictures<'a>,
    pub labels: &'a [u32],
    pub weights: &'a [f32],
}

pub enum Pictures<'a> {
    /// Packed pixels.
    Pixels(&'a [u8]),
    /// Words of each held value.
    Held(&'a [Vec<u32>]),
}

/// Hands over the batches of an epoch with these numbers, in their order. Tells how long `each` was kept waiting for one.
///
/// # Errors
/// The first one of `each`, or that of a damaged picture.
pub fn feed_epoch(
    dataset: &Dataset,
    order: &Epoch,
    numbers: &[usize],
    kept: Option<(&Kept, u64)>,
    mut each: impl FnMut(usize, &Fed) -> Result<()>,
) -> Result<Duration> {
    let Some((kept, epoch)) = kept else {
        return feed_some(dataset, order, numbers, |number, batch| {
            let (labels, weights) = (&batch.labels, &batch.weights);
            each(number, &Fed { pictures: Pictures::Pixels(&batch.pixels), labels, weights })
        });
    };
    for &number in numbers {
        let (covers, weights): (Vec<usize>, Vec<f32>) = order.batch(number).unzip();
        let labels: Vec<u32> = covers.iter().map(|&cover| dataset.manifest.covers[cover].label as u32).collect();
        let held = kept.train.batch((epoch % kept.views) as usize, covers.into_iter())?;
        each(number, &Fed { pictures: Pictures::Held(&held), labels: &labels, weights: &weights })?;
    }
    Ok(Duration::ZERO)
}
