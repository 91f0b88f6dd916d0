//! `gatefold search`

use std::path::{Path, PathBuf};

use clap::Args;

use super::GpuArguments;
use super::console::{self, duration, percent};
use super::help::{NETWORK, OUTPUT, whole};
use super::interrupt;
use super::report;
use super::settings::Start;
use super::train::{TuningArguments, train, with_starter};
use crate::hint::quoted;
use crate::train::config::bounds;
use crate::train::run::RunFolder;
use crate::train::search::{Candidate, Search};
use crate::{Error, Result};

/// Try networks, sizes, rates and regularisation for some time, and train the best of them
///
/// Several candidates get a short run each, the best third of them a longer one, and so on (successive halving); --minutes is for all of
/// it, or --epochs for the last run. What an option says is the same for all. They learn and are compared on covers cut from the training
/// covers, groups whole. The winner is trained on all of them and scored once on the test set.
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, or an imported data set
    data: PathBuf,
    #[command(flatten)]
    pub start: Start,
    /// Settings that are tried
    #[arg(long, value_name = "N", default_value_t = 9, help_heading = NETWORK, value_parser = whole::<usize>(bounds::CANDIDATES))]
    candidates: usize,
    /// Folder to write; the winner's run is in its folder `best`
    #[arg(long, value_name = "DIR", help_heading = OUTPUT)]
    out: PathBuf,
    /// Go on with the search in --out, with its settings
    #[arg(long, help_heading = OUTPUT)]
    resume: bool,
    /// Print one JSON object at the end: all candidates and their runs
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    tuning: TuningArguments,
    #[command(flatten)]
    gpu: GpuArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let Arguments { data, start, out, .. } = arguments;
    let begun = if arguments.resume { Search::read(out)? } else { None };
    let config = start.settings.config()?;
    if begun.is_none() {
        if start.settings.wants_rate() {
            return Err(Error::input("--lr auto: a search tries rates itself; leave it out"));
        }
        if config.minutes.is_none() && config.open.epochs {
            return Err(Error::input("--minutes: say how long all of it may take, or --epochs for the last run"));
        }
        config.check()?;
    }
    let (again, shown) = (format!("gatefold search {} --out {}", quoted(&text(data)), quoted(&text(out))), text(out));
    let when = arguments.tuning.when();
    let (all, gpu) = with_starter(&arguments.gpu, when, None, |starter| {
        let mut all = match begun {
            Some(begun) => begun.go_on(starter, data, out)?,
            None if arguments.resume && !RunFolder::new(out).is_begun() => {
                let what = "has no search.json, so no search began there; leave out --resume";
                return Err(Error::input(format!("--resume: {shown} {what}")));
            }
            None => {
                let drawn = (config, start.settings.free(), arguments.candidates);
                Search::begin(starter, data, drawn, start.weights.as_deref(), out)?
            }
        };
        interrupt::would_say(format!("interrupted; go on with: {again} --resume"));
        let mut gpu = None;
        all.train(starter, out, |_, trainer| {
            gpu = Some(trainer.gpu());
            train(trainer, false, None)
        })?;
        Ok((all, gpu))
    })?;
    if arguments.json {
        console::json(&all)?;
    } else {
        console::show(&result(&all, data, out));
    }
    if let Some(gpu) = gpu {
        report::after_training(&Search::best(out), &gpu);
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

/// All candidates, the best first; the winner's score, how often was looked, and the command that says the winner.
fn result(all: &Search, data: &Path, out: &Path) -> String {
    let mut text = String::from("\ncandidate  rounds  epochs      time  accuracy    loss  options\n");
    for place in all.best_after(usize::MAX) {
        let Candidate { number, runs, options, .. } = &all.candidates[place];
        let Some(last) = runs.last() else { continue };
        text += &format!(
            "{number:>9}  {:>6}  {:>6}  {:>8}  {:>8}  {:>6.3}  {options}\n",
            runs.len(),
            last.epochs,
            duration(last.seconds),
            percent(last.best.accuracy),
            last.best.loss
        );
    }
    let (tried, runs) = (all.candidates.len(), all.runs());
    text += &format!(
        "\nlooks: {tried} settings tried in {runs} runs, on covers cut from the training covers; the accuracy above flatters the best of \
         them.\nThe test set was looked at once, by candidate {}:\n",
        all.winner.unwrap_or_default()
    );
    if let Some(test) = &all.test {
        text += &format!("\n{test}");
    }
    text + &format!(
        "\nthe winner, said explicitly:\n  {}\nrun: {}\n",
        command(all, data, out),
        console::shown(Search::best(out).display())
    )
}

/// The command that trains the winner.
fn command(all: &Search, data: &Path, out: &Path) -> String {
    let mut words =
        vec!["gatefold".to_owned(), "train".to_owned(), quoted(&text(data)), "--out".to_owned(), "RUN".to_owned()];
    if let Some(weights) = &all.weights {
        words.extend(["--weights".to_owned(), quoted(&text(weights))]);
    }
    let options = all.winners(out).and_then(|config| config.options());
    words.extend(options.unwrap_or_default().iter().map(|option| quoted(option)));
    words.join(" ")
}
