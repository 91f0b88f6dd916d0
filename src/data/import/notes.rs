//! What the owner of the pictures should know, though nothing is wrong: groups that may be a series, plain pictures.

use std::collections::HashSet;

use crate::data::import::duplicates::Group;
use crate::data::picture::fingerprint::PictureInfo;
use crate::data::source::Row;

/// Groups of more different files than this are named: copies are seldom so many, covers of a series may be.
const MANY: usize = 5;
/// Paths that a note names.
const NAMED: usize = 3;

/// What became of pictures that look alike, where all are kept.
pub fn kept(groups: &[Group]) -> Option<String> {
    let covers: usize = groups.iter().map(|group| group.members.len()).sum();
    let conflicts = groups.iter().filter(|group| group.kept.is_none()).count();
    (!groups.is_empty()).then(|| {
        format!(
            "kept {covers} covers that look alike, in {} groups that stay in one set; {conflicts} groups have labels that \
             contradict each other",
            groups.len(),
        )
    })
}

/// What became of different covers that are alike from afar.
pub fn tied(groups: &[Group]) -> String {
    let covers: usize = groups.iter().map(|group| group.members.len()).sum();
    format!(
        "{covers} covers are alike from afar, as those of a series or scans in other colours are: each of their {} groups stays in \
         one set (the column `duplicates`)",
        groups.len()
    )
}

/// What to know of groups of many different files that look alike. They are told largest first.
pub fn large_groups(groups: &[Group], rows: &[Row], infos: &[PictureInfo]) -> Option<String> {
    let files =
        |group: &Group| group.members.iter().map(|member| infos[member.number].hash).collect::<HashSet<_>>().len();
    let mut large: Vec<(usize, &Group)> =
        groups.iter().map(|group| (files(group), group)).filter(|(files, _)| *files > MANY).collect();
    large.sort_by_key(|(files, _)| std::cmp::Reverse(*files));
    let named: Vec<String> = large
        .iter()
        .take(NAMED)
        .map(|(files, group)| {
            let first = group.kept.unwrap_or(group.members[0].number);
            format!("{} ({files} files)", rows[first].strings.path_text())
        })
        .collect();
    let groups = if large.len() == 1 { "1 group".to_owned() } else { format!("{} groups", large.len()) };
    (!large.is_empty()).then(|| {
        format!(
            "{groups} of more than {MANY} different files look alike: {}{}; if they are covers of a series, keep them with \
             --keep-duplicates (import.json lists them)",
            named.join(", "),
            more(large.len())
        )
    })
}

/// What to know of pictures that are one colour all over; `paths` are theirs.
pub fn plain(paths: &[&str]) -> Option<String> {
    let pictures = if paths.len() == 1 { "1 picture is".to_owned() } else { format!("{} pictures are", paths.len()) };
    let named = paths[..paths.len().min(NAMED)].join(", ");
    (!paths.is_empty()).then(|| {
        format!("{pictures} one colour all over, or nearly: {named}{}; look whether they are covers", more(paths.len()))
    })
}

fn more(count: usize) -> String {
    if count > NAMED { format!(", and {} more", count - NAMED) } else { String::new() }
}
