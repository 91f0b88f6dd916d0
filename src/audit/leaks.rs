//! Do the sets, or the labels, share pictures or groups?

mod alike;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use serde::Serialize;

pub use alike::Kind;

use crate::Result;
use crate::data::set::disjoint::Disjoint;
use crate::data::set::manifest::DUPLICATES;
use crate::data::{Dataset, Split};

/// Pairs, and values of a group column, that are listed; more are only counted.
pub const LISTED: usize = 200;

/// What the sets share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Leaks {
    /// Covers that were looked at: all of the data set.
    pub covers: usize,
    /// Pairs of covers that show the same picture. Of groups of more than twenty not every pair is counted.
    pub pairs: usize,
    /// Of these, pairs whose covers are in different sets.
    pub across_sets: usize,
    /// Pairs whose covers are labelled differently.
    pub across_labels: usize,
    /// How many pairs of each kind.
    pub kinds: BTreeMap<Kind, usize>,
    /// What pairs make together, also through others: groups of covers that show the same picture.
    pub groups: usize,
    /// Covers of test or validation whose picture is in train too.
    pub covers_seen_in_training: usize,
    /// The pairs, those across sets and labels first, [`LISTED`] at most.
    pub listed: Vec<Pair>,
    /// For each group column of the manifest what it keeps in one set and what not.
    pub columns: Vec<Column>,
}

/// Two covers that show the same picture.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    pub first: Member,
    pub second: Member,
    pub kind: Kind,
    /// Pearson's correlation of the small grey pictures, aligned; 1 of copies.
    pub correlation: f64,
    pub across_sets: bool,
    pub across_labels: bool,
}

/// One of a pair.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Member {
    #[serde(serialize_with = "crate::shown::path")]
    pub path: PathBuf,
    pub set: Split,
    pub label: String,
    /// Width and height of the file's picture in pixels.
    pub size: [u32; 2],
}

/// A group column, such as artist.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Column {
    pub column: String,
    /// Different values; upper and lower case count as the same, and empty ones as none.
    pub values: usize,
    /// Values that covers of several sets have.
    pub spanning: usize,
    /// Covers of validation or test that share a value with one of train.
    pub covers_seen_in_training: usize,
    /// Spanning values, those with most covers first, [`LISTED`] at most.
    pub listed: Vec<Spanning>,
}

/// A value, such as an artist, that covers of several sets have.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Spanning {
    pub value: String,
    /// Its covers in train, val and test.
    pub covers: [usize; 3],
}

impl Leaks {
    /// Whether anything is in two sets.
    pub fn found(&self) -> bool {
        self.across_sets > 0 || self.across_labels > 0 || self.columns.iter().any(|column| column.spanning > 0)
    }
}

/// Looks for pictures that are in the data set more than once (copied, compressed again, scaled, brightened, cropped by up to
/// about a seventh, mirrored), and for groups in several sets.
///
/// Only the manifest and the pack are read. An import has dropped the duplicates that it knows, all but cropped and mirrored
/// ones; `--keep-duplicates` leaves them in. Plain pictures have no look that could be compared; only copies of the same file
/// count. `progress(done, total)` is called as covers are compared with all that follow.
///
/// # Errors
/// [`Error::Input`](crate::Error::Input) if a square of the pack is damaged.
pub fn leaks(dataset: &Dataset, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Leaks> {
    let covers = &dataset.manifest.covers;
    let found = alike::find(dataset, progress)?;
    let across = |pair: &alike::Pair| {
        let (a, b) = (&covers[pair.first], &covers[pair.second]);
        (a.split != b.split, a.label != b.label)
    };
    let mut kinds = BTreeMap::new();
    let mut joined = Disjoint::new(covers.len());
    for pair in &found {
        *kinds.entry(pair.kind).or_default() += 1;
        joined.join(pair.first, pair.second);
    }
    let mut groups: HashMap<usize, Vec<usize>> = HashMap::new();
    (0..covers.len()).for_each(|i| groups.entry(joined.root(i)).or_default().push(i));
    groups.retain(|_, members| members.len() > 1);
    let seen = |members: &Vec<usize>| {
        let trained = members.iter().filter(|&&i| covers[i].split == Split::Train).count();
        if trained == 0 { 0 } else { members.len() - trained }
    };

    let mut order: Vec<&alike::Pair> = found.iter().collect();
    order.sort_by_key(|pair| {
        let (sets, labels) = across(pair);
        (!(sets && labels), !sets, !labels, pair.first, pair.second)
    });
    let member = |i: usize| Member {
        path: covers[i].strings.path().to_owned(),
        set: covers[i].split,
        label: dataset.manifest.classes[covers[i].label].clone(),
        size: [covers[i].width, covers[i].height],
    };
    let told = |pair: &&alike::Pair| {
        let (across_sets, across_labels) = across(pair);
        let alike::Pair { first, second, kind, correlation } = **pair;
        Pair { first: member(first), second: member(second), kind, correlation, across_sets, across_labels }
    };
    Ok(Leaks {
        covers: covers.len(),
        pairs: found.len(),
        across_sets: found.iter().filter(|pair| across(pair).0).count(),
        across_labels: found.iter().filter(|pair| across(pair).1).count(),
        kinds,
        groups: groups.len(),
        covers_seen_in_training: groups.values().map(seen).sum(),
        listed: order.iter().take(LISTED).map(told).collect(),
        columns: columns(dataset),
    })
}

fn columns(dataset: &Dataset) -> Vec<Column> {
    let manifest = &dataset.manifest;
    // The column of kept duplicates is found anew, as pairs.
    let named = manifest.group_columns.iter().enumerate().filter(|(_, name)| *name != DUPLICATES);
    let column = |(place, name): (usize, &String)| {
        let mut values: BTreeMap<String, (&str, [usize; 3])> = BTreeMap::new();
        for cover in &manifest.covers {
            let value = cover.strings.group(place).trim();
            if !value.is_empty() {
                let (_, counts) = values.entry(value.to_lowercase()).or_insert((value, [0; 3]));
                counts[cover.split as usize] += 1;
            }
        }
        let spans = |counts: &[usize; 3]| counts.iter().filter(|&&count| count > 0).count() > 1;
        let mut spanning: Vec<Spanning> = values
            .values()
            .filter(|(_, counts)| spans(counts))
            .map(|&(value, covers)| Spanning { value: value.to_owned(), covers })
            .collect();
        spanning.sort_by_key(|spanning| std::cmp::Reverse(spanning.covers.iter().sum::<usize>()));
        let count = spanning.len();
        let with_train = spanning.iter().filter(|spanning| spanning.covers[0] > 0);
        let covers_seen_in_training = with_train.map(|spanning| spanning.covers[1] + spanning.covers[2]).sum();
        spanning.truncate(LISTED);
        let (column, values) = (name.clone(), values.len());
        Column { column, values, spanning: count, covers_seen_in_training, listed: spanning }
    };
    named.map(column).collect()
}

#[cfg(test)]
mod tests;
