//! Audio files made by code: the smallest containers that tags can lie in. None of them makes a sound.

use std::fs;
use std::path::Path;

use image::ImageFormat;
use lofty::ape::ApeTag;
use lofty::config::WriteOptions;
use lofty::file::{AudioFile, TaggedFileExt};
use lofty::picture::{MimeType, Picture, PictureType};
use lofty::probe::Probe;
use lofty::tag::{ItemKey, ItemValue, Tag, TagExt, TagItem, TagType};

use super::common::cover;

pub const FORMATS: [&str; 6] = ["mp3", "flac", "m4a", "ogg", "opus", "wav"];
/// Further endings whose tags are read.
pub const MORE_FORMATS: [&str; 20] = [
    "aiff", "aif", "aifc", "ape", "wv", "mpc", "mp+", "mpp", "aac", "m4b", "m4p", "m4r", "mp4", "3gp", "oga", "spx",
    "wave", "mp2", "mp1", "MP3",
];

/// What a track's tags shall say.
#[derive(Clone, Default)]
pub struct Tags<'a> {
    pub artist: &'a str,
    pub album_artist: &'a str,
    pub album: &'a str,
    pub genres: &'a [&'a str],
    pub cover: Option<Vec<u8>>,
    /// Further pictures, and what they are marked as.
    pub pictures: Vec<(PictureType, Vec<u8>)>,
}

/// A cover as the bytes of a JPEG.
pub fn jpeg(number: u32) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    cover(number, 60).write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
    bytes.into_inner()
}

/// Three frames of an MPEG stream, 128 kbit/s at 44.1 kHz, silent.
fn mpeg() -> Vec<u8> {
    let mut frame = vec![0xFF, 0xFB, 0x90, 0x00];
    frame.resize(417, 0);
    frame.repeat(3)
}

fn flac() -> Vec<u8> {
    // Blocks of 4096 samples, 44.1 kHz, 2 channels, 16 bits, none of them there.
    let mut bytes = b"fLaC\x80\0\0\x22\x10\0\x10\0\0\0\0\0\0\0\x0a\xc4\x42\xf0\0\0\0\0".to_vec();
    bytes.resize(4 + 4 + 34, 0);
    bytes
}

fn wav() -> Vec<u8> {
    let mut bytes =
        b"RIFF\x24\x01\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0\x40\x1f\0\0\x80\x3e\0\0\x02\0\x10\0data\0\x01\0\0".to_vec();
    bytes.resize(44 + 256, 0);
    bytes
}

fn atom(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
    [&(content.len() as u32 + 8).to_be_bytes()[..], name, content].concat()
}

fn mp4() -> Vec<u8> {
    let mut header = vec![0; 100];
    header[12..16].copy_from_slice(&1000_u32.to_be_bytes());
    let movie = atom(b"moov", &atom(b"mvhd", &header));
    [atom(b"ftyp", b"M4A \0\0\0\0M4A mp42"), movie, atom(b"mdat", &[0; 16])].concat()
}

/// One Ogg page. `kind`: 2 begins a stream, 4 ends it.
fn page(kind: u8, number: u32, packets: &[&[u8]]) -> Vec<u8> {
    let mut lengths = Vec::new();
    for packet in packets {
        lengths.extend(std::iter::repeat_n(255, packet.len() / 255));
        lengths.push((packet.len() % 255) as u8);
    }
    let mut bytes = [b"OggS\0", &[kind][..], &[0; 8], &7_u32.to_le_bytes(), &number.to_le_bytes(), &[0; 4]].concat();
    bytes.push(lengths.len() as u8);
    bytes.extend(&lengths);
    packets.iter().for_each(|packet| bytes.extend_from_slice(packet));
    let mut crc = 0_u32;
    for &byte in &bytes {
        crc ^= u32::from(byte) << 24;
        for _ in 0..8 {
            crc = if crc >> 31 == 1 { crc << 1 ^ 0x04C1_1DB7 } else { crc << 1 };
        }
    }
    bytes[22..26].copy_from_slice(&crc.to_le_bytes());
    bytes
}

fn vorbis() -> Vec<u8> {
    let mut head = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0".to_vec();
    head.extend([0; 12]);
    head.extend([0xB8, 1]);
    let comment = b"\x03vorbis\0\0\0\0\0\0\0\0\x01";
    [page(2, 0, &[&head]), page(0, 1, &[comment, b"\x05vorbis\x01"]), page(4, 2, &[b"x"])].concat()
}

fn opus() -> Vec<u8> {
    let head = b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0";
    [page(2, 0, &[head]), page(0, 1, &[b"OpusTags\0\0\0\0\0\0\0\0"]), page(4, 2, &[b"x"])].concat()
}

fn speex() -> Vec<u8> {
    let mut head = b"Speex   1.2".to_vec();
    head.resize(80, 0);
    [page(2, 0, &[&head]), page(0, 1, &[b"\0\0\0\0\0\0\0\0"]), page(4, 2, &[b"x"])].concat()
}

fn aiff(kind: &[u8; 4]) -> Vec<u8> {
    let mut common = b"COMM\0\0\0\x12\0\x01\0\0\0\x10\0\x10\x40\x0e\xac\x44\0\0\0\0\0\0".to_vec();
    common.extend(b"SSND\0\0\0\x08\0\0\0\0\0\0\0\0");
    [b"FORM", &(common.len() as u32 + 4).to_be_bytes()[..], kind, &common].concat()
}

/// A head and nothing more, for formats whose tags stand at the end.
fn headed(head: &[u8]) -> Vec<u8> {
    let mut bytes = head.to_vec();
    bytes.resize(256, 0);
    bytes
}

fn aac() -> Vec<u8> {
    // Frames of 32 bytes: MPEG-4, low complexity, 44.1 kHz, 2 channels.
    let mut frame = vec![0xFF, 0xF1, 0x50, 0x80, 0x04, 0x1F, 0xFC];
    frame.resize(32, 0);
    frame.repeat(4)
}

/// Writes an audio file of the format its extension says, with these tags.
pub fn write(path: &Path, tags: &Tags) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let empty = match path.extension().and_then(|e| e.to_str()).unwrap().to_lowercase().as_str() {
        "mp3" | "mp2" | "mp1" => mpeg(),
        "flac" => flac(),
        "m4a" | "m4b" | "m4p" | "m4r" | "mp4" | "3gp" => mp4(),
        "ogg" | "oga" => vorbis(),
        "opus" => opus(),
        "spx" => speex(),
        "wav" | "wave" => wav(),
        "aiff" | "aif" => aiff(b"AIFF"),
        "aifc" => aiff(b"AIFC"),
        "ape" => headed(b"MAC \x96\x0f"),
        "wv" => headed(b"wvpk"),
        "mpc" | "mpp" => headed(b"MPCK"),
        "mp+" => headed(b"MP+\x07"),
        "aac" => aac(),
        other => panic!("{other}"),
    };
    fs::write(path, empty).unwrap();
    let options = lofty::config::ParseOptions::new().read_properties(false);
    let mut file = Probe::open(path).unwrap().options(options).guess_file_type().unwrap().read().unwrap();
    let mut tag = Tag::new(file.primary_tag_type());
    for (key, value) in [
        (ItemKey::TrackArtist, tags.artist),
        (ItemKey::AlbumArtist, tags.album_artist),
        (ItemKey::AlbumTitle, tags.album),
    ] {
        if !value.is_empty() {
            tag.insert_text(key, value.to_owned());
        }
    }
    for genre in tags.genres {
        tag.push(TagItem::new(ItemKey::Genre, ItemValue::Text((*genre).to_owned())));
    }
    let front = tags.cover.iter().map(|bytes| (PictureType::CoverFront, bytes));
    for (kind, bytes) in front.chain(tags.pictures.iter().map(|(kind, bytes)| (*kind, bytes))) {
        tag.push_picture(Picture::unchecked(bytes.clone()).pic_type(kind).mime_type(MimeType::Jpeg).build());
    }
    if file.primary_tag_type() == TagType::Ape {
        // As a tag of any kind it would be written without its pictures.
        ApeTag::from(tag).save_to_path(path, WriteOptions::default()).unwrap();
        return;
    }
    file.insert_tag(tag);
    file.save_to_path(path, WriteOptions::default()).unwrap();
}

/// How an ID3v2 text is written.
#[derive(Clone, Copy)]
pub enum Text {
    Latin1,
    Utf16,
}

/// An MP3 whose ID3v2.3 tag is written byte by byte: frames of (name, text), and a front cover.
pub fn id3(path: &Path, text: Text, frames: &[(&str, &str)], cover: Option<&[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut body = Vec::new();
    let mut frame = |name: &str, content: &[u8]| {
        body.extend(name.as_bytes());
        body.extend((content.len() as u32).to_be_bytes());
        body.extend([0, 0]);
        body.extend(content);
    };
    for (name, value) in frames {
        let content: Vec<u8> = match text {
            Text::Latin1 => [0].into_iter().chain(value.chars().map(|c| u8::try_from(u32::from(c)).unwrap())).collect(),
            Text::Utf16 => {
                let units = std::iter::once(0xFEFF).chain(value.encode_utf16()).flat_map(u16::to_le_bytes);
                [1].into_iter().chain(units).collect()
            }
        };
        frame(name, &content);
    }
    if let Some(cover) = cover {
        frame("APIC", &[b"\0image/jpeg\0\x03\0", cover].concat());
    }
    let length = body.len() as u32;
    let seven = |shift: u32| (length >> shift & 0x7F) as u8;
    let header = [b"ID3\x03\0\0", &[seven(21), seven(14), seven(7), seven(0)][..]].concat();
    fs::write(path, [header, body, mpeg()].concat()).unwrap();
}
