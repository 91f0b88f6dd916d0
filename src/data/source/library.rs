//! A music library: covers in and beside audio files, labelled by their tags.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::Serialize;

use crate::data::picture::audio::{self, Track};
use crate::data::picture::fault;
use crate::data::set::report::Skipped;
use crate::data::source::collect::{Collector, Origin};
use crate::data::source::genres::{GenreTable, parts};
use crate::data::source::walk::{File, Walk};
use crate::data::source::{Details, Request, Source, grouping};
use crate::{Error, Result};

/// Names of pictures beside the tracks that are taken for the cover, best first.
const COVERS: [&str; 3] = ["cover", "folder", "front"];
/// What stands for "several artists" and joins nothing.
const VARIOUS: [&str; 5] = ["various artists", "various", "va", "v.a.", "unknown artist"];
/// Genres listed by name; more are only counted.
const LISTED: usize = 40;

/// What the tags say beside the pictures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub tracks: usize,
    pub albums: usize,
    /// Albums with a class and a cover.
    pub taken: usize,
    pub without_cover: usize,
    /// Albums no class of which more than half of their tracks carry.
    pub conflicting: usize,
    pub tracks_without_genre: usize,
    /// Genres that the table does not know, with the number of tracks, most frequent first.
    pub unmapped: Vec<(String, usize)>,
}

/// One audio file, read.
struct Read {
    path: PathBuf,
    track: Track,
    cover: Cover,
}

enum Cover {
    None,
    Good,
    /// Cut off or no picture.
    Bad,
}

/// What makes tracks one album: who and what, or where where tags do not say.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Named { artist: String, album: String },
    InFolder { folder: PathBuf, album: String },
}

/// One cover per album: tracks of the same album artist and album, or of the same album in one folder.
///
/// The cover is the first track's embedded one that is whole, else cover, folder or front (.jpg, .png, …) beside the tracks, else
/// the same in the folder above if the tracks' own is one disc of several (`CD1`, `Disc 2`).
/// A track's class is that of the first of its genres that the table knows; an album takes the class of more than half of
/// its tracks that have one, and is left out if there is none.
pub(super) fn read(data: &Path, root: &Path, walk: &Walk, request: &Request) -> Result<Source> {
    let table = GenreTable::read(request.genres.as_deref())?;
    let mut left_out = walk.left_out.clone();
    let mut report = Report::default();
    let mut albums: BTreeMap<Key, Vec<Read>> = BTreeMap::new();
    let tracks: Vec<Result<Read, Skipped>> = walk.audio.par_iter().map(read_track).collect();
    for track in tracks {
        match track {
            Ok(read) => albums.entry(key(&read)).or_default().push(read),
            Err(skipped) => left_out.push(skipped),
        }
    }
    let beside = pictures_by_folder(walk);
    let mut unmapped: HashMap<String, usize> = HashMap::new();
    let mut found = Collector::new(&request.labelling);
    for tracks in albums.values() {
        report.albums += 1;
        report.tracks += tracks.len();
        let first = &tracks[0].path;
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for read in tracks {
            match table.class_of(&read.track.genres) {
                Some(class) => *votes.entry(class).or_default() += 1,
                None if read.track.genres.is_empty() => report.tracks_without_genre += 1,
                None => {
                    let genres = read.track.genres.iter().flat_map(|tag| parts(tag));
                    genres.for_each(|genre| *unmapped.entry(genre).or_default() += 1);
                }
            }
        }
        let voters: usize = votes.values().sum();
        let Some((class, _)) = votes.iter().find(|&(_, &count)| 2 * count > voters) else {
            let reason = if voters > 0 {
                report.conflicting += 1;
                let says: Vec<_> = votes.iter().map(|(class, count)| format!("{class} ({count})")).collect();
                format!("its album's tracks are of conflicting genres: {}", says.join(", "))
            } else if tracks.iter().all(|read| read.track.genres.is_empty()) {
                "no genre in the tags of its album".to_owned()
            } else {
                "no genre of its album is in the table of genres".to_owned()
            };
            left_out.push(Skipped::new(first, reason));
            continue;
        };
        let Some(path) = cover_of(tracks, &beside) else {
            report.without_cover += 1;
            left_out
                .push(Skipped::new(first, "no cover embedded in its album, and no cover.jpg or folder.jpg beside it"));
            continue;
        };
        report.taken += 1;
        let album = &tracks[0].track.album;
        let groups = vec![artist_of(tracks), if album.is_empty() { folder_of(first) } else { album.clone() }];
        let origin = Origin::Named(format!("album of {}", first.display()));
        found.add(&path, class, groups, None, origin);
    }
    report.unmapped = unmapped.into_iter().collect();
    report.unmapped.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    if found.is_empty() {
        let cause = left_out.first().map(|first| format!("{}: {}", first.path, first.reason)).unwrap_or_default();
        return Err(Error::Input(format!(
            "{}: a music library of {} audio files, but not one album has a known genre and a cover: {cause}",
            data.display(),
            walk.audio.len()
        )));
    }
    let columns = vec!["artist".to_owned(), "album".to_owned()];
    let mut source = found.finish("library", columns, left_out, notes(root, walk, &report))?;
    source.grouping = grouping(&source.group_columns, request)?;
    source.details = Some(Details::Library(report));
    Ok(source)
}

fn read_track(file: &File) -> Result<Read, Skipped> {
    let (track, cover) = audio::read(&file.path).map_err(|reason| Skipped::new(&file.path, reason))?;
    let cover = match cover {
        None => Cover::None,
        Some(bytes) if fault(&bytes).is_none() => Cover::Good,
        Some(_) => Cover::Bad,
    };
    Ok(Read { path: file.path.clone(), track, cover })
}

fn key(read: &Read) -> Key {
    let Track { album_artist, album, .. } = &read.track;
    let album = album.to_lowercase();
    if album_artist.is_empty() || album.is_empty() || is_various(album_artist) {
        let folder = read.path.parent().unwrap_or(Path::new(""));
        let folder = above_disc(folder).unwrap_or(folder).to_owned();
        return Key::InFolder { folder, album };
    }
    Key::Named { artist: album_artist.to_lowercase(), album }
}

fn is_various(artist: &str) -> bool {
    VARIOUS.contains(&artist.to_lowercase().as_str())
}

/// The album's artist, else the one that all tracks share; empty where there are several.
fn artist_of(tracks: &[Read]) -> String {
    let Track { album_artist, artist, .. } = &tracks[0].track;
    if !album_artist.is_empty() {
        return if is_various(album_artist) { String::new() } else { album_artist.clone() };
    }
    let shared = tracks.iter().all(|read| read.track.artist.eq_ignore_ascii_case(artist)) && !is_various(artist);
    if shared { artist.clone() } else { String::new() }
}

fn folder_of(path: &Path) -> String {
    path.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default()
}

/// What folders of one disc are called, before its number.
const DISCS: [&str; 7] = ["cd", "disc", "disk", "dvd", "lp", "vinyl", "side"];

/// The album's folder, if this is the folder of one of its discs: `CD1`, `Disc 02`, `disk_3 - Live`, `Side A`.
fn above_disc(folder: &Path) -> Option<&Path> {
    let name = folder.file_name()?.to_str()?.to_lowercase();
    let rest = DISCS.iter().find_map(|disc| name.strip_prefix(disc))?;
    let rest = rest.trim_start_matches([' ', '_', '-', '.', '#', '(']);
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = (1..=2).contains(&(rest.len() - digits.len())) && !digits.starts_with(char::is_alphanumeric);
    let lettered = name.starts_with("side") && matches!(rest, "a" | "b" | "c" | "d");
    if numbered || lettered { folder.parent() } else { None }
}

/// For each folder its pictures with a cover's name, best name first.
fn pictures_by_folder(walk: &Walk) -> HashMap<&Path, Vec<(usize, &Path)>> {
    let mut found: HashMap<&Path, Vec<(usize, &Path)>> = HashMap::new();
    for file in &walk.pictures {
        let stem = file.path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().to_lowercase();
        let place = COVERS.iter().position(|known| *known == stem);
        if let (Some(place), Some(folder)) = (place, file.path.parent()) {
            found.entry(folder).or_default().push((place, &file.path));
        }
    }
    found.values_mut().for_each(|pictures| pictures.sort_unstable());
    found
}

/// A whole embedded cover, else a whole picture beside the tracks or above their discs, else a broken one, whose fault is then
/// reported.
fn cover_of(tracks: &[Read], beside: &HashMap<&Path, Vec<(usize, &Path)>>) -> Option<PathBuf> {
    let embedded =
        |wanted: fn(&Cover) -> bool| tracks.iter().find(move |read| wanted(&read.cover)).map(|r| r.path.clone());
    let own = || tracks.iter().filter_map(|read| read.path.parent());
    let folders = own().chain(own().filter_map(above_disc));
    let mut pictures = folders.filter_map(|folder| beside.get(folder)).flatten().map(|&(_, path)| path);
    let whole = |path: &&Path| std::fs::read(path).is_ok_and(|bytes| fault(&bytes).is_none());
    embedded(|cover| matches!(cover, Cover::Good))
        .or_else(|| pictures.clone().find(whole).map(Path::to_owned))
        .or_else(|| embedded(|cover| matches!(cover, Cover::Bad)))
        .or_else(|| pictures.next().map(Path::to_owned))
}

fn notes(root: &Path, walk: &Walk, report: &Report) -> Vec<String> {
    let Report { tracks, albums, taken, without_cover, conflicting, tracks_without_genre, unmapped } = report;
    let mut notes = vec![format!(
        "{}: a music library: {tracks} tracks, {albums} albums; {taken} have a class and a cover, {without_cover} have no \
         cover, {conflicting} have conflicting genres",
        root.display()
    )];
    if *tracks_without_genre > 0 {
        notes.push(format!("{tracks_without_genre} tracks have no genre"));
    }
    if !unmapped.is_empty() {
        let listed: Vec<String> =
            unmapped.iter().take(LISTED).map(|(genre, count)| format!("{genre} ({count})")).collect();
        let more = unmapped.len().saturating_sub(LISTED);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        notes.push(format!(
            "genres that no class has, by tracks: {}{more}; to use them, copy datasets/genres.toml, add them, and give \
             --genres FILE",
            listed.join(", ")
        ));
    }
    if walk.others > 0 {
        notes.push(format!("passed over {} files that are neither audio nor pictures", walk.others));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_of_discs_are_known_by_their_names() {
        for name in ["CD1", "cd 2", "Disc 02", "DISK_3 - Live", "disc-1", "LP2", "Side A", "CD #1 (1971)", "vinyl.2"] {
            assert_eq!(above_disc(&Path::new("/music/X").join(name)), Some(Path::new("/music/X")), "{name}");
        }
        for name in ["CD", "Disco", "CD100", "Discovery 2", "Sidewalk", "1", "LP2x", "cdrom1st"] {
            assert_eq!(above_disc(&Path::new("/music/X").join(name)), None, "{name}");
        }
    }
}
