//! Starting from a weights file: what of it fits, decided before any picture is decoded.

use std::path::Path;

use gatefold_engine::gpu::Gpu;
use gatefold_engine::params::ParameterStore;

use crate::data::Fit;
use crate::nets::{Head, NetConfig, forward};
use crate::train::Config;
use crate::train::config::WeightsFile;
use crate::weights::{Checkpoint, Files, Preprocessing};
use crate::{Error, Result};

/// Weights that a new run starts from.
pub struct Pretrained {
    checkpoint: Checkpoint,
    classes: usize,
    /// What of the head does not fit, in words.
    left_out: Vec<String>,
    /// The normalisation that the weights are used to.
    mean: [f32; 3],
    std: [f32; 3],
    fit: Fit,
    /// Where they came from.
    pub file: WeightsFile,
}

impl Pretrained {
    /// Reads a file and holds it against the network of `config` for `classes` classes, whose head may differ.
    ///
    /// # Errors
    /// [`Error::Input`] if the file cannot be read or its trunk is of another network.
    pub fn read(path: &Path, config: &Config, classes: usize) -> Result<Self> {
        let source = path.display().to_string();
        let files = Files::read("--weights", path)?;
        let mut checkpoint = files.parse()?;
        let net = config.net_config(classes);
        let (mean, std, fit) = match &checkpoint.header {
            Some(header) if header.net.net != net.net => {
                let (theirs, ours) = (&header.net.net, &net.net);
                return Err(Error::input(format!(
                    "--weights {source}: is of another network, {theirs}, than the run's, {ours}; add --net {theirs}, or name \
                     another file"
                )));
            }
            Some(header) => (header.mean, header.std, header.fit),
            None => {
                let Preprocessing { mean, std, fit, .. } = Preprocessing::of_file(&net.net, path, config.said.fit)?;
                (mean, std, fit)
            }
        };
        let said = config.said;
        let (mean, std, fit) = (said.mean.unwrap_or(mean), said.std.unwrap_or(std), said.fit.unwrap_or(fit));
        let spec = forward::spec_frozen(&net, config.freeze.as_ref())?;
        if checkpoint.header.is_none() {
            checkpoint.unwrap(&spec);
        }
        if !net.head.layers().is_empty() {
            checkpoint.cut(&spec, &forward::spec(&NetConfig { head: Head::Linear, ..net.clone() }, true)?);
        }
        let theirs = checkpoint.header.as_ref().map(|header| header.net.head.clone());
        let left_out = checkpoint.compare_trunk(&spec, classes).map_err(|e| match theirs {
            Some(head) if head != net.head && !head.layers().is_empty() => Error::input(format!(
                "--weights {source}: its network ends where its head stands: add --head {head}, or a part of these layers"
            )),
            _ => e,
        })?;
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let file = WeightsFile { path, blake3: files.hash().to_hex().to_string() };
        Ok(Self { checkpoint, classes, left_out: left_out.notes, mean, std, fit, file })
    }

    /// What is left out and started anew, and how pictures are normalised, in words.
    pub fn notes(&self) -> Vec<String> {
        let source = self.checkpoint.source();
        let mut notes = self.checkpoint.notes();
        notes.extend(self.left_out.iter().map(|note| format!("{source}: {note}")));
        let (mean, std) = (self.mean, self.std);
        let fit = self.fit;
        notes.push(format!("{source}: pictures are made square by `{fit}` and normalised with mean {mean:?} and standard deviation {std:?}"));
        notes
    }

    /// The run's settings, with the pictures that the weights are used to.
    pub fn settings(&self, config: Config) -> Config {
        Config { mean: self.mean, std: self.std, fit: self.fit, ..config }
    }

    /// Puts what fits on the device, over the first values that are there.
    pub(super) fn apply(&self, gpu: &Gpu, store: &ParameterStore) -> Result<()> {
        self.checkpoint.overlay(gpu, store, self.classes)
    }
}
