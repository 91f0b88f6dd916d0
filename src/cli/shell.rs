//! `gatefold completions` and `gatefold man`

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;

use super::console;
use super::help::{OUTPUT, command};
use crate::claim::make_folder;
use crate::file::write_atomically;
use crate::{Error, Result};

/// Print completions for a shell
///
/// For bash: gatefold completions bash > ~/.local/share/bash-completion/completions/gatefold
#[derive(Args)]
pub struct CompletionArguments {
    /// The shell to complete for
    shell: Shell,
}

/// Print the manual page, or that of a command
///
/// To read it: gatefold man train | man -l -
#[derive(Args)]
pub struct ManArguments {
    /// Command whose page to print
    command: Option<String>,
    /// Write the pages of all commands into this folder instead [default: print one page]
    #[arg(long, value_name = "DIR", conflicts_with = "command", help_heading = OUTPUT)]
    out: Option<PathBuf>,
}

pub fn completions(arguments: &CompletionArguments) -> Result<()> {
    let mut text = vec![];
    clap_complete::generate(arguments.shell, &mut command(), "gatefold", &mut text);
    console::print(&String::from_utf8_lossy(&text));
    Ok(())
}

pub fn man(arguments: &ManArguments) -> Result<()> {
    let mut root = command();
    // Usage lines then name the program too.
    root.build();
    if let Some(folder) = &arguments.out {
        make_folder(folder)?;
        let commands = root.get_subcommands().filter(|command| command.get_name() != "help");
        for command in std::iter::once(&root).chain(commands) {
            let page = page(command)?;
            let path = folder.join(format!("{}.1", title(command)));
            write_atomically(&path, |file| std::io::Write::write_all(file, page.as_bytes()))?;
        }
        return Ok(());
    }
    let Some(name) = &arguments.command else {
        console::print(&page(&root)?);
        return Ok(());
    };
    let Some(command) = root.find_subcommand(name) else {
        let names: Vec<_> = root.get_subcommands().map(Command::get_name).filter(|name| *name != "help").collect();
        let hint = crate::hint::did_you_mean(name, &names);
        return Err(Error::input(format!(
            "man {name}: there is no such command{hint}; there are: {}",
            names.join(", ")
        )));
    };
    console::print(&page(command)?);
    Ok(())
}

/// `gatefold` or `gatefold-train`.
fn title(command: &Command) -> String {
    match command.get_name() {
        "gatefold" => "gatefold".to_owned(),
        name => format!("gatefold-{name}"),
    }
}

/// A manual page in roff.
fn page(command: &Command) -> Result<String> {
    let mut text = vec![];
    let man = clap_mangen::Man::new(command.clone()).title(title(command).to_uppercase());
    man.render(&mut text).map_err(Error::run)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}
