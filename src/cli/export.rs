//! `gatefold export`

use std::path::PathBuf;

use clap::Args;
use gatefold_engine::file::check_target;
use gatefold_engine::plan::mib;

use super::console;
use super::help::OUTPUT;
use super::weights::AboutArguments;
use crate::nets::forward;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Write weights that PyTorch loads: torchvision's names and layouts, safetensors
#[derive(Args)]
pub struct Arguments {
    /// Run folder, or a weights file
    source: PathBuf,
    /// File to write
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    out: PathBuf,
    #[command(flatten)]
    about: AboutArguments,
    /// Replace the file if there is one
    #[arg(long, help_heading = OUTPUT)]
    force: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let (source, out) = (&arguments.source, &arguments.out);
    check_target(out)?;
    if out.exists() && !arguments.force {
        return Err(Error::input(format!("--out {}: is there already; add --force to replace it", out.display())));
    }
    let file = if source.is_file() { source.clone() } else { RunFolder::open(source)?.checkpoint()? };
    let checkpoint = arguments.about.read(&file)?;
    if let Some(header) = &checkpoint.header {
        checkpoint.compare(&forward::spec(&header.net, checkpoint.has_auxiliary())?, None)?;
    }
    let exported = checkpoint.export(out)?;
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
