use super::*;
use crate::data::source::{Columns, Labelling};
use std::fs;

fn columns(path: Option<&str>, label: Option<&str>, groups: &[&str]) -> Columns {
    Columns {
        path: path.map(Into::into),
        label: label.map(Into::into),
        group: groups.iter().map(|&group| group.into()).collect(),
        ..Columns::default()
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
    Table::open(data, data)?.read(&Request::new(data, columns), None)
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
        (b"path,label\na.jpg,x,y\n", &plain, "line 2: 3 fields"),
        (b"path,label\na.jpg,Caf\xe9\n", &plain, "line 2 is not UTF-8"),
        (b"\xff\xfep\0a\0t\0h\0", &plain, "no column `label`, `genre` or `class`; it has `path`"),
        (b"path,label,label\na.jpg,x,y\n", &plain, "several columns are called `label`"),
        (b"path,label\na.jpg,\"x\nb.jpg,y\n", &plain, "line 2: a quotation mark opens here"),
        (b"path,label\nhttp://a/1.jpg,x\nhttps://a/2.jpg,y\n", &plain, "fetch the pictures"),
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

/// A table of a header and three lines, all of its files there.
fn read_with(text: &str, labelling: Labelling) -> Result<Source> {
    let (_dir, path) = table("covers.csv", text.as_bytes());
    let request = Request { labelling, ..Request::new(&path, &columns(None, None, &[])) };
    Table::open(&path, &path)?.read(&request, None)
}

fn labels(source: &Source) -> Vec<&str> {
    source.rows.iter().map(|row| source.classes[row.label].as_str()).collect()
}

#[test]
fn rows_that_say_nothing_are_left_out_and_counted() {
    let text = "path,genre,note\na.jpg,Rock,\n,,\nb.jpg,N/A,x\n,Jazz,x\nc.jpg,?,x\nc.jpg,Jazz,x,,\n";
    let source = read_with(text, Labelling::default()).unwrap();
    assert_eq!(labels(&source), ["Rock", "Jazz"]);
    for note in
        ["1 rows without any value", "1 rows without `path`", "2 covers whose `genre` has no value: `?` (1), `N/A` (1)"]
    {
        assert!(source.notes.iter().any(|said| said.contains(note)), "{note}: {:#?}", source.notes);
    }
}

#[test]
fn several_labels_in_a_cell_are_what_the_user_says() {
    let text = "path,genre\r\na.jpg,Rock|Pop\r\nb.jpg,Jazz\r\nc.jpg,\"Folk, World\"\r\n";
    let with = |multi| read_with(text, Labelling { multi, ..Labelling::default() });
    let said = with(Multi::Error).unwrap_err().to_string();
    assert!(
        said.contains("1 labels hold `|`") && said.contains("(line 2: `Rock|Pop`)") && said.contains("--multi"),
        "{said}"
    );
    for (multi, wanted) in [
        (Multi::First, &["Rock", "Jazz", "Folk, World"][..]),
        (Multi::Skip, &["Jazz", "Folk, World"]),
        (Multi::Keep, &["Rock|Pop", "Jazz", "Folk, World"]),
    ] {
        assert_eq!(labels(&with(multi).unwrap()), wanted);
    }
}

#[test]
fn genre_beats_label_and_a_guess_among_several_is_told() {
    let source =
        read_with("path,label,artist,genre\na.jpg,4AD,x,Rock\nb.jpg,Warp,y,Pop\n", Labelling::default()).unwrap();
    assert_eq!(source.classes, ["Pop", "Rock"]);
    assert!(source.notes[0].contains("labels from `genre` (and not `label`"), "{:?}", source.notes);
    let source = read_with("path,label,artist\na.jpg,4AD,x\nb.jpg,Warp,y\n", Labelling::default()).unwrap();
    assert!(source.notes.iter().any(|note| note.contains("may be the record company")), "{:?}", source.notes);
}

#[test]
fn a_table_without_a_header_is_read_by_its_values() {
    let source = read_with("a.jpg,Rock\nb.jpg,Pop\nc.jpg,Rock\na.jpg,Rock\n", Labelling::default()).unwrap();
    assert_eq!(labels(&source), ["Rock", "Pop", "Rock"]);
    assert!(source.notes[0].contains("files from `column1`, labels from `column2`"), "{:?}", source.notes);
    assert!(source.notes[1].contains("no header line: its columns are `column1`, `column2`"), "{:?}", source.notes);
}

#[test]
fn missing_files_are_left_out_with_their_lines() {
    let source = read_with("path,genre\na.jpg,Rock\ngone.jpg,Rock\nb.jpg,Pop\n", Labelling::default()).unwrap();
    assert_eq!(labels(&source), ["Rock", "Pop"]);
    assert_eq!(source.left_out[0].reason, "line 3: there is no such file");
    assert!(source.notes.iter().any(|note| note.contains("left out 1 of 3 files")), "{:?}", source.notes);
}
