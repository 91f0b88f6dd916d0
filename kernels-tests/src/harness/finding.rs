//! What rows showed.

use gatefold_engine::tape::Launch;

use super::runner::Noted;
use super::{Checked, Placement, Row};

/// What a row showed: its runs, one for each placement and kernel.
pub struct Finding {
    pub op: &'static str,
    pub name: String,
    /// The row's, for runs in f32.
    pub tolerance: f64,
    pub runs: Vec<Run>,
}

/// One run of a row.
pub struct Run {
    pub placement: Placement,
    /// Which kernel each launch took, counted among those that run here; where there are fewer, the last one.
    pub kernel: Option<usize>,
    pub tolerance: f64,
    pub outcome: Outcome,
    pub(crate) noted: Noted,
}

/// What came of a run.
pub enum Outcome {
    Measured(Vec<Checked>),
    /// It did not come to an end: why.
    Error(String),
    /// The adapter cannot do it: why.
    Skipped(String),
}

/// The verdict on a run or a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// The largest error of a row, as the table has it.
pub struct Worst {
    /// What is off, and in which run.
    pub what: String,
    /// In units of the row's own tolerance, so that one column serves for runs with another one.
    pub error: f64,
}

impl Finding {
    pub(crate) fn new(row: &Row, runs: Vec<Run>) -> Self {
        Self { op: row.op, name: row.name.clone(), tolerance: row.tolerance, runs }
    }

    /// A row that did not come to an end, in a run that nobody can tell.
    pub fn broken(row: &Row, why: String) -> Self {
        let (placement, outcome, tolerance) = (Placement::Own, Outcome::Error(why), row.tolerance);
        Self::new(row, vec![Run { placement, kernel: None, tolerance, outcome, noted: Noted::default() }])
    }

    /// Failed if one run did.
    pub fn verdict(&self) -> Verdict {
        let failed = self.runs.iter().any(|run| run.verdict() == Verdict::Failed);
        if failed { Verdict::Failed } else { Verdict::Passed }
    }

    /// Runs on the device: placements times kernels.
    pub fn device_runs(&self) -> usize {
        self.runs.iter().filter(|run| run.kernel.is_some()).count()
    }

    /// What is furthest off.
    pub fn worst(&self) -> Worst {
        let mut worst = Worst { what: "nothing compared".into(), error: f64::NEG_INFINITY };
        for run in &self.runs {
            let context = match (run.placement, run.kernel) {
                (Placement::Own | Placement::Reference, _) | (_, None) => String::new(),
                (placement, Some(number)) => format!(" ({placement:?}, kernel {number})"),
            };
            let checked: Vec<(&str, f64)> = match &run.outcome {
                Outcome::Measured(checked) => checked.iter().map(|c| (c.what.as_str(), c.error)).collect(),
                Outcome::Error(text) => vec![(text.as_str(), f64::INFINITY)],
                Outcome::Skipped(_) => vec![],
            };
            for (what, error) in checked {
                let error = if error.is_nan() { f64::INFINITY } else { error * (self.tolerance / run.tolerance) };
                if error > worst.error {
                    worst = Worst { what: format!("{what}{context}"), error };
                }
            }
        }
        worst
    }
}

impl Run {
    pub fn verdict(&self) -> Verdict {
        match &self.outcome {
            Outcome::Measured(checked) if checked.is_empty() => Verdict::Failed,
            Outcome::Measured(checked) => {
                let near = |error: f64| approx::abs_diff_eq!(error, 0.0, epsilon = self.tolerance);
                if checked.iter().all(|c| near(c.error)) { Verdict::Passed } else { Verdict::Failed }
            }
            Outcome::Error(_) => Verdict::Failed,
            Outcome::Skipped(_) => Verdict::Skipped,
        }
    }

    /// The largest error; `None` if nothing was compared.
    pub fn max(&self) -> Option<f64> {
        let Outcome::Measured(checked) = &self.outcome else { return None };
        let errors = checked.iter().map(|c| if c.error.is_nan() { f64::INFINITY } else { c.error });
        errors.reduce(f64::max)
    }

    /// What it launched.
    pub fn launches(&self) -> impl Iterator<Item = &Launch> {
        self.noted.launches.iter().map(|noticed| &noticed.launch)
    }

    /// The kernels that its launches of `op` took, each once; of all launches if none is of that op.
    pub fn variants(&self, op: &str) -> Vec<String> {
        let mut variants: Vec<_> =
            self.noted.of(op).filter_map(|noticed| Some(noticed.kernel.as_ref()?.variant())).collect();
        variants.sort_unstable();
        variants.dedup();
        variants
    }
}
