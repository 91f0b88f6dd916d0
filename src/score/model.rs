//! A trained network: from a checkpoint to logits.

use std::path::Path;
use std::sync::Arc;

use gatefold_engine::gpu::{BufferPool, Gpu};
use gatefold_engine::params::ParameterStore;
use gatefold_engine::plan::{Plan, Ticket};
use gatefold_engine::tensor::Tensor;

use crate::data::{Dataset, Epoch, Pipeline, Split};
use crate::nets::Freeze;
use crate::nets::forward::{Forward, Taps, recorded, spec};
use crate::score::features::Features;
use crate::weights::{Checkpoint, Header};
use crate::{Error, Result};

/// A network with its weights on the device.
pub struct Model {
    pub gpu: Arc<Gpu>,
    pub header: Header,
    pub store: ParameterStore,
    pub pool: BufferPool,
}

impl Model {
    /// Loads a run's checkpoint, or another file with our header.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged, of another network, or another program's without a header.
    pub fn load(gpu: &Arc<Gpu>, path: &Path) -> Result<Self> {
        Self::from_checkpoint(gpu, &Checkpoint::read(path)?)
    }

    /// Puts a checkpoint on the device.
    pub fn from_checkpoint(gpu: &Arc<Gpu>, checkpoint: &Checkpoint) -> Result<Self> {
        let header = checkpoint.header.clone().ok_or_else(|| {
            let source = checkpoint.source();
            Error::input(format!(
                "checkpoint {source}: says nothing of its network and classes; use one that train or export wrote"
            ))
        })?;
        let spec = spec(&header.net, false)?;
        let store = ParameterStore::new(gpu, &spec, false)?;
        checkpoint.apply(gpu, &store, false)?;
        Ok(Self { gpu: Arc::clone(gpu), header, store, pool: BufferPool::default() })
    }

    /// [`Self::from_checkpoint`] for networks that are to answer together.
    pub fn from_checkpoints(gpu: &Arc<Gpu>, checkpoints: &[Checkpoint]) -> Result<Vec<Self>> {
        checkpoints.iter().map(|checkpoint| Self::from_checkpoint(gpu, checkpoint)).collect()
    }

    /// How pictures become squares for this network.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline { fit: self.header.fit, harmonise: self.header.harmonise }
    }

    /// Height and width of the network's input.
    pub fn size(&self) -> u32 {
        self.header.net.size as u32
    }

    /// Height and width of the squares that pictures become; the network sees their centre.
    pub fn picture_size(&self) -> u32 {
        self.header.picture_size() as u32
    }

    /// Makes a plan that turns batches of `batch` pictures into logits.
    pub fn inference(&self, batch: usize) -> Result<Inference> {
        Inference::new(&self.gpu, &self.header, &self.store, &self.pool, batch)
    }

    /// A plan that gives logits and, if they are asked for, features, with at most `most` pictures at a time: half as many, and so on, where an adapter has no room for them.
    ///
    /// # Errors
    /// As [`Self::inference`], if it has no room for one.
    pub fn inference_that_fits(&self, most: usize, features: bool) -> Result<Inference> {
        let taps = if features { Taps::Features } else { Taps::None };
        let mut batch = most.max(1);
        loop {
            match Inference::recorded(&self.gpu, &self.header, &self.store, &self.pool, batch, taps) {
                Err(Error::Input(_)) if batch > 1 => batch /= 2,
                done => return done,
            }
        }
    }
}

/// Records the forward pass as [`recorded`] does, for a checkpoint's header.
pub fn forward(header: &Header, batch: usize, taps: Taps) -> Result<Forward> {
    recorded(&header.net, header.picture_size(), (header.mean, header.std), batch, taps)
}

/// Said where a network gives no number; its weights are all finite, or it would not have been loaded.
const NOT_FINITE: &str = "the network's answer is NaN or infinite: its weights are too large for its pictures; train again with a \
                          smaller --lr, or use other weights";

fn check_finite(numbers: &[f32]) -> Result<()> {
    if numbers.iter().all(|number| number.is_finite()) { Ok(()) } else { Err(Error::run(NOT_FINITE)) }
}

/// A plan for logits, and perhaps for features.
pub struct Inference {
    plan: Plan,
    pixels: Tensor,
    logits: Tensor,
    features: Option<Tensor>,
    /// What a fine-tuning's frozen layers end in; empty if they are no phase of their own.
    held: Vec<Tensor>,
    batch: usize,
    image_bytes: usize,
    /// Pictures are shown with left and right changed.
    mirrored: bool,
    /// What logits are divided by before they become probabilities.
    temperature: f64,
}

impl Inference {
    pub fn new(
        gpu: &Arc<Gpu>,
        header: &Header,
        store: &ParameterStore,
        pool: &BufferPool,
        batch: usize,
    ) -> Result<Self> {
        Self::recorded(gpu, header, store, pool, batch, Taps::None)
    }

    /// Like [`Self::new`] for a network whose first layers stay as they are: what they make of pictures can be
    /// [kept](Self::keep), where the network allows it.
    pub fn after(
        gpu: &Arc<Gpu>,
        header: &Header,
        store: &ParameterStore,
        pool: &BufferPool,
        batch: usize,
        freeze: &Freeze,
    ) -> Result<Self> {
        Self::recorded(gpu, header, store, pool, batch, Taps::Held(freeze))
    }

    fn recorded(
        gpu: &Arc<Gpu>,
        header: &Header,
        store: &ParameterStore,
        pool: &BufferPool,
        batch: usize,
        taps: Taps,
    ) -> Result<Self> {
        let Forward { tape, pixels, logits, features, held, .. } = forward(header, batch, taps)?;
        let plan = Plan::new(gpu, &tape, store, pool)?;
        Ok(Self {
            plan,
            pixels,
            logits,
            features,
            held,
            batch,
            image_bytes: header.picture_size().pow(2) * 3,
            mirrored: false,
            temperature: header.temperature,
        })
    }

    /// The same, which shows [`Self::batches`] with left and right changed.
    pub fn mirrored(self) -> Self {
        Self { mirrored: true, ..self }
    }

    /// Whose weights lie on the device now has this temperature.
    pub fn set_temperature(&mut self, temperature: f64) {
        self.temperature = temperature;
    }

    /// Class probabilities from logits, at the network's temperature.
    pub fn probabilities(&self, logits: &[f32]) -> Vec<f32> {
        self.as_probabilities()(logits)
    }

    /// [`Self::probabilities`], for the while that the network is at work.
    pub fn as_probabilities(&self) -> impl Fn(&[f32]) -> Vec<f32> + use<> {
        let (outputs, temperature) = (self.outputs(), self.temperature);
        move |logits| probabilities(logits, outputs, temperature)
    }

    /// Computes what the frozen layers make of a split's covers; `None` if it cannot be kept, or the split is empty.
    ///
    /// # Errors
    /// As [`Features::take`].
    pub fn keep(
        &mut self,
        dataset: &Dataset,
        split: Split,
        folder: &Path,
        mut progress: impl FnMut(usize),
    ) -> Result<Option<Features>> {
        let order = Epoch::in_order(dataset, split, self.batch);
        if self.held.is_empty() || order.is_empty() {
            return Ok(None);
        }
        let features = Features::take(dataset, &order, 1, folder, |_, number, batch| {
            self.plan.write(self.pixels, &batch.pixels)?;
            let ticket = self.plan.submit_phases(0..1)?;
            self.plan.results(ticket)?;
            progress(((number + 1) * self.batch).min(order.len()));
            self.held.iter().map(|&held| self.plan.read(held)).collect()
        })?;
        Ok(Some(features))
    }

    /// Like [`Self::batches`], from what [`Self::keep`] kept of these covers.
    pub fn batches_of(
        &mut self,
        features: &Features,
        covers: &[usize],
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let outputs = self.outputs();
        for covers in covers.chunks(self.batch) {
            for (&held, words) in self.held.iter().zip(features.batch(0, covers.iter().copied())?) {
                self.plan.write(held, &words)?;
            }
            let ticket = self.plan.submit_phases(1..2)?;
            let rows = self.plan.results(ticket)?.get(self.logits)?;
            take(&rows[..covers.len() * outputs])?;
        }
        Ok(())
    }

    /// Logits for each picture.
    pub fn outputs(&self) -> usize {
        self.logits.shape.c
    }

    /// Pictures of a batch.
    pub fn batch(&self) -> usize {
        self.batch
    }

    /// Bytes of a batch as [`Self::submit`] wants them, and of one picture.
    pub fn bytes(&self) -> (usize, usize) {
        ((self.batch * self.image_bytes).next_multiple_of(4), self.image_bytes)
    }

    /// Starts a batch and does not wait for it. One more may be started before its answers are taken with [`Self::answers`].
    pub fn submit(&mut self, bytes: &[u8]) -> Result<Ticket> {
        self.plan.write(self.pixels, bytes)?;
        self.plan.submit()
    }

    /// Features of each picture; none if they were not asked for.
    pub fn features(&self) -> usize {
        self.features.map_or(0, |features| features.shape.c)
    }

    /// Waits for the logits and the features of a batch that was started, of its first `count` pictures.
    ///
    /// # Errors
    /// [`Error::Run`] if one of them is NaN or infinite, or the device fails.
    pub fn answers(&self, ticket: Ticket, count: usize) -> Result<(Vec<f32>, Vec<f32>)> {
        let results = self.plan.results(ticket)?;
        let mut logits = results.get(self.logits)?;
        let mut features = self.features.map_or(Ok(Vec::new()), |features| results.get(features))?;
        logits.truncate(count * self.outputs());
        features.truncate(count * self.features());
        check_finite(&logits)?;
        check_finite(&features)?;
        Ok((logits, features))
    }

    /// Logits of any number of pictures (RGB bytes, [`Header::picture_size`] squared x 3 each), row after row; `progress` hears
    /// how many are done.
    ///
    /// # Errors
    /// [`Error::Run`] if one of them is NaN or infinite, or the device fails.
    pub fn logits<'p>(
        &mut self,
        pictures: impl ExactSizeIterator<Item = &'p [u8]>,
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<f32>> {
        let outputs = self.outputs();
        let mut logits = Vec::with_capacity(pictures.len() * outputs);
        self.batches(pictures, |rows| {
            check_finite(rows)?;
            logits.extend_from_slice(rows);
            progress(logits.len() / outputs);
            Ok(())
        })?;
        Ok(logits)
    }

    /// Gives `take` the logits of a batch of pictures at a time, row after row: those of all covers for very many classes are
    /// more than memory holds.
    pub fn batches<'p>(
        &mut self,
        pictures: impl Iterator<Item = &'p [u8]>,
        mut take: impl FnMut(&[f32]) -> Result<()>,
    ) -> Result<()> {
        let outputs = self.outputs();
        let mut bytes = vec![0_u8; self.bytes().0];
        let mut pictures = pictures.peekable();
        while pictures.peek().is_some() {
            let mut count = 0;
            for (slot, picture) in bytes.chunks_mut(self.image_bytes).zip(pictures.by_ref().take(self.batch)) {
                if self.mirrored {
                    mirror(picture, (self.image_bytes / 3).isqrt(), slot);
                } else {
                    slot.copy_from_slice(picture);
                }
                count += 1;
            }
            let ticket = self.submit(&bytes)?;
            let rows = self.plan.results(ticket)?.get(self.logits)?;
            take(&rows[..count * outputs])?;
        }
        Ok(())
    }
}

/// Class probabilities from logits, which are divided by `temperature`: the softmax of each row, or both sides of the sigmoid where there
/// is one logit. In f64, so that a saturated answer still has an order.
pub fn probabilities(logits: &[f32], outputs: usize, temperature: f64) -> Vec<f32> {
    let rows = logits.chunks(outputs.max(1));
    if outputs == 1 {
        return rows
            .flat_map(|row| {
                let logit = f64::from(row[0]) / temperature;
                [(1.0 / (1.0 + logit.exp())) as f32, (1.0 / (1.0 + (-logit).exp())) as f32]
            })
            .collect();
    }
    rows.flat_map(|row| {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row.iter().map(|&v| (f64::from(v - largest) / temperature).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.into_iter().map(move |p| (p / sum) as f32).collect::<Vec<_>>()
    })
    .collect()
}

/// The square of RGB pixels, left and right changed.
pub(super) fn mirror(square: &[u8], side: usize, into: &mut [u8]) {
    const RGB: usize = 3;
    for (row, to) in square.chunks_exact(RGB * side).zip(into.chunks_exact_mut(RGB * side)) {
        for (pixel, to) in row.chunks_exact(RGB).zip(to.chunks_exact_mut(RGB).rev()) {
            to.copy_from_slice(pixel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::probabilities;

    #[test]
    fn one_logit_makes_two_probabilities_and_many_make_a_softmax() {
        assert_eq!(probabilities(&[0.0], 1, 1.0), [0.5, 0.5]);
        let saturated = probabilities(&[200.0, -200.0], 1, 1.0);
        assert_eq!((saturated[1], saturated[2]), (1.0, 1.0));
        let p = probabilities(&[1000.0, 1000.0, 0.0], 3, 1.0);
        assert_eq!(p, [0.5, 0.5, 0.0]);
        let sum: f32 = probabilities(&[0.3, -1.2, 2.0, 0.1], 4, 1.0).iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        // Twice as warm is half as far apart.
        assert_eq!(probabilities(&[0.6, -2.4, 4.0, 0.2], 4, 2.0), probabilities(&[0.3, -1.2, 2.0, 0.1], 4, 1.0));
        assert_eq!(probabilities(&[3.0], 1, 3.0), probabilities(&[1.0], 1, 1.0));
    }
}
