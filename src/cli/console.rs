//! Output that several subcommands share: JSON, lists of skipped files, progress.

mod closed;

use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle, WeakProgressBar};
use serde::Serialize;

use crate::data::Skipped;
use crate::shown::{escaped, escaped_lines};

pub use crate::report::words::{duration, percent};
use crate::{Error, Result};

/// What went wrong with stdout first. Work goes on all the same: files are worth more than what is printed of them.
static FAILED: OnceLock<std::io::Error> = OnceLock::new();

/// Writes to stdout as it is, for programs: JSON, CSV, a script. Should that fail, nothing is lost but the text, and [`ended`] tells of it when all else is done.
pub fn print(text: &str) {
    print_with(|| {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    });
}

/// Writes to stdout for people: of what others have named, nothing acts on a terminal but line breaks. Those in names have to be
/// escaped before ([`shown`]).
pub fn show(text: &str) {
    print(&escaped_lines(text));
}

/// A name or a path as a part of a line.
pub fn shown(name: impl std::fmt::Display) -> String {
    escaped(&name.to_string())
}

/// As [`print`] for what writes to stdout itself.
pub fn print_with(write: impl FnOnce() -> std::io::Result<()>) {
    if is_silent() {
        return;
    }
    let done = if closed::at_start() { Err(std::io::Error::other("it is closed")) } else { write() };
    if let Err(e) = done {
        let _ = FAILED.set(e);
    }
}

/// Whether whoever read what is printed has gone away.
pub fn is_unread() -> bool {
    FAILED.get().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// How printing ended. A reader that has gone away (`| head`) has seen enough, as with other tools.
///
/// # Errors
/// [`Error::Run`] if something was printed and could not be written.
pub fn ended() -> Result<()> {
    match FAILED.get() {
        Some(e) if e.kind() != std::io::ErrorKind::BrokenPipe => Err(Error::run(format!(
            "standard output: cannot be written: {e}; what goes into files is written all the same"
        ))),
        _ => Ok(()),
    }
}

/// Set in a process that leaves it to another one to speak.
static SILENT: AtomicBool = AtomicBool::new(false);

/// From now on nothing is shown or printed: another process that was started with this one does so.
pub fn be_silent() {
    SILENT.store(true, Ordering::Relaxed);
}

fn is_silent() -> bool {
    SILENT.load(Ordering::Relaxed)
}

/// As [`say`], also where another process speaks otherwise.
pub fn say_anyway(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{}", shown(text));
}

/// Says one line on stderr, in which nothing acts on a terminal, whatever files are called. If nobody listens any more, work goes on.
pub fn say(text: impl std::fmt::Display) {
    if !is_silent() {
        say_anyway(text);
    }
}

/// Prints one JSON value.
pub fn json(value: &impl Serialize) -> Result<()> {
    print(&format!("{}\n", serde_json::to_string_pretty(value).map_err(Error::run)?));
    Ok(())
}

/// Skipped files beyond this many are counted, not listed.
pub const LISTED: usize = 20;

/// Lists skipped files with their reasons on stderr.
pub fn skipped(skipped: &[Skipped]) {
    skipped_of(skipped, skipped.len());
}

/// As [`skipped`] for the first ones of so many.
pub fn skipped_of(first: &[Skipped], count: usize) {
    if count == 0 {
        return;
    }
    say(format!("skipped {count} pictures:"));
    for Skipped { path, reason } in first.iter().take(LISTED) {
        say(format!("  {path}: {reason}"));
    }
    if count > LISTED {
        say(format!("  and {} more", count - LISTED));
    }
}

/// The bar that is shown, if there is one.
static BAR: Mutex<Option<WeakProgressBar>> = Mutex::new(None);

/// A bar on stderr, laid out as `template` says; none where stderr is no terminal.
pub fn bar(template: &str, length: u64) -> Option<ProgressBar> {
    let bar = (std::io::stderr().is_terminal() && !is_silent()).then(|| {
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        ProgressBar::new(length).with_style(style)
    })?;
    if let Ok(mut shown) = BAR.lock() {
        *shown = Some(bar.downgrade());
    }
    Some(bar)
}

/// Takes the bar away for good, so that a last line stands alone.
pub fn clear_bar() {
    let bar = BAR.lock().ok().and_then(|bar| bar.as_ref().and_then(WeakProgressBar::upgrade));
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
}

/// Progress of a long step on stderr: a bar with rate and ETA on a terminal, a line every few seconds elsewhere.
pub struct Progress {
    bar: Option<ProgressBar>,
    plain: Mutex<Plain>,
    what: String,
}

struct Plain {
    start: Instant,
    said: Instant,
}

const EVERY: Duration = Duration::from_secs(5);

impl Progress {
    /// `unit` is what is counted, such as "pictures".
    pub fn new(what: &str, unit: &str) -> Self {
        Self::shown(what, unit, bar(&format!("{what} {{bar:30}} {{pos}}/{{len}} {unit}, {{per_sec}}, {{eta}} left"), 0))
    }

    /// Where nobody knows how many there will be.
    pub fn without_end(what: &str, unit: &str) -> Self {
        Self::shown(what, unit, bar(&format!("{what} {{pos}} {unit}, {{per_sec}}"), 0))
    }

    fn shown(what: &str, unit: &str, bar: Option<ProgressBar>) -> Self {
        let now = Instant::now();
        Self { bar, plain: Mutex::new(Plain { start: now, said: now }), what: format!("{what}: {unit}") }
    }

    /// `done` of `total`, if that is known. May be called from many threads, out of order.
    pub fn at(&self, done: usize, total: impl Into<Option<usize>>) {
        let total = total.into();
        if let Some(bar) = &self.bar {
            if let Some(total) = total {
                bar.set_length(total as u64);
            }
            bar.set_position(bar.position().max(done as u64));
            return;
        }
        let Ok(mut plain) = self.plain.lock() else { return };
        if plain.said.elapsed() < EVERY || total.is_some_and(|total| done >= total) {
            return;
        }
        plain.said = Instant::now();
        let rate = done as f64 / plain.start.elapsed().as_secs_f64().max(1e-9);
        match total {
            Some(total) => {
                let left = (total - done) as f64 / rate.max(1e-9);
                say(format!("{} {done}/{total}, {rate:.0}/s, {} left", self.what, duration(left)));
            }
            None => say(format!("{} {done}, {rate:.0}/s", self.what)),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
