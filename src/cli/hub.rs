//! Weights by name, and `gatefold weights`, which lists those that are known to fit.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::console;
use super::help::OUTPUT;
use crate::Result;
use crate::weights::hub::{self, Name};
use crate::weights::known::{KNOWN, usual};

/// The file that `--weights` means: a path, or else a name on the Hugging Face Hub, whose file is loaded if it is not there yet.
///
/// # Errors
/// As [`hub::fetch`].
pub fn located(weights: &Path) -> Result<PathBuf> {
    let Some(name) = weights.to_str().filter(|_| !weights.exists()).and_then(Name::parse) else {
        return Ok(weights.to_owned());
    };
    let progress = console::Progress::new("loading", "KiB");
    let found = hub::fetch(&name, &mut |_, done, of| progress.at((done / 1024) as usize, (of / 1024) as usize))?;
    drop(progress);
    found.notes.iter().for_each(|note| console::say(format!("note: {note}")));
    let exactly = hub::name_of(&found.path).unwrap_or(name.repo);
    console::say(format!("weights: {exactly} ({})", console::shown(found.path.display())));
    Ok(found.path)
}

/// Weights of others that are known to fit, for --weights NAME and --pretrained
///
/// Any other repository of the Hugging Face Hub that holds one of these networks does as well: `--weights OWNER/NAME`, with @REVISION for
/// a certain version.
#[derive(Args)]
pub struct Arguments {
    /// Print a JSON list
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
}

#[derive(Serialize)]
struct Row {
    net: &'static str,
    name: &'static str,
    licence: &'static str,
    megabytes: u32,
    imagenet_top1_percent: Option<f32>,
    cached: bool,
    pretrained: bool,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let rows = KNOWN.iter().map(|known| Row {
        net: known.net,
        name: known.repo,
        licence: known.licence,
        megabytes: known.megabytes,
        imagenet_top1_percent: known.top1,
        cached: hub::is_cached(&known.name()),
        pretrained: usual(known.net).is_ok_and(|usual| usual.repo == known.repo),
    });
    let rows: Vec<Row> = rows.collect();
    if arguments.json {
        return console::json(&rows);
    }
    let mut text =
        format!("{:<13} {:<28} {:<13} {:>6}  {:>14}  \n", "--net", "--weights", "licence", "size", "ImageNet top-1");
    for Row { net, name, licence, megabytes, imagenet_top1_percent: top1, cached, .. } in rows {
        let cached = if cached { "in the cache" } else { "" };
        let size = format!("{megabytes} MB");
        let top1 = top1.map_or_else(|| "-".to_owned(), |top1| format!("{top1:.1} %"));
        let _ = writeln!(text, "{:<13} {:<28} {:<13} {:>6}  {:>14}  {}", net, name, licence, size, top1, cached);
    }
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    console::show(&(lines.join("\n") + "\n"));
    Ok(())
}
