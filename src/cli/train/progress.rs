//! How training shows its progress.

use std::time::{Duration, Instant};

use gatefold_engine::plan::mib;
use indicatif::ProgressBar;

use crate::cli::console::{self, duration, percent};
use crate::cli::interrupt;
use crate::train::kept::Place;
use crate::train::{EpochReport, Observer, StepReport};
use crate::{Error, Result};

/// A bar with loss, accuracy, images/s and ETA on a terminal, plain lines elsewhere.
pub struct TrainingProgress {
    bar: Option<ProgressBar>,
    /// While the frozen layers' part is computed.
    keeping: Option<console::Progress>,
    rates: Option<console::Progress>,
    pictures: usize,
    steps: u64,
    start: Instant,
    /// Epochs done before this start, for the ETA.
    before: u64,
    /// Pixels of a picture in all epochs before each, and in all.
    pixels: Vec<f64>,
    /// Steps since this start.
    here: u64,
    said: Instant,
    /// The command that goes on with the run, if one does.
    go_on: Option<String>,
    limit: Option<Limit>,
    /// When the step before the timed one ended.
    timed: Instant,
}

/// How long a run may take by the time of one step; it ends if it would take longer.
pub struct Limit {
    pub time: Duration,
    /// What takes too long, and what to do instead.
    pub what: &'static str,
    pub instead: &'static str,
}

/// Between two plain lines within an epoch.
const EVERY: Duration = Duration::from_secs(10);

/// The step that is timed for [`Limit`]: drivers compile in those before.
const TIMED: u64 = 3;

impl TrainingProgress {
    /// `pictures` make a step; `go_on` is the command that goes on with the run once an epoch is done.
    pub fn new(pictures: usize, go_on: Option<String>) -> Self {
        let now = Instant::now();
        Self {
            bar: None,
            keeping: None,
            pictures,
            steps: 0,
            start: now,
            before: 0,
            pixels: vec![0.0],
            here: 0,
            said: now,
            go_on,
            rates: None,
            limit: None,
            timed: now,
        }
    }

    pub fn within(mut self, limit: Limit) -> Self {
        self.limit = Some(limit);
        self
    }

    /// Holds the run's length against the limit; `step` is the one that just ended.
    fn check(&mut self, step: u64) -> Result<()> {
        let Some(Limit { time, what, instead }) = &self.limit else { return Ok(()) };
        if step + 1 == TIMED {
            self.timed = Instant::now();
        }
        if step != TIMED {
            return Ok(());
        }
        let one = self.timed.elapsed().as_secs_f64();
        let all = one * (self.steps * self.epochs()) as f64;
        if all <= time.as_secs_f64() {
            return Ok(());
        }
        Err(Error::input(format!("{what} would take {} here, at {} a step; {instead}", duration(all), duration(one))))
    }

    fn epochs(&self) -> u64 {
        self.pixels.len() as u64 - 1
    }

    /// Seconds that what is left takes, after so many epochs and steps of the next one, if a pixel takes what it took so far.
    fn left(&self, epochs: u64, steps: u64) -> f64 {
        let before = |epoch: u64| self.pixels[epoch.min(self.epochs()) as usize];
        let step = (before(epochs + 1) - before(epochs)) / self.steps.max(1) as f64;
        let now = before(epochs) + step * steps as f64;
        let took = self.start.elapsed().as_secs_f64() / (now - before(self.before)).max(1.0);
        took * (before(self.epochs()) - now)
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
    fn keeping(&mut self, done: usize, of: usize) {
        self.keeping.get_or_insert_with(|| console::Progress::new("frozen layers", "covers")).at(done, of);
    }

    fn trying_rates(&mut self, done: usize, of: usize) {
        self.rates.get_or_insert_with(|| console::Progress::new("trying rates", "steps")).at(done, of);
    }

    fn found_rate(&mut self, rate: f32) {
        self.rates = None;
        console::say(format!("the learning rate that did best: the same again is --lr {rate}"));
    }

    fn fitted(&mut self, minutes: f64, epochs: u64, each: Duration) {
        let (time, each) = (duration(60.0 * minutes), duration(each.as_secs_f64()));
        console::say(format!("{time} have room for {epochs} epochs of {each}: the same again is --epochs {epochs}"));
    }

    fn kept(&mut self, bytes: u64, place: Place) {
        self.keeping = None;
        let what = "what the frozen layers make of covers is";
        let bytes = mib(bytes);
        console::say(match place {
            Place::Memory => format!("{what} kept: {bytes} in memory"),
            Place::File => format!("{what} kept: {bytes} in a file of the run folder"),
            Place::Nowhere => format!("note: {what} computed in each epoch: to keep it, its disk would need {bytes}"),
        });
    }

    fn start(&mut self, steps: u64, pixels: &[usize], done: u64) {
        (self.steps, self.before, self.start) = (steps, done, Instant::now());
        self.pixels.truncate(1);
        self.pixels.extend(pixels.iter().scan(0.0, |all, &pixels| {
            *all += pixels as f64;
            Some(*all)
        }));
        self.done(done);
        self.bar = console::bar("{prefix} {bar:24} {pos}/{len} steps, {msg} left", steps * self.epochs());
        if let Some(bar) = &self.bar {
            bar.set_position(steps * done);
        }
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        let StepReport { epoch, loss, accuracy, .. } = report;
        self.here += 1;
        let within = self.here - (epoch - 1 - self.before) * self.steps;
        if let Some(bar) = &self.bar {
            bar.set_prefix(format!("epoch {epoch}/{}", self.epochs()));
            let done = self.here as f64 * self.pictures as f64;
            let rate = done / self.start.elapsed().as_secs_f64().max(1e-9);
            let left = duration(self.left(epoch - 1, within));
            bar.set_message(format!("loss {loss:.3}, accuracy {}, {rate:.0} images/s, {left}", percent(*accuracy)));
            bar.set_position(self.before * self.steps + self.here);
        } else if self.said.elapsed() >= EVERY {
            self.said = Instant::now();
            console::say(format!(
                "epoch {epoch}/{} step {within}/{} loss {loss:.3} accuracy {}",
                self.epochs(),
                self.steps,
                percent(*accuracy)
            ));
        }
        self.check(report.step)
    }

    fn epoch(&mut self, report: &EpochReport, best: bool) {
        self.done(report.epoch);
        self.said = Instant::now();
        let left = self.left(report.epoch, 0);
        let mut line = format!(
            "epoch {}/{}: loss {:.3} accuracy {}",
            report.epoch,
            self.epochs(),
            report.train_loss,
            percent(report.train_accuracy)
        );
        if let (Some(loss), Some(accuracy)) = (report.val_loss, report.val_accuracy) {
            line += &format!(", validation loss {loss:.3} accuracy {}", percent(accuracy));
            line += if best { " (best)" } else { "" };
        }
        line += &format!(", {:.1} images/s, {}", report.images_per_second, duration(report.seconds));
        line += &format!(", {} waiting for data", percent(report.data_wait));
        if let Some(share) = report.communication {
            line += &format!(", {} communication", percent(share));
        }
        if left > 0.0 {
            line += &format!(", {} left", duration(left));
        }
        match &self.bar {
            Some(bar) => bar.println(line),
            None => console::say(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The third step of 15 epochs of 10 steps, which takes a hundredth of a second at least.
    fn third_step(limit: Duration) -> Result<()> {
        let limit = Limit { time: limit, what: "the demo", instead: "try another" };
        let mut progress = TrainingProgress::new(4, None).within(limit);
        progress.start(10, &[64; 15], 0);
        let report =
            |step| StepReport { step, epoch: 1, loss: 1.0, accuracy: 0.5, grad_norm: None, lr: 0.1, loss_scale: None };
        progress.step(&report(1)).unwrap();
        progress.step(&report(2)).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        progress.step(&report(3))
    }

    #[test]
    fn what_is_left_goes_by_pixels() {
        let mut progress = TrainingProgress::new(4, None);
        progress.start(10, &[16, 16, 64, 64], 1);
        progress.start -= Duration::from_secs(8);
        // Half of a small epoch has taken eight seconds; half of one and two that are four times as large are left.
        let left = progress.left(1, 5);
        assert!((left / (8.0 + 2.0 * 64.0) - 1.0).abs() < 0.01, "{left}");
        assert!(progress.left(4, 0) == 0.0);
    }

    #[test]
    fn a_run_that_would_take_too_long_is_told_after_its_third_step() {
        third_step(Duration::from_secs(3600)).unwrap();
        let error = third_step(Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{error}");
        let said = error.to_string();
        assert!(said.starts_with("the demo would take ") && said.ends_with(" a step; try another"), "{said}");
    }
}
