//! One audio file's tags and its embedded front cover. Nothing of the sound is read.

use std::fs::File;
use std::io::BufReader;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lofty::config::ParseOptions;
use lofty::file::{FileType, TaggedFile, TaggedFileExt};
use lofty::picture::PictureType;
use lofty::probe::Probe;
use lofty::tag::{ItemKey, Tag};

const EXTENSIONS: [&str; 6] = ["mp3", "flac", "m4a", "ogg", "opus", "wav"];

/// What the tags of a track say; empty where they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    pub artist: String,
    pub album_artist: String,
    pub album: String,
    /// As they stand in the tags, which may put several into one.
    pub genres: Vec<String>,
}

/// Whether the file's extension is that of an audio file that can be read.
pub fn is_audio(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or_default();
    EXTENSIONS.iter().any(|known| known.eq_ignore_ascii_case(extension))
}

/// The track's tags, and its embedded front cover as the file of a picture that it is, if it has one.
///
/// Where a file has several kinds of tags, the one usual for its format comes first and the others fill its gaps.
///
/// # Errors
/// A clause that says why the file cannot be read: empty, cut off within its tags, no audio file.
pub fn read(path: &Path) -> Result<(Track, Option<Vec<u8>>), String> {
    let file = parse(path)?;
    let text = |key: ItemKey| {
        let found = tags(&file).find_map(|tag| tag.get_string(key).map(clean).filter(|text| !text.is_empty()));
        found.unwrap_or_default()
    };
    let genres = tags(&file)
        .map(|tag| tag.get_strings(ItemKey::Genre).map(clean).filter(|text| !text.is_empty()).collect::<Vec<_>>())
        .find(|genres| !genres.is_empty());
    let track = Track {
        artist: text(ItemKey::TrackArtist),
        album_artist: text(ItemKey::AlbumArtist),
        album: text(ItemKey::AlbumTitle),
        genres: genres.unwrap_or_default(),
    };
    Ok((track, cover_of(&file)))
}

/// The bytes of the embedded front cover.
///
/// # Errors
/// A clause that says why there is none.
pub fn front_cover(path: &Path) -> Result<Vec<u8>, String> {
    cover_of(&parse(path)?).ok_or_else(|| "an audio file without an embedded front cover".to_owned())
}

/// The usual kind of tag for the format first.
fn tags(file: &TaggedFile) -> impl Iterator<Item = &Tag> {
    let usual = file.primary_tag_type();
    file.primary_tag().into_iter().chain(file.tags().iter().filter(move |tag| tag.tag_type() != usual))
}

/// The picture marked as the front cover, else one of no stated kind.
fn cover_of(file: &TaggedFile) -> Option<Vec<u8>> {
    let kind = |wanted: PictureType| {
        move |tag: &Tag| tag.pictures().iter().find(|p| p.pic_type() == wanted).map(|p| p.data().to_vec())
    };
    tags(file).find_map(kind(PictureType::CoverFront)).or_else(|| tags(file).find_map(kind(PictureType::Other)))
}

fn parse(path: &Path) -> Result<TaggedFile, String> {
    let file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    if file.metadata().is_ok_and(|about| about.len() == 0) {
        return Err("empty file (0 bytes)".to_owned());
    }
    let options = ParseOptions::new().read_properties(false);
    let probe = Probe::new(BufReader::new(file)).options(options);
    // The content decides, but a file that is all tags has none to decide by.
    let probe = match FileType::from_path(path) {
        Some(by_name) => probe.set_file_type(by_name),
        None => probe,
    };
    let read = || probe.guess_file_type().map(Probe::read);
    // A parser's panic on damaged bytes must not end an import of a whole library.
    match catch_unwind(AssertUnwindSafe(read)) {
        Ok(Ok(Ok(file))) => Ok(file),
        Ok(Ok(Err(e))) => Err(format!("damaged or no audio file ({})", one_line(&e.to_string()))),
        Ok(Err(e)) => Err(format!("cannot be read: {e}")),
        Err(_) => Err("damaged (the tag reader gave up on it)".to_owned()),
    }
}

/// Without the zero characters that some writers end their texts with, and without blanks around it.
fn clean(text: &str) -> String {
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
