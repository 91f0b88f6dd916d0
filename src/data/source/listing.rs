//! Which pictures are there, whatever they are labelled? For those who ask what a network takes them for.

mod given;
mod labels;
mod names;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::read::cannot_read;

pub use self::labels::LabelFinder;
use crate::data::picture::Pipeline;
use crate::data::picture::audio::{ending, is_audio};
use crate::data::set::dataset::Dataset;
use crate::data::set::names::WORK;
use crate::data::set::report::Skipped;
use crate::data::source::kind::Kind;
use crate::data::source::library::{self, Listed};
use crate::data::source::table::Table;
use crate::data::source::walk::{Walk, walk};
use crate::data::source::{Columns, GenreTable, images_of};
use crate::{Error, Result};

/// Endings of tables.
const TABLES: [&str; 5] = ["csv", "tsv", "tab", "psv", "txt"];

/// What stands for a list of names on standard input.
pub const STDIN: &str = "-";

/// How to read what is named.
#[derive(Clone, Copy)]
pub struct Reading<'a> {
    /// Of tables; only the path's column and the folder of their pictures count.
    pub columns: &'a Columns,
    /// A table of genres instead of the built-in one, for music libraries.
    pub genres: Option<&'a Path>,
    /// Whether NUL ends the names on standard input, and not the end of the line.
    pub null: bool,
    /// What the network sees: a data set that has it needs no decoding.
    pub size: u32,
    pub pipeline: Pipeline,
    /// What the network answers with.
    pub labels: &'a [String],
}

/// One picture, or what was to be one.
#[derive(Debug)]
pub struct Item {
    /// Its file; if it is embedded, the audio file.
    pub path: PathBuf,
    pub pixels: Pixels,
    /// Whether a user named it, by itself or in a list, a table or a data set, and not only a folder that it lies in.
    pub named: bool,
    pub about: Option<Box<About>>,
}

/// Where a picture's pixels are.
#[derive(Clone, Debug)]
pub enum Pixels {
    /// In its file.
    File,
    /// In a data set's pack, at this place.
    Packed(Arc<Dataset>, usize),
    /// Nowhere, and why.
    None(String),
}

/// What is known of a picture.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    pub artist: String,
    pub album: String,
    /// As it is written in the tags, in the table or in the data set.
    pub genre: String,
    /// The network's label that the genre means; none if it has no such label.
    pub label: Option<usize>,
    /// The audio files of the album.
    pub tracks: Vec<PathBuf>,
}

/// Pictures, found as far as they have to be.
pub struct Listing {
    /// In the order in which they were named, those of a folder by path. An error ends them.
    pub items: Box<dyn Iterator<Item = Result<Item>> + Send>,
    /// How many there are; not known of a list on standard input.
    pub count: Option<usize>,
    /// Whether something is known of them beside their paths.
    pub about: bool,
    /// Whether there are albums of a music library among them.
    pub library: bool,
    pub notes: Vec<String>,
}

impl Item {
    fn file(path: PathBuf, named: bool) -> Self {
        Self { path, pixels: Pixels::File, named, about: None }
    }

    /// Artist, album and genre, empty where they are not known.
    pub fn known(&self) -> [&str; 3] {
        self.about.as_deref().map_or([""; 3], |about| [&about.artist, &about.album, &about.genre])
    }

    fn none(path: PathBuf, named: bool, reason: impl Into<String>) -> Self {
        Self { path, pixels: Pixels::None(reason.into()), named, about: None }
    }
}

/// The pictures in files, folders, tables, music libraries, data sets and lists.
///
/// # Errors
/// [`Error::Input`] if a folder has no picture, a table or a data set cannot be read, or an option fits nothing that is named.
pub fn list(paths: &[PathBuf], reading: &Reading) -> Result<Listing> {
    let mut all = Listing {
        items: Box::new(std::iter::empty()),
        count: Some(0),
        about: false,
        library: false,
        notes: Vec::new(),
    };
    let (mut tables, mut libraries, mut lists) = (0, 0, 0);
    for path in paths {
        let Listing { items, count, about, library, notes } = match given::Given::of(path)? {
            given::Given::List => {
                lists += 1;
                let items = names::Names::new(std::io::BufReader::new(std::io::stdin()), reading.null);
                Listing {
                    items: Box::new(items.map(|name| name.map(|path| Item::file(path, true)))),
                    count: None,
                    about: false,
                    library: false,
                    notes: Vec::new(),
                }
            }
            given::Given::Picture => picture(path),
            given::Given::Table => match table(path, reading) {
                // Many texts are no tables, and then no pictures either.
                Err(_) if ending(path).as_deref() == Some("txt") => picture(path),
                listing => {
                    tables += 1;
                    listing?
                }
            },
            given::Given::Dataset => dataset(path, reading)?,
            given::Given::Library(walk) => {
                libraries += 1;
                library(path, &walk, reading)?
            }
            given::Given::Folder(walk) => folder(path, walk)?,
        };
        all.items = Box::new(all.items.chain(items));
        all.count = all.count.zip(count).map(|(a, b)| a + b);
        all.about |= about;
        all.library |= library;
        all.notes.extend(notes);
    }
    let refuse = |option: &str, wanted: &str| {
        Err(Error::Input(format!("{option} is for {wanted}, and none is named: leave it out")))
    };
    let Columns { path, images, .. } = reading.columns;
    match (path, images) {
        (Some(_), _) if tables == 0 => refuse("--path", "a table"),
        (_, Some(_)) if tables == 0 => refuse("--images", "a table, whose pictures lie elsewhere"),
        _ if reading.genres.is_some() && libraries == 0 => refuse("--genres", "a music library"),
        _ if reading.null && lists == 0 => refuse("--null", "a list of names on standard input, -"),
        _ if lists > 1 => Err(Error::Input("-: standard input can be read once: name it once".into())),
        _ => Ok(all),
    }
}

fn known(items: Vec<Item>, about: bool, notes: Vec<String>) -> Listing {
    Listing { count: Some(items.len()), items: Box::new(items.into_iter().map(Ok)), about, library: false, notes }
}

fn picture(path: &Path) -> Listing {
    known(vec![Item::file(path.to_owned(), true)], false, Vec::new())
}

/// What a walk could not follow or read, as pictures that are none.
fn unread(left_out: Vec<Skipped>) -> impl Iterator<Item = Item> + Send {
    left_out.into_iter().map(|Skipped { path, reason }| Item::none(PathBuf::from(path), false, reason))
}

fn folder(data: &Path, walk: Walk) -> Result<Listing> {
    if walk.pictures.is_empty() {
        let cause = walk.left_out.first().map(|first| format!(" ({}: {})", first.path, first.reason));
        return Err(Error::Input(format!(
            "{}: there is no picture in this folder{}; name one that has some",
            data.display(),
            cause.unwrap_or_default()
        )));
    }
    let mut notes = walk.notes(data);
    notes.extend(library::kind::stray_note(&walk));
    let count = walk.pictures.len() + walk.left_out.len();
    let pictures = walk.pictures.into_iter().map(|file| Item::file(file.path, false));
    let items = pictures.chain(unread(walk.left_out)).map(Ok);
    Ok(Listing { items: Box::new(items), count: Some(count), about: false, library: false, notes })
}

fn library(data: &Path, walk: &Walk, reading: &Reading) -> Result<Listing> {
    let finder = LabelFinder::new(&GenreTable::read(reading.genres)?, reading.labels);
    let (albums, left_out, mut notes) = library::list(data, walk, |genres| finder.of_tags(genres));
    notes.extend(walk.notes(data));
    let album = |album: Listed| {
        let Listed { path, fault, artist, album, genres, label, tracks } = album;
        let about = Some(Box::new(About { artist, album, genre: genres.join("; "), label, tracks }));
        let pixels = fault.map_or(Pixels::File, |fault| Pixels::None(fault.to_owned()));
        Item { path, pixels, named: false, about }
    };
    let items = albums.into_iter().map(album).chain(unread(left_out)).collect();
    Ok(Listing { library: true, ..known(items, true, notes) })
}

fn table(data: &Path, reading: &Reading) -> Result<Listing> {
    let root = std::path::absolute(data).map_err(|e| cannot_read(data, &e))?;
    let table = Table::open(data, &root)?;
    let images = reading.columns.images.as_deref().map(|images| images_of(&table, images)).transpose()?;
    let images = images.as_ref().map(|(folder, walk)| (folder.as_path(), walk));
    let (rows, notes) = table.files(reading.columns, images)?;
    let finder = LabelFinder::new(&GenreTable::read(None)?, reading.labels);
    let about = rows.iter().any(|row| !(row.genre.is_empty() && row.artist.is_empty() && row.album.is_empty()));
    let item = |row: crate::data::source::table::Named| {
        let label = finder.of(&row.genre);
        let known = About { artist: row.artist, album: row.album, genre: row.genre, label, tracks: Vec::new() };
        let pixels = row.fault.map_or(Pixels::File, Pixels::None);
        Item { path: row.path, pixels, named: true, about: about.then(|| Box::new(known)) }
    };
    Ok(known(rows.into_iter().map(item).collect(), about, notes))
}

fn dataset(data: &Path, reading: &Reading) -> Result<Listing> {
    let packed = Dataset::open_at(data, reading.size, reading.pipeline.fit)?;
    let packed = packed.filter(|dataset| dataset.pack.pipeline() == reading.pipeline);
    let decoded = packed.is_some();
    let dataset = Arc::new(packed.map_or_else(|| Dataset::open(data), Ok)?);
    let mut notes: Vec<String> = dataset.note().into_iter().collect();
    if !decoded {
        notes.push(format!(
            "{}: its pictures are {} pixels wide and the network wants others, so their files are read",
            data.display(),
            dataset.pack.size()
        ));
    }
    let finder = LabelFinder::new(&GenreTable::read(None)?, reading.labels);
    let manifest = &dataset.manifest;
    let column = |name: &str| manifest.group_columns.iter().position(|column| column.eq_ignore_ascii_case(name));
    let (artist, album) = (column("artist"), column("album"));
    let label_of: Vec<Option<usize>> = manifest.classes.iter().map(|class| finder.of(class)).collect();
    let count = manifest.covers.len();
    let item = move |i: usize| {
        let cover = &dataset.manifest.covers[i];
        let value =
            |place: Option<usize>| place.map_or_else(String::new, |place| cover.strings.group(place).to_owned());
        let about = About {
            artist: value(artist),
            album: value(album),
            genre: dataset.manifest.classes[cover.label].clone(),
            label: label_of[cover.label],
            tracks: Vec::new(),
        };
        let pixels = if decoded { Pixels::Packed(Arc::clone(&dataset), i) } else { Pixels::File };
        Ok(Item { path: cover.strings.path().to_owned(), pixels, named: true, about: Some(Box::new(about)) })
    };
    Ok(Listing { items: Box::new((0..count).map(item)), count: Some(count), about: true, library: false, notes })
}
