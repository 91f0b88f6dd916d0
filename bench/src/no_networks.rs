//! In place of [`networks`](../networks.rs), where the feature of that name is off: no subcommand, no option, no network.

use clap::{Args, Subcommand};
use gatefold_engine::Result;
use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::tape::Tape;

#[derive(Subcommand)]
pub enum Command {}

pub fn run(command: &Command) -> Result<()> {
    match *command {}
}

/// `kernels` takes its launches from the rows.
#[derive(Args)]
pub struct Source {}

#[expect(clippy::unused_self, clippy::unnecessary_wraps, reason = "as the other module has it")]
impl Source {
    pub fn tapes(&self, _: &AdapterSummary) -> Result<Option<Vec<(String, Tape)>>> {
        Ok(None)
    }

    pub fn check(&self, _: &AdapterSummary) -> Result<()> {
        Ok(())
    }
}
