//! Writing files so that a reader only ever sees the old one or the whole new one.

use std::fs::{self, File};
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gatefold_engine::file::Temporary;

use crate::{Error, Result};

/// A file that takes its place only at [`AtomicFile::commit`].
///
/// Bytes go to a hidden temporary file in the target's folder; `commit` syncs it, renames it over the target and
/// syncs the folder. Dropped without `commit`, it leaves the target as it was and removes the temporary file. What a
/// killed process left behind is removed when the same target is next written.
#[derive(Debug)]
pub struct AtomicFile {
    target: PathBuf,
    part: Temporary,
    out: BufWriter<File>,
}

impl AtomicFile {
    /// Starts writing `target`, whose folder must exist.
    ///
    /// # Errors
    /// As [`cannot_write`] says; [`Error::Input`] if `target` names no file.
    pub fn create(target: &Path) -> Result<Self> {
        let Some(name) = target.file_name() else {
            return Err(Error::Input(format!("{}: this is no name for a file", target.display())));
        };
        check_target(target)?;
        let name = name.to_string_lossy();
        let folder = folder_of(target);
        sweep(folder, &name);
        let part = Temporary::beside(target);
        let file = File::create(part.path()).map_err(|e| cannot_write(target, &e))?;
        // The lock tells `sweep` in another process that this file is still wanted. Where the file system knows no
        // locks, nothing is lost but that.
        let _ = file.try_lock();
        Ok(Self { target: target.to_path_buf(), part, out: BufWriter::with_capacity(1 << 18, file) })
    }

    /// Syncs what was written and puts it in the target's place.
    ///
    /// # Errors
    /// [`Error::Run`] if the disk is full or fails; the target is then as it was before.
    pub fn commit(mut self) -> Result<()> {
        self.finish().map_err(|e| cannot_write(&self.target, &e))
    }

    fn finish(&mut self) -> io::Result<()> {
        self.out.flush()?;
        self.out.get_ref().sync_all()?;
        fs::rename(self.part.path(), &self.target)?;
        sync_folder_of(&self.target)
    }
}

impl Write for AtomicFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.out.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.out.seek(to)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        // After a commit there is none any more.
        let _ = fs::remove_file(self.part.path());
    }
}

/// Writes `path` through an [`AtomicFile`]: `write` fills it, and only if that succeeds does it replace `path`.
///
/// # Errors
/// As [`cannot_write`] says if `write` or the disk fails; `path` is then as it was before.
pub fn write_atomically<T>(path: &Path, write: impl FnOnce(&mut AtomicFile) -> io::Result<T>) -> Result<T> {
    let mut file = AtomicFile::create(path)?;
    let value = write(&mut file).map_err(|e| cannot_write(path, &e))?;
    file.commit()?;
    Ok(value)
}

/// The error for a file or folder that could not be written. It is the user's to fix where another place would do: one that may
/// be written to, a folder where there is a file. A full or broken disk is a failure at run time.
pub fn cannot_write(path: &Path, cause: &io::Error) -> Error {
    let shown = path.display();
    let text = |remedy: &str| format!("{shown}: cannot be written: {cause}{remedy}");
    match cause.kind() {
        io::ErrorKind::IsADirectory => Error::Input(format!("{shown}: is a folder: name a file")),
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            let place = if path.is_file() { "is" } else { "lies in" };
            Error::Input(format!("{shown}: {place} a file: name a folder"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            Error::Input(text("; choose a folder you may write to"))
        }
        io::ErrorKind::NotFound => Error::Input(text("; make its folder first")),
        io::ErrorKind::InvalidFilename | io::ErrorKind::InvalidInput => Error::Input(text("; choose another name")),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Error::Run(text("; free some space and start again"))
        }
        _ => Error::Run(text("")),
    }
}

/// What can be wrong with a file to write, before the work: it is a folder, or there is no folder for it.
///
/// # Errors
/// As [`cannot_write`] says.
pub fn check_target(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Err(cannot_write(path, &io::ErrorKind::IsADirectory.into()));
    }
    match fs::metadata(folder_of(path)) {
        Ok(about) if about.is_dir() => Ok(()),
        Ok(_) => Err(cannot_write(path, &io::ErrorKind::NotADirectory.into())),
        Err(e) => Err(cannot_write(path, &e)),
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes sure that the name of a file just renamed to `path` survives a power cut. Windows has no such call and needs none.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(folder_of(path))?.sync_all() } else { Ok(()) }
}

/// Removes temporary files for `name` that no living process holds.
fn sweep(folder: &Path, name: &str) {
    let prefix = format!(".{name}.");
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        let is_part = found.starts_with(&prefix) && found.ends_with(".part");
        if is_part && File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn replaces_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_atomically(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomically(&path, |w| {
            w.write_all(b"half")?;
            Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull))
        });
        assert!(matches!(failed, Err(Error::Run(text)) if text.contains("a.txt") && text.contains("free some space")));
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_atomically(&path, |w| w.write_all(b"new")).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn a_killed_writers_remains_go_and_a_living_writers_stay() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        fs::write(dir.path().join(".a.txt.1-0.part"), b"left behind").unwrap();
        let mut living = AtomicFile::create(&path).unwrap();
        living.write_all(b"first").unwrap();
        write_atomically(&path, |w| w.write_all(b"second")).unwrap();
        living.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"first");
        assert_eq!(names(dir.path()), ["a.txt"]);
    }

    #[test]
    fn another_place_is_the_users_to_name_and_a_full_disk_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("a.txt");
        fs::write(&file, b"").unwrap();
        let said = |done: Result<()>| done.map_err(|e| (e.exit_code(), e.to_string())).unwrap_err();
        let (code, text) = said(write_atomically(&file.join("b"), |_| Ok(())));
        assert!(code == 2 && text.ends_with("b: lies in a file: name a folder"), "{text}");
        fs::create_dir(dir.path().join("c")).unwrap();
        let (code, text) = said(write_atomically(&dir.path().join("c"), |_| Ok(())));
        assert!(code == 2 && text.ends_with("c: is a folder: name a file"), "{text}");
        for (kind, code) in [
            (io::ErrorKind::PermissionDenied, 2),
            (io::ErrorKind::ReadOnlyFilesystem, 2),
            (io::ErrorKind::StorageFull, 1),
            (io::ErrorKind::QuotaExceeded, 1),
            (io::ErrorKind::Other, 1),
        ] {
            assert_eq!(cannot_write(&file, &io::Error::from(kind)).exit_code(), code, "{kind}");
        }
    }

    #[test]
    fn a_missing_folder_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let result = write_atomically(&dir.path().join("no/a.txt"), |w| w.write_all(b"x"));
        assert!(matches!(result, Err(Error::Input(text)) if text.contains("make its folder first")));
    }
}
