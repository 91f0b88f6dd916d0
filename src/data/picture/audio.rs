//! One audio file's tags and the cover embedded in it. Nothing of the sound is read.

use std::borrow::Cow;
use std::path::Path;

use lofty::ape::{APE_PICTURE_TYPES, ApeTag};
use lofty::file::{TaggedFile, TaggedFileExt};
use lofty::picture::PictureType;
use lofty::tag::{ItemKey, ItemValue, Tag, TagType};

use crate::data::picture::tags::parse;

/// Endings of the files whose tags are read.
const READ: [&str; 32] = [
    "mp3", "mp2", "mp1", "flac", "m4a", "m4b", "m4p", "m4r", "m4v", "mp4", "3gp", "3ga", "ogg", "oga", "opus", "spx",
    "wav", "wave", "bwf", "aiff", "aif", "aifc", "afc", "aac", "adts", "ape", "wv", "mpc", "mp+", "mpp", "mpga", "mpa",
];

/// Endings of audio files whose tags are not read.
const UNREAD: [&str; 52] = [
    "wma", "asf", "dsf", "dff", "tta", "tak", "ra", "ram", "rma", "mka", "weba", "shn", "ofr", "ofs", "mid", "midi",
    "kar", "rmi", "mod", "xm", "s3m", "ac3", "eac3", "dts", "mlp", "thd", "caf", "au", "snd", "amr", "awb", "gsm",
    "voc", "aa", "aax", "aaxc", "la", "pac", "w64", "rf64", "vqf", "qcp", "sid", "nsf", "spc", "vgm", "oma", "aa3",
    "at3", "alac", "mogg", "sacd",
];

/// What the tags of a track say; empty where they say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Track {
    pub artist: String,
    pub album_artist: String,
    pub album: String,
    /// As they stand in the tags, which may put several into one.
    pub genres: Vec<String>,
}

/// A picture that is embedded in an audio file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// The picture as a file.
    pub bytes: Vec<u8>,
    /// Marked as the front cover, or not marked as anything; else as the medium, a leaflet, the back, …
    pub front: bool,
    /// Whether it was found fit for use.
    pub whole: bool,
}

/// Whether the file's extension is that of an audio file that can be read.
pub fn is_audio(path: &Path) -> bool {
    ending(path).is_some_and(|ending| READ.contains(&&*ending))
}

/// Whether the file's extension is that of an audio file whose tags cannot be read.
pub fn is_unread_audio(path: &Path) -> bool {
    ending(path).is_some_and(|ending| UNREAD.contains(&&*ending))
}

/// The file's extension in lower case; none if it has none.
pub fn ending(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The track's tags, and its embedded cover, if it has one: the best picture that is `whole`, else the best one.
///
/// Where a file has several kinds of tags, the one usual for its format comes first and the others fill its gaps.
///
/// # Errors
/// A clause that says why the file cannot be read: empty, cut off within its tags, no audio file.
pub fn read(path: &Path, whole: &dyn Fn(&[u8]) -> bool) -> Result<(Track, Option<Embedded>), String> {
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
    let cover = best(pictures(&file), whole, false);
    Ok((track, cover))
}

/// The bytes of the embedded cover: the same picture that [`read`] finds.
///
/// # Errors
/// A clause that says why there is none.
pub fn front_cover(path: &Path, whole: &dyn Fn(&[u8]) -> bool) -> Result<Vec<u8>, String> {
    let cover = best(pictures(&parse(path)?), whole, true);
    cover.map(|cover| cover.bytes).ok_or_else(|| "an audio file without an embedded cover".to_owned())
}

/// The first picture that is whole, else the first. The only one is not looked at if `trusting`.
fn best(pictures: Vec<(u8, Cow<[u8]>)>, whole: &dyn Fn(&[u8]) -> bool, trusting: bool) -> Option<Embedded> {
    let only = trusting && pictures.len() == 1;
    let good = if only { Some(0) } else { pictures.iter().position(|(_, bytes)| whole(bytes)) };
    let (rank, bytes) = pictures.into_iter().nth(good.unwrap_or(0))?;
    Some(Embedded { bytes: bytes.into_owned(), front: rank < FRONTS, whole: good.is_some() })
}

/// The usual kind of tag for the format first.
fn tags(file: &TaggedFile) -> impl Iterator<Item = &Tag> {
    let usual = file.primary_tag_type();
    file.primary_tag().into_iter().chain(file.tags().iter().filter(move |tag| tag.tag_type() != usual))
}

/// Ranks below this are those of pictures that may well be the front: marked so, or not marked as anything.
const FRONTS: u8 = 3;

/// How good a cover a picture of this kind is, 0 the best. None for icons, which are tiny, and for photographs of people and
/// places, which are no covers.
fn rank(kind: PictureType) -> Option<u8> {
    Some(match kind {
        PictureType::CoverFront => 0,
        PictureType::Other => 1,
        PictureType::Undefined(_) => 2,
        PictureType::Illustration => FRONTS,
        PictureType::Media => FRONTS + 1,
        PictureType::Leaflet => FRONTS + 2,
        PictureType::CoverBack => FRONTS + 3,
        _ => return None,
    })
}

/// The pictures that may be the cover with their ranks, best first; of equals the first in the file.
fn pictures(file: &TaggedFile) -> Vec<(u8, Cow<'_, [u8]>)> {
    let mut found = Vec::new();
    for tag in tags(file) {
        found.extend(tag.pictures().iter().filter_map(|p| Some((rank(p.pic_type())?, Cow::Borrowed(p.data())))));
        if tag.tag_type() == TagType::Ape {
            found.extend(ape_pictures(tag));
        }
    }
    found.sort_by_key(|&(rank, _)| rank);
    found
}

/// The pictures of an APE tag, which the tag reader leaves as items among its own.
fn ape_pictures(tag: &Tag) -> Vec<(u8, Cow<'static, [u8]>)> {
    let tag = ApeTag::from(tag.clone());
    let picture = |key: &str| {
        let ItemValue::Binary(bytes) = tag.get(key)?.value() else { return None };
        // A file name, a zero, the picture; some writers leave out the first two.
        let bare = bytes.starts_with(&[0xFF, 0xD8]) || bytes.starts_with(b"\x89PNG");
        let start = if bare { 0 } else { bytes.iter().position(|byte| *byte == 0)? + 1 };
        Some((rank(PictureType::from_ape_key(key))?, Cow::Owned(bytes[start..].to_vec())))
    };
    APE_PICTURE_TYPES.into_iter().filter_map(picture).collect()
}

/// Without the zero characters that some writers end their texts with, and without blanks around it.
fn clean(text: &str) -> String {
    text.trim_matches(|c: char| c == '\0' || c.is_whitespace()).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endings_are_known_in_any_case_and_stand_in_one_list() {
        for name in ["a.mp3", "a.FLAC", "a.Aif", "a.mp+", "a.m4b", "a.wave", "a.oga", "a.APE", "a.mpc"] {
            assert!(is_audio(Path::new(name)) && !is_unread_audio(Path::new(name)), "{name}");
        }
        for name in ["a.wma", "a.DSF", "a.tta", "a.mid", "a.ra"] {
            assert!(is_unread_audio(Path::new(name)) && !is_audio(Path::new(name)), "{name}");
        }
        for name in ["a.jpg", "a.txt", "mp3", "wma", "a", "a.mkv", "a.pdf"] {
            assert!(!is_unread_audio(Path::new(name)) && !is_audio(Path::new(name)), "{name}");
        }
        assert!(READ.iter().all(|ending| !UNREAD.contains(ending)));
    }
}
