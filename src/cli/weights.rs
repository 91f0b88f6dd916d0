//! Arguments that say which weights: a run's best ones, or a file's.

use std::path::{Path, PathBuf};

use clap::Args;

use super::console;
use super::help::{NETWORK, net, whole};
use crate::train::config::bounds::SIZE;
use crate::train::run::RunFolder;
use crate::weights::{About, Checkpoint};
use crate::{Error, Result};

/// What a weights file does not say of itself, if another program wrote it.
#[derive(Args, Clone)]
pub struct AboutArguments {
    /// Network that the file is of [default: what the file says]
    #[arg(long, value_parser = net(), help_heading = NETWORK)]
    net: Option<String>,
    /// Height and width of the network's input in pixels [default: the file's, or the network's usual one]
    #[arg(long, help_heading = NETWORK, value_parser = whole::<usize>(SIZE))]
    size: Option<usize>,
    /// Class names in the order of the outputs, a text file with one a line [default: the file's, or 0, 1, …]
    #[arg(long, value_name = "FILE", help_heading = NETWORK)]
    labels: Option<PathBuf>,
}

impl AboutArguments {
    /// Reads a weights file and tells what came of it.
    pub fn read(&self, file: &Path) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::read(file)?;
        let about = About { net: self.net.as_deref(), size: self.size, labels: self.labels.as_deref() };
        for note in checkpoint.adopt(&about)?.into_iter().chain(checkpoint.note()) {
            console::say(format!("note: {note}"));
        }
        Ok(checkpoint)
    }
}

/// A weights file instead of a run.
#[derive(Args, Clone)]
pub struct WeightsArguments {
    /// Weights instead of a run: a checkpoint, an exported file, or one of torchvision's or timm's (safetensors) [default: the
    /// run's best]
    #[arg(long, value_name = "FILE", help_heading = NETWORK)]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    about: AboutArguments,
}

impl WeightsArguments {
    /// The weights, and the paths that follow: all of `paths`, or those after the run.
    pub fn checkpoint<'p>(&self, paths: &'p [PathBuf]) -> Result<(Checkpoint, &'p [PathBuf])> {
        if let Some(file) = &self.weights {
            return Ok((self.about.read(file)?, paths));
        }
        let AboutArguments { net, size, labels } = &self.about;
        if net.is_some() || size.is_some() || labels.is_some() {
            return Err(Error::input(
                "--net, --size and --labels describe a file and need --weights FILE; a run knows them",
            ));
        }
        let Some((run, rest)) = paths.split_first() else { return Err(Error::input("name a run, or --weights FILE")) };
        let run = RunFolder::open(run)?;
        let checkpoint = Checkpoint::read(&run.checkpoint()?)?;
        for note in run.takes_last().into_iter().chain(checkpoint.note()) {
            console::say(format!("note: {note}"));
        }
        Ok((checkpoint, rest))
    }
}
