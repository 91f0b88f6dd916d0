//! Pictures that lie beside tracks: which of them is the cover?

use std::collections::HashMap;
use std::path::Path;

use crate::data::source::walk::Walk;

/// Names of pictures that are taken for the cover, best first; compared in lower case without anything but letters and digits.
const NAMES: [&str; 12] = [
    "cover",
    "folder",
    "front",
    "frontcover",
    "coverfront",
    "album",
    "albumart",
    "albumcover",
    "albumartwork",
    "artwork",
    "art",
    "thumb",
];
/// Places of what only resembles a name, behind all names.
const LARGE: usize = NAMES.len();
const NUMBERED: usize = LARGE + 1;
const HAS_FRONT: usize = LARGE + 2;
const SMALL: usize = LARGE + 3;

/// The pictures of each folder.
pub struct Beside<'a> {
    folders: HashMap<&'a Path, Vec<Picture<'a>>>,
}

struct Picture<'a> {
    /// Its place among the names of covers; none if it is called otherwise.
    place: Option<usize>,
    path: &'a Path,
}

impl<'a> Beside<'a> {
    pub fn new(walk: &'a Walk) -> Self {
        let mut folders: HashMap<&Path, Vec<Picture>> = HashMap::new();
        for file in &walk.pictures {
            if let Some(folder) = file.path.parent() {
                let picture = Picture { place: place(&stem(&file.path)), path: &file.path };
                folders.entry(folder).or_default().push(picture);
            }
        }
        folders
            .values_mut()
            .for_each(|pictures| pictures.sort_unstable_by_key(|p| (p.place.unwrap_or(usize::MAX), p.path)));
        Self { folders }
    }

    /// The pictures of a folder that are called like a cover, best first.
    pub fn named(&self, folder: &Path) -> impl Iterator<Item = &'a Path> {
        self.folders
            .get(folder)
            .into_iter()
            .flatten()
            .filter(|picture| picture.place.is_some())
            .map(|picture| picture.path)
    }

    /// The only picture of a folder, whatever its name.
    pub fn only(&self, folder: &Path) -> Option<&'a Path> {
        match &self.folders.get(folder)?[..] {
            [picture] => Some(picture.path),
            _ => None,
        }
    }

    /// The picture that has a track's name: `song.jpg` beside `song.mp3`.
    pub fn of_track(&self, track: &Path) -> Option<&'a Path> {
        let wanted = stem(track);
        let pictures = self.folders.get(track.parent()?)?;
        pictures.iter().find(|picture| stem(picture.path) == wanted).map(|picture| picture.path)
    }
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().to_lowercase()).unwrap_or_default()
}

/// How good a cover's name this is, 0 the best.
fn place(stem: &str) -> Option<usize> {
    let plain: String = stem.chars().filter(|c| c.is_alphanumeric()).collect();
    if let Some(place) = NAMES.iter().position(|name| *name == plain) {
        return Some(place);
    }
    // Windows Media's: AlbumArt_{GUID}_Large.jpg, AlbumArt_{GUID}_Small.jpg, AlbumArtSmall.jpg.
    if plain.starts_with("albumart") {
        return Some(if plain.ends_with("small") { SMALL } else { LARGE });
    }
    // cover-1, Front 01, folder(2)
    let name = plain.trim_end_matches(|c: char| c.is_ascii_digit());
    if name.len() + 2 >= plain.len() && NAMES.contains(&name) {
        return Some(NUMBERED);
    }
    // "Artist - Album (front)", but neither "front and back" nor "Affront".
    let words = || stem.split(|c: char| !c.is_alphanumeric());
    (words().any(|word| word == "front") && !words().any(|word| word == "back")).then_some(HAS_FRONT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_covers_are_known_and_the_best_comes_first() {
        let ordered = [
            "cover",
            "folder",
            "front",
            "album",
            "albumart",
            "artwork",
            "albumart_{d6d4e8a1-0c2e}_large",
            "cover-1",
            "artist - album (front)",
            "albumart_{d6d4e8a1-0c2e}_small",
        ];
        let places: Vec<usize> =
            ordered.into_iter().map(|stem| place(stem).unwrap_or_else(|| panic!("{stem}"))).collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{places:?}");
        assert_eq!(place("albumartsmall"), Some(SMALL));
        for none in ["back", "booklet-01", "cd", "affront", "front and back", "recover", "cover2024", "discography"] {
            assert_eq!(place(none), None, "{none}");
        }
    }
}
