//! Checkpoints and other programs' weights: safetensors files, and PyTorch's own, with PyTorch's names and layouts.

mod compare;
mod entry;
mod export;
mod foreign;
mod formats;
pub mod hub;
mod import;
pub mod known;
mod loss_scale;
mod mean;
pub mod onnx;
mod parts;
mod recognise;
mod seal;
pub mod timm;
mod torch;
mod wrappers;

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use gatefold_engine::gpu::Gpu;
use gatefold_engine::params::{Arena, ParameterStore};
use safetensors::tensor::{Dtype, TensorView};
use serde::{Deserialize, Serialize};

pub use compare::LeftOut;
pub use export::Exported;
pub use foreign::{About, Pictures, Preprocessing};
pub use loss_scale::LossScale;
pub use parts::Files;

use crate::data::picture::fit::MAX_SIZE;
use crate::data::{Dataset, Fit, Harmonise};
use crate::file::write_atomically;
use crate::nets::NetConfig;
use crate::{Error, Result};

/// What a checkpoint says of itself, kept as JSON in the file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of these fields.
    pub format: u32,
    pub net: NetConfig,
    /// Class names in the order of the logits.
    pub labels: Vec<String>,
    /// How a picture becomes a square.
    pub fit: Fit,
    /// What every picture is brought through first, if the data set was harmonised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmonise: Option<Harmonise>,
    /// Normalisation of the input, per channel, of values in [0, 1].
    pub mean: [f32; 3],
    #[serde(alias = "deviation")]
    pub std: [f32; 3],
    /// Share of a picture's square that the network sees, its centre: 1 for networks trained here, 224 / 256 for most of
    /// torchvision's.
    #[serde(default = "whole")]
    pub crop: f32,
    /// Optimiser steps and whole epochs done.
    pub step: u64,
    pub epoch: u64,
    /// Training covers per class: the majority baseline belongs to the model.
    pub training_counts: Vec<u64>,
    /// Best epoch so far, and its validation accuracy and loss.
    pub best: Option<Best>,
    /// Epochs whose weights a [mean](Checkpoint::kept_mean) is of.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub averaged: u64,
    /// What logits are divided by before they become probabilities, as the validation set has it.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub temperature: f64,
    /// Of a run in mixed precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<LossScale>,
    /// Which data it was trained on.
    pub fingerprint: String,
}

fn whole() -> f32 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fn one() -> f64 {
    1.0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_one(number: &f64) -> bool {
    *number == 1.0
}

impl Header {
    /// Side in pixels of the squares that pictures are made into; the network sees the central `net.size` of it.
    pub fn picture_size(&self) -> usize {
        (self.net.size as f32 / self.crop).round() as usize
    }

    /// Checks that a run's data are what it was trained on: the same pixels, labels and sets.
    ///
    /// # Errors
    /// [`Error::Input`] if they are not. `checkpoint` names the file.
    pub fn check_data(&self, checkpoint: &Path, dataset: &Dataset) -> Result<()> {
        let (checkpoint, dir) = (checkpoint.display(), dataset.dir().display());
        if dataset.manifest.classes != self.labels || dataset.pack.size() as usize != self.picture_size() {
            return Err(Error::input(format!("checkpoint {checkpoint} does not belong to the data in {dir}")));
        }
        if dataset.fingerprint() == self.fingerprint {
            return Ok(());
        }
        Err(Error::input(format!(
            "checkpoint {checkpoint}: the data in {dir} are no longer what it was trained on (pictures, labels or sets have changed): \
             restore them, or train again"
        )))
    }

    /// What is wrong with it, if anything: a file can say what it wants.
    fn fault(&self) -> Option<String> {
        let (labels, classes) = (self.labels.len(), self.net.classes);
        if ![UNSEALED, FORMAT].contains(&self.format) {
            return Some(format!("has format {}, this version reads {FORMAT}", self.format));
        }
        if labels != classes || classes < 2 {
            return Some(format!("{labels} labels for {classes} classes; it is damaged"));
        }
        if self.training_counts.len() != classes {
            let counts = self.training_counts.len();
            return Some(format!("{counts} training counts for {classes} classes; it is damaged"));
        }
        if self.net.size > MAX_SIZE as usize {
            return Some(format!("pictures of {} pixels; it is damaged", self.net.size));
        }
        if let Some(fault) = self.harmonise.and_then(Harmonise::fault) {
            return Some(format!("a harmonisation that cannot be ({fault}); it is damaged"));
        }
        let numbers = self.mean.iter().chain(&self.std).all(|v| v.is_finite());
        if !numbers || self.std.iter().any(|d| *d <= 0.0) || !(0.05..=1.0).contains(&self.crop) {
            let Self { mean, std, crop, .. } = self;
            return Some(format!("mean {mean:?}, std {std:?}, crop {crop}; it is damaged"));
        }
        if !(0.01..=100.0).contains(&self.temperature) {
            return Some(format!("a temperature of {}; it is damaged", self.temperature));
        }
        None
    }
}

/// The best epoch so far.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    pub epoch: u64,
    pub accuracy: f64,
    pub loss: f64,
}

impl Best {
    /// More accurate, or as accurate with a smaller loss.
    pub fn beats(&self, other: &Self) -> bool {
        self.accuracy > other.accuracy || (self.accuracy == other.accuracy && self.loss < other.loss)
    }
}

/// The one metadata key: several would be written in a random order, and the same run must give the same bytes.
const KEY: &str = "gatefold";
/// What is written.
pub const FORMAT: u32 = 2;
/// The last one without a seal.
const UNSEALED: u32 = 1;
const MOMENT1: &str = "optimizer.exp_avg.";
const MOMENT2: &str = "optimizer.exp_avg_sq.";
/// The mean of several epochs' weights.
const MEAN: &str = "optimizer.mean.";

/// Whether a tensor of this name is of training alone.
fn is_optimisers(name: &str) -> bool {
    name.starts_with("optimizer.")
}

/// The long-lived buffers that a checkpoint holds, and what their tensors' names begin with.
fn arenas(optimiser: bool) -> &'static [(Arena, &'static str)] {
    const ALL: [(Arena, &str); 3] = [(Arena::Parameters, ""), (Arena::Moment1, MOMENT1), (Arena::Moment2, MOMENT2)];
    if optimiser { &ALL } else { &ALL[..1] }
}

/// Shapes and numbers by name, as on disk.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A file's contents in memory.
pub struct Checkpoint {
    /// `None` in a file that another program wrote.
    pub header: Option<Header>,
    tensors: Tensors,
    /// Whether a hash has told that it is as it was written.
    sealed: bool,
    /// What the user should know of how its tensors were found.
    notes: Vec<String>,
    /// Where it came from, for messages.
    source: String,
}

impl Checkpoint {
    /// Takes a network's state from the device, with the optimiser's if wanted.
    pub fn take(gpu: &Gpu, store: &ParameterStore, header: Header, optimiser: bool) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        for &(arena, prefix) in arenas(optimiser) {
            let words = store.read(gpu, arena)?;
            for (place, spec) in store.places(arena) {
                let memory = &words[place..place + spec.shape.len()];
                tensors.insert(format!("{prefix}{}", spec.name), (spec.disk_shape(), spec.to_disk(memory)));
            }
        }
        let words = store.read(gpu, Arena::State)?;
        for (offset, spec) in &store.spec().states {
            tensors.insert(spec.name.clone(), (vec![spec.len], words[*offset..offset + spec.len].to_vec()));
        }
        Ok(Self { header: Some(header), tensors, sealed: true, notes: vec![], source: "this run".into() })
    }

    /// Writes the file: temporary file, sync, rename, so that a crash leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, values)) in &self.tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            views.push((name.as_str(), view.map_err(|e| Error::run(format!("{}: {name}: {e}", path.display())))?));
        }
        self.write_views(path, views).map(drop)
    }

    /// Writes tensors under the file's header; tells how many bytes they came to.
    fn write_views<N>(&self, path: &Path, views: Vec<(N, TensorView)>) -> Result<usize>
    where
        N: AsRef<str> + Ord + std::fmt::Display,
    {
        let header = self.header.clone().map(|header| Header { format: FORMAT, ..header });
        let header = serde_json::to_string(&header).map_err(Error::run)?;
        let sealed = seal::sealed(&header, views.iter().map(|(name, view)| (name.as_ref(), view)));
        let metadata = HashMap::from([(KEY.to_owned(), sealed)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::run(format!("{}: cannot be written ({e})", path.display())))?;
        write_atomically(path, |file| file.write_all(&bytes))?;
        Ok(bytes.len())
    }

    /// Reads a file that this program or another one wrote.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing, cut off, no weights, or of a network that only looks alike.
    pub fn read(path: &Path) -> Result<Self> {
        Files::read("checkpoint", path)?.parse()
    }

    /// Reads a file's bytes; `source` names it in messages.
    pub fn parse(source: &str, bytes: &[u8]) -> Result<Self> {
        let import::Parsed { header, sealed, tensors, mut notes } = import::parse(source, bytes)?;
        if header.is_some() && !sealed {
            notes.push("an older version wrote it without a hash, so damage to it would go unnoticed".to_owned());
        }
        if let Some(fault) = header.as_ref().and_then(Header::fault) {
            return Err(Error::input(format!("checkpoint {source}: {fault}")));
        }
        Ok(Self { header, tensors, sealed, notes, source: source.to_owned() })
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`Error::Run`] if it is of another program, and nobody has said it either.
    pub fn described(&self) -> Result<&Header> {
        self.header.as_ref().ok_or_else(|| Error::run(format!("checkpoint {} has no header", self.source)))
    }

    /// Where it came from.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Whether a hash has told that it is as it was written.
    pub fn is_sealed(&self) -> bool {
        self.sealed
    }

    /// What the user should know of it.
    pub fn notes(&self) -> Vec<String> {
        self.notes.iter().map(|note| format!("checkpoint {}: {note}", self.source)).collect()
    }

    /// Whether all its numbers are numbers.
    pub fn is_finite(&self) -> bool {
        self.tensors.values().flat_map(|(_, values)| values).all(|v| v.is_finite())
    }

    /// Puts the weights on the device, and the optimiser's state if wanted.
    ///
    /// # Errors
    /// [`Error::Input`] that lists what is missing, unexpected or of another shape; then nothing was written.
    pub fn apply(&self, gpu: &Gpu, store: &ParameterStore, optimiser: bool) -> Result<()> {
        self.compare(store.spec(), store.frozen_words().filter(|_| optimiser))?;
        for &(arena, prefix) in arenas(optimiser) {
            let mut words = vec![0.0; store.words(arena)];
            for (place, spec) in store.places(arena) {
                let (_, disk) = &self.tensors[&format!("{prefix}{}", spec.name)];
                words[place..place + spec.shape.len()].copy_from_slice(&spec.from_disk(disk));
            }
            store.write(gpu, arena, &words)?;
        }
        let mut words = vec![0.0; store.spec().state_words()];
        for (offset, spec) in &store.spec().states {
            words[*offset..offset + spec.len].copy_from_slice(&self.tensors[&spec.name].1);
        }
        store.write(gpu, Arena::State, &words)
    }

    /// Puts the weights on the device but for a head that does not fit ([`Self::compare_trunk`]): that stays as it is.
    ///
    /// # Errors
    /// [`Error::Input`] that lists what of the trunk is missing, unexpected or of another shape; then nothing was written.
    pub fn overlay(&self, gpu: &Gpu, store: &ParameterStore, classes: usize) -> Result<()> {
        let left_out = self.compare_trunk(store.spec(), classes)?;
        let taken = |name: &String| self.tensors.get(name).filter(|_| !left_out.holds(name));
        let mut words = store.read(gpu, Arena::Parameters)?;
        for (offset, spec) in &store.spec().parameters {
            if let Some((_, disk)) = taken(&spec.name) {
                words[*offset..offset + spec.shape.len()].copy_from_slice(&spec.from_disk(disk));
            }
        }
        store.write(gpu, Arena::Parameters, &words)?;
        let mut words = store.read(gpu, Arena::State)?;
        for (offset, spec) in &store.spec().states {
            if let Some((_, values)) = taken(&spec.name) {
                words[*offset..offset + spec.len].copy_from_slice(values);
            }
        }
        store.write(gpu, Arena::State, &words)
    }
}
