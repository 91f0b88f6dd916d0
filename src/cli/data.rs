//! Arguments that say what DATA is, and how what is made of it is shown.

use std::sync::Mutex;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::console::{self, Progress};
use super::help::{self, Choice};
use super::needs;
use crate::data::{Columns, Fit, Prepared};
use crate::train::{Event, Listener};

impl Args for Columns {
    fn augment_args(command: Command) -> Command {
        let column = |id: &'static str, name: &'static str, help: &'static str| {
            Arg::new(id).long(name).value_name("COLUMN").help(help).help_heading(help::DATA)
        };
        let path = "Column with the pictures' paths, relative to the table [default: guessed from the header]";
        let label = "Column with the labels [default: guessed from the header]";
        let group =
            "Columns whose equal values keep covers in one set, such as artist,album, or none [default: guessed]";
        let split = "Column that says which cover is in train, val or test, or none [default: guessed from the header]";
        command
            .arg(column("path", "path", path))
            .arg(column("label", "label", label))
            .arg(
                column("group", "group", group)
                    .value_name("COLUMNS")
                    .value_delimiter(',')
                    .action(clap::ArgAction::Append),
            )
            .arg(column("split_column", "split-column", split))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Columns {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let one = |id: &str| matches.get_one::<String>(id).cloned();
        let group = matches.get_many::<String>("group").into_iter().flatten().cloned().collect();
        Ok(Self { group, path: one("path"), label: one("label"), split_column: one("split_column") })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Choice for Fit {
    const WHAT: &'static str = "way to make squares";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("crop", "Keep the largest square around the centre", Self::Crop),
        ("pad", "Keep everything, fill the missing sides with black", Self::Pad),
    ];
}

/// Shows on stderr what happens before the first step.
#[derive(Default)]
pub struct Console {
    decoding: Mutex<Option<Progress>>,
}

impl Listener for Console {
    fn decoding(&self, done: usize, total: usize) {
        if let Ok(mut progress) = self.decoding.lock() {
            progress.get_or_insert_with(|| Progress::new("decoding", "pictures")).at(done, total);
        }
    }

    fn event(&self, event: Event<'_>) {
        // The bar goes before anything else is said.
        if let Ok(mut progress) = self.decoding.lock() {
            *progress = None;
        }
        match event {
            Event::Note(line) => console::say(line),
            Event::Prepared(prepared) => show(prepared),
            Event::Planned(planned) => console::say(needs::line(planned)),
            Event::Resumed(epochs) => console::say(format!("resuming after epoch {epochs}")),
        }
    }
}

/// Says on stderr what came of DATA.
fn show(prepared: &Prepared) {
    for note in &prepared.notes {
        console::say(format!("note: {note}"));
    }
    console::skipped(&prepared.skipped);
    console::say(&prepared.report);
}
