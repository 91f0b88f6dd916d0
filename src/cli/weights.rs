//! Arguments that say which weights: a run's best ones, or a file's.

use std::path::{Path, PathBuf};

use clap::Args;

use super::console;
use super::help::{NETWORK, choice, net, three, whole};
use super::hub::located;
use crate::data::Fit;
use crate::train::config::bounds::SIZE;
use crate::train::run::RunFolder;
use crate::weights::{About, Checkpoint, Pictures};
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
    /// How pictures become squares [default: the file's rule, else that of config.json beside it, else torchvision's]
    #[arg(long, visible_alias = "interpolation", value_parser = choice::<Fit>(), help_heading = NETWORK)]
    fit: Option<Fit>,
    /// Share of the resized picture's side that the network sees, from 0.05 to 1 [default: as --fit]
    #[arg(long, value_name = "SHARE", help_heading = NETWORK)]
    crop_pct: Option<f32>,
    /// Mean of red, green and blue that is taken off pixels of 0 to 1 [default: as --fit]
    #[arg(long, value_name = "R,G,B", value_parser = three, help_heading = NETWORK)]
    mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue that they are divided by [default: as --fit]
    #[arg(long, value_name = "R,G,B", value_parser = three, help_heading = NETWORK)]
    std: Option<[f32; 3]>,
}

impl AboutArguments {
    fn pictures(&self) -> Result<Pictures> {
        let &Self { mean, std, fit, crop_pct: crop, .. } = self;
        if let Some(crop) = crop.filter(|crop| !(0.05..=1.0).contains(crop)) {
            return Err(Error::input(format!("--crop-pct {crop}: must be from 0.05 to 1")));
        }
        if let Some(std) = std.filter(|std| std.iter().any(|&number| number <= 0.0)) {
            return Err(Error::input(format!("--std {std:?}: each must be above 0")));
        }
        Ok(Pictures { mean, std, fit, crop })
    }

    /// Reads a weights file and tells what came of it.
    pub fn read(&self, file: &Path) -> Result<Checkpoint> {
        let mut checkpoint = Checkpoint::read(file)?;
        let pictures = self.pictures()?;
        let about = About { net: self.net.as_deref(), size: self.size, labels: self.labels.as_deref(), pictures };
        for note in checkpoint.adopt(&about)?.into_iter().chain(checkpoint.notes()) {
            console::say(format!("note: {note}"));
        }
        Ok(checkpoint)
    }
}

/// A weights file instead of a run.
#[derive(Args, Clone)]
pub struct WeightsArguments {
    /// Weights instead of a run: a checkpoint, an exported file, one of torchvision's or timm's (safetensors or .pth), or the name of a
    /// repository of the Hugging Face Hub [default: the run's best]
    #[arg(long, value_name = "FILE|NAME", help_heading = NETWORK)]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    about: AboutArguments,
}

impl WeightsArguments {
    /// The weights, and the paths that follow: all of `paths`, or those after the run.
    pub fn checkpoint<'p>(&self, paths: &'p [PathBuf]) -> Result<(Checkpoint, &'p [PathBuf])> {
        if let Some(file) = &self.weights {
            return Ok((self.about.read(&located(file)?)?, paths));
        }
        let AboutArguments { net, size, labels, .. } = &self.about;
        if net.is_some() || size.is_some() || labels.is_some() || self.about.pictures()? != Pictures::default() {
            return Err(Error::input(
                "--net, --size, --labels, --fit, --crop-pct, --mean and --std describe a file and need --weights FILE; a run knows them",
            ));
        }
        let Some((run, rest)) = paths.split_first() else { return Err(Error::input("name a run, or --weights FILE")) };
        let run = RunFolder::open(run)?;
        let checkpoint = Checkpoint::read(&run.checkpoint()?)?;
        for note in run.takes_last().into_iter().chain(checkpoint.notes()) {
            console::say(format!("note: {note}"));
        }
        Ok((checkpoint, rest))
    }

    /// Like [`Self::checkpoint`], of several runs that are to answer together: all of `paths` up to the first that is no run.
    pub fn checkpoints<'p>(&self, paths: &'p [PathBuf]) -> Result<(Vec<Checkpoint>, &'p [PathBuf])> {
        let (first, mut rest) = self.checkpoint(paths)?;
        let mut all = vec![first];
        if self.weights.is_none() {
            while rest.first().is_some_and(|path| RunFolder::new(path).is_trained()) {
                let (next, others) = self.checkpoint(rest)?;
                all.push(next);
                rest = others;
            }
        }
        Ok((all, rest))
    }
}
