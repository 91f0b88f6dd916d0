//! What is written down while training: `metrics.jsonl`, and the same numbers for TensorBoard.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::file::{cannot_write, write_atomically};
use crate::train::run::RunFolder;
use crate::train::tensorboard::EventWriter;
use crate::{Error, Result};

/// One step, as `metrics.jsonl` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepReport {
    /// Steps done, this one included.
    pub step: u64,
    pub epoch: u64,
    pub loss: f64,
    pub accuracy: f64,
    /// `None` where it is NaN or infinite: such a step of a run in mixed precision is skipped.
    pub grad_norm: Option<f64>,
    pub lr: f64,
    /// What the loss is multiplied by after this step, in mixed precision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loss_scale: Option<f32>,
}

/// One epoch, as `metrics.jsonl` has it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochReport {
    pub step: u64,
    /// Epochs done, this one included.
    pub epoch: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    /// `None` without a validation set.
    pub val_loss: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub seconds: f64,
    pub images_per_second: f64,
    /// Share of the time that training waited for a batch.
    #[serde(default)]
    pub data_wait: f64,
    /// Share of the time that went into messages between ranks and waiting for others; of a process by itself there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub communication: Option<f64>,
    /// Share of the time in which gradients were summed up over the ranks, also where the backward pass went on meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub all_reduce: Option<f64>,
}

/// A line of `metrics.jsonl`; `kind` tells which.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Line {
    Step(StepReport),
    Epoch(EpochReport),
}

impl Line {
    /// The names and numbers that TensorBoard shows, and the step they belong to.
    fn scalars(&self) -> (u64, Vec<(&'static str, f64)>) {
        match self {
            Self::Step(s) => {
                let mut scalars = vec![("batch/loss", s.loss), ("batch/accuracy", s.accuracy), ("batch/lr", s.lr)];
                scalars.extend(s.grad_norm.map(|norm| ("batch/grad_norm", norm)));
                scalars.extend(s.loss_scale.map(|scale| ("batch/loss_scale", f64::from(scale))));
                (s.step, scalars)
            }
            Self::Epoch(e) => {
                let mut scalars = vec![("epoch/train_loss", e.train_loss), ("epoch/train_accuracy", e.train_accuracy)];
                scalars.extend(e.val_loss.map(|loss| ("epoch/val_loss", loss)));
                scalars.extend(e.val_accuracy.map(|accuracy| ("epoch/val_accuracy", accuracy)));
                scalars.push(("speed/images_per_second", e.images_per_second));
                scalars.extend(e.communication.map(|share| ("speed/communication", share)));
                (e.step, scalars)
            }
        }
    }
}

/// A run's log, open for more lines.
pub struct Log {
    file: File,
    path: PathBuf,
    tensorboard: Option<EventWriter>,
}

impl Log {
    /// Opens the log, keeping what belongs to the first `step` steps (a resumed run writes the later ones again).
    ///
    /// # Errors
    /// As [`cannot_write`] says if a file cannot be written.
    pub fn open(run: &RunFolder, step: u64, tensorboard: bool) -> Result<Self> {
        let path = run.metrics();
        let fault = |e: std::io::Error| cannot_write(&path, &e);
        if path.exists() {
            let kept: Vec<String> = BufReader::new(File::open(&path).map_err(fault)?)
                .lines()
                .map_while(std::result::Result::ok)
                .filter(|line| is_before(line, step))
                .collect();
            write_atomically(&path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}")))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(&path).map_err(fault)?;
        let tensorboard = tensorboard.then(|| EventWriter::open(&run.tensorboard(), step)).transpose()?;
        Ok(Self { file, path, tensorboard })
    }

    /// Appends a line.
    ///
    /// # Errors
    /// As [`cannot_write`] says if it cannot be written.
    pub fn line(&mut self, line: &Line) -> Result<()> {
        let text = serde_json::to_string(line).map_err(Error::run)?;
        writeln!(self.file, "{text}").map_err(|e| cannot_write(&self.path, &e))?;
        let (step, scalars) = line.scalars();
        self.tensorboard.as_mut().map_or(Ok(()), |events| events.scalars(step, &scalars))
    }
}

/// Lines count the steps done when they were written; a line that a crash cut off counts as later.
fn is_before(line: &str, step: u64) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
    value.and_then(|v| v.get("step")?.as_u64()).is_some_and(|at| at <= step)
}

/// The steps and epochs of a `metrics.jsonl`; a line that a crash cut off is left out.
///
/// # Errors
/// [`Error::Input`] if the file cannot be read.
pub fn read(path: &Path) -> Result<(Vec<StepReport>, Vec<EpochReport>)> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| Error::input(format!("{}: cannot be read ({e}); is the run complete?", path.display())))?;
    let (mut steps, mut epochs) = (vec![], vec![]);
    for line in text.lines().filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            Line::Step(step) => steps.push(step),
            Line::Epoch(epoch) => epochs.push(epoch),
        }
    }
    Ok((steps, epochs))
}
