//! A process for each op, so that a driver that crashes costs the case that it crashes on, and no other.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};
use std::time::Instant;

use gatefold_engine::{Error, Result};
use kernels_tests::{Coverage, Part, Report, Row, Skipped};
use serde_json::Value;

use super::worker::{self, Event, Told};
use super::{Arguments, json, say, show_coverage};

/// Runs all rows, and prints what the arguments ask for.
pub fn run(rows: &[&Row], arguments: &Arguments) -> Result<ExitCode> {
    let start = Instant::now();
    let mut all = All { table: !arguments.json && !arguments.summary, ..All::default() };
    let coverage = if arguments.coverage {
        // It needs more than can be told from one process to the other.
        let (adapter, findings) = worker::findings(rows, arguments, &mut |event| all.hear(event))?;
        Some(Coverage::of(&findings, &adapter))
    } else {
        for of_op in rows.chunk_by(|a, b| a.op == b.op) {
            if let Some(code) = all.of_op(of_op, arguments)? {
                if all.adapter.is_none() {
                    return Ok(ExitCode::from(code));
                }
                all.ended = Some(format!("no process could run op {} (exit code {code})", of_op[0].op));
                break;
            }
        }
        None
    };
    all.finish(rows.len(), coverage, start.elapsed().as_secs_f64(), arguments)
}

/// What was heard of all workers.
#[derive(Default)]
struct All {
    table: bool,
    adapter: Option<Value>,
    part: Part,
    /// Cases, failed ones, seconds.
    ops: BTreeMap<String, (usize, usize, f64)>,
    /// Why not all rows were run.
    ended: Option<String>,
}

impl All {
    /// Runs the rows of one op, with a new process after each crash; an exit code where no process can run any.
    fn of_op(&mut self, rows: &[&Row], arguments: &Arguments) -> Result<Option<u8>> {
        let mut first = 0;
        while first < rows.len() {
            let mut child = start(rows[0].op, first, arguments)?;
            let mut under_way = None;
            let stdout = child.stdout.take().ok_or_else(|| Error::run("a process without stdout"))?;
            let (begun, mut last) = (Instant::now(), Instant::now());
            for line in BufReader::new(stdout).lines() {
                // What a driver prints is no line of ours.
                let Some(event) = line.ok().and_then(|line| serde_json::from_str::<Event>(&line).ok()) else {
                    continue;
                };
                match &event {
                    Event::Begin(number) => (under_way, last) = (Some(first + number), Instant::now()),
                    Event::Row(_) => under_way = under_way.map(|number| number + 1),
                    Event::Adapter { .. } => {}
                }
                self.hear(event)?;
            }
            let status = child.wait().map_err(Error::run)?;
            let Some(next) = under_way else {
                // It has said why.
                return Ok(Some(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1)));
            };
            if next >= rows.len() && !status.success() {
                eprintln!("note: op {}: after its last case the process ended with {}", rows[0].op, in_words(status));
            } else if let (Some(row), false) = (rows.get(next), status.success()) {
                let why = format!("the process ended with {}", in_words(status));
                let line = format!("{:<24} {:<40} {:>5} {:>11} {:>9}  FAIL: {why}", row.op, row.name, "", "", "");
                let seconds = last.max(begun).elapsed().as_secs_f64();
                let part = Part::failed(row.op, &row.name, &why);
                self.hear(Event::Row(Told { op: row.op.to_owned(), line, failed: true, seconds, part }))?;
            }
            first = next + 1;
        }
        Ok(None)
    }

    fn hear(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Adapter { adapter, words } if self.adapter.is_none() => {
                self.adapter = Some(adapter);
                if self.table {
                    say(format_args!("{words}"))?;
                    let head = ["op", "case", "runs", "max rel err", "allowed"];
                    let [op, case, runs, error, allowed] = head;
                    say(format_args!("{op:<24} {case:<40} {runs:>5} {error:>11} {allowed:>9}  verdict"))?;
                }
            }
            Event::Row(told) => {
                if self.table {
                    say(format_args!("{}", told.line))?;
                }
                let (cases, failed, seconds) = self.ops.entry(told.op).or_default();
                *cases += 1;
                *failed += usize::from(told.failed);
                *seconds += told.seconds;
                self.part.add(told.part);
            }
            Event::Adapter { .. } | Event::Begin(_) => {}
        }
        Ok(())
    }

    fn finish(
        self,
        rows: usize,
        coverage: Option<Vec<Coverage>>,
        seconds: f64,
        arguments: &Arguments,
    ) -> Result<ExitCode> {
        let failed: usize = self.ops.values().map(|(_, failed, _)| failed).sum();
        if self.table {
            say(format_args!("{rows} cases, {failed} failed"))?;
            self.ended.iter().for_each(|why| eprintln!("error: {why}"));
            self.part.skipped.iter().map(Skipped::in_words).for_each(|line| eprintln!("{line}"));
            coverage.map_or(Ok(()), |coverage| show_coverage(&coverage))?;
        } else {
            let report = Report::new(self.adapter.unwrap_or_default(), !arguments.unchecked, self.part, seconds);
            let report = report.coverage(coverage).error(self.ended.clone());
            if arguments.summary { json(&report.summary(&self.ops))? } else { json(&report)? }
        }
        Ok(if failed == 0 && self.ended.is_none() { ExitCode::SUCCESS } else { ExitCode::from(1) })
    }
}

/// A process for the rows of an op from this one on.
fn start(op: &str, first: usize, arguments: &Arguments) -> Result<Child> {
    let program = std::env::current_exe().map_err(|e| Error::run(format!("cannot find this program itself ({e})")))?;
    let mut command = Command::new(program);
    command.args(["--op", op, "--worker", &first.to_string()]).stdin(Stdio::null()).stdout(Stdio::piped());
    command.args(arguments.case.iter().map(|case| format!("--case={case}")));
    command.args(arguments.adapter.iter().map(|adapter| format!("--adapter={adapter}")));
    command.args(arguments.unchecked.then_some("--unchecked"));
    command.spawn().map_err(|e| Error::run(format!("cannot start a process for op {op} ({e})")))
}

fn in_words(status: ExitStatus) -> String {
    #[cfg(unix)]
    if let Some(signal) = std::os::unix::process::ExitStatusExt::signal(&status) {
        return format!("signal {signal}");
    }
    status.code().map_or("no code".to_owned(), |code| format!("exit code {code}"))
}
