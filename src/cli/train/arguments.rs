//! What `gatefold train` takes, and the settings that come of it.

use std::path::{Path, PathBuf};

use clap::Args;
use gatefold_engine::hint::quoted;

use crate::cli::GpuArguments;
use crate::cli::help::{
    Choice, DATA, FINE_TUNING, HARDWARE, NETWORK, OPTIMISER, OUTPUT, SCHEDULE, choice, net, three, whole,
};
use crate::data::{Columns, Fit, Labelling, Multi, parse_ratios};
use crate::nets::{Freeze, Head};
use crate::train::config::bounds;
use crate::train::resume::{Wish, settings};
use crate::train::tuning::When;
use crate::train::{Augmentation, ClassWeights, Config, Precision, Schedule};
use crate::weights::Pictures;
use crate::{Error, Result};

/// Train a network and score it on the test set
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, or an imported data set
    #[arg(required_unless_present_all = ["dry_run", "classes"])]
    pub data: Option<PathBuf>,

    /// Train, validation and test in percent; two numbers: train and test [default: the sets that DATA has, else 70,15,15]
    #[arg(long, value_name = "70,15,15", help_heading = DATA)]
    split: Option<String>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    labelling: Labelling,
    /// Height and width of the network's input in pixels
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
    /// Random changes in training, separated by commas: flip, shift=0.1 (of the side), colour=0.2 (brightness, contrast and
    /// saturation), erase=0.25 (of the pictures lose a rectangle), or none
    #[arg(long, value_name = "CHANGES", help_heading = DATA)]
    augment: Option<Augmentation>,
    /// Show each class equally often
    #[arg(long, help_heading = DATA)]
    balance: bool,
    /// Number of classes, for a --dry-run without DATA [default: those of DATA]
    #[arg(long, value_name = "N", help_heading = DATA, value_parser = whole::<usize>(bounds::CLASSES))]
    pub classes: Option<usize>,

    /// Recipe or TOML file with settings; other options override it
    #[arg(long, value_name = "NAME|FILE", help_heading = NETWORK)]
    recipe: Option<String>,
    /// The network to train
    #[arg(long, value_parser = net(), help_heading = NETWORK)]
    net: Option<String>,
    /// What stands on the trunk of torchvision's networks
    #[arg(long, value_parser = choice::<Head>(), help_heading = NETWORK)]
    head: Option<Head>,
    /// Share that dropout layers drop
    #[arg(long, value_name = "SHARE", help_heading = NETWORK)]
    dropout: Option<f32>,

    /// Pictures at a time
    #[arg(long, value_name = "N", help_heading = OPTIMISER, value_parser = whole::<usize>(bounds::BATCH))]
    batch: Option<usize>,
    /// Batches per optimiser step: the gradient of a batch N times larger, in the memory of one (batch-norms see single batches)
    #[arg(long, value_name = "N", help_heading = OPTIMISER, value_parser = whole::<usize>(bounds::ACCUMULATE))]
    accumulate: Option<usize>,
    /// Learning rate of Adam; the peak of a schedule
    #[arg(long, value_name = "RATE", help_heading = OPTIMISER)]
    lr: Option<f32>,
    /// Decoupled weight decay
    #[arg(long, value_name = "DECAY", help_heading = OPTIMISER)]
    weight_decay: Option<f32>,
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
    seed: Option<u64>,
    /// Train once with each of these seeds, on the one split of --seed, into RUN/seed-1 and so on; prints the scores' mean and
    /// standard deviation [default: one run]
    #[arg(long, value_name = "1,2,3", value_delimiter = ',', conflicts_with = "dry_run", help_heading = OPTIMISER, value_parser = whole::<u64>(bounds::SEED))]
    pub seeds: Vec<u64>,

    /// Times that all covers are shown
    #[arg(long, value_name = "N", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    epochs: Option<u64>,
    /// Stop when the best epoch on the validation set lies this many epochs back [default: never]
    #[arg(long, value_name = "EPOCHS", help_heading = SCHEDULE, value_parser = whole::<u64>(bounds::EPOCHS))]
    patience: Option<u64>,
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

    /// With --resume: restart the schedule, over the epochs that are left
    #[arg(long, requires = "resume", help_heading = SCHEDULE)]
    restart_schedule: bool,

    /// Start from these weights: a checkpoint, an exported file, or one of torchvision's or timm's (safetensors or .pth). A head of
    /// another class count is left out [default: random first values]
    #[arg(long, value_name = "FILE", conflicts_with = "resume", help_heading = FINE_TUNING)]
    pub weights: Option<PathBuf>,
    /// Leave the first layers as they are: `trunk`, or all up to a layer (`explain --layer list` prints the names). They cost
    /// no backward pass and no gradient memory. Their batch-norms use their running statistics and leave them alone
    /// [default: train all layers]
    #[arg(long, value_name = "trunk|LAYER", help_heading = FINE_TUNING)]
    freeze: Option<String>,
    /// Let all batch-norms use their running statistics and leave them alone; what they scale and shift by is still trained
    #[arg(long, help_heading = FINE_TUNING)]
    freeze_statistics: bool,
    /// What the rate is multiplied by for the trunk, all layers before the head; 0.1 is usual in fine-tuning
    #[arg(long, value_name = "FACTOR", help_heading = FINE_TUNING)]
    trunk_lr: Option<f32>,

    /// Run folder to write; required but for --dry-run
    #[arg(long, value_name = "RUN", required_unless_present = "dry_run", help_heading = OUTPUT)]
    pub out: Option<PathBuf>,
    /// Go on from the last checkpoint in --out, with that run's settings. --epochs may be raised, and with it --schedule
    /// may change, and then --lr
    #[arg(long, help_heading = OUTPUT)]
    pub resume: bool,
    /// Leave out the event files for TensorBoard (RUN/tensorboard)
    #[arg(long, help_heading = OUTPUT)]
    pub no_tensorboard: bool,
    /// Print what the run needs (parameters, memory, largest tensors, launches, operations) and stop
    #[arg(long, help_heading = OUTPUT)]
    pub dry_run: bool,
    /// Print one JSON object at the end
    #[arg(long, help_heading = OUTPUT)]
    pub json: bool,

    #[command(flatten)]
    pub tuning: TuningArguments,
    #[command(flatten)]
    pub gpu: GpuArguments,
}

impl Choice for Head {
    const WHAT: &'static str = "head";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("linear", "Global average pooling and one linear layer", Self::Linear),
        ("flatten", "Flatten and two dense layers, as \"Shazzzam Cam\" has it", Self::Flatten),
    ];
}

impl Choice for Precision {
    const WHAT: &'static str = "precision";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("f32", "All in 32 bits", Self::F32),
        ("mixed", "16 bits, half the memory and traffic; parameters, sums and the loss stay in 32", Self::Mixed),
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

/// Whether to look for the fastest kernels first.
#[derive(Args, Clone, Copy, Default)]
pub struct TuningArguments {
    /// Try all kernels on this adapter first, for at most 20 seconds, also on a software adapter; what is found is kept for the
    /// next time
    #[arg(long, conflicts_with = "no_tune", help_heading = HARDWARE)]
    tune: bool,
    /// Take the kernels that a rule of thumb names; software adapters do so anyway
    #[arg(long, help_heading = HARDWARE)]
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

    /// The command that goes on with the run in `out`, ready to paste.
    pub fn go_on(&self, data: &Path, out: &Path) -> String {
        let (data, out) = (quoted(&data.display().to_string()), quoted(&out.display().to_string()));
        let mut command = format!("gatefold train {data} --out {out} --resume");
        if let Some(adapter) = &self.gpu.adapter {
            command += &format!(" --adapter {}", quoted(adapter));
        }
        command
    }

    /// Defaults, then the recipe, then the options.
    pub fn config(&self) -> Result<Config> {
        let mut config = self.recipe.as_deref().map_or_else(|| Ok(Config::default()), Config::recipe)?;
        config.run = None;
        if config.schedule_from > 0 {
            return Err(Error::input(
                "--recipe: its schedule_from is of a run that was resumed and restarted its schedule; remove that line for a new run",
            ));
        }
        self.override_with_options(&mut config)?;
        config.check()?;
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
        set(&mut config.mean, &self.mean);
        set(&mut config.std, &self.std);
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
        if !self.columns.group.is_empty() {
            config.columns.group.clone_from(&self.columns.group);
        }
        if let Some(split) = &self.split {
            config.split = Some(parse_ratios(split)?);
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
        set_if_given(&mut config.step_every, &self.step_every);
        set_if_given(&mut config.step_factor, &self.step_factor);
        set_if_given(&mut config.clip, &self.clip);
        Ok(())
    }

    /// A run's own settings after `done` epochs; options may repeat them, and change what [`settings`] allows.
    ///
    /// # Errors
    /// [`Error::Input`] if an option says otherwise.
    pub fn resumed(&self, stored: &Config, done: impl FnOnce() -> Result<u64>) -> Result<Config> {
        if let Some(recipe) = &self.recipe {
            let text =
                format!("--recipe {recipe}: a run that is resumed has its settings; leave it out, or start a new run");
            return Err(Error::input(text));
        }
        let mut wanted = stored.clone();
        self.override_with_options(&mut wanted)?;
        // Only a fresh schedule asks, and the answer lies in the whole checkpoint.
        let done = if self.restart_schedule { done()? } else { 0 };
        settings(stored, &wanted, Wish { restart_schedule: self.restart_schedule }, done)
    }

    /// [`Self::resumed`] for several runs, which differ in the epochs that are done: there may only be more of them.
    ///
    /// # Errors
    /// As there.
    pub fn all_resumed(&self, stored: &Config) -> Result<Config> {
        let config = self.resumed(stored, || Ok(0))?;
        if self.restart_schedule || config != (Config { epochs: config.epochs, ..stored.clone() }) {
            return Err(Error::input(
                "--resume: of several seeds only --epochs may be raised; leave --schedule, --lr and --restart-schedule out",
            ));
        }
        Ok(config)
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
        changed.columns.group = vec!["artist".into(), "the album".into()];
        changed.columns.label = Some("genre".into());
        changed.columns.images = Some("covers of old".into());
        changed.labelling.map = vec!["hip hop=Rap".parse().unwrap(), "Folk, World=".parse().unwrap()];
        changed.labelling.without = vec!["Polka".into(), "Stage, Screen".into()];
        (changed.labelling.min_covers, changed.labelling.multi) = (Some(12), Multi::First);
        (changed.precision, changed.seed, changed.freeze_statistics) = (Precision::Mixed, 7, true);
        for config in [Config::default(), changed] {
            let options = config.options().unwrap();
            let words = ["train", "covers", "--out", "run"].map(str::to_owned).into_iter().chain(options.clone());
            let made = Line::try_parse_from(words).unwrap().arguments.config().unwrap();
            assert_eq!(Config { said: Pictures::default(), ..made }, config, "{options:?}");
        }
        assert_eq!(Config { batch_norm: false, ..Config::default() }.options(), None);
        let mean = Config { mean: [0.4; 3], ..Config::default() };
        assert_eq!(mean.options(), Some(vec!["--mean".to_owned(), "0.4,0.4,0.4".to_owned()]));
    }
}
