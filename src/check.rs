//! Is a data set or a run as it was written? Every byte that has a hash is read, and every other file is parsed.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::data::set::names::{IMPORT, MANIFEST, import_waits_in, is_pack};
use crate::data::set::report::Report;
use crate::data::{Dataset, Pack};
use crate::score::{Metrics, Predictions};
use crate::train::folds::Folds;
use crate::train::run::RunFolder;
use crate::train::seeds::Seeds;
use crate::train::{Config, log};
use crate::weights::Checkpoint;
use crate::{Error, Result};

/// What is known of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// A hash says that it is as it was written.
    Whole,
    /// It can be read; no hash says more.
    Readable,
    Damaged,
}

/// A file and what was found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Item {
    #[serde(serialize_with = "crate::shown::path")]
    pub path: PathBuf,
    pub state: State,
    /// What it holds, or what is wrong with it.
    pub about: String,
}

/// Checks a data set, a weights file, a run, or the folder of several seeds or folds.
///
/// # Errors
/// [`Error::Input`] if it is none of them.
pub fn check(path: &Path) -> Result<Vec<Item>> {
    let mut found = Found::default();
    if path.is_file() {
        if Pack::is_at(path) {
            found.pack(path);
        } else {
            found.checkpoint(path);
        }
    } else if let Some(seeds) = Seeds::read(path)? {
        found.readable(&RunFolder::new(path).seeds(), Ok::<_, Error>(format!("{} seeds", seeds.seeds.len())));
        found.dataset(&RunFolder::new(path).data());
        seeds.folders(path).iter().for_each(|folder| found.run(&RunFolder::new(folder)));
    } else if let Some(folds) = Folds::read(path)? {
        let run = RunFolder::new(path);
        found.readable(&run.folds(), Ok::<_, Error>(format!("{} folds", folds.folds)));
        let dataset = found.dataset(&run.data());
        folds.folders(path).iter().for_each(|folder| found.run(&RunFolder::new(folder)));
        if let (Some(dataset), true) = (dataset, run.out_of_fold().is_file()) {
            let read = Predictions::read(&run.out_of_fold(), &dataset.manifest.classes);
            found.readable(&run.out_of_fold(), read.map(|answers| format!("{} answers", answers.covers.len())));
        }
    } else if RunFolder::open(path).is_ok() {
        found.run(&RunFolder::new(path));
    } else if Dataset::is_at(path) || path.join(IMPORT).is_file() {
        found.dataset(path);
    } else {
        let shown = path.display();
        let why = if path.exists() { "is no data set, run or weights file of Gatefold" } else { "does not exist" };
        return Err(Error::input(format!("{shown}: {why}: name what import or train wrote")));
    }
    Ok(found.0)
}

#[derive(Default)]
struct Found(Vec<Item>);

impl Found {
    fn add(&mut self, path: &Path, state: State, about: impl Display) {
        // The path stands beside it already.
        let (about, shown) = (about.to_string(), path.display());
        let named = [format!("{shown}: "), format!("checkpoint {shown}: ")];
        let rest = named.iter().find_map(|named| about.strip_prefix(named.as_str())).unwrap_or(&about);
        self.0.push(Item { path: path.to_owned(), state, about: rest.to_owned() });
    }

    fn readable(&mut self, path: &Path, read: Result<String, impl Display>) {
        match read {
            Ok(about) => self.add(path, State::Readable, about),
            Err(e) => self.add(path, State::Damaged, e),
        }
    }

    /// The data set, if it can be opened.
    fn dataset(&mut self, dir: &Path) -> Option<Dataset> {
        if import_waits_in(dir) {
            self.add(dir, State::Damaged, "an import into it was broken off: start the same import again");
            return None;
        }
        self.readable(&dir.join(IMPORT), Report::read(dir).map(|report| format!("{} pictures kept", report.kept)));
        let manifest = dir.join(MANIFEST);
        let opened = Dataset::open(dir);
        match &opened {
            Ok(dataset) => {
                let about = format!("{} covers of {} classes", dataset.pack.len(), dataset.manifest.classes.len());
                self.add(&manifest, if dataset.is_sealed() { State::Whole } else { State::Readable }, about);
            }
            Err(e) => self.add(&manifest, State::Damaged, e),
        }
        let names = fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut packs: Vec<PathBuf> =
            names.filter(|path| path.file_name().is_some_and(|name| is_pack(&name.to_string_lossy()))).collect();
        packs.sort_unstable();
        packs.iter().for_each(|path| self.pack(path));
        opened.ok()
    }

    fn pack(&mut self, path: &Path) {
        match Pack::open(path).map(|pack| (pack.check(), pack)) {
            Ok(((0, all), pack)) => {
                let about = format!("{all} pictures of {} pixels", pack.size());
                self.add(path, if pack.is_sealed() { State::Whole } else { State::Readable }, about);
            }
            Ok(((bad, all), _)) => {
                let about = format!("{bad} of {all} pictures are damaged: restore it, or make the data set again");
                self.add(path, State::Damaged, about);
            }
            Err(e) => self.add(path, State::Damaged, e),
        }
    }

    fn checkpoint(&mut self, path: &Path) -> Option<Checkpoint> {
        match Checkpoint::read(path) {
            Ok(checkpoint) => {
                let about = match &checkpoint.header {
                    Some(header) => format!("{}, epoch {}", header.net.net, header.epoch),
                    None => "another program's weights".to_owned(),
                };
                self.add(path, if checkpoint.is_sealed() { State::Whole } else { State::Readable }, about);
                Some(checkpoint)
            }
            Err(e) => {
                self.add(path, State::Damaged, e);
                None
            }
        }
    }

    fn run(&mut self, run: &RunFolder) {
        self.readable(&run.config(), Config::read(&run.config()).map(|config| format!("settings of {}", config.net)));
        let dataset = self.dataset(&run.data());
        let mut counts = None;
        for path in [run.best(), run.last()].into_iter().filter(|path| path.exists()) {
            let Some(header) = self.checkpoint(&path).and_then(|checkpoint| checkpoint.header) else { continue };
            if let Some(Err(e)) = dataset.as_ref().map(|dataset| header.check_data(&path, dataset)) {
                self.add(&path, State::Damaged, e);
            }
            counts = counts.or(Some(header.training_counts));
        }
        if run.metrics().exists() {
            let read = log::read(&run.metrics());
            let told = |(steps, epochs): (Vec<_>, Vec<_>)| format!("{} steps, {} epochs", steps.len(), epochs.len());
            self.readable(&run.metrics(), read.map(told));
        }
        if run.test().exists() {
            let read = fs::read_to_string(run.test()).map_err(|e| e.to_string());
            let told = read.and_then(|text| serde_json::from_str::<Metrics>(&text).map_err(|e| e.to_string()));
            self.readable(&run.test(), told.as_ref().map(|score| format!("the score of {} covers", score.n)));
            if let (Ok(told), Some(counts), true) = (told, counts, run.predictions().exists()) {
                self.readable(&run.predictions(), answers(&run.predictions(), &told, &counts));
            }
        }
    }
}

/// The answers for the test set, which must come to the score that was written down.
fn answers(path: &Path, told: &Metrics, training_counts: &[u64]) -> Result<String> {
    let predictions = Predictions::read(path, &told.labels)?;
    let score = predictions.metrics(training_counts)?;
    if (score.n, score.accuracy, score.loss) == (told.n, told.accuracy, told.loss) {
        return Ok(format!("{} answers", score.n));
    }
    Err(Error::input("does not come to the score in test.json: delete it, and report makes it anew"))
}
