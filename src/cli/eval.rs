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
    /// Run folder, or several, which answer together by the means of their probabilities (not with --weights), then other labelled
    /// covers, matched by class name; they need --split all [default: the runs' own data]
    #[arg(required = true, value_name = "[RUN...] DATA")]
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
    /// Show each picture mirrored too: probabilities are the means of both
    #[arg(long, help_heading = OUTPUT)]
    tta: bool,
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
    let runs = arguments.paths.iter().take_while(|path| RunFolder::new(path).is_trained()).count();
    // The first is a run, or there is an error to be told about it.
    let data = &arguments.paths[if from_run { runs.max(1) } else { 0 }..];
    if data.len() > 1 {
        let (first, second) = (data[0].display(), data[1].display());
        let text =
            if from_run { "name runs, and one DATA after them" } else { "name one DATA; --weights stands for the run" };
        return Err(Error::input(format!("{first} and {second}: {text}")));
    }
    let evaluation = match data.first() {
        None => {
            if !arguments.map.is_empty() {
                return Err(Error::input("--map renames classes of other data; name DATA too"));
            }
            if arguments.columns.images.is_some() {
                return Err(Error::input(
                    "--images is the folder of other data's pictures; name DATA too, the table of their labels",
                ));
            }
            let (mut of, mut notes) = (vec![], vec![]);
            for root in &arguments.paths {
                let run = RunFolder::open(root)?;
                notes.extend(run.takes_last());
                of.push(evaluate::Run { checkpoint: run.checkpoint()?, data: run.data() });
            }
            let mut own = evaluate::own(&arguments.gpu.open()?, &of, split, arguments.tta)?;
            own.notes.extend(notes);
            own
        }
        Some(data) => {
            if split.is_some() {
                let data = data.display();
                return Err(Error::input(format!("{data}: other data has no split of this network; add --split all")));
            }
            let (checkpoints, _) = arguments.weights.checkpoints(&arguments.paths)?;
            let models = Model::from_checkpoints(&arguments.gpu.open()?, &checkpoints)?;
            let progress = console::Progress::new("decoding", "pictures");
            let others = Others { data, columns: &arguments.columns, renames: &arguments.map };
            evaluate::other(&models, &others, arguments.tta, &|done, total| progress.at(done, total))?
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
