//! Which pictures are there, and what is each labelled? Reads folders and tables, decodes nothing.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dataset::{Dataset, MANIFEST};
use super::files::cannot_read;
use super::manifest::{Manifest, number_classes};
use super::table;
use crate::{Error, Result};

/// A picture that was named by the source but is not in the data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The picture file, as far as UTF-8 can show it.
    pub path: String,
    /// Why, in one clause.
    pub reason: String,
}

impl Skipped {
    pub(super) fn new(path: &Path, reason: impl Into<String>) -> Self {
        Self { path: path.to_string_lossy().into_owned(), reason: reason.into() }
    }
}

/// Which columns of a table to read.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    /// The column of picture files; `path` if not given.
    pub path: Option<String>,
    /// The column of labels; `label`, `genre` or `class` if not given.
    pub label: Option<String>,
    /// Columns whose values keep rows together when splitting.
    pub groups: Vec<String>,
}

/// One labelled picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The picture file, absolute. It exists and its path is UTF-8.
    pub path: PathBuf,
    /// Index into [`Source::classes`].
    pub label: usize,
    /// One value for each of [`Source::group_columns`]; empty where unknown.
    pub groups: Vec<String>,
}

/// Everything a source names.
#[derive(Clone, Debug)]
pub struct Source {
    /// `folder`, `table` or `dataset`.
    pub kind: &'static str,
    /// Names of the classes, sorted.
    pub classes: Vec<String>,
    /// Names of the columns that [`Row::groups`] holds.
    pub group_columns: Vec<String>,
    /// The pictures to decode.
    pub rows: Vec<Row>,
    /// Pictures left out before decoding.
    pub left_out: Vec<Skipped>,
    /// What else a user should know: a guessed column, a folder that was passed over.
    pub notes: Vec<String>,
}

/// Reads the list of pictures in `data`: a folder with a sub-folder per class, or a CSV or TSV file.
///
/// # Errors
/// [`Error::Input`] if `data` does not exist, cannot be read, names no picture or only one class, lacks a column, or
/// names files that do not exist.
pub fn read(data: &Path, columns: &Columns) -> Result<Source> {
    let about = match fs::metadata(data) {
        Ok(about) => about,
        Err(e) => return Err(cannot_read(data, &e)),
    };
    let root = std::path::absolute(data).map_err(|e| cannot_read(data, &e))?;
    let source = if about.is_dir() { read_folder(data, &root, columns)? } else { table::read(data, &root, columns)? };
    match &source.classes[..] {
        [] => Err(Error::Input(format!(
            "{}: none of its pictures can be used: {}",
            data.display(),
            source.left_out.first().map_or("it names none", |first| first.reason.as_str())
        ))),
        [class] => Err(Error::Input(format!(
            "{}: only one class, `{class}` ({} pictures): a classifier needs at least two",
            data.display(),
            source.rows.len()
        ))),
        _ => Ok(source),
    }
}

/// Names of the classes in `data`, which may also be a data-set folder.
///
/// # Errors
/// See [`read`].
pub fn classes(data: &Path, columns: &Columns) -> Result<Vec<String>> {
    if Dataset::is_at(data) {
        return Ok(Manifest::read(&data.join(MANIFEST))?.classes);
    }
    Ok(read(data, columns)?.classes)
}

/// Files and labels of the covers in `data`, which may also be a data-set folder.
///
/// # Errors
/// See [`read`].
pub fn covers(data: &Path, columns: &Columns) -> Result<Vec<(PathBuf, String)>> {
    if Dataset::is_at(data) {
        let Manifest { classes, covers, .. } = Manifest::read(&data.join(MANIFEST))?;
        return Ok(covers.into_iter().map(|cover| (cover.path, classes[cover.label].clone())).collect());
    }
    let Source { classes, rows, .. } = read(data, columns)?;
    Ok(rows.into_iter().map(|row| (row.path, classes[row.label].clone())).collect())
}

/// A picture as it is collected: before labels have numbers.
pub(super) struct Found {
    pub path: PathBuf,
    pub label: String,
    pub groups: Vec<String>,
    /// Where it was named, for messages: "line 7".
    pub origin: String,
}

/// Turns what was collected into a source: each file once, labels numbered.
pub(super) fn collect(
    kind: &'static str,
    found: Vec<Found>,
    group_columns: Vec<String>,
    mut left_out: Vec<Skipped>,
    notes: Vec<String>,
) -> Source {
    // A file named twice would be learned from and tested on. Same label: the first naming stays. Different labels:
    // neither can be trusted.
    let mut first: HashMap<PathBuf, usize> = HashMap::new();
    let mut contradicted = vec![false; found.len()];
    let mut repeated = vec![false; found.len()];
    for (i, item) in found.iter().enumerate() {
        let real = fs::canonicalize(&item.path).unwrap_or_else(|_| item.path.clone());
        match first.entry(real) {
            Entry::Vacant(place) => {
                place.insert(i);
            }
            Entry::Occupied(place) => {
                repeated[i] = true;
                let before = *place.get();
                let earlier = &found[before];
                let reason = if earlier.label == item.label {
                    format!("{}: the same file as {}", item.origin, earlier.origin)
                } else {
                    contradicted[before] = true;
                    format!("{}: labelled `{}`, but `{}` in {}", item.origin, item.label, earlier.label, earlier.origin)
                };
                left_out.push(Skipped::new(&item.path, reason));
            }
        }
    }
    let mut labels = Vec::new();
    let mut rows = Vec::new();
    for (i, item) in found.into_iter().enumerate() {
        if repeated[i] {
            continue;
        }
        if contradicted[i] {
            left_out.push(Skipped::new(&item.path, format!("{}: named again with another label", item.origin)));
        } else if item.path.to_str().is_none() {
            left_out.push(Skipped::new(&item.path, "its path is not UTF-8, which the manifest cannot hold: rename it"));
        } else {
            labels.push(item.label);
            rows.push(Row { path: item.path, label: 0, groups: item.groups });
        }
    }
    let (classes, indices) = number_classes(&labels);
    for (row, index) in rows.iter_mut().zip(indices) {
        row.label = index;
    }
    Source { kind, classes, group_columns, rows, left_out, notes }
}

const EXTENSIONS: [&str; 8] = ["jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff"];

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// What lies in a folder, each list sorted, hidden entries left out.
struct Listing {
    folders: Vec<PathBuf>,
    pictures: Vec<PathBuf>,
    others: usize,
}

fn list(folder: &Path, left_out: &mut Vec<Skipped>) -> Result<Listing> {
    let unreadable = |e: std::io::Error| cannot_read(folder, &e);
    let mut listing = Listing { folders: Vec::new(), pictures: Vec::new(), others: 0 };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b".")) {
            continue;
        }
        match fs::metadata(&path) {
            Ok(about) if about.is_dir() => listing.folders.push(path),
            Ok(_) if is_picture(&path) => listing.pictures.push(path),
            Ok(_) => listing.others += 1,
            // A dangling or circular link.
            Err(e) => left_out.push(Skipped::new(&path, format!("cannot be read: {e}"))),
        }
    }
    listing.folders.sort_unstable();
    listing.pictures.sort_unstable();
    Ok(listing)
}

fn read_folder(data: &Path, root: &Path, columns: &Columns) -> Result<Source> {
    let shown = data.display();
    let tables: Vec<&str> = ["covers.csv", "manifest.csv"].into_iter().filter(|t| root.join(t).is_file()).collect();
    let give_table = match tables.first() {
        Some(table) => format!("give the table in it, {}", data.join(table).display()),
        None => "give a CSV with the columns path, label and those to group by".into(),
    };
    if columns.path.is_some() || columns.label.is_some() || !columns.groups.is_empty() {
        return Err(Error::Input(format!(
            "{shown}: a folder has no columns, so --path, --label and --group mean nothing: {give_table}"
        )));
    }

    let (mut left_out, mut notes, mut found) = (Vec::new(), Vec::new(), Vec::new());
    let top = list(root, &mut left_out)?;
    let (mut others, mut nested) = (0, 0);
    for folder in &top.folders {
        let Some(class) = folder.file_name().and_then(|name| name.to_str()) else {
            return Err(Error::Input(format!("{}: the class's name is not UTF-8: rename it", folder.display())));
        };
        let listing = list(folder, &mut left_out)?;
        others += listing.others;
        nested += listing.folders.len();
        if listing.pictures.is_empty() {
            notes.push(format!("{}: no pictures directly inside, so it is no class", folder.display()));
        }
        found.extend(listing.pictures.into_iter().map(|path| Found {
            path,
            label: class.to_owned(),
            groups: Vec::new(),
            origin: format!("class `{class}`"),
        }));
    }
    if found.is_empty() {
        let cause = if top.folders.is_empty() && top.pictures.is_empty() {
            "no pictures and no folders in it: make one sub-folder per class with its covers in it".to_owned()
        } else if top.folders.is_empty() {
            format!(
                "its {} pictures lie in no class folder: make one sub-folder per class, or {give_table}",
                top.pictures.len()
            )
        } else {
            format!(
                "no pictures (jpg, png, webp, gif, bmp, tiff) directly inside its {} sub-folders, which should be one \
                 per class: give the folder that holds the class folders, or {give_table}",
                top.folders.len()
            )
        };
        return Err(Error::Input(format!("{shown}: {cause}")));
    }
    for (count, what) in [
        (top.pictures.len(), "pictures outside the class folders"),
        (others, "files in class folders that have no picture's extension"),
        (nested, "folders inside class folders, whose pictures are not read"),
    ] {
        if count > 0 {
            notes.push(format!("{shown}: passed over {count} {what}"));
        }
    }
    Ok(collect("folder", found, Vec::new(), left_out, notes))
}
