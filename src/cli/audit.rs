//! `gatefold audit`

use std::collections::HashMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;

use super::help::{DATA, NETWORK, OUTPUT, whole};
use super::{GpuArguments, console};
use crate::audit::probe::Probe;
use crate::audit::{Audit, Options, audit, check_size, page};
use crate::claim::{self, WorkFolder};
use crate::data::prepare;
use crate::data::source::{self, Columns};
use crate::data::{Dataset, Fit, PrepareOptions};
use crate::file::cannot_write;
use crate::train::Config;
use crate::train::config::bounds::{SEED, SIZE};
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Ask whether the label can be read off without looking at what covers show, and whether sets leak into each other. Exit codes:
/// 0 nothing detected, 10 a shortcut, 11 a leak, 12 inconclusive
#[derive(Args)]
pub struct Arguments {
    /// A folder per class, a CSV or TSV table, a music library, or an imported data set [default: the run's own data]
    #[arg(required_unless_present = "run")]
    data: Option<PathBuf>,
    /// A run, whose size and pipeline are used, and whose network is asked too [default: none]
    #[arg(long, help_heading = NETWORK)]
    run: Option<PathBuf>,
    #[command(flatten)]
    columns: Columns,
    /// Column that says where a picture comes from: can the source be told from the pixels, and does the label depend on it?
    /// [default: do not ask]
    #[arg(long, value_name = "COLUMN", help_heading = DATA)]
    source: Option<String>,
    /// Decides folds, draws and permutations; the same seed gives the same numbers
    #[arg(long, default_value_t = 1, help_heading = OUTPUT, value_parser = whole::<u64>(SEED))]
    seed: u64,
    /// Side of the squares in pixels [default: the run's, else the data set's, else 128]
    #[arg(long, value_name = "PX", help_heading = DATA, value_parser = whole::<u32>(SIZE))]
    size: Option<u32>,
    /// Folder for audit.json and audit.html [default: audit in the run's folder]
    #[arg(long, value_name = "DIR", required_unless_present = "run", help_heading = OUTPUT)]
    out: Option<PathBuf>,
    /// Leave out the weak views: small networks that are trained on parts of the pictures, a few minutes without a GPU
    #[arg(long, help_heading = OUTPUT)]
    no_views: bool,
    /// Print one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// Side of the squares of DATA that is no data set yet.
const USUAL: u32 = 128;

pub fn run(arguments: &Arguments) -> Result<ExitCode> {
    let run = arguments.run.as_deref().map(RunFolder::open).transpose()?;
    let own = run.as_ref().map(RunFolder::data);
    let (Some(data), Some(out)) =
        (arguments.data.as_ref().or(own.as_ref()), arguments.out.clone().or(run.as_ref().map(RunFolder::audit)))
    else {
        return Err(Error::input("DATA and --out are missing; give both, or a run with --run"));
    };
    let config = run.as_ref().map(|run| Config::read(&run.config())).transpose()?;
    if let Some(size) = arguments.size {
        check_size(size as usize)?;
    }
    let _claim = claim::claim(&out, "audit", || out.join("audit.json").is_file() && out.join("audit.html").is_file())?;
    let work = WorkFolder::new_in(&out, "audit").map_err(|e| cannot_write(&out, &e))?;
    let (dataset, notes) = open(data, arguments, config.as_ref(), work.path())?;
    let source = arguments.source.as_ref().map(|column| {
        let values = source_of(data, &arguments.columns, column, &dataset)?;
        Ok((column.clone(), values))
    });
    let source = source.transpose()?;
    // The rest does not need an adapter, so the lack of one is told and not fatal, unless one was asked for.
    let asks = run.is_some() || !arguments.no_views;
    let gpu = match asks.then(|| arguments.gpu.open()) {
        Some(Err(e)) if arguments.gpu.adapter.is_none() => {
            console::say(format!("note: no weak views, and no network is asked: {e}"));
            None
        }
        opened => opened.transpose()?,
    };
    let options = Options {
        data,
        notes,
        seed: arguments.seed,
        source,
        gpu: gpu.as_ref(),
        views: !arguments.no_views,
        run: run.as_ref(),
    };
    let audit = audit(&dataset, &options, &|what, unit| {
        let progress = console::Progress::new(what, unit);
        Box::new(move |done, total| progress.at(done, total))
    })?;
    page::write(&audit, &out)?;
    if arguments.json {
        console::json(&audit)?;
    } else {
        console::show(&text(&audit, &out));
    }
    Ok(ExitCode::from(audit.verdict.exit_code))
}

/// DATA as squares, as they are there or decoded into `work`, and what was noticed on the way.
fn open(data: &Path, arguments: &Arguments, config: Option<&Config>, work: &Path) -> Result<(Dataset, Vec<String>)> {
    let fixed = config.map(|config| (config.size as u32, config.fit));
    let (mut size, mut fit) = fixed.unwrap_or((USUAL, Fit::Crop));
    if Dataset::is_at(data) && arguments.columns.group.is_empty() {
        let there = Dataset::open(data)?;
        if fixed.is_none() {
            (size, fit) = (there.pack.size(), there.pack.fit());
        }
        size = arguments.size.unwrap_or(size);
        check_size(size as usize)?;
        if let Some(there) = Dataset::open_at(data, size, fit)? {
            return Ok((there, Vec::new()));
        }
    }
    size = arguments.size.unwrap_or(size);
    check_size(size as usize)?;
    let options =
        PrepareOptions { columns: arguments.columns.clone(), split: None, fold: None, seed: arguments.seed, size, fit };
    let progress = console::Progress::new("decoding", "pictures");
    let prepared = prepare(data, &options, work, &|done, total| progress.at(done, total))?;
    drop(progress);
    for note in &prepared.notes {
        console::say(format!("note: {note}"));
    }
    console::skipped(&prepared.skipped);
    Ok((prepared.dataset, prepared.notes))
}

/// The value of the source column for each cover.
fn source_of(data: &Path, columns: &Columns, column: &str, dataset: &Dataset) -> Result<Vec<String>> {
    let manifest = &dataset.manifest;
    if let Some(place) = manifest.group_columns.iter().position(|own| own.eq_ignore_ascii_case(column)) {
        return Ok(manifest.covers.iter().map(|cover| cover.strings.group(place).to_owned()).collect());
    }
    if Dataset::is_at(data) {
        let has = if manifest.group_columns.is_empty() { "none".into() } else { manifest.group_columns.join(", ") };
        return Err(Error::input(format!(
            "--source {column}: {} has no such column (it has {has}); give the table that it was made of as DATA",
            data.display()
        )));
    }
    let wanted = Columns { group: vec![column.to_owned()], ..columns.clone() };
    let read = source::read(data, &wanted).map_err(|e| Error::input(format!("--source {column}: {e}")))?;
    let values: HashMap<&Path, &str> =
        read.rows.iter().filter_map(|row| Some((row.strings.path(), row.strings.groups().next()?))).collect();
    let of = |cover: &crate::data::Cover| values.get(cover.strings.path()).map(|&value| value.to_owned());
    Ok(manifest.covers.iter().map(|cover| of(cover).unwrap_or_default()).collect())
}

/// What people read on a terminal.
fn text(audit: &Audit, out: &Path) -> String {
    let mut text = format!("{}\n\n{}\n\n", audit.verdict.verdict, console::shown(&audit.verdict.summary));
    let mut lines: Vec<[String; 5]> = vec![["told from", "class", "AUC", "95 %", "chance up to"].map(str::to_owned)];
    let mut add = |from: &str, probe: &Probe| {
        for class in &probe.classes {
            let [low, high] = class.interval;
            let chance = class.null_95.map_or(String::new(), |null| format!("{null:.2}"));
            lines.push([
                from.into(),
                console::shown(&class.class),
                format!("{:.2}", class.auc),
                format!("{low:.2} to {high:.2}"),
                chance,
            ]);
        }
    };
    if let Some(files) = &audit.probes.files {
        add("files", files);
    }
    add("pixels", &audit.probes.pixels);
    add("pixels, all degraded alike", &audit.probes.harmonised);
    if let Some(source) = &audit.source {
        add(&format!("pixels, {}", console::shown(&source.column)), &source.pixels);
    }
    let widths: [usize; 5] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0));
    for [from, class, auc, interval, chance] in &lines {
        let [a, b, c, d, e] = widths;
        let _ = writeln!(text, "{from:a$}  {class:b$}  {auc:>c$}  {interval:>d$}  {chance:>e$}");
    }
    if let Some(controls) = &audit.controls {
        let verdict = |passed: bool| if passed { "as it should be" } else { "NOT as it should be" };
        let _ = writeln!(text, "\ncontrols on {} ({} covers)", console::shown(&controls.class), controls.pictures);
        let mut line = |what: &str, control: &crate::audit::controls::Control| {
            let _ = writeln!(text, "  {what:28} {:.2}  {}", control.auc, verdict(control.passed));
        };
        line("two random halves", &controls.split);
        line("labels dealt at random", &controls.permuted);
        if let Some(planted) = &controls.planted {
            line("planted shortcut", planted);
        }
    }
    let _ = writeln!(text, "\npage: {}", console::shown(out.join("audit.html").display()));
    text
}
