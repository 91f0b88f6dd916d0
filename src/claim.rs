//! Where commands write: can it be written there, is a folder Gatefold's, and is another process at work there?

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gatefold_engine::file::Temporary;
use tempfile::TempDir;

use crate::file::{cannot_write, sync_folder_of};
use crate::{Error, Result};

/// Says what the folder is, and is locked while a process writes there.
const MARKER: &str = ".gatefold";

/// Files that systems put everywhere.
const SYSTEM: [&str; 4] = [".DS_Store", "Thumbs.db", "desktop.ini", ".directory"];

/// Other files that are named where a folder is refused.
const NAMED: usize = 3;

/// A folder that this process alone writes into, until this is dropped or the process ends.
#[derive(Debug)]
pub struct Claim {
    folder: PathBuf,
    /// Whether the folder was made for this.
    made: bool,
    _lock: File,
}

impl Drop for Claim {
    /// What was claimed for nothing is as if it had not been.
    fn drop(&mut self) {
        if names(&self.folder).is_ok_and(|names| names == [MARKER]) {
            let _ = fs::remove_file(self.folder.join(MARKER));
            if self.made {
                let _ = fs::remove_dir(&self.folder);
            }
        }
    }
}

/// Whether a folder that is there was claimed as `what`, or may have been: nothing else is in it yet.
pub fn may_be_claimed(folder: &Path, what: &str) -> bool {
    marker(folder) == what || others(folder).is_ok_and(|others| others.is_empty())
}

/// What the folder is marked as; empty if it is not. A power cut before the mark was on the disk can leave zeros of it.
fn marker(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join(MARKER)).unwrap_or_default();
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned()
}

/// What is in the folder beside the mark and what systems put everywhere.
fn others(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = names(folder)?;
    names.retain(|name| name != MARKER && !SYSTEM.contains(&name.as_str()));
    Ok(names)
}

/// Refuses a folder that holds files which Gatefold did not write, since they could be replaced. `what` it is to be: "run".
/// `ours` says whether an older version, which left no mark, made it.
///
/// # Errors
/// [`Error::Input`] if it is refused; as [`cannot_write`] if it cannot be read.
pub fn check(folder: &Path, what: &str, ours: impl FnOnce() -> bool) -> Result<()> {
    let shown = folder.display();
    let mut others = match others(folder) {
        Ok(others) => others,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(cannot_write(folder, &e)),
    };
    let marked = marker(folder);
    if others.is_empty() || marked == what {
        return Ok(());
    }
    if !marked.is_empty() {
        return Err(Error::Input(format!(
            "--out {shown}: is marked as `{marked}` by Gatefold, not as `{what}`: name another folder"
        )));
    }
    if ours() {
        return Ok(());
    }
    others.sort_unstable();
    let more = if others.len() > NAMED { ", …" } else { "" };
    others.truncate(NAMED);
    Err(Error::Input(format!(
        "--out {shown}: holds other files ({}{more}), and is no {what} of Gatefold: name a new or an empty folder",
        others.join(", ")
    )))
}

/// Makes the folder if need be, after [`check`], marks it and locks it.
///
/// # Errors
/// As [`check`]; [`Error::Input`] if another process is at work there; as [`cannot_write`] if it cannot be written.
pub fn claim(folder: &Path, what: &str, ours: impl FnOnce() -> bool) -> Result<Claim> {
    check(folder, what, ours)?;
    let failed = |e: io::Error| cannot_write(folder, &e);
    let made = !folder.exists();
    make_folder(folder)?;
    let path = folder.join(MARKER);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    // Where the file system knows no locks, nothing is lost but that.
    if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
        return Err(Error::Input(format!(
            "--out {}: another gatefold is at work in this folder: wait for it, or name another folder",
            folder.display()
        )));
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(failed)?;
    if text.trim() != what {
        let write = |file: &mut File| {
            file.set_len(0)?;
            file.seek(SeekFrom::Start(0))?;
            writeln!(file, "{what}")?;
            // Before anything else is written, so that a power cut leaves no folder of ours without its mark.
            file.sync_all()?;
            sync_folder_of(&path)
        };
        write(&mut file).map_err(failed)?;
    }
    Ok(Claim { folder: folder.to_owned(), made, _lock: file })
}

/// A folder for what is only needed while this lives. An interrupted process removes it, too.
#[derive(Debug)]
pub struct WorkFolder {
    folder: TempDir,
    _temporary: Temporary,
}

impl WorkFolder {
    /// Makes a hidden folder in `parent`, whose name begins with `.` and `purpose`.
    ///
    /// # Errors
    /// What the system says.
    pub fn new_in(parent: &Path, purpose: &str) -> io::Result<Self> {
        Self::of(tempfile::Builder::new().prefix(&format!(".{purpose}-")).tempdir_in(parent)?)
    }

    /// Makes a folder where the system has room for such.
    ///
    /// # Errors
    /// As [`cannot_write`] says.
    pub fn new() -> Result<Self> {
        tempfile::tempdir().and_then(Self::of).map_err(|e| cannot_write(&std::env::temp_dir(), &e))
    }

    fn of(folder: TempDir) -> io::Result<Self> {
        // The working directory of another moment is none of its business.
        let path = std::path::absolute(folder.path())?;
        Ok(Self { folder, _temporary: Temporary::new(path) })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Makes a folder and those above it, if need be.
///
/// # Errors
/// As [`cannot_write`] says.
pub fn make_folder(folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).map_err(|e| cannot_write(folder, &e))
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(folder)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_where_nothing_can_be_written_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        fs::write(&file, b"").unwrap();
        let said = |done: Result<()>| done.map_err(|e| (e.exit_code(), e.to_string())).unwrap_err();
        for (done, text) in [
            (make_folder(&file), "a.txt: is a file: name a folder"),
            (make_folder(&file.join("b")), "b: lies in a file: name a folder"),
        ] {
            let (code, got) = said(done);
            assert!(code == 2 && got.ends_with(text), "{got}");
        }
        make_folder(&dir.path().join("d/e")).unwrap();
    }

    #[test]
    fn a_folder_is_taken_if_it_is_new_empty_or_ours() {
        let dir = tempfile::tempdir().unwrap();
        let new = dir.path().join("a/b");
        let held = claim(&new, "run", || false).unwrap();
        let said = claim(&new, "run", || false).unwrap_err().to_string();
        assert!(said.contains("another gatefold is at work"), "{said}");
        drop(held);
        assert!(!new.exists());
        let held = claim(&new, "run", || false).unwrap();
        fs::write(new.join("notes.txt"), "mine").unwrap();
        drop(held);
        claim(&new, "run", || false).unwrap();
        let said = check(&new, "audit", || true).unwrap_err().to_string();
        assert!(said.contains("is marked as `run` by Gatefold, not as `audit`"), "{said}");

        // What a power cut can leave of a mark.
        let torn = dir.path().join("b");
        fs::create_dir(&torn).unwrap();
        fs::write(torn.join(MARKER), "\0\0\0").unwrap();
        assert!(may_be_claimed(&torn, "run"));
        claim(&torn, "run", || false).unwrap();

        let empty = dir.path().join("c");
        fs::create_dir(&empty).unwrap();
        fs::write(empty.join(".DS_Store"), "").unwrap();
        claim(&empty, "run", || false).unwrap();
    }

    #[test]
    fn a_folder_of_others_is_refused_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["config.toml", "a.txt", "b.txt", "c.txt"] {
            fs::write(dir.path().join(name), "mine").unwrap();
        }
        let said = claim(dir.path(), "run", || false).unwrap_err().to_string();
        assert!(said.contains("holds other files (a.txt, b.txt, c.txt, …), and is no run of Gatefold"), "{said}");
        assert_eq!(names(dir.path()).unwrap().len(), 4);
        check(dir.path(), "run", || true).unwrap();
        let said = claim(&dir.path().join("a.txt"), "run", || false).unwrap_err().to_string();
        assert!(said.contains("is a file: name a folder"), "{said}");
    }
}
