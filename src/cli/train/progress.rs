//! How training shows its progress.

use std::time::{Duration, Instant};

use indicatif::ProgressBar;

use crate::cli::console::{self, duration, percent};
use crate::cli::interrupt;
use crate::train::{EpochReport, Observer, StepReport};

/// A bar with loss, accuracy, images/s and ETA on a terminal, plain lines elsewhere.
pub struct TrainingProgress {
    bar: Option<ProgressBar>,
    pictures: usize,
    steps: u64,
    epochs: u64,
    start: Instant,
    /// Epochs done before this start, for the ETA.
    before: u64,
    said: Instant,
    /// The command that goes on with the run, if one does.
    go_on: Option<String>,
}

/// Between two plain lines within an epoch.
const EVERY: Duration = Duration::from_secs(10);

impl TrainingProgress {
    /// `pictures` make a step; `go_on` is the command that goes on with the run once an epoch is done.
    pub fn new(pictures: usize, go_on: Option<String>) -> Self {
        let now = Instant::now();
        Self { bar: None, pictures, steps: 0, epochs: 0, start: now, before: 0, said: now, go_on }
    }

    /// So many epochs are on disk.
    fn done(&self, epochs: u64) {
        if let Some(go_on) = self.go_on.as_ref().filter(|_| epochs > 0) {
            interrupt::would_say(format!("interrupted after epoch {epochs}; go on with: {go_on}"));
        }
    }
}

impl Drop for TrainingProgress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Observer for TrainingProgress {
    fn start(&mut self, steps: u64, epochs: u64, done: u64) {
        (self.steps, self.epochs, self.before, self.start) = (steps, epochs, done, Instant::now());
        self.done(done);
        let template = "{prefix} {bar:24} {pos}/{len} steps, {msg}, {eta} left";
        self.bar = console::bar(template, steps * epochs);
        if let Some(bar) = &self.bar {
            bar.set_position(steps * done);
            bar.reset_eta();
        }
    }

    fn step(&mut self, report: &StepReport) {
        let StepReport { epoch, step, loss, accuracy, .. } = report;
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs));
            let done = (step - self.before * self.steps) as f64 * self.pictures as f64;
            let rate = done / self.start.elapsed().as_secs_f64().max(1e-9);
            bar.set_message(format!("loss {loss:.3}, accuracy {}, {rate:.0} images/s", percent(*accuracy)));
            bar.set_position(*step);
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            let within = step - (epoch - 1) * self.steps;
            console::say(format!(
                "epoch {epoch}/{} step {within}/{} loss {loss:.3} accuracy {}",
                self.epochs,
                self.steps,
                percent(*accuracy)
            ));
        }
    }

    fn epoch(&mut self, report: &EpochReport, best: bool) {
        self.done(report.epoch);
        self.said = Instant::now();
        let here = report.epoch - self.before;
        let left = self.start.elapsed().as_secs_f64() / here as f64 * (self.epochs - report.epoch) as f64;
        let mut line = format!(
            "epoch {}/{}: loss {:.3} accuracy {}",
            report.epoch,
            self.epochs,
            report.train_loss,
            percent(report.train_accuracy)
        );
        if let (Some(loss), Some(accuracy)) = (report.val_loss, report.val_accuracy) {
            line += &format!(", validation loss {loss:.3} accuracy {}", percent(accuracy));
            line += if best { " (best)" } else { "" };
        }
        line += &format!(", {:.1} images/s, {}", report.images_per_second, duration(report.seconds));
        line += &format!(", {} waiting for data", percent(report.data_wait));
        if left > 0.0 {
            line += &format!(", {} left", duration(left));
        }
        match &self.bar {
            Some(bar) => bar.println(line),
            None => console::say(line),
        }
    }
}
