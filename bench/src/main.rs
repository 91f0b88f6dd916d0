//! `cargo run --release -p bench -- roofline|kernels|step|compare|scale|isa`: what your own adapter reaches at most, how long single
//! kernels and whole training steps take on it, and what a GPU's compiler makes of them.
//!
//! Without the feature `networks` it is built on the engine alone and knows `roofline` and `kernels`.

mod contents;
mod kernels;
mod measure;
#[cfg(feature = "networks")]
mod networks;
#[cfg(not(feature = "networks"))]
#[path = "no_networks.rs"]
mod networks;
mod roofline;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Parser, Subcommand};
use gatefold_engine::gpu::{Gpu, GpuOptions, cache_folder};
use gatefold_engine::{Error, Result};
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
    Roofline(roofline::Arguments),
    Kernels(kernels::Arguments),
    #[command(flatten)]
    Networks(networks::Command),
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
        let options = GpuOptions { adapter: self.adapter.clone(), checked: false };
        let gpu = Gpu::open_cached(&options, cache_folder().as_deref())?;
        eprintln!("adapter: {} ({})", gpu.adapter().name, gpu.adapter().driver);
        gpu.notes().iter().for_each(|note| eprintln!("note: {note}"));
        Ok(Arc::new(gpu))
    }
}

fn json(value: &impl Serialize) -> Result<()> {
    println!("{}", serde_json::to_string_pretty(value).map_err(Error::run)?);
    Ok(())
}

/// `--seconds` as people may give it.
fn check_seconds(seconds: f64) -> Result<()> {
    if seconds.is_finite() && seconds > 0.0 {
        Ok(())
    } else {
        Err(Error::input(format!("--seconds {seconds}: must be above 0")))
    }
}

fn main() -> ExitCode {
    // SAFETY: there is one thread yet.
    unsafe { gatefold_engine::gpu::quieten_layers() };
    kernels_tests::hush_caught();
    let command = Cli::parse().command;
    let done = kernels_tests::shaders_from_environment().and_then(|()| match command {
        Command::Roofline(arguments) => roofline::run(&arguments),
        Command::Kernels(arguments) => kernels::run(&arguments),
        Command::Networks(command) => networks::run(&command),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {e}");
            ExitCode::from(e.exit_code())
        }
    }
}
