//! Files that nobody wants any more once the process ends, and those that a reader sees whole or not at all.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io};

/// Files and folders that nobody wants any more once this process ends.
static TEMPORARY: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Marks a file or a folder as temporary while this lives: [`remove_temporary`] removes it. Whoever made it removes it otherwise.
#[derive(Debug)]
pub struct Temporary {
    path: PathBuf,
}

impl Temporary {
    /// `path` need not exist yet, so that there is no moment in which it exists and is not known.
    pub fn new(path: PathBuf) -> Self {
        if let Ok(mut all) = TEMPORARY.lock() {
            all.insert(path.clone());
        }
        Self { path }
    }

    /// A name of its own beside a file, so that processes and threads that write the same one do not meet.
    pub fn beside(file: &Path) -> Self {
        static COUNTER: AtomicU64 = AtomicU64::new(0);
        let (name, process) = (file.file_name().unwrap_or_default().to_string_lossy(), std::process::id());
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        Self::new(file.with_file_name(format!(".{name}.{process}-{number}.part")))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Ok(mut all) = TEMPORARY.lock() {
            all.remove(&self.path);
        }
    }
}

/// Removes all that is temporary, for a process that is asked to end while its threads are at work: until it does, none of them
/// makes another temporary file.
pub fn remove_temporary() {
    let Ok(all) = TEMPORARY.lock() else { return };
    for path in all.iter() {
        let remove = || if path.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
        // A thread may still be writing into a folder: what it makes while that is emptied takes another round.
        let _ = (0..ROUNDS).any(|_| remove().is_ok() || !path.exists());
    }
    std::mem::forget(all);
}

/// How often a folder that is written into is emptied.
const ROUNDS: usize = 20;

/// Puts a file of the cache in its place at once, so that another process never reads half of it. After a power cut it may be
/// damaged, which whoever reads it finds.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = Temporary::beside(path);
    let done = fs::write(&part.path, bytes).and_then(|()| fs::rename(&part.path, path));
    // After a rename there is none any more.
    let _ = fs::remove_file(&part.path);
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_temporary_is_known_while_it_lives_and_a_file_is_replaced_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let known = || TEMPORARY.lock().unwrap().iter().filter(|path| path.starts_with(dir.path())).count();
        let part = Temporary::new(dir.path().join("part"));
        assert_eq!(known(), 1);
        drop(part);
        assert_eq!(known(), 0);
        let path = dir.path().join("tune.json");
        for text in ["old", "new"] {
            replace(&path, text.as_bytes()).unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        fs::create_dir(dir.path().join("folder")).unwrap();
        assert!(replace(&dir.path().join("folder"), b"x").is_err());
        assert_eq!((known(), fs::read_dir(dir.path()).unwrap().count()), (0, 2));
    }
}
