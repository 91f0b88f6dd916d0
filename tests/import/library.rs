//! Music libraries: covers in and beside audio files, genres from their tags.

use std::fs;
use std::path::Path;

use gatefold::data::source::Details;
use gatefold::data::{Columns, Request, Source, picture};

use super::audio::{self, FORMATS, Tags, Text, jpeg};
use super::common::*;

fn read(root: &Path) -> Source {
    Request::new(root, &Columns::default()).read().unwrap_or_else(|e| panic!("{e}"))
}

/// One album of one track.
fn album(root: &Path, number: u32, format: &str, genre: &str) {
    let (artist, name) = (format!("Artist {number}"), format!("Album {number}"));
    let tags = Tags { artist: &artist, album: &name, genres: &[genre], cover: Some(jpeg(number)), ..Tags::default() };
    audio::write(&root.join(format!("{artist}/{name}/01.{format}")), &tags);
}

/// Six albums of each of two classes, one in each format.
fn library(root: &Path) {
    for (k, genre) in ["Hip-Hop/Rap", "heavy metal"].into_iter().enumerate() {
        for (i, format) in FORMATS.into_iter().enumerate() {
            album(root, (10 * k + i) as u32, format, genre);
        }
    }
}

#[test]
fn every_format_gives_its_tags_and_its_cover() {
    let (dir, out) = (scratch(), scratch());
    library(dir.path());
    let made = good(&options(dir.path()), &out.path().join("set"));
    assert_eq!(made.told.kind, "library");
    let manifest = &made.dataset.manifest;
    assert_eq!((manifest.classes.join(" "), manifest.covers.len()), ("Metal Rap".to_owned(), 12));
    assert_eq!(manifest.group_columns, ["artist", "album"]);
    for cover in &manifest.covers {
        let number: u32 = cover.strings.group(0).strip_prefix("Artist ").unwrap().parse().unwrap();
        assert_eq!(cover.strings.group(1), format!("Album {number}"));
        assert_eq!(manifest.classes[cover.label], if number < 10 { "Rap" } else { "Metal" });
        assert_eq!(cover.hash, blake3::hash(&jpeg(number)), "{}", cover.strings.path().display());
        assert_eq!(picture::load_rgb(cover.strings.path()).unwrap().dimensions(), (60, 60));
    }
    // A data set of a library is decoded again at another size from the audio files.
    assert!(good(&options(dir.path()), &out.path().join("set")).unchanged);
    let mut larger = options(dir.path());
    larger.sizes = vec![24];
    good(&larger, &out.path().join("set"));
    assert!(out.path().join("set/images-24.pack").is_file());
}

#[test]
fn texts_in_utf16_and_latin1_and_genres_as_numbers() {
    let dir = scratch();
    let cover = jpeg(1);
    for (i, (text, genre)) in [
        (Text::Utf16, "(17)"),
        (Text::Latin1, "17"),
        (Text::Utf16, "(17)Rock"),
        (Text::Latin1, "Musique; (17)"),
        (Text::Utf16, "Rock"),
        (Text::Utf16, "(8)"),
        (Text::Latin1, "Jazz/Funk"),
    ]
    .into_iter()
    .enumerate()
    {
        let frames = [("TPE1", format!("Björk é{i}")), ("TALB", format!("Été {i}")), ("TCON", genre.to_owned())];
        let frames: Vec<(&str, &str)> = frames.iter().map(|(name, value)| (*name, &**value)).collect();
        audio::id3(&dir.path().join(format!("{i}/a.mp3")), text, &frames, Some(&cover));
    }
    let source = read(dir.path());
    let rows: Vec<_> = source
        .rows
        .iter()
        .map(|row| (source.classes[row.label].as_str(), row.strings.group(0), row.strings.group(1)))
        .collect();
    for (i, class) in ["Rock", "Rock", "Rock", "Rock", "Rock", "Jazz", "Jazz"].into_iter().enumerate() {
        assert!(rows.contains(&(class, &*format!("Björk é{i}"), &*format!("Été {i}"))), "{i} {class}: {rows:?}");
    }
    assert_eq!(rows.len(), 7);
}

#[test]
fn an_album_gives_one_cover_and_one_class() {
    let dir = scratch();
    let track = |path: &str, tags: Tags| audio::write(&dir.path().join(path), &tags);
    let plain = Tags { artist: "A", album: "One", genres: &["Rock"], ..Tags::default() };
    // Two of three tracks say Rock; only the second has a cover.
    track("a/1.mp3", plain.clone());
    track("a/2.flac", Tags { cover: Some(jpeg(1)), ..plain.clone() });
    track("a/3.ogg", Tags { genres: &["Jazz"], ..plain.clone() });
    // Two discs in two folders, by album artist; several genres in one file, the first known counts.
    let discs = Tags { album_artist: "B", album: "Two", genres: &["Blip", "Jazz", "Rock"], ..Tags::default() };
    track("b/cd1/1.mp3", Tags { cover: Some(jpeg(2)), ..discs.clone() });
    track("b/cd2/1.mp3", Tags { cover: Some(jpeg(2)), ..discs });
    // A compilation: one album though artists differ, and no artist to group by.
    for (i, artist) in ["C", "D", "E"].into_iter().enumerate() {
        let tags = Tags { artist, album: "Hits", genres: &["Jazz"], cover: Some(jpeg(3)), ..Tags::default() };
        track(&format!("hits/{i}.mp3"), tags);
    }
    let various = Tags { album_artist: "Various Artists", album: "More", genres: &["Jazz"], ..Tags::default() };
    track("more/1.mp3", Tags { artist: "F", cover: Some(jpeg(4)), ..various });
    // Half and half.
    track("g/1.mp3", Tags { artist: "G", album: "Split", cover: Some(jpeg(5)), genres: &["Rock"], ..Tags::default() });
    track("g/2.mp3", Tags { artist: "G", album: "Split", genres: &["Jazz"], ..Tags::default() });
    // Unknown, none, and nothing at all.
    track(
        "h/1.mp3",
        Tags { artist: "H", album: "Odd", cover: Some(jpeg(6)), genres: &["Blip", "Blop"], ..Tags::default() },
    );
    track("i/1.mp3", Tags { artist: "I", album: "Bare", cover: Some(jpeg(7)), ..Tags::default() });
    track("j/1.mp3", Tags { artist: "J", album: "Naked", genres: &["Rock"], ..Tags::default() });

    let source = read(dir.path());
    let mut rows: Vec<_> = source
        .rows
        .iter()
        .map(|row| {
            let path = row.strings.path().strip_prefix(dir.path()).unwrap().to_str().unwrap();
            (path, source.classes[row.label].as_str(), row.strings.group(0), row.strings.group(1))
        })
        .collect();
    rows.sort_unstable();
    assert_eq!(
        rows,
        [
            ("a/2.flac", "Rock", "A", "One"),
            ("b/cd1/1.mp3", "Jazz", "B", "Two"),
            ("hits/0.mp3", "Jazz", "", "Hits"),
            ("more/1.mp3", "Jazz", "", "More"),
        ]
    );
    let Some(Details::Library(report)) = &source.details else { panic!("{:?}", source.details) };
    assert_eq!((report.tracks, report.albums, report.taken), (14, 8, 4));
    assert_eq!((report.without_cover, report.conflicting, report.tracks_without_genre), (1, 1, 1));
    assert_eq!(report.unmapped, [("Blip".to_owned(), 1), ("Blop".to_owned(), 1)]);
    let reasons: String =
        source.left_out.iter().map(|skipped| format!("{}: {}\n", skipped.path, skipped.reason)).collect();
    for part in [
        "g/1.mp3: its album's tracks are of conflicting genres: Jazz (1), Rock (1)",
        "h/1.mp3: no genre of its album is in the table of genres",
        "i/1.mp3: no genre in the tags",
        "j/1.mp3: no cover embedded in its album, and no cover.jpg",
    ] {
        assert!(reasons.contains(part), "{part}: {reasons}");
    }
    assert!(source.notes.iter().any(|note| note.contains("Blip (1), Blop (1)") && note.contains("--genres")));
}

#[test]
fn an_own_table_of_genres_decides_the_classes() {
    let dir = scratch();
    library(dir.path());
    let table = dir.path().join("mine.toml");
    fs::write(&table, "Loud = [\"Heavy Metal\"]\nTalk = [\"hip hop\", \"Hip-Hop/Rap\"]\n").unwrap();
    let mut own = options(dir.path());
    own.request.genres = Some(table.clone());
    assert_eq!(good(&own, &scratch().path().join("set")).dataset.manifest.classes, ["Loud", "Talk"]);
    fs::write(&table, "Loud = \"Heavy Metal\"\n").unwrap();
    refused(&own, &["mine.toml", "no table of genres"]);
    own.request.genres = Some(dir.path().join("gone.toml"));
    refused(&own, &["gone.toml", "cannot be read"]);
    let mut wrong = options(dir.path());
    wrong.request.columns.label = Some("genre".into());
    refused(&wrong, &["its columns are known", "--label"]);
    refused(&grouped(dir.path(), &["year"]), &["--group year", "artist, album"]);
    let folders = scratch();
    draw(folders.path(), &[("a", 4), ("b", 4)]);
    let mut wrong = options(folders.path());
    wrong.request.genres = Some(table);
    refused(&wrong, &["--genres", "music library"]);
}

#[test]
fn covers_that_are_cut_off_and_files_that_are_none() {
    let dir = scratch();
    library(dir.path());
    let root = dir.path();
    let whole = jpeg(50);
    let track = |name: &str, cover: &[u8]| {
        let frames = [("TPE1", name), ("TALB", name), ("TCON", "Metal")];
        audio::id3(&root.join(format!("{name}/1.mp3")), Text::Latin1, &frames, Some(cover));
    };
    // Cut off, but there is one beside it; cut off, and nothing beside; no picture at all.
    track("beside", &whole[..whole.len() / 2]);
    cover(51, 40).save(root.join("beside/Folder.JPG")).unwrap();
    track("cut", &whole[..whole.len() / 2]);
    track("text", b"no picture");
    // A broken picture beside a track is no better than none, but it is what is reported.
    let bare = [("TPE1", "bare"), ("TALB", "bare"), ("TCON", "Metal")];
    audio::id3(&root.join("bare/1.mp3"), Text::Latin1, &bare, None);
    fs::write(root.join("bare/cover.jpg"), "").unwrap();
    // Empty and torn files, and one that is something else.
    fs::write(root.join("empty.flac"), "").unwrap();
    let torn = fs::read(root.join("Artist 1/Album 1/01.flac")).unwrap();
    fs::write(root.join("torn.flac"), &torn[..60]).unwrap();
    fs::write(root.join("text.ogg"), "no audio").unwrap();

    let made = good(&options(root), &scratch().path().join("set"));
    assert_eq!(made.told.kept, 13, "{:#?}", made.told.skipped);
    assert!(made.dataset.manifest.covers.iter().any(|cover| cover.strings.path().ends_with("beside/Folder.JPG")));
    for (end, part) in [
        ("cut/1.mp3", "truncated JPEG"),
        ("text/1.mp3", "not a picture"),
        ("bare/cover.jpg", "0 bytes"),
        ("empty.flac", "0 bytes"),
        ("torn.flac", "damaged or no audio file"),
        ("text.ogg", "damaged or no audio file"),
    ] {
        assert!(reason(&made.told, end).contains(part), "{end}: {}", reason(&made.told, end));
    }
}

#[test]
fn a_library_without_covers_says_so() {
    let dir = scratch();
    let tags = Tags { artist: "A", album: "One", genres: &["Rock"], ..Tags::default() };
    audio::write(&dir.path().join("1.mp3"), &tags);
    refused(&options(dir.path()), &["a music library of 1 audio files", "no cover embedded"]);
}

#[test]
fn the_cover_above_the_discs_of_an_album_is_found() {
    let dir = scratch();
    let track = |path: &str, album: &str, genre: &str| {
        let tags = Tags { artist: "A", album, genres: &[genre], ..Tags::default() };
        audio::write(&dir.path().join(path), &tags);
    };
    let beside = |path: &str, number: u32| save(number, &dir.path().join(path));
    // Tagged as one album, no album artist: its discs are joined by the folder above them.
    track("Two/CD1/1.mp3", "Two", "Rock");
    track("Two/CD2/1.mp3", "Two", "Rock");
    beside("Two/cover.png", 1);
    // A disc's own picture goes first.
    track("Own/Disc 1/1.mp3", "Own", "Jazz");
    beside("Own/Disc 1/folder.png", 2);
    beside("Own/cover.png", 3);
    // The folder above an album that is no disc belongs to others too.
    track("Shelf/Album/1.mp3", "Album", "Rock");
    beside("Shelf/cover.png", 4);
    let source = read(dir.path());
    let rows: Vec<_> =
        source.rows.iter().map(|row| row.strings.path().strip_prefix(dir.path()).unwrap().to_str().unwrap()).collect();
    assert_eq!(rows, ["Own/Disc 1/folder.png", "Two/cover.png"]);
    let Some(Details::Library(report)) = &source.details else { panic!("{:?}", source.details) };
    assert_eq!((report.albums, report.taken, report.without_cover), (3, 2, 1));
}
