//! How the learning rate changes over a run.

use serde::{Deserialize, Serialize};

/// The shape of the learning rate over all steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
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
}

impl Schedule {
    /// The rate of step `step` (from 0) of `total`, for a peak of `rate`.
    pub fn rate(self, rate: f32, step: u64, total: u64) -> f32 {
        let between =
            |from: f64, to: f64, share: f64| to + (from - to) * 0.5 * (1.0 + (std::f64::consts::PI * share).cos());
        let (peak, at) = (f64::from(rate), step as f64);
        let value = match self {
            Self::Constant => peak,
            Self::Cosine => between(peak, 0.0, at / total.max(1) as f64),
            Self::OneCycle => {
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
        value as f32
    }
}

#[cfg(test)]
mod tests {
    use super::Schedule;

    #[test]
    fn constant_stays_and_cosine_falls_by_half_at_half_time() {
        assert_eq!(Schedule::Constant.rate(0.1, 7, 10), 0.1);
        assert_eq!(Schedule::Cosine.rate(0.1, 0, 10), 0.1);
        assert!((Schedule::Cosine.rate(0.1, 5, 10) - 0.05).abs() < 1e-8);
    }

    #[test]
    fn one_cycle_is_pytorchs() {
        // torch.optim.lr_scheduler.OneCycleLR(max_lr=0.1, total_steps=10), its first, third, sixth and last rate.
        for (step, rate) in [(0, 0.004), (2, 0.1), (5, 0.061_126_2), (9, 4e-7)] {
            let got = Schedule::OneCycle.rate(0.1, step, 10);
            assert!((got - rate).abs() < 1e-6, "step {step}: {got} instead of {rate}");
        }
    }

    #[test]
    fn short_runs_have_finite_rates() {
        for total in 1..5 {
            for step in 0..total {
                let rate = Schedule::OneCycle.rate(0.1, step, total);
                assert!(rate.is_finite() && rate > 0.0 && rate <= 0.1, "{step} of {total}: {rate}");
            }
        }
    }
}
