//! All findings as one JSON object.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::gpu::AdapterSummary;
use serde::Serialize;

use super::check::F16;
use super::runner::lacks;
use super::{Checked, Coverage, Finding, Outcome, Run, Verdict};

/// What `--json` prints.
#[derive(Serialize)]
pub struct Report<'a> {
    program: &'static str,
    version: &'static str,
    adapter: &'a AdapterSummary,
    /// Whether the kernels kept the driver-side bounds, loop and division checks.
    checked: bool,
    cases: Vec<Case<'a>>,
    skipped: Vec<Skipped>,
    totals: Totals,
    seconds: f64,
    /// Why the run ended before all cases were run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Vec<Coverage>>,
}

/// One run of a row.
#[derive(Serialize)]
struct Case<'a> {
    op: &'static str,
    case: &'a str,
    placement: String,
    /// The number of the kernel that each launch took, counted among those that run here; the last one where there are fewer.
    kernel: Option<usize>,
    /// The kernels behind that number.
    variants: Vec<String>,
    status: Status,
    /// Why it was skipped, or why it did not come to an end.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'a str>,
    errors: &'a [Checked],
    /// The largest of them.
    max: Option<f64>,
    tolerance: f64,
}

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Passed,
    Failed,
    Skipped,
}

/// A feature that the adapter lacks, and what was not run for it.
#[derive(Serialize)]
pub struct Skipped {
    pub feature: String,
    /// Runs that were left out.
    pub runs: usize,
    /// Kernels that were passed over.
    pub kernels: BTreeSet<String>,
}

#[derive(Default, Serialize)]
struct Totals {
    passed: usize,
    failed: usize,
    skipped: usize,
}

impl<'a> Report<'a> {
    pub fn new(adapter: &'a AdapterSummary, checked: bool, findings: &'a [Finding], seconds: f64) -> Self {
        let mut totals = Totals::default();
        let mut cases = vec![];
        for finding in findings {
            for run in &finding.runs {
                match run.verdict() {
                    Verdict::Passed => totals.passed += 1,
                    Verdict::Failed => totals.failed += 1,
                    Verdict::Skipped => totals.skipped += 1,
                }
                cases.push(Case::new(finding, run));
            }
        }
        let skipped = Skipped::of(findings, adapter);
        let (program, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Self { program, version, adapter, checked, cases, skipped, totals, seconds, error: None, coverage: None }
    }

    /// With what ended the run before its time.
    #[must_use]
    pub fn error(self, error: Option<String>) -> Self {
        Self { error, ..self }
    }

    #[must_use]
    pub fn coverage(self, coverage: Option<Vec<Coverage>>) -> Self {
        Self { coverage, ..self }
    }
}

impl<'a> Case<'a> {
    fn new(finding: &'a Finding, run: &'a Run) -> Self {
        let (errors, reason): (&[Checked], _) = match &run.outcome {
            Outcome::Measured(errors) if errors.is_empty() => (&[], Some("nothing was compared")),
            Outcome::Measured(errors) => (errors, None),
            Outcome::Error(reason) | Outcome::Skipped(reason) => (&[], Some(reason.as_str())),
        };
        Self {
            op: finding.op,
            case: &finding.name,
            placement: run.placement.to_string(),
            kernel: run.kernel,
            variants: run.variants(finding.op),
            status: match run.verdict() {
                Verdict::Passed => Status::Passed,
                Verdict::Failed => Status::Failed,
                Verdict::Skipped => Status::Skipped,
            },
            reason,
            errors,
            max: run.max(),
            tolerance: run.tolerance,
        }
    }
}

impl Skipped {
    /// A line for people.
    pub fn in_words(&self) -> String {
        let mut ops: Vec<_> = self.kernels.iter().map(|kernel| kernel.split('/').next().unwrap_or(kernel)).collect();
        ops.dedup();
        let kernels = match self.kernels.len() {
            0 => String::new(),
            1 => format!(" 1 kernel of {}", ops.join(", ")),
            kernels => format!(" {kernels} kernels of {}", ops.join(", ")),
        };
        let runs = if self.runs > 0 { format!(" {} runs in half precision", self.runs) } else { String::new() };
        let and = if self.runs > 0 && !self.kernels.is_empty() { " and" } else { "" };
        format!("skipped, the adapter has no {}:{runs}{and}{kernels}", self.feature)
    }

    /// The features that the adapter lacks among those that runs and kernels ask for.
    pub fn of(findings: &[Finding], adapter: &AdapterSummary) -> Vec<Self> {
        let mut features: BTreeMap<String, (usize, BTreeSet<String>)> = BTreeMap::new();
        let runs = || findings.iter().flat_map(|finding| &finding.runs);
        let skipped = runs().filter(|run| run.verdict() == Verdict::Skipped).count();
        if skipped > 0 {
            features.entry(F16.to_owned()).or_default().0 = skipped;
        }
        for kernel in runs().flat_map(Run::launches).flat_map(|launch| &launch.kernels) {
            if let Some(feature) = lacks(kernel, adapter) {
                features.entry(feature).or_default().1.insert(kernel.variant());
            }
        }
        let skipped = features.into_iter();
        skipped.map(|(feature, (runs, kernels))| Self { feature, runs, kernels }).collect()
    }
}
