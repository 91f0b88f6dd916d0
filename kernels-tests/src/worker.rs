//! Runs rows one after the other. What goes wrong with one is a verdict on it, and the next one gets a fresh device.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Instant;

use gatefold_engine::gpu::{AdapterSummary, Gpu};
use gatefold_engine::panics::caught;
use gatefold_engine::{Error, Result};
use kernels_tests::{Finding, Part, Reference, Row, Verdict, check};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Arguments;

/// What a worker tells, a line of JSON each.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// Before all else: what it runs on.
    Adapter {
        adapter: Value,
        words: String,
    },
    /// A row begins: its number among those of the worker.
    Begin(usize),
    Row(Told),
}

/// What a row showed.
#[derive(Serialize, Deserialize)]
pub struct Told {
    pub op: String,
    /// Of the table.
    pub line: String,
    pub failed: bool,
    pub seconds: f64,
    pub part: Part,
}

/// Tells its starter on stdout.
pub fn run(rows: &[&Row], arguments: &Arguments) -> Result<()> {
    let mut tell = |event: Event| {
        let line = serde_json::to_string(&event).map_err(Error::run)?;
        // Whoever listens is gone when this fails, and so has no use for the rest.
        writeln!(io::stdout(), "{line}").map_err(Error::run)
    };
    findings(rows, arguments, &mut tell).map(drop)
}

/// # Errors
/// If there is no device, or nobody listens.
pub fn findings(
    rows: &[&Row],
    arguments: &Arguments,
    tell: &mut dyn FnMut(Event) -> Result<()>,
) -> Result<(AdapterSummary, Vec<Finding>)> {
    let mut gpu = arguments.open()?;
    let adapter = gpu.adapter().clone();
    let words = format!("adapter: {} ({}, {})", adapter.name, adapter.backend, adapter.driver);
    tell(Event::Adapter { adapter: serde_json::to_value(&adapter).map_err(Error::run)?, words })?;
    let mut findings = vec![];
    for (number, row) in rows.iter().enumerate() {
        tell(Event::Begin(number))?;
        let start = Instant::now();
        let finding = match caught(|| check(&gpu, &Reference::new(row))) {
            Some(Ok(finding)) => finding,
            broken => {
                let why = broken.and_then(Result::err).map_or("it panicked".to_owned(), |e| e.to_string());
                gpu = arguments.open()?;
                Finding::broken(row, why)
            }
        };
        tell(Event::Row(told(&finding, &gpu, start)))?;
        findings.push(finding);
    }
    Ok((adapter, findings))
}

fn told(finding: &Finding, gpu: &Arc<Gpu>, start: Instant) -> Told {
    let worst = finding.worst();
    let failed = finding.verdict() == Verdict::Failed;
    let verdict = if failed { format!("FAIL in {}", worst.what) } else { "ok".to_owned() };
    let (runs, error, allowed) = (finding.device_runs(), worst.error, finding.tolerance);
    let (op, name) = (finding.op, &finding.name);
    let line = format!("{op:<24} {name:<40} {runs:>5} {error:>11.2e} {allowed:>9.0e}  {verdict}");
    let (op, seconds) = (op.to_owned(), start.elapsed().as_secs_f64());
    Told { op, line, failed, seconds, part: Part::of(finding, gpu.adapter()) }
}
