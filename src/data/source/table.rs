//! Reading the list of pictures from a CSV or TSV file.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use gatefold_engine::file::cannot_read;

use crate::data::set::manifest::not_csv;
use crate::data::set::split::Split;
use crate::data::source::collect::{Collector, Origin};
use crate::data::source::walk::is_picture;
use crate::data::source::{Columns, Row, Source, set_named};
use crate::{Error, Result};

/// Names that columns have where nobody says which they are, best first; compared without case, blanks and underscores.
const PATHS: [&str; 9] = ["path", "file", "filename", "filepath", "image", "imagepath", "picture", "cover", "img"];
pub(super) const LABELS: [&str; 8] = ["label", "genre", "class", "category", "genrelabel", "style", "tag", "target"];
const GROUPS: [&str; 8] =
    ["artist", "artistid", "artistname", "msdartistid", "album", "albumid", "albumindex", "release"];

const SPLITS: [&str; 3] = ["split", "set", "subset"];

/// A table that was read, its columns not yet looked at.
pub(in crate::data) struct Table {
    /// As the user gave it.
    data: PathBuf,
    /// Absolute.
    root: PathBuf,
    bytes: Vec<u8>,
    delimiter: u8,
    pub header: Vec<String>,
}

impl Table {
    /// Reads the file. `root` is its absolute path.
    ///
    /// # Errors
    /// [`Error::Input`] if it cannot be read, is no text, or has no header.
    pub fn open(data: &Path, root: &Path) -> Result<Self> {
        let bytes = fs::read(data).map_err(|e| cannot_read(data, &e))?;
        let text = text_of(data, &bytes)?;
        let delimiter = delimiter(data, text);
        let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
        let header: Vec<String> =
            csv.headers().map_err(|e| not_csv(data, e))?.iter().map(|c| c.trim().to_owned()).collect();
        if header.iter().all(String::is_empty) {
            let text = format!("{}: an empty table: its first line should name the columns", data.display());
            return Err(Error::Input(text));
        }
        Ok(Self { data: data.to_owned(), root: root.to_owned(), bytes, delimiter, header })
    }

    /// The whole file, without a byte-order mark.
    pub fn text(&self) -> &str {
        text_of(&self.data, &self.bytes).unwrap_or_default()
    }

    /// Whether this is MSD-I's table: tracks, links and genres.
    pub fn is_msd_i(&self) -> bool {
        self.place("msd_track_id").is_some() && self.place("image_url").is_some()
    }

    /// The path as the user gave it.
    pub fn shown(&self) -> std::path::Display<'_> {
        self.data.display()
    }

    /// The column of this name, else one that differs only in case.
    pub fn place(&self, name: &str) -> Option<usize> {
        let same = self.header.iter().position(|column| column == name);
        same.or_else(|| self.header.iter().position(|column| column.eq_ignore_ascii_case(name)))
    }

    /// The column of this name, or what to do about it.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none.
    pub fn need(&self, name: &str, remedy: &str) -> Result<usize> {
        self.place(name).ok_or_else(|| {
            Error::Input(format!("{}: no column `{name}`; it has {}: {remedy}", self.shown(), self.listed()))
        })
    }

    fn listed(&self) -> String {
        self.header.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ")
    }

    /// Calls `row` for each line with its number and its fields.
    ///
    /// # Errors
    /// [`Error::Input`] if a line has too few or too many fields, and what `row` returns.
    pub fn each(&self, mut row: impl FnMut(u64, &csv::StringRecord) -> Result<()>) -> Result<()> {
        let mut csv = csv::ReaderBuilder::new().delimiter(self.delimiter).from_reader(self.text().as_bytes());
        for record in csv.records() {
            let record = record.map_err(|e| not_csv(&self.data, e))?;
            row(record.position().map_or(0, csv::Position::line), &record)?;
        }
        Ok(())
    }

    /// The error for an empty field.
    pub fn empty(&self, line: u64, place: usize) -> Error {
        let (shown, column) = (self.shown(), &self.header[place]);
        Error::Input(format!("{shown}: line {line}: `{column}` is empty: fill it in or remove the line"))
    }

    /// Columns that have one of these names, in the order of the names.
    pub(super) fn guesses(&self, names: &[&str]) -> Vec<usize> {
        let plain = |text: &str| text.to_lowercase().replace([' ', '_', '-'], "");
        let known = |name: &&str| self.header.iter().position(|column| plain(column) == **name);
        let mut found: Vec<usize> = names.iter().filter_map(known).collect();
        found.dedup();
        found
    }

    /// The column most of whose first values end like a picture's file name.
    fn guess_path_by_values(&self) -> Option<usize> {
        let (mut votes, mut rows) = (vec![0; self.header.len()], 0);
        self.each(|_, record| {
            if rows < 100 {
                rows += 1;
                record
                    .iter()
                    .zip(&mut votes)
                    .for_each(|(value, votes)| *votes += usize::from(is_picture(Path::new(value))));
            }
            Ok(())
        })
        .ok()?;
        (0..votes.len()).find(|&place| votes[place] * 2 > rows)
    }

    /// The set that a line names.
    fn set_at(&self, line: u64, place: usize, value: &str) -> Result<Split> {
        set_named(value).ok_or_else(|| {
            let (shown, column) = (self.shown(), &self.header[place]);
            Error::Input(format!(
                "{shown}: line {line}: `{column}` is `{value}`, which is no set: write train, val or test, or leave the column \
                 alone with --split-column none"
            ))
        })
    }

    /// Why this column does not tell the sets; none if it does.
    fn sets_in(&self, place: usize) -> Result<Option<String>> {
        let (mut found, mut other) = ([false; 3], None);
        self.each(|line, record| {
            match set_named(&record[place]) {
                Some(set) => found[set as usize] = true,
                None if other.is_none() => other = Some(format!("line {line} says `{}`", &record[place])),
                None => {}
            }
            Ok(())
        })?;
        let lacks =
            || (!found[0] || found == [true, false, false]).then(|| "it names no train set and another one".into());
        Ok(other.or_else(lacks))
    }

    /// The pictures it names. Relative paths start at the table's folder.
    ///
    /// # Errors
    /// [`Error::Input`] if a column is missing or cannot be guessed, a field is empty, or a file does not exist.
    pub fn read(&self, columns: &Columns) -> Result<Source> {
        let shown = self.shown();
        let mut guessed = Vec::new();
        let path_remedy = "name the one with the files with --path";
        let path_place = match &columns.path {
            Some(name) => self.need(name, path_remedy)?,
            None => {
                let guess = self.guesses(&PATHS).first().copied().or_else(|| self.guess_path_by_values());
                let Some(place) = guess else { return self.need("path", path_remedy).and(Err(Error::run("no path"))) };
                guessed.push(format!("files from `{}`", self.header[place]));
                place
            }
        };
        let label_place = match &columns.label {
            Some(name) => self.need(name, "name the one with the labels with --label")?,
            None => {
                let guess = self.guesses(&LABELS).into_iter().find(|&place| place != path_place);
                let place = guess.ok_or_else(|| {
                    Error::Input(format!(
                        "{shown}: no column `label`, `genre` or `class`; it has {}: name the one with the labels with \
                         --label",
                        self.listed()
                    ))
                })?;
                guessed.push(format!("labels from `{}`", self.header[place]));
                place
            }
        };
        let mut group_places = Vec::new();
        if columns.group.is_empty() {
            group_places = self.guesses(&GROUPS);
            group_places.retain(|&place| place != path_place && place != label_place);
            if !group_places.is_empty() {
                let names: Vec<_> = group_places.iter().map(|&place| format!("`{}`", self.header[place])).collect();
                guessed.push(format!("groups to keep whole from {} (--group none for none)", names.join(" and ")));
            }
        } else if !columns.ungrouped() || self.place("none").is_some() {
            for name in &columns.group {
                let place = self.need(name, "name columns that it has with --group")?;
                if !group_places.contains(&place) {
                    group_places.push(place);
                }
            }
        }

        let mut notes = Vec::new();
        let taken = [&[path_place, label_place], &group_places[..]].concat();
        let split_place = match &columns.split_column {
            Some(name) if name.eq_ignore_ascii_case("none") && self.place(name).is_none() => None,
            Some(name) => Some(self.need(name, "name the one with the sets with --split-column, or none")?),
            None => {
                let place = self.guesses(&SPLITS).into_iter().find(|place| !taken.contains(place));
                let place = place.map(|place| self.sets_in(place).map(|fault| (place, fault))).transpose()?;
                if let Some((place, Some(fault))) = &place {
                    notes.push(format!("{shown}: `{}` is not taken for a split: {fault}", self.header[*place]));
                }
                place.filter(|(_, fault)| fault.is_none()).map(|(place, _)| place)
            }
        };
        if let (Some(place), None) = (split_place, &columns.split_column) {
            guessed.push(format!("sets from `{}` (--split-column none for none)", self.header[place]));
        }

        let folder = self.root.parent().unwrap_or(&self.root);
        let (mut found, mut missing) = (Collector::default(), Missing::default());
        self.each(|line, record| {
            let (file, label) = (&record[path_place], record[label_place].trim());
            for (value, place) in [(file, path_place), (label, label_place)] {
                if value.is_empty() {
                    return Err(self.empty(line, place));
                }
            }
            let path = folder.join(file);
            missing.look(&path, line);
            let groups = group_places.iter().map(|&place| record[place].trim());
            let split = split_place.map(|place| self.set_at(line, place, &record[place])).transpose()?;
            found.add(&path, label, groups, split, Origin::Line(line));
            Ok(())
        })?;
        if found.is_empty() {
            return Err(Error::Input(format!("{shown}: a header line and no rows: add a row for each cover")));
        }
        missing.refuse(&self.data, folder)?;
        let group_columns: Vec<String> = group_places.iter().map(|&place| self.header[place].clone()).collect();
        if !guessed.is_empty() {
            notes.insert(0, format!("{shown}: guessed {}", guessed.join(", ")));
        }
        let mut source = found.finish("table", group_columns, Vec::new(), notes);
        let columns = source.group_columns.iter().enumerate();
        source.notes.extend(columns.filter_map(|(place, column)| spanning(&source.rows, place, column)));
        Ok(source)
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

/// The table as text, without a byte-order mark.
fn text_of<'a>(data: &Path, bytes: &'a [u8]) -> Result<&'a str> {
    let shown = data.display();
    if image::guess_format(bytes).is_ok() {
        return Err(Error::Input(format!("{shown}: a picture, not a table: give a folder per class or a CSV")));
    }
    let text = std::str::from_utf8(bytes).map_err(|e| {
        let line = bytes[..e.valid_up_to()].iter().filter(|&&b| b == b'\n').count() + 1;
        Error::Input(format!("{shown}: line {line} is not UTF-8: save the table as CSV in UTF-8"))
    })?;
    Ok(text.strip_prefix('\u{feff}').unwrap_or(text))
}

/// The character between fields: a tab in a .tsv, else whichever the header line has most of.
fn delimiter(data: &Path, text: &str) -> u8 {
    if data.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv") || e.eq_ignore_ascii_case("tab")) {
        return b'\t';
    }
    let header = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| header.bytes().filter(|&b| b == delimiter).count();
    // The last of equals wins, so a header of one column is read as comma-separated.
    [b';', b'\t', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

/// Files that a table names and that are not there.
#[derive(Default)]
struct Missing {
    looked: usize,
    missing: usize,
    /// The first of them, with their lines.
    first: Vec<(PathBuf, u64)>,
}

impl Missing {
    fn look(&mut self, path: &Path, line: u64) {
        self.looked += 1;
        if path.is_file() {
            return;
        }
        self.missing += 1;
        if self.first.len() < 3 {
            self.first.push((path.to_owned(), line));
        }
    }

    fn refuse(&self, data: &Path, folder: &Path) -> Result<()> {
        let Self { looked, missing, first } = self;
        let Some((example, _)) = first.first() else {
            return Ok(());
        };
        let names: Vec<String> = first.iter().map(|(path, line)| format!("{} (line {line})", path.display())).collect();
        let more = if *missing > names.len() { ", …" } else { "" };
        let remedy = if example.starts_with(folder) {
            format!("paths in it start at {}", folder.display())
        } else {
            "correct them or remove the lines".into()
        };
        Err(Error::Input(format!(
            "{}: {missing} of {looked} files it names do not exist: {}{more}: {remedy}",
            data.display(),
            names.join(", ")
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn columns(path: Option<&str>, label: Option<&str>, groups: &[&str]) -> Columns {
        Columns {
            path: path.map(Into::into),
            label: label.map(Into::into),
            group: groups.iter().map(|&group| group.into()).collect(),
            split_column: None,
        }
    }

    /// A folder with three (empty) files and a table.
    fn table(name: &str, text: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        for file in ["a.jpg", "b.jpg", "c.jpg"] {
            fs::write(dir.path().join(file), "").unwrap();
        }
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        (dir, path)
    }

    fn error(text: &[u8], columns: &Columns) -> String {
        let (_dir, path) = table("covers.csv", text);
        match read(&path, columns) {
            Err(Error::Input(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    fn read(data: &Path, columns: &Columns) -> Result<Source> {
        Table::open(data, data)?.read(columns)
    }

    #[test]
    fn reads_commas_tabs_semicolons_and_marks() {
        for (name, text) in [
            ("t.csv", "path,Genre,artist\na.jpg, Rock ,X\nb.jpg,\"Pop\",\n"),
            ("t.csv", "\u{feff}path;Genre;artist\r\na.jpg;Rock;X\r\n\r\nb.jpg;Pop;\r\n"),
            ("t.tsv", "artist\tpath\tGenre\nX\ta.jpg\tRock\n\tb.jpg\tPop"),
            ("t.txt", "Genre\tPath\tartist\nRock\ta.jpg\tX\nPop\tb.jpg\t\n"),
        ] {
            let (dir, path) = table(name, text.as_bytes());
            let source = read(&path, &columns(None, None, &["artist"])).unwrap();
            assert_eq!(source.classes, ["Pop", "Rock"]);
            let rows: Vec<_> = source.rows.iter().map(|r| (r.strings.path(), r.label, r.strings.group(0))).collect();
            let [a, b] = ["a.jpg", "b.jpg"].map(|name| dir.path().join(name));
            assert_eq!(rows, [(&*a, 1, "X"), (&*b, 0, "")]);
            assert_eq!(source.notes.len(), 1);
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_table() {
        let plain = columns(None, None, &[]);
        for (text, columns, cause) in [
            (&b""[..], &plain, "empty table"),
            (b"path,label\n", &plain, "no rows"),
            (b"number,label\n7,x\n", &plain, "no column `path`; it has `number`, `label`"),
            (b"path,kind\na.jpg,x\n", &plain, "no column `label`, `genre` or `class`; it has `path`, `kind`"),
            (b"path,label\na.jpg,x\n", &columns(None, Some("genre"), &[]), "no column `genre`"),
            (b"path,label\na.jpg,x\n", &columns(None, None, &["artist"]), "no column `artist`"),
            (b"path,label\na.jpg,x\nb.jpg, \n", &plain, "line 3: `label` is empty"),
            (b"path,label\n,x\n", &plain, "line 2: `path` is empty"),
            (b"path,label\na.jpg,x,y\n", &plain, "line 2: 3 fields"),
            (b"path,label\na.jpg,Caf\xe9\n", &plain, "line 2 is not UTF-8"),
            (b"\xff\xfep\0a\0t\0h\0", &plain, "line 1 is not UTF-8"),
            (b"GIF89a", &plain, "a picture, not a table"),
            (b"path,label\nd.jpg,x\ne.jpg,x\na.jpg,x\n", &plain, "2 of 3 files it names do not exist"),
        ] {
            let said = error(text, columns);
            assert!(said.contains(cause) && said.contains("covers.csv") && !said.contains('\n'), "{cause}: {said}");
        }
    }

    #[test]
    fn columns_are_guessed_from_the_header_and_the_guess_is_told() {
        for (text, wanted) in [
            ("Image_Path,Genre,Artist ID,year\na.jpg,x,1,2\n", "files from `Image_Path`, labels from `Genre`, groups"),
            ("genre_label,album,what\nx,1,a.jpg\ny,2,b.jpg\n", "files from `what`, labels from `genre_label`, groups"),
        ] {
            let (_dir, path) = table("t.csv", text.as_bytes());
            let source = read(&path, &columns(None, None, &[])).unwrap();
            assert!(source.notes[0].contains(wanted), "{:?}", source.notes);
            assert_eq!((source.group_columns.len(), source.grouping.len()), (1, 1));
            let none = read(&path, &columns(None, None, &["none"])).unwrap();
            assert!(none.group_columns.is_empty() && !none.notes[0].contains("groups"), "{:?}", none.notes);
        }
    }

    #[test]
    fn a_file_named_twice_counts_once_and_a_contradiction_not_at_all() {
        let text = b"path,label\na.jpg,x\n./a.jpg,x\nb.jpg,x\nb.jpg,y\nc.jpg,y\n";
        let (_dir, path) = table("covers.csv", text);
        let source = read(&path, &columns(None, None, &[])).unwrap();
        let names: Vec<_> = source.rows.iter().map(|row| row.strings.path().file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.jpg", "c.jpg"]);
        let reasons: Vec<_> = source.left_out.iter().map(|skipped| skipped.reason.as_str()).collect();
        assert_eq!(
            reasons,
            [
                "line 3: the same file as line 2",
                "line 5: labelled `y`, but `x` in line 4",
                "line 4: named again with another label"
            ]
        );
    }
}
