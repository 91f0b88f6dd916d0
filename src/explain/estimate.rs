//! A mean with its interval.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

/// The mean of a number over pictures.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// NaN never: of nothing it is 0.
    pub mean: f64,
    /// Student's 95 % interval; `None` for fewer than two pictures.
    pub ci: Option<[f64; 2]>,
}

impl Estimate {
    /// Of one number per picture.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        if values.is_empty() {
            return Self { mean: 0.0, ci: None };
        }
        let mean = values.iter().sum::<f64>() / n;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
        let student = StudentsT::new(0.0, 1.0, n - 1.0).ok();
        let half = student.map(|student| student.inverse_cdf(0.975) * (variance / n).sqrt());
        Self { mean, ci: half.map(|half| [mean - half, mean + half]) }
    }

    /// Whether the whole interval is above 0.
    #[must_use]
    pub fn is_positive(&self) -> bool {
        self.ci.is_some_and(|[low, _]| low > 0.0)
    }
}

impl std::fmt::Display for Estimate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.ci {
            Some([low, high]) => write!(f, "{:.3} ({low:.3} to {high:.3})", self.mean),
            None => write!(f, "{:.3}", self.mean),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Estimate;

    #[test]
    fn the_interval_is_students() {
        // Mean 3, deviation sqrt(2.5), and 2.776 is the quantile for four degrees of freedom.
        let Estimate { mean, ci } = Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]);
        let [low, high] = ci.unwrap();
        assert!(mean == 3.0 && (low - 1.036_757).abs() < 1e-5 && (high - 4.963_243).abs() < 1e-5, "{low} {high}");
        assert!(Estimate::of(&[1.0, 2.0, 3.0, 4.0, 5.0]).is_positive());
        assert!(!Estimate::of(&[-1.0, 2.0]).is_positive());
        assert_eq!(Estimate::of(&[7.0]), Estimate { mean: 7.0, ci: None });
        assert_eq!(Estimate::of(&[]), Estimate { mean: 0.0, ci: None });
        assert!(!Estimate::of(&[7.0]).is_positive());
    }
}
