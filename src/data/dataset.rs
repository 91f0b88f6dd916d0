//! A data set: a folder with a manifest and the pack of its pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Deserialize;

use super::files::cannot_read;
use super::manifest::Manifest;
use super::pack::Pack;
use super::source::Skipped;
use super::split::{Item, SplitReport};
use crate::{Error, Result};

/// The manifest's file in a data-set folder.
pub const MANIFEST: &str = "manifest.csv";
/// The pack's file in a data-set folder.
pub const PACK: &str = "images.pack";
/// The file in a data-set folder that tells how it came about.
pub const IMPORT: &str = "import.json";

/// Covers with their pixels, ready to be fed.
#[derive(Debug)]
pub struct Dataset {
    /// What the covers are, in the pack's order.
    pub manifest: Manifest,
    /// Their pixels.
    pub pack: Pack,
}

impl Dataset {
    /// Opens the data-set folder `dir`.
    ///
    /// # Errors
    /// [`Error::Input`] if a file is missing, damaged, of another version, or the two do not belong together.
    pub fn open(dir: &Path) -> Result<Self> {
        for name in [MANIFEST, PACK] {
            if !dir.join(name).is_file() {
                return Err(Error::Input(format!(
                    "{}: no data set, {name} is missing in it: make the data set again",
                    dir.display()
                )));
            }
        }
        let manifest = Manifest::read(&dir.join(MANIFEST))?;
        let pack = Pack::open(&dir.join(PACK))?;
        if pack.len() != manifest.covers.len() || !pack.belongs_to(manifest.covers.iter().map(|c| c.hash.as_str())) {
            return Err(Error::Input(format!(
                "{}: {MANIFEST} and {PACK} do not belong together (lines added, removed or reordered?): make the data \
                 set again",
                dir.display()
            )));
        }
        Ok(Self { manifest, pack })
    }

    /// Whether `dir` looks like a folder that [`prepare`](super::prepare()) wrote.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(MANIFEST).is_file() && dir.join(PACK).is_file()
    }

    /// BLAKE3, in hexadecimal digits, over everything that training depends on: pixels, labels, classes, splits. Where
    /// the files lay does not count. Reads the whole pack, on all cores.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.pack.size().to_le_bytes());
        for class in &self.manifest.classes {
            hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
        }
        let pictures: Vec<blake3::Hash> =
            (0..self.pack.len()).into_par_iter().map(|i| blake3::hash(self.pack.image(i))).collect();
        for (cover, picture) in self.manifest.covers.iter().zip(pictures) {
            hasher.update(&(cover.label as u64).to_le_bytes()).update(&[cover.split as u8]).update(picture.as_bytes());
        }
        hasher.finalize().to_hex().to_string()
    }

    /// How many covers of which class are in which set. Groups are those of all of the manifest's group columns.
    pub fn split_report(&self) -> SplitReport {
        let covers = &self.manifest.covers;
        let items: Vec<Item> =
            covers.iter().map(|c| Item { label: c.label, groups: &c.groups, key: &c.hash }).collect();
        let splits: Vec<_> = covers.iter().map(|c| c.split).collect();
        SplitReport::new(&self.manifest.classes, &items, &splits)
    }
}

/// The pictures that were named but are not in the data-set folder `dir`, as its `import.json` lists them.
///
/// # Errors
/// [`Error::Input`] if that file is missing or damaged.
pub fn skipped(dir: &Path) -> Result<HashSet<PathBuf>> {
    #[derive(Deserialize)]
    struct Report {
        skipped: Vec<Skipped>,
    }
    let path = dir.join(IMPORT);
    let text = std::fs::read_to_string(&path).map_err(|e| cannot_read(&path, &e))?;
    let report: Report = serde_json::from_str(&text)
        .map_err(|e| Error::Input(format!("{}: damaged ({e}): make the data set again", path.display())))?;
    Ok(report.skipped.into_iter().map(|skipped| PathBuf::from(skipped.path)).collect())
}
