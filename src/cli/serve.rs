//! `gatefold serve`

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use clap::Args;

use super::help::{DATA, OUTPUT, SERVER, whole};
use super::{GpuArguments, console, interrupt};
use crate::report::words::command;
use crate::serve::{Known, Options, Server};
use crate::{Error, Result};

/// Show what a network takes covers for on a page of this machine: drop covers, see classes, heat maps and covers like them
///
/// The page is served to this machine alone. Beside each answer stands how often answers as sure as that were right on the test set.
/// Other programs can ask the same: the address, with api/openapi.json behind it, describes how.
#[derive(Args)]
pub struct Arguments {
    /// Run folder
    run: PathBuf,
    /// Do not open the page in a browser
    #[arg(long, help_heading = SERVER)]
    no_open: bool,
    /// Port to listen at [default: a free one]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=65_535), help_heading = SERVER)]
    port: Option<u32>,
    /// Address to listen at; with 0.0.0.0 whoever reaches this machine over the network may ask
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST), help_heading = SERVER)]
    host: IpAddr,
    /// Folder whose pictures the page may open by their paths; may be repeated [default: none]
    #[arg(long, value_name = "DIR", help_heading = DATA)]
    allow_folder: Vec<PathBuf>,
    /// How many training covers like it to show beside each answer; 0 for none
    #[arg(long, value_name = "N", default_value = "6", value_parser = whole::<usize>(0..=100), help_heading = OUTPUT)]
    nearest: usize,
    #[command(flatten)]
    gpu: GpuArguments,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    // A run that is none is said before an adapter is opened.
    crate::train::run::RunFolder::open(&arguments.run)?.checkpoint()?;
    let options = Options {
        host: arguments.host,
        port: arguments.port.map_or(Ok(0), u16::try_from).map_err(Error::input)?,
        folders: arguments.allow_folder.clone(),
        nearest: arguments.nearest,
    };
    let known = Known::open(&arguments.run, &arguments.gpu.open()?)?;
    known.notes().iter().for_each(|note| console::say(format!("note: {note}")));
    console::say(known.score());
    let server = Server::start(known, &options)?;
    if !arguments.host.is_loopback() {
        console::say("note: other machines can ask this network too, and nothing is encrypted");
    }
    let again = command(["gatefold", "serve", &arguments.run.display().to_string()]);
    interrupt::would_say(format!("stopped; `{again}` starts it again"));
    // On standard output, so that a script can read it.
    console::show(&format!("{}\n", server.url()));
    console::say("Ctrl-C stops it");
    if !arguments.no_open && open::that_detached(server.url()).is_err() {
        console::say("note: no browser could be opened: open the address yourself, or add --no-open");
    }
    server.wait()
}
