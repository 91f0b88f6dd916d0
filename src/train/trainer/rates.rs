//! A learning rate by trial: the range test of Smith (2017), "Cyclical Learning Rates for Training Neural Networks", section 3.3. The
//! rate grows from step to step, and where the loss falls fastest and furthest there is a good one.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::Trainer;
use super::course::factor;
use super::totals::Submitted;
use crate::Result;
use crate::data::Epoch;
use crate::train::kept::feed_epoch;
use crate::train::{Config, resume};
use crate::weights::Checkpoint;

/// From this rate to that one.
const RANGE: [f64; 2] = [1e-6, 1.0];

/// Steps, fewer where they take long, and how long all of them may.
const STEPS: [usize; 2] = [40, 120];
const TIME: Duration = Duration::from_secs(40);

/// How much of the smoothed loss comes from the steps before.
const SMOOTHING: f64 = 0.9;

/// Steps after which the smoothed loss is no longer that of a few lucky batches, at rates that change nothing yet.
const SETTLED: usize = 20;

/// The trial ends when the smoothed loss is this many times its least.
const WORSE: f64 = 2.0;

/// The loss at a rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Tried {
    pub lr: f64,
    pub loss: f64,
    /// The mean of the losses so far, the last ones counting most.
    pub smoothed: f64,
}

/// What a trial came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rates {
    pub tried: Vec<Tried>,
    /// A tenth of the rate at which the smoothed loss is least, once it has settled: a good peak of a schedule.
    pub suggestion: f64,
}

impl Rates {
    /// `losses` at rates that grow by equal factors over [`RANGE`] in `steps` steps; the trial may have ended early.
    fn of(losses: &[f64], steps: usize) -> Self {
        let mut mean = 0.0;
        let mut tried: Vec<Tried> = vec![];
        for (number, &loss) in losses.iter().enumerate() {
            mean = SMOOTHING * mean + (1.0 - SMOOTHING) * loss;
            // The first ones have no steps before them.
            let smoothed = mean / (1.0 - SMOOTHING.powi(number as i32 + 1));
            tried.push(Tried { lr: rate(number, steps), loss, smoothed });
        }
        let settled = tried.get(SETTLED..).filter(|settled| !settled.is_empty()).unwrap_or(&tried);
        let least = settled.iter().min_by(|a, b| a.smoothed.total_cmp(&b.smoothed));
        let suggestion = least.map_or(f64::NAN, |least| least.lr / 10.0);
        Self { tried, suggestion }
    }

    fn is_over(&self) -> bool {
        let least = self.tried.iter().map(|tried| tried.smoothed).fold(f64::INFINITY, f64::min);
        self.tried.last().is_some_and(|last| !last.smoothed.is_finite() || last.smoothed > WORSE * least)
    }
}

/// The rate of a step.
fn rate(number: usize, steps: usize) -> f64 {
    let [low, high] = RANGE;
    low * (high / low).powf(number as f64 / (steps.max(2) - 1) as f64)
}

impl Trainer {
    /// Tries rates on the first weights, which are put back afterwards. Before training.
    ///
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) if the device fails.
    pub fn try_rates(&mut self, progress: &mut dyn FnMut(usize, usize)) -> Result<Rates> {
        let header = self.header.clone();
        let before = Checkpoint::take(&self.gpu, &self.store, header.clone(), true)?;
        let step = self.time_of_step()?;
        let step = self.ranks.of_first(step)?;
        before.apply(&self.gpu, &self.store, true)?;
        let steps = ((TIME.as_secs_f64() / step.max(1e-9)) as usize).clamp(STEPS[0], STEPS[1]);
        let rates = self.losses(steps, progress);
        self.header = header;
        before.apply(&self.gpu, &self.store, true)?;
        rates
    }

    fn losses(&mut self, steps: usize, progress: &mut dyn FnMut(usize, usize)) -> Result<Rates> {
        let (dataset, per_step) = (Arc::clone(&self.dataset), self.config.batches_per_step());
        let all = self.epoch_order(0);
        let covers = (0..steps * per_step)
            .flat_map(|number| all.batch(number % all.batches()).map(|(cover, _)| cover))
            .collect();
        let order = self.sized(Epoch::of(covers, self.config.batch));
        let kept = self.kept.clone();
        let (mut losses, mut group, mut over) = (vec![], vec![], false);
        let shares = self.shares(order.batches());
        self.begin_steps()?;
        feed_epoch(&dataset, &order, &shares.own(), kept.as_deref().map(|kept| (kept, 0)), |number, fed| {
            let at = shares.step(number);
            if over || at >= steps {
                return Ok(());
            }
            let factor = factor(&self.header);
            let share = 1.0 / per_step as f64;
            let rate = rate(at, steps) as f32;
            let own = self.write_step(fed, shares.draw(0, number), rate, share, factor)?;
            let ends = shares.ends(number);
            let ticket = self.submit_batch(ends)?;
            group.push(self.shown(Submitted { ticket, step: 0, rate, share, own, ends })?.0);
            if ends {
                let own = std::mem::take(&mut group);
                let together = !self.ranks.is_alone();
                let all = if together { self.make_step(shares.batches_of_ranks(at), &own)?.0 } else { own };
                losses.push(all.iter().map(|shown| shown.loss).sum());
                // Adam's corrections go by the step.
                self.header.step += 1;
                over = Rates::of(&losses, steps).is_over();
                progress(losses.len(), steps);
            }
            Ok(())
        })?;
        losses.retain(|loss| loss.is_finite());
        if losses.is_empty() {
            return Err(self.diverged(1, "the loss"));
        }
        Ok(Rates::of(&losses, steps))
    }

    /// Replaces `--lr auto` by what the trial suggests, in the run's settings too.
    pub(super) fn find_rate(&mut self, observer: &mut dyn super::Observer) -> Result<()> {
        if !self.config.open.lr || self.header.step > 0 {
            return Ok(());
        }
        let rates = self.try_rates(&mut |done, of| observer.trying_rates(done, of))?;
        // Two digits are more than the trial knows.
        let lr: f32 = format!("{:.1e}", rates.suggestion).parse().unwrap_or(self.config.lr);
        (self.config.lr, self.config.open.lr) = (lr, false);
        if self.ranks.is_first() {
            let stored = Config::read(&self.run.config())?;
            resume::keep(&self.run, &Config { lr, ..stored })?;
        }
        observer.found_rate(lr);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_suggestion_is_a_tenth_of_where_the_loss_is_least_whatever_the_noise() {
        let steps = 100;
        // Least at 0.03.
        let loss = |number: usize| {
            let from = (rate(number, steps) / 0.03).log10();
            let noise = if number.is_multiple_of(2) { 0.05 } else { -0.05 };
            1.0 + 0.2 * if from < 0.0 { -from } else { 4.0 * from } + noise
        };
        let mut losses: Vec<f64> = (0..steps).map(loss).collect();
        // A first batch that happens to be easy.
        losses[0] = 0.1;
        let Rates { tried, suggestion } = Rates::of(&losses, steps);
        assert!((suggestion / 0.003).log10().abs() < 0.4, "{suggestion}");
        assert!((tried[0].lr - 1e-6).abs() < 1e-12 && (tried[99].lr - 1.0).abs() < 1e-9);
        assert_eq!(tried[0].smoothed, tried[0].loss);
    }

    #[test]
    fn it_ends_when_the_loss_grows() {
        assert!(!Rates::of(&[1.6, 1.5, 1.4], 40).is_over());
        let mut losses = vec![1.6; 20];
        losses.extend([9.0; 5]);
        assert!(Rates::of(&losses, 40).is_over());
        assert!(Rates::of(&[1.6, f64::NAN], 40).is_over());
    }
}
