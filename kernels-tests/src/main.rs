//! `cargo run --release -p kernels-tests`: every op, forward and backward, on this machine's adapter.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use gatefold_engine::gpu::{AdapterSummary, Gpu, GpuOptions, quieten_layers};
use gatefold_engine::{Error, Result};
use kernels_tests::{
    Coverage, Finding, Listing, Report, Row, Selection, Skipped, State, Trait, Verdict, check, rows,
    shaders_from_environment,
};
use serde::Serialize;

/// Compares every kernel of Gatefold with an f64 CPU reference on your own adapter.
#[derive(Parser)]
#[command(name = "kernels-tests", version)]
#[command(
    after_help = "Exit codes: 0 if all cases passed, 1 if some failed, 2 for bad usage or if there is no adapter."
)]
struct Arguments {
    /// Adapter index or part of its name [default: the best real GPU, else the software adapter]
    #[arg(long)]
    adapter: Option<String>,
    /// Run these ops only: names separated by commas, and the option may be repeated [default: all ops]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    op: Vec<String>,
    /// Run only cases whose "op: case" matches this regular expression, such as '^relu: odd' [default: all cases]
    #[arg(long, value_name = "REGEX")]
    case: Option<String>,
    /// Print ops, cases, placements and kernels instead of running them; needs no adapter
    #[arg(long, conflicts_with_all = ["adapter", "coverage", "unchecked"])]
    list: bool,
    /// Print also which ops have rows for which traits; with --json also which kernels were reached
    #[arg(long, conflicts_with = "case")]
    coverage: bool,
    /// Print one JSON object instead of tables
    #[arg(long)]
    json: bool,
    /// Leave out the driver-side bounds, loop and division checks, as release runs do [default: with the checks]
    #[arg(long)]
    unchecked: bool,
}

fn main() -> ExitCode {
    // SAFETY: there is one thread yet.
    unsafe { quieten_layers() };
    match shaders_from_environment().and_then(|()| run(&Arguments::parse())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<bool> {
    let selection = Selection::new(&arguments.op, arguments.case.as_deref())?;
    let rows = rows();
    selection.check(&rows)?;
    if arguments.list {
        return list(&Listing::of(&rows, |row| selection.takes(row))?, arguments.json).map(|()| true);
    }
    let options = GpuOptions { adapter: arguments.adapter.clone(), checked: !arguments.unchecked };
    let gpu = Arc::new(Gpu::open(&options)?);
    let rows: Vec<&Row> = rows.iter().filter(|row| !row.bench && selection.takes(row)).collect();
    if arguments.json { run_json(&gpu, &rows, arguments) } else { run_table(&gpu, &rows, arguments.coverage) }
}

fn run_table(gpu: &Arc<Gpu>, rows: &[&Row], coverage: bool) -> Result<bool> {
    let adapter = gpu.adapter();
    say(format_args!("adapter: {} ({}, {})", adapter.name, adapter.backend, adapter.driver))?;
    say(format_args!("{:<24} {:<40} {:>5} {:>11} {:>9}  verdict", "op", "case", "runs", "max rel err", "allowed"))?;
    let (mut failed, mut findings) = (0, vec![]);
    for row in rows {
        let finding = check(gpu, row)?;
        let worst = finding.worst();
        let verdict = if finding.verdict() == Verdict::Failed {
            failed += 1;
            format!("FAIL in {}", worst.what)
        } else {
            "ok".to_owned()
        };
        let (runs, error, allowed) = (finding.device_runs(), worst.error, finding.tolerance);
        let (op, name) = (finding.op, &finding.name);
        say(format_args!("{op:<24} {name:<40} {runs:>5} {error:>11.2e} {allowed:>9.0e}  {verdict}"))?;
        findings.push(finding);
    }
    say(format_args!("{} cases, {failed} failed", rows.len()))?;
    for skipped in Skipped::of(&findings, adapter) {
        eprintln!("{}", skipped.in_words());
    }
    if coverage {
        show_coverage(&findings, adapter)?;
    }
    Ok(failed == 0)
}

/// One object, whatever happens: a device that is lost on the way ends it early, with the reason in it.
fn run_json(gpu: &Arc<Gpu>, rows: &[&Row], arguments: &Arguments) -> Result<bool> {
    let start = Instant::now();
    let (mut findings, mut ended) = (vec![], None);
    for row in rows {
        match check(gpu, row) {
            Ok(finding) => findings.push(finding),
            Err(e) => {
                ended = Some(e);
                break;
            }
        }
    }
    let failed = findings.iter().any(|finding| finding.verdict() == Verdict::Failed);
    let coverage = arguments.coverage.then(|| Coverage::of(&findings, gpu.adapter()));
    let report = Report::new(gpu.adapter(), !arguments.unchecked, &findings, start.elapsed().as_secs_f64());
    let report = report.error(ended.as_ref().map(ToString::to_string)).coverage(coverage);
    json(&report)?;
    ended.map_or(Ok(!failed), Err)
}

fn list(listings: &[Listing], as_json: bool) -> Result<()> {
    if as_json {
        #[derive(Serialize)]
        struct Ops<'a> {
            ops: &'a [Listing],
        }
        return json(&Ops { ops: listings });
    }
    for listing in listings {
        say(format_args!("{}", listing.op))?;
        for case in &listing.cases {
            say(format_args!("    {:<50} {}", case.case, case.placements.join(", ")))?;
        }
        for kernel in &listing.kernels {
            say(format_args!("    kernel {kernel}"))?;
        }
    }
    Ok(())
}

fn show_coverage(findings: &[Finding], adapter: &AdapterSummary) -> Result<()> {
    let coverage = Coverage::of(findings, adapter);
    let widths = Trait::ALL.map(|of| of.to_string().len());
    let heading: String = Trait::ALL.iter().zip(widths).map(|(of, width)| format!("  {of:<width$}")).collect();
    say(format_args!("\n{:<24}{}", "coverage", heading.trim_end()))?;
    let (mut missing, mut reasons) = (vec![], vec![]);
    for Coverage { op, traits, .. } in &coverage {
        let states: String =
            Trait::ALL.iter().zip(widths).map(|(of, width)| format!("  {:<width$}", traits[of])).collect();
        say(format_args!("{op:<24}{}", states.trim_end()))?;
        for (of, state) in traits {
            match state {
                State::Yes { .. } => {}
                State::No { missing: what } if what.is_empty() => missing.push(format!("NO: {op} has no row for {of}")),
                State::No { missing: what } => missing.push(format!("NO: {op}, {of}: {}", what.join(", "))),
                State::NotApplicable { reason } => reasons.push((format!("-: {of}: {reason}"), *op)),
                State::Skipped { reason } => reasons.push((format!("skipped: {of}: {reason}"), *op)),
            }
        }
    }
    missing.iter().try_for_each(|line| say(format_args!("{line}")))?;
    // Ops of one reason in one line.
    while let Some((reason, _)) = reasons.first().cloned() {
        let ops: Vec<&str> = reasons.iter().filter(|(other, _)| *other == reason).map(|(_, op)| *op).collect();
        say(format_args!("{reason} ({})", ops.join(", ")))?;
        reasons.retain(|(other, _)| *other != reason);
    }
    Ok(())
}

fn json(value: &impl Serialize) -> Result<()> {
    say(format_args!("{}", serde_json::to_string_pretty(value).map_err(Error::run)?))
}

/// A line to stdout. Whoever closed it has read enough.
fn say(line: std::fmt::Arguments) -> Result<()> {
    match writeln!(io::stdout(), "{line}") {
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => std::process::exit(0),
        Err(e) => Err(Error::run(format!("stdout: {e}"))),
        Ok(()) => Ok(()),
    }
}
