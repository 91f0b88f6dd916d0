//! How the learning rate changes over a run.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over all steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// The same all the time.
    Constant,
    /// Half a cosine from the rate down to 0.
    Cosine,
    /// Up along a cosine from 1/25 of the rate over the first 30 % of the steps, then down to 1/250,000 of it: PyTorch's
    /// `OneCycleLR` with its defaults (Smith and Topin 2017), without its change of momentum.
    #[default]
    OneCycle,
    /// Multiplied by a factor every so many epochs: PyTorch's `StepLR`.
    Step,
}

impl Schedule {
    /// As options and recipes write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Cosine => "cosine",
            Self::OneCycle => "one-cycle",
            Self::Step => "step",
        }
    }
}

/// The learning rate over a run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LearningRate {
    pub schedule: Schedule,
    /// The schedule's largest rate.
    pub peak: f32,
    /// Steps over which the rate rises in a straight line; not with [`Schedule::OneCycle`], which has a rise of its own.
    pub warmup: u64,
    pub steps_per_epoch: u64,
    pub epochs: u64,
    /// Steps after which the schedule begins: none, but where a resumed run restarted it.
    pub start: u64,
    /// Epochs between two drops of [`Schedule::Step`].
    pub step_every: u64,
    /// What each drop multiplies the rate by.
    pub step_factor: f32,
}

impl LearningRate {
    /// Optimiser steps in the run.
    pub fn steps(&self) -> u64 {
        self.steps_per_epoch * self.epochs
    }

    /// The rate of a step, counted from 0. The schedule covers the steps from [`Self::start`] on.
    ///
    /// With `w` steps of warm-up, step `t < w` has `(t + 1) / w` of the rate (PyTorch's `LinearLR` from `1 / w` on). The cosine
    /// begins after it (`SequentialLR`); the drops of [`Schedule::Step`] stay where they are (`ChainedScheduler`).
    pub fn at(&self, step: u64) -> f32 {
        let between =
            |from: f64, to: f64, share: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        let step = step.saturating_sub(self.start);
        let (peak, total) = (f64::from(self.peak), self.steps().saturating_sub(self.start));
        let warm = if step < self.warmup { (step + 1) as f64 / self.warmup as f64 } else { 1.0 };
        let value = match self.schedule {
            Schedule::Constant => peak,
            Schedule::Cosine => {
                let (at, of) = (step.saturating_sub(self.warmup), total.saturating_sub(self.warmup));
                between(peak, 0.0, (at as f64 / of.max(1) as f64).min(1.0))
            }
            Schedule::Step => {
                let epoch = step / self.steps_per_epoch.max(1);
                peak * f64::from(self.step_factor).powf((epoch / self.step_every.max(1)) as f64)
            }
            Schedule::OneCycle => {
                let at = step as f64;
                let (start, end) = (peak / 25.0, peak / 25.0 / 1e4);
                let last = total.max(2) as f64 - 1.0;
                let top = (0.3 * total as f64 - 1.0).max(0.0);
                if at <= top && top > 0.0 {
                    between(start, peak, at / top)
                } else {
                    between(peak, end, ((at - top) / (last - top)).clamp(0.0, 1.0))
                }
            }
        };
        (warm * value) as f32
    }
}

#[cfg(test)]
mod tests {
    use super::{LearningRate, Schedule};

    const EPOCHS: u64 = 5;
    const STEPS: u64 = 4;
    const TOTAL: u64 = EPOCHS * STEPS;

    fn rate(schedule: Schedule, warmup: u64) -> LearningRate {
        let (steps_per_epoch, epochs, step_every, step_factor) = (STEPS, EPOCHS, 2, 0.3);
        LearningRate { schedule, peak: 0.1, warmup, steps_per_epoch, epochs, start: 0, step_every, step_factor }
    }

    #[track_caller]
    fn same(rate: LearningRate, expected: &[f64]) {
        assert_eq!(expected.len() as u64, rate.steps());
        for (step, &expected) in (0..).zip(expected) {
            let got = f64::from(rate.at(step));
            assert!((got - expected).abs() < 1e-7, "{rate:?}: step {step}: {got} instead of {expected}");
        }
    }

    /// `torch.optim.lr_scheduler.LinearLR` as PyTorch computes it, each factor from the one before.
    fn linear(start: f64, total: u64, steps: u64) -> Vec<f64> {
        let mut rates = vec![0.1 * start];
        for t in 1..steps {
            let before = rates[t as usize - 1];
            let rise = (1.0 - start) / (total as f64 * start + (t - 1) as f64 * (1.0 - start));
            rates.push(if t > total { before } else { before * (1.0 + rise) });
        }
        rates
    }

    /// `CosineAnnealingLR`, each rate from the one before.
    fn cosine(steps: u64) -> Vec<f64> {
        let angle = |t: u64| 1.0 + (std::f64::consts::PI * t as f64 / steps as f64).cos();
        let mut rates = vec![0.1];
        (1..steps).for_each(|t| rates.push(rates[t as usize - 1] * angle(t) / angle(t - 1)));
        rates
    }

    /// `StepLR(step_size=2, gamma=0.3)`, stepped after each epoch.
    fn step() -> Vec<f64> {
        let (mut rate, mut rates) = (0.1, vec![]);
        for epoch in 0..EPOCHS {
            if epoch > 0 && epoch % 2 == 0 {
                rate *= 0.3;
            }
            rates.extend([rate; STEPS as usize]);
        }
        rates
    }

    #[test]
    fn constant_stays_and_cosine_falls_by_half_at_half_time() {
        assert_eq!(rate(Schedule::Constant, 0).at(7), 0.1);
        assert_eq!(rate(Schedule::Cosine, 0).at(0), 0.1);
        assert!((rate(Schedule::Cosine, 0).at(TOTAL / 2) - 0.05).abs() < 1e-8);
    }

    #[test]
    fn cosine_and_step_are_pytorchs() {
        same(rate(Schedule::Cosine, 0), &cosine(TOTAL));
        same(rate(Schedule::Step, 0), &step());
    }

    #[test]
    fn warm_up_is_pytorchs_before_each_schedule() {
        for warmup in [1, 2, 7] {
            // LinearLR(start_factor=1 / w, total_iters=w - 1); a warm-up of one step is none.
            let warm = linear(1.0 / warmup as f64, warmup - 1, TOTAL);
            same(rate(Schedule::Constant, warmup), &warm);
            // SequentialLR([warm, cosine], milestones=[w]).
            let then = [&warm[..warmup as usize], &cosine(TOTAL - warmup)].concat();
            same(rate(Schedule::Cosine, warmup), &then);
            // ChainedScheduler([warm, steps]): both factors.
            let both: Vec<_> = warm.iter().zip(step()).map(|(warm, step)| warm * step / 0.1).collect();
            same(rate(Schedule::Step, warmup), &both);
        }
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=10), its first, third, sixth and last rate.
        let ten = LearningRate { steps_per_epoch: 10, epochs: 1, ..rate(Schedule::OneCycle, 0) };
        for (step, rate) in [(0, 0.004), (2, 0.1), (5, 0.061_126_2), (9, 4e-7)] {
            let got = ten.at(step);
            assert!((got - rate).abs() < 1e-6, "step {step}: {got} instead of {rate}");
        }
    }

    #[test]
    fn a_schedule_that_begins_later_is_that_of_the_epochs_that_are_left() {
        for schedule in [Schedule::Constant, Schedule::Cosine, Schedule::OneCycle, Schedule::Step] {
            let late = LearningRate { epochs: EPOCHS + 3, start: 3 * STEPS, ..rate(schedule, 0) };
            (0..TOTAL).for_each(|step| {
                assert_eq!(late.at(3 * STEPS + step), rate(schedule, 0).at(step), "{schedule:?} {step}")
            });
        }
    }

    #[test]
    fn short_runs_have_finite_rates() {
        for total in 1..5 {
            let short = LearningRate { steps_per_epoch: total, epochs: 1, ..rate(Schedule::OneCycle, 0) };
            for step in 0..total {
                let rate = short.at(step);
                assert!(rate.is_finite() && rate > 0.0 && rate <= 0.1, "{step} of {total}: {rate}");
            }
        }
    }
}
