//! From what was found to a source: each file once, labels numbered.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::hint::did_you_mean;

use crate::data::set::manifest::Labels;
use crate::data::set::report::Skipped;
use crate::data::set::split::Split;
use crate::data::set::strings::{StringsBuilder, short_hash};
use crate::data::source::labelling::{Labelling, Rename};
use crate::data::source::spelling::tidy;
use crate::data::source::{Row, Source};
use crate::{Error, Result};

/// Pictures as they are found, in a form that a hundred thousand of them may have.
pub(super) struct Collector<'a> {
    labelling: &'a Labelling,
    strings: StringsBuilder,
    labels: Labels,
    found: Vec<Found>,
    not_utf8: Vec<Skipped>,
    /// Labels with characters that do not count, as they were written, and what they were taken for.
    respelled: BTreeMap<String, String>,
    /// How many pictures each entry of [`Labelling::map`] was used for.
    mapped: Vec<usize>,
}

/// A picture as it is collected: its texts elsewhere, its label numbered as it was met.
struct Found {
    label: usize,
    split: Option<Split>,
    origin: Origin,
    /// Of the path that links lead to: a third of its size.
    hash: [u8; 16],
}

/// Where a picture was named. Tables have a hundred thousand lines, so a line is only a number until it has to be told.
pub(super) enum Origin {
    Line(u64),
    /// By the folder of its class.
    Class,
    Named(String),
}

/// For files in folders.
pub(super) const NO_GROUPS: [&str; 0] = [];

impl Origin {
    /// For messages: "line 7".
    fn told(&self, class: &str) -> String {
        match self {
            Self::Line(line) => format!("line {line}"),
            Self::Class => format!("class `{class}`"),
            Self::Named(text) => text.clone(),
        }
    }
}

impl<'a> Collector<'a> {
    pub fn new(labelling: &'a Labelling) -> Self {
        Self {
            labelling,
            strings: StringsBuilder::default(),
            labels: Labels::default(),
            found: Vec::new(),
            not_utf8: Vec::new(),
            respelled: BTreeMap::new(),
            mapped: vec![0; labelling.map.len()],
        }
    }

    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.not_utf8.is_empty() && self.mapped.iter().all(|&covers| covers == 0)
    }

    /// Adds a picture, unless its label is one to leave out.
    pub fn add(
        &mut self,
        path: &Path,
        label: &str,
        groups: impl IntoIterator<Item = impl AsRef<str>>,
        split: Option<Split>,
        origin: Origin,
    ) {
        let Some(text) = path.to_str() else {
            let reason = "its path is not UTF-8, which the manifest cannot hold: rename it";
            return self.not_utf8.push(Skipped::new(path, reason));
        };
        let class = tidy(label);
        if class != label && !self.respelled.contains_key(label) {
            self.respelled.insert(label.to_owned(), class.clone().into_owned());
        }
        let class = match self.labelling.entry(&class) {
            None => class.as_ref(),
            Some(place) => {
                self.mapped[place] += 1;
                let ours = self.labelling.map[place].class.as_str();
                if ours.is_empty() {
                    return;
                }
                ours
            }
        };
        let real = fs::canonicalize(path);
        let hash = short_hash(real.as_deref().unwrap_or(path).as_os_str().as_encoded_bytes());
        self.strings.push(text, groups.into_iter().map(|group| tidy(group.as_ref()).into_owned()));
        self.found.push(Found { label: self.labels.number(class), split, origin, hash });
    }

    /// The source: each file once. `left_out` are pictures that were not added.
    ///
    /// # Errors
    /// [`Error::Input`] if a label is to be renamed that no picture has.
    pub fn finish(
        self,
        kind: &'static str,
        group_columns: Vec<String>,
        mut left_out: Vec<Skipped>,
        mut notes: Vec<String>,
    ) -> Result<Source> {
        let Self { labelling, strings, labels, found, not_utf8, respelled, mapped } = self;
        let (names, name_of) = labels.sorted();
        for (label, class) in respelled {
            let label = label.escape_debug();
            notes.push(format!(
                "label `{label}` is taken for `{class}`: blanks around it and what cannot be seen do not count"
            ));
        }
        for (Rename { label: theirs, class: ours }, covers) in labelling.map.iter().zip(mapped) {
            if covers == 0 {
                let (hint, has) = (did_you_mean(theirs, &names), names.join(", "));
                return Err(Error::Input(format!(
                    "--map {theirs}={ours}: there is no label `{theirs}`{hint}; there are: {has}"
                )));
            }
            notes.push(match ours.as_str() {
                "" => format!("left out label `{theirs}`: {covers} pictures"),
                ours => format!("label `{theirs}` became class `{ours}`: {covers} pictures"),
            });
        }
        let name = |item: &Found| names[name_of[item.label]].as_str();
        let origin = |item: &Found| item.origin.told(name(item));
        // A file named twice would be learned from and tested on. Same label: the first naming stays. Different labels:
        // neither can be trusted.
        let mut first: Vec<usize> = (0..found.len()).collect();
        let mut order = first.clone();
        order.sort_unstable_by_key(|&i| (found[i].hash, i));
        let mut contradicted = vec![false; found.len()];
        for same in order.chunk_by(|&a, &b| found[a].hash == found[b].hash) {
            same.iter().for_each(|&i| first[i] = same[0]);
            contradicted[same[0]] = same.iter().any(|&i| found[i].label != found[same[0]].label);
        }
        drop(order);
        let (mut rows, mut classes) = (Vec::with_capacity(found.len()), Labels::default());
        let mut named_again = Vec::new();
        for (i, (item, strings)) in found.iter().zip(strings.finish()).enumerate() {
            let earlier = &found[first[i]];
            if first[i] != i {
                let (own, theirs) = (origin(item), origin(earlier));
                let reason = if earlier.label == item.label {
                    format!("{own}: the same file as {theirs}")
                } else {
                    format!("{own}: labelled `{}`, but `{}` in {theirs}", name(item), name(earlier))
                };
                left_out.push(Skipped::new(strings.path(), reason));
            } else if contradicted[i] {
                named_again
                    .push(Skipped::new(strings.path(), format!("{}: named again with another label", origin(item))));
            } else {
                rows.push(Row { strings, label: classes.number(name(item)), split: item.split });
            }
        }
        left_out.extend(named_again.into_iter().chain(not_utf8));
        let (classes, class_of) = classes.sorted();
        rows.iter_mut().for_each(|row| row.label = class_of[row.label]);
        let grouping = (0..group_columns.len()).collect();
        Ok(Source { kind, classes, group_columns, grouping, rows, left_out, notes, details: None })
    }
}
