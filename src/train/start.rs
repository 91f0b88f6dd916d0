//! Starting and resuming a run: everything that can be checked before decoding is, then the data set is made, then the trainer.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use gatefold_engine::gpu::Gpu;
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::data::{Dataset, Intake, Prepared};
use crate::file::write_atomically;
use crate::ranks::Ranks;
use crate::train::choice::{choose, tuned};
use crate::train::config::check::warmup_within;
use crate::train::config::{Origin, WeightsFile};
use crate::train::resume;
use crate::train::run::{self, RunFolder};
use crate::train::step::TrainingStep;
use crate::train::trainer::Trainer;
use crate::train::tuning::{BUDGET, Tuning, When};
use crate::train::{Chosen, Config, Needs, Pretrained};
use crate::weights::Pictures;

/// What happens before the first step.
pub enum Event<'a> {
    /// A line for the user.
    Note(String),
    /// What was left open is chosen.
    Chosen(&'a Chosen),
    /// The data set is there.
    Prepared(&'a Prepared),
    /// What the run needs.
    Planned(&'a Needs),
    /// Training goes on after so many epochs.
    Resumed(u64),
}

/// Hears what happens before the first step.
pub trait Listener: Sync {
    /// `done` of `total` pictures are decoded; called from many threads.
    fn decoding(&self, done: usize, total: usize);
    fn event(&self, event: Event<'_>);
}

/// What a run is started with, besides data and settings.
pub struct Starter<'a> {
    /// Opens the adapter. Called once, after what needs none was checked.
    pub open: &'a dyn Fn() -> Result<Arc<Gpu>>,
    pub listener: &'a dyn Listener,
    /// When to look for the fastest kernels.
    pub tune: When,
    /// Where what was found is kept.
    pub cache: Option<PathBuf>,
    /// The number of classes that DATA must have, if one was named.
    pub classes: Option<usize>,
    /// Those that train together with this process.
    pub ranks: Ranks,
}

/// Where a trainer has its weights and its kernels from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// Random weights; kernels by trial.
    Seed,
    /// The run's last checkpoint, and its kernels.
    Checkpoint,
    /// The run's kernels; the first rank gives it its weights.
    First,
}

/// What the first rank tells the others, when the run's folder is ready.
#[derive(Clone, Serialize, Deserialize)]
struct Ready {
    /// As TOML, which does not say whether a learning rate is to be found.
    config: String,
    finds_rate: bool,
}

/// A new run as far as it is known before an hour of decoding.
pub struct Checked {
    intake: Intake,
    config: Config,
    pretrained: Option<Pretrained>,
    gpu: Arc<Gpu>,
    needs: Needs,
    step: TrainingStep,
}

impl Checked {
    /// The covers and the settings alone.
    pub fn into_parts(self) -> (Intake, Config) {
        (self.intake, self.config)
    }
}

impl Starter<'_> {
    fn note(&self, text: impl std::fmt::Display) {
        self.listener.event(Event::Note(format!("note: {text}")));
    }

    /// Reads the list of covers in `data`.
    ///
    /// # Errors
    /// As [`Intake::open`] and [`Intake::check_classes`].
    pub fn open_data(&self, data: &Path, config: &Config) -> Result<Intake> {
        let intake = Intake::open(data, &config.columns, &config.labelling)?;
        intake.check_classes(self.classes)?;
        Ok(intake)
    }

    /// Checks a new run as far as it can be without decoding.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the weights do not fit the network or the run does not fit the adapter.
    pub fn check(&self, intake: Intake, config: Config, weights: Option<&Path>) -> Result<Checked> {
        let (began, classes) = (Instant::now(), intake.classes().len());
        // Fewer covers may be left to train on, so the trainer asks again; with more there would be more steps.
        let steps = |config: &Config| {
            let batches = intake.covers().len().div_ceil(config.batch);
            let most = batches.div_ceil(config.batches_per_step()) as u64 * config.epochs;
            if config.minutes.is_none() { warmup_within(config.warmup, "has at most", most) } else { Ok(()) }
        };
        if !config.open.epochs {
            steps(&config)?;
        }
        let (config, pretrained) = self.pretrained(config, weights, classes)?;
        let gpu = (self.open)()?;
        let config = self.chosen(&gpu, config, pretrained.is_some(), &intake, began)?;
        let config = Config { ranks: self.ranks.count(), ..config };
        steps(&config)?;
        let (needs, step) = Needs::record(&config, &config.net_config(classes), gpu.adapter())?;
        Ok(Checked { intake, config, pretrained, gpu, needs, step })
    }

    /// Chooses what is left open.
    ///
    /// # Errors
    /// As [`choose`].
    pub fn chosen(
        &self,
        gpu: &Arc<Gpu>,
        config: Config,
        weights: bool,
        intake: &Intake,
        since: Instant,
    ) -> Result<Config> {
        if !config.open.any(weights) {
            return Ok(config);
        }
        let chosen = choose(gpu, config, weights, &intake.counts(), since)?;
        self.listener.event(Event::Chosen(&chosen));
        Ok(chosen.config)
    }

    /// Reads the weights to start from, says what is left out of them, and takes over their normalisation.
    ///
    /// # Errors
    /// As [`Pretrained::read`].
    pub fn pretrained(
        &self,
        config: Config,
        weights: Option<&Path>,
        classes: usize,
    ) -> Result<(Config, Option<Pretrained>)> {
        let Some(file) = weights else { return Ok((config, None)) };
        // Which layers are taken from the file depends on the head.
        let config = tuned(config);
        let pretrained = Pretrained::read(file, &config, classes)?;
        pretrained.notes().into_iter().for_each(|note| self.note(note));
        Ok((pretrained.settings(config), Some(pretrained)))
    }

    /// Prepares a new run in `out` up to its first step, from the seed or from a weights file.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is a run in `out` already, as [`Starter::check`], or if the data are at
    /// fault.
    pub fn start(&self, data: &Path, config: Config, weights: Option<&Path>, out: &Path) -> Result<Trainer> {
        let run = RunFolder::new(out);
        // Before the source is read, which takes a while for a large library.
        run::check_new(&run)?;
        self.begin(data, config, weights, || run::create(&run))
    }

    /// [`Starter::start`] in the folder that `claim` gives.
    fn begin(
        &self,
        data: &Path,
        config: Config,
        weights: Option<&Path>,
        claim: impl FnOnce() -> Result<RunFolder>,
    ) -> Result<Trainer> {
        let began = Instant::now();
        let intake = self.open_data(data, &config)?;
        let Checked { intake, config, pretrained, gpu, needs, step } = self.check(intake, config, weights)?;
        let run = claim()?;
        let dataset = self.prepare(intake, &config, &run)?;
        self.listener.event(Event::Planned(&needs));
        if config.freeze.is_some() && pretrained.is_none() {
            self.note("--freeze without --weights: the frozen layers keep their random first values");
        }
        if config.sync_batch_norm && self.ranks.is_alone() {
            self.note("--sync-batch-norm changes nothing in a single process: start several with mpirun");
        }
        let file = pretrained.as_ref().map(|pretrained| pretrained.file.clone());
        write_config(&run, &config, data, &gpu, &dataset, &needs, file)?;
        let mut trainer = self.trainer(&gpu, config, &run, dataset, Some(step), From::Seed)?;
        trainer.since(began);
        if let Some(pretrained) = &pretrained {
            trainer.start_from(pretrained)?;
        }
        trainer.join(&self.ranks)?;
        Ok(trainer)
    }

    /// The trainer of a rank that is not the first one. That one reads the source, decodes it and writes the run's folder; this one
    /// opens its adapter meanwhile, and then the data set that is there, and gets the weights from the first one.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if it cannot read the run's folder.
    pub fn follow(&self, run: &RunFolder) -> Result<Trainer> {
        let gpu = (self.open)()?;
        let nothing = Ready { config: String::new(), finds_rate: false };
        let Ready { config, finds_rate } = self.ranks.of_first(nothing)?;
        let mut config = Config::parse(&config, "of rank 0")?;
        (config.ranks, config.open.lr) = (self.ranks.count(), finds_rate);
        let dataset = Dataset::open(&run.data())?;
        // The kernels are those of the run.
        let mut trainer = self.trainer(&gpu, config, run, dataset, None, From::First)?;
        trainer.join(&self.ranks)?;
        Ok(trainer)
    }

    /// Starts a run that was broken off before its first checkpoint from its beginning, with `config`, and the weights that it
    /// had. The result is that of a run which was never broken off.
    ///
    /// # Errors
    /// As [`Starter::start`]; [`Error::Input`](crate::Error::Input) if the weights have changed.
    pub fn start_again(&self, data: &Path, config: Config, run: &RunFolder) -> Result<Trainer> {
        self.note(format!("run {} has no last checkpoint, so it starts from its beginning", run.root().display()));
        let stored = run.config().is_file().then(|| Config::read(&run.config())).transpose()?;
        // They were decided when it was started.
        let said = |of: &Config| Pictures { mean: Some(of.mean), std: Some(of.std), fit: Some(of.fit), crop: None };
        let config = Config { said: stored.as_ref().map_or(config.said, said), ..config };
        let weights = stored.and_then(|config| config.run).and_then(|origin| origin.weights);
        if let Some(weights) = &weights {
            weights.check_unchanged()?;
        }
        self.begin(data, config, weights.as_ref().map(|weights| weights.path.as_path()), || run.claimed())
    }

    /// Decodes and splits the covers into the run's data folder.
    ///
    /// # Errors
    /// As [`Intake::prepare`].
    pub fn prepare(&self, intake: Intake, config: &Config, run: &RunFolder) -> Result<Dataset> {
        let decoding = |done, total| self.listener.decoding(done, total);
        let prepared = intake.prepare(&config.prepare_options(), &run.data(), &decoding)?;
        self.listener.event(Event::Prepared(&prepared));
        Ok(prepared.dataset)
    }

    /// Goes on with a run; `config` is what [`resume::settings`] makes of its own. It is kept for the next time, and a line
    /// says what becomes of the learning rate.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if DATA names other covers than the run was started with, or the checkpoint is of
    /// another run.
    pub fn resume(&self, data: &Path, config: Config, run: &RunFolder) -> Result<Trainer> {
        let run = &run.claimed()?;
        let ranks = self.ranks.count();
        let stored = Config { ranks, ..Config::read(&run.config())? };
        // Several seeds share one configuration, each run says itself where it came from.
        let origin = stored.run.clone().map(|run| Origin { ranks: several(ranks), ..run });
        let config = Config { run: origin, said: Pictures::default(), ranks, ..config };
        if let Some(note) = resume::ranks_note(&stored, &config) {
            self.note(note);
        }
        let dataset = Dataset::open(&run.data())?;
        run::check_same_data(&self.open_data(data, &config)?, &dataset, run)?;
        let gpu = (self.open)()?;
        let changed = (stored != config).then(|| config.clone());
        let mut trainer = self.trainer(&gpu, config, run, dataset, None, From::Checkpoint)?;
        if let Some(config) = changed {
            let (before, after) = trainer.rates_of(&stored, &config);
            if let Some(note) = resume::rate_note(&before, &after, trainer.steps_done()) {
                self.note(note);
            }
            resume::keep(run, &config)?;
        }
        trainer.join(&self.ranks)?;
        self.listener.event(Event::Resumed(trainer.epochs_done()));
        Ok(trainer)
    }

    /// Makes a trainer; that of the first rank tells the others when they can make theirs. They take its kernels, so they wait until it
    /// has tried them.
    fn trainer(
        &self,
        gpu: &Arc<Gpu>,
        config: Config,
        run: &RunFolder,
        dataset: Dataset,
        step: Option<TrainingStep>,
        from: From,
    ) -> Result<Trainer> {
        let mut say = |line| self.listener.event(Event::Note(line));
        let when = if from == From::Seed { self.tune } else { When::OfRun };
        let ready = Ready { config: config.to_toml()?, finds_rate: config.open.lr };
        let tell = || if from == From::First { Ok(()) } else { self.ranks.of_first(ready.clone()).map(drop) };
        let tries = when.tries(gpu.adapter());
        if !tries {
            tell()?;
        }
        let mut tuning = Tuning { when, budget: BUDGET, cache: self.cache.clone(), say: &mut say };
        let trainer = Trainer::new(gpu, config, run.clone(), dataset, step, from == From::Checkpoint, &mut tuning)?;
        if tries {
            tell()?;
        }
        Ok(trainer)
    }
}

/// A number of ranks as a run keeps it.
fn several(ranks: usize) -> Option<usize> {
    (ranks > 1).then_some(ranks)
}

fn write_config(
    run: &RunFolder,
    config: &Config,
    data: &Path,
    gpu: &Gpu,
    dataset: &Dataset,
    needs: &Needs,
    weights: Option<WeightsFile>,
) -> Result<()> {
    let origin = Origin {
        data: std::path::absolute(data).unwrap_or_else(|_| data.to_owned()),
        adapter: gpu.adapter().name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: dataset.manifest.classes.clone(),
        parameters: needs.parameters,
        backend: Some(gpu.adapter().backend.clone()),
        driver: Some(gpu.adapter().driver.clone()),
        peak_bytes: Some(needs.peak_bytes),
        ranks: several(config.ranks),
        tried: config.run.as_ref().and_then(|run| run.tried),
        weights,
    };
    let text = Config { run: Some(origin), said: Pictures::default(), ..config.clone() }.to_toml()?;
    write_atomically(&run.config(), |file| std::io::Write::write_all(file, text.as_bytes()))
}
