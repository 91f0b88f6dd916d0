//! Splitting covers into train, val and test: groups kept whole, classes spread evenly, the same for the same seed, and
//! unmoved by covers that are added.

mod report;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt;

use blake3::Hash;
use serde::{Deserialize, Serialize};

pub use report::SplitReport;

use crate::data::set::disjoint::Disjoint;
use crate::data::set::strings::{Strings, short_hash};
use crate::data::set::ties::Tie;
use crate::hint::quoted;
use crate::{Error, Result};

/// The three sets that covers are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What chooses the best checkpoint.
    Val,
    /// What the printed score comes from.
    Test,
}

impl Split {
    /// All three, in the order of the ratios in `--split`.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The set of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

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
/// [`Error::Input`] if one is negative or NaN or infinite, or the first is 0.
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
    /// Its values in all group columns.
    pub strings: &'a Strings,
    /// What keeps covers together; empty values join nothing. Upper and lower case count as the same.
    pub ties: &'a [Tie],
    /// What identifies it wherever it lies (the hash of its content): its place among covers without a group depends
    /// on this and on the seed, not on the order of the items.
    pub key: Hash,
    /// The set it was in before covers were added, which it keeps.
    pub before: Option<Split>,
}

/// What a split needs to know of all covers. Each is made when it is asked for: together they would take more memory than all
/// else that is known of the covers.
pub struct Items<'a> {
    count: usize,
    at: Box<dyn Fn(usize) -> Item<'a> + 'a>,
}

impl<'a> Items<'a> {
    /// `count` items, of which `at` gives the one with each number.
    pub fn new(count: usize, at: impl Fn(usize) -> Item<'a> + 'a) -> Self {
        Self { count, at: Box::new(at) }
    }

    fn at(&self, i: usize) -> Item<'a> {
        (self.at)(i)
    }

    /// All of them, in their order.
    pub fn iter(&self) -> impl Iterator<Item = Item<'a>> {
        (0..self.count).map(|i| self.at(i))
    }
}

/// Assigns each item to a set.
///
/// Items that share a value in any group column are a *group* and land in the same set, also through others. A number
/// between 0 and 1, made of the seed and the group's own name, says which set: below 0.7 is train, below 0.85 val, and so
/// on by `ratios`. So covers that are added later move no others, and the ratio is reached as a lottery reaches it: the
/// more groups a class has, the nearer.
///
/// Where a class has few groups the lottery alone would not do. A set that gets less than half of its share of a class, or
/// more than one and a half of it, is *mended* with the groups whose numbers lie nearest to the border; if its groups are too large for that, the class is
/// dealt out anew, as near to the ratio as they permit. Groups with a [`before`](Item::before) are never moved by either, so that a
/// data set that grows in its place stays as it is.
///
/// # Errors
/// [`Error::Input`] naming the class if it has fewer covers, or fewer groups, than there are sets to fill, and if
/// `ratios` make no sense.
pub fn assign(classes: &[String], items: &Items, ratios: [f64; 3], seed: u64) -> Result<Vec<Split>> {
    let ratios = normalise(ratios)?;
    let wanted: Vec<usize> = (0..3).filter(|&set| ratios[set] > 0.0).collect();
    let group_of = join(items);
    let groups = gather(items, &group_of, seed);
    check_feasible(classes, &count_labels(classes.len(), items), &groups, wanted.len())?;

    let mut draw = Draw {
        set_of: groups.iter().map(|group| group.before.unwrap_or_else(|| drawn(group.number(), ratios))).collect(),
        counts: vec![[0; 3]; classes.len()],
        groups: &groups,
        ratios,
        wanted: &wanted,
    };
    for group in &groups {
        group.labels.iter().for_each(|&(label, count)| draw.counts[label][draw.set_of[group.id]] += count);
    }
    // A group of several classes that is moved for one of them may leave another in want: those are mended once more.
    let passes = if groups.iter().any(|group| group.labels.len() > 1) { 4 } else { 1 };
    for class in (0..passes).flat_map(|_| 0..classes.len()) {
        if !draw.rebalance(class) {
            draw.reassign(class);
        }
    }
    if let Some(class) = draw.counts.iter().position(|sets| sets[0] == 0) {
        return Err(Error::Input(format!(
            "class `{}`: all its covers share groups with other classes, and none came into train: choose another \
             --group, or add covers",
            classes[class]
        )));
    }
    Ok(group_of.iter().map(|&group| Split::ALL[draw.set_of[group]]).collect())
}

/// Puts each group whole into one set of a split that was given: the set that holds most of its items; of equal ones test
/// before val before train, so that a published test set loses nothing. Tells which items were moved.
pub fn unite(items: &Items, splits: &mut [Split]) -> Vec<usize> {
    let group_of = join(items);
    let mut counts: Vec<[usize; 3]> = Vec::new();
    for (&group, &split) in group_of.iter().zip(&*splits) {
        counts.resize(counts.len().max(group + 1), [0; 3]);
        counts[group][split as usize] += 1;
    }
    let mut moved = Vec::new();
    for (i, (&group, split)) in group_of.iter().zip(splits).enumerate() {
        let most = Split::ALL.into_iter().max_by_key(|&set| counts[group][set as usize]).unwrap_or(*split);
        if most != *split {
            *split = most;
            moved.push(i);
        }
    }
    moved
}

/// A set has at least this part of its share of each class where groups permit, and at most this multiple of it. Wide
/// enough for the lottery alone to hold them where a class has some hundred groups.
const LEAST: f64 = 0.5;
const MOST: f64 = 1.5;

/// Sets for groups, while they are drawn.
struct Draw<'a> {
    groups: &'a [Group],
    ratios: [f64; 3],
    wanted: &'a [usize],
    /// The set of each group.
    set_of: Vec<usize>,
    /// For each class its covers in each set.
    counts: Vec<[usize; 3]>,
}

/// The set in whose share of 0 to 1 the number lies.
fn drawn(number: f64, ratios: [f64; 3]) -> usize {
    if number < ratios[0] {
        0
    } else if number < ratios[0] + ratios[1] || ratios[2] <= 0.0 {
        1
    } else {
        2
    }
}

impl Draw<'_> {
    fn put(&mut self, group: usize, set: usize) {
        for &(label, count) in &self.groups[group].labels {
            self.counts[label][self.set_of[group]] -= count;
            self.counts[label][set] += count;
        }
        self.set_of[group] = set;
    }

    fn own(&self, class: usize) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(move |group| group.label == class)
    }

    /// Moves groups of the class, nearest to the border first, until every set has about its share. False if that cannot
    /// be done.
    fn rebalance(&mut self, class: usize) -> bool {
        let total: usize = self.counts[class].iter().sum();
        let wish = self.ratios.map(|ratio| ratio * total as f64);
        let least = wish.map(|wish| (wish * LEAST).max(f64::MIN_POSITIVE));
        let most = wish.map(|wish| (wish * MOST).max(1.0));
        loop {
            let covers = self.counts[class].map(|covers| covers as f64);
            let lack = |&set: &usize| 1.0 - covers[set] / wish[set];
            let by_lack = |a: &usize, b: &usize| lack(a).total_cmp(&lack(b));
            let needy = self.wanted.iter().copied().filter(|&set| covers[set] < least[set]).max_by(by_lack);
            let crowded = self.wanted.iter().copied().filter(|&set| covers[set] > most[set]).min_by(by_lack);
            let to = match (needy, crowded) {
                (None, None) => return true,
                (Some(needy), _) => needy,
                (None, Some(from)) => match self.wanted.iter().copied().filter(|&set| set != from).max_by(by_lack) {
                    Some(to) => to,
                    None => return true,
                },
            };
            let (low, high) = (self.ratios[..to].iter().sum::<f64>(), self.ratios[..=to].iter().sum::<f64>());
            let away = |group: &Group| (low - group.number()).max(group.number() - high);
            let spare = |group: &&Group| {
                let (from, size) = (self.set_of[group.id], group.covers_of(class) as f64);
                let giver = if needy.is_some() { from != to } else { Some(from) == crowded };
                giver && group.before.is_none() && covers[from] - size >= least[from] && covers[to] + size <= most[to]
            };
            let nearest = self
                .own(class)
                .filter(spare)
                .min_by(|a, b| away(a).total_cmp(&away(b)).then_with(|| a.chance.cmp(&b.chance)));
            let Some(group) = nearest.map(|group| group.id) else { return false };
            self.put(group, to);
        }
    }

    /// Deals out a class's groups anew, as near to the ratio as they permit.
    fn reassign(&mut self, class: usize) {
        let free: Vec<&Group> = self.groups.iter().filter(|g| g.label == class && g.before.is_none()).collect();
        let mut fixed = self.counts[class];
        free.iter().for_each(|group| fixed[self.set_of[group.id]] -= group.covers_of(class));
        let sets = place(&free, class, fixed, self.ratios, self.wanted);
        for (group, set) in free.iter().map(|group| group.id).zip(sets) {
            self.put(group, set);
        }
    }
}

/// Orders of chance that are tried for a class. Where groups are large, the last ones to be placed may overshoot; the
/// best of several tries comes nearer, and unlike "largest first" gives no set the larger groups.
const TRIES: u8 = 64;

/// A set for each of these groups of a class. `before` counts its covers that are in the sets already.
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
        let mut lacking: Vec<usize> = wanted.iter().copied().filter(|&set| before[set] == 0).collect();
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
    /// The set that most of its covers were in before; of equal ones the last.
    before: Option<usize>,
}

impl Group {
    /// Between 0 and 1, the same for ever.
    fn number(&self) -> f64 {
        let bytes: [u8; 8] = std::array::from_fn(|i| self.chance[i]);
        (u64::from_be_bytes(bytes) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn covers_of(&self, class: usize) -> usize {
        self.labels.iter().find(|(label, _)| *label == class).map_or(0, |&(_, count)| count)
    }
}

/// For each item the number of its group; groups are numbered by their first item.
pub fn join(items: &Items) -> Vec<usize> {
    let mut groups = Disjoint::new(items.count);
    let columns = items.iter().map(|item| item.ties.len()).max().unwrap_or(0);
    let mut hashes: Vec<([u8; 16], u32)> = Vec::new();
    for column in 0..columns {
        let hash = |(i, item): (u32, Item)| Some((short_hash(value(&item, column)?.as_bytes()), i));
        hashes.clear();
        hashes.extend((0..).zip(items.iter()).filter_map(hash));
        hashes.sort_unstable();
        for same in hashes.chunk_by(|a, b| a.0 == b.0) {
            same.iter().for_each(|&(_, i)| groups.join(same[0].1 as usize, i as usize));
        }
    }
    groups.numbered()
}

/// What ties the largest group: the most frequent value in it and the number of its tie. And how many items the group has.
pub fn largest(items: &Items) -> Option<(usize, usize, String)> {
    let group_of = join(items);
    let mut sizes = vec![0; group_of.iter().max()? + 1];
    group_of.iter().for_each(|&group| sizes[group] += 1);
    let largest = (0..sizes.len()).max_by_key(|&group| (sizes[group], Reverse(group)))?;
    let mut values: BTreeMap<(usize, String), usize> = BTreeMap::new();
    for item in group_of.iter().zip(items.iter()).filter(|(group, _)| **group == largest).map(|(_, item)| item) {
        for tie in 0..item.ties.len() {
            if let Some(value) = value(&item, tie) {
                *values.entry((tie, value)).or_default() += 1;
            }
        }
    }
    let ((tie, value), _) = values.into_iter().max_by_key(|((tie, _), count)| (*count, Reverse(*tie)))?;
    Some((sizes[largest], tie, value))
}

/// The value that keeps it together with others, by the tie of this number.
fn value(item: &Item, tie: usize) -> Option<String> {
    item.ties.get(tie)?.value(item.strings)
}

fn gather(items: &Items, group_of: &[usize], seed: u64) -> Vec<Group> {
    let mut order: Vec<usize> = (0..items.count).collect();
    order.sort_by_key(|&i| group_of[i]);
    let gather_one = |(id, members): (usize, &[usize])| {
        let mut labels: Vec<(usize, usize)> = Vec::with_capacity(1);
        for &i in members {
            let own = items.at(i).label;
            match labels.iter_mut().find(|(label, _)| *label == own) {
                Some((_, count)) => *count += 1,
                None => labels.push((own, 1)),
            }
        }
        let label = labels.iter().max_by_key(|&&(label, count)| (count, Reverse(label))).map_or(0, |&(label, _)| label);
        let were = |set: Split| members.iter().filter(|&&i| items.at(i).before == Some(set)).count();
        let before = Split::ALL.into_iter().filter(|&set| were(set) > 0).max_by_key(|&set| were(set));
        Group { id, labels, label, chance: chance(items, members, seed), before: before.map(|set| set as usize) }
    };
    order.chunk_by(|&a, &b| group_of[a] == group_of[b]).enumerate().map(gather_one).collect()
}

/// A group's place in the order of chance: decided by the seed and its first value, or its cover if it has no values.
fn chance(items: &Items, members: &[usize], seed: u64) -> [u8; 32] {
    let values = members.iter().map(|&i| items.at(i)).flat_map(|item| {
        (0..item.ties.len()).filter_map(move |column| value(&item, column).map(|value| (column, value)))
    });
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    match values.min() {
        Some((column, value)) => hasher.update(format!("group {column} {value}").as_bytes()),
        // What has no value has joined nothing, so it is alone.
        None => hasher.update(format!("cover {}", items.at(members[0]).key).as_bytes()),
    };
    hasher.finalize().into()
}

fn count_labels(classes: usize, items: &Items) -> Vec<usize> {
    let mut totals = vec![0; classes];
    for item in items.iter() {
        totals[item.label] += 1;
    }
    totals
}

fn check_feasible(classes: &[String], totals: &[usize], groups: &[Group], sets: usize) -> Result<()> {
    let mut too_few: Vec<usize> = (0..classes.len()).filter(|&label| totals[label] < sets).collect();
    too_few.sort_by_key(|&label| Reverse(totals[label]));
    if !too_few.is_empty() {
        let listed: Vec<String> = too_few
            .iter()
            .map(|&label| format!("class `{}` has {} usable covers", classes[label], totals[label]))
            .collect();
        let names: Vec<String> = too_few.iter().map(|&label| classes[label].clone()).collect();
        let fewer =
            if sets > 2 && too_few.iter().all(|&label| totals[label] > 1) { ", or choose --split 80,20" } else { "" };
        return Err(Error::Input(format!(
            "{}, fewer than the {sets} sets of the split: add covers, or leave them out with --min-covers {sets} or --without \
             {}{fewer}",
            listed.join(", "),
            quoted(&names.join(","))
        )));
    }
    let groups_of = |label: usize| groups.iter().filter(|group| group.labels.iter().any(|&(l, _)| l == label)).count();
    let tied: Vec<(usize, usize)> =
        (0..classes.len()).map(|label| (label, groups_of(label))).filter(|&(_, count)| count < sets).collect();
    if tied.is_empty() {
        return Ok(());
    }
    let listed: Vec<String> = tied
        .iter()
        .map(|&(label, count)| {
            format!("class `{}` has {} covers but only {count} groups", classes[label], totals[label])
        })
        .collect();
    let names: Vec<String> = tied.iter().map(|&(label, _)| classes[label].clone()).collect();
    let fewer = if sets > 2 && tied.iter().all(|&(_, count)| count > 1) { "--split 80,20, " } else { "" };
    Err(Error::Input(format!(
        "{} to keep whole, fewer than the {sets} sets of the split: choose {fewer}another --group (--group none keeps nothing \
         together, and then flatters the score), add covers of other groups, or leave them out with --without {}",
        listed.join(", "),
        quoted(&names.join(","))
    )))
}

#[cfg(test)]
mod tests;
