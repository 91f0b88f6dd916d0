//! The same run with several seeds: how far its scores spread.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::Columns;
use crate::score::Metrics;
use crate::train::run::RunFolder;
use crate::train::{Config, Event, Outcome, Starter, Trainer, several};
use crate::weights::Best;
use crate::{Error, Result};

/// What `seeds.json` in the folder of several runs says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Seeds {
    /// What all are trained on; the folder's own `data/` is made of it once, with one split.
    #[serde(serialize_with = "crate::shown::path")]
    pub data: PathBuf,
    pub seeds: Vec<u64>,
    /// The settings of all runs; its seed made the split.
    pub config: Config,
    /// Weights that all start from.
    pub weights: Option<PathBuf>,
    /// Runs that are finished.
    pub runs: Vec<Finished>,
    /// Of the runs that are finished, from two on.
    pub spread: Option<Spread>,
}

/// One of several runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finished {
    pub seed: u64,
    #[serde(serialize_with = "crate::shown::path")]
    pub run: PathBuf,
    pub best: Option<Best>,
    pub test: Option<Metrics>,
}

impl Seeds {
    fn file(folder: &Path) -> PathBuf {
        RunFolder::new(folder).seeds()
    }

    /// The folder of one seed's run.
    pub fn folder(folder: &Path, seed: u64) -> PathBuf {
        folder.join(format!("seed-{seed}"))
    }

    /// The folders of the runs that are finished.
    pub fn folders(&self, folder: &Path) -> Vec<PathBuf> {
        self.runs.iter().map(|run| Self::folder(folder, run.seed)).collect()
    }

    /// Reads the file; `None` if the folder has none.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        several::read(&Self::file(folder))
    }

    /// Writes the file.
    ///
    /// # Errors
    /// As [`cannot_write`](crate::file::cannot_write) says if it cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        RunFolder::new(folder).write_json(&Self::file(folder), self)
    }

    /// The settings of one seed's run. The data set is made already, so what says how to make it is left out.
    pub fn config(&self, seed: u64) -> Config {
        Config { seed, split: None, columns: Columns::default(), run: None, ..self.config.clone() }
    }

    /// Checks a new call of several seeds, and makes the data set that all runs share.
    ///
    /// # Errors
    /// [`Error::Input`] if a seed is named twice or there are runs in `out` already; else as [`Starter::check`].
    pub fn begin(
        starter: &Starter,
        data: &Path,
        (config, seeds): (Config, Vec<u64>),
        weights: Option<&Path>,
        out: &Path,
    ) -> Result<Self> {
        check_seeds(&seeds)?;
        several::check_new("--seeds", Self::read(out)?.is_some(), weights, out)?;
        let config = several::prepare(starter, starter.open_data(data, &config)?, &config, weights, out)?;
        let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
        let all = Self { data, seeds, config, weights: weights.map(Path::to_owned), runs: vec![], spread: None };
        all.write(out)?;
        Ok(all)
    }

    /// What an earlier call began; there may be more seeds, and `config` may have more epochs.
    ///
    /// # Errors
    /// [`Error::Input`] if `seeds` leaves one out, or the data are others.
    pub fn go_on(mut self, starter: &Starter, data: &Path, config: Config, seeds: &[u64], out: &Path) -> Result<Self> {
        self.config = config;
        several::check_same_data(starter, data, &self.config, out)?;
        if !seeds.is_empty() {
            check_seeds(seeds)?;
            if let Some(missing) = self.seeds.iter().find(|seed| !seeds.contains(seed)) {
                return Err(Error::input(format!(
                    "--seeds: {missing} was among the seeds and is not named; name it, too, or leave --seeds out"
                )));
            }
            self.seeds = seeds.to_vec();
        }
        Ok(self)
    }

    /// Trains all that are not finished, one after the other: `train` gets each run's folder and its trainer.
    ///
    /// # Errors
    /// As [`Starter::start`] and [`Starter::resume`], and what `train` gives.
    pub fn train(
        &mut self,
        starter: &Starter,
        out: &Path,
        mut train: impl FnMut(&Path, Trainer) -> Result<Outcome>,
    ) -> Result<()> {
        let folder = RunFolder::new(out).claimed()?;
        let prepared = folder.data();
        for (number, seed) in (1..).zip(self.seeds.clone()) {
            let say = |line: String| starter.listener.event(Event::Note(line));
            say(format!("\nseed {seed} ({number} of {})", self.seeds.len()));
            if let Some(finished) = self.finished(out, seed)? {
                say("is finished".to_owned());
                self.add(finished);
                continue;
            }
            let (root, config) = (Self::folder(out, seed), self.config(seed));
            let weights = self.weights.as_deref();
            let (best, test) = several::train(starter, &prepared, config, weights, &root, &mut train)?;
            self.add(Finished { seed, run: root, best, test });
            self.write(out)?;
        }
        self.write(out)
    }

    /// Takes a finished run in, in the order of the seeds.
    pub fn add(&mut self, finished: Finished) {
        self.runs.retain(|run| run.seed != finished.seed);
        self.runs.push(finished);
        let place = |seed: u64| self.seeds.iter().position(|&other| other == seed);
        self.runs.sort_by_key(|run| place(run.seed));
        let tests: Option<Vec<&Metrics>> = self.runs.iter().map(|run| run.test.as_ref()).collect();
        self.spread = tests.and_then(|tests| Spread::of(&tests));
    }

    /// A run that needs no more training; `None` if it does.
    ///
    /// # Errors
    /// [`Error::Input`] if one of its files is damaged.
    pub fn finished(&self, folder: &Path, seed: u64) -> Result<Option<Finished>> {
        let root = Self::folder(folder, seed);
        let ended = several::ended(&root, &self.config)?;
        Ok(ended.map(|(best, test)| Finished { seed, run: root, best, test }))
    }
}

/// Fails unless there are two seeds or more, all different.
fn check_seeds(seeds: &[u64]) -> Result<()> {
    let listed = seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if seeds.iter().collect::<HashSet<_>>().len() < seeds.len() {
        return Err(Error::input(format!("--seeds {listed}: a seed is there twice; name each once")));
    }
    match seeds {
        [one] => Err(Error::input(format!(
            "--seeds {one}: one run has no standard deviation; name two or more, or say --seed {one}"
        ))),
        _ if seeds.iter().any(|&seed| seed > u64::from(u32::MAX)) => {
            Err(Error::input(format!("--seeds {listed}: must be at most 4294967295")))
        }
        _ => Ok(()),
    }
}

/// A score over several runs.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub mean: f64,
    /// Of the sample, over one less than the number of runs.
    #[serde(alias = "deviation")]
    pub std: f64,
    pub lowest: f64,
    pub highest: f64,
}

impl Score {
    /// `None` of fewer than two values, which do not spread.
    fn of(values: &[f64]) -> Option<Self> {
        let n = values.len();
        if n < 2 {
            return None;
        }
        let mean = values.iter().sum::<f64>() / n as f64;
        let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
        let (lowest, highest) = values.iter().fold((f64::MAX, f64::MIN), |(low, high), &v| (low.min(v), high.max(v)));
        Some(Self { mean, std: (squares / (n - 1) as f64).sqrt(), lowest, highest })
    }
}

/// The scores of several runs on the same test set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Spread {
    pub accuracy: Score,
    pub balanced_accuracy: Score,
    pub macro_f1: Score,
    pub loss: Score,
    /// For two classes.
    pub roc_auc: Option<Score>,
}

impl Spread {
    /// `None` of fewer than two runs.
    pub fn of(tests: &[&Metrics]) -> Option<Self> {
        let score = |value: fn(&Metrics) -> f64| Score::of(&tests.iter().map(|m| value(m)).collect::<Vec<_>>());
        let areas: Option<Vec<f64>> = tests.iter().map(|m| m.roc_auc).collect();
        Some(Self {
            accuracy: score(|m| m.accuracy)?,
            balanced_accuracy: score(|m| m.balanced_accuracy)?,
            macro_f1: score(|m| m.macro_f1)?,
            loss: score(|m| m.loss)?,
            roc_auc: areas.and_then(|areas| Score::of(&areas)),
        })
    }

    /// Names, scores, and whether they are shares to be shown in percent.
    pub fn scores(&self) -> Vec<(&'static str, Score, bool)> {
        let mut scores = vec![
            ("accuracy", self.accuracy, true),
            ("balanced accuracy", self.balanced_accuracy, true),
            ("macro-F1", self.macro_f1, false),
            ("loss", self.loss, false),
        ];
        scores.extend(self.roc_auc.map(|score| ("ROC-AUC", score, false)));
        scores
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_std_is_the_sample_s() {
        let score = Score::of(&[0.2, 0.3, 0.4]).unwrap();
        assert!((score.mean - 0.3).abs() < 1e-12 && (score.std - 0.1).abs() < 1e-12);
        assert_eq!((score.lowest, score.highest), (0.2, 0.4));
        assert_eq!(Score::of(&[0.2]), None);
    }
}
