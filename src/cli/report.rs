//! `gatefold report`

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use gatefold_engine::gpu::Gpu;
use serde::Serialize;

use super::help::{OUTPUT, whole};
use super::{GpuArguments, console};
use crate::file::check_target;
use crate::report::compare::{self, Pair};
use crate::report::gallery::USUAL;
use crate::report::{Run, single};
use crate::score::Metrics;
use crate::score::metrics::Intervals;
use crate::score::model::Model;
use crate::train::folds::Folds;
use crate::train::run::{self, RunFolder};
use crate::train::seeds::{Seeds, Spread};
use crate::{Error, Result};

/// Write what a run came to as one HTML file that can be sent around; several runs stand side by side
#[derive(Args)]
pub struct Arguments {
    /// Run folders; the folder of a `train --seeds` or `train --folds` stands for all its runs
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// File to write [default: report.html in the run folder; needed for several]
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    out: Option<PathBuf>,
    /// Covers on the page of one run at most, each with its heat map; about 30 kB each
    #[arg(long, value_name = "N", default_value_t = USUAL, value_parser = whole::<usize>(0..=2000), help_heading = OUTPUT)]
    gallery: usize,
    /// Print the numbers as one JSON object
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// The numbers of a page.
#[derive(Serialize)]
struct Summary<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    report: &'a Path,
    runs: Vec<RunSummary<'a>>,
    pairs: Vec<Pair>,
    /// Of runs that differ in nothing but the seed.
    spread: Option<Spread>,
}

#[derive(Serialize)]
struct RunSummary<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    run: &'a Path,
    test: Option<&'a Metrics>,
    intervals: Option<&'a Intervals>,
    /// Expected calibration error.
    ece: Option<f64>,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let mut roots = vec![];
    for path in &arguments.runs {
        match (Seeds::read(path)?, Folds::read(path)?) {
            (Some(seeds), _) => roots.extend(seeds.folders(path)),
            (None, Some(folds)) => roots.extend(folds.folders(path)),
            (None, None) => roots.push(RunFolder::open(path)?.root().to_owned()),
        }
    }
    let out = match (&arguments.out, arguments.runs.as_slice()) {
        (Some(out), _) => out.clone(),
        (None, [only]) => RunFolder::new(only).report(),
        _ => return Err(Error::input("several runs: name the file to write with --out FILE")),
    };
    check_target(&out)?;
    let runs = match roots.as_slice() {
        [root] => vec![one(root, &out, arguments.gallery, &arguments.gpu)?],
        roots => several(roots, &out, &arguments.gpu)?,
    };
    for note in runs.iter().flat_map(|run| &run.notes) {
        console::say(format!("note: {note}"));
    }
    if arguments.json {
        let all: Vec<&Run> = runs.iter().collect();
        let runs = all.iter().map(|run| RunSummary {
            run: run.folder.root(),
            test: run.test.as_ref().map(|test| &test.metrics),
            intervals: run.test.as_ref().map(|test| &test.intervals),
            ece: run.test.as_ref().map(|test| test.calibration.ece),
        });
        let (pairs, spread) = (compare::pairs(&all), compare::spread(&all));
        return console::json(&Summary { report: &out, runs: runs.collect(), pairs, spread });
    }
    console::show(&format!("wrote {}\n", console::shown(out.display())));
    Ok(())
}

/// The report of one run. Without an adapter it has no heat maps.
fn one(root: &Path, out: &Path, gallery: usize, gpu: &GpuArguments) -> Result<Run> {
    let opened = gpu.open();
    if let (Err(e), None) = (&opened, &gpu.adapter) {
        console::say(format!("note: no heat maps in the report: {e}"));
    } else if let Err(e) = opened {
        return Err(e);
    }
    write(root, out, gallery, opened.ok().as_ref())
}

/// The report of a run, with heat maps if there is an adapter.
fn write(root: &Path, out: &Path, gallery: usize, gpu: Option<&Arc<Gpu>>) -> Result<Run> {
    let model = gpu.map(|gpu| Model::load(gpu, &RunFolder::open(root)?.checkpoint()?)).transpose()?;
    let run = Run::read(root, model.as_ref())?;
    single::page(&run, model.as_ref(), gallery, out)?.write(out)?;
    Ok(run)
}

/// The report of several runs.
fn several(roots: &[PathBuf], out: &Path, gpu: &GpuArguments) -> Result<Vec<Run>> {
    let mut runs = vec![];
    let mut opened = None;
    for root in roots {
        // Only a run without answers for its test set needs an adapter.
        let folder = RunFolder::open(root)?;
        let model = if run::answers_missing(&folder)? {
            if opened.is_none() {
                opened = Some(gpu.open()?);
            }
            opened.as_ref().map(|gpu| Model::load(gpu, &folder.checkpoint()?)).transpose()?
        } else {
            None
        };
        runs.push(Run::read(root, model.as_ref())?);
    }
    compare::page(&runs)?.write(out)?;
    Ok(runs)
}

/// Writes the report of a run that has just ended. Should that fail, the run is still whole, so it is only said.
pub fn after_training(root: &Path, gpu: &Arc<Gpu>) {
    let out = RunFolder::new(root).report();
    match write(root, &out, USUAL, Some(gpu)) {
        Ok(_) => console::say(format!("report: {}", out.display())),
        Err(e) => console::say(format!("note: the run is complete, but its report could not be written: {e}")),
    }
}

/// Writes the report of several runs that have just ended; should that fail, it is only said.
pub fn after_seeds(roots: &[PathBuf], out: &Path, gpu: &GpuArguments) {
    match several(roots, out, gpu) {
        Ok(_) => console::say(format!("report of all seeds: {}", out.display())),
        Err(e) => console::say(format!("note: the runs are complete, but their report could not be written: {e}")),
    }
}
