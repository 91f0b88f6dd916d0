//! `gatefold train`

mod arguments;
mod dry_run;
mod folds;
mod progress;
mod seeds;

use std::path::Path;

use gatefold_engine::gpu::cache_folder;
use serde::Serialize;

pub use arguments::{Arguments, TuningArguments};
pub use folds::text as folds_text;
pub use progress::{Limit, TrainingProgress};

use super::console::{self, duration, percent};
use super::data::Console;
use super::{GpuArguments, interrupt, report};
use crate::ranks::Ranks;
use crate::score::Metrics;
use crate::train::folds::Folds;
use crate::train::run::RunFolder;
use crate::train::seeds::Seeds;
use crate::train::tuning::When;
use crate::train::{Config, Outcome, Starter, Trainer};
use crate::weights::Best;
use crate::{Error, Result};

pub fn run(arguments: &Arguments, ranks: &Ranks) -> Result<()> {
    if arguments.dry_run {
        // It is the same for all.
        return if ranks.is_first() { dry_run::run(arguments) } else { Ok(()) };
    }
    let Some(out) = &arguments.out else { return Err(Error::input("--out RUN is missing")) };
    let Some(data) = &arguments.data else { return Err(Error::input("DATA is missing")) };
    let (when, classes) = (arguments.tuning.when(), arguments.classes);
    interrupt::would_say("interrupted before an epoch was done; start it again with the same command".to_owned());
    if !ranks.is_alone() && (arguments.folds.is_some() || !arguments.seeds.is_empty()) {
        return Err(Error::input(
            "--seeds, --folds: several runs are trained by one process; leave mpirun or the option out",
        ));
    }
    let several = if arguments.resume { Seeds::read(out)? } else { None };
    if !arguments.seeds.is_empty() || several.is_some() {
        let run = |starter: &Starter| seeds::run(starter, arguments, several, data, out);
        return with_starter(&arguments.gpu, when, classes, run);
    }
    let folds = if arguments.resume { Folds::read(out)? } else { None };
    if arguments.folds.is_some() || folds.is_some() {
        let run = |starter: &Starter| folds::run(starter, arguments, folds, data, out);
        return with_starter(&arguments.gpu, when, classes, run);
    }
    if !ranks.is_alone() && (several.is_some() || folds.is_some()) {
        return Err(Error::input(format!(
            "--resume: {} holds several runs, which are trained by one process; leave mpirun out",
            out.display()
        )));
    }
    let trainer = with_ranks(&arguments.gpu, ranks, when, classes, |starter| {
        let run = RunFolder::new(out);
        if !ranks.is_first() {
            starter.follow(&run)
        } else if arguments.resume && run.is_begun() {
            let stored = run.config().is_file().then(|| Config::read(&run.config())).transpose()?;
            let config = stored
                .map_or_else(|| arguments.config(), |stored| arguments.resumed(&stored, ranks.count(), || Ok(0)))?;
            starter.start_again(data, config, &run)
        } else if arguments.resume {
            let run = RunFolder::open(out)?;
            let config = arguments.resumed(&Config::read(&run.config())?, ranks.count(), || run.epochs_done())?;
            starter.resume(data, config, &run)
        } else {
            starter.start(data, arguments.config()?, arguments.weights.as_deref(), out)
        }
    })?;
    let gpu = trainer.gpu();
    let outcome = train(trainer, !arguments.no_tensorboard, Some(arguments.go_on(data, out, ranks.count())))?;
    finish(&outcome, out, arguments.json)?;
    if ranks.is_first() {
        report::after_training(out, &gpu);
    }
    Ok(())
}

/// Starts runs on the adapter that was asked for, and shows on stderr what happens.
pub fn with_starter<T>(
    gpu: &GpuArguments,
    tune: When,
    classes: Option<usize>,
    start: impl FnOnce(&Starter) -> Result<T>,
) -> Result<T> {
    with_ranks(gpu, &Ranks::alone(), tune, classes, start)
}

/// Like [`with_starter`], together with others.
fn with_ranks<T>(
    gpu: &GpuArguments,
    ranks: &Ranks,
    tune: When,
    classes: Option<usize>,
    start: impl FnOnce(&Starter) -> Result<T>,
) -> Result<T> {
    let (open, listener) = (|| gpu.open_of(ranks), Console::default());
    start(&Starter { open: &open, listener: &listener, tune, cache: cache_folder(), classes, ranks: ranks.clone() })
}

/// Trains to the end, with progress. `go_on` is the command that goes on with the run if it is interrupted.
pub fn train(mut trainer: Trainer, tensorboard: bool, go_on: Option<String>) -> Result<Outcome> {
    if !tensorboard {
        trainer.without_tensorboard();
    }
    let progress = TrainingProgress::new(trainer.pictures_per_step(), go_on);
    shown(trainer, progress)
}

/// Trains to the end with this progress.
pub fn shown(trainer: Trainer, mut progress: TrainingProgress) -> Result<Outcome> {
    for note in trainer.notes() {
        console::say(format!("note: {note}"));
    }
    trainer.train(&mut progress)
}

/// Trains one of several runs in the folder `root`, and writes its report.
fn one_of_several(root: &Path, trainer: Trainer, arguments: &Arguments) -> Result<Outcome> {
    let gpu = trainer.gpu();
    let outcome = train(trainer, !arguments.no_tensorboard, None)?;
    report::after_training(root, &gpu);
    Ok(outcome)
}

/// The scores of one of several runs, below "accuracy  balanced  macro-F1    loss".
fn scores(m: &Metrics) -> String {
    let Metrics { accuracy, balanced_accuracy, macro_f1, loss, .. } = m;
    format!("{:>8}  {:>8}  {macro_f1:>8.3}  {loss:>6.3}", percent(*accuracy), percent(*balanced_accuracy))
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    run: &'a Path,
    seconds: f64,
    epochs: u64,
    stopped_early: bool,
    best: Option<Best>,
    test: Option<&'a Metrics>,
}

/// Prints what training ended with.
pub fn finish(outcome: &Outcome, root: &Path, as_json: bool) -> Result<()> {
    let Outcome { test, best, seconds, epochs, stopped_early } = outcome;
    if let Some(best) = best.filter(|_| *stopped_early) {
        let since = epochs - best.epoch;
        console::say(format!(
            "stopped early after epoch {epochs}: none was better than epoch {} in {since}",
            best.epoch
        ));
    }
    if as_json {
        let (seconds, epochs, stopped_early) = (*seconds, *epochs, *stopped_early);
        let summary = Summary { run: root, seconds, epochs, stopped_early, best: *best, test: test.as_ref() };
        return console::json(&summary);
    }
    let mut text = format!("\ntrained in {}", duration(*seconds));
    if let Some(best) = best {
        text += &format!(", best epoch {}", best.epoch);
    }
    match test {
        Some(metrics) => text += &format!("\n\ntest set:\n{metrics}"),
        None => text += "\nthere is no test set, so there is no score\n",
    }
    console::show(&format!("{text}run: {}\n", console::shown(root.display())));
    Ok(())
}
