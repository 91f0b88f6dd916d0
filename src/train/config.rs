//! What a training run is made of. A recipe is a TOML file with some of these fields; so is the `config.toml` of a run.

mod augmentation;
pub mod bounds;
pub(super) mod check;
mod open;
mod optimizer;
mod options;
mod precision;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use augmentation::Augmentation;
pub use open::Open;
pub use optimizer::{Decay, MOMENTUM, Optimizer};
pub use options::shown;
pub use precision::Precision;

use crate::data::{Columns, Fit, Fold, Labelling, PrepareOptions};
use crate::hint::did_you_mean;
use crate::nets::forward::{MEAN, STD};
use crate::nets::{Freeze, Head, NetConfig};
use crate::read::read_text;
use crate::train::{LearningRate, Schedule};
use crate::weights::{Files, Pictures};
use crate::{Error, Result};

/// All settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub net: String,
    /// Height and width of the network's input in pixels.
    pub size: usize,
    pub fit: Fit,
    /// Mean and standard deviation of red, green and blue on the scale of 0 to 1, for normalisation. Weights that training starts
    /// from bring their own.
    pub mean: [f32; 3],
    #[serde(alias = "deviation")]
    pub std: [f32; 3],
    pub batch: usize,
    /// Batches whose gradients together make one optimiser step, as one batch that many times larger would.
    pub accumulate: usize,
    /// Batch-norms normalise by the statistics of all processes' batches together.
    pub sync_batch_norm: bool,
    pub precision: Precision,
    pub epochs: u64,
    /// A time that the epochs are to fill; a run replaces it by their number when it knows what one takes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minutes: Option<f64>,
    /// Stop when the best epoch lies this many epochs back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// Of so many last epochs the mean of the weights is scored and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub average: Option<u64>,
    /// What of an average of the weights over the steps stays after each; that average is then scored and kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ema: Option<f32>,
    /// Side of the pictures in the first half of the epochs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_size: Option<usize>,
    pub optimizer: Optimizer,
    /// Of [`Optimizer::Sgd`]: what its velocity is multiplied by in each step.
    pub momentum: f32,
    /// Learning rate; the peak of a schedule.
    pub lr: f32,
    pub schedule: Schedule,
    /// Steps over which the rate rises to where the schedule begins.
    pub warmup: u64,
    /// Epochs after which the schedule begins: where `--resume --restart-schedule` restarted it.
    #[serde(skip_serializing_if = "is_zero")]
    pub schedule_from: u64,
    /// Epochs between two drops of the step schedule, and what each multiplies the rate by (0.1 unless said).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_every: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_factor: Option<f32>,
    /// What the rate is multiplied by for the trunk: all layers before the head.
    pub trunk_lr: f32,
    /// Largest norm that the gradient may have; a larger one is scaled down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip: Option<f32>,
    /// The first layers, which stay as they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freeze: Option<Freeze>,
    /// In how many changed versions of each cover what the frozen layers make of it is kept; without it one, if nothing is changed by
    /// chance, else none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub views: Option<u64>,
    /// Batch-norms keep to their running statistics. Those of frozen layers always do.
    pub freeze_statistics: bool,
    /// Decoupled, as AdamW has it; of [`Optimizer::Sgd`] a part of the gradient.
    pub weight_decay: f32,
    pub decay: Decay,
    pub label_smoothing: f32,
    pub class_weights: ClassWeights,
    /// Show each class equally often.
    pub balance: bool,
    pub augment: Augmentation,
    /// Share that the dropout layers drop.
    pub dropout: f32,
    /// Share of the pictures for which the last residual branch is left out.
    pub stochastic_depth: f32,
    pub batch_norm: bool,
    /// What stands on the trunk of torchvision's networks.
    pub head: Head,
    /// Train, validation and test, in percent or as fractions; without it 70, 15, 15 or what a data set brings along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<[f64; 3]>,
    /// The fold to test on, such as 2/5, instead of a split: in each run of `--folds`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fold: Option<Fold>,
    /// Columns of a table.
    #[serde(flatten)]
    pub columns: Columns,
    /// Which labels become classes.
    #[serde(flatten)]
    pub labelling: Labelling,
    pub seed: u64,
    /// What of `fit`, `mean` and `std` was asked for, and so goes before what weights bring; not in a run's own `config.toml`, where
    /// all is decided.
    #[serde(skip_serializing_if = "Pictures::is_nothing")]
    pub said: Pictures,
    /// What is left to [`choose`](crate::train::choice::choose); nothing in a recipe or a run's own `config.toml`.
    #[serde(skip)]
    pub open: Open,
    /// Processes that train together, each of which computes [`Self::accumulate`] batches of a step: what mpirun says, in no file.
    #[serde(skip, default = "one")]
    pub ranks: usize,
    /// Where a run came from; only in a run's own `config.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Origin>,
}

/// How much the loss counts covers of which class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClassWeights {
    /// All the same.
    #[default]
    None,
    /// Each class the same in all, so that a cover of a rare class counts more.
    Auto,
}

/// Where a run came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    #[serde(serialize_with = "crate::shown::path")]
    pub data: PathBuf,
    pub adapter: String,
    pub version: String,
    pub labels: Vec<String>,
    pub parameters: usize,
    /// How the adapter is spoken to, and its driver; not in runs of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<String>,
    /// All memory that training takes on the adapter; not in runs of older versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// The ranks that train it, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ranks: Option<usize>,
    /// The settings that a search tried, on covers cut from the training covers, before it took these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tried: Option<usize>,
    /// The file that the first weights came from; going on with the run does not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsFile>,
}

/// A weights file as it was when a run started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightsFile {
    #[serde(serialize_with = "crate::shown::path")]
    pub path: PathBuf,
    /// Of its bytes, in hexadecimal digits.
    pub blake3: String,
}

impl WeightsFile {
    /// Checks that the file is still what it was.
    ///
    /// # Errors
    /// [`Error::Input`] if it has changed or cannot be read.
    pub fn check_unchanged(&self) -> Result<()> {
        if Files::read("--weights", &self.path)?.hash().to_hex().as_str() == self.blake3 {
            return Ok(());
        }
        let path = self.path.display();
        Err(Error::input(format!(
            "{path}: has changed since the run was started with it; restore it, or start a new run"
        )))
    }
}

fn one() -> usize {
    1
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl Default for Config {
    fn default() -> Self {
        Self {
            net: "prognet".into(),
            size: 128,
            fit: Fit::Crop,
            // Values in [0, 1] become -2 to 2.
            mean: MEAN,
            std: STD,
            said: Pictures::default(),
            batch: 32,
            accumulate: 1,
            sync_batch_norm: false,
            precision: Precision::F32,
            epochs: 24,
            minutes: None,
            patience: None,
            average: None,
            ema: None,
            start_size: None,
            optimizer: Optimizer::Adam,
            momentum: MOMENTUM,
            lr: Optimizer::Adam.usual_rate(),
            schedule: Schedule::OneCycle,
            warmup: 0,
            schedule_from: 0,
            step_every: None,
            step_factor: None,
            trunk_lr: 1.0,
            clip: None,
            freeze: None,
            views: None,
            freeze_statistics: false,
            weight_decay: Optimizer::Adam.usual_decay(),
            decay: Decay::All,
            label_smoothing: 0.1,
            class_weights: ClassWeights::None,
            balance: false,
            augment: Augmentation { flip: true, shift: 0.1, ..Augmentation::default() },
            dropout: 0.2,
            stochastic_depth: 0.0,
            batch_norm: true,
            head: Head::Linear,
            split: None,
            fold: None,
            columns: Columns::default(),
            labelling: Labelling::default(),
            seed: 1,
            open: Open::default(),
            ranks: 1,
            run: None,
        }
    }
}

/// Recipes that come with the program: name and text.
pub const RECIPES: &[(&str, &str)] = &[
    ("prog-rock", include_str!("../../datasets/recipes/prog-rock.toml")),
    ("shazzzam-resnet50", include_str!("../../datasets/recipes/shazzzam-resnet50.toml")),
    ("shazzzam-densenet169", include_str!("../../datasets/recipes/shazzzam-densenet169.toml")),
    ("shazzzam-inception3", include_str!("../../datasets/recipes/shazzzam-inception3.toml")),
];

impl Config {
    /// A built-in recipe by name, or one from a TOML file.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such recipe or a field is unknown or of the wrong type.
    pub fn recipe(name: &str) -> Result<Self> {
        let built_in = RECIPES.iter().find(|(known, _)| *known == name);
        let text = match built_in {
            Some((_, text)) => (*text).to_owned(),
            None => read_text(Path::new(name)).map_err(|e| {
                if e.kind() != std::io::ErrorKind::NotFound {
                    return Error::input(format!(
                        "--recipe {name}: cannot be read ({e}); name a TOML file or a recipe"
                    ));
                }
                let known: Vec<_> = RECIPES.iter().map(|(known, _)| *known).collect();
                let hint = did_you_mean(name, &known);
                let known = known.join(", ");
                Error::input(format!(
                    "--recipe {name}: no such file ({e}), and no built-in recipe{hint} (there are: {known})"
                ))
            })?,
        };
        Self::parse(&text, name)
    }

    /// Reads a run's `config.toml`.
    pub fn read(path: &Path) -> Result<Self> {
        let source = path.display().to_string();
        let text = read_text(path).map_err(|e| Error::input(format!("{source}: cannot be read ({e})")))?;
        Self::parse(&text, &source)
    }

    /// Reads what [`Self::to_toml`] wrote; `source` is where it comes from.
    pub(super) fn parse(text: &str, source: &str) -> Result<Self> {
        let wrong = |e: toml::de::Error| {
            let text = e.to_string();
            Error::input(format!("recipe {source}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")))
        };
        let mut config: Self = toml::from_str(text).map_err(wrong)?;
        let said: toml::Table = toml::from_str(text).map_err(wrong)?;
        // What Adam takes would suit SGD badly.
        if !said.contains_key("lr") {
            config.lr = config.optimizer.usual_rate();
        }
        if !said.contains_key("weight_decay") {
            config.weight_decay = config.optimizer.usual_decay();
        }
        Ok(config)
    }

    /// As TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(Error::run)
    }

    /// How DATA becomes the run's data set.
    pub fn prepare_options(&self) -> PrepareOptions {
        let Self { columns, split, fold, seed, size, fit, .. } = self;
        let (columns, size) = (columns.clone(), *size as u32);
        PrepareOptions { columns, split: *split, fold: *fold, seed: *seed, size, fit: *fit }
    }

    /// In how many versions of each cover what the frozen layers make of it is kept, so that later epochs cost what is trained.
    pub fn kept_views(&self) -> Option<u64> {
        let same = || (self.augment == Augmentation::default()).then_some(1);
        self.freeze.as_ref().filter(|_| self.start_size.is_none()).and_then(|_| self.views.or_else(same))
    }

    /// Side of the pictures in an epoch, of which the first is 0.
    pub fn size_in(&self, epoch: u64) -> usize {
        self.start_size.filter(|_| 2 * epoch < self.epochs).unwrap_or(self.size)
    }

    /// Batches of an optimiser step, those of all ranks.
    pub fn batches_per_step(&self) -> usize {
        self.accumulate * self.ranks
    }

    /// The network for `classes` classes.
    pub fn net_config(&self, classes: usize) -> NetConfig {
        let Self { net, size, dropout, stochastic_depth, batch_norm, head, .. } = self.clone();
        NetConfig { net, size, classes, dropout, stochastic_depth, batch_norm, head }
    }

    /// Pictures at a time in validation, which computes and stores in 32 bits: as many as find room in the training step's storage.
    pub fn validation_batch(&self) -> usize {
        match self.precision {
            Precision::F32 => self.batch,
            Precision::Mixed => self.batch.div_ceil(2),
        }
    }

    /// The learning rate over a run with this many optimiser steps in an epoch.
    pub fn learning_rate(&self, steps_per_epoch: u64) -> LearningRate {
        LearningRate {
            schedule: self.schedule,
            peak: self.lr,
            warmup: self.warmup,
            steps_per_epoch,
            epochs: self.epochs,
            start: self.schedule_from * steps_per_epoch,
            step_every: self.step_every.unwrap_or(self.epochs),
            step_factor: self.step_factor.unwrap_or(STEP_FACTOR),
        }
    }
}

/// What each drop of the step schedule multiplies the rate by: PyTorch's default.
pub const STEP_FACTOR: f32 = 0.1;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_its_file() {
        let mut config = Config { split: Some([80.0, 0.0, 20.0]), ..Config::default() };
        config.columns.group = vec!["artist".into()];
        config.freeze = Some(Freeze::Layer("conv3".into()));
        (config.clip, config.patience, config.step_every, config.step_factor) =
            (Some(1.0), Some(3), Some(2), Some(0.5));
        config.augment = "shift=0.25".parse().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(Config::parse(&text, "test").unwrap(), config, "{text}");
    }

    #[test]
    fn a_recipe_that_leaves_the_rate_open_gets_that_of_its_optimizer() {
        let rates = |text: &str| Config::parse(text, "test").map(|config| (config.lr, config.weight_decay)).unwrap();
        let usual = |optimizer: Optimizer| (optimizer.usual_rate(), optimizer.usual_decay());
        assert_eq!(rates(""), usual(Optimizer::Adam));
        assert_eq!(rates("optimizer = \"sgd\""), usual(Optimizer::Sgd));
        assert_eq!(rates("optimizer = \"sgd\"\nlr = 0.002"), (0.002, Optimizer::Sgd.usual_decay()));
    }

    #[test]
    fn the_built_in_recipes_are_valid() {
        for (name, _) in RECIPES {
            Config::recipe(name).unwrap().check().unwrap();
        }
        let prog = Config::recipe("prog-rock").unwrap();
        assert_eq!((prog.size, prog.epochs, prog.split), (260, 50, Some([80.0, 0.0, 20.0])));
        for (name, net, size) in [
            ("shazzzam-resnet50", "resnet50", 224),
            ("shazzzam-densenet169", "densenet169", 224),
            ("shazzzam-inception3", "inception_v3", 299),
        ] {
            let recipe = Config::recipe(name).unwrap();
            assert_eq!((recipe.net.as_str(), recipe.size, recipe.head), (net, size, Head::Flatten));
            assert_eq!(
                (recipe.lr, recipe.schedule, recipe.split),
                (0.01, Schedule::Constant, Some([70.0, 15.0, 15.0]))
            );
        }
    }

    #[test]
    fn unknown_recipes_fields_and_values_are_bad_input() {
        assert_eq!(Config::recipe("no-such").unwrap_err().exit_code(), 2);
        assert!(Config::parse("epoch = 3", "test").unwrap_err().to_string().contains("epoch"));
        for wrong in [
            Config { size: 8, ..Config::default() },
            Config { batch: 0, ..Config::default() },
            Config { lr: f32::NAN, ..Config::default() },
            Config { label_smoothing: 1.0, ..Config::default() },
            Config { net: "vgg".into(), ..Config::default() },
            Config { accumulate: 0, ..Config::default() },
            Config { trunk_lr: 0.0, ..Config::default() },
            Config { clip: Some(-1.0), ..Config::default() },
            Config { patience: Some(0), ..Config::default() },
            Config { average: Some(0), ..Config::default() },
            Config { patience: Some(2), split: Some([80.0, 0.0, 20.0]), ..Config::default() },
            Config { warmup: 5, ..Config::default() },
            Config { schedule: Schedule::Step, ..Config::default() },
            Config { schedule: Schedule::Step, step_every: Some(0), ..Config::default() },
            Config { schedule: Schedule::Step, step_every: Some(2), step_factor: Some(2.0), ..Config::default() },
            Config { step_every: Some(2), ..Config::default() },
            Config { step_factor: Some(0.5), ..Config::default() },
        ] {
            assert_eq!(wrong.check().unwrap_err().exit_code(), 2, "{wrong:?}");
        }
    }

    #[test]
    fn what_belongs_to_another_schedule_is_refused_with_the_remedy() {
        let said = |config: Config| config.check().unwrap_err().to_string();
        let warm = said(Config { warmup: 5, ..Config::default() });
        assert!(warm.starts_with("--warmup 5: ") && warm.contains("--schedule"), "{warm}");
        let step = said(Config { schedule: Schedule::Step, ..Config::default() });
        assert!(step.contains("--step-every"), "{step}");
        let every = said(Config { step_every: Some(2), ..Config::default() });
        assert!(every.starts_with("--step-every 2: ") && every.contains("--schedule step"), "{every}");
        for schedule in [Schedule::Constant, Schedule::Cosine] {
            Config { schedule, warmup: 5, ..Config::default() }.check().unwrap();
        }
        Config { schedule: Schedule::Step, step_every: Some(2), warmup: 5, ..Config::default() }.check().unwrap();
    }
}
