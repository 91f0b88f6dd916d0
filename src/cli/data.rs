//! Arguments that say what DATA is, and how what is made of it is shown.

use std::path::PathBuf;
use std::sync::Mutex;

use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};

use super::console::{self, Progress};
use super::help::{self, Choice};
use super::needs;
use crate::data::{Columns, Fit, Labelling, Multi, Prepared, Rename};
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
        let images = "Folder of the table's pictures, by path, name or number; MSD-I's by track id or link [default: the table's]";
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
            .arg(column("images", "images", images).value_name("DIR").value_parser(clap::value_parser!(PathBuf)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Columns {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let one = |id: &str| matches.get_one::<String>(id).cloned();
        let group = matches.get_many::<String>("group").into_iter().flatten().cloned().collect();
        let images = matches.get_one::<PathBuf>("images").cloned();
        Ok(Self { group, path: one("path"), label: one("label"), split_column: one("split_column"), images })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Choice for Multi {
    const WHAT: &'static str = "way with several labels";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("error", "Refuse the table", Self::Error),
        ("first", "Take the first label", Self::First),
        ("skip", "Leave the cover out", Self::Skip),
        ("keep", "Take the whole cell as one label", Self::Keep),
    ];
}

impl Args for Labelling {
    fn augment_args(command: Command) -> Command {
        let option = |id: &'static str, name: &'static str, value: &'static str, help: &'static str| {
            Arg::new(id).long(name).value_name(value).help(help).help_heading(help::DATA)
        };
        let map = "Make a label another class, such as hip-hop=HipHop; an empty class leaves it out; may be repeated [default: none]";
        let without = "Classes to leave out, with commas between them; may be repeated [default: none]";
        let least = "Leave out classes of fewer covers [default: none]";
        let multi = "What becomes of a cell with several labels, such as Rock|Pop [default: error]";
        command
            .arg(
                option("map", "map", "THEIRS=OURS", map)
                    .action(clap::ArgAction::Append)
                    .value_parser(|text: &str| text.parse::<Rename>()),
            )
            .arg(option("without", "without", "CLASSES", without).action(clap::ArgAction::Append))
            .arg(option("min_covers", "min-covers", "N", least).value_parser(help::whole::<usize>(0..=1_000_000_000)))
            .arg(option("multi", "multi", "WHAT", multi).value_parser(help::choice::<Multi>()))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Labelling {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self {
            map: matches.get_many("map").into_iter().flatten().cloned().collect(),
            without: matches.get_many("without").into_iter().flatten().cloned().collect(),
            min_covers: matches.get_one("min_covers").copied(),
            multi: matches.get_one("multi").copied().unwrap_or_default(),
        })
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
        ("bilinear", "Resize the shorter side, bilinear, then keep the centre: torchvision's rule", Self::Bilinear),
        ("bicubic", "The same, bicubic: timm's usual rule", Self::Bicubic),
        ("lanczos", "The same, Lanczos", Self::Lanczos),
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
            Event::Note(line) => {
                // A blank line stands between two runs.
                if line.starts_with('\n') {
                    console::say("");
                }
                console::say(line.trim_start_matches('\n'));
            }
            Event::Chosen(chosen) => chosen.lines().iter().for_each(console::say),
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
    prepared.report.to_string().lines().for_each(console::say);
}
