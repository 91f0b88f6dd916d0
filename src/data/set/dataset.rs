//! A data set: a folder with a manifest and the pack of its pictures.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::data::picture::fit::Fit;
use crate::data::set::manifest::Manifest;
use crate::data::set::names::{self, MANIFEST, PACK, pack_of};
use crate::data::set::pack::Pack;
use crate::data::set::report::Report;
use crate::data::set::split::{Items, SplitReport};
use crate::data::set::ties::Tie;
use crate::{Error, Result};

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
        // The pack first: it knows its version.
        let pack = Pack::open(&dir.join(PACK))?;
        let manifest = Manifest::read(&dir.join(MANIFEST))?;
        let this = Self { manifest, pack };
        if this.fits(&this.pack) {
            return Ok(this);
        }
        let cause = if names::import_waits_in(dir) {
            "an import into it was broken off: start the same import again, it ends in a moment".to_owned()
        } else {
            format!(
                "{MANIFEST} and {PACK} do not belong together (lines added, removed or reordered?): make the data set again"
            )
        };
        Err(Error::Input(format!("{}: {cause}", dir.display())))
    }

    /// Opens the data-set folder `dir` with its pack of this size and fit; none if it has no such pack.
    ///
    /// # Errors
    /// As [`Dataset::open`].
    pub fn open_at(dir: &Path, size: u32, fit: Fit) -> Result<Option<Self>> {
        let mut this = Self::open(dir)?;
        if (this.pack.size(), this.pack.fit()) == (size, fit) {
            return Ok(Some(this));
        }
        let path = dir.join(pack_of(size));
        if !path.is_file() {
            return Ok(None);
        }
        this.pack = Pack::open(&path)?;
        let usable = (this.pack.size(), this.pack.fit()) == (size, fit) && this.fits(&this.pack);
        Ok(usable.then_some(this))
    }

    fn fits(&self, pack: &Pack) -> bool {
        pack.len() == self.manifest.covers.len() && pack.belongs_to(self.manifest.covers.iter().map(|c| c.hash))
    }

    /// Whether `dir` looks like a folder that [`import`](crate::data::import()) wrote.
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
        let columns: Vec<usize> = (0..self.manifest.group_columns.len()).collect();
        let ties = Tie::of(&self.manifest.group_columns, &columns);
        let items = Items::new(covers.len(), |i| covers[i].item(&ties));
        let splits: Vec<_> = covers.iter().map(|c| c.split).collect();
        SplitReport::new(&self.manifest.classes, &items, &splits)
    }
}

/// The pictures that were named but are not in the data-set folder `dir`, as its `import.json` lists them.
///
/// # Errors
/// [`Error::Input`] if that file is missing or damaged.
pub fn skipped(dir: &Path) -> Result<HashSet<PathBuf>> {
    Ok(Report::read(dir)?.skipped.into_iter().map(|skipped| PathBuf::from(skipped.path)).collect())
}
