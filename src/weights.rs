//! Checkpoints: safetensors files with PyTorch's names and layouts.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::{Deserialize, Serialize};

use crate::data::files::write_atomically;
use crate::gpu::Gpu;
use crate::nets::NetConfig;
use crate::params::{ParameterStore, Spec};
use crate::tape::Arena;
use crate::{Error, Result};

/// What a checkpoint says of itself, kept as JSON in the file's metadata.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of these fields.
    pub format: u32,
    pub net: NetConfig,
    /// Class names in the order of the logits.
    pub labels: Vec<String>,
    /// How a picture becomes a square: "crop" or "pad".
    pub fit: String,
    /// Normalisation of the input, per channel, of values in [0, 1].
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
    /// Optimiser steps and whole epochs done.
    pub step: u64,
    pub epoch: u64,
    /// Training covers per class: the majority baseline belongs to the model.
    pub training_counts: Vec<u64>,
    /// Best epoch so far, and its validation accuracy and loss.
    pub best: Option<Best>,
    /// Which data it was trained on.
    pub fingerprint: String,
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
pub const FORMAT: u32 = 1;
const MOMENT1: &str = "optimizer.exp_avg.";
const MOMENT2: &str = "optimizer.exp_avg_sq.";

/// A checkpoint in memory: tensors by name, as on disk.
pub struct Checkpoint {
    /// `None` in a file that another program wrote.
    pub header: Option<Header>,
    tensors: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
    /// Where it came from, for messages.
    source: String,
}

impl Checkpoint {
    /// Takes a network's state from the device, with the optimiser's if wanted.
    pub fn take(gpu: &Gpu, store: &ParameterStore, header: Header, optimiser: bool) -> Result<Self> {
        let mut tensors = BTreeMap::new();
        let mut arenas = vec![(Arena::Parameters, "")];
        if optimiser {
            arenas.extend([(Arena::Moment1, MOMENT1), (Arena::Moment2, MOMENT2)]);
        }
        for (arena, prefix) in arenas {
            let words = store.read(gpu, arena)?;
            for (offset, spec) in &store.spec().parameters {
                let memory = &words[*offset..offset + spec.shape.len()];
                tensors.insert(format!("{prefix}{}", spec.name), (spec.disk_shape(), spec.to_disk(memory)));
            }
        }
        let words = store.read(gpu, Arena::State)?;
        for (offset, spec) in &store.spec().states {
            tensors.insert(spec.name.clone(), (vec![spec.len], words[*offset..offset + spec.len].to_vec()));
        }
        Ok(Self { header: Some(header), tensors, source: "this run".into() })
    }

    /// Writes the file: temporary file, sync, rename, so that a crash leaves the old one or the new one.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut views = Vec::with_capacity(self.tensors.len());
        for (name, (shape, values)) in &self.tensors {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            views.push((name.as_str(), view.map_err(|e| Error::run(format!("{}: {name}: {e}", path.display())))?));
        }
        let header = serde_json::to_string(&self.header).map_err(Error::run)?;
        let metadata = HashMap::from([(KEY.to_owned(), header)]);
        let bytes = safetensors::serialize(views, Some(metadata))
            .map_err(|e| Error::run(format!("{}: cannot be written ({e})", path.display())))?;
        write_atomically(path, |file| file.write_all(&bytes))
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing, cut off, or no safetensors file of f32 numbers.
    pub fn read(path: &Path) -> Result<Self> {
        let source = path.display().to_string();
        let bytes =
            std::fs::read(path).map_err(|e| Error::input(format!("checkpoint {source}: cannot be read ({e})")))?;
        let damaged = |e: &dyn std::fmt::Display| {
            Error::input(format!("checkpoint {source}: cut off or damaged ({e}); use another checkpoint of the run"))
        };
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(&e))?;
        let (_, metadata) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(&e))?;
        let header = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
        let header: Option<Header> =
            header.map(|json| serde_json::from_str(json)).transpose().map_err(|e| damaged(&e))?;
        if let Some(found) = header.as_ref().map(|h| h.format).filter(|&f| f != FORMAT) {
            let text = format!("checkpoint {source}: has format {found}, this version reads {FORMAT}");
            return Err(Error::input(text));
        }
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            // PyTorch counts batches in integers; nothing here needs the count.
            if name.ends_with("num_batches_tracked") {
                continue;
            }
            if view.dtype() != Dtype::F32 {
                let dtype = view.dtype();
                return Err(Error::input(format!("checkpoint {source}: {name} is {dtype:?}; save it as F32")));
            }
            let values = bytemuck::pod_collect_to_vec(view.data());
            tensors.insert(name.to_owned(), (view.shape().to_vec(), values));
        }
        Ok(Self { header, tensors, source })
    }

    /// Where it came from.
    pub fn source(&self) -> &str {
        &self.source
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
        self.compare(store.spec(), optimiser)?;
        let mut arenas = vec![(Arena::Parameters, "")];
        if optimiser {
            arenas.extend([(Arena::Moment1, MOMENT1), (Arena::Moment2, MOMENT2)]);
        }
        for (arena, prefix) in arenas {
            let mut words = vec![0.0; store.spec().parameter_words()];
            for (offset, spec) in &store.spec().parameters {
                let (_, disk) = &self.tensors[&format!("{prefix}{}", spec.name)];
                words[*offset..offset + spec.shape.len()].copy_from_slice(&spec.from_disk(disk));
            }
            store.write(gpu, arena, &words)?;
        }
        let mut words = vec![0.0; store.spec().state_words()];
        for (offset, spec) in &store.spec().states {
            words[*offset..offset + spec.len].copy_from_slice(&self.tensors[&spec.name].1);
        }
        if !words.is_empty() {
            store.write(gpu, Arena::State, &words)?;
        }
        Ok(())
    }

    fn compare(&self, spec: &Spec, optimiser: bool) -> Result<()> {
        let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (_, p) in &spec.parameters {
            wanted.insert(p.name.clone(), p.disk_shape());
            if optimiser {
                wanted.insert(format!("{MOMENT1}{}", p.name), p.disk_shape());
                wanted.insert(format!("{MOMENT2}{}", p.name), p.disk_shape());
            }
        }
        wanted.extend(spec.states.iter().map(|(_, s)| (s.name.clone(), vec![s.len])));
        let missing = wanted.keys().filter(|name| !self.tensors.contains_key(*name)).cloned();
        let known = |name: &str| wanted.contains_key(name) || name.starts_with("optimizer.");
        let unexpected = self.tensors.keys().filter(|name| !known(name)).cloned();
        let reshaped = wanted.iter().filter_map(|(name, shape)| {
            let (found, _) = self.tensors.get(name)?;
            (found != shape).then(|| format!("{name} is {found:?} instead of {shape:?}"))
        });
        let lists = [
            ("missing", missing.collect::<Vec<_>>()),
            ("unexpected", unexpected.collect()),
            ("shapes", reshaped.collect()),
        ];
        let complaints: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", names.join(", ")))
            .collect();
        if complaints.is_empty() {
            return Ok(());
        }
        let text = format!("checkpoint {} is of another network: {}", self.source, complaints.join("; "));
        Err(Error::input(text))
    }
}
