//! Writing what is kept in a cache folder.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::{fs, io, process};

/// Tells apart what one process writes at the same time.
static COUNTER: AtomicU64 = AtomicU64::new(0);

/// Puts `bytes` in the place of a file, so that a reader sees the old one or the whole new one. What a cache loses in a power cut is made
/// again, so nothing is synced.
pub fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let part = path.with_added_extension(format!("{}-{}", process::id(), COUNTER.fetch_add(1, Ordering::Relaxed)));
    let done = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    if done.is_err() {
        let _ = fs::remove_file(&part);
    }
    done
}
