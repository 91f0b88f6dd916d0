//! `gatefold predict`

mod embeddings;
mod labels;
mod rows;
mod seen;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use clap::Args;

use self::embeddings::Embeddings;
use self::labels::LabelFiles;
use self::rows::{Format, Row, Rows, Shown};
pub use self::seen::Seen;
use self::seen::nothing_left;
use super::GpuArguments;
use super::console::{self, duration};
use super::help::{DATA, OUTPUT, whole};
use super::weights::WeightsArguments;
use crate::data::picture::{self, Picture};
use crate::data::source::listing::{self, Reading};
use crate::data::{Columns, Pipeline, Skipped};
use crate::report::words::thousands;
use crate::score::model::Model;
use crate::score::stream::{self, Options, Timing};
use crate::shown::path_text;
use crate::{Error, Result};

/// What a network takes covers for: those in files, folders, tables, music libraries and data sets
///
/// A folder is gone through with all below it. Of a music library each album gets one answer, for its embedded cover or the
/// cover.jpg beside its tracks. Answers come as they are found, in the order of what is named. A picture that cannot be read gets a
/// row with the reason. The exit code is 2 if it was named, by itself or in a list, a table or a data set, and 0 if it was found in a
/// folder.
#[derive(Args)]
pub struct Arguments {
    /// Run folder, or several, which answer together by the means of their probabilities (not with --weights), then pictures, folders, tables, music libraries, data sets, or - for a list of pictures on
    /// standard input, one a line
    #[arg(required = true, value_name = "[RUN...] DATA")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// The names on standard input end with NUL, as `find -print0` writes them
    #[arg(short = '0', long, help_heading = DATA)]
    null: bool,
    /// A table's column with the pictures' paths [default: guessed from the header]
    #[arg(long, value_name = "COLUMN", help_heading = DATA)]
    path: Option<String>,
    /// Folder of a table's pictures, by path, name or number [default: the table's]
    #[arg(long, value_name = "DIR", help_heading = DATA)]
    images: Option<PathBuf>,
    /// Table of genres for a music library's tags [default: the built-in one, which `gatefold genres` prints]
    #[arg(long, value_name = "FILE", help_heading = DATA)]
    genres: Option<PathBuf>,
    /// Show each picture mirrored too: probabilities and logits are the means of both
    #[arg(long, help_heading = OUTPUT)]
    tta: bool,
    /// Give the N most probable classes [default: 3 in the table, all elsewhere]
    #[arg(long, value_name = "N", value_parser = whole::<usize>(1..=100_000), help_heading = OUTPUT)]
    top: Option<usize>,
    /// Give no label where its probability, from 0 to 1, is lower: the row stays, and says that the network is unsure
    /// [default: always a label]
    #[arg(long, value_name = "P", help_heading = OUTPUT)]
    min_confidence: Option<f32>,
    /// Print the logits too
    #[arg(long, help_heading = OUTPUT)]
    logits: bool,
    /// Print a JSON list
    #[arg(long, conflicts_with_all = ["csv", "jsonl"], help_heading = OUTPUT)]
    json: bool,
    /// Print a JSON object a line
    #[arg(long, conflicts_with = "csv", help_heading = OUTPUT)]
    jsonl: bool,
    /// Print a CSV table; a path, class or tag that a spreadsheet would take for a formula gets an apostrophe in front
    #[arg(long, help_heading = OUTPUT)]
    csv: bool,
    /// Print a CSV table with paths, classes and tags as they are, for programs
    #[arg(long, conflicts_with_all = ["csv", "json", "jsonl"], help_heading = OUTPUT)]
    csv_raw: bool,
    /// Write what comes out of the network's trunk too: a NumPy array with a row for each picture that was answered, and a table
    /// of their paths beside it, FILE.csv [default: none]
    #[arg(long, value_name = "FILE.npy", help_heading = OUTPUT)]
    embeddings: Option<PathBuf>,
    /// Write a script that gives a music library's labels to beets: each album gets the field `gatefold`, and those without a genre
    /// get one; not those that are unsure [default: none]
    #[arg(long, value_name = "FILE.sh", help_heading = OUTPUT)]
    beets: Option<PathBuf>,
    /// Write a text file that Mp3tag imports: a genre for each track of the albums that have none; not of those that are unsure
    /// [default: none]
    #[arg(long, value_name = "FILE.txt", help_heading = OUTPUT)]
    mp3tag: Option<PathBuf>,
    /// Say on stderr how long decoding and the network took
    #[arg(long, help_heading = OUTPUT)]
    timing: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let confidence = arguments.min_confidence;
    if let Some(given) = confidence.filter(|least| !(0.0..=1.0).contains(least)) {
        return Err(Error::input(format!("--min-confidence {given}: must be from 0 to 1, such as 0.8")));
    }
    let (checkpoints, paths) = arguments.weights.checkpoints(&arguments.paths)?;
    if paths.is_empty() {
        return Err(Error::input("no picture to predict; name at least one, or a folder, a table or a music library"));
    }
    if checkpoints.len() > 1 && arguments.embeddings.is_some() {
        return Err(Error::input("--embeddings: are of one network; name one run"));
    }
    let models = Model::from_checkpoints(&arguments.gpu.open()?, &checkpoints)?;
    // They are checked to be of one kind before the first picture is decoded.
    let model = &models[0];
    let labels = &model.header.labels;
    let columns = Columns { path: arguments.path.clone(), images: arguments.images.clone(), ..Columns::default() };
    let reading = Reading {
        columns: &columns,
        genres: arguments.genres.as_deref(),
        null: arguments.null,
        size: model.picture_size(),
        pipeline: model.pipeline(),
        labels,
    };
    // Before a library's tags are read.
    let mut files = LabelFiles::new(arguments.beets.as_deref(), arguments.mp3tag.as_deref(), confidence)?;
    let mut embeddings = arguments.embeddings.as_deref().map(Embeddings::create).transpose()?;
    let listing = listing::list(paths, &reading)?;
    files.check_library(listing.library)?;
    listing.notes.iter().for_each(|note| console::say(format!("note: {note}")));
    let shown = Shown {
        labels,
        outputs: model.header.net.outputs(),
        format: arguments.format(),
        top: arguments.top,
        logits: arguments.logits,
        confidence,
        about: listing.about,
    };
    let count = listing.count;
    // On a terminal the rows themselves tell how far it is.
    let progress = (!std::io::stdout().is_terminal()).then(|| match count {
        Some(_) => console::Progress::new("predicting", "pictures"),
        None => console::Progress::without_end("predicting", "pictures"),
    });
    let (mut rows, mut seen) = (Rows::new(shown), Seen::default());
    let options = Options { mirrored: arguments.tta, features: embeddings.is_some() };
    let timing = stream::answer(&models, listing, options, |item, answer| {
        seen.add(&item, answer.as_ref().err());
        let row = Row { item, answer };
        if let Some(embeddings) = &mut embeddings {
            embeddings.add(&row, labels)?;
        }
        files.add(&row)?;
        rows.add(row)?;
        if let Some(progress) = &progress {
            progress.at(seen.count, count);
        }
        // Whoever closed standard output has seen enough, unless there is a file to write.
        let enough = console::is_unread() && embeddings.is_none() && !files.wanted();
        Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })?;
    drop(progress);
    if console::is_unread() && embeddings.is_none() && !files.wanted() {
        return Ok(());
    }
    rows.finish(seen.is_nothing_good())?;
    if let Some(embeddings) = embeddings.filter(|_| !seen.is_nothing_good()) {
        console::say(embeddings.finish()?);
    }
    if !seen.is_nothing_good() {
        files.finish(labels)?.iter().for_each(console::say);
    }
    if arguments.timing {
        console::say(told(&timing));
    }
    seen.end()
}

impl Arguments {
    fn format(&self) -> Format {
        match self {
            Self { json: true, .. } => Format::Json,
            Self { jsonl: true, .. } => Format::JsonLines,
            Self { csv: true, .. } => Format::Csv { raw: false },
            Self { csv_raw: true, .. } => Format::Csv { raw: true },
            _ => Format::Table,
        }
    }
}

/// The line of --timing.
fn told(timing: &Timing) -> String {
    let Timing { pictures, whole, decoding, cores, waited_for_pictures, waited_for_device } = *timing;
    let rate = |seconds: f64| pictures as f64 / seconds.max(1e-9);
    let each = decoding.as_secs_f64() / cores.max(1) as f64;
    format!(
        "timing: {} pictures in {}, {:.0}/s; decoding took {} on each of {cores} cores, which alone is {:.0}/s; waited {} for pictures and \
         {} for the network",
        thousands(pictures as u64),
        duration(whole.as_secs_f64()),
        rate(whole.as_secs_f64()),
        duration(each),
        rate(each),
        duration(waited_for_pictures.as_secs_f64()),
        duration(waited_for_device.as_secs_f64()),
    )
}

/// Loads pictures as the network wants them; bad ones are listed and left out.
///
/// # Errors
/// [`Error::Input`] if no picture is good.
pub fn load(images: &[PathBuf], size: u32, pipeline: Pipeline) -> Result<Vec<(&Path, Picture)>> {
    let (mut good, mut bad) = (vec![], vec![]);
    for path in images {
        match picture::load(path, size, pipeline) {
            Ok(picture) => good.push((path.as_path(), picture)),
            Err(e) => bad.push(Skipped { path: path_text(path), reason: e.reason }),
        }
    }
    if good.is_empty() && !bad.is_empty() {
        return Err(nothing_left(bad.first(), bad.len()));
    }
    console::skipped(&bad);
    Ok(good)
}
