//! A run folder: `config.toml`, `metrics.jsonl`, `last` and `best` checkpoints, `data/` and the final score.

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Config;
use crate::data::source;
use crate::data::{Dataset, dataset, write_atomically};
use crate::{Error, Result};

/// The files of a run.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

impl RunFolder {
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
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
        let why = if run.root.is_dir() { "has no config.toml, so it is no run" } else { "does not exist" };
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

    /// The audit's folder.
    pub fn audit(&self) -> PathBuf {
        self.root.join("audit")
    }

    /// The checkpoint to judge a run by: the best one, else the last.
    pub fn checkpoint(&self) -> Result<PathBuf> {
        let found = [self.best(), self.last()].into_iter().find(|path| path.is_file());
        found.ok_or_else(|| {
            let root = self.root.display();
            Error::input(format!("run {root}: has no checkpoint yet; train it for at least one epoch"))
        })
    }

    /// Removes an earlier run's files, and nothing else.
    pub fn clear(&self) -> Result<()> {
        for file in [self.config(), self.metrics(), self.last(), self.best(), self.tune(), self.test()] {
            match fs::remove_file(&file) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::run(format!("{}: cannot be removed ({e})", file.display())));
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// Writes a JSON file, pretty enough to read.
    pub fn write_json(&self, path: &Path, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value).map_err(Error::run)?;
        write_atomically(path, |file| writeln!(file, "{text}"))
    }
}

/// `metrics.jsonl`, open for more lines.
pub struct MetricsLog {
    file: File,
    path: PathBuf,
}

impl MetricsLog {
    /// Opens the log, keeping the lines of steps before `step` (a resumed run writes the later ones again).
    pub fn open(path: &Path, step: u64) -> Result<Self> {
        let fault = |e: std::io::Error| Error::run(format!("{}: cannot be written ({e})", path.display()));
        if path.exists() {
            let kept: Vec<String> = BufReader::new(File::open(path).map_err(fault)?)
                .lines()
                .map_while(std::result::Result::ok)
                .filter(|line| is_before(line, step))
                .collect();
            write_atomically(path, |file| kept.iter().try_for_each(|line| writeln!(file, "{line}")))?;
        }
        let file = OpenOptions::new().create(true).append(true).open(path).map_err(fault)?;
        Ok(Self { file, path: path.to_owned() })
    }

    /// Appends one JSON object.
    pub fn line(&mut self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(Error::run)?;
        writeln!(self.file, "{text}")
            .map_err(|e| Error::run(format!("{}: cannot be written ({e})", self.path.display())))
    }
}

/// Lines count the steps done when they were written; a line that a crash cut off counts as later.
fn is_before(line: &str, step: u64) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_str(line).ok();
    value.and_then(|v| v.get("step")?.as_u64()).is_some_and(|at| at <= step)
}

/// Checks that a new run may be made here.
///
/// # Errors
/// [`Error::Input`] if there is a run in the folder already.
pub fn check_new(run: &RunFolder) -> Result<()> {
    // A run that stopped before its first checkpoint has nothing to lose.
    if run.best().exists() || run.last().exists() {
        let root = run.root.display();
        let text = format!("--out {root}: holds a run already; add --resume to go on with it, or name another folder");
        return Err(Error::input(text));
    }
    Ok(())
}

/// Makes the folder of a new run.
pub fn create(run: &RunFolder) -> Result<()> {
    check_new(run)?;
    let root = run.root();
    fs::create_dir_all(root).map_err(|e| Error::input(format!("--out {}: cannot be made ({e})", root.display())))
}

/// Checks that DATA still lists the covers that a run was started with: same files, same labels. Their pixels are in the run's
/// own pack.
///
/// # Errors
/// [`Error::Input`] if it does not.
pub fn check_same_data(data: &Path, config: &Config, dataset: &Dataset, run: &RunFolder) -> Result<()> {
    let now = source::covers(data, &config.columns())?;
    let left_out = dataset::skipped(&run.data())?;
    let covers = dataset.manifest.covers.iter();
    let then: HashSet<(PathBuf, String)> =
        covers.map(|c| (c.path.clone(), dataset.manifest.classes[c.label].clone())).collect();
    let same = now.iter().filter(|cover| then.contains(cover)).count();
    let new = now.iter().filter(|(path, _)| !left_out.contains(path)).count() - same;
    if same == then.len() && new == 0 {
        return Ok(());
    }
    let (data, gone) = (data.display(), then.len() - same);
    Err(Error::input(format!(
        "--resume: {data} is another data set than the run was started with ({gone} covers gone, {new} new); give the same one, \
         or start a new run"
    )))
}
