//! The command line: one file per subcommand. What it prints, no logic.

mod adapters;
mod audit;
mod check;
mod console;
mod data;
mod demo;
mod devices;
mod eval;
mod explain;
mod export;
mod genres;
mod help;
mod hub;
mod import;
mod interrupt;
mod labels;
mod lr;
mod needs;
mod predict;
mod report;
mod sample;
mod search;
mod serve;
mod settings;
mod shell;
mod similar;
mod train;
mod weights;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, FromArgMatches, Parser, Subcommand};
use gatefold_engine::gpu::{self, Gpu, GpuOptions, cache_folder, quieten_layers};

use crate::panics;
use crate::ranks::{Ranks, launch};
use crate::shown::shortened;
use crate::{Error, Result};

/// Teaches a GPU, any GPU, to read album covers.
#[derive(Parser)]
#[command(name = "gatefold", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Devices(devices::Arguments),
    Sample(sample::Arguments),
    Import(import::Arguments),
    Genres(genres::Arguments),
    Train(Box<train::Arguments>),
    Lr(Box<lr::Arguments>),
    Search(Box<search::Arguments>),
    Eval(eval::Arguments),
    Predict(predict::Arguments),
    Similar(similar::Arguments),
    Explain(explain::Arguments),
    Audit(audit::Arguments),
    Labels(Box<labels::Arguments>),
    Check(check::Arguments),
    Export(export::Arguments),
    Weights(hub::Arguments),
    Report(report::Arguments),
    Serve(serve::Arguments),
    Demo(demo::Arguments),
    Completions(shell::CompletionArguments),
    Man(shell::ManArguments),
}

/// Which adapter, and how carefully.
#[derive(Args, Clone)]
struct GpuArguments {
    /// Adapter: its index in `gatefold devices`, or part of its name; for several processes several, separated by commas [default: the
    /// best real GPU, else software; for several processes one after the other]
    #[arg(long, value_name = "INDEX|NAME", help_heading = help::HARDWARE)]
    adapter: Option<String>,
    /// Keep bounds, loop and division checks in the kernels (slower)
    #[arg(long, help_heading = help::HARDWARE)]
    checked: bool,
}

impl GpuArguments {
    /// Opens the adapter and says on stderr which one it is.
    fn open(&self) -> Result<Arc<Gpu>> {
        self.open_of(&Ranks::alone())
    }

    /// The adapter of a rank, as `--adapter` names it: of several, separated by commas, the one whose place is the rank's number on
    /// its host, from the first one again after the last; without a name likewise of the real GPUs.
    ///
    /// # Errors
    /// [`Error::Input`] if the environment switches off what there is not.
    fn wish(&self, ranks: &Ranks) -> Result<Option<String>> {
        if ranks.is_alone() {
            return Ok(self.adapter.clone());
        }
        if let Some(wishes) = &self.adapter {
            let wishes: Vec<&str> = wishes.split(',').map(str::trim).collect();
            return Ok(Some(wishes[ranks.local() % wishes.len()].to_owned()));
        }
        let (adapters, best) = gpu::list()?;
        let Some(best) = best.and_then(|best| adapters.get(best)).filter(|best| !best.software) else {
            return Ok(None);
        };
        // One adapter can be there several times, once for each way to speak to it.
        let real: Vec<usize> = adapters
            .iter()
            .filter(|adapter| (&adapter.kind, &adapter.backend) == (&best.kind, &best.backend) && !adapter.software)
            .map(|adapter| adapter.index)
            .collect();
        Ok(Some(real[ranks.local() % real.len()].to_string()))
    }

    /// Opens a rank's adapter; the first one says which all have, once all have opened theirs.
    fn open_of(&self, ranks: &Ranks) -> Result<Arc<Gpu>> {
        if self.adapter.as_ref().is_some_and(|wish| wish.trim().is_empty()) {
            return Err(Error::input("--adapter: is empty; name an index or a part of a name, or leave it out"));
        }
        let options = GpuOptions { adapter: self.wish(ranks)?, checked: self.checked };
        let gpu = Gpu::open_cached(&options, cache_folder().as_deref()).map_err(|e| match e {
            // The engine names the wish, and knows no option that it came from.
            Error::Input(text) if text.starts_with("adapter ") => Error::Input(format!("--{text}")),
            e => e,
        })?;
        let adapter = gpu.adapter();
        if ranks.is_alone() {
            console::say(format!("adapter: {} ({}, {})", adapter.name, adapter.kind, adapter.backend));
        } else {
            adapters::say(adapter, ranks);
        }
        gpu.notes().iter().for_each(|note| console::say(format!("note: {note}")));
        Ok(Arc::new(gpu))
    }
}

/// Without this, glibc's allocator takes the first long list that is freed for a sign that such lists come and go, and keeps
/// the memory of all later ones (up to 32 MiB each) instead of giving it back: half of what an import of 80,000 covers would
/// hold. A mebibyte is more than most pictures, which do come and go.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn give_back_freed_memory() {
    const MEBIBYTE: libc::c_int = 1 << 20;
    // SAFETY: sets a number of the allocator, while there is one thread.
    unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, MEBIBYTE) };
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn give_back_freed_memory() {}

/// Parses the command line, runs it, and gives the exit code: 0 done, 1 a run-time failure, 2 bad usage or bad input.
pub fn main() -> ExitCode {
    give_back_freed_memory();
    panics::say_in_one_line(console::say_anyway);
    // SAFETY: there is one thread yet.
    unsafe { quieten_layers() };
    let matches = help::command().try_get_matches();
    // Of several that were started together one speaks.
    if !launch::is_first() {
        console::be_silent();
    }
    let cli = match matches.and_then(|matches| Cli::from_arg_matches(&matches)) {
        Ok(cli) => cli,
        Err(e) => return help::end(&e),
    };
    // Without it the program works, and ends without a line.
    if let Err(e) = interrupt::watch() {
        console::say(format!("note: signals cannot be watched ({e}): Ctrl-C ends this without a word"));
    }
    let ranks = match ranks(&cli.command) {
        Ok(ranks) => ranks,
        Err(e) => return exit_code(Err(e)),
    };
    let done = match cli.command {
        Command::Devices(arguments) => devices::run(&arguments),
        Command::Sample(arguments) => sample::run(&arguments),
        Command::Import(arguments) => import::run(&arguments, &ranks),
        Command::Genres(arguments) => genres::run(&arguments),
        Command::Weights(arguments) => hub::run(&arguments),
        Command::Train(arguments) => located(arguments, &ranks).and_then(|arguments| train::run(&arguments, &ranks)),
        Command::Lr(mut arguments) => arguments.start.locate().and_then(|()| lr::run(&arguments)),
        Command::Search(mut arguments) => arguments.start.locate().and_then(|()| search::run(&arguments)),
        Command::Eval(arguments) => eval::run(&arguments),
        Command::Predict(arguments) => predict::run(&arguments),
        Command::Similar(arguments) => similar::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Audit(arguments) => return exit_code(audit::run(&arguments)),
        Command::Labels(mut arguments) => arguments.start.locate().and_then(|()| labels::run(&arguments)),
        Command::Check(arguments) => check::run(&arguments),
        Command::Export(arguments) => export::run(&arguments),
        Command::Report(arguments) => report::run(&arguments),
        Command::Serve(arguments) => serve::run(&arguments),
        Command::Demo(arguments) => demo::run(&arguments),
        Command::Completions(arguments) => shell::completions(&arguments),
        Command::Man(arguments) => shell::man(&arguments),
    };
    if let Err(e) = &done {
        ranks.fail(e.to_string(), e.exit_code());
    }
    let code = exit_code(done.map(|()| ExitCode::SUCCESS));
    ranks.finish();
    code
}

/// Meets those that mpirun has started together with this process.
///
/// # Errors
/// As [`Ranks::start`]; [`Error::Input`] if the command is none for several processes.
fn ranks(command: &Command) -> Result<Ranks> {
    if launch::size() > 1 && !matches!(command, Command::Train(_) | Command::Import(_)) {
        return Err(Error::input("only train and import work in several processes at once: start this without mpirun"));
    }
    let options: Vec<String> = std::env::args_os().skip(1).map(|option| format!("{option:?}")).collect();
    Ranks::start(&options.join(" "), interrupt::fault)
}

/// The weights that --weights or --pretrained means; only the first rank reads them.
fn located(arguments: Box<train::Arguments>, ranks: &Ranks) -> Result<Box<train::Arguments>> {
    if ranks.is_first() { arguments.located() } else { Ok(arguments) }
}

/// The exit code of what is done; what went wrong is said, also if it was only the printing.
fn exit_code(done: Result<ExitCode>) -> ExitCode {
    done.and_then(|code| console::ended().map(|()| code)).unwrap_or_else(|e| {
        console::say(shortened(&format!("error: {e}")));
        ExitCode::from(e.exit_code())
    })
}
