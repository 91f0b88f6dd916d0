//! What `gatefold train` takes, and the settings that come of it.

use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::GpuArguments;
use crate::cli::help::{DATA, FINE_TUNING, HARDWARE, OPTIMISER, OUTPUT, SCHEDULE, whole};
use crate::cli::settings::Settings;
use crate::data::parse_ratios;
use crate::hint::quoted;
use crate::train::Config;
use crate::train::config::bounds;
use crate::train::resume::{Wish, settings};
use crate::train::tuning::When;
use crate::weights::known::usual;
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
    /// Number of classes, for a --dry-run without DATA [default: those of DATA]
    #[arg(long, value_name = "N", help_heading = DATA, value_parser = whole::<usize>(bounds::CLASSES))]
    pub classes: Option<usize>,

    #[command(flatten)]
    settings: Settings,

    /// Train once with each of these seeds, on the one split of --seed, into RUN/seed-1 and so on; prints the scores' mean and
    /// standard deviation [default: one run]
    #[arg(long, value_name = "1,2,3", value_delimiter = ',', conflicts_with = "dry_run", help_heading = OPTIMISER, value_parser = whole::<u64>(bounds::SEED))]
    pub seeds: Vec<u64>,
    /// Cut all covers into so many folds, groups whole, and train once for each on the others, into RUN/fold-1 and so on: the score
    /// is then over all covers [default: one run and one test set]
    #[arg(long, value_name = "K", conflicts_with_all = ["dry_run", "seeds", "split"], help_heading = DATA, value_parser = whole::<usize>(bounds::FOLDS))]
    pub folds: Option<usize>,

    /// With --resume: restart the schedule, over the epochs that are left
    #[arg(long, requires = "resume", help_heading = SCHEDULE)]
    restart_schedule: bool,

    /// Start from these weights: a checkpoint, an exported file, one of torchvision's or timm's (safetensors or .pth), or the name of a
    /// repository of the Hugging Face Hub, such as timm/resnet50.tv_in1k (`gatefold weights` lists some), with @REVISION for a certain
    /// version. A head of another class count is left out [default: random first values]
    #[arg(long, value_name = "FILE|NAME", conflicts_with = "resume", help_heading = FINE_TUNING)]
    pub weights: Option<PathBuf>,
    /// Start from the network's usual weights of ImageNet, the first of its own in `gatefold weights`
    #[arg(long, conflicts_with_all = ["weights", "resume"], help_heading = FINE_TUNING)]
    pretrained: bool,

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
    /// With the file that --weights or --pretrained means, and the network that lies in it if none is named.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such file and none can be loaded, or its network is not known here.
    pub fn located(mut self: Box<Self>) -> Result<Box<Self>> {
        if self.pretrained {
            self.weights = Some(usual(&self.settings.config()?.net)?.repo.into());
        }
        if let Some(weights) = &self.weights {
            self.weights = Some(self.settings.located(weights)?);
        }
        Ok(self)
    }

    /// Whether a seed was named.
    pub fn has_seed(&self) -> bool {
        self.settings.seed.is_some()
    }

    /// The command that goes on with the run in `out`, ready to paste.
    pub fn go_on(&self, data: &Path, out: &Path, ranks: usize) -> String {
        let (data, out) = (quoted(&data.display().to_string()), quoted(&out.display().to_string()));
        let launcher = if ranks > 1 { format!("mpirun -n {ranks} ") } else { String::new() };
        let mut command = format!("{launcher}gatefold train {data} --out {out} --resume");
        if let Some(adapter) = &self.gpu.adapter {
            command += &format!(" --adapter {}", quoted(adapter));
        }
        command
    }

    /// Defaults, then the recipe, then the options.
    pub fn config(&self) -> Result<Config> {
        let mut config = self.settings.config()?;
        self.set_split(&mut config)?;
        config.check()?;
        Ok(config)
    }

    fn set_split(&self, config: &mut Config) -> Result<()> {
        if let Some(split) = &self.split {
            config.split = Some(parse_ratios(split)?);
        }
        Ok(())
    }

    /// A run's own settings after `done` epochs, for so many ranks; options may repeat them, and change what [`settings`] allows.
    ///
    /// # Errors
    /// [`Error::Input`] if an option says otherwise.
    pub fn resumed(&self, stored: &Config, ranks: usize, done: impl FnOnce() -> Result<u64>) -> Result<Config> {
        if let Some(recipe) = &self.settings.recipe {
            let text =
                format!("--recipe {recipe}: a run that is resumed has its settings; leave it out, or start a new run");
            return Err(Error::input(text));
        }
        if self.settings.wants_rate() {
            return Err(Error::input(
                "--lr auto: a run that is resumed has its rate; leave it out, or start a new run",
            ));
        }
        let mut wanted = stored.clone();
        self.settings.override_in(&mut wanted);
        self.set_split(&mut wanted)?;
        // Only a fresh schedule asks, and the answer lies in the whole checkpoint.
        let done = if self.restart_schedule { done()? } else { 0 };
        settings(stored, &wanted, Wish { restart_schedule: self.restart_schedule, ranks: Some(ranks) }, done)
    }

    /// [`Self::resumed`] for several runs, which differ in the epochs that are done: there may only be more of them.
    ///
    /// # Errors
    /// As there.
    pub fn all_resumed(&self, stored: &Config) -> Result<Config> {
        let config = self.resumed(stored, 1, || Ok(0))?;
        if self.restart_schedule || config != (Config { epochs: config.epochs, ..stored.clone() }) {
            return Err(Error::input(
                "--resume: of several runs only --epochs may be raised; leave --schedule, --lr and --restart-schedule out",
            ));
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::data::{Fit, Multi};
    use crate::nets::{Freeze, Head};
    use crate::train::config::Open;
    use crate::train::{ClassWeights, Decay, Optimizer, Precision, Schedule};
    use crate::weights::Pictures;

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
        (changed.views, changed.minutes, changed.average) = (Some(3), Some(2.5), Some(4));
        changed.sync_batch_norm = true;
        (changed.optimizer, changed.momentum, changed.decay) = (Optimizer::Sgd, 0.8, Decay::Weights);
        // Of which one is the usual rate of the other optimiser, and the other its own.
        let other = Config { optimizer: Optimizer::Sgd, lr: 0.002, weight_decay: 0.0005, ..Config::default() };
        for config in [Config::default(), changed, other] {
            let options = config.options().unwrap();
            let words = ["train", "covers", "--out", "run"].map(str::to_owned).into_iter().chain(options.clone());
            let made = Line::try_parse_from(words).unwrap().arguments.config().unwrap();
            assert!(!made.open.any(false), "{options:?}");
            assert_eq!(Config { said: Pictures::default(), open: Open::default(), ..made }, config, "{options:?}");
        }
        assert_eq!(Config { batch_norm: false, ..Config::default() }.options(), None);
        let mean = Config { mean: [0.4; 3], ..Config::default() };
        assert!(mean.options().unwrap().windows(2).any(|pair| pair == ["--mean", "0.4,0.4,0.4"]));
    }
}
