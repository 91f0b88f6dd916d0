//! A data set in the making, inside the folder it is for: what is there stays until the new one is whole.
//!
//! `.import/` holds what decoding needs, and in `new/` the finished files. When all of them are synced, `ready` lists them;
//! from then on they only need to be moved, which whoever comes next does if this program is killed.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::data::set::names::{self, READY, WORK};
use crate::data::set::pack::Pack;
use crate::file::{cannot_write, sync_folder_of, write_atomically};
use crate::{Error, Result};

const NEW: &str = "new";

/// The work folder of one import, locked.
#[derive(Debug)]
pub struct Stage {
    target: PathBuf,
    /// Whether the target was made for this.
    fresh: bool,
    _lock: File,
}

/// Where an import into `target` keeps its files until they are finished.
pub fn work_of(target: &Path) -> PathBuf {
    target.join(WORK)
}

/// Removes the work folder that an import left when it was killed after its last move.
pub fn sweep(target: &Path) {
    if work_of(target).is_dir()
        && let Ok(stage) = Stage::open(target)
    {
        stage.clear();
    }
}

impl Stage {
    /// Makes `target` if need be, locks it, and moves a finished data set into place that a killed import left behind.
    ///
    /// # Errors
    /// [`Error::Input`] if another import is at work there, as [`cannot_write`] says if the folder cannot be written.
    pub fn open(target: &Path) -> Result<Self> {
        let fresh = !target.exists();
        let work = target.join(WORK);
        fs::create_dir_all(&work).map_err(|e| cannot_write(target, &e))?;
        let lock = File::create(work.join("lock")).map_err(|e| cannot_write(target, &e))?;
        if matches!(lock.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            return Err(Error::Input(format!(
                "{}: another import is writing this data set: wait for it, or name another folder",
                target.display()
            )));
        }
        let stage = Self { target: target.to_owned(), fresh, _lock: lock };
        if names::import_waits_in(target) {
            stage.move_in()?;
        }
        Ok(stage)
    }

    /// Where decoding keeps its files.
    pub fn work(&self) -> PathBuf {
        work_of(&self.target)
    }

    /// Where finished files wait; those of a killed import, until [`Stage::new_files`] empties it.
    pub fn unfinished(&self) -> PathBuf {
        self.work().join(NEW)
    }

    /// Where the finished files are written, emptied.
    ///
    /// # Errors
    /// As [`cannot_write`] says if it cannot be made.
    pub fn new_files(&self) -> Result<PathBuf> {
        let folder = self.unfinished();
        let make = || {
            if folder.exists() {
                fs::remove_dir_all(&folder)?;
            }
            fs::create_dir(&folder)
        };
        make().map_err(|e| cannot_write(&folder, &e))?;
        Ok(folder)
    }

    /// Moves the finished files into place. The old data set is gone when this returns, and whole until it is called.
    ///
    /// # Errors
    /// [`Error::Run`] if that fails; the next import goes on with it.
    pub fn commit(self) -> Result<()> {
        let new = self.unfinished();
        let list = || -> io::Result<Vec<String>> {
            let names = fs::read_dir(&new)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
            let mut names = names.collect::<io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        };
        let names = list().map_err(|e| cannot_write(&new, &e))?;
        write_atomically(&self.work().join(READY), |file| file.write_all(names.join("\n").as_bytes()))?;
        self.move_in()?;
        self.clear();
        Ok(())
    }

    fn move_in(&self) -> Result<()> {
        let ready = self.work().join(READY);
        let move_all = || -> io::Result<()> {
            let names = fs::read_to_string(&ready)?;
            for name in names.lines() {
                let from = self.unfinished().join(name);
                if from.exists() {
                    fs::rename(from, self.target.join(name))?;
                }
            }
            // Packs of other sizes belonged to the old data set. What only has such a name is not ours to remove.
            for entry in fs::read_dir(&self.target)? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                let ours = || Pack::is_at(&self.target.join(&name));
                if names::is_pack(&name) && !names.lines().any(|new| new == name) && ours() {
                    fs::remove_file(self.target.join(name))?;
                }
            }
            sync_folder_of(&self.target.join(WORK))?;
            fs::remove_file(&ready)
        };
        move_all().map_err(|e| cannot_write(&self.target, &e))
    }

    /// Removes the work folder, and the target if it was made for nothing.
    pub fn clear(self) {
        let _ = fs::remove_dir_all(self.work());
        if self.fresh {
            // Fails if there is something in it, as there is after a commit.
            let _ = fs::remove_dir(&self.target);
        }
    }
}
