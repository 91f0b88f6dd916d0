//! The settings of a training run as options, which `train` and `labels` share.

use std::path::{Path, PathBuf};

use clap::Args;

use super::help::{Choice, DATA, FINE_TUNING, NETWORK, OPTIMISER, SCHEDULE, choice, net, three, whole};
use super::hub;
use crate::data::{Columns, Fit, Labelling, Multi};
use crate::nets::{Freeze, Head, names};
use crate::train::config::Open;
use crate::train::config::bounds;
use crate::train::search::Free;
use crate::train::{Augmentation, ClassWeights, Config, Decay, Optimizer, Precision, Schedule};
use crate::weights::{Files, Pictures, timm};
use crate::{Error, Result};

/// All that a run is made of, but for its data and its folder.
#[derive(Args)]
pub struct Settings {
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    labelling: Labelling,
    /// Height and width of the network's input in pixels [default: chosen by what the adapter does in the time]
    #[arg(long, value_name = "PX", help_heading = DATA, value_parser = whole::<usize>(bounds::SIZE))]
    size: Option<usize>,
    /// How pictures become squares; weights to start from bring their own rule
    #[arg(long, visible_alias = "interpolation", value_parser = choice::<Fit>(), help_heading = DATA)]
    fit: Option<Fit>,
    /// Mean of red, green and blue that is taken off pixels of 0 to 1 [default: that of the weights to start from, else 0.5]
    #[arg(long, value_name = "R,G,B", value_parser = three, help_heading = DATA)]
    mean: Option<[f32; 3]>,
    /// Standard deviation of red, green and blue that they are divided by [default: that of the weights to start from, else 0.25]
    #[arg(long, value_name = "R,G,B", value_parser = three, help_heading = DATA)]
    std: Option<[f32; 3]>,
    /// Random changes in training, separated by commas: flip, shift=0.1 (of the side), crop=0.5 (up to half of the area is cut off),
    /// rotate=10 (degrees), colour=0.2 (brightness, contrast and saturation), randaugment=0.3 (two changes drawn from eleven, so far
    /// from 0 to 1), erase=0.25 (of the pictures lose a rectangle), mixup=0.2 (pictures and labels are mixed), cutmix=1 (a rectangle is another picture's), or none
    #[arg(long, value_name = "CHANGES", help_heading = DATA)]
    augment: Option<Augmentation>,
    /// Show each class equally often
    #[arg(long, help_heading = DATA)]
    balance: bool,

    /// Recipe or TOML file with settings; other options override it
    #[arg(long, value_name = "NAME|FILE", help_heading = NETWORK)]
    pub recipe: Option<String>,
    /// The network to train [default: that of the weights to start from, else chosen by what the adapter does in the time]
    #[arg(long, value_parser = net(), help_heading = NETWORK)]
    net: Option<String>,
    /// What stands on the trunk of torchvision's networks: `linear` on the means of its last map; `flatten`, two dense layers on all of
    /// that map; or a linear layer on the means of the maps of these layers, with which the network ends
    #[arg(long, value_name = "linear|flatten|LAYER,...", help_heading = NETWORK)]
    head: Option<Head>,
    /// Share that dropout layers drop
    #[arg(long, value_name = "SHARE", help_heading = NETWORK)]
    dropout: Option<f32>,
    /// Of resnets: share of the pictures for which the last residual branch is left out in training, of the branches before it in
    /// proportion fewer (stochastic depth)
    #[arg(long, value_name = "SHARE", help_heading = NETWORK)]
    stochastic_depth: Option<f32>,

    /// Pictures at a time [default: 32, of few covers 16]
    #[arg(long, value_name = "N", help_heading = OPTIMISER, value_parser = whole::<usize>(bounds::BATCH))]
    batch: Option<usize>,
    /// Batches per optimiser step: the gradient of a batch N times larger, in the memory of one (batch-norms see single batches)
    #[arg(long, value_name = "N", help_heading = OPTIMISER, value_parser = whole::<usize>(bounds::ACCUMULATE))]
    accumulate: Option<usize>,
    /// Let batch-norms take the statistics of all processes' batches, as if they were one batch; without it of each by itself
    #[arg(long, help_heading = OPTIMISER)]
    sync_batch_norm: bool,
    /// What makes a step of the gradients
    #[arg(long, visible_alias = "optimiser", value_parser = choice::<Optimizer>(), help_heading = OPTIMISER)]
    optimizer: Option<Optimizer>,
    /// Of sgd: how much of each step is in the next one
    #[arg(long, value_name = "SHARE", help_heading = OPTIMISER)]
    momentum: Option<f32>,
    /// Learning rate, of sgd 0.05 unless said, the peak of a schedule; `auto` tries rates first, for less than a minute, as `gatefold lr` does
    #[arg(long, value_name = "RATE|auto", value_parser = rate, help_heading = OPTIMISER)]
    lr: Option<Rate>,
    /// Weight decay: decoupled, of sgd a part of the gradient and 0.0005 unless said
    #[arg(long, value_name = "DECAY", help_heading = OPTIMISER)]
    weight_decay: Option<f32>,
    /// What weight decay is for
    #[arg(long, value_parser = choice::<Decay>(), help_heading = OPTIMISER)]
    decay: Option<Decay>,
    /// Scale the gradient down where its norm is larger than this [default: never]
    #[arg(long, value_name = "NORM", help_heading = OPTIMISER)]
    clip: Option<f32>,
    /// Share of each label that is spread over all classes
    #[arg(long, value_name = "SHARE", help_heading = OPTIMISER)]
    label_smoothing: Option<f32>,
    /// How much the loss counts covers
    #[arg(long, value_parser = choice::<ClassWeights>(), help_heading = OPTIMISER)]
    class_weights: Option<ClassWeights>,
    /// In how many bits feature maps and their gradients are kept
    #[arg(long, value_parser = choice::<Precision>(), help_heading = OPTIMISER)]
    precision: Option<Precision>,
    /// Decides the split, the first weights, the order, augmentation and dropout
    #[arg(long, value_name = "N", help_heading = OPTIMISER, value_parser = whole::<u64>(bounds::SEED))]
    pub seed: Option<u64>,

    /// Times that all covers are shown [default: chosen, by the covers and what 35 minutes have room for]
    #[arg(long, value_name = "N", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    epochs: Option<u64>,
    /// As many epochs as this time has room for, from what a few steps take at the start; decoding and the score count, the report does
    /// not. The run's config.toml then says how many, and --resume keeps to it [default: --epochs]
    #[arg(long, value_name = "MINUTES", conflicts_with = "epochs", help_heading = SCHEDULE)]
    minutes: Option<f64>,
    /// Stop when the best epoch on the validation set lies this many epochs back [default: never]
    #[arg(long, value_name = "EPOCHS", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    patience: Option<u64>,
    /// Score and keep the mean of the weights of so many last epochs (stochastic weight averaging) [default: each epoch's own]
    #[arg(long, value_name = "EPOCHS", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    average: Option<u64>,
    /// Score and keep an average of the weights over the steps, of which so much stays after each: 0.99 remembers the last hundred
    /// [default: each epoch's own]
    #[arg(long, value_name = "DECAY", help_heading = SCHEDULE)]
    ema: Option<f32>,
    /// Side of the pictures in the first half of the epochs, which then take less time (progressive resizing); those of validation and
    /// test have --size [default: --size]
    #[arg(long, value_name = "PX", help_heading = SCHEDULE, value_parser = whole::<usize>(bounds::SIZE))]
    start_size: Option<usize>,
    /// How the learning rate changes over the run
    #[arg(long, value_parser = choice::<Schedule>(), help_heading = SCHEDULE)]
    schedule: Option<Schedule>,
    /// Optimiser steps over which the rate rises in a straight line; not for one-cycle, which rises by itself
    #[arg(long, value_name = "STEPS", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::WARMUP))]
    warmup: Option<u64>,
    /// Epochs between two drops of the step schedule, for which it is required
    #[arg(long, value_name = "EPOCHS", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    step_every: Option<u64>,
    /// What each drop of the step schedule multiplies the rate by
    #[arg(long, value_name = "FACTOR", help_heading = SCHEDULE)]
    step_factor: Option<f32>,

    /// Leave the first layers as they are: `trunk`, or all up to a layer (`explain --layer list` prints the names). They cost
    /// no backward pass and no gradient memory. Their batch-norms use their running statistics and leave them alone
    /// [default: train all layers]
    #[arg(long, value_name = "trunk|LAYER", help_heading = FINE_TUNING)]
    freeze: Option<String>,
    /// Compute what the frozen layers make of so many changed versions of each cover once, keep it, and take one version after the
    /// other in later epochs, which then cost what is trained [default: 1 with --augment none, else anew in each epoch]
    #[arg(long, value_name = "N", help_heading = FINE_TUNING, value_parser = whole::<u64>(bounds::VIEWS))]
    views: Option<u64>,
    /// Let all batch-norms use their running statistics and leave them alone; what they scale and shift by is still trained
    #[arg(long, help_heading = FINE_TUNING)]
    freeze_statistics: bool,
    /// What the rate is multiplied by for the trunk, all layers before the head; 0.1 is usual in fine-tuning
    #[arg(long, value_name = "FACTOR", help_heading = FINE_TUNING)]
    trunk_lr: Option<f32>,
}

/// A learning rate, or that one is to be found.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rate {
    Of(f32),
    Auto,
}

fn rate(text: &str) -> Result<Rate, String> {
    match text {
        "auto" => Ok(Rate::Auto),
        _ => text.parse().map(Rate::Of).map_err(|_| "must be a number above 0, such as 0.002, or auto".to_owned()),
    }
}

impl Choice for Precision {
    const WHAT: &'static str = "precision";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("f32", "All in 32 bits", Self::F32),
        ("mixed", "16 bits, half the memory and traffic; parameters, sums and the loss stay in 32", Self::Mixed),
    ];
}

impl Choice for Optimizer {
    const WHAT: &'static str = "optimizer";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("adam", "Adam with decoupled weight decay (AdamW)", Self::Adam),
        ("sgd", "Gradient descent with Nesterov's momentum", Self::Sgd),
    ];
}

impl Choice for Decay {
    const WHAT: &'static str = "kind";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("all", "All parameters", Self::All),
        ("weights", "Not biases, nor what batch-norms scale and shift by", Self::Weights),
    ];
}

impl Choice for ClassWeights {
    const WHAT: &'static str = "rule";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("none", "All the same", Self::None),
        ("auto", "Each class the same in all, so that a cover of a rare class counts more", Self::Auto),
    ];
}

impl Choice for Schedule {
    const WHAT: &'static str = "schedule";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("constant", "The same all the time", Self::Constant),
        ("cosine", "Half a cosine from the rate down to 0", Self::Cosine),
        ("one-cycle", "Up over the first 30 % of the steps, then down to almost 0", Self::OneCycle),
        ("step", "Multiplied by a factor every so many epochs", Self::Step),
    ];
}

/// The settings, and weights to start from, of commands that train as `train` does.
#[derive(Args)]
pub struct Start {
    #[command(flatten)]
    pub settings: Settings,
    /// Start from these weights, as `train --weights` does [default: random first values]
    #[arg(long, value_name = "FILE|NAME", help_heading = FINE_TUNING)]
    pub weights: Option<PathBuf>,
}

impl Start {
    /// With the file that --weights means, and the network that lies in it if none is named.
    ///
    /// # Errors
    /// As [`Settings::located`].
    pub fn locate(&mut self) -> Result<()> {
        if let Some(weights) = &self.weights {
            self.weights = Some(self.settings.located(weights)?);
        }
        Ok(())
    }
}

impl Settings {
    /// Defaults, then the recipe, then the options; not checked yet.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such recipe, or it is of a run whose schedule was restarted.
    pub fn config(&self) -> Result<Config> {
        let mut config = self.recipe.as_deref().map_or_else(|| Ok(Config::default()), Config::recipe)?;
        config.run = None;
        if let Some(optimizer) = self.optimizer.filter(|optimizer| *optimizer != config.optimizer) {
            // Those of the other one suit it badly; what is said comes after.
            (config.lr, config.weight_decay) = (optimizer.usual_rate(), optimizer.usual_decay());
        }
        if config.schedule_from > 0 {
            return Err(Error::input(
                "--recipe: its schedule_from is of a run that was resumed and restarted its schedule; remove that line for a new run",
            ));
        }
        self.override_in(&mut config);
        if self.recipe.is_none() {
            config.open = Open {
                net: self.net.is_none(),
                size: self.size.is_none(),
                batch: self.batch.is_none(),
                epochs: self.epochs.is_none() && self.minutes.is_none(),
                tuning: !self.says_tuning(),
                lr: false,
            };
        }
        config.open.lr = self.wants_rate();
        // A recipe has said what differs from the defaults.
        let usual = Config::default();
        config.said = Pictures {
            mean: self.mean.or((config.mean != usual.mean).then_some(config.mean)),
            std: self.std.or((config.std != usual.std).then_some(config.std)),
            fit: self.fit.or((config.fit != usual.fit).then_some(config.fit)),
            crop: None,
        };
        Ok(config)
    }

    pub fn says_rate(&self) -> bool {
        self.lr.is_some()
    }

    /// Whether a rate is to be found.
    pub fn wants_rate(&self) -> bool {
        self.lr == Some(Rate::Auto)
    }

    /// What of the settings that a search varies was not said.
    pub fn free(&self) -> Free {
        let Self { lr, weight_decay, dropout, augment, .. } = self;
        let (lr, weight_decay) = (lr.is_none(), weight_decay.is_none());
        Free { lr, weight_decay, dropout: dropout.is_none(), augment: augment.is_none() }
    }

    /// Whether anything is said of how weights to start from are trained further.
    fn says_tuning(&self) -> bool {
        let numbers = [self.trunk_lr, self.weight_decay, self.label_smoothing, self.dropout, self.stochastic_depth];
        numbers.iter().any(Option::is_some)
            || self.says_rate()
            || self.optimizer.is_some()
            || self.head.is_some()
            || self.freeze.is_some()
            || self.freeze_statistics
            || self.views.is_some()
            || self.augment.is_some()
    }

    /// The file that `--weights` means. If neither an option nor a recipe says which network, the one that lies in it is taken: as
    /// the file beside it says, or as its names and shapes do.
    ///
    /// # Errors
    /// As [`hub::located`], and if its network is not known here.
    pub fn located(&mut self, weights: &Path) -> Result<PathBuf> {
        let file = hub::located(weights)?;
        if self.net.is_none() && self.recipe.is_none() {
            self.net = match timm::net_beside(&file)? {
                Some(net) => Some(net),
                None => Some(Files::read("--weights", &file)?.parse()?.network()?.ok_or_else(|| {
                    let (file, known) = (file.display(), names());
                    Error::input(format!(
                        "--weights {file}: its layers are those of none of the networks here ({known}); take others, or say --net to \
                         see in what they differ"
                    ))
                })?),
            };
        }
        Ok(file)
    }

    /// Puts what was given into a configuration.
    pub fn override_in(&self, config: &mut Config) {
        fn set<T: Clone>(to: &mut T, option: &Option<T>) {
            if let Some(value) = option {
                *to = value.clone();
            }
        }
        set(&mut config.net, &self.net);
        set(&mut config.head, &self.head);
        set(&mut config.size, &self.size);
        set(&mut config.fit, &self.fit);
        set(&mut config.mean, &self.mean);
        set(&mut config.std, &self.std);
        set(&mut config.batch, &self.batch);
        set(&mut config.accumulate, &self.accumulate);
        set(&mut config.precision, &self.precision);
        set(&mut config.epochs, &self.epochs);
        set(&mut config.optimizer, &self.optimizer);
        set(&mut config.decay, &self.decay);
        set(&mut config.momentum, &self.momentum);
        if let Some(Rate::Of(lr)) = self.lr {
            config.lr = lr;
        }
        set(&mut config.schedule, &self.schedule);
        set(&mut config.warmup, &self.warmup);
        set(&mut config.trunk_lr, &self.trunk_lr);
        config.freeze_statistics |= self.freeze_statistics;
        config.sync_batch_norm |= self.sync_batch_norm;
        config.balance |= self.balance;
        set(&mut config.class_weights, &self.class_weights);
        config.minutes = self.minutes.or(config.minutes);
        if self.epochs.is_some() {
            config.minutes = None;
        }
        config.views = self.views.or(config.views);
        if let Some(layer) = &self.freeze {
            config.freeze = Some(Freeze::from(layer.clone()));
        }
        set(&mut config.weight_decay, &self.weight_decay);
        set(&mut config.label_smoothing, &self.label_smoothing);
        set(&mut config.augment, &self.augment);
        set(&mut config.dropout, &self.dropout);
        set(&mut config.stochastic_depth, &self.stochastic_depth);
        set(&mut config.seed, &self.seed);
        if !self.columns.group.is_empty() {
            config.columns.group.clone_from(&self.columns.group);
        }
        fn set_if_given<T: Clone>(to: &mut Option<T>, option: &Option<T>) {
            if option.is_some() {
                to.clone_from(option);
            }
        }
        set_if_given(&mut config.columns.path, &self.columns.path);
        set_if_given(&mut config.columns.label, &self.columns.label);
        set_if_given(&mut config.columns.split_column, &self.columns.split_column);
        set_if_given(&mut config.columns.images, &self.columns.images);
        let Labelling { map, without, min_covers, multi } = &self.labelling;
        set_if_given(&mut config.labelling.min_covers, min_covers);
        if !map.is_empty() {
            config.labelling.map.clone_from(map);
        }
        if !without.is_empty() {
            config.labelling.without.clone_from(without);
        }
        if *multi != Multi::default() {
            config.labelling.multi = *multi;
        }
        set_if_given(&mut config.patience, &self.patience);
        set_if_given(&mut config.average, &self.average);
        set_if_given(&mut config.ema, &self.ema);
        set_if_given(&mut config.start_size, &self.start_size);
        set_if_given(&mut config.step_every, &self.step_every);
        set_if_given(&mut config.step_factor, &self.step_factor);
        set_if_given(&mut config.clip, &self.clip);
    }
}
