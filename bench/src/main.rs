//! `cargo run --release -p bench -- kernels`: how long each kernel takes on your own adapter.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use gatefold::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold::params::ParameterStore;
use gatefold::plan::{Choice, Plan};

#[derive(Parser)]
struct Arguments {
    #[arg(long)]
    op: Option<String>,
    #[arg(long)]
    all: bool,
}

fn main() -> ExitCode {
    run(&Arguments::parse()).map_or_else(
        |e| {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        },
        |()| ExitCode::SUCCESS,
    )
}

fn run(a: &Arguments) -> gatefold::Result<()> {
    let gpu = Arc::new(Gpu::open(&GpuOptions::default())?);
    for row in kernels_tests::rows().iter().filter(|r| r.bench && a.op.as_deref().is_none_or(|o| o == r.op)) {
        let tape = kernels_tests::record_row(row)?;
        let store = ParameterStore::new(&gpu, tape.spec(), gatefold::plan::trains(&tape))?;
        for number in 0..if a.all { 3 } else { 1 } {
            let choice = if a.all { Choice::Number(number) } else { Choice::Rule };
            let mut plan = Plan::with_choice(&gpu, &tape, &store, &BufferPool::default(), choice)?;
            kernels_tests::fill_inputs(row, &plan)?;
            plan.run()?;
            for t in plan.profile(7)? {
                let s = t.median.as_secs_f64();
                println!(
                    "{:<30} {:<22} {:<34} {:>9.3} ms {:>8.1} GFLOP/s {:?}",
                    row.name,
                    t.label,
                    t.variant,
                    s * 1e3,
                    t.flops as f64 / s / 1e9,
                    t.clock
                );
            }
        }
    }
    Ok(())
}
