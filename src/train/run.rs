//! A run folder: `config.toml`, `metrics.jsonl` and `tensorboard/`, `last` and `best` checkpoints, `data/`, the final score with
//! each cover's answer, and the report.

use std::collections::HashSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use crate::claim::{self, Claim};
use crate::data::set::dataset;
use crate::data::set::report::is_ours;
use crate::data::{Dataset, Intake, Split};
use crate::file::{cannot_write, write_atomically};
use crate::train::Config;
use crate::weights::Checkpoint;
use crate::{Error, Result};

/// What the folder is marked as.
const RUN: &str = "run";

/// The files of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
    /// Held while this process writes into it.
    _claim: Option<Arc<Claim>>,
}

impl RunFolder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), _claim: None }
    }

    /// An existing run.
    ///
    /// # Errors
    /// [`Error::Input`] if the folder is no run.
    pub fn open(root: &Path) -> Result<Self> {
        let run = Self::new(root);
        if run.config().is_file() {
            return Ok(run);
        }
        let root = root.display();
        let why = if run.root.is_dir() {
            "has no config.toml, so it is no run"
        } else if run.root.exists() {
            "is no folder"
        } else {
            "does not exist"
        };
        Err(Error::input(format!("run {root}: {why}; give the folder that train --out wrote")))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    pub fn last(&self) -> PathBuf {
        self.root.join("last.safetensors")
    }

    pub fn best(&self) -> PathBuf {
        self.root.join("best.safetensors")
    }

    /// The data set as this run saw it.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// The kernels that the tuner chose, for `--resume`.
    pub fn tune(&self) -> PathBuf {
        self.root.join("tune.json")
    }

    /// The score on the test set.
    pub fn test(&self) -> PathBuf {
        self.root.join("test.json")
    }

    /// What the network answered for each cover of the test set.
    pub fn predictions(&self) -> PathBuf {
        self.root.join("test-predictions.csv")
    }

    /// What several seeds came to, in the folder of their runs.
    pub fn seeds(&self) -> PathBuf {
        self.root.join("seeds.json")
    }

    /// What several folds came to, in the folder of their runs.
    pub fn folds(&self) -> PathBuf {
        self.root.join("folds.json")
    }

    /// What a search came to, in the folder of its runs.
    pub fn search(&self) -> PathBuf {
        self.root.join("search.json")
    }

    /// What the networks of several folds answered, each for the covers that it had not seen: for all covers.
    pub fn out_of_fold(&self) -> PathBuf {
        self.root.join("out-of-fold.csv")
    }

    /// The folder of event files for TensorBoard.
    pub fn tensorboard(&self) -> PathBuf {
        self.root.join("tensorboard")
    }

    /// The page that shows it all.
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// The folder that `audit --run` writes to, where the report looks.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    /// The folder of what heat maps were put to, where the report looks.
    pub fn explain(&self) -> PathBuf {
        self.root.join("explain")
    }

    /// What to know where a run is judged by its last checkpoint.
    pub fn takes_last(&self) -> Option<String> {
        let (root, best) = (self.root.display(), self.best());
        (!best.is_file() && self.last().is_file())
            .then(|| format!("run {root}: has no best.safetensors, so its last.safetensors is taken"))
    }

    /// The checkpoint to judge a run by: the best one, else the last.
    pub fn checkpoint(&self) -> Result<PathBuf> {
        let found = [self.best(), self.last()].into_iter().find(|path| path.is_file());
        found.ok_or_else(|| {
            let root = self.root.display();
            Error::input(format!("run {root}: has no checkpoint yet; train it for at least one epoch"))
        })
    }

    /// Epochs after which the last checkpoint was written; 0 without one.
    ///
    /// # Errors
    /// [`Error::Input`] if the checkpoint is damaged.
    pub fn epochs_done(&self) -> Result<u64> {
        let last = self.last();
        let header = if last.is_file() { Checkpoint::read(&last)?.header } else { None };
        Ok(header.map_or(0, |header| header.epoch))
    }

    /// Removes an earlier run's files, and nothing else.
    ///
    /// # Errors
    /// [`Error::Input`] if the folder holds files that are not Gatefold's; [`Error::Run`] if one cannot be removed.
    pub fn clear(&self) -> Result<()> {
        claim::check(&self.root, RUN, || self.is_ours())?;
        let files = [self.config(), self.metrics(), self.last(), self.best(), self.tune()];
        let files = files.into_iter().chain([self.test(), self.predictions(), self.report()]);
        // What was said of an earlier network must not stand in the new one's report.
        let folders = [self.tensorboard(), self.audit(), self.explain()];
        let files = files.map(|file| (fs::remove_file(&file), file));
        let folders = folders.into_iter().map(|folder| (fs::remove_dir_all(&folder), folder));
        for (done, path) in files.chain(folders) {
            match done {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(cannot_write(&path, &e));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// The folder, for this process alone as long as this or a clone of it lives.
    ///
    /// # Errors
    /// [`Error::Input`] if another process is at work there, or if it holds files that are not Gatefold's.
    pub fn claimed(&self) -> Result<Self> {
        let claim = claim::claim(&self.root, RUN, || self.is_ours())?;
        Ok(Self { root: self.root.clone(), _claim: Some(Arc::new(claim)) })
    }

    /// Whether a run was begun here that has no last checkpoint to go on from: it was broken off before the first one was whole.
    pub fn is_begun(&self) -> bool {
        self.root.is_dir() && !self.last().exists() && (claim::may_be_claimed(&self.root, RUN) || self.is_ours())
    }

    /// Whether a run lies here that can answer.
    pub fn is_trained(&self) -> bool {
        (self.best().is_file() || self.last().is_file())
            && Config::read(&self.config()).is_ok_and(|config| config.run.is_some())
    }

    /// Whether an older version made it, which left no mark: its settings say so, or nothing is in it but a run's data set.
    fn is_ours(&self) -> bool {
        let only_data = || {
            fs::read_dir(&self.root)
                .is_ok_and(|mut names| names.all(|name| name.is_ok_and(|name| name.path() == self.data())))
        };
        Config::read(&self.config()).is_ok_and(|config| config.run.is_some())
            || self.seeds().is_file()
            || self.folds().is_file()
            || self.search().is_file()
            || (only_data() && is_ours(&self.data()))
    }

    /// Writes a JSON file, pretty enough to read.
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(Error::run)?;
        write_atomically(path, |file| writeln!(file, "{text}"))
    }
}

/// Whether a run has a test set whose answers are not written down, as in runs of older versions.
pub fn answers_missing(run: &RunFolder) -> Result<bool> {
    Ok(!run.predictions().is_file() && !Dataset::open(&run.data())?.manifest.indices(Split::Test).is_empty())
}

/// Checks that a new run may be made here.
///
/// # Errors
/// [`Error::Input`] if there is a run in the folder already, or files that are not Gatefold's.
pub fn check_new(run: &RunFolder) -> Result<()> {
    if run.best().exists() || run.last().exists() {
        let root = run.root.display();
        let text = format!("--out {root}: holds a run already; add --resume to go on with it, or name another folder");
        return Err(Error::input(text));
    }
    claim::check(&run.root, RUN, || run.is_ours())
}

/// Makes the folder of a new run, for this process alone.
///
/// # Errors
/// As [`check_new`]; [`Error::Input`] if another process is at work there.
pub fn create(run: &RunFolder) -> Result<RunFolder> {
    check_new(run)?;
    run.claimed()
}

/// Checks that DATA still lists the covers that a run was started with: same files, same labels. Their pixels are in the run's
/// own pack.
///
/// # Errors
/// [`Error::Input`] if it does not.
pub fn check_same_data(intake: &Intake, dataset: &Dataset, run: &RunFolder) -> Result<()> {
    let now = intake.covers();
    let left_out = dataset::skipped(&run.data())?;
    let covers = dataset.manifest.covers.iter();
    let then: HashSet<(PathBuf, String)> =
        covers.map(|c| (c.strings.path().to_owned(), dataset.manifest.classes[c.label].clone())).collect();
    let same = now.iter().filter(|cover| then.contains(cover)).count();
    let new = now.iter().filter(|(path, _)| !left_out.contains(path)).count() - same;
    if same == then.len() && new == 0 {
        return Ok(());
    }
    let (data, gone) = (intake.data().display(), then.len() - same);
    Err(Error::input(format!(
        "--resume: {data} is another data set than the run was started with ({gone} covers gone, {new} new); give the same one, \
         or start a new run"
    )))
}
