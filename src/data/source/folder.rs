//! Folders: one per class, perhaps below train, val and test; or one of covers of a class and one of others.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::data::set::report::Skipped;
use crate::data::set::split::Split;
use crate::data::source::Source;
use crate::data::source::collect::{Collector, NO_GROUPS, Origin};
use crate::data::source::walk::Walk;
use crate::{Error, Result};

fn set_of(folder: &OsStr) -> Option<Split> {
    crate::data::source::set_named(folder.to_str()?)
}

/// What to do where a folder will not do.
pub(super) fn give_table(data: &Path, root: &Path) -> String {
    let table = ["covers.csv", "manifest.csv"].into_iter().find(|table| root.join(table).is_file());
    table.map_or("give a CSV with the columns path, label and those to group by".into(), |table| {
        format!("give the table in it, {}", data.join(table).display())
    })
}

/// Reads a folder per class. Folders that hold nothing but one other folder are passed through; if train and another set
/// lie on top, the classes are expected below them and the sets are kept; pictures further down belong to their class.
pub(super) fn read(data: &Path, root: &Path, walk: &Walk) -> Result<Source> {
    let shown = data.display();
    let paths: Vec<&Path> =
        walk.pictures.iter().map(|file| file.path.strip_prefix(root).unwrap_or(&file.path)).collect();
    // How many folders on top are the same for all pictures and hold none themselves.
    let shared = shared_top(&paths);
    let names: BTreeSet<&OsStr> = paths.iter().filter_map(|path| folder_at(path, shared)).collect();
    let sets: Vec<Split> = names.iter().filter_map(|name| set_of(name)).collect();
    let are_sets = sets.len() == names.len() && sets.contains(&Split::Train) && sets.len() > 1;
    let depth = shared + usize::from(are_sets);

    let (mut found, mut outside, mut notes) = (Collector::default(), 0, Vec::new());
    for (file, &path) in walk.pictures.iter().zip(&paths) {
        let Some(class) = folder_at(path, depth) else {
            outside += 1;
            continue;
        };
        let Some(class) = class.to_str() else {
            let folder = file.path.parent().unwrap_or(root).display();
            return Err(Error::Input(format!("{folder}: the class's name is not UTF-8: rename it")));
        };
        let split = are_sets.then(|| folder_at(path, shared).and_then(set_of)).flatten();
        found.add(&file.path, class, NO_GROUPS, split, Origin::Class);
    }
    if found.is_empty() {
        return Err(nothing_found(data, root, outside, walk));
    }
    if are_sets {
        let names: Vec<_> = names.iter().map(|name| name.to_string_lossy()).collect();
        notes.push(format!("{shown}: the sets are kept as they lie on top: {}", names.join(", ")));
    }
    for (count, what) in
        [(outside, "pictures outside the class folders"), (walk.others, "files that have no picture's extension")]
    {
        if count > 0 {
            notes.push(format!("{shown}: passed over {count} {what}"));
        }
    }
    Ok(found.finish("folder", Vec::new(), walk.left_out.clone(), notes))
}

/// The folder at this depth in a relative path; none if the picture itself lies there.
fn folder_at(path: &Path, depth: usize) -> Option<&OsStr> {
    let mut parts = path.iter().skip(depth);
    let folder = parts.next()?;
    parts.next().map(|_| folder)
}

/// How deep the folders lie in which the paths first part.
fn shared_top(paths: &[&Path]) -> usize {
    let mut depth = 0;
    loop {
        let mut here = paths.iter().map(|path| folder_at(path, depth));
        let Some(Some(first)) = here.next() else { return depth };
        // Below a single class folder there may be none to tell apart: then this folder is the class.
        let alike = here.all(|folder| folder == Some(first));
        if !alike || !paths.iter().any(|path| folder_at(path, depth + 1).is_some()) {
            return depth;
        }
        depth += 1;
    }
}

fn nothing_found(data: &Path, root: &Path, outside: usize, walk: &Walk) -> Error {
    let shown = data.display();
    let table = give_table(data, root);
    if outside > 0 {
        return Error::Input(format!(
            "{shown}: its {outside} pictures lie in no class folder: make one sub-folder per class, or {table}"
        ));
    }
    if let Some(Skipped { path, reason }) = walk.left_out.first() {
        return Error::Input(format!("{shown}: no pictures in it that can be read: {path}: {reason}"));
    }
    Error::Input(format!(
        "{shown}: no pictures and no folders with pictures (jpg, png, webp, gif, bmp, tiff) in it: make one sub-folder \
         per class with its covers in it, or {table}"
    ))
}

/// Reads two folders as two classes named like them (or `positive` and `negative` if their names are alike).
pub(super) fn read_pair(positive: &(PathBuf, Walk), negative: &(PathBuf, Walk)) -> Result<Source> {
    let name = |root: &Path| root.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let mut names = [name(&positive.0), name(&negative.0)];
    if names[0].to_lowercase() == names[1].to_lowercase() || names.iter().any(String::is_empty) {
        names = ["positive".to_owned(), "negative".to_owned()];
    }
    let (mut found, mut left_out, mut notes) = (Collector::default(), Vec::new(), Vec::new());
    let mut counts = BTreeMap::new();
    for ((root, walk), class) in [positive, negative].into_iter().zip(names) {
        if walk.pictures.is_empty() {
            let root = root.display();
            return Err(Error::Input(format!(
                "{root}: no pictures in it: give the folder with the covers of one class"
            )));
        }
        left_out.extend(walk.left_out.iter().cloned());
        counts.insert(class.clone(), walk.pictures.len());
        for file in &walk.pictures {
            found.add(&file.path, &class, NO_GROUPS, None, Origin::Class);
        }
    }
    let counts: Vec<String> = counts.iter().map(|(class, count)| format!("{class} ({count})")).collect();
    notes.push(format!("two classes: {}", counts.join(" and ")));
    Ok(found.finish("two folders", Vec::new(), left_out, notes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_top_that_all_share_is_passed_through() {
        let depth = |paths: &[&str]| shared_top(&paths.iter().map(Path::new).collect::<Vec<_>>());
        assert_eq!(depth(&["a/1.jpg", "b/2.jpg"]), 0);
        assert_eq!(depth(&["data/images/a/1.jpg", "data/images/b/2.jpg"]), 2);
        assert_eq!(depth(&["only/1.jpg", "only/2.jpg"]), 0);
        assert_eq!(depth(&["only/x/1.jpg", "only/2.jpg"]), 1);
        assert_eq!(depth(&["1.jpg", "a/2.jpg"]), 0);
        assert_eq!(depth(&[]), 0);
    }

    #[test]
    fn sets_are_known_by_their_names() {
        for (name, set) in [("Train", Some(Split::Train)), ("VALID", Some(Split::Val)), ("tests", None)] {
            assert_eq!(set_of(OsStr::new(name)), set);
        }
    }
}
