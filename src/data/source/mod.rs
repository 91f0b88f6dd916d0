//! Which pictures are there, and what is each labelled? Reads folders, tables and tags; decodes no picture.

mod collect;
pub mod corrections;
mod find;
mod folder;
mod genres;
pub(crate) mod kind;
mod labelling;
pub mod library;
pub mod listing;
pub mod msd_i;
mod sets;
mod spelling;
mod table;
pub(crate) mod walk;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use self::corrections::Corrections;
pub use self::genres::{BUILT_IN as GENRES, GenreTable};
pub use self::labelling::{Labelling, Multi, Rename};
use self::table::Table;
use self::walk::{Walk, state_of, walk};
use crate::data::set::names::WORK;
use crate::data::set::report::Skipped;
use crate::data::set::split::Split;
use crate::data::set::strings::Strings;
use crate::hint::did_you_mean;
use crate::read::cannot_read;
use crate::shown::path_text;
use crate::{Error, Result};

/// Which columns of a table to read. A recipe's fields and the command line's options have the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Columns {
    /// Columns whose values keep rows together when splitting; guessed if none is given; `none` for none.
    pub group: Vec<String>,
    /// The column of picture files; guessed if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The column of labels; guessed if not given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The column that says which cover is in which set; guessed if not given; `none` for none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split_column: Option<String>,
    /// The folder that the table's files are in, or are named in; not given: that of the table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<PathBuf>,
}

impl Columns {
    fn none_asked(&self) -> bool {
        self.path.is_none() && self.label.is_none() && self.group.is_empty() && self.split_column.is_none()
    }

    /// Whether grouping is switched off by `--group none`.
    pub(super) fn ungrouped(&self) -> bool {
        self.group.len() == 1 && self.group[0].eq_ignore_ascii_case("none")
    }
}

/// Where covers come from.
#[derive(Clone, Debug)]
pub enum Place {
    /// A folder per class, a music library, or a table.
    One(PathBuf),
    /// A folder of covers of a class and one of covers that are not of it.
    Pair { positive: PathBuf, negative: PathBuf },
}

/// What to read, and how.
#[derive(Clone, Debug)]
pub struct Request {
    pub place: Place,
    pub columns: Columns,
    pub labelling: Labelling,
    /// A table of genres instead of the built-in one, for a music library.
    pub genres: Option<PathBuf>,
    /// Labels that somebody has looked at, to keep, change or leave out.
    pub corrections: Option<PathBuf>,
}

/// One labelled picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The picture file, absolute, or an audio file that has the picture embedded; it exists. And a value for each of
    /// [`Source::group_columns`], empty where unknown.
    pub strings: Strings,
    /// Index into [`Source::classes`].
    pub label: usize,
    /// The set that the source puts it into.
    pub split: Option<Split>,
}

impl AsRef<Path> for Row {
    fn as_ref(&self) -> &Path {
        self.strings.path()
    }
}

/// What else was found out about a source.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Details {
    MsdI(msd_i::Report),
    Library(library::Report),
}

/// Everything a source names.
#[derive(Clone, Debug)]
pub struct Source {
    /// `folder`, `table`, `msd-i`, `library`, `two folders` or `dataset`.
    pub kind: &'static str,
    /// Names of the classes, sorted.
    pub classes: Vec<String>,
    /// Names of the columns that the rows' [strings](Row::strings) have values for.
    pub group_columns: Vec<String>,
    /// Which of them keep covers together.
    pub grouping: Vec<usize>,
    /// The pictures to decode.
    pub rows: Vec<Row>,
    /// Pictures left out before decoding.
    pub left_out: Vec<Skipped>,
    /// What else a user should know: a guessed column, a folder that was passed over.
    pub notes: Vec<String>,
    pub details: Option<Details>,
}

/// What lies at a place, before anything but tables is opened.
pub(super) enum Survey {
    Folder(PathBuf, Walk),
    Library(PathBuf, Walk),
    Pair {
        positive: (PathBuf, Walk),
        negative: (PathBuf, Walk),
    },
    /// With the folder of its pictures, if one was given.
    Table(Table, Option<(PathBuf, Walk)>),
    MsdI(Table, Option<(PathBuf, Walk)>),
}

/// The picture files in a folder and below it, sorted by path; hidden ones are left out.
///
/// # Errors
/// [`Error::Input`] if the folder cannot be read or has no picture.
pub fn pictures(folder: &Path) -> Result<Vec<PathBuf>> {
    let found = walk(folder)?.pictures;
    if found.is_empty() {
        return Err(Error::Input(format!(
            "{}: there is no picture in this folder; name one that has some",
            folder.display()
        )));
    }
    Ok(found.into_iter().map(|file| file.path).collect())
}

impl Request {
    /// Everything guessed.
    pub fn new(data: &Path, columns: &Columns) -> Self {
        let place = Place::One(data.to_owned());
        Self { place, columns: columns.clone(), labelling: Labelling::default(), genres: None, corrections: None }
    }

    /// The place, for messages.
    pub fn shown(&self) -> String {
        match &self.place {
            Place::One(path) => path_text(path),
            Place::Pair { positive, negative } => format!("{} and {}", path_text(positive), path_text(negative)),
        }
    }

    /// Sees what is there.
    ///
    /// # Errors
    /// [`Error::Input`] if it does not exist or cannot be read, or options do not fit it.
    pub(super) fn survey(&self) -> Result<Survey> {
        let absolute = |path: &Path| std::path::absolute(path).map_err(|e| cannot_read(path, &e));
        let no_columns = |remedy: String| {
            if self.columns.none_asked() {
                return Ok(());
            }
            let text = format!(
                "{}: a folder has no columns, so --path, --label, --group and --split-column mean nothing: {remedy}",
                self.shown()
            );
            Err(Error::Input(text))
        };
        let survey = match &self.place {
            Place::Pair { positive, negative } => {
                no_columns("leave them out".into())?;
                let both = [positive, negative].map(|path| Ok((absolute(path)?, walk(&absolute(path)?)?)));
                let [positive, negative]: [Result<(PathBuf, Walk)>; 2] = both;
                Survey::Pair { positive: positive?, negative: negative? }
            }
            Place::One(data) => {
                let about = fs::metadata(data).map_err(|e| cannot_read(data, &e))?;
                let root = absolute(data)?;
                if !about.is_dir() && !about.is_file() {
                    // A pipe might never end.
                    return Err(Error::Input(format!("{}: neither a file nor a folder: give one", data.display())));
                }
                if !about.is_dir() {
                    let table = Table::open(data, &root)?;
                    let images = self.columns.images.as_deref().map(|images| images_of(&table, images)).transpose()?;
                    if table.is_msd_i() && self.columns.path.is_none() {
                        Survey::MsdI(table, images)
                    } else {
                        Survey::Table(table, images)
                    }
                } else {
                    if root.join(WORK).is_dir() {
                        return Err(Error::Input(format!(
                            "{}: an import into it was broken off: start the same import again, it goes on where it was",
                            data.display()
                        )));
                    }
                    let found = walk(&root)?;
                    if !library::kind::is_library(&found) {
                        no_columns(folder::give_table(data, &root))?;
                        Survey::Folder(root, found)
                    } else if found.audio.is_empty() {
                        return Err(library::kind::none_read(data, &found));
                    } else {
                        Survey::Library(root, found)
                    }
                }
            }
        };
        let refuse = |option: &str, wanted: &str| {
            Err(Error::Input(format!("{}: {option} is for {wanted}: leave it out", self.shown())))
        };
        match survey {
            Survey::MsdI(..) | Survey::Table(..) => {}
            _ if self.columns.images.is_some() => return refuse("--images", "a table, whose pictures lie elsewhere"),
            _ => {}
        }
        match survey {
            Survey::Library(..) => {}
            _ if self.genres.is_some() => return refuse("--genres", "a music library"),
            _ => {}
        }
        Ok(survey)
    }

    /// Reads the list of pictures.
    ///
    /// # Errors
    /// [`Error::Input`] if the source does not exist, cannot be read, names no picture or only one class, lacks a column,
    /// or names files that do not exist.
    pub fn read(&self) -> Result<Source> {
        self.read_classes(2)
    }

    /// As [`Request::read`] with at least so many classes.
    fn read_classes(&self, least: usize) -> Result<Source> {
        self.checked(self.read_unchecked(&self.survey()?)?, least)
    }

    pub(super) fn read_surveyed(&self, survey: &Survey) -> Result<Source> {
        self.checked(self.read_unchecked(survey)?, 2)
    }

    /// As [`Request::read`], but covers of one class will do.
    ///
    /// # Errors
    /// See there.
    pub fn read_to_score(&self) -> Result<Source> {
        self.checked(self.read_unchecked(&self.survey()?)?, 1)
    }

    fn read_unchecked(&self, survey: &Survey) -> Result<Source> {
        let Place::One(data) = &self.place else {
            let Survey::Pair { positive, negative } = survey else { return Err(Error::run("no pair of folders")) };
            let mut source = folder::read_pair(positive, negative, &self.labelling)?;
            source
                .notes
                .extend([positive, negative].into_iter().filter_map(|(_, walk)| library::kind::stray_note(walk)));
            return Ok(source);
        };
        let mut source = match survey {
            Survey::Folder(root, walk) => folder::read(data, root, walk, &self.labelling)?,
            Survey::Library(root, walk) => library::read(data, root, walk, self)?,
            Survey::Table(table, images) => table.read(self, folder_and_walk(images.as_ref()))?,
            Survey::MsdI(table, images) => msd_i::read(table, images.as_ref().map(|(_, walk)| walk), self)?,
            Survey::Pair { .. } => return Err(Error::run("two folders where one was asked for")),
        };
        if let Survey::Folder(_, walk) = survey {
            source.notes.extend(library::kind::stray_note(walk));
        }
        Ok(source)
    }

    fn checked(&self, mut source: Source, least: usize) -> Result<Source> {
        if let Some(file) = &self.corrections {
            Corrections::read(file)?.apply(&mut source)?;
        }
        self.labelling.apply(&self.shown(), source, least)
    }
}

fn folder_and_walk(images: Option<&(PathBuf, Walk)>) -> Option<(&Path, &Walk)> {
    images.map(|(folder, walk)| (folder.as_path(), walk))
}

/// The folder of a table's pictures: where the user stands, or else beside the table.
fn images_of(table: &Table, images: &Path) -> Result<(PathBuf, Walk)> {
    let beside = table.folder().join(images);
    let folder = if !images.exists() && beside.exists() { &beside } else { images };
    let folder = std::path::absolute(folder).map_err(|e| cannot_read(images, &e))?;
    let found = walk(&folder)?;
    Ok((folder, found))
}

impl Survey {
    /// A hash of what tells whether the source has changed: names, sizes and times of its files, and tables' bytes.
    pub fn state(&self, request: &Request) -> Result<String> {
        let mut hasher = blake3::Hasher::new();
        let add = |hasher: &mut blake3::Hasher, path: &Path, bytes: u64, modified: u64| {
            hasher.update(path.as_os_str().as_encoded_bytes()).update(b"\n");
            hasher.update(&bytes.to_le_bytes()).update(&modified.to_le_bytes());
        };
        let add_walk = |hasher: &mut blake3::Hasher, walk: &Walk| {
            walk.pictures.iter().chain(&walk.audio).for_each(|file| add(hasher, &file.path, file.bytes, file.modified));
            walk.left_out.iter().for_each(|skipped| add(hasher, Path::new(&skipped.path), 0, 0));
            walk.unread.iter().for_each(|path| add(hasher, path, 0, 0));
        };
        match self {
            Self::Folder(_, walk) | Self::Library(_, walk) => add_walk(&mut hasher, walk),
            Self::Pair { positive, negative } => {
                add_walk(&mut hasher, &positive.1);
                hasher.update(b"\n");
                add_walk(&mut hasher, &negative.1);
            }
            Self::Table(table, images) => {
                hasher.update(table.text().as_bytes());
                for row in table.read(request, folder_and_walk(images.as_ref()))?.rows {
                    let path = row.strings.path();
                    let (bytes, modified) = state_of(path);
                    add(&mut hasher, path, bytes, modified);
                }
            }
            Self::MsdI(table, images) => {
                hasher.update(table.text().as_bytes());
                images.iter().for_each(|(_, walk)| add_walk(&mut hasher, walk));
            }
        }
        Ok(hasher.finalize().to_hex().to_string())
    }
}

/// [`Request::read`] for a folder, library or table with everything else left to guess.
///
/// # Errors
/// See there.
pub fn read(data: &Path, columns: &Columns) -> Result<Source> {
    Request::new(data, columns).read()
}

/// Which of the columns that a source always has keep covers together: those of --group, else all.
fn grouping(columns: &[String], request: &Request) -> Result<Vec<usize>> {
    if [&request.columns.path, &request.columns.label, &request.columns.split_column]
        .iter()
        .any(|column| column.is_some())
    {
        return Err(Error::Input(format!(
            "{}: its columns are known: leave out --path, --label and --split-column",
            request.shown()
        )));
    }
    let asked = &request.columns.group;
    if asked.is_empty() {
        return Ok((0..columns.len()).collect());
    }
    if request.columns.ungrouped() {
        return Ok(Vec::new());
    }
    let place = |name: &String| {
        columns.iter().position(|column| column.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let (has, hint) = (columns.join(", "), did_you_mean(name, columns));
            Error::Input(format!("--group {name}: {} has {has}, or none{hint}", request.shown()))
        })
    };
    asked.iter().map(place).collect()
}
