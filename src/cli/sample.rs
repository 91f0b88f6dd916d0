//! `gatefold sample`

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use clap::Args;

use super::console;
use super::help::{OUTPUT, whole};
use crate::Result;
use crate::sample::{self, MAX_PER_GENRE, SIZES, SampleOptions};
use crate::train::config::bounds::SEED;

/// Draw a small labelled set of covers whose evidence is known
#[derive(Args)]
pub struct Arguments {
    /// Folder to write: a sub-folder per genre, and covers.csv with the evidence's boxes
    out: PathBuf,
    /// Covers per genre
    #[arg(long, default_value_t = SampleOptions::default().per_genre, value_parser = whole::<usize>(1..=MAX_PER_GENRE as u64), help_heading = OUTPUT)]
    per_genre: usize,
    /// Side of the covers in pixels
    #[arg(long, default_value_t = SampleOptions::default().size, value_parser = whole::<u32>(sizes()), help_heading = OUTPUT)]
    size: u32,
    /// Another seed draws other covers
    #[arg(long, default_value_t = SampleOptions::default().seed, value_parser = whole::<u64>(SEED), help_heading = OUTPUT)]
    seed: u64,
}

/// [`SIZES`] as bounds of an option.
fn sizes() -> RangeInclusive<u64> {
    u64::from(*SIZES.start())..=u64::from(*SIZES.end())
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
