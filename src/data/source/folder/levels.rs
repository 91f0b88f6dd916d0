//! Where in a tree of folders are the classes, and where the sets?

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::data::set::split::Split;
use crate::data::source::sets::{SetName, named_like_a_set, says_nothing};

/// What the folders' names say of the sets.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Sets {
    /// Nothing.
    None,
    /// Only train sets have labels, so what is in them is to be split.
    Alone(Vec<OsString>),
    /// The sets of these folders are kept.
    Kept(Vec<OsString>),
}

/// What a picture's folders make it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Position<'a> {
    Class {
        name: &'a OsStr,
        split: Option<Split>,
    },
    /// In a set without class folders.
    Unlabelled(&'a OsStr),
    /// In a folder that is no set, beside sets.
    Stranger(&'a OsStr),
    Outside,
}

/// Where classes and sets are.
#[derive(Debug)]
pub(super) struct Levels {
    /// The folders that all pictures share.
    top: PathBuf,
    shared: usize,
    pub sets: Sets,
    order: Order,
}

#[derive(Debug)]
enum Order {
    Classes,
    /// A class's pictures lie in folders named like sets.
    SetsInClasses,
    ClassesInSets(BTreeMap<OsString, Set>),
}

/// A folder that is a set.
#[derive(Debug)]
struct Set {
    name: SetName,
    /// Where in a path its class folders are.
    depth: usize,
    labelled: bool,
    /// What its pictures get; none where all are to be split.
    split: Option<Split>,
}

impl Levels {
    /// The levels of pictures with these paths.
    ///
    /// On top lie either classes or sets. They are sets if a folder with class folders in it is named like a train set, and
    /// others are then strangers. A name is that of a set if it says nothing else (`1_train`), or if another set's name says
    /// the same beside it (`flowers_train`, `flowers_test`).
    pub fn of(paths: &[&Path]) -> Self {
        let shared = shared_top(paths);
        let folders = paths.iter().find(|path| folder_at(path, shared).is_some());
        let top: PathBuf = folders.map(|path| path.iter().take(shared).collect()).unwrap_or_default();
        let mut sets = sets_on_top(paths, shared);
        let labelled: BTreeSet<Split> = sets.values().filter(|set| set.labelled).map(|set| set.name.set).collect();
        if labelled.contains(&Split::Train) {
            let names = |sets: &BTreeMap<OsString, Set>| {
                sets.iter().filter(|(_, set)| set.labelled).map(|(name, _)| name.clone()).collect::<Vec<_>>()
            };
            let known = if labelled.len() > 1 {
                sets.values_mut().for_each(|set| set.split = Some(set.name.set));
                Sets::Kept(names(&sets))
            } else {
                Sets::Alone(names(&sets))
            };
            return Self { top, shared, sets: known, order: Order::ClassesInSets(sets) };
        }
        if let Some(names) = sets_in_classes(paths, shared) {
            return Self { top, shared, sets: Sets::Kept(names), order: Order::SetsInClasses };
        }
        Self { top, shared, sets: Sets::None, order: Order::Classes }
    }

    /// What the folders of a picture with this path make it.
    pub fn position<'a>(&self, path: &'a Path) -> Position<'a> {
        let Some(first) = folder_at(path, self.shared).filter(|_| path.starts_with(&self.top)) else {
            return Position::Outside;
        };
        match &self.order {
            Order::Classes => Position::Class { name: first, split: None },
            Order::SetsInClasses => {
                Position::Class { name: first, split: folder_at(path, self.shared + 1).and_then(only_set) }
            }
            Order::ClassesInSets(sets) => match sets.get(first) {
                None => Position::Stranger(first),
                Some(set) if !set.labelled => Position::Unlabelled(first),
                Some(set) => folder_at(path, set.depth)
                    .map_or(Position::Outside, |name| Position::Class { name, split: set.split }),
            },
        }
    }
}

/// The folders at this depth that are sets.
fn sets_on_top(paths: &[&Path], depth: usize) -> BTreeMap<OsString, Set> {
    let mut inside: BTreeMap<&OsStr, Vec<&Path>> = BTreeMap::new();
    for path in paths {
        if let Some(folder) = folder_at(path, depth) {
            inside.entry(folder).or_default().push(path);
        }
    }
    let named: Vec<(&OsStr, SetName)> =
        inside.keys().filter_map(|name| Some((*name, named_like_a_set(name.to_str()?)?))).collect();
    let confirmed = |name: &SetName| {
        name.rest.is_empty() || named.iter().any(|(_, other)| other.set != name.set && other.rest == name.rest)
    };
    let set = |(folder, name): &(&OsStr, SetName)| {
        let depth = classes_in(&inside[folder], name.set, depth + 1);
        let labelled = inside[folder].iter().any(|path| folder_at(path, depth).is_some());
        ((*folder).to_owned(), Set { name: name.clone(), depth, labelled, split: None })
    };
    named.iter().filter(|(_, name)| confirmed(name)).map(set).collect()
}

/// How deep a set's class folders lie: below those that say nothing or the same again (`seg_train/seg_train/Rock`).
fn classes_in(paths: &[&Path], set: Split, mut depth: usize) -> usize {
    loop {
        let folders: BTreeSet<&OsStr> = paths.iter().filter_map(|path| folder_at(path, depth)).collect();
        let only = if folders.len() == 1 { folders.first().and_then(|name| name.to_str()) } else { None };
        match only {
            Some(name) if says_nothing(name) || named_like_a_set(name).is_some_and(|name| name.set == set) => {
                depth += 1
            }
            _ => return depth,
        }
    }
}

/// The names of the sets below the classes, if every picture lies in one and there are several.
fn sets_in_classes(paths: &[&Path], depth: usize) -> Option<Vec<OsString>> {
    let (mut names, mut found) = (BTreeSet::new(), BTreeSet::new());
    for path in paths.iter().filter(|path| folder_at(path, depth).is_some()) {
        let folder = folder_at(path, depth + 1)?;
        found.insert(only_set(folder)?);
        names.insert(folder.to_owned());
    }
    (found.contains(&Split::Train) && found.len() > 1).then(|| names.into_iter().collect())
}

fn only_set(folder: &OsStr) -> Option<Split> {
    named_like_a_set(folder.to_str()?).filter(|name| name.rest.is_empty()).map(|name| name.set)
}

/// The folder at this depth in a relative path; none if the picture itself lies there.
fn folder_at(path: &Path, depth: usize) -> Option<&OsStr> {
    let mut parts = path.iter().skip(depth);
    let folder = parts.next()?;
    parts.next().map(|_| folder)
}

/// How deep the folders lie in which the paths first part. Pictures that lie above do not count.
fn shared_top(paths: &[&Path]) -> usize {
    let mut depth = 0;
    loop {
        let mut here = paths.iter().filter_map(|path| folder_at(path, depth));
        let Some(first) = here.next() else { return depth };
        // Below a single class folder there may be none to tell apart: then this folder is the class.
        let alike = here.all(|folder| folder == first);
        if !alike || !paths.iter().any(|path| folder_at(path, depth + 1).is_some()) {
            return depth;
        }
        depth += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths<'a>(paths: &[&'a str]) -> Vec<&'a Path> {
        paths.iter().map(|path| Path::new(*path)).collect()
    }

    #[test]
    fn the_top_that_all_share_is_passed_through() {
        let depth = |list: &[&str]| shared_top(&paths(list));
        assert_eq!(depth(&["a/1.jpg", "b/2.jpg"]), 0);
        assert_eq!(depth(&["data/images/a/1.jpg", "data/images/b/2.jpg"]), 2);
        assert_eq!(depth(&["preview.png", "data/a/1.jpg", "data/b/2.jpg"]), 1);
        assert_eq!(depth(&["only/1.jpg", "only/2.jpg"]), 0);
        assert_eq!(depth(&["only/x/1.jpg", "only/2.jpg"]), 1);
        assert_eq!(depth(&["1.jpg", "a/2.jpg"]), 0);
        assert_eq!(depth(&[]), 0);
    }

    /// What becomes of each picture, shortly.
    fn positions(list: &[&str]) -> Vec<String> {
        let paths = paths(list);
        let levels = Levels::of(&paths);
        let told = |path: &&Path| match levels.position(path) {
            Position::Class { name, split } => {
                format!("{}{}", name.display(), split.map_or(String::new(), |split| format!(" {split}")))
            }
            Position::Unlabelled(name) => format!("unlabelled {}", name.display()),
            Position::Stranger(name) => format!("stranger {}", name.display()),
            Position::Outside => "outside".into(),
        };
        paths.iter().map(told).collect()
    }

    #[test]
    fn sets_are_told_from_classes() {
        for (list, wanted) in [
            (
                &["train/A/1", "train/B/1", "test/A/1", "more/A/1"][..],
                &["A train", "B train", "A test", "stranger more"][..],
            ),
            (&["x_train/A/1", "x_train/B/1", "x_test/B/1"], &["A train", "B train", "B test"]),
            (
                &[
                    "x/seg_train/seg_train/A/1",
                    "x/seg_train/seg_train/B/1",
                    "x/seg_test/seg_test/B/1",
                    "x/seg_pred/seg_pred/1",
                ],
                &["A train", "B train", "B test", "stranger seg_pred"],
            ),
            (&["train/images/A/1", "train/images/B/1", "valid/images/A/1"], &["A train", "B train", "A val"]),
            (&["train/A/1", "train/B/1", "test/1"], &["A", "B", "unlabelled test"]),
            (&["train/A/1", "train/B/1", "test/images/1"], &["A", "B", "unlabelled test"]),
            (&["A/train/1", "A/test/1", "B/train/1"], &["A train", "A test", "B train"]),
            (&["A/train/1", "A/1", "B/train/1"], &["A", "A", "B"]),
            // A class may hold a word that sets have, too.
            (&["soul train/x/1", "Rock/1", "test pressings/y/1"], &["soul train", "Rock", "test pressings"]),
            // Without classes in them, they are classes of bad names, which is refused later.
            (&["train/1", "test/1"], &["train", "test"]),
            (&["test/A/1", "val/A/1"], &["test", "val"]),
        ] {
            assert_eq!(positions(list), wanted);
        }
    }
}
