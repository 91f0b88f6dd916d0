//! As many epochs as a time has room for, from what a few steps take.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Observer, Trainer};
use crate::Result;
use crate::data::{Epoch, Split};
use crate::train::config::check::warmup_within;
use crate::train::kept::feed_epoch;
use crate::train::{Config, resume};
use crate::weights::Checkpoint;

/// Optimiser steps before the clock runs, in which drivers finish what they put off, and those that are timed.
const WARM_UP: usize = 2;
const TIMED: usize = 6;

/// The share of what frozen layers have taken that the epochs after them may have in any case.
const OVERTIME: f64 = 0.1;

/// Batches of pictures that validation is timed with, after one that is not.
const VALIDATED: usize = 3;

/// Seconds for the epochs, of so many in all of which some are gone. Where they went into what frozen layers make of the covers,
/// which may have taken longer than there was time for, the epochs have some in any case: all would be lost with a single one.
fn left(seconds: f64, gone: f64, kept: bool) -> f64 {
    (seconds - gone).max(if kept { OVERTIME * gone } else { 0.0 })
}

impl Trainer {
    /// Replaces `--minutes` by the number of epochs, in the run's settings too: what is repeated or resumed later has that many,
    /// whatever a step then takes. At least one; and where it is computed once what frozen layers make of
    /// covers, as many as take a tenth of that time.
    pub(super) fn fit_epochs(&mut self, observer: &mut dyn Observer) -> Result<()> {
        let Some(minutes) = self.config.minutes.filter(|_| self.header.step == 0) else { return Ok(()) };
        let taken = Instant::now();
        let before = Checkpoint::take(&self.gpu, &self.store, self.header.clone(), true)?;
        let checkpoint = taken.elapsed();
        let mut step = self.time_of_step()?;
        if let Some(start) = self.config.start_size {
            self.take_size(start);
            step = (step + self.time_of_step()?) / 2.0;
        }
        let picture = self.time_of_picture()?;
        before.apply(&self.gpu, &self.store, true)?;

        let count = |split: Split| self.dataset.manifest.indices(split).len() as f64;
        // The first and the last checkpoint of an epoch.
        let epoch = step * self.steps_per_epoch() as f64 + picture * count(Split::Val) + 2.0 * checkpoint.as_secs_f64();
        let all = 60.0 * minutes - picture * count(Split::Test);
        let left = left(all, self.began.elapsed().as_secs_f64(), self.kept.is_some());
        // The first rank's clock counts.
        let epochs = self.ranks.of_first((left / epoch.max(1e-9)).floor().clamp(1.0, 1e6) as u64)?;
        (self.config.epochs, self.config.minutes) = (epochs, None);
        warmup_within(self.config.warmup, "has", self.learning_rate().steps())?;
        // The run's own settings know where it came from, too.
        if self.ranks.is_first() {
            let stored = Config::read(&self.run.config())?;
            resume::keep(&self.run, &Config { epochs, minutes: None, ..stored })?;
        }
        observer.fitted(minutes, epochs, Duration::from_secs_f64(epoch));
        Ok(())
    }

    /// Seconds of an optimiser step. What it learns is to be taken back.
    pub(super) fn time_of_step(&mut self) -> Result<f64> {
        let (dataset, batch, per_step) = (Arc::clone(&self.dataset), self.config.batch, self.config.batches_per_step());
        let all = self.epoch_order(0);
        let batches = all.batches().min((WARM_UP + TIMED) * per_step).next_multiple_of(per_step);
        let covers =
            (0..batches).flat_map(|number| all.batch(number % all.batches()).map(|(cover, _)| cover)).collect();
        let order = self.sized(Epoch::of(covers, batch));
        let (kept, warm_up) = (self.kept.clone(), (WARM_UP * per_step).min(batches - per_step));
        let mut start = Instant::now();
        let shares = self.shares(order.batches());
        self.begin_steps()?;
        feed_epoch(&dataset, &order, &shares.own(), kept.as_deref().map(|kept| (kept, 0)), |number, fed| {
            if shares.begins(number) && shares.of_step(shares.step(number)).start == warm_up {
                start = Instant::now();
            }
            self.write_step(fed, shares.draw(0, number), self.config.lr, 1.0 / per_step as f64, 1.0)?;
            let ends = shares.ends(number);
            let ticket = self.submit_batch(ends)?;
            self.plan.results(ticket)?;
            if ends && !self.ranks.is_alone() {
                self.make_step(shares.batches_of_ranks(shares.step(number)), &[])?;
            }
            Ok(())
        })?;
        Ok(start.elapsed().as_secs_f64() * per_step as f64 / (batches - warm_up) as f64)
    }

    /// Seconds that validation takes for a picture, which the ranks share.
    fn time_of_picture(&mut self) -> Result<f64> {
        let covers = self.dataset.manifest.indices(Split::Val);
        let batch = self.config.validation_batch();
        let Some(first) = covers.first().copied() else { return Ok(0.0) };
        self.answers_of(Split::Val, &[first])?;
        let some = &covers[..covers.len().min(VALIDATED * batch)];
        let start = Instant::now();
        self.answers_of(Split::Val, some)?;
        Ok(start.elapsed().as_secs_f64() / (some.len() * self.ranks.count()) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::left;

    #[test]
    fn what_frozen_layers_took_is_not_thrown_away() {
        assert_eq!((left(600.0, 60.0, true), left(600.0, 60.0, false)), (540.0, 540.0));
        assert_eq!((left(600.0, 900.0, true), left(600.0, 900.0, false)), (90.0, 0.0));
    }
}
