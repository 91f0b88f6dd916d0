//! From the labels that people write to classes: what is nothing, what is several, what is renamed or left out.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::data::source::spelling::{alike, tidy};
use crate::data::source::{Source, sets};
use crate::hint::{did_you_mean, quoted};
use crate::{Error, Result};

/// Classes that a note names; more are only counted.
const NAMED: usize = 5;

/// Which labels become classes. A recipe's fields and the command line's options have the same names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labelling {
    /// Labels that become other classes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub map: Vec<Rename>,
    /// Classes to leave out; several may stand in one entry, with commas between them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// Classes with fewer covers are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_covers: Option<usize>,
    /// What becomes of a cell of a table that holds several labels.
    #[serde(skip_serializing_if = "Multi::is_default")]
    pub multi: Multi,
}

/// A label and the class that it becomes, written `hip-hop=Hip Hop`. An empty class leaves the label out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rename {
    pub label: String,
    pub class: String,
}

impl FromStr for Rename {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (label, class) = text.rsplit_once('=').ok_or("must be THEIRS=OURS")?;
        Ok(Self { label: tidy(label).into_owned(), class: tidy(class).into_owned() })
    }
}

impl TryFrom<String> for Rename {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Rename> for String {
    fn from(rename: Rename) -> Self {
        format!("{}={}", rename.label, rename.class)
    }
}

/// What becomes of a cell of a table that holds several labels, such as `Rock|Pop`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Multi {
    /// The table is refused.
    #[default]
    Error,
    /// The first label counts.
    First,
    /// The cover is left out.
    Skip,
    /// The whole cell is one label.
    Keep,
}

impl Multi {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Labelling {
    /// Which entry of [`Labelling::map`] a tidied label has.
    pub(super) fn entry(&self, label: &str) -> Option<usize> {
        self.map.iter().position(|rename| rename.label == label)
    }

    /// The single names of [`Labelling::without`]. A class may have commas in its name.
    fn left_out<'a>(&'a self, classes: &[String]) -> Vec<&'a str> {
        let names = |entry: &'a String| -> Vec<&'a str> {
            if classes.contains(entry) {
                vec![entry]
            } else {
                entry.split(',').map(str::trim).filter(|name| !name.is_empty()).collect()
            }
        };
        self.without.iter().flat_map(names).collect()
    }

    /// Leaves out the classes that are not wanted, and says what is strange about the others.
    ///
    /// # Errors
    /// [`Error::Input`] if a class is named that is not there, if a class is named like a set, or if fewer than `least` are left.
    pub(super) fn apply(&self, shown: &str, mut source: Source, least: usize) -> Result<Source> {
        let has_rows = !source.rows.is_empty();
        for class in self.left_out(&source.classes) {
            let Some(gone) = source.classes.iter().position(|name| *name == class) else {
                let (hint, has) = (did_you_mean(class, &source.classes), source.classes.join(", "));
                return Err(Error::Input(format!("--without {class}: {shown} has no such class{hint}; it has: {has}")));
            };
            let covers = remove(&mut source, gone);
            source.notes.push(format!("left out class `{class}`: {covers} covers"));
        }
        if let Some(least) = self.min_covers.filter(|_| has_rows) {
            let rare: Vec<(String, usize)> =
                counts(&source).into_iter().filter(|&(_, covers)| covers < least).collect();
            for (class, _) in &rare {
                if let Some(gone) = source.classes.iter().position(|name| name == class) {
                    remove(&mut source, gone);
                }
            }
            if !rare.is_empty() {
                let listed: Vec<String> = rare.iter().map(|(class, covers)| format!("{class} ({covers})")).collect();
                let text =
                    format!("left out {} classes of fewer than {least} covers: {}", rare.len(), listed.join(", "));
                source.notes.push(text);
            }
        }
        if let Some(class) = source.classes.iter().find(|class| sets::set_named(class).is_some()) {
            return Err(Error::Input(format!(
                "{shown}: class `{class}` is named like a set of covers, not like what is on them: put a folder per class below \
                 it, name the column with the labels with --label, leave it out with --without {0}, or rename it with --map \
                 {0}=NAME",
                quoted(class)
            )));
        }
        let counted = counts(&source);
        let counted: Vec<(&str, usize)> = counted.iter().map(|(class, covers)| (class.as_str(), *covers)).collect();
        source.notes.extend(alike(&counted).iter().map(|group| joins(group)));
        source.notes.extend(says_little(&counted));
        source.notes.extend(looks_like_several(&counted));
        match &source.classes[..] {
            [] => Err(Error::Input(format!(
                "{shown}: none of its pictures can be used: {}",
                source.left_out.first().map_or("it names none".into(), |f| format!("{}: {}", f.path, f.reason))
            ))),
            [class] if least > 1 => Err(Error::Input(format!(
                "{shown}: only one class, `{class}` ({} pictures): a classifier needs at least two{}",
                source.rows.len(),
                source.left_out.first().map_or(String::new(), |first| format!(
                    "; {} pictures were left out, such as {}: {}",
                    source.left_out.len(),
                    first.path,
                    first.reason
                ))
            ))),
            _ => Ok(source),
        }
    }
}

/// Removes a class and its rows; says how many those were.
fn remove(source: &mut Source, gone: usize) -> usize {
    source.classes.remove(gone);
    let before = source.rows.len();
    source.rows.retain(|row| row.label != gone);
    source.rows.iter_mut().filter(|row| row.label > gone).for_each(|row| row.label -= 1);
    before - source.rows.len()
}

/// Removes classes that have no covers left, with a note.
pub(super) fn remove_empty(source: &mut Source) {
    while let Some(gone) = counts(source).iter().position(|&(_, covers)| covers == 0) {
        source.notes.push(format!("class `{}` has no covers left", source.classes[gone]));
        remove(source, gone);
    }
}

fn counts(source: &Source) -> Vec<(String, usize)> {
    let mut counts = vec![0; source.classes.len()];
    source.rows.iter().for_each(|row| counts[row.label] += 1);
    source.classes.iter().cloned().zip(counts).collect()
}

/// Which classes are perhaps one, with the options that join them to the largest.
fn joins(group: &[(&str, usize)]) -> String {
    let most =
        group.iter().max_by_key(|&&(class, covers)| (covers, std::cmp::Reverse(class))).map_or("", |&(class, _)| class);
    let listed: Vec<String> = group.iter().map(|(class, covers)| format!("`{class}` ({covers})")).collect();
    let others = group.iter().filter(|&&(class, _)| class != most);
    let options: Vec<String> =
        others.map(|(class, _)| format!("--map {}", quoted(&format!("{class}={most}")))).collect();
    format!(
        "classes {} differ only in case, blanks or hyphens; if they are one, join them with {}",
        listed.join(" and "),
        options.join(" ")
    )
}

/// What to know of classes that say what a cover is not.
fn says_little(classes: &[(&str, usize)]) -> Option<String> {
    const LITTLE: [&str; 8] =
        ["unknown", "other", "others", "misc", "miscellaneous", "unclassified", "uncategorized", "undefined"];
    let found: Vec<&(&str, usize)> =
        classes.iter().filter(|(class, _)| LITTLE.contains(&class.to_lowercase().as_str())).collect();
    if found.is_empty() {
        return None;
    }
    let listed: Vec<String> = found.iter().map(|(class, covers)| format!("`{class}` ({covers})")).collect();
    let options: Vec<String> = found.iter().map(|(class, _)| quoted(class)).collect();
    Some(format!(
        "{} says little of a cover, and is learned as a class; leave it out with --without {}",
        listed.join(" and "),
        options.join(",")
    ))
}

/// What to know of classes whose names are those of other classes, with commas or slashes between them: `Rock, Pop`. They may be
/// several labels, or one name, so that is only told.
fn looks_like_several(classes: &[(&str, usize)]) -> Option<String> {
    let is_class = |name: &str| classes.iter().any(|(class, _)| *class == name);
    let several = |class: &str, sign: char| class.contains(sign) && class.split(sign).map(str::trim).all(is_class);
    let found: Vec<&(&str, usize)> =
        classes.iter().filter(|(class, _)| [',', '/'].into_iter().any(|sign| several(class, sign))).collect();
    let (first, _) = found.first()?;
    let listed: Vec<String> = found.iter().take(NAMED).map(|(class, covers)| format!("`{class}` ({covers})")).collect();
    let more = if found.len() > NAMED { format!(" and {} more", found.len() - NAMED) } else { String::new() };
    Some(format!(
        "{}{more}: each name in these is a class by itself; if they are several labels, make one of each with --map, such as --map \
         {}, or leave them out",
        listed.join(", "),
        quoted(&format!("{first}={}", first.split([',', '/']).next().unwrap_or_default().trim()))
    ))
}

/// Whether a cell of a table says that there is no value: `nan`, `None`, `N/A`, `?`, `-`, nothing.
pub(super) fn is_nothing(value: &str) -> bool {
    const NOTHING: [&str; 17] = [
        "nan", "none", "null", "nil", "n/a", "n.a.", "#n/a", "#n/a n/a", "na", "<na>", "<none>", "\\n", "(null)",
        "(none)", "nat", "[]", "{}",
    ];
    let value = value.trim();
    value.chars().all(|c| "?-–—_.".contains(c)) || NOTHING.contains(&value.to_lowercase().as_str())
}

/// The labels in a cell: several where `|` or `;` stands between them, or where it is a list such as `['Rock', 'Pop']`. Commas and
/// slashes are a part of many genres' names (`Folk, World, & Country`).
pub(super) fn labels_in(cell: &str) -> Vec<&str> {
    let cell = cell.trim();
    let list = [('[', ']'), ('{', '}'), ('(', ')')]
        .into_iter()
        .find_map(|(open, close)| cell.strip_prefix(open)?.strip_suffix(close));
    let quotes: &[char] = &['"', '\''];
    let parts: Vec<&str> = match list {
        Some(list) if list.trim_start().starts_with(quotes) => {
            list.split(',').map(|part| part.trim().trim_matches(quotes)).collect()
        }
        _ => cell.split(['|', ';', '\0']).collect(),
    };
    parts.into_iter().map(str::trim).filter(|part| !is_nothing(part)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_that_say_nothing_are_known() {
        for value in ["", " ", "nan", "NaN", "None", "N/A", "?", "??", "-", "--", "—", "null", "<NA>", "[]"] {
            assert!(is_nothing(value), "{value}");
        }
        for value in ["Nana", "No", "Unknown", "Other", "0", "A-ha", "none of it"] {
            assert!(!is_nothing(value), "{value}");
        }
    }

    #[test]
    fn classes_that_say_little_are_named_with_the_option_that_leaves_them_out() {
        let note = says_little(&[("Other", 12), ("Rock", 40), ("unknown", 3)]).unwrap();
        assert!(note.starts_with("`Other` (12) and `unknown` (3)"), "{note}");
        assert!(note.ends_with("--without Other,unknown"), "{note}");
        assert_eq!(says_little(&[("Rock", 40), ("Another World", 3)]), None);
    }

    #[test]
    fn classes_that_are_made_of_others_are_told() {
        let classes = [
            ("Folk, World, & Country", 9),
            ("Hip-Hop/Rap", 4),
            ("Pop", 5),
            ("Rock", 7),
            ("Rock, Pop", 3),
            ("Rock/Pop", 2),
        ];
        let note = looks_like_several(&classes).unwrap();
        assert!(note.starts_with("`Rock, Pop` (3), `Rock/Pop` (2): each name"), "{note}");
        assert!(note.contains("--map 'Rock, Pop=Rock'"), "{note}");
        assert_eq!(looks_like_several(&classes[..4]), None);
    }

    #[test]
    fn several_labels_in_a_cell_are_told_apart() {
        assert_eq!(labels_in("Rock|Pop"), ["Rock", "Pop"]);
        assert_eq!(labels_in("Rock; Pop ;"), ["Rock", "Pop"]);
        assert_eq!(labels_in("['Rock', 'Pop']"), ["Rock", "Pop"]);
        assert_eq!(labels_in("[\"Rock\"]"), ["Rock"]);
        for one in ["Folk, World, & Country", "Hip-Hop/Rap", "R&B (Soul)", "(Jazz)", "[untitled]"] {
            assert_eq!(labels_in(one), [one]);
        }
        assert!(labels_in("nan|").is_empty());
    }
}
