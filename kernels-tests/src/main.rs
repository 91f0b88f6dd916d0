//! `cargo run --release -p kernels-tests`: every op, forward and backward, on this machine's adapter.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use gatefold_engine::gpu::{Gpu, GpuOptions, quieten_layers};
use gatefold_engine::{Error, Result};
use kernels_tests::{Coverage, Listing, Row, Selection, State, Trait, hush_caught, rows, shaders_from_environment};
use serde::Serialize;

mod processes;
mod worker;

/// Compares every kernel of Gatefold with an f64 CPU reference on your own adapter.
///
/// Each op runs in a process of its own: a driver that crashes costs the case that it crashes on.
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
    /// Print a short JSON object to paste into an adapter report: adapter, failures, times
    #[arg(long, conflicts_with_all = ["json", "list", "coverage"])]
    summary: bool,
    /// Leave out the driver-side bounds, loop and division checks, as release runs do [default: with the checks]
    #[arg(long)]
    unchecked: bool,
    /// Run the cases from this number on in this process, for the one that started it
    #[arg(long, value_name = "NUMBER", hide = true)]
    worker: Option<usize>,
}

impl Arguments {
    fn open(&self) -> Result<Arc<Gpu>> {
        let gpu = Gpu::open(&GpuOptions { adapter: self.adapter.clone(), checked: !self.unchecked })?;
        gpu.notes().iter().for_each(|note| eprintln!("note: {note}"));
        Ok(Arc::new(gpu))
    }
}

fn main() -> ExitCode {
    // SAFETY: there is one thread yet.
    unsafe { quieten_layers() };
    hush_caught();
    match shaders_from_environment().and_then(|()| run(&Arguments::parse())) {
        Ok(code) => code,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode> {
    let selection = Selection::new(&arguments.op, arguments.case.as_deref())?;
    let all = rows();
    selection.check(&all)?;
    if arguments.list {
        return list(&Listing::of(&all, |row| selection.takes(row))?, arguments.json).map(|()| ExitCode::SUCCESS);
    }
    let rows: Vec<&Row> = all.iter().filter(|row| !row.bench && selection.takes(row)).collect();
    match arguments.worker {
        Some(first) => worker::run(&rows[first.min(rows.len())..], arguments).map(|()| ExitCode::SUCCESS),
        None => processes::run(&rows, arguments),
    }
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

fn show_coverage(coverage: &[Coverage]) -> Result<()> {
    let widths = Trait::ALL.map(|of| of.to_string().len());
    let heading: String = Trait::ALL.iter().zip(widths).map(|(of, width)| format!("  {of:<width$}")).collect();
    say(format_args!("\n{:<24}{}", "coverage", heading.trim_end()))?;
    let (mut missing, mut reasons) = (vec![], vec![]);
    for Coverage { op, traits, .. } in coverage {
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
