//! Reading the list of pictures from a CSV or TSV file.

use std::fs;
use std::path::Path;

use super::files::cannot_read;
use super::manifest::not_csv;
use super::source::{Columns, Found, Source, collect};
use crate::{Error, Result};

/// Names a label column may have when none is given.
const LABEL_GUESSES: [&str; 3] = ["label", "genre", "class"];

/// Reads the table `data`; relative paths in it start at the folder of `root`, its absolute path.
pub(super) fn read(data: &Path, root: &Path, columns: &Columns) -> Result<Source> {
    let shown = data.display();
    let bytes = fs::read(data).map_err(|e| cannot_read(data, &e))?;
    let text = text_of(data, &bytes)?;
    let delimiter = delimiter(data, text);
    let mut csv = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(text.as_bytes());
    let header = csv.headers().map_err(|e| not_csv(data, e))?.clone();
    let header: Vec<&str> = header.iter().map(str::trim).collect();
    if header.iter().all(|column| column.is_empty()) {
        return Err(Error::Input(format!("{shown}: an empty table: its first line should name the columns")));
    }

    let find = |name: &str| {
        let same = |column: &&str| *column == name;
        let alike = |column: &&str| column.eq_ignore_ascii_case(name);
        header.iter().position(same).or_else(|| header.iter().position(alike))
    };
    let listed = || header.iter().map(|column| format!("`{column}`")).collect::<Vec<_>>().join(", ");
    let no_column =
        |name: &str, remedy: &str| Error::Input(format!("{shown}: no column `{name}`; it has {}: {remedy}", listed()));
    let path_name = columns.path.as_deref().unwrap_or("path");
    let path_place = find(path_name).ok_or_else(|| no_column(path_name, "name the one with the files with --path"))?;
    let mut notes = Vec::new();
    let label_place = match &columns.label {
        Some(name) => find(name).ok_or_else(|| no_column(name, "name the one with the labels with --label"))?,
        None => {
            let remedy = "name the one with the labels with --label";
            let place = LABEL_GUESSES.iter().find_map(|name| find(name)).ok_or_else(|| {
                Error::Input(format!("{shown}: no column `label`, `genre` or `class`; it has {}: {remedy}", listed()))
            })?;
            notes.push(format!("{shown}: labels read from the column `{}`", header[place]));
            place
        }
    };
    let mut group_places = Vec::new();
    for name in &columns.groups {
        let place = find(name).ok_or_else(|| no_column(name, "name columns that it has with --group"))?;
        if !group_places.contains(&place) {
            group_places.push(place);
        }
    }

    let folder = root.parent().unwrap_or(root);
    let mut found = Vec::new();
    for record in csv.records() {
        let record = record.map_err(|e| not_csv(data, e))?;
        let line = record.position().map_or(0, csv::Position::line);
        let (file, label) = (&record[path_place], record[label_place].trim());
        for (value, place) in [(file, path_place), (label, label_place)] {
            if value.is_empty() {
                let column = header[place];
                return Err(Error::Input(format!(
                    "{shown}: line {line}: `{column}` is empty: fill it in or remove the line"
                )));
            }
        }
        found.push(Found {
            path: folder.join(file),
            label: label.to_owned(),
            groups: group_places.iter().map(|&place| record[place].trim().to_owned()).collect(),
            origin: format!("line {line}"),
        });
    }
    if found.is_empty() {
        return Err(Error::Input(format!("{shown}: a header line and no rows: add a row for each cover")));
    }
    check_files_exist(data, folder, &found)?;
    let group_columns = group_places.iter().map(|&place| header[place].to_owned()).collect();
    Ok(collect("table", found, group_columns, Vec::new(), notes))
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

fn check_files_exist(data: &Path, folder: &Path, found: &[Found]) -> Result<()> {
    let missing: Vec<&Found> = found.iter().filter(|item| !item.path.is_file()).collect();
    let Some(first) = missing.first() else {
        return Ok(());
    };
    let names: Vec<String> =
        missing.iter().take(3).map(|item| format!("{} ({})", item.path.display(), item.origin)).collect();
    let more = if missing.len() > names.len() { ", …" } else { "" };
    let remedy = if first.path.starts_with(folder) {
        format!("paths in it start at {}", folder.display())
    } else {
        "correct them or remove the lines".into()
    };
    Err(Error::Input(format!(
        "{}: {} of {} files it names do not exist: {}{more}: {remedy}",
        data.display(),
        missing.len(),
        found.len(),
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn columns(path: Option<&str>, label: Option<&str>, groups: &[&str]) -> Columns {
        Columns {
            path: path.map(Into::into),
            label: label.map(Into::into),
            groups: groups.iter().map(|&group| group.into()).collect(),
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
        match read(&path, &path, columns) {
            Err(Error::Input(said)) => said,
            other => panic!("{other:?}"),
        }
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
            let source = read(&path, &path, &columns(None, None, &["artist"])).unwrap();
            assert_eq!(source.classes, ["Pop", "Rock"]);
            let rows: Vec<_> = source.rows.iter().map(|r| (r.path.clone(), r.label, r.groups[0].as_str())).collect();
            assert_eq!(rows, [(dir.path().join("a.jpg"), 1, "X"), (dir.path().join("b.jpg"), 0, "")]);
            assert_eq!(source.notes.len(), 1);
        }
    }

    #[test]
    fn names_what_is_wrong_with_a_table() {
        let plain = columns(None, None, &[]);
        for (text, columns, cause) in [
            (&b""[..], &plain, "empty table"),
            (b"path,label\n", &plain, "no rows"),
            (b"file,label\na.jpg,x\n", &plain, "no column `path`; it has `file`, `label`"),
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
    fn a_file_named_twice_counts_once_and_a_contradiction_not_at_all() {
        let text = b"path,label\na.jpg,x\n./a.jpg,x\nb.jpg,x\nb.jpg,y\nc.jpg,y\n";
        let (_dir, path) = table("covers.csv", text);
        let source = read(&path, &path, &columns(None, None, &[])).unwrap();
        let names: Vec<_> = source.rows.iter().map(|row| row.path.file_name().unwrap().to_owned()).collect();
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
