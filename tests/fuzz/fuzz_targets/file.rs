//! A file in memory for readers that take a path.

use std::path::{Path, PathBuf};

/// Writes `bytes` as a file of this name and hands its path on.
pub fn with_file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let memory = Path::new("/dev/shm");
    let folder = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder: PathBuf = folder.join(format!("gatefold-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let path = folder.join(name);
    std::fs::write(&path, bytes).expect("a file");
    read(&path);
}
