//! `gatefold export`

use std::path::PathBuf;

use clap::Args;
use gatefold_engine::file::check_target;
use gatefold_engine::plan::mib;

use super::console;
use super::help::{Choice, OUTPUT, choice};
use super::weights::AboutArguments;
use crate::nets::forward;
use crate::train::run::RunFolder;
use crate::weights::onnx::Options;
use crate::{Error, Result};

/// Write weights that PyTorch loads (torchvision's names and layouts, safetensors), or the network as ONNX
#[derive(Args)]
pub struct Arguments {
    /// Run folder, or a weights file
    source: PathBuf,
    /// File to write
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    out: PathBuf,
    /// What to write
    #[arg(long, default_value = "safetensors", value_parser = choice::<Format>(), help_heading = OUTPUT)]
    format: Format,
    /// With --format onnx: batch-norms after a convolution become a part of it
    #[arg(long, help_heading = OUTPUT)]
    fold: bool,
    /// With --format onnx: weights and maps of 16 bits
    #[arg(long, help_heading = OUTPUT)]
    half: bool,
    /// With --format onnx: the graph takes pixels of any size (u8, n x height x width x 3); resizing, crop and normalisation are in it
    #[arg(long, help_heading = OUTPUT)]
    with_preprocessing: bool,
    /// With --format onnx: the graph gives a heat map of each class too, for networks whose head is one linear layer
    #[arg(long, help_heading = OUTPUT)]
    with_cam: bool,
    #[command(flatten)]
    about: AboutArguments,
    /// Replace the file if there is one
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

pub fn run(arguments: &Arguments) -> Result<()> {
    let (source, out) = (&arguments.source, &arguments.out);
    let &Arguments { format, fold, half, with_preprocessing: preprocessing, with_cam: cam, .. } = arguments;
    let options = Options { fold, half, preprocessing, cam };
    if format != Format::Onnx && options != Options::default() {
        let text =
            "--fold, --half, --with-preprocessing and --with-cam are for --format onnx; add it, or leave them out";
        return Err(Error::input(text));
    }
    check_target(out)?;
    if out.exists() && !arguments.force {
        return Err(Error::input(format!("--out {}: is there already; add --force to replace it", out.display())));
    }
    let file = if source.is_file() { source.clone() } else { RunFolder::open(source)?.checkpoint()? };
    let checkpoint = arguments.about.read(&file)?;
    if let Some(header) = &checkpoint.header {
        checkpoint.compare(&forward::spec(&header.net, checkpoint.has_auxiliary())?, None)?;
    }
    let exported = match format {
        Format::Safetensors => checkpoint.export(out)?,
        Format::Onnx => checkpoint.export_onnx(out, options)?,
    };
    if arguments.json {
        return console::json(&exported);
    }
    let crate::weights::Exported { path, net, classes, tensors, parameters, bytes } = exported;
    let size = mib(bytes as u64);
    let (path, net) = (console::shown(path), console::shown(net));
    console::show(&format!(
        "wrote {path}: {net}, {classes} classes, {parameters} parameters in {tensors} tensors, {size}\n"
    ));
    Ok(())
}
