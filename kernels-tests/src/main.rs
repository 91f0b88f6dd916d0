//! `cargo run --release -p kernels-tests`: every op, forward and backward, on this machine's adapter.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use gatefold_engine::gpu::{Gpu, GpuOptions};
use kernels_tests::{Verdict, check, rows, shaders_from_environment};

/// Compares every kernel of Gatefold with an f64 CPU reference on your own adapter.
#[derive(Parser)]
struct Arguments {
    /// Adapter index or part of its name (default: the best real GPU, else the software adapter)
    #[arg(long)]
    adapter: Option<String>,
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Without the driver-side bounds, loop and division checks, as release runs have it
    #[arg(long)]
    unchecked: bool,
}

fn main() -> ExitCode {
    match shaders_from_environment().and_then(|()| run(&Arguments::parse())) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}

fn run(arguments: &Arguments) -> gatefold_engine::Result<bool> {
    let wanted = |op: &str| arguments.op.as_deref().is_none_or(|wanted| wanted == op);
    let rows: Vec<_> = rows().into_iter().filter(|row| !row.bench && wanted(row.op)).collect();
    if rows.is_empty() {
        let known = kernels_tests::OPS.join(", ");
        return Err(gatefold_engine::Error::input(format!("--op: there is no such op; there are: {known}")));
    }
    let options = GpuOptions { adapter: arguments.adapter.clone(), checked: !arguments.unchecked };
    let gpu = Arc::new(Gpu::open(&options)?);
    let adapter = gpu.adapter();
    println!("adapter: {} ({}, {})", adapter.name, adapter.backend, adapter.driver);
    println!("{:<24} {:<40} {:>5} {:>11} {:>9}  verdict", "op", "case", "runs", "max rel err", "allowed");
    let mut failed = 0;
    for row in &rows {
        let finding = check(&gpu, row)?;
        let verdict = match finding.verdict {
            Verdict::Pass => "ok".to_owned(),
            Verdict::Fail => {
                failed += 1;
                format!("FAIL in {}", finding.worst.what)
            }
        };
        let (runs, error, allowed) = (finding.runs, finding.worst.error, finding.tolerance);
        println!("{:<24} {:<40} {runs:>5} {error:>11.2e} {allowed:>9.0e}  {verdict}", finding.op, finding.name);
    }
    println!("{} cases, {failed} failed", rows.len());
    Ok(failed == 0)
}
