//! Which pictures show the same cover?

use rayon::prelude::*;

use crate::data::import::decode::Greys;
use crate::data::picture::fingerprint::{PictureInfo, contrast, correlation, distance};
use crate::data::set::disjoint::Disjoint;
use crate::data::set::report::{Told, ToldMember};
use crate::data::source::Row;

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
    pub row: &'a Row,
    pub info: &'a PictureInfo,
}

/// Pictures of one cover, and which of them stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Candidates by number, ascending; at least two.
    pub members: Vec<usize>,
    /// The one that stays; none if their labels contradict each other.
    pub kept: Option<usize>,
}

/// Groups of candidates that show the same cover, in the order of their first members.
///
/// Two do if their files are equal, or if their perceptual hashes are near and their small grey pictures correlate. What is
/// alike through a third counts as alike. Of a group the largest picture stays; where the source has sets, one of the test
/// set before val before train, so that a published test set loses nothing. Every pair of hashes is compared: 80,000
/// pictures take seconds.
pub fn find(candidates: &[Candidate], greys: &Greys) -> Vec<Group> {
    let mut covers = Disjoint::new(candidates.len());
    let mut by_file: Vec<usize> = (0..candidates.len()).collect();
    by_file.sort_unstable_by_key(|&i| (candidates[i].info.hash.as_bytes(), i));
    for copies in by_file.chunk_by(|&a, &b| candidates[a].info.hash == candidates[b].info.hash) {
        copies.iter().for_each(|&i| covers.join(copies[0], i));
    }
    drop(by_file);
    let is_first = |&i: &usize| covers.root(i) == i;
    let distinct: Vec<usize> =
        (0..candidates.len()).filter(is_first).filter(|&i| contrast(greys.of(i)) >= LEAST_CONTRAST).collect();
    let looks: Vec<u64> = distinct.iter().map(|&i| candidates[i].info.phash).collect();
    // Some rows at a time: of a picture that is there a thousand times over, the first rows join all copies, and no later
    // row looks at them again.
    let step = ROWS * rayon::current_num_threads();
    for start in (0..distinct.len()).step_by(step) {
        let rows = start..distinct.len().min(start + step);
        let roots: Vec<usize> = distinct.iter().map(|&i| covers.root(i)).collect();
        let alike = |a: usize, b: usize| {
            distance(looks[a], looks[b]) <= MOST_DISTANT
                && roots[a] != roots[b]
                && correlation(greys.of(distinct[a]), greys.of(distinct[b])) >= LEAST_CORRELATION
        };
        let of_row = |a: usize| (a + 1..looks.len()).filter(|&b| alike(a, b)).map(|b| (a, b)).collect();
        let pairs: Vec<Vec<(usize, usize)>> = rows.into_par_iter().map(of_row).collect();
        for (a, b) in pairs.into_iter().flatten() {
            covers.join(distinct[a], distinct[b]);
        }
    }
    // The first of a group is its root; here are the others.
    let mut others: Vec<(usize, usize)> =
        (0..candidates.len()).map(|i| (covers.root(i), i)).filter(|(root, i)| root != i).collect();
    others.sort_unstable();
    let group = |others: &[(usize, usize)]| {
        let members: Vec<usize> = [others[0].0].into_iter().chain(others.iter().map(|&(_, i)| i)).collect();
        Group { kept: best(candidates, &members), members }
    };
    others.chunk_by(|a, b| a.0 == b.0).map(group).collect()
}

fn best(candidates: &[Candidate], members: &[usize]) -> Option<usize> {
    let label = candidates[members[0]].row.label;
    if members.iter().any(|&i| candidates[i].row.label != label) {
        return None;
    }
    let worth = |&&i: &&usize| {
        let Candidate { row, info } = candidates[i];
        (row.split.map(|split| split as usize), u64::from(info.width) * u64::from(info.height), std::cmp::Reverse(i))
    };
    members.iter().max_by_key(worth).copied()
}

/// The group in words and numbers, for `import.json`.
pub fn told(group: &Group, candidates: &[Candidate], classes: &[String], greys: &Greys) -> Told {
    let to = group.kept.unwrap_or(group.members[0]);
    let member = |&i: &usize| {
        let Candidate { row, info } = candidates[i];
        ToldMember {
            path: row.strings.path_text().to_owned(),
            label: classes[row.label].clone(),
            width: info.width,
            height: info.height,
            distance: distance(info.phash, candidates[to].info.phash),
            correlation: (correlation(greys.of(i), greys.of(to)) * 1e4).round() / 1e4,
        }
    };
    Told {
        kept: group.kept.map(|i| candidates[i].row.strings.path_text().to_owned()),
        members: group.members.iter().map(member).collect(),
    }
}
