//! Splitting covers into train, val and test: groups kept whole, classes spread evenly, the same for the same seed.

use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt;

use super::manifest::Split;
use crate::{Error, Result};

/// Train, val and test in the shares most papers use.
pub const DEFAULT_RATIOS: [f64; 3] = [0.7, 0.15, 0.15];

/// Parses `70,15,15` (train, val, test) or `80,20` (train, test; val stays empty): percent, fractions or any parts of
/// a whole. The result sums to 1.
///
/// # Errors
/// [`Error::Input`] unless there are two or three numbers, none negative, the first above 0.
pub fn parse_ratios(text: &str) -> Result<[f64; 3]> {
    let numbers: Option<Vec<f64>> = text.split(',').map(|part| part.trim().parse().ok()).collect();
    let ratios = match numbers.as_deref() {
        Some(&[train, test]) => [train, 0.0, test],
        Some(&[train, val, test]) => [train, val, test],
        _ => {
            return Err(Error::Input(format!(
                "split `{text}`: give train,val,test such as 70,15,15, or train,test such as 80,20"
            )));
        }
    };
    normalise(ratios)
}

/// Scales ratios so that they sum to 1.
///
/// # Errors
/// [`Error::Input`] if one is negative or no finite number, or the first is 0.
pub fn normalise(ratios: [f64; 3]) -> Result<[f64; 3]> {
    let sum: f64 = ratios.iter().sum();
    if ratios.iter().any(|&r| !(r >= 0.0 && r.is_finite())) || !sum.is_finite() || ratios[0] <= 0.0 {
        let [train, val, test] = ratios;
        return Err(Error::Input(format!(
            "split {train},{val},{test}: no part may be negative and the first, train, must be above 0: try 70,15,15"
        )));
    }
    Ok(ratios.map(|r| r / sum))
}

/// What the split needs to know of one cover.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Index of its class.
    pub label: usize,
    /// Its values in the group columns; empty ones join nothing. Upper and lower case count as the same.
    pub groups: &'a [String],
    /// What identifies it wherever it lies (the hash of its content): its place among covers without a group depends
    /// on this and on the seed, not on the order of the items.
    pub key: &'a str,
}

/// Assigns each item to a set.
///
/// Items that share a value in any group column land in the same set, also through others. Within each class the sets
/// come as near to `ratios` as the groups permit (a group of several classes counts as one of its most frequent
/// class); a set of ratio 0 stays empty; every other set gets a group of each class that has enough of its own.
///
/// # Errors
/// [`Error::Input`] naming the class if it has fewer covers, or fewer groups, than there are sets to fill, and if
/// `ratios` make no sense.
pub fn assign(classes: &[String], items: &[Item], ratios: [f64; 3], seed: u64) -> Result<Vec<Split>> {
    let ratios = normalise(ratios)?;
    let wanted: Vec<usize> = (0..3).filter(|&set| ratios[set] > 0.0).collect();
    let group_of = join(items);
    let groups = gather(items, &group_of, seed);
    check_feasible(classes, &count_labels(classes.len(), items), &groups, wanted.len())?;

    let mut counts = vec![[0; 3]; classes.len()];
    let mut set_of: Vec<Option<usize>> = vec![None; groups.len()];
    // A group of several classes fills up sets for classes that were placed before it: those are placed once more.
    let passes = if groups.iter().any(|group| group.labels.len() > 1) { 4 } else { 1 };
    for class in (0..passes).flat_map(|_| 0..classes.len()) {
        let own: Vec<&Group> = groups.iter().filter(|group| group.label == class).collect();
        for group in &own {
            if let Some(set) = set_of[group.id] {
                group.labels.iter().for_each(|&(label, count)| counts[label][set] -= count);
            }
        }
        for (group, set) in own.iter().zip(place(&own, class, counts[class], ratios, &wanted)) {
            set_of[group.id] = Some(set);
            group.labels.iter().for_each(|&(label, count)| counts[label][set] += count);
        }
    }
    if let Some(class) = counts.iter().position(|sets| sets[0] == 0) {
        return Err(Error::Input(format!(
            "class `{}`: all its covers share groups with other classes, and none came into train: choose another \
             --group, or add covers",
            classes[class]
        )));
    }
    Ok(group_of.iter().map(|&group| Split::ALL[set_of[group].unwrap_or(0)]).collect())
}

/// Orders of chance that are tried for each class. Where groups are large, the last ones to be placed may overshoot;
/// the best of several tries comes nearer, and unlike "largest first" gives no set the larger groups.
const TRIES: u8 = 64;

/// A set for each of a class's own groups. `before` counts the covers of the class that other classes' groups have
/// brought into each set.
fn place(own: &[&Group], class: usize, before: [usize; 3], ratios: [f64; 3], wanted: &[usize]) -> Vec<usize> {
    let total: usize = before.iter().sum::<usize>() + own.iter().map(|group| group.covers_of(class)).sum::<usize>();
    let mut best = (f64::INFINITY, Vec::new());
    for attempt in 0..TRIES {
        let mut order: Vec<usize> = (0..own.len()).collect();
        order.sort_by_cached_key(|&i| {
            (blake3::hash(&[&own[i].chance[..], &[attempt]].concat()).into(), i) as ([u8; 32], usize)
        });
        let mut room: [f64; 3] = std::array::from_fn(|set| ratios[set] * total as f64 - before[set] as f64);
        let mut sets = vec![0; own.len()];
        let mut lacking = wanted.to_vec();
        for (placed, &i) in order.iter().enumerate() {
            // With only as many groups left as sets still without one, those sets have the first claim.
            let choices =
                if lacking.len() >= own.len() - placed && !lacking.is_empty() { &lacking[..] } else { wanted };
            let roomiest = choices.iter().copied().reduce(|best, set| if room[set] > room[best] { set } else { best });
            let set = roomiest.unwrap_or(0); // never empty: train is always wanted
            sets[i] = set;
            room[set] -= own[i].covers_of(class) as f64;
            lacking.retain(|&other| other != set);
        }
        let miss: f64 = room.iter().map(|r| r * r).sum();
        if miss < best.0 {
            best = (miss, sets);
        }
        if room.iter().all(|r| r.abs() < 1.0) {
            break;
        }
    }
    best.1
}

/// Covers that must stay together.
struct Group {
    id: usize,
    /// How many covers of which class.
    labels: Vec<(usize, usize)>,
    /// The most frequent of them; the first of equals.
    label: usize,
    chance: [u8; 32],
}

impl Group {
    fn covers_of(&self, class: usize) -> usize {
        self.labels.iter().find(|(label, _)| *label == class).map_or(0, |&(_, count)| count)
    }
}

/// For each item the number of its group; groups are numbered by their first item.
fn join(items: &[Item]) -> Vec<usize> {
    let mut parent: Vec<usize> = (0..items.len()).collect();
    let mut first: HashMap<(usize, String), usize> = HashMap::new();
    for (i, item) in items.iter().enumerate() {
        for value in values(item) {
            let other = *first.entry(value).or_insert(i);
            let (a, b) = (root(&mut parent, i), root(&mut parent, other));
            parent[a.max(b)] = a.min(b);
        }
    }
    let mut numbers = HashMap::new();
    (0..items.len())
        .map(|i| {
            let next = numbers.len();
            *numbers.entry(root(&mut parent, i)).or_insert(next)
        })
        .collect()
}

fn root(parent: &mut [usize], mut i: usize) -> usize {
    while parent[i] != i {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    i
}

fn values<'a>(item: &Item<'a>) -> impl Iterator<Item = (usize, String)> + use<'a> {
    let filled = |(column, value): (usize, &'a String)| {
        let value = value.trim();
        (!value.is_empty()).then(|| (column, value.to_lowercase()))
    };
    item.groups.iter().enumerate().filter_map(filled)
}

fn gather(items: &[Item], group_of: &[usize], seed: u64) -> Vec<Group> {
    let mut members: Vec<Vec<usize>> = Vec::new();
    for (i, &group) in group_of.iter().enumerate() {
        if group == members.len() {
            members.push(Vec::new());
        }
        members[group].push(i);
    }
    let gather_one = |(id, members): (usize, Vec<usize>)| {
        let mut labels: Vec<(usize, usize)> = Vec::new();
        for &i in &members {
            match labels.iter_mut().find(|(label, _)| *label == items[i].label) {
                Some((_, count)) => *count += 1,
                None => labels.push((items[i].label, 1)),
            }
        }
        let label = labels.iter().max_by_key(|&&(label, count)| (count, Reverse(label))).map_or(0, |&(label, _)| label);
        Group { id, labels, label, chance: chance(items, &members, seed) }
    };
    members.into_iter().enumerate().map(gather_one).collect()
}

/// A group's place in the order of chance: decided by the seed and its first value, or its cover if it has no values.
fn chance(items: &[Item], members: &[usize], seed: u64) -> [u8; 32] {
    let value = members.iter().flat_map(|&i| values(&items[i])).min();
    let key = members.iter().map(|&i| items[i].key).min().unwrap_or_default();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    match value {
        Some((column, value)) => hasher.update(format!("group {column} {value}").as_bytes()),
        None => hasher.update(format!("cover {key}").as_bytes()),
    };
    hasher.finalize().into()
}

fn count_labels(classes: usize, items: &[Item]) -> Vec<usize> {
    let mut totals = vec![0; classes];
    for item in items {
        totals[item.label] += 1;
    }
    totals
}

fn check_feasible(classes: &[String], totals: &[usize], groups: &[Group], sets: usize) -> Result<()> {
    for (label, class) in classes.iter().enumerate() {
        let covers = totals[label];
        if covers < sets {
            return Err(Error::Input(format!(
                "class `{class}` has {covers} usable covers, fewer than the {sets} sets of the split: add covers, \
                 remove the class, or choose --split 80,20"
            )));
        }
        let count = groups.iter().filter(|group| group.labels.iter().any(|&(l, _)| l == label)).count();
        if count < sets {
            return Err(Error::Input(format!(
                "class `{class}` has {covers} covers but only {count} groups to keep whole, fewer than the {sets} sets \
                 of the split: choose another --group, add covers of other groups, or choose --split 80,20"
            )));
        }
    }
    Ok(())
}

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
    pub fn new(classes: &[String], items: &[Item], splits: &[Split]) -> Self {
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

/// A table: a line per class, a line of totals, a line of shares.
impl fmt::Display for SplitReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.classes.iter().map(|class| class.chars().count()).max().unwrap_or(0).max(5);
        writeln!(f, "{:width$}  {:>7} {:>7} {:>7} {:>7}", "class", "train", "val", "test", "groups")?;
        for ((class, [train, val, test]), groups) in self.classes.iter().zip(&self.covers).zip(&self.groups) {
            writeln!(f, "{class:width$}  {train:>7} {val:>7} {test:>7} {groups:>7}")?;
        }
        let [train, val, test] = self.totals();
        writeln!(f, "{:width$}  {train:>7} {val:>7} {test:>7} {:>7}", "total", self.all_groups)?;
        let all = (train + val + test).max(1) as f64;
        let [train, val, test] = [train, val, test].map(|n| format!("{:.1} %", 100.0 * n as f64 / all));
        write!(f, "{:width$}  {train:>7} {val:>7} {test:>7}", "share")?;
        if self.largest_group > 1 {
            write!(f, "   largest group: {} covers", self.largest_group)?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "split_tests.rs"]
mod tests;
