//! Arguments that say what DATA is.

use std::path::Path;

use clap::Args;

use super::console;
use crate::Result;
use crate::data::import::prepare::prepare;
use crate::data::source::Columns;
use crate::data::{Fit, PrepareOptions, Prepared};
use crate::train::Config;

/// Columns of a table.
#[derive(Args, Clone)]
pub struct ColumnArguments {
    /// Column with the pictures' paths, relative to the table [default: guessed from the header]
    #[arg(long, value_name = "COLUMN")]
    pub path: Option<String>,
    /// Column with the labels [default: guessed from the header]
    #[arg(long, value_name = "COLUMN")]
    pub label: Option<String>,
    /// Columns whose equal values keep covers in one set, such as artist,album, or none [default: guessed]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    pub group: Option<Vec<String>>,
    /// Column that says which cover is in train, val or test, or none [default: guessed from the header]
    #[arg(long, value_name = "COLUMN")]
    pub split_column: Option<String>,
}

impl ColumnArguments {
    pub fn columns(&self) -> Columns {
        Columns {
            path: self.path.clone(),
            label: self.label.clone(),
            groups: self.group.clone().unwrap_or_default(),
            split: self.split_column.clone(),
        }
    }
}

/// Decodes and splits DATA into `folder`, with progress, and tells what came of it.
pub fn prepare_data(data: &Path, config: &Config, folder: &Path) -> Result<Prepared> {
    let options = PrepareOptions {
        path_column: config.path.clone(),
        label_column: config.label.clone(),
        split_column: config.split_column.clone(),
        group_columns: config.group.clone(),
        split: config.split,
        seed: config.seed,
        size: config.size as u32,
        fit: config.fit,
    };
    let progress = console::Progress::new("decoding", "pictures");
    let prepared = prepare(data, &options, folder, &|done, total| progress.at(done, total))?;
    drop(progress);
    for note in &prepared.notes {
        console::say(format!("note: {note}"));
    }
    console::skipped(&prepared.skipped);
    console::say(format!("{}", prepared.report));
    Ok(prepared)
}

/// `crop` or `pad`.
pub fn parse_fit(text: &str) -> Result<Fit, String> {
    match text {
        "crop" => Ok(Fit::Crop),
        "pad" => Ok(Fit::Pad),
        _ => Err("must be crop or pad".into()),
    }
}
