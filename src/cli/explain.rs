//! `gatefold explain`

use std::path::{Path, PathBuf};

use clap::Args;

use super::GpuArguments;
use super::console::{self, percent};
use super::predict::load;
use super::weights::WeightsArguments;
use crate::explain::render::NO_EVIDENCE;
use crate::explain::{gallery, grad_cam};
use crate::train::model::Model;
use crate::{Error, Result};

/// Show where the network looked: heat map, overlay, contact sheet and numbers
#[derive(Args)]
pub struct Arguments {
    /// Run folder (not with --weights), then pictures
    #[arg(required_unless_present = "weights", value_name = "[RUN] IMAGE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// Folder to write
    #[arg(long)]
    out: Option<PathBuf>,
    /// Class to look for [default: the predicted one]
    #[arg(long)]
    class: Option<String>,
    /// Layer to look at, or `list` to print them [default: the network's usual one]
    #[arg(long)]
    layer: Option<String>,
    /// Print the numbers as JSON too
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (checkpoint, images) = arguments.weights.checkpoint(&arguments.paths)?;
    let model = Model::from_checkpoint(&arguments.gpu.open()?, &checkpoint)?;
    if arguments.layer.as_deref() == Some("list") {
        let layers = grad_cam::layers(&model)?;
        let lines =
            layers.iter().map(|(name, shape)| format!("{name} {}x{} cells, {} channels\n", shape.h, shape.w, shape.c));
        return console::print(&lines.collect::<String>());
    }
    let Some(out) = &arguments.out else { return Err(Error::input("--out DIR is missing")) };
    if images.is_empty() {
        return Err(Error::input("no picture to explain; name at least one"));
    }
    let explanations = explain(&model, images, arguments.class.as_deref(), arguments.layer.as_deref(), out)?;
    if arguments.json {
        return console::json(&explanations);
    }
    let mut text = String::new();
    for e in &explanations {
        let found = if e.evidence { format!("peak at {},{}", e.peak[0], e.peak[1]) } else { NO_EVIDENCE.to_owned() };
        let (path, class, probability) = (e.path.display(), &e.class, percent(f64::from(e.probability)));
        text += &format!("{path}: {class} {probability}, score {:.3}, {found}\n", e.score);
    }
    console::print(&format!("{text}wrote {}\n", out.join(gallery::SHEET).display()))
}

/// Loads the pictures and writes their heat maps.
pub fn explain(
    model: &Model,
    images: &[PathBuf],
    class: Option<&str>,
    layer: Option<&str>,
    out: &Path,
) -> Result<Vec<gallery::Record>> {
    let (paths, pictures) = load(images, model.picture_size(), model.fit())?;
    let progress = console::Progress::new("explaining", "pictures");
    gallery::write(model, &paths, &pictures, class, layer, out, &|done, total| progress.at(done, total))
}
