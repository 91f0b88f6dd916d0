//! A folder with a network to give away: weights, ONNX, timm's `config.json` and a model card.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::card::{Card, Trained};
use crate::claim;
use crate::file::{cannot_write, write_atomically};
use crate::weights::{Checkpoint, Exported, onnx, timm};
use crate::{Error, Result};

/// What the folder is marked as.
const MODEL: &str = "model";
const WEIGHTS: &str = "model.safetensors";
const ONNX: &str = "model.onnx";
const CONFIG: &str = "config.json";
const CARD: &str = "README.md";

/// The folder, before or after it is written.
pub struct ModelFolder {
    root: PathBuf,
}

/// What to write beside the card.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Contents {
    pub weights: bool,
    pub onnx: Option<onnx::Options>,
}

/// What was written, as `export --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Written {
    #[serde(serialize_with = "crate::shown::path")]
    pub folder: PathBuf,
    pub weights: Option<Exported>,
    pub onnx: Option<Exported>,
    #[serde(serialize_with = "crate::shown::path")]
    pub config: PathBuf,
    #[serde(serialize_with = "crate::shown::path")]
    pub card: PathBuf,
}

impl ModelFolder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Checks that it may be written. One that was written before is only replaced with `force`: its card may have been edited.
    ///
    /// # Errors
    /// [`Error::Input`] if it may not.
    pub fn check(&self, force: bool) -> Result<()> {
        claim::check(&self.root, MODEL, || false)?;
        let there: Vec<&str> =
            [WEIGHTS, ONNX, CONFIG, CARD].into_iter().filter(|name| self.file(name).exists()).collect();
        if there.is_empty() || force {
            return Ok(());
        }
        let (root, there) = (self.root.display(), there.join(", "));
        Err(Error::input(format!(
            "--out {root}: holds a model already ({there}); add --force to replace all of it, or name another folder"
        )))
    }

    /// Writes it all. What of an earlier model is not replaced is removed: the card would not be of it.
    ///
    /// # Errors
    /// As [`Self::check`]; [`Error::Input`] if another process is at work there, or the network does not fit an option.
    pub fn write(
        &self,
        checkpoint: &mut Checkpoint,
        trained: Option<&Trained>,
        contents: Contents,
        force: bool,
    ) -> Result<Written> {
        self.check(force)?;
        let _claim = claim::claim(&self.root, MODEL, || false)?;
        // ONNX first, as it may be refused.
        let onnx = contents.onnx.map(|options| checkpoint.export_onnx(&self.file(ONNX), options)).transpose()?;
        // timm's Inception has no auxiliary head, and what is trained is done with it.
        checkpoint.drop_auxiliary();
        let weights = contents.weights.then(|| checkpoint.export(&self.file(WEIGHTS))).transpose()?;
        for (name, written) in [(ONNX, onnx.is_some()), (WEIGHTS, weights.is_some())] {
            let file = self.file(name);
            if !written && file.exists() {
                fs::remove_file(&file).map_err(|e| cannot_write(&file, &e))?;
            }
        }
        let header = checkpoint.described()?;
        let (config, card) = (self.file(CONFIG), self.file(CARD));
        let text = serde_json::to_string_pretty(&timm::Config::of(header)?).map_err(Error::run)?;
        write_atomically(&config, |file| writeln!(file, "{text}"))?;
        let onnx_with = onnx.as_ref().zip(contents.onnx);
        let text = Card { header, trained, weights: weights.as_ref(), onnx: onnx_with }.text()?;
        write_atomically(&card, |file| file.write_all(text.as_bytes()))?;
        Ok(Written { folder: self.root.clone(), weights, onnx, config, card })
    }
}
