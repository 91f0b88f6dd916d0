//! Which columns of a table have the pictures, the labels, the groups and the sets?

use std::collections::BTreeSet;
use std::path::Path;

use super::Table;
use crate::data::set::split::Split;
use crate::data::set::ties::plain;
use crate::data::source::Columns;
use crate::data::source::find::{Finder, Found};
use crate::data::source::kind::is_picture;
use crate::data::source::labelling::is_nothing;
use crate::data::source::sets::set_named;
use crate::{Error, Result};

/// Names that columns have where nobody says which they are, best first; compared without case, blanks and underscores.
const PATHS: [&str; 14] = [
    "path",
    "file",
    "filename",
    "filepath",
    "image",
    "imagepath",
    "imagefile",
    "imagefilename",
    "picture",
    "cover",
    "coverpath",
    "img",
    "imgpath",
    "artwork",
];
/// In music a `label` is the record company where there is a genre beside it.
const LABELS: [&str; 14] = [
    "genre",
    "genrelabel",
    "maingenre",
    "primarygenre",
    "label",
    "class",
    "classname",
    "category",
    "style",
    "tag",
    "target",
    "genres",
    "styles",
    "tags",
];
const GROUPS: [&str; 8] =
    ["artist", "artistid", "artistname", "msdartistid", "album", "albumid", "albumindex", "release"];
const SPLITS: [&str; 4] = ["split", "set", "subset", "fold"];

/// Rows that a guess by values looks at.
const LOOKED_AT: usize = 100;

/// The columns of a table, by place.
pub(super) struct Chosen {
    pub path: usize,
    pub label: usize,
    pub groups: Vec<usize>,
    pub split: Option<usize>,
    /// What was guessed.
    pub notes: Vec<String>,
}

impl Table {
    /// The columns that are named, and for the others the likeliest.
    ///
    /// # Errors
    /// [`Error::Input`] if one is missing, or cannot be guessed.
    pub(super) fn choose(&self, columns: &Columns, finder: &Finder) -> Result<Chosen> {
        let shown = self.shown();
        let (mut guessed, mut notes) = (Vec::new(), Vec::new());
        if !self.has_header {
            notes.push(format!("{shown}: no header line: its columns are {}", self.listed()));
        }
        let path = self.choose_path(columns, finder, &mut guessed)?;
        let label = self.choose_label(columns, path, &mut guessed, &mut notes)?;
        let mut groups = Vec::new();
        if columns.group.is_empty() {
            groups = self.guesses(&GROUPS);
            groups.retain(|&place| place != path && place != label);
            if !groups.is_empty() {
                let names: Vec<_> = groups.iter().map(|&place| format!("`{}`", self.header[place])).collect();
                guessed.push(format!("groups to keep whole from {} (--group none for none)", names.join(" and ")));
            }
        } else if !columns.ungrouped() || self.place("none").is_some() {
            for name in &columns.group {
                let place = self.need(name, "name columns that it has with --group")?;
                if !groups.contains(&place) {
                    groups.push(place);
                }
            }
        }
        groups.iter().try_for_each(|&place| self.only(place).map(|_| ()))?;

        let taken = [&[path, label], &groups[..]].concat();
        let split = match &columns.split_column {
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
        if let (Some(place), None) = (split, &columns.split_column) {
            guessed.push(format!("sets from `{}` (--split-column none for none)", self.header[place]));
        }
        if !guessed.is_empty() {
            notes.insert(0, format!("{shown}: guessed {}", guessed.join(", ")));
        }
        Ok(Chosen { path, label, groups, split, notes })
    }

    /// The columns of paths and, if one is called so, of genres, for those who need no labels; and what was guessed.
    ///
    /// # Errors
    /// [`Error::Input`] if that of paths is missing, or cannot be guessed.
    pub(super) fn choose_files(
        &self,
        columns: &Columns,
        finder: &Finder,
    ) -> Result<(usize, Option<usize>, Vec<String>)> {
        let (mut guessed, shown) = (Vec::new(), self.shown());
        let path = self.choose_path(columns, finder, &mut guessed)?;
        let genre = self.guesses(&LABELS).into_iter().find(|&place| place != path);
        guessed.extend(genre.map(|place| format!("genres from `{}`", self.header[place])));
        let notes =
            if guessed.is_empty() { Vec::new() } else { vec![format!("{shown}: guessed {}", guessed.join(", "))] };
        Ok((path, genre, notes))
    }

    fn choose_path(&self, columns: &Columns, finder: &Finder, guessed: &mut Vec<String>) -> Result<usize> {
        let remedy = "name the one with the files with --path, and their folder with --images if it has only names or numbers of them";
        if let Some(name) = &columns.path {
            return self.need(name, remedy);
        }
        let named = self.guesses(&PATHS).first().copied();
        let likely = named
            .or_else(|| self.mostly(|value| is_picture(Path::new(value))))
            .or_else(|| self.mostly(|value| matches!(finder.find(value), Found::File(_))));
        let Some(place) = likely else { return self.need("path", remedy) };
        guessed.push(format!("files from `{}`", self.header[place]));
        self.only(place)
    }

    fn choose_label(
        &self,
        columns: &Columns,
        path: usize,
        guessed: &mut Vec<String>,
        notes: &mut Vec<String>,
    ) -> Result<usize> {
        let shown = self.shown();
        if let Some(name) = &columns.label {
            return self.need(name, "name the one with the labels with --label");
        }
        let mut likely: Vec<usize> = self.guesses(&LABELS).into_iter().filter(|&place| place != path).collect();
        if likely.is_empty() && !self.has_header {
            likely = self.few_values(path)?;
        }
        let Some(&place) = likely.first() else {
            return Err(Error::Input(format!(
                "{shown}: no column `label`, `genre` or `class`; it has {}: name the one with the labels with --label",
                self.listed()
            )));
        };
        let column = &self.header[place];
        let others: Vec<String> = likely[1..].iter().map(|&place| format!("`{}`", self.header[place])).collect();
        guessed.push(if others.is_empty() {
            format!("labels from `{column}`")
        } else {
            format!("labels from `{column}` (and not {}: --label COLUMN for another)", others.join(" or "))
        });
        if column.eq_ignore_ascii_case("label") && !self.guesses(&GROUPS).is_empty() {
            notes.push(format!(
                "{shown}: among artists and albums, `{column}` may be the record company; if so, name another column with --label"
            ));
        }
        self.only(place)
    }

    /// Columns that have one of these names, in the order of the names.
    fn guesses(&self, names: &[&str]) -> Vec<usize> {
        let known = |name: &&str| self.header.iter().position(|column| plain(column) == **name);
        let mut found: Vec<usize> = names.iter().filter_map(known).collect();
        found.dedup();
        found
    }

    /// The first column of which `is` holds for most of the first values.
    fn mostly(&self, is: impl Fn(&str) -> bool) -> Option<usize> {
        let (mut votes, mut rows) = (vec![0; self.header.len()], 0);
        self.each(|_, record| {
            if rows < LOOKED_AT {
                rows += 1;
                record.iter().zip(&mut votes).for_each(|(value, votes)| *votes += usize::from(is(value.trim())));
            }
            Ok(())
        })
        .ok()?;
        (0..votes.len()).find(|&place| votes[place] * 2 > rows)
    }

    /// Columns that have several values, each for several rows: labels, where no header says so.
    fn few_values(&self, path: usize) -> Result<Vec<usize>> {
        let (mut values, mut rows) = (vec![BTreeSet::new(); self.header.len()], 0);
        self.each(|_, record| {
            rows += 1;
            for (value, values) in record.iter().zip(&mut values) {
                if !is_nothing(value) && values.len() * 2 <= rows.max(8) {
                    values.insert(value.trim().to_owned());
                }
            }
            Ok(())
        })?;
        let few = |place: &usize| *place != path && values[*place].len() > 1 && values[*place].len() * 2 <= rows;
        Ok((0..values.len()).filter(few).collect())
    }

    /// The set that a line names.
    pub(super) fn set_at(&self, line: u64, place: usize, value: &str) -> Result<Split> {
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
}
