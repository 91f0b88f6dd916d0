//! Labels that somebody has looked at: which to keep, which to change, and which covers to leave out. `gatefold labels` writes what
//! may be corrected, its page writes what was decided, and an import applies it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::hint::did_you_mean;
use crate::read::cannot_read;
use crate::shown::{from_spreadsheet, path_text};

use crate::data::set::report::Skipped;
use crate::data::source::table::Table;
use crate::data::source::{Source, labelling};
use crate::{Error, Result};

/// The columns that matter, in the order in which they are written; others may stand beside them.
pub const COLUMNS: [&str; 4] = ["path", "label", "suggestion", "action"];
/// What may be done with a label.
pub const ACTIONS: [&str; 3] = ["keep", "change", "drop"];

/// A file of corrections.
pub(super) struct Corrections {
    /// As the user gave it.
    file: PathBuf,
    rows: Vec<Correction>,
}

struct Correction {
    line: u64,
    path: String,
    /// The class that the cover had when it was looked at.
    label: String,
    action: Action,
}

#[derive(Debug, PartialEq, Eq)]
enum Action {
    Keep,
    Drop,
    /// To this class.
    Change(String),
}

impl Corrections {
    /// Reads the file. Rows without an action say nothing.
    ///
    /// # Errors
    /// [`Error::Input`] naming file and line if it is no table of corrections, or if two rows contradict each other.
    pub fn read(file: &Path) -> Result<Self> {
        let root = std::path::absolute(file).map_err(|e| cannot_read(file, &e))?;
        let table = Table::open(file, &root)?;
        let remedy = "give the corrections.csv that the page of `gatefold labels` saved, or labels.csv with its column `action` filled in";
        let [path, label, suggestion, action] = COLUMNS.map(|name| table.need(name, remedy));
        let (path, label, suggestion, action) = (path?, label?, suggestion?, action?);
        let (mut rows, mut by_path): (Vec<Correction>, HashMap<String, usize>) = (Vec::new(), HashMap::new());
        table.each(|line, record| {
            let bad = |what: String| Err(Error::Input(format!("{}: line {line}: {what}", table.shown())));
            let own = |place: usize| record[place].trim().to_owned();
            let action = match own(action).to_lowercase().as_str() {
                "" => return Ok(()),
                "keep" => Action::Keep,
                "drop" => Action::Drop,
                "change" if own(suggestion).is_empty() => {
                    return bad("says change, and `suggestion` is empty: write the class in".to_owned());
                }
                "change" => Action::Change(own(suggestion)),
                other => {
                    let hint = did_you_mean(other, &ACTIONS);
                    return bad(format!("action `{other}` is not keep, change or drop{hint}"));
                }
            };
            let row = Correction { line, path: record[path].to_owned(), label: own(label), action };
            if row.path.trim().is_empty() {
                return Err(table.empty(line, path));
            }
            if let Some(&earlier) = by_path.get(&row.path) {
                let Correction { line: before, action, .. } = &rows[earlier];
                if *action != row.action {
                    return bad(format!("says something else of {} than line {before}: remove one of them", row.path));
                }
                return Ok(());
            }
            by_path.insert(row.path.clone(), rows.len());
            rows.push(row);
            Ok(())
        })?;
        if rows.is_empty() {
            let shown = table.shown();
            return Err(Error::Input(format!(
                "{shown}: no row has an action, so there is nothing to apply: write keep, change or drop into `action`, or leave \
                 --corrections out"
            )));
        }
        Ok(Self { file: file.to_owned(), rows })
    }

    /// Changes labels and leaves covers out, and notes what came of it.
    ///
    /// # Errors
    /// [`Error::Input`] if a label is no longer what it was, if a class does not exist, or if none of the covers is there.
    pub fn apply(&self, source: &mut Source) -> Result<()> {
        let file = self.file.display();
        let places = self.find(source);
        let (mut changed, mut kept, mut already, mut gone) = (0, 0, 0, Vec::new());
        let mut drop = vec![false; source.rows.len()];
        for (row, place) in self.rows.iter().zip(places) {
            let Some(place) = place else {
                gone.push(row);
                continue;
            };
            let class = &source.classes[source.rows[place].label];
            let Correction { line, path, label, action } = row;
            let wanted = match action {
                Action::Change(to) => Some(source.classes.iter().position(|class| is(class, to)).ok_or_else(|| {
                    let (hint, has) = (did_you_mean(to, &source.classes), source.classes.join(", "));
                    Error::Input(format!("{file}: line {line}: there is no class `{to}`{hint}; there are: {has}"))
                })?),
                _ => None,
            };
            if !is(class, label) && wanted.is_none_or(|to| to != source.rows[place].label) {
                return Err(Error::Input(format!(
                    "{file}: line {line}: {path} is labelled `{class}`, and not `{label}` any more: look at it again, or remove the line"
                )));
            }
            match wanted {
                Some(to) if to == source.rows[place].label => already += 1,
                Some(to) => {
                    source.rows[place].label = to;
                    changed += 1;
                }
                None if *action == Action::Drop => drop[place] = true,
                None => kept += 1,
            }
        }
        if gone.len() == self.rows.len() {
            return Err(Error::Input(format!(
                "{file}: none of its {} covers is in the source, such as {}: give the source that the labels were looked at in",
                gone.len(),
                gone[0].path
            )));
        }
        let dropped = self.leave_out(source, &drop);
        let mut note = format!("{file}: {changed} labels changed, {dropped} covers left out, {kept} labels kept");
        if already > 0 {
            note += &format!(", {already} changed already");
        }
        if let Some(first) = gone.first() {
            note += &format!("; {} of its covers are not here, such as {}", gone.len(), first.path);
        }
        source.notes.push(note);
        labelling::remove_empty(source);
        Ok(())
    }

    /// The rows that are meant: by the path as it is written, else by the file that it leads to.
    fn find(&self, source: &Source) -> Vec<Option<usize>> {
        let by_text: HashMap<&str, usize> =
            source.rows.iter().zip(0..).map(|(row, i)| (row.strings.path_text(), i)).collect();
        let mut places: Vec<Option<usize>> = self
            .rows
            .iter()
            .map(|row| by_text.get(row.path.as_str()).or_else(|| by_text.get(row.path.trim())).copied())
            .collect();
        if places.contains(&None) {
            let folder = std::path::absolute(&self.file).ok().and_then(|file| file.parent().map(Path::to_owned));
            let folder = folder.unwrap_or_default();
            let by_file: HashMap<PathBuf, usize> = source
                .rows
                .iter()
                .zip(0..)
                .filter_map(|(row, i)| Some((fs::canonicalize(row.strings.path()).ok()?, i)))
                .collect();
            for (place, row) in places.iter_mut().zip(&self.rows).filter(|(place, _)| place.is_none()) {
                let real = fs::canonicalize(folder.join(row.path.trim())).ok();
                *place = real.and_then(|real| by_file.get(&real).copied());
            }
        }
        places
    }

    fn leave_out(&self, source: &mut Source, drop: &[bool]) -> usize {
        let (file, mut dropped) = (path_text(&self.file), 0);
        let mut number = 0..;
        let Source { rows, left_out, .. } = source;
        rows.retain(|row| {
            let out = number.next().is_some_and(|i: usize| drop[i]);
            if out {
                dropped += 1;
                left_out.push(Skipped::new(row.strings.path(), format!("left out by {file}")));
            }
            !out
        });
        dropped
    }
}

/// Whether a class is meant, be it with the apostrophe that keeps spreadsheets from computing it.
fn is(class: &str, written: &str) -> bool {
    class == written || class == from_spreadsheet(written)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::source::{Columns, Request};

    /// A table of six covers, whose files are there and empty.
    struct Covers(tempfile::TempDir);

    impl Covers {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let mut table = "path,genre\n".to_owned();
            for (name, class) in [
                ("a.jpg", "Rock"),
                ("b, \"x\".jpg", "Rock"),
                ("c.jpg", "Jazz"),
                ("d.jpg", "Jazz"),
                ("e.jpg", "=Pop"),
                ("f.jpg", "=Pop"),
            ] {
                fs::write(dir.path().join(name), "").unwrap();
                table += &format!("\"{}\",{class}\n", name.replace('"', "\"\""));
            }
            fs::write(dir.path().join("covers.csv"), table).unwrap();
            Self(dir)
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().replace('"', "\"\"")
        }

        /// What an import would read with these corrections.
        fn read(&self, corrections: &str) -> Result<Source> {
            let file = self.0.path().join("corrections.csv");
            fs::write(&file, corrections).unwrap();
            let request = Request::new(&self.0.path().join("covers.csv"), &Columns::default());
            Request { corrections: Some(file), ..request }.read()
        }

        fn refused(&self, corrections: &str, parts: &[&str]) {
            let said = self.read(corrections).unwrap_err();
            assert!(matches!(said, Error::Input(_)));
            let said = said.to_string();
            assert!(parts.iter().all(|part| said.contains(part)) && !said.contains('\n'), "{parts:?}: {said}");
        }
    }

    fn labels(source: &Source) -> Vec<(&str, &str)> {
        let told = source.rows.iter().map(|row| {
            let file = row.strings.path().file_name().unwrap().to_str().unwrap();
            (file, source.classes[row.label].as_str())
        });
        told.collect()
    }

    const HEAD: &str = "path,label,suggestion,action\r\n";

    #[test]
    fn labels_are_changed_kept_and_left_out_whoever_saved_the_file() {
        let covers = Covers::new();
        let [a, b, c, e] = ["a.jpg", "b, \"x\".jpg", "c.jpg", "e.jpg"].map(|name| covers.path(name));
        let rows = [
            format!("\"{a}\",Rock,Jazz,keep"),
            format!("\"{b}\",Rock,'=Pop,Change"),
            format!("\"{c}\",Jazz,Rock,drop"),
            format!("\"{e}\",'=Pop,Rock,"),
        ];
        let wanted =
            [("a.jpg", "Rock"), ("b, \"x\".jpg", "=Pop"), ("d.jpg", "Jazz"), ("e.jpg", "=Pop"), ("f.jpg", "=Pop")];
        let source = covers.read(&format!("{HEAD}{}\r\n", rows.join("\r\n"))).unwrap();
        assert_eq!(labels(&source), wanted);
        let note = source.notes.iter().find(|note| note.contains("corrections.csv")).unwrap();
        assert!(note.ends_with("1 labels changed, 1 covers left out, 1 labels kept"), "{note}");
        assert!(source.left_out[0].path.ends_with("c.jpg") && source.left_out[0].reason.contains("left out by"));
        // As a spreadsheet of another country saves it, with other columns and a relative path.
        let table =
            "\u{feff}action;score;label;suggestion;path\r\nchange;0,93;Rock;Jazz;a.jpg\r\n;;Rock;Jazz;d.jpg\r\n";
        let source = covers.read(table).unwrap();
        assert_eq!(labels(&source)[0], ("a.jpg", "Jazz"));
        // A class that loses its last cover is gone.
        let gone = format!("{HEAD}c.jpg,Jazz,,drop\nd.jpg,Jazz,Rock,change\nz.jpg,Jazz,Rock,change\n");
        let source = covers.read(&gone).unwrap();
        assert_eq!(source.classes, ["=Pop", "Rock"]);
        assert!(source.notes.iter().any(|note| note.contains("1 of its covers are not here, such as z.jpg")));
        // What was corrected in the source since then is no contradiction.
        let source = covers.read(&format!("{HEAD}a.jpg,Jazz,Rock,change\n")).unwrap();
        assert!(source.notes.iter().any(|note| note.contains("1 changed already")));
    }

    #[test]
    fn what_cannot_be_applied_is_refused_with_its_line() {
        let covers = Covers::new();
        let a = covers.path("a.jpg");
        let refused = |rows: &str, parts: &[&str]| covers.refused(&format!("{HEAD}{rows}"), parts);
        refused(&format!("{a},Rock,Jaz,change\n"), &["line 2", "no class `Jaz`", "did you mean Jazz?"]);
        refused(&format!("{a},Jazz,Pop,drop\n"), &["line 2", "is labelled `Rock`, and not `Jazz` any more"]);
        refused(&format!("{a},Rock,,change\n"), &["line 2", "`suggestion` is empty"]);
        refused(&format!("{a},Rock,Jazz,chnge\n"), &["line 2", "action `chnge`", "did you mean change?"]);
        refused(&format!("{a},Rock,Jazz,keep\n{a},Rock,Jazz,drop\n"), &["line 3", "than line 2"]);
        refused(",Rock,Jazz,keep\n", &["line 2", "`path` is empty"]);
        refused(&format!("{a},Rock,Jazz,\n"), &["no row has an action"]);
        refused("z.jpg,Rock,Jazz,drop\n", &["none of its 1 covers is in the source", "z.jpg"]);
        refused(&format!("{a},Rock\n"), &["line 2", "2 fields"]);
        covers.refused(
            "path,label,action\na.jpg,Rock,keep\n",
            &["no column `suggestion`", "corrections.csv that the page"],
        );
        covers.refused("", &["corrections.csv"]);
        covers.refused("{\"a\": 1}", &["no column `path`"]);
    }
}
