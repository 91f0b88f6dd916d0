//! `gatefold eval`

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::GpuArguments;
use super::console;
use super::data::ColumnArguments;
use crate::data::Split;
use crate::train::evaluate;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Score a run with baselines and intervals
#[derive(Args)]
pub struct Arguments {
    /// Run folder
    run: PathBuf,
    /// Other labelled covers, matched by class name; needs --split all [default: the run's own data]
    data: Option<PathBuf>,
    /// Which covers
    #[arg(long, default_value = "test")]
    split: Which,
    /// Rename a class of DATA to one of the run's, such as hip-hop=HipHop; an empty name leaves it out
    #[arg(long, value_name = "THEIRS=OURS", value_parser = parse_pair)]
    map: Vec<(String, String)>,
    #[command(flatten)]
    columns: ColumnArguments,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Which {
    Train,
    Val,
    Test,
    All,
}

fn parse_pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').ok_or("must be THEIRS=OURS")?;
    Ok((pair.0.to_owned(), pair.1.to_owned()))
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let run = RunFolder::open(&arguments.run)?;
    let split = match arguments.split {
        Which::Train => Some(Split::Train),
        Which::Val => Some(Split::Val),
        Which::Test => Some(Split::Test),
        Which::All => None,
    };
    let evaluation = match &arguments.data {
        None => {
            if !arguments.map.is_empty() {
                return Err(Error::input("--map renames classes of other data; name DATA too"));
            }
            evaluate::own(&arguments.gpu.open()?, &run, split)?
        }
        Some(data) => {
            if split.is_some() {
                return Err(Error::input(format!(
                    "{}: other data has no split of this run; add --split all",
                    data.display()
                )));
            }
            let progress = console::Progress::new("decoding", "pictures");
            let columns = arguments.columns.columns();
            let gpu = arguments.gpu.open()?;
            evaluate::other(&gpu, &run, data, &columns, &arguments.map, &|done, total| progress.at(done, total))?
        }
    };
    console::skipped(&evaluation.skipped);
    for note in &evaluation.notes {
        console::say(format!("note: {note}"));
    }
    if arguments.json { console::json(&evaluation.metrics) } else { console::print(&evaluation.metrics.text()) }
}
