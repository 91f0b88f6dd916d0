//! `gatefold check`

use std::path::PathBuf;

use clap::Args;

use super::console;
use super::help::OUTPUT;
use crate::check::{State, check};
use crate::{Error, Result};

/// Ask whether a data set, a run or a weights file is as it was written: reads all of it and compares hashes
#[derive(Args)]
pub struct Arguments {
    /// A data set, a run, the folder of a `train --seeds`, or a weights file
    path: PathBuf,
    /// Print a JSON list of files
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let items = check(&arguments.path)?;
    if arguments.json {
        console::json(&items)?;
    } else {
        let row = |item: &crate::check::Item| {
            let state = match item.state {
                State::Whole => "whole",
                State::Readable => "readable",
                State::Damaged => "DAMAGED",
            };
            format!("{state:<8}  {}: {}\n", console::shown(item.path.display()), console::shown(&item.about))
        };
        console::show(&items.iter().map(row).collect::<String>());
    }
    let damaged = items.iter().filter(|item| item.state == State::Damaged).count();
    if damaged == 0 {
        return Ok(());
    }
    let shown = arguments.path.display();
    Err(Error::input(format!("{shown}: {damaged} of {} files are damaged; restore them from a copy", items.len())))
}
