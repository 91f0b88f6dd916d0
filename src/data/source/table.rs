//! Reading the list of pictures from a CSV or TSV file.

mod columns;
mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::hint::did_you_mean;
use crate::read::{cannot_read, read};

use self::columns::Chosen;
use crate::data::set::manifest::not_csv;
use crate::data::set::report::Skipped;
use crate::data::source::collect::{Collector, Origin};
use crate::data::source::find::{Finder, Found};
use crate::data::source::kind::is_picture;
use crate::data::source::labelling::{Multi, is_nothing, labels_in};
use crate::data::source::walk::Walk;
use crate::data::source::{Columns, Request, Row, Source};
use crate::{Error, Result};

/// A table that was read, its columns not yet looked at.
pub(in crate::data) struct Table {
    /// As the user gave it.
    data: PathBuf,
    /// Absolute.
    root: PathBuf,
    text: String,
    delimiter: u8,
    /// Lines before the text: one that names the delimiter, or none.
    lines_before: u64,
    pub header: Vec<String>,
    /// Whether the first line is the header; else the columns are `column1`, `column2` and so on.
    has_header: bool,
}

impl Table {
    /// Reads the file. `root` is its absolute path.
    ///
    /// # Errors
    /// [`Error::Input`] if it cannot be read, is no text, has no header, or has a quotation mark that is not closed.
    pub fn open(data: &Path, root: &Path) -> Result<Self> {
        let bytes = read(data).map_err(|e| cannot_read(data, &e))?;
        let mut text = text::decoded(data, bytes)?;
        let (delimiter, skipped) = text::delimiter(data, &text);
        text.drain(..skipped);
        let lines_before = u64::from(skipped > 0);
        if delimiter == b'\t' {
            text = text::with_plain_quotes(text);
        } else {
            text::check_quotes(data, &text, delimiter, lines_before as usize)?;
        }
        let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        let mut header: Vec<String> =
            csv.headers().map_err(|e| not_csv(data, e))?.iter().map(|c| c.trim().to_owned()).collect();
        if header.iter().all(String::is_empty) {
            let text = format!("{}: an empty table: its first line should name the columns", data.display());
            return Err(Error::Input(text));
        }
        // No column is called like a picture's file.
        let has_header = !header.iter().any(|column| is_picture(Path::new(column)));
        if !has_header {
            header = (1..=header.len()).map(|number| format!("column{number}")).collect();
        }
        Ok(Self { data: data.to_owned(), root: root.to_owned(), text, delimiter, lines_before, header, has_header })
    }

    /// The whole file, without a byte-order mark.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether this is MSD-I's table: tracks, links and genres.
    pub fn is_msd_i(&self) -> bool {
        self.place("msd_track_id").is_some() && self.place("image_url").is_some()
    }

    /// The path as the user gave it.
    pub fn shown(&self) -> std::path::Display<'_> {
        self.data.display()
    }

    /// The folder that it lies in.
    pub fn folder(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// The column of this name, else one that differs only in case.
    pub fn place(&self, name: &str) -> Option<usize> {
        let same = self.header.iter().position(|column| column == name);
        same.or_else(|| self.header.iter().position(|column| column.eq_ignore_ascii_case(name)))
    }

    /// The column of this name, or what to do about it.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none, or several.
    pub fn need(&self, name: &str, remedy: &str) -> Result<usize> {
        let place = self.place(name).ok_or_else(|| {
            let (hint, listed) = (did_you_mean(name, &self.header), self.listed());
            Error::Input(format!("{}: no column `{name}`{hint}; it has {listed}: {remedy}", self.shown()))
        })?;
        self.only(place)
    }

    /// The column, if no other has its name.
    fn only(&self, place: usize) -> Result<usize> {
        let name = &self.header[place];
        if self.header.iter().filter(|column| *column == name).count() > 1 {
            return Err(Error::Input(format!(
                "{}: several columns are called `{name}`: rename all but the one that is meant",
                self.shown()
            )));
        }
        Ok(place)
    }

    fn listed(&self) -> String {
        self.header.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
    }

    /// Calls `row` for each line with its number and its fields. Fields that the header has no column for are passed over if they
    /// are empty; lines without any value are too, and are counted.
    ///
    /// # Errors
    /// [`Error::Input`] if a line has too few or too many fields, and what `row` returns.
    pub fn each(&self, mut row: impl FnMut(u64, &csv::StringRecord) -> Result<()>) -> Result<usize> {
        let mut csv = csv::ReaderBuilder::new()
            .delimiter(self.delimiter)
            .has_headers(self.has_header)
            .flexible(true)
            .from_reader(self.text.as_bytes());
        let (mut without_value, columns) = (0, self.header.len());
        for record in csv.records() {
            let mut record = record.map_err(|e| not_csv(&self.data, e))?;
            let line = record.position().map_or(0, |position| self.line(position));
            if record.iter().all(|field| field.trim().is_empty()) {
                without_value += 1;
                continue;
            }
            if record.iter().skip(columns).all(|field| field.trim().is_empty()) {
                record.truncate(columns);
            }
            if record.len() != columns {
                return Err(Error::Input(format!(
                    "{}: line {line}: {} fields where the header has {columns}: put values with commas or quotes in double quotes",
                    self.shown(),
                    record.len()
                )));
            }
            row(line, &record)?;
        }
        Ok(without_value)
    }

    /// The number of a record's line in the file. After a line that ends with CR and LF, the reader stands between the two.
    fn line(&self, position: &csv::Position) -> u64 {
        let between = self.text.as_bytes().get(position.byte() as usize) == Some(&b'\n');
        position.line() + u64::from(between) + self.lines_before
    }

    /// The error for an empty field.
    pub fn empty(&self, line: u64, place: usize) -> Error {
        let (shown, column) = (self.shown(), &self.header[place]);
        Error::Input(format!("{shown}: line {line}: `{column}` is empty: fill it in or remove the line"))
    }

    /// The pictures it names. Relative paths start at the table's folder, or at that of `images`.
    ///
    /// # Errors
    /// [`Error::Input`] if a column is missing or cannot be guessed, if more than half of its files do not exist, or if a cell
    /// holds several labels and nobody said what then.
    pub fn read(&self, request: &Request, images: Option<(&Path, &Walk)>) -> Result<Source> {
        let shown = self.shown();
        let finder = Finder::new(self.folder(), images);
        let Chosen { path, label, groups, split, mut notes } = self.choose(&request.columns, &finder)?;
        let mut found = Collector::new(&request.labelling);
        let mut seen = Seen::default();
        let without_value = self.each(|line, record| {
            seen.rows += 1;
            let (file, cell) = (record[path].trim(), record[label].trim());
            if file.is_empty() {
                seen.without_path += 1;
                return Ok(());
            }
            if is_nothing(cell) {
                *seen.nothing.entry(cell.to_owned()).or_default() += 1;
                return Ok(());
            }
            let Some(class) = seen.label(line, cell, request.labelling.multi) else { return Ok(()) };
            let file = match finder.find(file) {
                Found::File(file) => {
                    seen.found += 1;
                    file
                }
                other => {
                    seen.miss(line, file, &other);
                    return Ok(());
                }
            };
            let groups = groups.iter().map(|&place| record[place].trim());
            let split = split.map(|place| self.set_at(line, place, &record[place])).transpose()?;
            found.add(&file, class, groups, split, Origin::Line(line));
            Ok(())
        })?;
        if seen.rows == 0 {
            return Err(Error::Input(format!("{shown}: a header line and no rows: add a row for each cover")));
        }
        seen.refuse(self, path, request, images)?;
        if without_value > 0 {
            notes.push(format!("{shown}: passed over {without_value} rows without any value"));
        }
        notes.extend(seen.notes(self, path, label, request.labelling.multi));
        if let Some((folder, walk)) = images {
            notes.extend(walk.notes(folder));
            let others = walk.pictures.len().saturating_sub(seen.found);
            if others > 0 {
                notes.push(format!("{}: {others} pictures are not named in {shown}", folder.display()));
            }
        }
        let group_columns: Vec<String> = groups.iter().map(|&place| self.header[place].clone()).collect();
        let mut source = found.finish("table", group_columns, seen.left_out, notes)?;
        let columns = source.group_columns.iter().enumerate();
        source.notes.extend(columns.filter_map(|(place, column)| spanning(&source.rows, place, column)));
        Ok(source)
    }
}

/// A picture that a table names.
pub(in crate::data) struct Named {
    pub path: PathBuf,
    /// Why it is not there.
    pub fault: Option<String>,
    /// Empty where the table does not say.
    pub genre: String,
    pub artist: String,
    pub album: String,
}

impl Table {
    /// The pictures that it names, line by line, also those that are not there. What else is known of them is taken from columns
    /// that are called so.
    ///
    /// # Errors
    /// [`Error::Input`] if the column of paths is missing or cannot be guessed, or if it has no rows.
    pub fn files(&self, columns: &Columns, images: Option<(&Path, &Walk)>) -> Result<(Vec<Named>, Vec<String>)> {
        let (finder, shown) = (Finder::new(self.folder(), images), self.shown());
        let (path, genre, mut notes) = self.choose_files(columns, &finder)?;
        let [artist, album] = ["artist", "album"].map(|name| self.place(name).filter(|&place| place != path));
        let (mut rows, mut without_path) = (Vec::new(), 0);
        self.each(|line, record| {
            let value = record[path].trim();
            if value.is_empty() {
                without_path += 1;
                return Ok(());
            }
            let (path, fault) = match finder.find(value) {
                Found::File(path) => (path, None),
                Found::Missing(path) => (path, Some(NO_FILE)),
                Found::Link => (PathBuf::from(value), Some(LINK)),
                Found::Several => (PathBuf::from(value), Some(SEVERAL)),
            };
            let text = |place: Option<usize>| {
                let value = place.map_or("", |place| record[place].trim());
                if is_nothing(value) { String::new() } else { value.to_owned() }
            };
            let fault = fault.map(|fault| format!("line {line}: {fault}"));
            rows.push(Named { path, fault, genre: text(genre), artist: text(artist), album: text(album) });
            Ok(())
        })?;
        if rows.is_empty() {
            return Err(Error::Input(format!("{shown}: a header line and no rows with a picture: add a row for each")));
        }
        if without_path > 0 {
            notes.push(format!("{shown}: left out {without_path} rows without `{}`", self.header[path]));
        }
        Ok((rows, notes))
    }
}

const NO_FILE: &str = "there is no such file";
const LINK: &str = "a link, not a file: fetch it, and give the folder with --images";
const SEVERAL: &str = "several pictures in the folder of --images have this name";

/// What was seen of a table's rows beside covers.
#[derive(Default)]
struct Seen {
    rows: usize,
    /// Rows whose file is there.
    found: usize,
    without_path: usize,
    /// Rows whose label says that there is none, by what it says.
    nothing: BTreeMap<String, usize>,
    /// Rows with several labels, and the first of them.
    several: usize,
    first_several: Option<(u64, String)>,
    links: usize,
    left_out: Vec<Skipped>,
}

impl Seen {
    /// The label of a cell that may hold several.
    fn label<'a>(&mut self, line: u64, cell: &'a str, multi: Multi) -> Option<&'a str> {
        let labels = labels_in(cell);
        if labels.len() > 1 {
            self.several += 1;
            self.first_several.get_or_insert_with(|| (line, cell.to_owned()));
        }
        match (labels.len(), multi) {
            (0, _) | (2.., Multi::Skip) => None,
            (_, Multi::Keep) => Some(cell),
            _ => Some(labels[0]),
        }
    }

    /// Notes a file that is not there.
    fn miss(&mut self, line: u64, value: &str, found: &Found) {
        let reason = match found {
            Found::Link => {
                self.links += 1;
                LINK
            }
            Found::Several => SEVERAL,
            _ => NO_FILE,
        };
        let path = if let Found::Missing(path) = found { path.as_path() } else { Path::new(value) };
        self.left_out.push(Skipped::new(path, format!("line {line}: {reason}")));
    }

    /// Refuses a table that was not understood.
    fn refuse(&self, table: &Table, path: usize, request: &Request, images: Option<(&Path, &Walk)>) -> Result<()> {
        let shown = table.shown();
        if let (Some((line, cell)), Multi::Error) = (&self.first_several, request.labelling.multi) {
            let sign = ['|', ';'].into_iter().find(|&sign| cell.contains(sign));
            let held = sign.map_or("hold a list".to_owned(), |sign| format!("hold `{sign}`"));
            return Err(Error::Input(format!(
                "{shown}: {} labels {held} and so are several (line {line}: `{cell}`): say with --multi what then: first takes the \
                 first, skip leaves such covers out, keep takes each as one label",
                self.several
            )));
        }
        let (missing, looked) = (self.left_out.len(), self.rows);
        if missing * 2 <= looked {
            return Ok(());
        }
        let column = &table.header[path];
        let first: Vec<String> =
            self.left_out.iter().take(3).map(|skipped| format!("{} ({})", skipped.path, skipped.reason)).collect();
        let more = if missing > first.len() { ", …" } else { "" };
        let remedy = match images {
            _ if self.links * 2 > missing => "fetch the pictures and give their folder with --images".to_owned(),
            Some((folder, _)) => format!("the pictures in {} have other names", folder.display()),
            None => format!(
                "paths in it start at {}; another folder is given with --images, and another column than `{column}` with --path",
                table.folder().display()
            ),
        };
        Err(Error::Input(format!(
            "{shown}: {missing} of {looked} files it names do not exist: {}{more}: {remedy}",
            first.join(", ")
        )))
    }

    fn notes(&self, table: &Table, path: usize, label: usize, multi: Multi) -> Vec<String> {
        let (shown, mut notes) = (table.shown(), Vec::new());
        let [path, label] = [path, label].map(|place| &table.header[place]);
        if self.without_path > 0 {
            notes.push(format!("{shown}: left out {} rows without `{path}`", self.without_path));
        }
        if !self.nothing.is_empty() {
            let count: usize = self.nothing.values().sum();
            let says = |(value, count): (&String, &usize)| {
                if value.is_empty() { format!("empty ({count})") } else { format!("`{value}` ({count})") }
            };
            let listed: Vec<String> = self.nothing.iter().map(says).collect();
            notes.push(format!("{shown}: left out {count} covers whose `{label}` has no value: {}", listed.join(", ")));
        }
        if !self.left_out.is_empty() {
            notes.push(format!("{shown}: left out {} of {} files, which do not exist", self.left_out.len(), self.rows));
        }
        let became = match multi {
            Multi::First => Some("the first counts"),
            Multi::Skip => Some("they are left out"),
            Multi::Error | Multi::Keep => None,
        };
        if let Some(became) = became.filter(|_| self.several > 0) {
            notes.push(format!("{shown}: {} covers have several labels: {became}", self.several));
        }
        notes
    }
}

/// Values of a group column that are named in a note; more are only counted.
const NAMED: usize = 5;

/// What to know if covers of one group are in several sets.
fn spanning(rows: &[Row], place: usize, column: &str) -> Option<String> {
    let mut sets: BTreeMap<String, (&str, [bool; 3])> = BTreeMap::new();
    for row in rows {
        let (value, Some(set)) = (row.strings.group(place), row.split) else { continue };
        if !value.is_empty() {
            sets.entry(value.to_lowercase()).or_insert((value, [false; 3])).1[set as usize] = true;
        }
    }
    sets.retain(|_, (_, sets)| sets.iter().filter(|&&set| set).count() > 1);
    let named: Vec<&str> = sets.values().take(NAMED).map(|(value, _)| *value).collect();
    let more = if sets.len() > NAMED { ", …" } else { "" };
    (!sets.is_empty()).then(|| {
        format!(
            "{} values of `{column}` are in several sets ({}{more}): each goes into the set that most of its covers name; of equal \
             ones test before val before train",
            sets.len(),
            named.join(", ")
        )
    })
}

#[cfg(test)]
mod tests;
