//! Which pictures show the same cover?

use std::collections::HashMap;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::decode::Greys;
use super::disjoint::Disjoint;
use super::look::{contrast, correlation, distance};
use super::manifest::Split;
use super::pack::PictureInfo;

/// Perceptual hashes further apart than this are of different covers.
pub const MOST_DISTANT: u32 = 10;
/// Covers whose small grey pictures correlate less are different.
pub const LEAST_CORRELATION: f64 = 0.96;
/// Pictures plainer than this (standard deviation of the small grey picture, of 255) have no look that could be compared:
/// only copies of the same file count.
pub const LEAST_CONTRAST: f64 = 6.0;

/// Rows of the table of all pairs that are compared at a time, for each core.
const ROWS: usize = 32;

/// What is known of a usable picture when duplicates are looked for.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    pub path: &'a str,
    pub info: &'a PictureInfo,
    pub label: usize,
    /// The set that the source puts it into.
    pub split: Option<Split>,
}

/// Pictures of one cover, and which of them stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Candidates by number, ascending; at least two.
    pub members: Vec<usize>,
    /// The one that stays; none if their labels contradict each other.
    pub kept: Option<usize>,
}

/// A group as it is written down.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// None if their labels contradict each other and all were dropped.
    pub kept: Option<String>,
    pub members: Vec<ToldMember>,
}

/// A picture of a [`Told`] group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToldMember {
    pub path: String,
    pub label: String,
    pub width: u32,
    pub height: u32,
    /// Differing bits of its perceptual hash, from the one that stays (or the first).
    pub distance: u32,
    /// Correlation of its small grey picture with that one's.
    pub correlation: f64,
}

/// Groups of candidates that show the same cover, in the order of their first members.
///
/// Two do if their files are equal, or if their perceptual hashes are near and their small grey pictures correlate. What is
/// alike through a third counts as alike. Of a group the largest picture stays; where the source has sets, one of the test
/// set before val before train, so that a published test set loses nothing. Every pair of hashes is compared: 80,000
/// pictures take seconds.
pub fn find(candidates: &[Candidate], greys: &Greys) -> Vec<Group> {
    let mut covers = Disjoint::new(candidates.len());
    let mut first_of: HashMap<&str, usize> = HashMap::new();
    let mut distinct = Vec::new();
    for (i, candidate) in candidates.iter().enumerate() {
        match first_of.get(candidate.info.hash.as_str()) {
            Some(&first) => covers.join(first, i),
            None => {
                first_of.insert(&candidate.info.hash, i);
                distinct.push(i);
            }
        }
    }
    distinct.retain(|&i| contrast(greys.of(i)) >= LEAST_CONTRAST);
    let looks: Vec<u64> = distinct.iter().map(|&i| candidates[i].info.look).collect();
    // Some rows at a time: of a picture that is there a thousand times over, the first rows join all copies, and no later
    // row looks at them again.
    let all: Vec<usize> = (0..distinct.len()).collect();
    for rows in all.chunks(ROWS * rayon::current_num_threads()) {
        let roots: Vec<usize> = distinct.iter().map(|&i| covers.root(i)).collect();
        let alike = |a: usize, b: usize| {
            distance(looks[a], looks[b]) <= MOST_DISTANT
                && roots[a] != roots[b]
                && correlation(greys.of(distinct[a]), greys.of(distinct[b])) >= LEAST_CORRELATION
        };
        let of_row = |&a: &usize| (a + 1..looks.len()).filter(|&b| alike(a, b)).map(|b| (a, b)).collect();
        let pairs: Vec<Vec<(usize, usize)>> = rows.par_iter().map(of_row).collect();
        for (a, b) in pairs.into_iter().flatten() {
            covers.join(distinct[a], distinct[b]);
        }
    }
    let mut members: HashMap<usize, Vec<usize>> = HashMap::new();
    for i in 0..candidates.len() {
        members.entry(covers.root(i)).or_default().push(i);
    }
    let mut groups: Vec<Vec<usize>> = members.into_values().filter(|members| members.len() > 1).collect();
    groups.sort_unstable();
    groups.into_iter().map(|members| Group { kept: best(candidates, &members), members }).collect()
}

fn best(candidates: &[Candidate], members: &[usize]) -> Option<usize> {
    let label = candidates[members[0]].label;
    if members.iter().any(|&i| candidates[i].label != label) {
        return None;
    }
    let worth = |&&i: &&usize| {
        let Candidate { info, split, .. } = candidates[i];
        (split.map(|split| split as usize), u64::from(info.width) * u64::from(info.height), std::cmp::Reverse(i))
    };
    members.iter().max_by_key(worth).copied()
}

/// The group in words and numbers, for `import.json`.
pub fn told(group: &Group, candidates: &[Candidate], classes: &[String], greys: &Greys) -> Told {
    let to = group.kept.unwrap_or(group.members[0]);
    let member = |&i: &usize| {
        let Candidate { path, info, label, .. } = candidates[i];
        ToldMember {
            path: path.to_owned(),
            label: classes[label].clone(),
            width: info.width,
            height: info.height,
            distance: distance(info.look, candidates[to].info.look),
            correlation: (correlation(greys.of(i), greys.of(to)) * 1e4).round() / 1e4,
        }
    };
    Told {
        kept: group.kept.map(|i| candidates[i].path.to_owned()),
        members: group.members.iter().map(member).collect(),
    }
}
