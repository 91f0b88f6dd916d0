//! `gatefold import`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::console::{self, duration};
use super::help::{DATA, OUTPUT, choice, whole};
use super::interrupt;
use crate::data::import::decode;
use crate::data::source::{Details, Source};
use crate::data::{
    Columns, Dataset, Fit, ImportOptions, Imported, Labelling, Place, Request, Skipped, import, parse_ratios,
};
use crate::ranks::Ranks;
use crate::train::config::bounds::{SEED, SIZE};
use crate::{Error, Result};

/// Make a data set of what you have: clean it, split it, decode it once
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, MSD-I's table, or a music library
    #[arg(required_unless_present = "positive", conflicts_with = "positive")]
    source: Option<PathBuf>,
    /// Folder with the covers of one class; with --negative (both are required), instead of SOURCE
    #[arg(long, value_name = "DIR", requires = "negative", help_heading = DATA)]
    positive: Option<PathBuf>,
    /// Folder with covers that are not of that class; required with --positive
    #[arg(long, value_name = "DIR", requires = "positive", help_heading = DATA)]
    negative: Option<PathBuf>,
    /// Data-set folder to write; required but for --dry-run
    #[arg(long, value_name = "DATASET", required_unless_present = "dry_run", help_heading = OUTPUT)]
    out: Option<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    #[command(flatten)]
    labelling: Labelling,
    /// Table of genres for a music library [default: the built-in one, which `gatefold genres` prints]
    #[arg(long, value_name = "FILE", help_heading = DATA)]
    genres: Option<PathBuf>,
    /// Labels that were looked at, to keep, change or leave out: what the page of `gatefold labels` saved, or its labels.csv with the
    /// column `action` filled in [default: none]
    #[arg(long, value_name = "FILE", help_heading = DATA)]
    corrections: Option<PathBuf>,
    /// Train, validation and test in percent [default: the sets that SOURCE has, else 70,15,15]
    #[arg(long, value_name = "70,15,15", help_heading = DATA)]
    split: Option<String>,
    /// Decides the split
    #[arg(long, default_value_t = 1, help_heading = DATA, value_parser = whole::<u64>(SEED))]
    seed: u64,
    /// Side of the squares in pixels; several make several packs
    #[arg(long, value_delimiter = ',', default_value = "128", help_heading = DATA, value_parser = whole::<u32>(SIZE))]
    size: Vec<u32>,
    /// How pictures become squares
    #[arg(long, default_value = "crop", value_parser = choice::<Fit>(), help_heading = DATA)]
    fit: Fit,
    /// Bring every picture through the same degradation: a square of SIZE pixels, compressed as JPEG of QUALITY, such as 96,60.
    /// Hides from which source a cover came, at the cost of detail [default: leave pictures as they are]
    #[arg(long, value_name = "SIZE,QUALITY", help_heading = DATA)]
    harmonise: Option<String>,
    /// Keep all pictures of the same cover (in one set) instead of one
    #[arg(long, help_heading = DATA)]
    keep_duplicates: bool,
    /// Read the source, print its classes and what is wrong with it, and stop
    #[arg(long, help_heading = OUTPUT)]
    dry_run: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

impl Arguments {
    fn options(&self, ranks: &Ranks) -> Result<ImportOptions> {
        let place = match (&self.source, &self.positive, &self.negative) {
            (Some(source), ..) => Place::One(source.clone()),
            (None, Some(positive), Some(negative)) => {
                Place::Pair { positive: positive.clone(), negative: negative.clone() }
            }
            _ => return Err(Error::input("SOURCE is missing")),
        };
        if let Place::One(source) = &place
            && Dataset::is_at(source)
        {
            let source = source.display();
            return Err(Error::input(format!("{source}: a data set already: give it to train as it is")));
        }
        Ok(ImportOptions {
            request: Request {
                place,
                columns: self.columns.clone(),
                labelling: self.labelling.clone(),
                genres: self.genres.clone(),
                corrections: self.corrections.clone(),
            },
            split: self.split.as_deref().map(parse_ratios).transpose()?,
            seed: self.seed,
            sizes: self.size.clone(),
            fit: self.fit,
            harmonise: self.harmonise.as_deref().map(str::parse).transpose()?,
            keep_duplicates: self.keep_duplicates,
            ranks: ranks.clone(),
        })
    }
}

pub fn run(arguments: &Arguments, ranks: &Ranks) -> Result<()> {
    if !ranks.is_first() {
        // The first one reads the source and writes the data set.
        return if arguments.dry_run { Ok(()) } else { decode::help(ranks) };
    }
    let options = arguments.options(ranks)?;
    if arguments.dry_run {
        return dry_run(&options.request.read()?, &options.request.shown(), arguments.json);
    }
    let Some(out) = &arguments.out else { return Err(Error::input("--out DATASET is missing")) };
    interrupt::would_say("interrupted; start the same import again: it goes on where it was".to_owned());
    let start = Instant::now();
    let progress = console::Progress::new("decoding", "pictures");
    let made = import(&options, out, &|done, total| progress.at(done, total))?;
    decode::no_more(ranks);
    drop(progress);
    tell(&made, out, start.elapsed().as_secs_f64(), arguments.json)
}

#[derive(Serialize)]
struct Summary<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    dataset: &'a Path,
    source: &'a str,
    kind: &'a str,
    unchanged: bool,
    named: usize,
    kept: usize,
    skipped: usize,
    duplicate_groups: usize,
    classes: Vec<Class<'a>>,
    grouped_by: &'a [String],
    notes: &'a [String],
    details: &'a serde_json::Value,
    seconds: f64,
}

#[derive(Serialize)]
struct Class<'a> {
    class: &'a str,
    train: usize,
    val: usize,
    test: usize,
    groups: usize,
}

fn tell(made: &Imported, out: &Path, seconds: f64, as_json: bool) -> Result<()> {
    let Imported { told, report, unchanged, .. } = made;
    if *unchanged {
        console::say("note: the source and the options are those of the last import: nothing to do");
    } else {
        told.notes.iter().for_each(|note| console::say(format!("note: {note}")));
        console::skipped(&told.skipped);
    }
    if as_json {
        let counts = report.classes.iter().zip(&report.covers).zip(&report.groups);
        let classes = counts.map(|((class, &[train, val, test]), &groups)| Class { class, train, val, test, groups });
        return console::json(&Summary {
            dataset: out,
            source: &told.source,
            kind: &told.kind,
            unchanged: *unchanged,
            named: told.named,
            kept: told.kept,
            skipped: told.skipped.len(),
            duplicate_groups: told.duplicates.len(),
            classes: classes.collect(),
            grouped_by: &told.grouped_by,
            notes: &told.notes,
            details: &told.details,
            seconds,
        });
    }
    let out = console::shown(out.display());
    console::show(&format!(
        "{report}\n\n{out}: {} of {} pictures in {}\nnext: look at {out}/preview.png, then gatefold train {out} --size {} \
         --out RUN\n",
        told.kept,
        told.named,
        duration(seconds),
        made.dataset.pack.size(),
    ));
    Ok(())
}

#[derive(Serialize)]
struct DryRun<'a> {
    source: &'a str,
    kind: &'a str,
    /// Pictures of each class, or albums where there are no pictures yet.
    classes: BTreeMap<&'a str, usize>,
    group_columns: &'a [String],
    skipped: &'a [Skipped],
    notes: &'a [String],
    details: &'a Option<Details>,
}

fn dry_run(source: &Source, shown: &str, as_json: bool) -> Result<()> {
    let mut classes: BTreeMap<&str, usize> = source.classes.iter().map(|class| (class.as_str(), 0)).collect();
    for row in &source.rows {
        *classes.entry(&source.classes[row.label]).or_default() += 1;
    }
    let mut text = String::new();
    if let Some(Details::MsdI(report)) = &source.details {
        text += &format!("{:12} {:>7} {:>7} {:>7} {:>7}\n", "albums", "train", "val", "test", "all");
        let mut total = [0; 3];
        for (class, sets) in &report.classes {
            if let Some(count) = classes.get_mut(class.as_str()) {
                *count = sets.iter().sum();
            }
            (0..3).for_each(|set| total[set] += sets[set]);
            let [train, val, test] = sets;
            text += &format!("{class:12} {train:>7} {val:>7} {test:>7} {:>7}\n", sets.iter().sum::<usize>());
        }
        let [train, val, test] = total;
        text += &format!("{:12} {train:>7} {val:>7} {test:>7} {:>7}\n", "total", total.iter().sum::<usize>());
    } else {
        let names: Vec<String> = classes.keys().map(console::shown).collect();
        let width = names.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        text += &format!("{:width$} {:>8}\n", "class", "covers");
        names.iter().zip(classes.values()).for_each(|(class, count)| text += &format!("{class:width$} {count:>8}\n"));
        text += &format!("{:width$} {:>8}\n", "total", source.rows.len());
    }
    source.notes.iter().for_each(|note| console::say(format!("note: {note}")));
    console::skipped(&source.left_out);
    if as_json {
        let Source { kind, group_columns, left_out, notes, details, .. } = source;
        return console::json(&DryRun {
            source: shown,
            kind,
            classes,
            group_columns,
            skipped: left_out,
            notes,
            details,
        });
    }
    console::show(&text);
    Ok(())
}
