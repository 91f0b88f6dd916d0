//! A run as a report sees it: what its folder holds, read once.

use std::path::Path;

use serde::Serialize;
use serde_json::Value;

use super::page::Tone;
use super::words::command;
use crate::data::{Dataset, Split};
use crate::score::metrics::{Calibration, Intervals};
use crate::score::model::Model;
use crate::score::{Metrics, Predictions, evaluate};
use crate::train::config::Origin;
use crate::train::run::RunFolder;
use crate::train::{Config, EpochReport, StepReport, log};
use crate::weights::{Checkpoint, Header};
use crate::{Error, Result};

/// A finished run, or one under way that has a checkpoint.
pub struct Run {
    pub folder: RunFolder,
    /// The folder's name, to tell runs apart.
    pub name: String,
    pub config: Config,
    pub origin: Origin,
    pub steps: Vec<StepReport>,
    pub epochs: Vec<EpochReport>,
    pub dataset: Dataset,
    /// Of the checkpoint that counts.
    pub header: Header,
    /// `None` without a test set.
    pub test: Option<Test>,
    /// What the user should know of its files.
    pub notes: Vec<String>,
}

/// The answers for the test set, and what they say.
pub struct Test {
    pub predictions: Predictions,
    pub metrics: Metrics,
    pub intervals: Intervals,
    pub calibration: Calibration,
}

impl Test {
    /// Scores answers; `training_counts` are the covers of each class in the training set.
    ///
    /// # Errors
    /// As [`Metrics::of`].
    pub fn new(predictions: Predictions, training_counts: &[u64]) -> Result<Self> {
        let (answers, labels) = (predictions.answers(), &predictions.labels);
        let metrics = Metrics::of(&answers, labels, training_counts)?;
        let (intervals, calibration) = (Intervals::new(&answers, labels.len()), Calibration::new(&answers));
        Ok(Self { metrics, intervals, calibration, predictions })
    }

    /// What a run answered for its test set; none without one. If the table of answers is missing, they are made with `model` and
    /// written down.
    ///
    /// # Errors
    /// [`Error::Input`] if the table is damaged or not of this test set, or missing where there is no model.
    pub fn of_run(
        folder: &RunFolder,
        dataset: &Dataset,
        header: &Header,
        model: Option<&Model>,
    ) -> Result<Option<Self>> {
        let (indices, path) = (dataset.manifest.indices(Split::Test), folder.predictions());
        if indices.is_empty() {
            return Ok(None);
        }
        let predictions = if path.is_file() {
            Predictions::read(&path, &header.labels)?
        } else {
            let model = model.ok_or_else(|| {
                let path = path.display();
                Error::input(format!("{path}: is missing, and without an adapter it cannot be made anew"))
            })?;
            let made = evaluate::predictions(model, dataset, &indices)?;
            made.write(&path)?;
            made
        };
        if !predictions.are_of(&dataset.manifest.covers, &indices) {
            let path = path.display();
            return Err(Error::input(format!(
                "{path}: is not of this run's test set; delete it, and report makes it anew"
            )));
        }
        Self::new(predictions, &header.training_counts).map(Some)
    }

    /// For two classes: the probability of class 1 for each cover, and whether it is of class 1.
    pub fn second_class(&self) -> Option<(Vec<bool>, Vec<f32>)> {
        let covers = &self.predictions.covers;
        (self.predictions.labels.len() == 2).then(|| {
            (covers.iter().map(|c| c.answer.label == 1).collect(), covers.iter().map(|c| c.answer.second).collect())
        })
    }
}

/// A run folder's name, to tell runs apart.
pub fn name(root: &Path) -> String {
    let absolute = std::path::absolute(root).unwrap_or_else(|_| root.to_owned());
    absolute.file_name().map_or_else(|| "run".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// What the audit of a run said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Audited {
    pub verdict: String,
    pub summary: String,
    pub tone: Tone,
}

impl Audited {
    /// Of a run's audit, if there was one.
    pub fn read(folder: &RunFolder) -> Option<Self> {
        let told: Value = serde_json::from_slice(&std::fs::read(folder.audit().join("audit.json")).ok()?).ok()?;
        let text = |key: &str| told.get(key)?.as_str().map(str::to_owned);
        let (verdict, summary) = (text("verdict")?, text("summary")?);
        let tone = match &verdict {
            v if v.contains("FOUND") => Tone::Bad,
            v if v.contains("INCONCLUSIVE") => Tone::Unsure,
            _ => Tone::Plain,
        };
        Some(Self { verdict, summary, tone })
    }
}

impl Run {
    /// Reads a run. If the answers for the test set are missing, they are made with `model` and written down.
    ///
    /// # Errors
    /// [`Error::Input`] if the folder is no run, has no checkpoint yet, or a file is damaged.
    pub fn read(root: &Path, model: Option<&Model>) -> Result<Self> {
        let folder = RunFolder::open(root)?;
        let mut config = Config::read(&folder.config())?;
        let origin = config.run.take().ok_or_else(|| {
            let path = folder.config();
            Error::input(format!(
                "{}: does not tell where the run came from; give the folder that train wrote",
                path.display()
            ))
        })?;
        let checkpoint = folder.checkpoint()?;
        let read = Checkpoint::read(&checkpoint)?;
        let mut notes: Vec<String> = folder.takes_last().into_iter().chain(read.notes()).collect();
        let header = read
            .header
            .ok_or_else(|| Error::input(format!("checkpoint {}: was not written by train", checkpoint.display())))?;
        let (steps, epochs) = log::read(&folder.metrics())?;
        let dataset = Dataset::open(&folder.data())?;
        header.check_data(&checkpoint, &dataset)?;
        notes.extend(dataset.note());
        let test = Test::of_run(&folder, &dataset, &header, model)?;
        let name = name(root);
        Ok(Self { folder, name, config, origin, steps, epochs, dataset, header, test, notes })
    }

    /// Covers in a split.
    pub fn count(&self, split: Split) -> usize {
        self.dataset.manifest.indices(split).len()
    }

    /// The share of validation covers that always answering the training set's most frequent class gets right.
    pub fn validation_majority(&self) -> Option<f64> {
        let (train, val) = (&self.header.training_counts, self.dataset.manifest.counts(Split::Val));
        let most = (1..train.len()).fold(0, |most, c| if train[c] > train[most] { c } else { most });
        let total: usize = val.iter().sum();
        (total > 0).then(|| val[most] as f64 / total as f64)
    }

    /// Seconds of training and validation.
    pub fn seconds(&self) -> f64 {
        self.epochs.iter().map(|epoch| epoch.seconds).sum()
    }

    /// Median over epochs: other programs' load disturbs single ones.
    pub fn images_per_second(&self) -> Option<f64> {
        let mut speeds: Vec<f64> = self.epochs.iter().map(|epoch| epoch.images_per_second).collect();
        speeds.sort_by(f64::total_cmp);
        speeds.get(speeds.len() / 2).copied()
    }

    /// The command that repeats the run, with the options that differ from the defaults.
    pub fn command(&self) -> String {
        let config = self.folder.config();
        let options = Config { run: Some(self.origin.clone()), ..self.config.clone() }.options();
        let options = options.unwrap_or_else(|| vec!["--recipe".into(), config.display().to_string()]);
        let weights =
            self.origin.weights.iter().flat_map(|file| ["--weights".to_owned(), file.path.display().to_string()]);
        let out = ["--out".to_owned(), format!("{}-again", self.name)];
        let head = ["gatefold".to_owned(), "train".to_owned(), self.origin.data.display().to_string()];
        command(head.into_iter().chain(out).chain(weights).chain(options))
    }
}
