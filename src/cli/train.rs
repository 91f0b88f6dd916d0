//! `gatefold train`

mod arguments;
mod dry_run;
mod progress;
mod seeds;

use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

pub use arguments::Arguments;
pub use progress::TrainingProgress;

use super::console::{self, duration};
use super::data::prepare_data;
use super::{GpuArguments, report};
use crate::data::Dataset;
use crate::data::source;
use crate::score::Metrics;
use crate::train::config::{Origin, WeightsFile};
use crate::train::run::{self, RunFolder};
use crate::train::seeds::Seeds;
use crate::train::tuning::{self, When};
use crate::train::{Config, Needs, Outcome, Pretrained, Trainer, Tuning};
use crate::weights::Best;
use crate::{Error, Result};
use gatefold_engine::file::write_atomically;
use gatefold_engine::gpu::{Gpu, cache_folder};

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.dry_run {
        return dry_run::run(arguments);
    }
    let Some(out) = &arguments.out else { return Err(Error::input("--out RUN is missing")) };
    let Some(data) = &arguments.data else { return Err(Error::input("DATA is missing")) };
    if !arguments.seeds.is_empty() || (arguments.resume && Seeds::read(out)?.is_some()) {
        return seeds::run(arguments, data, out);
    }
    let trainer = if arguments.resume {
        let run = RunFolder::open(out)?;
        let config = arguments.resumed(&Config::read(&run.config())?)?;
        check_classes(arguments.classes, data, &config)?;
        resume(data, config, &run, &arguments.gpu)?
    } else {
        let config = arguments.config()?;
        check_classes(arguments.classes, data, &config)?;
        let when = arguments.tuning.when();
        start(data, config, arguments.weights.as_deref(), out, when, &arguments.gpu)?
    };
    let gpu = trainer.gpu();
    let outcome = train(trainer, !arguments.no_tensorboard)?;
    finish(&outcome, out, arguments.json)?;
    report::after_training(out, &gpu);
    Ok(())
}

/// Trains to the end, with progress.
pub fn train(mut trainer: Trainer, tensorboard: bool) -> Result<Outcome> {
    for note in trainer.notes() {
        console::say(format!("note: {note}"));
    }
    if !tensorboard {
        trainer.without_tensorboard();
    }
    let mut progress = TrainingProgress::new(trainer.pictures_per_step());
    trainer.train(&mut progress)
}

/// What is known of a new run before an hour of decoding.
pub struct Checked {
    config: Config,
    pretrained: Option<Pretrained>,
    gpu: Arc<Gpu>,
    needs: Needs,
}

/// Checks a new run as far as it can be without decoding.
pub fn check(data: &Path, config: Config, weights: Option<&Path>, gpu: &GpuArguments) -> Result<Checked> {
    let classes = classes(data, &config)?;
    let (config, pretrained) = pretrained(config, weights, classes)?;
    let gpu = gpu.open()?;
    let needs = Needs::of(&config, &config.net_config(classes), gpu.adapter())?;
    Ok(Checked { config, pretrained, gpu, needs })
}

/// Prepares a new run up to its first step, from the seed or from a weights file.
pub fn start(
    data: &Path,
    config: Config,
    weights: Option<&Path>,
    out: &Path,
    when: When,
    gpu: &GpuArguments,
) -> Result<Trainer> {
    let run = RunFolder::new(out);
    run::check_new(&run)?;
    let Checked { config, pretrained, gpu, needs } = check(data, config, weights, gpu)?;
    run::create(&run)?;
    let prepared = prepare_data(data, &config, &run.data())?;
    console::say(dry_run::line(&needs));
    if config.freeze.is_some() && pretrained.is_none() {
        console::say("note: --freeze without --weights: the frozen layers keep their random first values");
    }
    let file = pretrained.as_ref().map(|pretrained| pretrained.file.clone());
    write_config(&run, &config, data, &gpu, &prepared.dataset, &needs, file)?;
    let trainer = Trainer::new(&gpu, config, run, prepared.dataset, false, &mut tuning(when, &mut console::say))?;
    if let Some(pretrained) = &pretrained {
        trainer.start_from(pretrained)?;
    }
    Ok(trainer)
}

/// How `train` chooses kernels.
fn tuning(when: When, say: &mut dyn FnMut(String)) -> Tuning<'_> {
    Tuning { when, budget: tuning::BUDGET, cache: cache_folder(), say }
}

/// Reads the weights to start from, says what is left out of them, and takes over their normalisation.
fn pretrained(config: Config, weights: Option<&Path>, classes: usize) -> Result<(Config, Option<Pretrained>)> {
    let Some(file) = weights else { return Ok((config, None)) };
    let pretrained = Pretrained::read(file, &config, classes)?;
    for note in pretrained.notes() {
        console::say(format!("note: {note}"));
    }
    Ok((pretrained.settings(config), Some(pretrained)))
}

/// Classes of the covers in DATA.
fn classes(data: &Path, config: &Config) -> Result<usize> {
    Ok(source::classes(data, &config.columns())?.len())
}

/// Holds `--classes` against DATA.
fn check_classes(wanted: Option<usize>, data: &Path, config: &Config) -> Result<()> {
    let Some(wanted) = wanted else { return Ok(()) };
    let found = classes(data, config)?;
    if wanted == found {
        return Ok(());
    }
    let data = data.display();
    Err(Error::input(format!("--classes {wanted}: {data} has {found}; leave the option out, it is for --dry-run")))
}

/// Goes on with a run; `config` is its own, but that there may be more epochs.
fn resume(data: &Path, config: Config, run: &RunFolder, gpu: &GpuArguments) -> Result<Trainer> {
    let dataset = Dataset::open(&run.data())?;
    run::check_same_data(data, &config, &dataset, run)?;
    let (gpu, say) = (gpu.open()?, &mut console::say);
    let trainer = Trainer::new(&gpu, config, run.clone(), dataset, true, &mut tuning(When::Never, say))?;
    console::say(format!("resuming after epoch {}", trainer.epochs_done()));
    Ok(trainer)
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
        weights,
    };
    let text = Config { run: Some(origin), ..config.clone() }.to_toml()?;
    write_atomically(&run.config(), |file| std::io::Write::write_all(file, text.as_bytes()))
}

#[derive(Serialize)]
struct Summary<'a> {
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
    console::print(&format!("{text}run: {}\n", root.display()))
}
