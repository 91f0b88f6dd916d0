//! Times Burn on the shapes of `bench/peers/cases.json` and on whole training steps, with the protocol of `bench compare`:
//! prepare, wait, start the clock, run, wait, stop the clock. Prints one JSON object.

mod clock;
mod nets;
mod ops;

use std::path::PathBuf;

use burn::tensor::{Device, DeviceKind};
use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Single ops, each pass by itself
    Ops {
        /// The list of shapes
        #[arg(long, default_value = "bench/peers/cases.json")]
        cases: PathBuf,
        /// Only cases with this in their name
        #[arg(long)]
        only: Option<String>,
        /// Time for each pass, in seconds
        #[arg(long, default_value_t = 2.0)]
        seconds: f64,
    },
    /// Whole training steps
    Step {
        /// prognet or resnet50
        net: String,
        #[arg(long, default_value_t = 8)]
        batch: usize,
        #[arg(long, default_value_t = 260)]
        size: usize,
        #[arg(long, default_value_t = 5)]
        classes: usize,
        /// Timed steps, after the first
        #[arg(long, default_value_t = 3)]
        steps: usize,
    },
}

fn main() -> Result<(), String> {
    // `CUBECL_WGPU_DEFAULT_DEVICE` names another one, as Burn's manual says.
    let device = Device::wgpu(DeviceKind::DefaultDevice).autodiff();
    let report = match Cli::parse().command {
        Command::Ops { cases, only, seconds } => ops::run(&device, &cases, only.as_deref(), seconds)?,
        Command::Step { net, batch, size, classes, steps } => nets::run(&device, &net, batch, size, classes, steps)?,
    };
    println!("{}", serde_json::to_string_pretty(&report).map_err(|e| e.to_string())?);
    Ok(())
}
