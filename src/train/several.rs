//! Runs that belong together, one after the other on covers that were prepared once: those of several seeds, or of several folds.

use std::path::Path;

use serde::de::DeserializeOwned;

use crate::data::{Dataset, Intake};
use crate::read::cannot_read;
use crate::score::Metrics;
use crate::shown::path_text;
use crate::train::run::{self, RunFolder};
use crate::train::{Config, Outcome, Starter, Trainer};
use crate::weights::{Best, Checkpoint};
use crate::{Error, Result};

/// What one of several runs ended with: its best epoch, and its score on its test set.
pub type Ended = (Option<Best>, Option<Metrics>);

/// Reads the file that says what several runs came to; `None` if there is none.
///
/// # Errors
/// [`Error::Input`] if it is damaged.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    if !path.is_file() {
        return Ok(None);
    }
    let text = std::fs::read_to_string(path).map_err(|e| cannot_read(path, &e))?;
    let damaged = |e| Error::input(format!("{}: damaged or of another version ({e})", path.display()));
    serde_json::from_str(&text).map(Some).map_err(damaged)
}

/// Checks that a new call of several runs may write into `out`, whose own file (`seeds.json`, `folds.json`) is `there` or not.
/// `option` starts such a call.
///
/// # Errors
/// [`Error::Input`] if there are runs in `out` already, or a weights file has a name that cannot be kept.
pub fn check_new(option: &str, there: bool, weights: Option<&Path>, out: &Path) -> Result<()> {
    if let Some(file) = weights.filter(|file| file.to_str().is_none()) {
        let file = path_text(file);
        return Err(Error::input(format!("--weights {file}: {option} keeps the path, which is not UTF-8: rename it")));
    }
    run::check_new(&RunFolder::new(out))?;
    if there {
        let out = out.display();
        return Err(Error::input(format!(
            "--out {out}: holds runs already; add --resume to go on with them, or name another folder"
        )));
    }
    Ok(())
}

/// Checks the runs, all with `config`, and prepares the covers that they share in `out`. Gives the settings with what was left open.
///
/// # Errors
/// As [`Starter::check`] and [`Starter::prepare`].
pub fn prepare(
    starter: &Starter,
    intake: Intake,
    config: &Config,
    weights: Option<&Path>,
    out: &Path,
) -> Result<Config> {
    if let Some(minutes) = config.minutes {
        return Err(Error::input(format!(
            "--minutes {minutes}: each of several runs would get other epochs, and they could not be compared; say --epochs"
        )));
    }
    if config.open.lr {
        return Err(Error::input(
            "--lr auto: each of several runs would find another, and they could not be compared; ask `gatefold lr`, and say --lr RATE",
        ));
    }
    let (intake, chosen) = starter.check(intake, config.clone(), weights)?.into_parts();
    // Each run finds anew how its weights want pictures.
    let chosen = Config { mean: config.mean, std: config.std, fit: config.fit, ..chosen };
    let run = run::create(&RunFolder::new(out))?;
    starter.prepare(intake, &chosen, &run)?;
    Ok(chosen)
}

/// Checks that an earlier call in the folder `out` was given these data.
///
/// # Errors
/// [`Error::Input`] if they are others.
pub fn check_same_data(starter: &Starter, data: &Path, config: &Config, out: &Path) -> Result<()> {
    let (run, intake) = (RunFolder::new(out), starter.open_data(data, config)?);
    run::check_same_data(&intake, &Dataset::open(&run.data())?, &run)
}

/// Starts one of the runs in the folder `root`, or goes on with it.
///
/// # Errors
/// As [`Starter::start`] and [`Starter::resume`], and what `train` gives.
pub fn train(
    starter: &Starter,
    data: &Path,
    config: Config,
    weights: Option<&Path>,
    root: &Path,
    train: &mut dyn FnMut(&Path, Trainer) -> Result<Outcome>,
) -> Result<Ended> {
    let run = RunFolder::new(root);
    let trainer = if run.last().is_file() {
        // The weights that it started from brought how pictures are made square and normalised.
        let Config { mean, std, fit, .. } = Config::read(&run.config())?;
        starter.resume(data, Config { mean, std, fit, ..config }, &run)?
    } else {
        starter.start(data, config, weights, root)?
    };
    let Outcome { best, test, .. } = train(root, trainer)?;
    Ok((best, test))
}

/// What a run in the folder `root` ended with that needs no more training; `None` if it does.
///
/// # Errors
/// [`Error::Input`] if one of its files is damaged.
pub fn ended(root: &Path, config: &Config) -> Result<Option<Ended>> {
    let run = RunFolder::new(root);
    if !run.last().is_file() {
        return Ok(None);
    }
    let Some(header) = Checkpoint::read(&run.last())?.header else { return Ok(None) };
    let stopped = |best: Best| config.patience.is_some_and(|patience| best.epoch + patience <= header.epoch);
    if header.epoch < config.epochs && !header.best.is_some_and(stopped) {
        return Ok(None);
    }
    let test = match std::fs::read_to_string(run.test()) {
        Ok(text) => Some(serde_json::from_str(&text).map_err(|e| {
            let test = run.test();
            Error::input(format!("{}: damaged ({e}); delete it, and --resume scores the run again", test.display()))
        })?),
        // Without a test set there is no score; with one, the run was killed before it was scored.
        Err(_) if run::answers_missing(&run)? => return Ok(None),
        Err(_) => None,
    };
    Ok(Some((header.best, test)))
}
