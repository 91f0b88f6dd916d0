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
    /// Whether a hash has told that the manifest is as it was written.
    sealed: bool,
    dir: PathBuf,
}

impl Dataset {
    /// Opens the data-set folder `dir`.
    ///
    /// # Errors
    /// [`Error::Input`] if a file is missing, damaged, of another version, or they do not belong together. Pixels are checked when
    /// they are read.
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
        let hash = Report::manifest_hash(dir)?;
        let this = Self { manifest, pack, sealed: hash.is_some(), dir: dir.to_owned() };
        let fits = this.fits(&this.pack);
        let as_written = hash.is_none_or(|hash| hash == this.manifest.hash().to_string());
        if fits && as_written {
            return Ok(this);
        }
        let cause = if names::import_waits_in(dir) {
            "an import into it was broken off: start the same import again, it ends in a moment".to_owned()
        } else if fits {
            format!(
                "{MANIFEST} is not as it was written, so labels or sets have changed: restore it or make the data set again; if the \
                 change is yours, import it as a table: gatefold import {} --out NEW",
                dir.join(MANIFEST).display()
            )
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

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether hashes have told that its table is as it was written, and tell it of its pixels.
    pub fn is_sealed(&self) -> bool {
        self.sealed && self.pack.is_sealed()
    }

    /// What the user should know of it.
    pub fn note(&self) -> Option<String> {
        (!self.is_sealed()).then(|| {
            let dir = self.dir.display();
            format!("{dir}: an older version made this data set without hashes, so damage to it would go unnoticed")
        })
    }

    fn fits(&self, pack: &Pack) -> bool {
        pack.len() == self.manifest.covers.len() && pack.belongs_to(self.manifest.covers.iter().map(|c| c.hash))
    }

    /// Whether `dir` looks like a folder that [`import`](crate::data::import()) wrote.
    pub fn is_at(dir: &Path) -> bool {
        dir.join(MANIFEST).is_file() && dir.join(PACK).is_file()
    }

    /// BLAKE3, in hexadecimal digits, over everything that training depends on: pixels, labels, classes, splits. Where
    /// the files lay does not count. Of the pixels their hashes in the pack count, which are checked as the pixels are read; a
    /// pack of an older version is read as a whole, on all cores.
    pub fn fingerprint(&self) -> String {
        let mut hasher = blake3::Hasher::new();
        hasher.update(&self.pack.size().to_le_bytes());
        for class in &self.manifest.classes {
            hasher.update(&(class.len() as u64).to_le_bytes()).update(class.as_bytes());
        }
        let pictures: Vec<blake3::Hash> = (0..self.pack.len()).into_par_iter().map(|i| self.pack.hash(i)).collect();
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
