//! `cargo run --release -p bench -- kernels|step`: how long single kernels and whole training steps take on your own adapter.

mod kernels;
mod step;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use gatefold::gpu::{Gpu, GpuOptions};
use gatefold::{Error, Result};
use serde::Serialize;

/// Times Gatefold's kernels and training steps.
#[derive(Parser)]
#[command(name = "bench")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Kernels(kernels::Arguments),
    Step(step::Arguments),
}

#[derive(Args)]
struct Common {
    /// Adapter index or part of its name
    #[arg(long)]
    adapter: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    fn open(&self) -> Result<Arc<Gpu>> {
        let gpu = Gpu::open(&GpuOptions { adapter: self.adapter.clone(), checked: false })?;
        eprintln!("adapter: {} ({})", gpu.adapter().name, gpu.adapter().driver);
        Ok(Arc::new(gpu))
    }
}

fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Error::run)?);
    Ok(())
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Kernels(arguments) => kernels::run(&arguments),
        Command::Step(arguments) => step::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}
