//! A table of labels and a folder of pictures, matched by the names of files.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::data::source::collect::{Collector, NO_GROUPS, Origin};
use crate::data::source::table::{LABELS, Table};
use crate::data::source::walk::{File, is_picture, walk};
use crate::data::source::{Columns, Place, Request, Source};
use crate::{Error, Result};

/// Rows of a table that are named in a note; more are only counted.
const NAMED: usize = 3;

/// The pictures in and below `images` with the labels that a table gives them. A row names a picture by its path within the folder,
/// by the end of that path, or by its file name, with an ending or without; in any case of letters. For a table of MSD-I its own
/// names count. What matches nothing is left out, and counted in a note.
///
/// # Errors
/// [`Error::Input`] if the table or the folder cannot be read, a column is missing, or no row names a picture.
pub fn read_matched(table: &Path, images: &Path, columns: &Columns) -> Result<Source> {
    let absolute =
        |path: &Path| std::path::absolute(path).map_err(|e| Error::Input(format!("{}: {e}", path.display())));
    if table.is_dir() {
        return Err(Error::Input(format!(
            "{}: a folder; with --images the labels come from a table (CSV or TSV): give that, or leave out --images",
            table.display()
        )));
    }
    let opened = Table::open(table, &absolute(table)?)?;
    if opened.is_msd_i() && columns.path.is_none() {
        let request = Request { images: Some(images.to_owned()), ..Request::new(table, columns) };
        return request.read_to_score();
    }
    let root = absolute(images)?;
    let found = walk(&root)?;
    if found.pictures.is_empty() {
        return Err(Error::Input(format!("--images {}: there is no picture in this folder", images.display())));
    }
    let names = Names::new(&found.pictures, &root);
    let label = match &columns.label {
        Some(name) => opened.need(name, "name the one with the labels with --label")?,
        None => match opened.guesses(&LABELS).first() {
            Some(&place) => place,
            None => opened.need("label", "name the one with the labels with --label")?,
        },
    };
    let file = match &columns.path {
        Some(name) => opened.need(name, "name the one with the files with --path")?,
        None => names.column(&opened, label, images)?,
    };
    let (mut collected, mut told) = (Collector::default(), Told::default());
    let mut taken = vec![false; found.pictures.len()];
    opened.each(|line, record| {
        told.rows += 1;
        let (name, class) = (&record[file], record[label].trim());
        match names.find(name) {
            Match::One(_) if class.is_empty() => told.unlabelled += 1,
            Match::One(place) => {
                taken[place] = true;
                collected.add(&found.pictures[place].path, class, NO_GROUPS, None, Origin::Line(line));
            }
            Match::None => told.missing(line, name),
            Match::Several => told.several += 1,
        }
        Ok(())
    })?;
    let (shown, folder) = (table.display(), images.display());
    if collected.is_empty() {
        let picture = found.pictures[0].path.strip_prefix(&root).unwrap_or(&found.pictures[0].path).display();
        let example = told.first.first().cloned().unwrap_or_else(|| "no row has a label".into());
        return Err(Error::Input(format!(
            "{shown}: not one of its {} rows names a picture in {folder} ({example}, and a picture is {picture}): name the column of \
             file names with --path",
            told.rows
        )));
    }
    let unnamed = taken.iter().filter(|taken| !**taken).count();
    let notes = told.notes(&shown.to_string(), &folder.to_string(), &opened.header[file], unnamed);
    Ok(collected.finish("table", Vec::new(), found.left_out, notes))
}

/// What could not be matched.
#[derive(Default)]
struct Told {
    rows: usize,
    missing: usize,
    first: Vec<String>,
    several: usize,
    unlabelled: usize,
}

impl Told {
    fn missing(&mut self, line: u64, name: &str) {
        self.missing += 1;
        if self.first.len() < NAMED {
            self.first.push(format!("line {line}: `{name}`"));
        }
    }

    fn notes(&self, table: &str, images: &str, column: &str, unnamed: usize) -> Vec<String> {
        let mut notes = vec![format!("{table}: pictures are matched by `{column}`")];
        let more = if self.missing > self.first.len() { ", …" } else { "" };
        let first = self.first.join(", ");
        for (count, what) in [
            (self.missing, format!("rows name no picture in {images} ({first}{more})")),
            (self.several, format!("rows name several pictures in {images}: give more of their paths")),
            (self.unlabelled, "rows have no label".to_owned()),
        ] {
            if count > 0 {
                notes.push(format!("{table}: {count} of {} {what}", self.rows));
            }
        }
        if unnamed > 0 {
            notes.push(format!("{images}: {unnamed} pictures have no row in {table}"));
        }
        notes
    }
}

enum Match {
    None,
    One(usize),
    Several,
}

/// By which names each picture is known.
struct Names {
    /// Places of pictures by file name and by that without its ending.
    by_name: HashMap<String, Vec<usize>>,
    /// Paths from the folder, as names are compared.
    paths: Vec<String>,
}

/// A name as it is compared: forward slashes, lower case, without what leads back to where one is.
fn plain(name: &str) -> String {
    let name = name.trim().replace('\\', "/").to_lowercase();
    name.trim_start_matches("./").trim_matches('/').to_owned()
}

/// Without the ending, if it is a picture's: a name may have dots of its own.
fn stem(name: &str) -> &str {
    if is_picture(Path::new(name)) { name.rsplit_once('.').map_or(name, |(stem, _)| stem) } else { name }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

impl Names {
    fn new(pictures: &[File], root: &Path) -> Self {
        let path = |file: &File| -> PathBuf { file.path.strip_prefix(root).unwrap_or(&file.path).to_owned() };
        let paths: Vec<String> = pictures.iter().map(|file| plain(&path(file).to_string_lossy())).collect();
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (place, path) in paths.iter().enumerate() {
            by_name.entry(stem(file_name(path)).to_owned()).or_default().push(place);
        }
        Self { by_name, paths }
    }

    fn find(&self, name: &str) -> Match {
        let name = plain(name);
        let bare = stem(&name);
        let Some(places) = self.by_name.get(file_name(bare)) else { return Match::None };
        // The more of a path agrees, the better; a name with an ending goes before one without.
        let agrees = |path: &str| {
            let same = |a: &str, b: &str| a.rsplit('/').zip(b.rsplit('/')).take_while(|(a, b)| a == b).count();
            (same(stem(path), bare), path.ends_with(file_name(&name)))
        };
        let best = places.iter().map(|&place| agrees(&self.paths[place])).max();
        let mut good = places.iter().filter(|&&place| Some(agrees(&self.paths[place])) == best);
        match (good.next(), good.next()) {
            (Some(&place), None) => Match::One(place),
            (None, _) => Match::None,
            _ => Match::Several,
        }
    }

    /// The column most of whose values name pictures.
    fn column(&self, table: &Table, label: usize, images: &Path) -> Result<usize> {
        let (mut hits, mut rows) = (vec![0; table.header.len()], 0);
        table.each(|_, record| {
            rows += 1;
            for (place, value) in record.iter().enumerate().filter(|(place, _)| *place != label) {
                hits[place] += usize::from(!matches!(self.find(value), Match::None));
            }
            Ok(())
        })?;
        // The first of equals.
        let best = (0..hits.len()).rev().max_by_key(|&place| hits[place]).filter(|&place| hits[place] > 0);
        best.ok_or_else(|| {
            let example = self.paths.first().map(String::as_str).unwrap_or_default();
            let (table, images) = (table.shown(), images.display());
            Error::Input(format!(
                "{table}: none of its columns names pictures in {images} (such as {example}) in its {rows} rows: give the table of \
                 these pictures, or name the column with --path"
            ))
        })
    }
}

/// For data that may be of one class, or whose classes are looked at by who asked.
impl Request {
    /// As [`Request::read`], but one class is enough: a network that knows several can be scored on it.
    ///
    /// # Errors
    /// As there, and [`Error::Input`] if pictures lie in a folder without classes.
    pub fn read_to_score(&self) -> Result<Source> {
        if let Place::One(data) = &self.place
            && data.is_dir()
            && self.images.is_none()
        {
            unclassed(data)?;
        }
        self.read_classes(1)
    }
}

/// Tables beside whose pictures a folder is told to give the table.
const TABLES: [&str; 2] = ["covers.csv", "manifest.csv"];

/// Refuses a folder that holds its pictures directly, with what to do for a score.
fn unclassed(data: &Path) -> Result<()> {
    if TABLES.iter().any(|table| data.join(table).is_file()) {
        return Ok(());
    }
    let found = walk(data)?;
    let here = |file: &File| file.path.parent() == Some(data);
    if found.audio.is_empty()
        && found.unread.is_empty()
        && !found.pictures.is_empty()
        && found.pictures.iter().all(here)
    {
        let (count, data) = (found.pictures.len(), data.display());
        return Err(Error::Input(format!(
            "{data}: its {count} pictures have no classes, so there is nothing to score against: give a table of file names and \
             labels in its place and --images {data}, or make one sub-folder per class"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&str]) -> Names {
        let files = paths.iter().map(|path| File { path: Path::new("/d").join(path), bytes: 1, modified: 0 });
        Names::new(&files.collect::<Vec<_>>(), Path::new("/d"))
    }

    #[test]
    fn names_match_paths_their_ends_and_stems_and_say_where_they_are_not_enough() {
        let names = names(&["a/1.jpg", "b/1.jpg", "b/Two.PNG", "3.jpg", "3.png", "St. Anger.jpg"]);
        let found = |name: &str| match names.find(name) {
            Match::None => "none".to_owned(),
            Match::Several => "several".to_owned(),
            Match::One(place) => names.paths[place].clone(),
        };
        for (name, wanted) in [
            ("a/1.jpg", "a/1.jpg"),
            ("./b/1", "b/1.jpg"),
            ("covers\\a\\1.jpg", "a/1.jpg"),
            ("/home/me/b/1.jpg", "b/1.jpg"),
            ("1.jpg", "several"),
            ("two", "b/two.png"),
            ("TWO.png", "b/two.png"),
            ("two.jpg", "b/two.png"),
            ("3.png", "3.png"),
            ("3", "several"),
            ("St. Anger", "st. anger.jpg"),
            ("four", "none"),
            ("", "none"),
        ] {
            assert_eq!(found(name), wanted, "{name}");
        }
    }
}
