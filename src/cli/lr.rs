//! `gatefold lr`

use std::path::PathBuf;

use clap::Args;

use super::GpuArguments;
use super::console::{self, Progress};
use super::help::OUTPUT;
use super::settings::Start;
use super::train::{TuningArguments, with_starter};
use crate::claim::WorkFolder;
use crate::file::{check_target, write_atomically};
use crate::report::chart::{Chart, Curve};
use crate::train::trainer::{Rates, Tried};
use crate::{Error, Result};

/// Try learning rates, and suggest one for `train --lr`
///
/// The rate grows from 0.000001 to 1 over at most 120 steps, and the loss of each is noted (the range test of Smith, 2017). It takes less
/// than a minute after decoding, unless steps are very slow. `train --lr auto` does the same before it begins.
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, or an imported data set
    data: PathBuf,
    #[command(flatten)]
    pub start: Start,
    /// Draw the loss over the rate [default: none]
    #[arg(long, value_name = "FILE.svg", help_heading = OUTPUT)]
    svg: Option<PathBuf>,
    /// Print one JSON object: all rates that were tried, and the suggestion
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    tuning: TuningArguments,
    #[command(flatten)]
    gpu: GpuArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    if arguments.start.settings.says_rate() {
        return Err(Error::input("--lr: rates from 0.000001 to 1 are tried here; leave it out"));
    }
    arguments.svg.as_deref().map_or(Ok(()), check_target)?;
    let config = arguments.start.settings.config()?;
    config.check()?;
    let folder = WorkFolder::new()?;
    let mut trainer = with_starter(&arguments.gpu, arguments.tuning.when(), None, |starter| {
        starter.start(&arguments.data, config, arguments.start.weights.as_deref(), &folder.path().join("run"))
    })?;
    let progress = Progress::new("trying rates", "steps");
    let rates = trainer.try_rates(&mut |done, of| progress.at(done, of))?;
    drop(progress);
    if let Some(path) = &arguments.svg {
        let svg = chart(&rates).svg()?;
        write_atomically(path, |file| std::io::Write::write_all(file, svg.as_bytes()))?;
    }
    if arguments.json {
        return console::json(&rates);
    }
    console::show(&text(&rates));
    Ok(())
}

/// Rows of the table.
const ROWS: usize = 24;

fn text(rates: &Rates) -> String {
    let mut text = String::from("\n     rate    loss  smoothed\n");
    let every = rates.tried.len().div_ceil(ROWS).max(1);
    for tried in rates.tried.iter().step_by(every) {
        text += &format!("{:>9.1e}  {:>6.3}  {:>8.3}\n", tried.lr, tried.loss, tried.smoothed);
    }
    let suggestion = rates.suggestion;
    text + &format!("\nsuggestion: --lr {suggestion:.1e}, a tenth of the rate where the smoothed loss is least\n")
}

fn chart(rates: &Rates) -> Chart {
    let curve =
        |of: fn(&Tried) -> f64| rates.tried.iter().map(|tried| (tried.lr.log10(), of(tried))).collect::<Vec<_>>();
    let smoothed = curve(|tried| tried.smoothed);
    let at = rates.suggestion.log10();
    let height = smoothed.iter().min_by(|a, b| (a.0 - at).abs().total_cmp(&(b.0 - at).abs()));
    Chart {
        title: "Loss over the learning rate".to_owned(),
        x: "log10 of the learning rate",
        dots: height.map(|&(_, y)| ((at, y), 4.0)).into_iter().collect(),
        curves: vec![Curve::new("smoothed", smoothed)],
        references: vec![Curve::new("loss", curve(|tried| tried.loss))],
        ..Chart::default()
    }
}
