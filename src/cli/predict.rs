//! `gatefold predict`

use std::path::{Path, PathBuf};

use clap::Args;
use gatefold_engine::shown::path_text;
use serde::Serialize;

use super::GpuArguments;
use super::console::{self, percent};
use super::help::OUTPUT;
use super::weights::WeightsArguments;
use crate::data::picture::Picture;
use crate::data::{Pipeline, Skipped, picture};
use crate::score::evaluate::BATCH;
use crate::score::model::{Model, probabilities};
use crate::{Error, Result};

/// Class probabilities of pictures
#[derive(Args)]
pub struct Arguments {
    /// Run folder (not with --weights), then pictures
    #[arg(required = true, value_name = "[RUN] IMAGE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// Print the logits too
    #[arg(long, help_heading = OUTPUT)]
    logits: bool,
    /// Print a JSON list
    #[arg(long, conflicts_with = "csv", help_heading = OUTPUT)]
    json: bool,
    /// Print a CSV table; a path or class that a spreadsheet would take for a formula gets an apostrophe in front
    #[arg(long, help_heading = OUTPUT)]
    csv: bool,
    /// Print a CSV table with paths and classes as they are, for programs
    #[arg(long, conflicts_with_all = ["csv", "json"], help_heading = OUTPUT)]
    csv_raw: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

#[derive(Serialize)]
struct Prediction<'a> {
    #[serde(serialize_with = "gatefold_engine::shown::path")]
    path: &'a Path,
    label: &'a str,
    probability: f32,
    /// In the order of `labels`.
    probabilities: &'a [f32],
    logits: &'a [f32],
    labels: &'a [String],
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (checkpoint, images) = arguments.weights.checkpoint(&arguments.paths)?;
    if images.is_empty() {
        return Err(Error::input("no picture to predict; name at least one"));
    }
    let model = Model::from_checkpoint(&arguments.gpu.open()?, &checkpoint)?;
    let (paths, pictures): (Vec<&Path>, Vec<Picture>) =
        load(images, model.picture_size(), model.pipeline())?.into_iter().unzip();
    let mut inference = model.inference(BATCH.min(pictures.len()))?;
    let progress = console::Progress::new("predicting", "pictures");
    let logits = inference.logits(pictures.iter().map(|picture| picture.pixels.as_raw().as_slice()), |done| {
        progress.at(done, pictures.len())
    })?;
    drop(progress);
    let (labels, outputs) = (&model.header.labels, model.header.net.outputs());
    let probabilities = probabilities(&logits, outputs);
    let rows = paths.iter().zip(probabilities.chunks(labels.len())).zip(logits.chunks(outputs));
    let predictions: Vec<Prediction> = rows
        .map(|((&path, probabilities), logits)| {
            let best = crate::score::metrics::predicted(probabilities);
            Prediction { path, label: &labels[best], probability: probabilities[best], probabilities, logits, labels }
        })
        .collect();
    if arguments.json {
        return console::json(&predictions);
    }
    if arguments.csv || arguments.csv_raw {
        console::print(&csv(&predictions, labels, arguments)?);
    } else {
        console::show(&table(&predictions, arguments.logits));
    }
    Ok(())
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
    match (bad.first(), good.is_empty()) {
        (Some(Skipped { path, reason }), true) => {
            let more = if bad.len() > 1 { format!(", and {} more like it", bad.len() - 1) } else { String::new() };
            Err(Error::input(format!("{path}: {reason}{more}; no picture is left")))
        }
        _ => {
            console::skipped(&bad);
            Ok(good)
        }
    }
}

/// Text as a cell of a spreadsheet, which takes one that begins so for a formula, and runs it.
fn cell(text: String) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text }
}

fn csv(predictions: &[Prediction], labels: &[String], arguments: &Arguments) -> Result<String> {
    let with_logits = arguments.logits;
    let name = |text: String| if arguments.csv_raw { text } else { cell(text) };
    let mut writer = csv::Writer::from_writer(vec![]);
    let logit_count = predictions.first().map_or(0, |p| p.logits.len());
    let logit_names = (0..if with_logits { logit_count } else { 0 }).map(|i| format!("logit {i}"));
    let head = ["path", "label", "probability"].into_iter().map(str::to_owned);
    let head: Vec<String> = head.chain(labels.iter().map(|l| format!("p({l})"))).chain(logit_names).collect();
    writer.write_record(head).map_err(Error::run)?;
    for p in predictions {
        let mut row = vec![name(path_text(p.path)), name(p.label.to_owned()), p.probability.to_string()];
        row.extend(p.probabilities.iter().map(f32::to_string));
        row.extend(p.logits.iter().filter(|_| with_logits).map(f32::to_string));
        writer.write_record(row).map_err(Error::run)?;
    }
    let bytes = writer.into_inner().map_err(Error::run)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// How many of the runners-up a line shows.
const SHOWN: usize = 3;

fn table(predictions: &[Prediction], with_logits: bool) -> String {
    let mut text = String::new();
    for p in predictions {
        let mut order: Vec<usize> = (0..p.probabilities.len()).collect();
        order.sort_by(|&a, &b| p.probabilities[b].total_cmp(&p.probabilities[a]));
        let shown = order
            .iter()
            .take(SHOWN)
            .map(|&i| format!("{} {}", console::shown(&p.labels[i]), percent(f64::from(p.probabilities[i]))));
        text += &format!("{}: {}", console::shown(path_text(p.path)), shown.collect::<Vec<_>>().join(", "));
        if with_logits {
            let logits: Vec<String> = p.logits.iter().map(|v| format!("{v:.4}")).collect();
            text += &format!(" [logits {}]", logits.join(" "));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn formulas_are_text() {
        for (text, wanted) in
            [("=1+1", "'=1+1"), ("-x", "'-x"), ("\tx", "'\tx"), ("a=b", "a=b"), ("", ""), ("'=x", "'=x")]
        {
            assert_eq!(cell(text.to_owned()), wanted);
        }
    }
}
