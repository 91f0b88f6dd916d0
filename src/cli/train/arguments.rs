//! What `gatefold train` takes, and the settings that come of it.

use std::path::PathBuf;

use clap::Args;

use crate::cli::GpuArguments;
use crate::cli::data::{ColumnArguments, parse_fit};
use crate::data::{Fit, parse_ratios};
use crate::nets::{Freeze, Head};
use crate::train::tuning::When;
use crate::train::{Augmentation, ClassWeights, Config, Precision, Schedule};
use crate::{Error, Result};

/// Train a network and score it on the test set
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, or an imported data set
    #[arg(required_unless_present_all = ["dry_run", "classes"])]
    pub data: Option<PathBuf>,
    /// Run folder to write
    #[arg(long, required_unless_present = "dry_run")]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint in --out, with that run's settings (--epochs may be raised)
    #[arg(long)]
    pub resume: bool,
    /// Network
    #[arg(long)]
    net: Option<String>,
    /// On the trunk of torchvision's networks: global pooling and a linear layer, or flatten and two dense layers
    #[arg(long, value_name = "linear|flatten")]
    head: Option<Head>,
    /// Start from these weights: a checkpoint, an exported file, or one of torchvision's or timm's (safetensors). A head of
    /// another class count is left out
    #[arg(long, value_name = "FILE", conflicts_with = "resume")]
    pub weights: Option<PathBuf>,
    /// Built-in recipe (prog-rock, shazzzam-resnet50, shazzzam-densenet169, shazzzam-inception3) or TOML file; other options
    /// override it
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Height and width of the network's input in pixels
    #[arg(long)]
    size: Option<usize>,
    /// How pictures become squares: crop the centre, or pad with black
    #[arg(long, value_name = "crop|pad", value_parser = parse_fit)]
    fit: Option<Fit>,
    /// Pictures at a time
    #[arg(long)]
    batch: Option<usize>,
    /// Batches per optimiser step: the gradient of a batch N times larger, in the memory of one (batch-norms see single batches)
    #[arg(long, value_name = "N")]
    accumulate: Option<usize>,
    /// `mixed` keeps feature maps and their gradients in 16 bits: half the memory and traffic. Parameters, sums and the loss stay in
    /// 32 bits
    #[arg(long)]
    precision: Option<Precision>,
    #[arg(long)]
    epochs: Option<u64>,
    /// Stop when the best epoch on the validation set lies this many epochs back
    #[arg(long, value_name = "EPOCHS")]
    patience: Option<u64>,
    /// Learning rate of Adam; the peak of a schedule
    #[arg(long)]
    lr: Option<f32>,
    #[arg(long)]
    schedule: Option<Schedule>,
    /// Optimiser steps over which the rate rises in a straight line; not for one-cycle, which rises by itself
    #[arg(long, value_name = "STEPS")]
    warmup: Option<u64>,
    /// Epochs between two drops of the step schedule
    #[arg(long, value_name = "EPOCHS")]
    step_every: Option<u64>,
    /// What each drop of the step schedule multiplies the rate by [default: 0.1]
    #[arg(long, value_name = "FACTOR")]
    step_factor: Option<f32>,
    /// What the rate is multiplied by for the trunk, all layers before the head; 0.1 is usual in fine-tuning
    #[arg(long, value_name = "FACTOR")]
    trunk_lr: Option<f32>,
    /// Scale the gradient down where its norm is larger than this
    #[arg(long, value_name = "NORM")]
    clip: Option<f32>,
    /// Leave the first layers as they are: `trunk`, or all up to a layer (`explain --layer list` prints the names). They cost
    /// no backward pass and no gradient memory. Their batch-norms use their running statistics and leave them alone
    #[arg(long, value_name = "trunk|LAYER")]
    freeze: Option<String>,
    /// Let all batch-norms use their running statistics and leave them alone; what they scale and shift by is still trained
    #[arg(long)]
    freeze_statistics: bool,
    /// Decoupled weight decay
    #[arg(long)]
    weight_decay: Option<f32>,
    #[arg(long)]
    label_smoothing: Option<f32>,
    /// How much the loss counts covers: all the same, or (auto) those of rare classes more
    #[arg(long)]
    class_weights: Option<ClassWeights>,
    /// Show each class equally often
    #[arg(long)]
    balance: bool,
    /// Random changes in training, separated by commas: flip, shift=0.1 (of the side), colour=0.2 (brightness, contrast and
    /// saturation), erase=0.25 (of the pictures lose a rectangle), or none
    #[arg(long)]
    augment: Option<Augmentation>,
    /// Share that dropout layers drop
    #[arg(long)]
    dropout: Option<f32>,
    /// Train, validation and test in percent (two numbers: train and test)
    #[arg(long, value_name = "70,15,15")]
    split: Option<String>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Decides the split, the first weights, the order, augmentation and dropout
    #[arg(long)]
    seed: Option<u64>,
    /// Train once with each of these seeds, on one split, into RUN/seed-1 and so on; the scores' mean and deviation are told.
    /// The split is that of --seed
    #[arg(long, value_name = "1,2,3", value_delimiter = ',', conflicts_with = "dry_run")]
    pub seeds: Vec<u64>,
    /// Leave out the event files for TensorBoard (RUN/tensorboard)
    #[arg(long)]
    pub no_tensorboard: bool,
    /// Print what the run needs (parameters, memory, largest tensors, launches, operations) and stop
    #[arg(long)]
    pub dry_run: bool,
    /// Number of classes, for a --dry-run without DATA
    #[arg(long, value_name = "N")]
    pub classes: Option<usize>,
    /// Print one JSON object at the end
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub tuning: TuningArguments,
    #[command(flatten)]
    pub gpu: GpuArguments,
}

/// Whether to look for the fastest kernels first.
#[derive(Args, Clone, Copy, Default)]
pub struct TuningArguments {
    /// Try all kernels on this adapter first, for at most 20 seconds, also on a software adapter; what is found is kept for the
    /// next time
    #[arg(long, conflicts_with = "no_tune")]
    tune: bool,
    /// Take the kernels that a rule of thumb names; software adapters do so anyway
    #[arg(long)]
    no_tune: bool,
}

impl TuningArguments {
    pub fn when(self) -> When {
        match self {
            Self { tune: true, .. } => When::Always,
            Self { no_tune: true, .. } => When::Never,
            _ => When::OnGpus,
        }
    }
}

impl Arguments {
    /// Whether a seed was named.
    pub fn has_seed(&self) -> bool {
        self.seed.is_some()
    }

    /// Defaults, then the recipe, then the options.
    pub fn config(&self) -> Result<Config> {
        let mut config = self.recipe.as_deref().map_or_else(|| Ok(Config::default()), Config::recipe)?;
        config.run = None;
        self.override_with_options(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn override_with_options(&self, config: &mut Config) -> Result<()> {
        fn set<T: Clone>(to: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *to = value.clone();
            }
        }
        set(&mut config.net, &self.net);
        set(&mut config.head, &self.head);
        set(&mut config.size, &self.size);
        set(&mut config.fit, &self.fit);
        set(&mut config.batch, &self.batch);
        set(&mut config.accumulate, &self.accumulate);
        set(&mut config.precision, &self.precision);
        set(&mut config.epochs, &self.epochs);
        set(&mut config.lr, &self.lr);
        set(&mut config.schedule, &self.schedule);
        set(&mut config.warmup, &self.warmup);
        set(&mut config.trunk_lr, &self.trunk_lr);
        config.freeze_statistics |= self.freeze_statistics;
        config.balance |= self.balance;
        set(&mut config.class_weights, &self.class_weights);
        if let Some(layer) = &self.freeze {
            config.freeze = Some(Freeze::from(layer.clone()));
        }
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.label_smoothing, &self.label_smoothing);
        set(&mut config.augment, &self.augment);
        set(&mut config.dropout, &self.dropout);
        set(&mut config.seed, &self.seed);
        set(&mut config.group, &self.columns.group);
        if let Some(split) = &self.split {
            config.split = Some(parse_ratios(split)?);
        }
        fn set_if_given<T: Clone>(to: &mut Option<T>, option: &Option<T>) {
            if option.is_some() {
                to.clone_from(option);
            }
        }
        set_if_given(&mut config.path, &self.columns.path);
        set_if_given(&mut config.label, &self.columns.label);
        set_if_given(&mut config.split_column, &self.columns.split_column);
        set_if_given(&mut config.patience, &self.patience);
        set_if_given(&mut config.step_every, &self.step_every);
        set_if_given(&mut config.step_factor, &self.step_factor);
        set_if_given(&mut config.clip, &self.clip);
        Ok(())
    }

    /// A run's own settings; options may repeat them, and raise the number of epochs.
    ///
    /// # Errors
    /// [`Error::Input`] if an option says otherwise.
    pub fn resumed(&self, stored: &Config) -> Result<Config> {
        let mut wanted = stored.clone();
        self.override_with_options(&mut wanted)?;
        let epochs = wanted.epochs;
        if epochs < stored.epochs {
            return Err(Error::input(format!(
                "--epochs {epochs}: the run was made for {}; name at least as many",
                stored.epochs
            )));
        }
        wanted.epochs = stored.epochs;
        if self.recipe.is_some() || wanted != *stored {
            let text = "--resume: other options than in the run's config.toml; leave them out, or start a new run";
            return Err(Error::input(text));
        }
        Ok(Config { epochs, ..stored.clone() })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        arguments: Arguments,
    }

    #[test]
    fn settings_come_back_from_the_options_that_they_make() {
        let mut changed = Config { net: "resnet50".into(), size: 96, lr: 0.1, balance: true, ..Config::default() };
        changed.split = Some(parse_ratios("80,0,20").unwrap());
        changed.augment = "flip,shift=0.25".parse().unwrap();
        (changed.schedule, changed.step_every, changed.step_factor) = (Schedule::Step, Some(3), Some(0.3));
        (changed.fit, changed.head, changed.clip) = (Fit::Pad, Head::Flatten, Some(1.5));
        (changed.class_weights, changed.freeze) = (ClassWeights::None, Some(Freeze::from("layer2".to_owned())));
        (changed.group, changed.label) = (vec!["artist".into(), "the album".into()], Some("genre".into()));
        (changed.precision, changed.seed, changed.freeze_statistics) = (Precision::Mixed, 7, true);
        for config in [Config::default(), changed] {
            let options = config.options().unwrap();
            let words = ["train", "covers", "--out", "run"].map(str::to_owned).into_iter().chain(options.clone());
            assert_eq!(Line::try_parse_from(words).unwrap().arguments.config().unwrap(), config, "{options:?}");
        }
        assert_eq!(Config { batch_norm: false, ..Config::default() }.options(), None);
        assert_eq!(Config { mean: [0.4; 3], ..Config::default() }.options(), None);
    }
}
