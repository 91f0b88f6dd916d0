//! `gatefold sample`

use std::path::{Path, PathBuf};

use clap::Args;

use super::console;
use super::help::OUTPUT;
use crate::Result;
use crate::sample::{self, SampleOptions};

/// Draw a small labelled set of covers whose evidence is known
#[derive(Args)]
pub struct Arguments {
    /// Folder to write: a sub-folder per genre, and covers.csv with the evidence's boxes
    out: PathBuf,
    /// Covers per genre
    #[arg(long, default_value_t = SampleOptions::default().per_genre, help_heading = OUTPUT)]
    per_genre: usize,
    /// Side of the covers in pixels
    #[arg(long, default_value_t = SampleOptions::default().size, help_heading = OUTPUT)]
    size: u32,
    /// Another seed draws other covers
    #[arg(long, default_value_t = SampleOptions::default().seed, help_heading = OUTPUT)]
    seed: u64,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let options = SampleOptions { per_genre: arguments.per_genre, size: arguments.size, seed: arguments.seed };
    let csv = draw(&arguments.out, &options)?;
    let csv = console::shown(csv.display());
    console::show(&format!(
        "table: {csv}\nnext: gatefold train {csv} --label genre --group artist --net small --size 64 --batch 16 --lr 0.004 --out RUN\n"
    ));
    Ok(())
}

/// Draws the covers, says what they are, and gives the table's path.
pub fn draw(out: &Path, options: &SampleOptions) -> Result<PathBuf> {
    let summary = sample::write(out, options)?;
    console::say(format!("drew {} covers of {}", summary.covers, summary.genres.join(", ")));
    Ok(summary.csv)
}
