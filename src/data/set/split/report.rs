//! What a split came to, as a table.

use std::collections::BTreeSet;
use std::fmt;

use crate::shown::escaped;

use super::{Items, Split, join};

/// What a split came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitReport {
    /// Names of the classes.
    pub classes: Vec<String>,
    /// For each class its covers in train, val and test.
    pub covers: Vec<[usize; 3]>,
    /// For each class the groups that contain it.
    pub groups: Vec<usize>,
    /// How many groups there are over all classes.
    pub all_groups: usize,
    /// Covers in the largest group.
    pub largest_group: usize,
}

impl SplitReport {
    /// Counts what `splits` gives to each class; the slices belong together index by index.
    pub fn new(classes: &[String], items: &Items, splits: &[Split]) -> Self {
        let group_of = join(items);
        let mut covers = vec![[0; 3]; classes.len()];
        let mut group_sizes = vec![0; group_of.iter().max().map_or(0, |&last| last + 1)];
        let mut seen = vec![BTreeSet::new(); classes.len()];
        for ((item, &split), &group) in items.iter().zip(splits).zip(&group_of) {
            covers[item.label][split as usize] += 1;
            group_sizes[group] += 1;
            seen[item.label].insert(group);
        }
        Self {
            classes: classes.to_vec(),
            covers,
            groups: seen.iter().map(BTreeSet::len).collect(),
            all_groups: group_sizes.len(),
            largest_group: group_sizes.into_iter().max().unwrap_or(0),
        }
    }

    /// Covers in train, val and test over all classes.
    pub fn totals(&self) -> [usize; 3] {
        self.covers.iter().fold([0; 3], |sum, class| [sum[0] + class[0], sum[1] + class[1], sum[2] + class[2]])
    }
}

/// Shares of train, val and test in whole percent.
fn shares(sets: [usize; 3]) -> String {
    let all = sets.iter().sum::<usize>().max(1) as f64;
    let [train, val, test] = sets.map(|n| (100.0 * n as f64 / all).round());
    format!("{train}/{val}/{test} %")
}

/// A table: a line per class with the shares it reached, and a line of totals.
impl fmt::Display for SplitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.classes.iter().map(|class| escaped(class)).collect();
        let width = names.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        write!(f, "{:width$}  {:>7} {:>7} {:>7} {:>7}   reached", "class", "train", "val", "test", "groups")?;
        for ((class, &sets), groups) in names.iter().zip(&self.covers).zip(&self.groups) {
            let [train, val, test] = sets;
            write!(f, "\n{class:width$}  {train:>7} {val:>7} {test:>7} {groups:>7}   {}", shares(sets))?;
        }
        let [train, val, test] = self.totals();
        let shares = shares(self.totals());
        write!(f, "\n{:width$}  {train:>7} {val:>7} {test:>7} {:>7}   {shares}", "total", self.all_groups)?;
        if self.largest_group > 1 {
            write!(f, "; largest group: {} covers", self.largest_group)?;
        }
        Ok(())
    }
}
