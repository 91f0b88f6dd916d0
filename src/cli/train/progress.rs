//! How training shows its progress.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::console::{self, duration, percent};
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
}

/// Between two plain lines within an epoch.
const EVERY: Duration = Duration::from_secs(10);

impl TrainingProgress {
    /// `pictures` make a step.
    pub fn new(pictures: usize) -> Self {
        let now = Instant::now();
        Self { bar: None, pictures, steps: 0, epochs: 0, start: now, before: 0, said: now }
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
        if std::io::stderr().is_terminal() {
            let template = "{prefix} {bar:24} {pos}/{len} steps, {msg}, {eta} left";
            let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = ProgressBar::new(steps * epochs).with_style(style);
            bar.set_position(steps * done);
            bar.reset_eta();
            self.bar = Some(bar);
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
