//! `gatefold eval`

use std::path::PathBuf;

use clap::Args;

use super::help::{Choice, DATA, OUTPUT, choice};
use super::weights::WeightsArguments;
use super::{GpuArguments, console};
use crate::data::{Columns, Rename, Split};
use crate::score::evaluate::{self, Others};
use crate::score::model::Model;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Score a run or a weights file with baselines and intervals
#[derive(Args)]
pub struct Arguments {
    /// Run folder (not with --weights), then other labelled covers, matched by class name; they need --split all [default: the
    /// run's own data]
    #[arg(required = true, num_args = 1..=2, value_name = "[RUN] DATA")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// Which covers to score
    #[arg(long, default_value = "test", value_parser = choice::<Which>(), help_heading = DATA)]
    split: Which,
    /// Rename a class of DATA to one of the network's, such as hip-hop=HipHop; an empty name leaves it out
    /// [default: none]
    #[arg(long, value_name = "THEIRS=OURS", help_heading = DATA)]
    map: Vec<Rename>,
    #[command(flatten)]
    columns: Columns,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Which {
    Train,
    Val,
    Test,
    All,
}

impl Choice for Which {
    const WHAT: &'static str = "set";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("train", "What the network learnt from", Self::Train),
        ("val", "What chose the checkpoint", Self::Val),
        ("test", "What the network has not seen", Self::Test),
        ("all", "All of them", Self::All),
    ];
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let split = match arguments.split {
        Which::Train => Some(Split::Train),
        Which::Val => Some(Split::Val),
        Which::Test => Some(Split::Test),
        Which::All => None,
    };
    let from_run = arguments.weights.weights.is_none();
    let data = arguments.paths.get(usize::from(from_run));
    if !from_run && arguments.paths.len() > 1 {
        return Err(Error::input("a run and --weights FILE: name one of them, and DATA"));
    }
    let evaluation = match data {
        None => {
            if !arguments.map.is_empty() {
                return Err(Error::input("--map renames classes of other data; name DATA too"));
            }
            if arguments.columns.images.is_some() {
                return Err(Error::input(
                    "--images is the folder of other data's pictures; name DATA too, the table of their labels",
                ));
            }
            let run = RunFolder::open(&arguments.paths[0])?;
            let checkpoint = run.checkpoint()?;
            let mut own = evaluate::own(&arguments.gpu.open()?, &checkpoint, &run.data(), split)?;
            own.notes.extend(run.takes_last());
            own
        }
        Some(data) => {
            if split.is_some() {
                let data = data.display();
                return Err(Error::input(format!("{data}: other data has no split of this network; add --split all")));
            }
            let (checkpoint, _) = arguments.weights.checkpoint(&arguments.paths)?;
            let model = Model::from_checkpoint(&arguments.gpu.open()?, &checkpoint)?;
            let progress = console::Progress::new("decoding", "pictures");
            let others = Others { data, columns: &arguments.columns, renames: &arguments.map };
            evaluate::other(&model, &others, &|done, total| progress.at(done, total))?
        }
    };
    console::skipped(&evaluation.skipped);
    for note in &evaluation.notes {
        console::say(format!("note: {note}"));
    }
    if arguments.json {
        return console::json(&evaluation.metrics);
    }
    console::show(&evaluation.metrics.text());
    Ok(())
}
