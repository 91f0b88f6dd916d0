//! From what was found to a source: each file once, labels numbered.

use std::fs;
use std::path::Path;

use crate::data::set::manifest::Labels;
use crate::data::set::report::Skipped;
use crate::data::set::split::Split;
use crate::data::set::strings::{StringsBuilder, short_hash};
use crate::data::source::{Row, Source};

/// Pictures as they are found, in a form that a hundred thousand of them may have.
#[derive(Default)]
pub(super) struct Collector {
    strings: StringsBuilder,
    labels: Labels,
    found: Vec<Found>,
    not_utf8: Vec<Skipped>,
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

impl Collector {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.found.is_empty() && self.not_utf8.is_empty()
    }

    /// Adds a picture.
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
        let real = fs::canonicalize(path);
        let hash = short_hash(real.as_deref().unwrap_or(path).as_os_str().as_encoded_bytes());
        self.strings.push(text, groups);
        self.found.push(Found { label: self.labels.number(label), split, origin, hash });
    }

    /// The source: each file once. `left_out` are pictures that were not added.
    pub fn finish(
        self,
        kind: &'static str,
        group_columns: Vec<String>,
        mut left_out: Vec<Skipped>,
        notes: Vec<String>,
    ) -> Source {
        let Self { strings, labels, found, not_utf8 } = self;
        let (names, name_of) = labels.sorted();
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
        Source { kind, classes, group_columns, grouping, rows, left_out, notes, details: None }
    }
}
