//! `gatefold similar`

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;
use image::RgbImage;
use serde::Serialize;

use super::GpuArguments;
use super::console::{self, percent};
use super::help::{DATA, OUTPUT, whole};
use super::predict::Seen;
use super::weights::WeightsArguments;
use crate::data::source::listing::{self, Pixels, Reading};
use crate::data::{Columns, Fit, Item, picture};
use crate::explain::gallery::save_png;
use crate::file::check_target;
use crate::report::neighbours::{self, ACROSS, CELL, Cell, Line};
use crate::score::metrics::predicted;
use crate::score::model::Model;
use crate::score::similar::{Found, Neighbour, Search};
use crate::score::stream::{self, Answer, Options};
use crate::shown::path_text;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Covers like these: the nearest in what the network sees before it names a class
///
/// Each picture becomes the mean over the map that the network's trunk ends in; covers are compared by the cosine between those. All
/// of DATA is compared, exactly, and computed again each time. A picture that is itself in DATA is left out of its own list, under
/// whatever name: what counts is the square that the network sees.
#[derive(Args)]
pub struct Arguments {
    /// Run folder (not with --weights), then covers to look for: pictures, folders, tables, music libraries, data sets, or - for a list
    /// on standard input
    #[arg(required = true, value_name = "[RUN] IMAGE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// Covers to look among: a folder, a table, a music library or a data set [default: all covers of the run's data set]
    #[arg(long = "in", value_name = "DATA", help_heading = DATA)]
    within: Option<PathBuf>,
    /// How many to show of each
    #[arg(long, value_name = "N", default_value = "12", value_parser = whole::<usize>(1..=1000), help_heading = OUTPUT)]
    top: usize,
    /// Print a JSON list
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    /// Draw the covers that were looked for, and beside each its nearest, into a PNG: 60 lines of 12 at most [default: none]
    #[arg(long, value_name = "FILE.png", help_heading = OUTPUT)]
    sheet: Option<PathBuf>,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// Lines of covers on a sheet: more would be a picture that few programs open.
const LINES: usize = 60;

pub fn run(arguments: &Arguments) -> Result<()> {
    if let Some(sheet) = &arguments.sheet {
        if sheet.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("png")) {
            return Err(Error::input(format!("--sheet {}: must end in .png", sheet.display())));
        }
        check_target(sheet)?;
    }
    let (checkpoint, paths) = arguments.weights.checkpoint(&arguments.paths)?;
    if paths.is_empty() {
        return Err(Error::input("no cover to look for; name at least one"));
    }
    let within = match (&arguments.within, &arguments.weights.weights) {
        (Some(data), _) => data.clone(),
        (None, None) => RunFolder::new(&arguments.paths[0]).data(),
        (None, Some(_)) => {
            return Err(Error::input("a weights file has no data set: name the covers to look among with --in DATA"));
        }
    };
    if within.as_os_str() == listing::STDIN {
        return Err(Error::input("--in -: the covers to look among cannot come as a list; name a folder or a table"));
    }
    let model = Model::from_checkpoint(&arguments.gpu.open()?, &checkpoint)?;
    let mut search = Search::new(arguments.top);
    let (mut asked, mut seen) = (Vec::new(), Seen::default());
    each(&model, paths, "reading", |item, answer| {
        seen.add(&item, answer.as_ref().err());
        if let Ok(answer) = &answer {
            search.ask(answer);
        }
        asked.push((item, answer));
        Ok(())
    })?;
    if seen.is_nothing_good() {
        return seen.end();
    }
    let mut missed = Seen::default();
    each(&model, std::slice::from_ref(&within), "comparing", |item, answer| {
        missed.add(&item, answer.as_ref().err());
        if let Ok(answer) = answer {
            search.add(item, &answer);
        }
        Ok(())
    })?;
    if missed.is_nothing_good() {
        return missed.end();
    }
    missed.tell();
    let mut found = search.finish().into_iter();
    let rows: Vec<Row> = asked
        .into_iter()
        .map(|(item, answer)| match answer {
            Err(reason) => Row { item, found: Err(reason) },
            Ok(answer) => {
                let found = found.next().unwrap_or(Found { nearest: Vec::new(), itself: false });
                Row { item, found: Ok((answer, found)) }
            }
        })
        .collect();
    let labels = &model.header.labels;
    if let Some(path) = &arguments.sheet {
        save_png(path, &sheet(&rows, labels))?;
    }
    if arguments.json {
        console::json(&rows.iter().map(|row| row.told(labels)).collect::<Vec<_>>())?;
    } else {
        let mut text: String = rows.iter().map(|row| row.text(labels)).collect();
        if let Some(path) = &arguments.sheet {
            text += &format!("wrote {}\n", console::shown(path.display()));
        }
        console::show(&text);
    }
    seen.end()
}

/// Lets the network look at all that is named.
fn each(
    model: &Model,
    paths: &[PathBuf],
    what: &str,
    mut take: impl FnMut(Item, std::result::Result<Answer, String>) -> Result<()>,
) -> Result<()> {
    let reading = Reading {
        columns: &Columns::default(),
        genres: None,
        null: false,
        size: model.picture_size(),
        pipeline: model.pipeline(),
        labels: &model.header.labels,
    };
    let listing = listing::list(paths, &reading)?;
    listing.notes.iter().for_each(|note| console::say(format!("note: {note}")));
    let (count, mut done) = (listing.count, 0);
    let progress = match count {
        Some(_) => console::Progress::new(what, "covers"),
        None => console::Progress::without_end(what, "covers"),
    };
    stream::answer(
        std::slice::from_ref(model),
        listing,
        Options { features: true, ..Options::default() },
        |item, answer| {
            take(item, answer)?;
            done += 1;
            progress.at(done, count);
            Ok(ControlFlow::Continue(()))
        },
    )?;
    Ok(())
}

/// A cover that was looked for.
struct Row {
    item: Item,
    found: std::result::Result<(Answer, Found), String>,
}

/// A row as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    path: &'a Path,
    label: Option<&'a str>,
    probability: Option<f32>,
    /// Whether DATA has the very same picture, which is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    itself_in_data: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    similar: Option<Vec<Near<'a>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Near<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    path: &'a Path,
    similarity: f32,
    artist: &'a str,
    album: &'a str,
    genre: &'a str,
}

fn label<'a>(answer: &Answer, labels: &'a [String]) -> (&'a str, f32) {
    let best = predicted(&answer.probabilities);
    (&labels[best], answer.probabilities[best])
}

impl Row {
    fn told<'a>(&'a self, labels: &'a [String]) -> Told<'a> {
        let found = self.found.as_ref().ok();
        let label = found.map(|(answer, _)| label(answer, labels));
        let near = |near: &'a Neighbour| {
            let [artist, album, genre] = near.item.known();
            Near { path: &near.item.path, similarity: near.similarity, artist, album, genre }
        };
        Told {
            path: &self.item.path,
            label: label.map(|(label, _)| label),
            probability: label.map(|(_, probability)| probability),
            itself_in_data: found.map(|(_, found)| found.itself),
            similar: found.map(|(_, found)| found.nearest.iter().map(near).collect()),
            error: self.found.as_ref().err().map(String::as_str),
        }
    }

    fn text(&self, labels: &[String]) -> String {
        let path = console::shown(path_text(&self.item.path));
        let (answer, found) = match &self.found {
            Err(reason) => return format!("{path}: error: {}\n", console::shown(reason)),
            Ok(found) => found,
        };
        let (label, probability) = label(answer, labels);
        let mut text = format!("{path}: {} {}\n", console::shown(label), percent(f64::from(probability)));
        if found.itself {
            text += "       itself  is there too, and left out\n";
        }
        for (place, Neighbour { item, similarity }) in (1..).zip(&found.nearest) {
            let [artist, album, genre] = item.known();
            let known: Vec<&str> = [artist, album, genre].into_iter().filter(|part| !part.is_empty()).collect();
            let known = if known.is_empty() { String::new() } else { format!(" [{}]", known.join(", ")) };
            let line = format!("{}{known}", path_text(&item.path));
            text += &format!("{place:5}  {similarity:.4}  {}\n", console::shown(line));
        }
        if found.nearest.is_empty() {
            text += "       nothing else is there\n";
        }
        text
    }
}

/// The first rows as a sheet.
fn sheet(rows: &[Row], labels: &[String]) -> RgbImage {
    let good = || rows.iter().filter_map(|row| Some((row, row.found.as_ref().ok()?)));
    let mut left = LINES;
    let fits = |(_, (_, found)): &(&Row, &(Answer, Found))| {
        let lines = found.nearest.len().min(ACROSS * LINES).div_ceil(ACROSS).max(1);
        let fits = lines <= left;
        left -= lines.min(left);
        fits
    };
    let lines = good().take_while(fits).map(|(row, (answer, found))| {
        let (label, probability) = label(answer, labels);
        let asked = cell(&row.item, percent(f64::from(probability)), format!("taken for {label}"));
        let near =
            |near: &Neighbour| cell(&near.item, format!("{:.3}", near.similarity), near.item.known()[2].to_owned());
        Line { asked, nearest: found.nearest.iter().take(ACROSS * LINES).map(near).collect() }
    });
    let lines: Vec<Line> = lines.collect();
    let count = good().count();
    let more =
        if count > lines.len() { format!("the first {} of {count} covers; ", lines.len()) } else { String::new() };
    neighbours::sheet(
        &lines,
        &format!("{more}left: the cover; right: the nearest, the cosine, and what they are labelled"),
    )
}

fn cell(item: &Item, number: String, label: String) -> Cell {
    // The file has more pixels than a square for a small network.
    let file = || picture::load(&item.path, CELL, Fit::Pad).ok().map(|picture| picture.pixels);
    let picture = match &item.pixels {
        Pixels::Packed(dataset, place) => file().or_else(|| dataset.pack.picture(*place).ok()),
        Pixels::File => file(),
        Pixels::None(_) => None,
    };
    let [artist, album, _] = item.known();
    let file = item.path.file_name().map(|name| path_text(Path::new(name))).unwrap_or_default();
    let known: Vec<&str> = [artist, album].into_iter().filter(|part| !part.is_empty()).collect();
    let name = if known.is_empty() { file } else { known.join(": ") };
    Cell { picture, number, label, name }
}
