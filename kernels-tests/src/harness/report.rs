//! All findings as one JSON object.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::gpu::AdapterSummary;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::check::F16;
use super::runner::lacks;
use super::{Checked, Coverage, Finding, Outcome, Run, Verdict};

/// What `--json` prints.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    program: &'static str,
    version: &'static str,
    /// Of `gatefold_engine::gpu::AdapterSummary`.
    adapter: Value,
    /// Whether the kernels kept the driver-side bounds, loop and division checks.
    checked: bool,
    #[serde(flatten)]
    pub part: Part,
    seconds: f64,
    /// Why the run ended before all cases were run.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    coverage: Option<Vec<Coverage>>,
}

/// What some rows showed.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Part {
    /// A run each.
    pub cases: Vec<Value>,
    pub skipped: Vec<Skipped>,
    pub totals: Totals,
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
#[derive(Debug, Serialize, Deserialize)]
pub struct Skipped {
    pub feature: String,
    /// Runs that were left out.
    pub runs: usize,
    /// Kernels that were passed over.
    pub kernels: BTreeSet<String>,
}

/// Runs by what came of them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Totals {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Part {
    /// Of one row.
    pub fn of(finding: &Finding, adapter: &AdapterSummary) -> Self {
        let mut part = Self { skipped: Skipped::of(std::slice::from_ref(finding), adapter), ..Self::default() };
        for run in &finding.runs {
            match run.verdict() {
                Verdict::Passed => part.totals.passed += 1,
                Verdict::Failed => part.totals.failed += 1,
                Verdict::Skipped => part.totals.skipped += 1,
            }
            // Its numbers and texts have a form in JSON.
            part.cases.extend(serde_json::to_value(Case::new(finding, run)));
        }
        part
    }

    /// A row of which nothing is known but why.
    pub fn failed(op: &str, case: &str, reason: &str) -> Self {
        let case = json!({
            "op": op, "case": case, "placement": "own", "kernel": null, "variants": [], "status": Status::Failed, "reason": reason,
            "errors": [], "max": null, "tolerance": null,
        });
        Self { cases: vec![case], skipped: vec![], totals: Totals { failed: 1, ..Totals::default() } }
    }

    /// Adds what other rows showed.
    pub fn add(&mut self, other: Self) {
        self.cases.extend(other.cases);
        self.totals.passed += other.totals.passed;
        self.totals.failed += other.totals.failed;
        self.totals.skipped += other.totals.skipped;
        for more in other.skipped {
            match self.skipped.iter_mut().find(|skipped| skipped.feature == more.feature) {
                Some(skipped) => {
                    skipped.runs += more.runs;
                    skipped.kernels.extend(more.kernels);
                }
                None => self.skipped.push(more),
            }
        }
        self.skipped.sort_by(|a, b| a.feature.cmp(&b.feature));
    }
}

impl Report {
    pub fn new(adapter: Value, checked: bool, part: Part, seconds: f64) -> Self {
        let (program, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
        Self { program, version, adapter, checked, part, seconds, error: None, coverage: None }
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

    /// The same without what passed: to paste into a report. `ops` says for each op how many cases it had, how many failed, and the
    /// seconds.
    pub fn summary(&self, ops: &BTreeMap<String, (usize, usize, f64)>) -> Value {
        const FAILURES: usize = 50;
        let failures = || self.part.cases.iter().filter(|case| case["status"] == json!(Status::Failed));
        let ops: BTreeMap<&str, Value> = ops
            .iter()
            .map(|(op, (cases, failed, seconds))| {
                (op.as_str(), json!({ "cases": cases, "failed": failed, "seconds": (seconds * 100.0).round() / 100.0 }))
            })
            .collect();
        json!({
            "program": self.program, "version": self.version, "adapter": self.adapter, "checked": self.checked, "ops": ops,
            "totals": self.part.totals, "skipped": self.part.skipped, "seconds": self.seconds, "error": self.error,
            "failures": failures().take(FAILURES).collect::<Vec<_>>(), "more_failures": failures().count().saturating_sub(FAILURES),
        })
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
