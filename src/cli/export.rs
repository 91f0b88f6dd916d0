//! `gatefold export`

use std::path::{Path, PathBuf};

use clap::Args;
use gatefold_engine::plan::mib;

use super::console;
use super::help::{Choice, OUTPUT, choice};
use super::weights::AboutArguments;
use crate::file::check_target;
use crate::nets::forward;
use crate::report::card::Trained;
use crate::report::model_folder::{Contents, ModelFolder};
use crate::train::run::RunFolder;
use crate::weights::onnx::Options;
use crate::weights::{Checkpoint, Exported};
use crate::{Error, Result};

/// Write weights that PyTorch loads (torchvision's names and layouts, safetensors), or the network as ONNX; into a folder both, with a
/// model card
#[derive(Args)]
pub struct Arguments {
    /// Run folder, or a weights file
    source: PathBuf,
    /// File to write; or a folder, which gets config.json as timm has it and a model card too, ready for the Hugging Face Hub: a
    /// path that is a folder, ends in / or has no ending
    #[arg(long, value_name = "FILE|FOLDER", help_heading = OUTPUT)]
    out: PathBuf,
    /// What to write [default: both into a folder; into a file safetensors, or onnx if it ends in .onnx]
    #[arg(long, value_parser = choice::<Format>(), help_heading = OUTPUT)]
    format: Option<Format>,
    /// With ONNX: batch-norms after a convolution become a part of it
    #[arg(long, help_heading = OUTPUT)]
    fold: bool,
    /// With ONNX: weights and maps of 16 bits
    #[arg(long, help_heading = OUTPUT)]
    half: bool,
    /// With ONNX: the graph takes pixels of any size (u8, n x height x width x 3); resizing, crop and normalisation are in it
    #[arg(long, help_heading = OUTPUT)]
    with_preprocessing: bool,
    /// With ONNX: the graph gives a heat map of each class too, for networks whose head is one linear layer
    #[arg(long, help_heading = OUTPUT)]
    with_cam: bool,
    #[command(flatten)]
    about: AboutArguments,
    /// Replace the file if there is one, or all files of an earlier export into the folder
    #[arg(long, help_heading = OUTPUT)]
    force: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Format {
    Safetensors,
    Onnx,
}

impl Choice for Format {
    const WHAT: &'static str = "format";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &[
        ("safetensors", "Weights under torchvision's names, with our header", Self::Safetensors),
        ("onnx", "The network itself, opset 18, for any number of pictures at a time", Self::Onnx),
    ];
}

/// Whether a folder is meant.
fn is_folder(out: &Path) -> bool {
    let ends_as_one = out.as_os_str().to_string_lossy().ends_with(std::path::is_separator);
    out.is_dir() || ends_as_one || (out.extension().is_none() && !out.exists())
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let out = &arguments.out;
    let &Arguments { fold, half, with_preprocessing: preprocessing, with_cam: cam, force, .. } = arguments;
    let (options, to_folder) = (Options { fold, half, preprocessing, cam }, is_folder(out));
    let by_ending =
        if out.extension().is_some_and(|ending| ending == "onnx") { Format::Onnx } else { Format::Safetensors };
    let formats = match arguments.format {
        Some(format) => vec![format],
        None if to_folder => vec![Format::Safetensors, Format::Onnx],
        None => vec![by_ending],
    };
    let onnx = formats.contains(&Format::Onnx).then_some(options);
    if onnx.is_none() && options != Options::default() {
        let text =
            "--fold, --half, --with-preprocessing and --with-cam are for --format onnx; add it, or leave them out";
        return Err(Error::input(text));
    }
    if to_folder {
        let contents = Contents { weights: formats.contains(&Format::Safetensors), onnx };
        return into_folder(arguments, contents);
    }
    check_target(out)?;
    if out.exists() && !force {
        return Err(Error::input(format!("--out {}: is there already; add --force to replace it", out.display())));
    }
    let (checkpoint, _) = read(arguments)?;
    let exported = match onnx {
        None => checkpoint.export(out)?,
        Some(options) => checkpoint.export_onnx(out, options)?,
    };
    if arguments.json {
        return console::json(&exported);
    }
    console::show(&format!("wrote {}\n", line(&exported)));
    Ok(())
}

/// The weights, and the run that they are of.
fn read(arguments: &Arguments) -> Result<(Checkpoint, Option<RunFolder>)> {
    let source = &arguments.source;
    let run = if source.is_file() { None } else { Some(RunFolder::open(source)?) };
    let file = run.as_ref().map_or_else(|| Ok(source.clone()), RunFolder::checkpoint)?;
    let checkpoint = arguments.about.read(&file)?;
    if let Some(header) = &checkpoint.header {
        checkpoint.compare(&forward::spec(&header.net, checkpoint.has_auxiliary())?, None)?;
    }
    Ok((checkpoint, run))
}

fn into_folder(arguments: &Arguments, contents: Contents) -> Result<()> {
    let folder = ModelFolder::new(&arguments.out);
    folder.check(arguments.force)?;
    let (mut checkpoint, run) = read(arguments)?;
    let mut trained = None;
    if let Some(run) = run {
        // Weights are worth having without a score, too.
        match Trained::read(&run, checkpoint.described()?) {
            Ok(read) => {
                read.notes().iter().for_each(|note| console::say(format!("note: {note}")));
                trained = Some(read);
            }
            Err(e) => console::say(format!("note: the card has neither score nor data: {e}")),
        }
    }
    let written = folder.write(&mut checkpoint, trained.as_ref(), contents, arguments.force)?;
    if arguments.json {
        return console::json(&written);
    }
    let mut text: String =
        written.weights.iter().chain(&written.onnx).map(|exported| format!("wrote {}\n", line(exported))).collect();
    text += &format!("timm's settings: {}\n", console::shown(written.config.display()));
    text += &format!(
        "model card: {}; add there where the covers come from, and the licence\n",
        console::shown(written.card.display())
    );
    console::show(&text);
    Ok(())
}

/// A file in words.
fn line(exported: &Exported) -> String {
    let Exported { path, net, classes, tensors, parameters, bytes } = exported;
    let size = mib(*bytes as u64);
    let (path, net) = (console::shown(path), console::shown(net));
    format!("{path}: {net}, {classes} classes, {parameters} parameters in {tensors} tensors, {size}")
}
