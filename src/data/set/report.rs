//! `import.json`: what was read, what was left out and why, and what a later import needs to know.

use std::io::Write;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::data::picture::fit::Fit;
use crate::data::picture::harmonise::Harmonise;
use crate::data::set::names::{IMPORT, WORK};
use crate::file::write_atomically;
use crate::read::cannot_read;
use crate::shown::path_text;
use crate::{Error, Result};

/// A picture that was named by the source but is not in the data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The picture file; `\xff` stands for a byte that belongs to no character.
    pub path: String,
    /// Why, in one clause.
    pub reason: String,
}

impl Skipped {
    pub(crate) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path_text(path), reason: reason.into() }
    }
}

/// A group as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// None if their labels contradict each other and all were dropped.
    pub kept: Option<String>,
    pub members: Vec<ToldMember>,
}

/// A picture of a [`Told`] group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToldMember {
    pub path: String,
    pub label: String,
    pub width: u32,
    pub height: u32,
    /// The picture that it was found to be like, with which it is compared here: the one that stays, or one of another label.
    /// None of the one that stays.
    #[serde(default)]
    pub like: Option<String>,
    /// Differing bits of its perceptual hash, from that one's.
    pub distance: u32,
    /// Correlation of its small grey picture with that one's.
    pub correlation: f64,
    /// The largest difference of a place's colour: distance in the plane of Cb and Cr, 0 to 255 each. 0 of equal files.
    #[serde(default)]
    pub colour: f64,
    /// The largest difference of a place's detail, in units of what scaling and compression explain there. 0 of equal files.
    #[serde(default)]
    pub detail: f64,
}

/// Whether nothing in the folder is anybody else's: it holds a data set of Gatefold's, or one in the making.
pub(crate) fn is_ours(folder: &Path) -> bool {
    Report::read(folder).is_ok() || folder.join(WORK).is_dir()
}

/// Everything in `import.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version that wrote it.
    pub gatefold: String,
    pub source: String,
    pub kind: String,
    /// Hash of the source's files and the options, which tells whether there is anything to do.
    pub state: String,
    pub path_column: Option<String>,
    pub label_column: Option<String>,
    pub grouped_by: Vec<String>,
    /// Shares of train, val and test; none where the source has sets of its own.
    pub split: Option<[f64; 3]>,
    pub seed: u64,
    pub fit: Fit,
    /// What every picture was brought through; not written where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub harmonise: Option<Harmonise>,
    pub keep_duplicates: bool,
    /// [Hash](crate::data::Manifest::hash) of the table that belongs to it; older versions wrote none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    pub classes: Vec<String>,
    /// Pictures that the source names.
    pub named: usize,
    pub kept: usize,
    /// Every picture that is not in the data set.
    pub skipped: Vec<Skipped>,
    /// Pictures that show the same cover.
    pub duplicates: Vec<Told>,
    /// Covers that were moved to another set than the source's, to keep their group whole.
    pub moved: Vec<String>,
    pub notes: Vec<String>,
    /// What the kind of source tells beside its pictures.
    pub details: serde_json::Value,
}

impl Report {
    /// Reads the report of the data set in `dir`.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing, damaged or of another version.
    pub fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(IMPORT);
        let text = std::fs::read_to_string(&path).map_err(|e| cannot_read(&path, &e))?;
        serde_json::from_str(&text).map_err(|e| damaged(&path, &e))
    }

    /// The hash of the table that belongs to the data set in `dir`; none if an older version made it.
    ///
    /// # Errors
    /// [`Error::Input`] if the report is damaged.
    pub(super) fn manifest_hash(dir: &Path) -> Result<Option<String>> {
        /// All else is passed over: lists of duplicates can be long.
        #[derive(Deserialize)]
        struct Part {
            #[serde(default)]
            manifest: Option<String>,
        }
        let path = dir.join(IMPORT);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(serde_json::from_str::<Part>(&text).map_err(|e| damaged(&path, &e))?.manifest),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(cannot_read(&path, &e)),
        }
    }

    /// Writes it into `dir`.
    ///
    /// # Errors
    /// As [`cannot_write`](crate::file::cannot_write) says if it cannot be written.
    pub fn write(&self, dir: &Path) -> Result<()> {
        write_atomically(&dir.join(IMPORT), |file| {
            serde_json::to_writer_pretty(&mut *file, self)?;
            file.write_all(b"\n")
        })
    }
}

fn damaged(path: &Path, e: &serde_json::Error) -> Error {
    let path = path.display();
    Error::Input(format!("{path}: damaged or of another version ({e}): make the data set again"))
}
