//! From what was found to a source: each file once, labels numbered.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fs;
use std::path::PathBuf;

use super::{Row, Skipped, Source};
use crate::data::manifest::{Split, number_classes};

/// A picture as it is collected: before labels have numbers.
pub(super) struct Found {
    pub path: PathBuf,
    pub label: String,
    pub groups: Vec<String>,
    pub split: Option<Split>,
    /// Where it was named.
    pub origin: Origin,
}

/// Where a picture was named. Tables have a hundred thousand lines, so a line is only a number until it has to be told.
pub(super) enum Origin {
    Line(u64),
    /// By the folder of its class.
    Class,
    Named(String),
}

impl Found {
    /// Where it was named, for messages: "line 7".
    pub fn origin(&self) -> String {
        match &self.origin {
            Origin::Line(line) => format!("line {line}"),
            Origin::Class => format!("class `{}`", self.label),
            Origin::Named(text) => text.clone(),
        }
    }
}

/// Turns what was collected into a source: each file once, labels numbered.
pub(super) fn collect(
    kind: &'static str,
    found: Vec<Found>,
    group_columns: Vec<String>,
    mut left_out: Vec<Skipped>,
    notes: Vec<String>,
) -> Source {
    // A file named twice would be learned from and tested on. Same label: the first naming stays. Different labels:
    // neither can be trusted. Paths are told apart by their hashes, which are a third of their size.
    let mut first: HashMap<[u8; 16], usize> = HashMap::with_capacity(found.len());
    let mut contradicted = vec![false; found.len()];
    let mut repeated = vec![false; found.len()];
    for (i, item) in found.iter().enumerate() {
        let real = fs::canonicalize(&item.path).unwrap_or_else(|_| item.path.clone());
        let hash = blake3::hash(real.as_os_str().as_encoded_bytes());
        let key: [u8; 16] = std::array::from_fn(|i| hash.as_bytes()[i]);
        match first.entry(key) {
            Entry::Vacant(place) => {
                place.insert(i);
            }
            Entry::Occupied(place) => {
                repeated[i] = true;
                let before = *place.get();
                let earlier = &found[before];
                let reason = if earlier.label == item.label {
                    format!("{}: the same file as {}", item.origin(), earlier.origin())
                } else {
                    contradicted[before] = true;
                    format!(
                        "{}: labelled `{}`, but `{}` in {}",
                        item.origin(),
                        item.label,
                        earlier.label,
                        earlier.origin()
                    )
                };
                left_out.push(Skipped::new(&item.path, reason));
            }
        }
    }
    let mut labels = Vec::new();
    let mut rows = Vec::new();
    for (i, item) in found.into_iter().enumerate() {
        if repeated[i] {
            continue;
        }
        if contradicted[i] {
            left_out.push(Skipped::new(&item.path, format!("{}: named again with another label", item.origin())));
        } else if item.path.to_str().is_none() {
            left_out.push(Skipped::new(&item.path, "its path is not UTF-8, which the manifest cannot hold: rename it"));
        } else {
            labels.push(item.label);
            rows.push(Row { path: item.path, label: 0, groups: item.groups, split: item.split });
        }
    }
    let (classes, indices) = number_classes(&labels);
    for (row, index) in rows.iter_mut().zip(indices) {
        row.label = index;
    }
    let grouping = (0..group_columns.len()).collect();
    Source { kind, classes, group_columns, grouping, rows, left_out, notes, details: None }
}
