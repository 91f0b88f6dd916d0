//! Which tracks make one album? Those that say so, and of those that do not, those that look like it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use crate::data::picture::audio::Track;
use crate::data::picture::is_usable;
use crate::data::set::nobody::{means_no_album, means_nobody};
use crate::data::source::library::beside::Beside;

/// One audio file, read.
pub struct Read {
    pub path: PathBuf,
    pub track: Track,
    pub cover: Cover,
}

/// The picture that is embedded in a track.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Cover {
    None,
    Good {
        hash: PictureHash,
        /// It may be the front.
        front: bool,
    },
    /// Cut off or no picture.
    Bad,
}

/// What tells a picture from others.
pub type PictureHash = [u8; 32];

/// Tracks of one album, or a single.
pub struct Album {
    pub tracks: Vec<Read>,
    /// The value by which it is grouped: its name, else its folder, else, for one of several in a folder, its first track.
    pub name: String,
}

/// What makes tracks one album: who and what, or where, if tags do not say.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Named { artist: String, album: String },
    InFolder { folder: PathBuf, album: String },
}

/// Puts tracks together to albums, in an order that depends on names alone.
pub fn albums(tracks: Vec<Read>, beside: &Beside) -> Vec<Album> {
    let mut by_key: BTreeMap<Key, Vec<Read>> = BTreeMap::new();
    tracks.into_iter().for_each(|read| by_key.entry(key(&read)).or_default().push(read));
    let mut albums = Vec::new();
    for (key, tracks) in by_key {
        match key {
            Key::InFolder { folder, album } if album.is_empty() => {
                let parts = parts(tracks, beside);
                let one = parts.len() == 1;
                albums.extend(parts.into_iter().map(|tracks| {
                    let name = if one { &folder } else { &tracks[0].path };
                    Album { name: name.to_string_lossy().into_owned(), tracks }
                }));
            }
            _ => albums.push(Album { name: tracks[0].track.album.clone(), tracks }),
        }
    }
    albums
}

fn key(read: &Read) -> Key {
    let Track { album_artist, album, .. } = &read.track;
    let album = if means_no_album(album) { String::new() } else { album.to_lowercase() };
    if album.is_empty() || means_nobody(album_artist) {
        let folder = read.path.parent().unwrap_or(Path::new(""));
        let folder = above_disc(folder).unwrap_or(folder).to_owned();
        return Key::InFolder { folder, album };
    }
    Key::Named { artist: album_artist.to_lowercase(), album }
}

/// Tracks of one folder without an album's name: one album, or singles?
///
/// Their own pictures decide, embedded or of a track's name. Tracks with one picture belong together, and all are one album if
/// there is only one picture and either one artist, or more than half of the tracks have it. Without any picture they are one
/// album if they are of one artist. Else a track without a picture of its own is a single.
fn parts(tracks: Vec<Read>, beside: &Beside) -> Vec<Vec<Read>> {
    let own: Vec<Option<PictureHash>> = tracks.iter().map(|read| own_picture(read, beside)).collect();
    let pictures: BTreeSet<PictureHash> = own.iter().copied().flatten().collect();
    let artists: BTreeSet<String> = tracks.iter().filter_map(|read| main_artist(&read.track.artist)).collect();
    let carriers = own.iter().flatten().count();
    if pictures.len() < 2 && (artists.len() < 2 || 2 * carriers > tracks.len()) {
        return vec![tracks];
    }
    let mut part_of: HashMap<PictureHash, usize> = HashMap::new();
    let mut parts: Vec<Vec<Read>> = Vec::new();
    for (read, own) in tracks.into_iter().zip(own) {
        let part = own.map_or(parts.len(), |picture| *part_of.entry(picture).or_insert(parts.len()));
        if part == parts.len() {
            parts.push(Vec::new());
        }
        parts[part].push(read);
    }
    parts
}

fn own_picture(read: &Read, beside: &Beside) -> Option<PictureHash> {
    if let Cover::Good { hash, .. } = read.cover {
        return Some(hash);
    }
    let bytes = std::fs::read(beside.of_track(&read.path)?).ok()?;
    is_usable(&bytes).then(|| *blake3::hash(&bytes).as_bytes())
}

/// The artist without guests, for comparing; none if it is nobody.
fn main_artist(artist: &str) -> Option<String> {
    let artist = artist.to_lowercase();
    let guests = [" feat", " ft.", " ft ", " featuring ", " (feat", " [feat", " (ft", " [ft", ";", "\0"];
    let end = guests.iter().filter_map(|words| artist.find(words)).min().unwrap_or(artist.len());
    let main = artist[..end].trim();
    (!means_nobody(main)).then(|| main.to_owned())
}

/// The album's artist, else the one that all tracks share; empty where there are several or it is nobody.
pub fn artist_of(tracks: &[Read]) -> String {
    let Track { album_artist, artist, .. } = &tracks[0].track;
    if !means_nobody(album_artist) {
        return album_artist.clone();
    }
    let shared = tracks.iter().all(|read| read.track.artist.to_lowercase() == artist.to_lowercase());
    // An album by "Various Artists" is not by the artist of the one track that is there.
    if shared && album_artist.is_empty() && !means_nobody(artist) { artist.clone() } else { String::new() }
}

/// What folders of one disc are called, before its number.
const DISCS: [&str; 7] = ["cd", "disc", "disk", "dvd", "lp", "vinyl", "side"];

/// The album's folder, if this is the folder of one of its discs: `CD1`, `Disc 02`, `disk_3 - Live`, `Side A`.
pub fn above_disc(folder: &Path) -> Option<&Path> {
    let name = folder.file_name()?.to_str()?.to_lowercase();
    let rest = DISCS.iter().find_map(|disc| name.strip_prefix(disc))?;
    let rest = rest.trim_start_matches([' ', '_', '-', '.', '#', '(']);
    let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    let numbered = (1..=2).contains(&(rest.len() - digits.len())) && !digits.starts_with(char::is_alphanumeric);
    let lettered = name.starts_with("side") && matches!(rest, "a" | "b" | "c" | "d");
    if numbered || lettered { folder.parent() } else { None }
}

/// How many tracks of which album lie in each folder, those of its discs included: whose is a picture in it?
pub struct Owners<'a> {
    tracks: HashMap<&'a Path, HashMap<usize, usize>>,
}

impl<'a> Owners<'a> {
    pub fn new(albums: &'a [Album]) -> Self {
        let mut tracks: HashMap<&Path, HashMap<usize, usize>> = HashMap::new();
        for (number, album) in albums.iter().enumerate() {
            for folder in album.tracks.iter().flat_map(|read| folders(&read.path)) {
                *tracks.entry(folder).or_default().entry(number).or_default() += 1;
            }
        }
        Self { tracks }
    }

    /// Whether more than half of the tracks in a folder are this album's.
    pub fn owns(&self, album: usize, folder: &Path) -> bool {
        let Some(here) = self.tracks.get(folder) else { return false };
        2 * here.get(&album).copied().unwrap_or(0) > here.values().sum()
    }
}

/// A track's folder, and that of the album if it is one of several discs.
pub fn folders(track: &Path) -> impl Iterator<Item = &Path> {
    let own = track.parent();
    own.into_iter().chain(own.and_then(above_disc))
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

    #[test]
    fn guests_do_not_make_another_artist() {
        for artist in ["Eve", "EVE feat. Gwen", "Eve ft. Gwen", "Eve (feat. Gwen)", "Eve; Gwen"] {
            assert_eq!(main_artist(artist).as_deref(), Some("eve"), "{artist}");
        }
        assert_eq!(main_artist("Various Artists"), None);
        assert_eq!(main_artist("Daft Punk").as_deref(), Some("daft punk"));
    }

    /// The numbers of the tracks that are put together; a track is an artist and the number of its cover.
    fn put(tracks: &[(&str, Option<u8>)]) -> Vec<Vec<usize>> {
        let read = |(i, &(artist, cover)): (usize, &(&str, Option<u8>))| Read {
            path: format!("/singles/{i}.mp3").into(),
            track: Track { artist: artist.into(), ..Track::default() },
            cover: cover.map_or(Cover::None, |n| Cover::Good { hash: [n; 32], front: true }),
        };
        let walk = crate::data::source::walk::Walk::default();
        let beside = Beside::new(&walk);
        let found = albums(tracks.iter().enumerate().map(read).collect(), &beside);
        let number = |read: &Read| read.path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
        found.iter().map(|album| album.tracks.iter().map(number).collect()).collect()
    }

    #[test]
    fn tracks_without_an_album_are_put_together_by_their_pictures_and_artists() {
        let (one, two) = (Some(1), Some(2));
        // One picture: one album, of one artist or of several.
        assert_eq!(put(&[("A", one), ("A", None), ("A", None)]), [[0, 1, 2]]);
        assert_eq!(put(&[("A", one), ("B", one), ("C", None)]), [[0, 1, 2]]);
        // But a picture of the one of three artists is not the others'.
        assert_eq!(put(&[("A", one), ("B", None), ("C", None)]), [vec![0], vec![1], vec![2]]);
        // Several pictures: as many albums, and singles.
        assert_eq!(put(&[("A", one), ("A", two), ("B", one), ("A", None)]), [vec![0, 2], vec![1], vec![3]]);
        // None: one album of one artist.
        assert_eq!(put(&[("A", None), ("a feat. B", None), ("", None)]), [[0, 1, 2]]);
        assert_eq!(put(&[("A", None), ("B", None)]), [[0], [1]]);
    }
}
