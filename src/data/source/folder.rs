//! Folders: one per class, perhaps in train, val and test; or one of covers of a class and one of others.

mod levels;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use self::levels::{Levels, Sets};
use crate::data::set::report::Skipped;
use crate::data::source::Source;
use crate::data::source::collect::{Collector, NO_GROUPS, Origin};
use crate::data::source::labelling::Labelling;
use crate::data::source::walk::Walk;
use crate::{Error, Result};

/// What to do where a folder will not do.
pub(super) fn give_table(data: &Path, root: &Path) -> String {
    let table = ["covers.csv", "manifest.csv"].into_iter().find(|table| root.join(table).is_file());
    table.map_or(
        "give a CSV with the columns path, label and those to group by, and with --images the folder of its pictures"
            .into(),
        |table| format!("give the table in it, {}", data.join(table).display()),
    )
}

/// Reads a folder per class. Folders that hold nothing but one other folder are passed through. If sets lie on top or
/// below the classes, they are kept; see [`Levels::of`]. Pictures further down belong to their class.
pub(super) fn read(data: &Path, root: &Path, walk: &Walk, labelling: &Labelling) -> Result<Source> {
    let shown = data.display();
    let paths: Vec<&Path> =
        walk.pictures.iter().map(|file| file.path.strip_prefix(root).unwrap_or(&file.path)).collect();
    let levels = Levels::of(&paths);

    let (mut found, mut outside, mut notes) = (Collector::new(labelling), 0, walk.notes(data));
    let (mut strangers, mut unlabelled) = (BTreeMap::<String, usize>::new(), BTreeMap::<String, usize>::new());
    let mut taken = BTreeSet::new();
    for (file, path) in walk.pictures.iter().zip(paths) {
        let (class, split) = match levels.position(path) {
            levels::Position::Class { name, split } => (name, split),
            levels::Position::Unlabelled(name) => {
                *unlabelled.entry(name.to_string_lossy().into_owned()).or_default() += 1;
                continue;
            }
            levels::Position::Stranger(name) => {
                *strangers.entry(name.to_string_lossy().into_owned()).or_default() += 1;
                continue;
            }
            levels::Position::Outside => {
                outside += 1;
                continue;
            }
        };
        let Some(class) = class.to_str() else {
            let folder = file.path.parent().unwrap_or(root).display();
            return Err(Error::Input(format!("{folder}: the class's name is not UTF-8: rename it")));
        };
        taken.insert(OsStr::new(class));
        found.add(&file.path, class, NO_GROUPS, split, Origin::Class);
    }
    if found.is_empty() {
        return Err(nothing_found(data, root, outside, walk));
    }
    let listed = |counts: &BTreeMap<String, usize>| -> String {
        counts.iter().map(|(name, count)| format!("`{name}` ({count} pictures)")).collect::<Vec<_>>().join(", ")
    };
    if !unlabelled.is_empty() {
        notes.push(format!(
            "{shown}: passed over, since its pictures lie in no class folder and so have no labels: {}",
            listed(&unlabelled)
        ));
    }
    if !strangers.is_empty() {
        notes.push(format!("{shown}: passed over, since it is no set and stands beside sets: {}", listed(&strangers)));
    }
    let named = |names: &[OsString]| names.iter().map(|name| name.to_string_lossy()).collect::<Vec<_>>().join(", ");
    match &levels.sets {
        Sets::None => {}
        Sets::Alone(names) => {
            notes.push(format!("{shown}: only {} has labels, so it is split as if it stood alone", named(names)));
        }
        Sets::Kept(names) => {
            notes.push(format!("{shown}: the sets are kept as the folders name them: {}", named(names)))
        }
    }
    let empty = empty_classes(root, walk, &levels, &taken);
    if !empty.is_empty() {
        notes.push(format!("WARNING: {shown}: class folders from which nothing was taken: {}", empty.join(", ")));
    }
    for (count, what) in [(outside, "pictures outside the class folders"), (walk.others, "files that are no pictures")]
    {
        if count > 0 {
            notes.push(format!("{shown}: passed over {count} {what}"));
        }
    }
    found.finish("folder", Vec::new(), walk.left_out.clone(), notes)
}

/// Folders that stand where classes do, and that have no picture which is read.
fn empty_classes(root: &Path, walk: &Walk, levels: &Levels, taken: &BTreeSet<&OsStr>) -> Vec<String> {
    let mut empty = BTreeSet::new();
    for folder in &walk.folders {
        // What a file in the folder would belong to.
        let file = folder.strip_prefix(root).unwrap_or(folder).join("x");
        if let levels::Position::Class { name, .. } = levels.position(&file)
            && !taken.contains(name)
        {
            empty.insert(format!("`{}`", name.to_string_lossy()));
        }
    }
    empty.into_iter().collect()
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
pub(super) fn read_pair(
    positive: &(PathBuf, Walk),
    negative: &(PathBuf, Walk),
    labelling: &Labelling,
) -> Result<Source> {
    let name = |root: &Path| root.file_name().and_then(OsStr::to_str).unwrap_or_default().to_owned();
    let mut names = [name(&positive.0), name(&negative.0)];
    if names[0].to_lowercase() == names[1].to_lowercase() || names.iter().any(String::is_empty) {
        names = ["positive".to_owned(), "negative".to_owned()];
    }
    let (mut found, mut left_out, mut notes) = (Collector::new(labelling), Vec::new(), Vec::new());
    let mut counts = BTreeMap::new();
    for ((root, walk), class) in [positive, negative].into_iter().zip(names) {
        if walk.pictures.is_empty() {
            let root = root.display();
            return Err(Error::Input(format!(
                "{root}: no pictures in it: give the folder with the covers of one class"
            )));
        }
        notes.extend(walk.notes(root));
        left_out.extend(walk.left_out.iter().cloned());
        counts.insert(class.clone(), walk.pictures.len());
        for file in &walk.pictures {
            found.add(&file.path, &class, NO_GROUPS, None, Origin::Class);
        }
    }
    let counts: Vec<String> = counts.iter().map(|(class, count)| format!("{class} ({count})")).collect();
    notes.push(format!("two classes: {}", counts.join(" and ")));
    found.finish("two folders", Vec::new(), left_out, notes)
}
