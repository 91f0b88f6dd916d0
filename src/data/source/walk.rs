//! What lies in a folder and below it? Names, sizes and times; opens no file.

use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use gatefold_engine::file::cannot_read;
use walkdir::{DirEntry, WalkDir};

use crate::data::picture::audio;
use crate::data::set::report::Skipped;
use crate::{Error, Result};

const PICTURES: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

/// A file, and what tells whether it has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

/// Everything below a folder, each list sorted by path. Hidden files and folders are left out.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    pub pictures: Vec<File>,
    pub audio: Vec<File>,
    /// Audio files whose tags cannot be read.
    pub unread: Vec<PathBuf>,
    /// Files that are neither.
    pub others: usize,
    /// Folders and links that could not be followed.
    pub left_out: Vec<Skipped>,
}

/// Whether the file's extension is a picture's.
pub fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    PICTURES.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// Walks through `root`, following links. A link that leads back to a folder above it, a link to nothing and a folder
/// that cannot be read are listed and passed over.
///
/// # Errors
/// [`Error::Input`] if `root` itself cannot be read.
pub fn walk(root: &Path) -> Result<Walk> {
    std::fs::read_dir(root).map_err(|e| cannot_read(root, &e))?;
    let mut found = Walk::default();
    let visible = |entry: &DirEntry| entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".");
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                found.left_out.push(left_out(root, &e));
                continue;
            }
        };
        if entry.file_type().is_dir() {
            continue;
        }
        let path = entry.path();
        match entry.metadata() {
            Err(e) => found.left_out.push(left_out(root, &e)),
            Ok(about) => {
                let file = File { path: path.to_owned(), bytes: about.len(), modified: modified(&about) };
                if is_picture(path) {
                    found.pictures.push(file);
                } else if audio::is_audio(path) {
                    found.audio.push(file);
                } else if audio::is_unread_audio(path) {
                    found.unread.push(file.path);
                } else {
                    found.others += 1;
                }
            }
        }
    }
    // The walk goes folder by folder; paths compare component by component, which comes to another order.
    found.pictures.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    found.audio.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn left_out(root: &Path, error: &walkdir::Error) -> Skipped {
    let path = error.path().unwrap_or(root);
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(above), _) => format!("a link that leads back to {}, a folder above it", above.display()),
        (None, Some(cause)) => match cannot_read(path, cause) {
            Error::Input(text) | Error::Run(text) => {
                text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
            }
        },
        (None, None) => error.to_string(),
    };
    Skipped::new(path, reason)
}

/// The file's size and time; zeros if there is no such file.
pub fn state_of(path: &Path) -> (u64, u64) {
    std::fs::metadata(path).map_or((0, 0), |about| (about.len(), modified(&about)))
}

/// Nanoseconds since 1970; 0 where the system does not tell.
fn modified(about: &Metadata) -> u64 {
    let since = about.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |time| time.as_nanos() as u64)
}
