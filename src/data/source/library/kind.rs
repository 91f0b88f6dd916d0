//! Is a folder a music library, or are there audio files among pictures by chance?

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use crate::Error;
use crate::data::picture::audio::ending;
use crate::data::source::walk::Walk;

/// A folder with more pictures than this for each audio file is one of pictures.
const PICTURES_A_TRACK: usize = 10;

/// Whether this is a music library: audio lies in, above or below most of the folders that hold pictures or audio.
///
/// A folder speaks for a library if audio lies in it, or if it holds pictures only and the folder above it holds audio (scans) or
/// one below it does (an artist's portrait). A folder of pictures alone speaks against it, and so does one with more than ten
/// pictures for each audio file. Where both are equal, it is a library if audio files are as many as pictures.
pub fn is_library(walk: &Walk) -> bool {
    let music =
        || walk.audio.iter().map(|file| file.path.as_path()).chain(walk.unread.iter().map(|path| path.as_path()));
    if walk.pictures.is_empty() {
        return music().next().is_some();
    }
    let (mut tracks, mut pictures) = (HashMap::<&Path, usize>::new(), HashMap::<&Path, usize>::new());
    music().filter_map(Path::parent).for_each(|folder| *tracks.entry(folder).or_default() += 1);
    walk.pictures.iter().filter_map(|file| file.path.parent()).for_each(|f| *pictures.entry(f).or_default() += 1);
    if tracks.is_empty() {
        return false;
    }
    let folders: HashSet<&Path> = tracks.keys().chain(pictures.keys()).copied().collect();
    let Some(top) = shared(&folders) else { return true };
    let above_music: HashSet<&Path> = tracks.keys().flat_map(|folder| folder.ancestors().skip(1)).collect();
    let (mut speaks_for, mut against) = (0, 0);
    for &folder in &folders {
        let (here, shown) = (tracks.get(folder).copied(), pictures.get(folder).copied().unwrap_or(0));
        let for_it = match here {
            Some(here) => shown <= PICTURES_A_TRACK * here,
            // The top lies above everything: what lies in it says nothing of the folders below.
            None if folder == top => continue,
            None => {
                let above = folder.parent().filter(|above| tracks.contains_key(above));
                let scans = above.is_some_and(|above| above != top || is_scans(folder));
                scans || above_music.contains(folder)
            }
        };
        if for_it { speaks_for += 1 } else { against += 1 }
    }
    speaks_for > against || speaks_for == against && music().count() >= walk.pictures.len()
}

/// Whether a folder is called as those of an album's further pictures are: all that tells them from a class, right below the top.
fn is_scans(folder: &Path) -> bool {
    let name = folder.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    ["scan", "artwork", "cover", "booklet", "image", "picture", "inlay"].iter().any(|start| name.starts_with(start))
        || name == "art"
}

/// The lowest folder that all of these lie in or are.
fn shared<'a>(folders: &HashSet<&'a Path>) -> Option<&'a Path> {
    let first = *folders.iter().next()?;
    first.ancestors().find(|above| folders.iter().all(|folder| folder.starts_with(above)))
}

/// Audio files whose tags cannot be read, by their endings, most frequent first.
pub fn unread(walk: &Walk) -> Vec<(String, usize)> {
    by_ending(walk.unread.iter().map(|path| path.as_path()))
}

fn by_ending<'a>(paths: impl Iterator<Item = &'a Path>) -> Vec<(String, usize)> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    paths.filter_map(ending).for_each(|ending| *counts.entry(format!(".{ending}")).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts
}

fn listed(counts: &[(String, usize)]) -> String {
    counts.iter().map(|(ending, count)| format!("{ending} ({count})")).collect::<Vec<_>>().join(", ")
}

fn files(count: usize) -> &'static str {
    if count == 1 { "file" } else { "files" }
}

/// The note on audio files whose tags cannot be read, in a library that has others.
pub fn unread_note(walk: &Walk) -> Option<String> {
    let count = walk.unread.len();
    (count > 0).then(|| {
        format!("passed over {count} audio {} whose tags cannot be read: {}", files(count), listed(&unread(walk)))
    })
}

/// The note on audio files among the pictures of what is no library.
pub fn stray_note(walk: &Walk) -> Option<String> {
    let paths =
        || walk.audio.iter().map(|file| file.path.as_path()).chain(walk.unread.iter().map(|path| path.as_path()));
    let count = paths().count();
    (count > 0).then(|| {
        format!(
            "passed over {count} audio {}, {}: most folders hold pictures alone, so this is read as folders of pictures and not \
             as a music library",
            files(count),
            listed(&by_ending(paths()))
        )
    })
}

/// The error for a library none of whose files can be read.
pub fn none_read(data: &Path, walk: &Walk) -> Error {
    let (count, endings) = (walk.unread.len(), unread(walk));
    let what = match &endings[..] {
        [(ending, _)] => format!("{count} {ending} {}", files(count)),
        several => format!("{count} audio files ({})", listed(several)),
    };
    Error::Input(format!(
        "{}: a music library of {what}, whose tags cannot be read: convert them to flac, mp3, m4a or ogg with their tags, or give a \
         CSV with the columns path, label and artist that names the covers",
        data.display()
    ))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::data::source::walk::File;

    fn is(files: &[(&str, usize)]) -> bool {
        let mut walk = Walk::default();
        for (pattern, count) in files {
            for i in 0..*count {
                let path = PathBuf::from("/data").join(pattern.replace('#', &i.to_string()));
                match ending(&path).as_deref() {
                    Some("jpg") => walk.pictures.push(File { path, bytes: 1, modified: 0 }),
                    Some("mp3") => walk.audio.push(File { path, bytes: 1, modified: 0 }),
                    _ => walk.unread.push(path),
                }
            }
        }
        is_library(&walk)
    }

    #[test]
    fn albums_with_pictures_are_a_library_and_classes_with_a_stray_track_are_not() {
        for (files, wanted) in [
            // Libraries: covers beside tracks, scans below them, portraits above, no picture, one folder of singles.
            (&[("A/x/#.wma", 12), ("A/x/folder.jpg", 1)][..], true),
            (&[("A/x/#.mp3", 9), ("A/x/Scans/#.jpg", 40), ("A/x/cover.jpg", 1)], true),
            (&[("A/x/1.mp3", 1), ("B/y/1.mp3", 1), ("A/artist.jpg", 1), ("B/artist.jpg", 1)], true),
            (&[("A/x/#.wma", 3)], true),
            (&[("#.mp3", 20), ("#.jpg", 20)], true),
            (&[("cd1/#.mp3", 3), ("cd2/#.mp3", 3), ("cover.jpg", 1)], true),
            (&[("A/x/#.mp3", 9), ("B/y/#.wma", 9), ("Pictures/#.jpg", 500)], true),
            (&[("tracks/#.mp3", 9), ("covers/#.jpg", 5)], true),
            // Classes: a stray file in one, in each, on top, in a folder of its own, and a few classes only.
            (&[("A/#.jpg", 8), ("B/#.jpg", 8), ("A/x.wma", 1)], false),
            (&[("A/#.jpg", 30), ("B/#.jpg", 30), ("A/x.wma", 1), ("B/y.mp3", 1)], false),
            (&[("A/#.jpg", 8), ("B/#.jpg", 8), ("x.mp3", 1)], false),
            (&[("in/A/#.jpg", 8), ("in/B/#.jpg", 8), ("in/x.mp3", 1)], false),
            (&[("A/#.jpg", 8), ("B/#.jpg", 8), ("music/#.mp3", 30)], false),
            (&[("A/#.jpg", 8), ("B/#.jpg", 8)], false),
            (&[], false),
        ] {
            assert_eq!(is(files), wanted, "{files:?}");
        }
    }
}
