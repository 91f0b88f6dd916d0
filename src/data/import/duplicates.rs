//! Which pictures show the same cover?
//!
//! Two do if their files are equal. They also do if they are alike from afar (perceptual hash, small grey picture) and then, laid
//! over each other, in every block of their colour and of their detail. So the covers of a series, which have one layout and
//! differ by a number, a title or a colour, are different covers.

use std::cmp::Reverse;

use rayon::prelude::*;

use crate::data::import::decode::Looks;
use crate::data::picture::fingerprint::{PictureInfo, contrast, correlation, distance};
use crate::data::picture::look::{Apart, apart};
use crate::data::set::disjoint::Disjoint;
use crate::data::set::report::{Told, ToldMember};
use crate::data::source::Row;

/// Perceptual hashes further apart than this are of different covers.
pub const MOST_DISTANT: u32 = 10;
/// Covers whose small grey pictures correlate less are different.
pub const LEAST_CORRELATION: f64 = 0.96;
/// Covers are different if the colour of a place differs by more: distance in the plane of Cb and Cr, 0 to 255 each.
pub const MOST_COLOUR: f64 = 13.0;
/// Covers are different if the detail of a place differs by more, in units of what scaling and compression explain there.
pub const MOST_DETAIL: f64 = 4.2;
/// Pictures plainer than this (standard deviation of the small grey picture, of 255) have no look that could be compared:
/// only copies of the same file count.
pub const LEAST_CONTRAST: f64 = 6.0;

/// Rows of the table of all pairs that are compared at a time, for each core.
const ROWS: usize = 32;

/// What is known of a usable picture when duplicates are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub row: &'a Row,
    pub info: &'a PictureInfo,
}

/// Pictures of one cover, and which of them stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// At least two, by their numbers, ascending.
    pub members: Vec<Member>,
    /// The one that stays; none if their labels contradict each other.
    pub kept: Option<usize>,
}

impl Group {
    /// The group of those that stay, if they are several.
    pub fn among(mut self, stays: &[bool]) -> Option<Self> {
        self.members.retain(|member| stays[member.number]);
        (self.members.len() > 1).then_some(self)
    }
}

/// A candidate, and the one that it is directly alike to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    pub number: usize,
    /// The one that stays; or one of another label; or, of groups that are kept, any. Itself if this one stays.
    pub like: usize,
}

/// Files of the same bytes.
struct Item {
    /// Ascending.
    members: Vec<usize>,
    /// None if they have several.
    label: Option<usize>,
    /// The one that would stay.
    best: usize,
}

impl Item {
    fn contradicts(&self, other: &Item) -> bool {
        self.label.is_none() || self.label != other.label
    }
}

fn items(candidates: &[Candidate]) -> Vec<Item> {
    let mut by_file: Vec<usize> = (0..candidates.len()).collect();
    by_file.sort_unstable_by_key(|&i| (candidates[i].info.hash.as_bytes(), i));
    let item = |copies: &[usize]| {
        let label = candidates[copies[0]].row.label;
        Item {
            members: copies.to_vec(),
            label: copies.iter().all(|&i| candidates[i].row.label == label).then_some(label),
            best: copies.iter().copied().max_by_key(|&i| worth(candidates, i)).unwrap_or(copies[0]),
        }
    };
    let mut items: Vec<Item> =
        by_file.chunk_by(|&a, &b| candidates[a].info.hash == candidates[b].info.hash).map(item).collect();
    items.sort_unstable_by_key(|item| item.members[0]);
    items
}

/// Of the same cover the largest picture stays; where the source has sets, one of the test set before val before train, so that
/// a published test set loses nothing.
fn worth(candidates: &[Candidate], i: usize) -> impl Ord + use<> {
    let Candidate { row, info } = candidates[i];
    (row.split.map(|split| split as usize), u64::from(info.width) * u64::from(info.height), Reverse(i))
}

/// Whether two pictures are alike from afar, given that their perceptual hashes are near.
fn alike_from_afar(looks: &Looks, a: usize, b: usize) -> bool {
    correlation(looks.grey(a), looks.grey(b)) >= LEAST_CORRELATION
}

/// How far two pictures are apart that are alike from afar; none if they are not alike.
fn alike(candidates: &[Candidate], looks: &Looks, a: usize, b: usize) -> Option<Apart> {
    if !alike_from_afar(looks, a, b) {
        return None;
    }
    // The measure has a first and a second; which is which must not depend on who asks.
    let first = |i: usize| (candidates[i].info.hash, i);
    let (a, b) = if first(a).0.as_bytes() <= first(b).0.as_bytes() { (a, b) } else { (b, a) };
    let apart = apart(looks.look(a), looks.look(b), MOST_DETAIL);
    (apart.colour <= MOST_COLOUR && apart.detail <= MOST_DETAIL).then_some(apart)
}

/// Compares items in pairs, some rows of the table of all pairs at a time, in the order given: those that `wanted` names, and
/// whose pictures are alike, are handed to `found`. Every pair of hashes is compared: 80,000 pictures take seconds.
fn search<State: Sync>(
    state: &mut State,
    items: &[Item],
    order: &[usize],
    candidates: &[Candidate],
    alike: impl Fn(usize, usize) -> bool + Sync,
    wanted: impl Fn(&State, usize, usize) -> bool + Sync,
    found: impl Fn(&mut State, &[(usize, usize)]),
) {
    let first = |place: usize| items[order[place]].members[0];
    let hashes: Vec<u64> = (0..order.len()).map(|place| candidates[first(place)].info.phash).collect();
    let most = ROWS * rayon::current_num_threads();
    // Few rows at first: of a picture that is there a thousand times over, they find all copies, and no later row looks at
    // them again.
    let (mut start, mut step) = (0, 1);
    while start < order.len() {
        let rows = start..order.len().min(start + step);
        let state_now = &*state;
        let of_row = |a: usize| {
            let near = (a + 1..order.len()).filter(|&b| distance(hashes[a], hashes[b]) <= MOST_DISTANT);
            let near: Vec<usize> = near.filter(|&b| wanted(state_now, order[a], order[b])).collect();
            let same = near.into_par_iter().filter(|&b| alike(first(a), first(b)));
            same.map(|b| (order[a], order[b])).collect()
        };
        let pairs: Vec<Vec<(usize, usize)>> = rows.clone().into_par_iter().map(of_row).collect();
        found(state, &pairs.concat());
        (start, step) = (rows.end, (2 * step).min(most));
    }
}

/// Groups of candidates that show the same cover, in the order of their first members. A picture is dropped only if it is itself
/// alike to the one that stays, not through a third one. Where labels contradict each other, a picture is dropped if it is itself
/// alike to one of another label.
pub fn find(candidates: &[Candidate], looks: &Looks) -> Vec<Group> {
    let items = items(candidates);
    let same = |a: usize, b: usize| alike(candidates, looks, a, b).is_some();
    let comparable = comparable(&items, looks);

    // First those whose labels contradict each other: for each one that does.
    struct Contradictions {
        found: Vec<Option<usize>>,
        together: Disjoint,
    }
    let own = |i: usize| items[i].label.is_none().then_some(i);
    let mut against =
        Contradictions { found: (0..items.len()).map(own).collect(), together: Disjoint::new(items.len()) };
    search(
        &mut against,
        &items,
        &comparable,
        candidates,
        same,
        |now, a, b| items[a].contradicts(&items[b]) && (now.found[a].is_none() || now.found[b].is_none()),
        |now, pairs| {
            for &(a, b) in pairs {
                now.found[a].get_or_insert(b);
                now.found[b].get_or_insert(a);
                now.together.join(a, b);
            }
        },
    );
    let Contradictions { found: against, mut together } = against;

    // Then the others, the best ones first: each takes all that are alike to it.
    let mut order: Vec<usize> = comparable.into_iter().filter(|&i| against[i].is_none()).collect();
    order.sort_by_cached_key(|&i| Reverse(worth(candidates, items[i].best)));
    let mut copy_of: Vec<Option<usize>> = vec![None; items.len()];
    search(
        &mut copy_of,
        &items,
        &order,
        candidates,
        same,
        |now, a, b| now[a].is_none() && now[b].is_none(),
        |now, pairs| {
            for &(a, b) in pairs {
                if now[a].is_none() && now[b].is_none() {
                    now[b] = Some(a);
                }
            }
        },
    );

    let other = |i: usize, of: usize| {
        let label = candidates[i].row.label;
        items[of].members.iter().copied().find(|&j| candidates[j].row.label != label)
    };
    let member = |item: usize, i: usize| match against[item] {
        // Of files of the same bytes with several labels, one of them; else one of the item that contradicts.
        Some(of) => Member { number: i, like: other(i, item).or_else(|| other(i, of)).unwrap_or(i) },
        None => Member { number: i, like: items[copy_of[item].unwrap_or(item)].best },
    };
    let head = |item: usize, together: &mut Disjoint| match against[item] {
        Some(_) => together.root(item),
        None => copy_of[item].unwrap_or(item),
    };
    let mut members: Vec<(usize, Member)> = Vec::new();
    for (item, Item { members: files, .. }) in items.iter().enumerate() {
        let head = head(item, &mut together);
        members.extend(files.iter().map(|&i| (head, member(item, i))));
    }
    grouped(members, |head| against[head].is_none().then_some(items[head].best))
}

/// As [`find`], but what is alike through a third one is in one group: for pictures that are kept, and must not be parted.
pub fn find_all(candidates: &[Candidate], looks: &Looks) -> Vec<Group> {
    joined(candidates, looks, |a, b| alike(candidates, looks, a, b).is_some())
}

/// Groups of pictures that are alike from afar, also through others: the covers of a series, or scans of one cover in other
/// colours. They are different covers, but one would help to answer for the other.
pub fn find_near(candidates: &[Candidate], looks: &Looks) -> Vec<Group> {
    joined(candidates, looks, |a, b| alike_from_afar(looks, a, b))
}

fn joined(candidates: &[Candidate], looks: &Looks, alike: impl Fn(usize, usize) -> bool + Sync) -> Vec<Group> {
    struct Joined {
        sets: Disjoint,
        roots: Vec<usize>,
        like: Vec<Option<usize>>,
    }
    let items = items(candidates);
    let mut joined =
        Joined { sets: Disjoint::new(items.len()), roots: (0..items.len()).collect(), like: vec![None; items.len()] };
    search(
        &mut joined,
        &items,
        &comparable(&items, looks),
        candidates,
        alike,
        |now, a, b| now.roots[a] != now.roots[b],
        |now, pairs| {
            for &(a, b) in pairs {
                now.sets.join(a, b);
                now.like[a].get_or_insert(b);
                now.like[b].get_or_insert(a);
            }
            if !pairs.is_empty() {
                now.roots = (0..now.roots.len()).map(|i| now.sets.root(i)).collect();
            }
        },
    );
    let Joined { roots, like, .. } = joined;
    let mut kept: Vec<Option<usize>> = vec![None; items.len()];
    let mut label: Vec<Option<usize>> = items.iter().map(|item| item.label).collect();
    for (i, item) in items.iter().enumerate() {
        let root = roots[i];
        label[root] = label[root].filter(|_| label[root] == item.label);
        kept[root] = kept[root].into_iter().chain([item.best]).max_by_key(|&i| worth(candidates, i));
    }
    let mut members: Vec<(usize, Member)> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let like = |number: usize| match like[i] {
            Some(other) => items[other].members[0],
            None => item.members.iter().copied().find(|&copy| copy != number).unwrap_or(number),
        };
        members.extend(item.members.iter().map(|&number| (roots[i], Member { number, like: like(number) })));
    }
    grouped(members, |root| kept[root].filter(|_| label[root].is_some()))
}

/// Items whose pictures are not plain.
fn comparable(items: &[Item], looks: &Looks) -> Vec<usize> {
    (0..items.len()).filter(|&i| contrast(looks.grey(items[i].members[0])) >= LEAST_CONTRAST).collect()
}

/// Members with the names of their groups; those by themselves are left out.
fn grouped(mut members: Vec<(usize, Member)>, kept: impl Fn(usize) -> Option<usize>) -> Vec<Group> {
    members.sort_unstable_by_key(|(head, member)| (*head, member.number));
    let several = members.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1);
    let mut groups: Vec<Group> = several
        .map(|group| Group { members: group.iter().map(|&(_, member)| member).collect(), kept: kept(group[0].0) })
        .collect();
    groups.sort_unstable_by_key(|group| group.members[0].number);
    groups
}

/// The group in words and numbers, for `import.json`.
pub fn told(group: &Group, candidates: &[Candidate], classes: &[String], looks: &Looks) -> Told {
    let rounded = |value: f64| (value * 1e4).round() / 1e4;
    let path = |i: usize| candidates[i].row.strings.path_text().to_owned();
    let member = |&Member { number: i, like }: &Member| {
        let Candidate { row, info } = candidates[i];
        let other = candidates[like].info;
        let apart = if info.hash == other.hash { None } else { alike(candidates, looks, i, like) };
        ToldMember {
            path: path(i),
            label: classes[row.label].clone(),
            width: info.width,
            height: info.height,
            like: (like != i).then(|| path(like)),
            distance: distance(info.phash, other.phash),
            correlation: rounded(correlation(looks.grey(i), looks.grey(like))),
            colour: apart.map_or(0.0, |apart| rounded(apart.colour)),
            detail: apart.map_or(0.0, |apart| rounded(apart.detail)),
        }
    };
    Told { kept: group.kept.map(path), members: group.members.iter().map(member).collect() }
}
