//! What lies in a folder and below it? Names, sizes and times; of files whose endings say nothing, the first bytes.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::Metadata;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use walkdir::{DirEntry, WalkDir};

use crate::Result;
use crate::data::picture::audio;
use crate::data::set::report::Skipped;
use crate::data::source::kind::{Kind, is_picture};
use crate::read::cannot_read;

/// Folders that systems and servers leave beside one's own, in lower case: copies, thumbnails and what was thrown away.
const SYSTEM: [&str; 16] = [
    "__macosx",
    "@eadir",
    "@recycle",
    "@recently-snapshot",
    "#recycle",
    "#snapshot",
    "~snapshot",
    "$recycle.bin",
    "recycler",
    "recycled",
    "system volume information",
    "lost+found",
    "found.000",
    "thumbnails",
    "thumbs",
    "__pycache__",
];

/// A file, and what tells whether it has changed since.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub path: PathBuf,
    pub bytes: u64,
    /// Nanoseconds since 1970.
    pub modified: u64,
}

/// Everything below a folder, each list sorted by path. Hidden files and folders are left out, and so are those that
/// systems leave.
#[derive(Clone, Debug, Default)]
pub struct Walk {
    pub pictures: Vec<File>,
    pub audio: Vec<File>,
    /// Audio files whose tags cannot be read.
    pub unread: Vec<PathBuf>,
    /// Files that are neither.
    pub others: usize,
    /// All folders below the first.
    pub folders: Vec<PathBuf>,
    /// How many folders of which name systems have left.
    pub system: BTreeMap<String, usize>,
    /// Folders and links that could not be followed, and pictures in formats that are not read.
    pub left_out: Vec<Skipped>,
}

impl Walk {
    /// What the user should know of what was passed over.
    pub fn notes(&self, root: &Path) -> Vec<String> {
        let names: Vec<String> = self.system.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        let note = format!("{}: passed over folders that systems leave: {}", root.display(), names.join(", "));
        if names.is_empty() { Vec::new() } else { vec![note] }
    }
}

/// Walks through `root`, following links. A link that leads back to a folder above it, a link to nothing and a folder
/// that cannot be read are listed and passed over.
///
/// # Errors
/// [`Error::Input`] if `root` itself cannot be read.
pub fn walk(root: &Path) -> Result<Walk> {
    std::fs::read_dir(root).map_err(|e| cannot_read(root, &e))?;
    let mut found = Walk::default();
    let mut system: BTreeMap<String, usize> = BTreeMap::new();
    let visible = |entry: &DirEntry| {
        if entry.depth() > 0 && entry.file_type().is_dir() && is_system(entry.file_name()) {
            *system.entry(entry.file_name().to_string_lossy().into_owned()).or_default() += 1;
            return false;
        }
        entry.depth() == 0 || !entry.file_name().as_encoded_bytes().starts_with(b".")
    };
    for entry in WalkDir::new(root).follow_links(true).sort_by_file_name().into_iter().filter_entry(visible) {
        let entry = match entry {
            Ok(entry) => entry,
            Err(e) => {
                found.left_out.push(left_out(root, &e));
                continue;
            }
        };
        let path = entry.path();
        if entry.file_type().is_dir() {
            if entry.depth() > 0 {
                found.folders.push(path.to_owned());
            }
            continue;
        }
        match entry.metadata() {
            Err(e) => found.left_out.push(left_out(root, &e)),
            Ok(about) => {
                let file = File { path: path.to_owned(), bytes: about.len(), modified: modified(&about) };
                if audio::is_audio(path) {
                    found.audio.push(file);
                    continue;
                }
                if audio::is_unread_audio(path) {
                    found.unread.push(file.path);
                    continue;
                }
                // What is no regular file might never answer; as a picture it is refused when its turn comes.
                let kind = if about.is_file() || is_picture(path) { Kind::of(path) } else { Kind::Other };
                match kind {
                    Kind::Picture => found.pictures.push(file),
                    Kind::Unread(format) => found.left_out.push(Skipped::new(path, unread(format))),
                    Kind::Other => found.others += 1,
                }
            }
        }
    }
    found.system = system;
    // The walk goes folder by folder; paths compare component by component, which comes to another order.
    found.pictures.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    found.audio.sort_unstable_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Why a picture in a format that is not read is left out.
fn unread(format: &str) -> String {
    format!("{format} pictures are not read: convert it to JPEG or PNG")
}

fn is_system(name: &OsStr) -> bool {
    name.to_str().is_some_and(|name| SYSTEM.contains(&name.to_lowercase().as_str()))
}

fn left_out(root: &Path, error: &walkdir::Error) -> Skipped {
    let path = error.path().unwrap_or(root);
    let reason = match (error.loop_ancestor(), error.io_error()) {
        (Some(above), _) => format!("a link that leads back to {}, a folder above it", above.display()),
        (None, Some(cause)) => {
            let text = cannot_read(path, cause).to_string();
            text.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&text).to_owned()
        }
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
