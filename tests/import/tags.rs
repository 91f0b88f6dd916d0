//! What people's audio files are like: every format, odd and broken tags, pictures of all kinds, pictures beside them, singles.

use std::fs;
use std::path::Path;

use gatefold::data::source::Details;
use gatefold::data::{Columns, Request, Source, picture};
use lofty::picture::PictureType;

use super::audio::{self, MORE_FORMATS, Tags, Text, id3, jpeg};
use super::common::*;

fn read(root: &Path) -> Source {
    Request::new(root, &Columns::default()).read().unwrap_or_else(|e| panic!("{e}"))
}

/// Path from the root, class, artist and album of each row, sorted.
fn rows(root: &Path, source: &Source) -> Vec<[String; 4]> {
    let row = |row: &gatefold::data::source::Row| {
        let path = row.strings.path().strip_prefix(root).unwrap().to_str().unwrap().replace('\\', "/");
        [path, source.classes[row.label].clone(), row.strings.group(0).into(), row.strings.group(1).into()]
    };
    let mut rows: Vec<_> = source.rows.iter().map(row).collect();
    rows.sort();
    rows
}

fn paths(root: &Path, source: &Source) -> Vec<String> {
    rows(root, source).into_iter().map(|[path, ..]| path).collect()
}

/// An album of another class, so that there are two.
fn another(root: &Path) {
    let tags = Tags { artist: "Z", album: "Z", genres: &["Jazz"], cover: Some(jpeg(999)), ..Tags::default() };
    audio::write(&root.join("z/z.mp3"), &tags);
}

#[track_caller]
fn note(source: &Source, part: &str) {
    assert!(source.notes.iter().any(|note| note.contains(part)), "`{part}` is missing in {:#?}", source.notes);
}

#[test]
fn further_formats_give_their_tags_and_their_covers() {
    let dir = scratch();
    for (i, format) in MORE_FORMATS.into_iter().enumerate() {
        let (artist, album, cover) = (format!("Artist {i}"), format!("Album {i}"), Some(jpeg(i as u32)));
        let tags = Tags { artist: &artist, album: &album, genres: &["Rock"], cover, ..Tags::default() };
        audio::write(&dir.path().join(format!("{i}/01.{format}")), &tags);
    }
    another(dir.path());
    let source = read(dir.path());
    assert!(source.left_out.is_empty(), "{:#?}", source.left_out);
    let rows = rows(dir.path(), &source);
    for (i, format) in MORE_FORMATS.into_iter().enumerate() {
        let wanted = [format!("{i}/01.{format}"), "Rock".into(), format!("Artist {i}"), format!("Album {i}")];
        assert!(rows.contains(&wanted), "{wanted:?}: {rows:#?}");
        let path = dir.path().join(&wanted[0]);
        assert_eq!(picture::read(&path).unwrap_or_else(|e| panic!("{format}: {e:?}")), jpeg(i as u32), "{format}");
    }
}

#[test]
fn a_library_whose_tags_cannot_be_read_is_refused_and_never_classes() {
    let dir = scratch();
    for (artist, album) in [("A", 1), ("A", 2), ("B", 1), ("C", 1)] {
        let folder = dir.path().join(format!("Artist {artist}/Album {album}"));
        save(album, &folder.join("folder.jpg"));
        for track in 0..3 {
            fs::write(folder.join(format!("{track}.wma")), "x").unwrap();
        }
    }
    refused(
        &options(dir.path()),
        &["a music library of 12 .wma files, whose tags cannot be read", "convert them", "CSV"],
    );
    fs::write(dir.path().join("Artist A/Album 1/4.DSF"), "x").unwrap();
    refused(&options(dir.path()), &["a music library of 13 audio files (.wma (12), .dsf (1)), whose tags"]);
    // Mixed: what can be read is, and the rest is told.
    let tags = Tags { artist: "D", album: "D", genres: &["Rock"], cover: Some(jpeg(8)), ..Tags::default() };
    audio::write(&dir.path().join("D/1.mp3"), &tags);
    another(dir.path());
    let source = read(dir.path());
    assert_eq!((source.kind, paths(dir.path(), &source)), ("library", vec!["D/1.mp3".into(), "z/z.mp3".into()]));
    note(&source, "passed over 13 audio files whose tags cannot be read: .wma (12), .dsf (1)");
    let Some(Details::Library(report)) = &source.details else { panic!("{:?}", source.details) };
    assert_eq!(report.unread, [(".wma".to_owned(), 12), (".dsf".to_owned(), 1)]);
}

#[test]
fn audio_files_that_stray_among_pictures_leave_them_classes() {
    for (stray, told) in [("a/x.wma", "1 audio file, .wma (1)"), ("x.mp3", "1 audio file, .mp3 (1)")] {
        let dir = scratch();
        draw(dir.path(), &[("a", 8), ("b", 8)]);
        fs::write(dir.path().join(stray), "x").unwrap();
        let source = read(dir.path());
        assert_eq!((source.kind, source.classes.join(" "), source.rows.len()), ("folder", "a b".to_owned(), 16));
        note(&source, &format!("passed over {told}: most folders hold pictures alone"));
    }
    let dir = scratch();
    draw(dir.path(), &[("a", 4), ("b", 4)]);
    fs::write(dir.path().join("a/x.ogg"), "x").unwrap();
    let made = good(&pair(&dir.path().join("a"), &dir.path().join("b")), &scratch().path().join("set"));
    notes_say(&made.told, "passed over 1 audio file, .ogg (1)");
}

#[test]
fn pictures_of_other_kinds_and_the_next_where_one_is_broken() {
    let dir = scratch();
    let root = dir.path();
    let track = |path: &str, pictures: Vec<(PictureType, Vec<u8>)>| {
        let name = path.split('/').next().unwrap();
        audio::write(
            &root.join(path),
            &Tags { artist: name, album: name, genres: &["Rock"], pictures, ..Tags::default() },
        );
    };
    let cut = jpeg(1)[..100].to_vec();
    track("undefined/1.mp3", vec![(PictureType::Undefined(77), jpeg(2))]);
    track("media/1.mp3", vec![(PictureType::CoverBack, jpeg(4)), (PictureType::Media, jpeg(3))]);
    track("people/1.mp3", vec![(PictureType::Artist, jpeg(5)), (PictureType::Icon, jpeg(6))]);
    // Broken, then whole: in the same file, and in the next track.
    track("same/1.flac", vec![(PictureType::CoverFront, cut.clone()), (PictureType::Other, jpeg(7))]);
    track("next/1.mp3", vec![(PictureType::CoverFront, cut.clone())]);
    track("next/2.mp3", vec![(PictureType::CoverFront, jpeg(8))]);
    // A PNG that is cut off shows it only when it is decoded.
    let mut png = std::io::Cursor::new(Vec::new());
    cover(9, 200).write_to(&mut png, image::ImageFormat::Png).unwrap();
    let half = png.get_ref().len() / 2;
    track("png/1.mp3", vec![(PictureType::CoverFront, png.get_ref()[..half].to_vec())]);
    track("png/2.mp3", vec![(PictureType::CoverFront, jpeg(10))]);
    // A picture beside goes before the back that is embedded.
    track("beside/1.mp3", vec![(PictureType::CoverBack, jpeg(11))]);
    save(12, &root.join("beside/cover.png"));
    another(root);
    let source = read(root);
    assert_eq!(
        paths(root, &source),
        ["beside/cover.png", "media/1.mp3", "next/2.mp3", "png/2.mp3", "same/1.flac", "undefined/1.mp3", "z/z.mp3"]
    );
    for (path, number) in [("undefined/1.mp3", 2), ("media/1.mp3", 3), ("same/1.flac", 7)] {
        assert_eq!(picture::read(&root.join(path)).unwrap(), jpeg(number), "{path}");
    }
    assert!(picture::read(&root.join("people/1.mp3")).unwrap_err().reason.contains("without an embedded cover"));
    note(&source, "1 covers are embedded pictures of something else");
    let Some(Details::Library(report)) = &source.details else { panic!("{:?}", source.details) };
    assert_eq!((report.not_front, report.without_cover), (1, 1));
}

#[test]
fn large_tags_are_read_and_hostile_ones_are_not_believed() {
    let dir = scratch();
    let root = dir.path();
    // A JPEG of six megabytes: what stands behind its end marker is its own.
    let large = |number: u32| {
        let mut bytes = jpeg(number);
        bytes.truncate(bytes.len() - 2);
        for _ in 0..96 {
            bytes.extend([0xFF, 0xFE, 0xFF, 0xFF]);
            bytes.extend(vec![b'c'; 0xFFFD]);
        }
        bytes.extend([0xFF, 0xD9]);
        bytes
    };
    for format in ["mp3", "flac", "m4a", "ogg", "ape", "aiff", "wav", "opus"] {
        let pictures = vec![(PictureType::CoverBack, large(2)), (PictureType::Leaflet, large(3))];
        let (album, cover) = (format!("large {format}"), Some(large(1)));
        let tags = Tags { artist: "A", album: &album, genres: &["Rock"], cover, pictures, ..Tags::default() };
        audio::write(&root.join(format!("{format}/1.{format}")), &tags);
        let got = picture::read(&root.join(format!("{format}/1.{format}")));
        assert!(got.unwrap_or_else(|e| panic!("{format}: {e:?}")) == large(1), "{format}");
    }
    // Sizes that the file does not have.
    for (name, bytes) in [
        ("h.mp3", [&b"ID3\x03\0\0\x7f\x7f\x7f\x7fAPIC\x7f\xff\xff\xff\0\0"[..], b"\0image/jpeg\0\x03\0"].concat()),
        ("h.flac", [&b"fLaC\x86\xff\xff\xff"[..], &[0, 0, 0, 3, 0xFF, 0xFF, 0xFF, 0xFF]].concat()),
        ("h.m4a", [&b"\0\0\0\x10ftypM4A \0\0\0\0"[..], b"\x7f\xff\xff\xffmoov"].concat()),
        ("h.ape", [&b"MAC \0\0\0\0"[..], &[0; 99], &ape_footer(0x7FFF_FFFF, 1)].concat()),
    ] {
        fs::write(root.join(name), bytes).unwrap();
        assert!(picture::load_rgb(&root.join(name)).is_err(), "{name}");
    }
}

/// An APEv2 footer that says its tag is so large and has so many items.
fn ape_footer(size: u32, items: u32) -> Vec<u8> {
    [b"APETAGEX", &2000_u32.to_le_bytes()[..], &size.to_le_bytes(), &items.to_le_bytes(), &[0; 12]].concat()
}

#[test]
fn id3_tags_survive_what_is_broken_elsewhere() {
    let dir = scratch();
    let root = dir.path();
    let write = |name: &str, cover: u32| {
        let path = root.join(format!("{name}/1.mp3"));
        id3(&path, Text::Latin1, &[("TPE1", name), ("TALB", name), ("TCON", "Rock")], Some(&jpeg(cover)));
        path
    };
    let append = |name: &str, cover: u32, end: &[u8]| {
        let path = write(name, cover);
        let bytes = [fs::read(&path).unwrap(), end.to_vec()].concat();
        fs::write(&path, bytes).unwrap();
    };
    let item = |key: &[u8], value: &[u8]| [&(value.len() as u32).to_le_bytes(), &[0; 4], key, &[0], value].concat();
    // A whole APE tag fills gaps only; broken ones are passed over.
    let genre = item(b"Genre", b"Jazz");
    append("whole", 1, &[genre.clone(), ape_footer(genre.len() as u32 + 32, 1)].concat());
    append("huge", 2, &ape_footer(0x7FFF_FFFF, 3));
    append("tiny", 3, &ape_footer(7, 3));
    let odd = item(b"Artist", b"\xff\xfe\xfd");
    append("odd", 4, &[odd.clone(), ape_footer(odd.len() as u32 + 32, 1)].concat());
    append("before v1", 5, &[ape_footer(0x7FFF_FFFF, 3), b"TAG".to_vec(), vec![0; 125]].concat());
    append("lyrics", 6, b"LYRICSBEGIN9999999LYRICS200");
    // A frame that is broken loses itself alone: a text in UTF-16 without an order of bytes, of an odd length.
    let path = write("frame", 7);
    let mut bytes = fs::read(&path).unwrap();
    let bad = b"TPE2\0\0\0\x04\0\0\x01\xff\xff\xff";
    bytes.splice(10..10, *bad);
    let size = bytes[6..10].iter().fold(0_u32, |sum, &byte| sum << 7 | u32::from(byte)) + bad.len() as u32;
    bytes[6..10].copy_from_slice(&[21, 14, 7, 0].map(|shift| (size >> shift & 0x7F) as u8));
    fs::write(&path, &bytes).unwrap();
    // A compressed frame is passed over.
    let path = write("packed", 8);
    let mut bytes = fs::read(&path).unwrap();
    let packed = b"COMM\0\0\0\x08\0\x80\0\0\xff\xffabcd";
    bytes.splice(10..10, *packed);
    let size = bytes[6..10].iter().fold(0_u32, |sum, &byte| sum << 7 | u32::from(byte)) + packed.len() as u32;
    bytes[6..10].copy_from_slice(&[21, 14, 7, 0].map(|shift| (size >> shift & 0x7F) as u8));
    fs::write(&path, &bytes).unwrap();
    // No sound behind the tag.
    let path = write("silent", 9);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() - 3 * 417]).unwrap();
    another(root);
    let source = read(root);
    assert!(source.left_out.is_empty(), "{:#?}", source.left_out);
    let names = ["before v1", "frame", "huge", "lyrics", "odd", "packed", "silent", "tiny", "whole"];
    let wanted: Vec<_> =
        names.iter().map(|name| [format!("{name}/1.mp3"), "Rock".into(), (*name).into(), (*name).into()]).collect();
    assert_eq!(rows(root, &source)[..names.len()], wanted);
    assert_eq!(picture::read(&root.join("huge/1.mp3")).unwrap(), jpeg(2));
    // Without ID3, a broken APE tag is what is told.
    fs::write(root.join("z/b.ape"), [&b"MAC "[..], &[0; 99], &ape_footer(0x7FFF_FFFF, 3)].concat()).unwrap();
    let source = read(root);
    let told = source.left_out.iter().find(|skipped| skipped.path.ends_with("b.ape")).unwrap();
    assert!(told.reason.contains("damaged or no audio file"), "{}", told.reason);
}

#[test]
fn pictures_beside_the_tracks_are_found_by_their_names_or_because_they_are_alone() {
    let dir = scratch();
    let root = dir.path();
    let track = |path: &str, album: &str| {
        audio::write(&root.join(path), &Tags { artist: album, album, genres: &["Rock"], ..Tags::default() });
    };
    let guid = "AlbumArt_{D6D4E8A1-0C2E-4B1D}";
    let (small, large) = (format!("{guid}_Small.png"), format!("{guid}_Large.png"));
    for (folder, names, wanted) in [
        ("wm", &[small.as_str(), "AlbumArtSmall.png", &large][..], large.as_str()),
        ("case", &["FOLDER.PNG", "back.png"], "FOLDER.PNG"),
        ("album", &["album.png", "disc.png"], "album.png"),
        ("artwork", &["booklet.png", "Artwork.png"], "Artwork.png"),
        ("number", &["x.png", "cover-1.png"], "cover-1.png"),
        ("words", &["Me - Songs (Front).png", "Me - Songs (Back).png"], "Me - Songs (Front).png"),
        ("only", &["IMG_0001.png"], "IMG_0001.png"),
        ("best", &["folder.png", "cover.png", &large], "cover.png"),
    ] {
        track(&format!("{folder}/1.mp3"), folder);
        names.iter().zip(0..).for_each(|(name, i)| save(100 + i, &root.join(folder).join(name)));
        let _ = wanted;
    }
    // Two of which neither is named so: nobody can tell.
    track("two/1.mp3", "two");
    save(1, &root.join("two/a.png"));
    save(2, &root.join("two/b.png"));
    // Broken, then whole.
    track("broken/1.mp3", "broken");
    fs::create_dir_all(root.join("broken")).unwrap();
    fs::write(root.join("broken/cover.jpg"), "x").unwrap();
    save(3, &root.join("broken/front.png"));
    // A picture among the tracks of several albums is nobody's.
    track("mixed/1.mp3", "mixed 1");
    track("mixed/2.mp3", "mixed 2");
    save(4, &root.join("mixed/cover.png"));
    another(root);
    let source = read(root);
    let wanted = [
        "album/album.png".to_owned(),
        "artwork/Artwork.png".into(),
        "best/cover.png".into(),
        "broken/front.png".into(),
        "case/FOLDER.PNG".into(),
        "number/cover-1.png".into(),
        "only/IMG_0001.png".into(),
        format!("wm/{large}"),
        "words/Me - Songs (Front).png".into(),
        "z/z.mp3".into(),
    ];
    assert_eq!(paths(root, &source), wanted);
    let Some(Details::Library(report)) = &source.details else { panic!("{:?}", source.details) };
    assert_eq!(report.without_cover, 3);
}

#[test]
fn singles_without_albums_have_covers_of_their_own_and_an_album_without_a_name_stays_one() {
    let dir = scratch();
    let root = dir.path();
    let track = |path: &str, artist: &str, album: &str, cover: Option<u32>| {
        let tags = Tags { artist, album, genres: &["Rock"], cover: cover.map(jpeg), ..Tags::default() };
        audio::write(&root.join(path), &tags);
    };
    // Embedded covers that differ; two with the same one are one; a picture of the track's name counts as its own.
    for (i, cover) in [Some(1), Some(2), Some(2), None, None].into_iter().enumerate() {
        track(&format!("singles/{i}.mp3"), &format!("S{i}"), "", cover);
    }
    save(3, &root.join("singles/3.png"));
    // Albums without a name: one cover for all; nobody's album; no cover but one artist and a picture beside.
    for i in 0..3 {
        track(&format!("one/{i}.mp3"), &format!("O{i}"), "Unknown Album", Some(5));
        track(&format!("beside/{i}.mp3"), "B", "", None);
        // Of several artists, and a picture beside: nobody can tell whose it is.
        track(&format!("several/{i}.mp3"), &format!("V{i}"), "", None);
    }
    save(6, &root.join("beside/folder.png"));
    save(7, &root.join("several/folder.png"));
    another(root);
    let source = read(root);
    let folder = |name: &str| root.join(name).to_string_lossy().into_owned();
    let wanted = [
        ["beside/folder.png".to_owned(), "Rock".into(), "B".into(), folder("beside")],
        ["one/0.mp3".into(), "Rock".into(), String::new(), folder("one")],
        ["singles/0.mp3".into(), "Rock".into(), "S0".into(), folder("singles/0.mp3")],
        ["singles/1.mp3".into(), "Rock".into(), String::new(), folder("singles/1.mp3")],
        ["singles/3.png".into(), "Rock".into(), "S3".into(), folder("singles/3.mp3")],
        ["z/z.mp3".into(), "Jazz".into(), "Z".into(), "Z".into()],
    ];
    assert_eq!(rows(root, &source), wanted);
}

#[test]
fn artists_that_are_nobody_tie_nothing_together() {
    let dir = scratch();
    for (i, nobody) in ["Various Artists", "V/A", "Unknown Artist", "<unknown>", "Verschiedene Interpreten", "nan"]
        .into_iter()
        .enumerate()
    {
        let album = format!("Hits {i}");
        let cover = Some(jpeg(i as u32));
        let (artist, album_artist) = if i % 2 == 0 { (nobody, "") } else { ("", nobody) };
        let tags = Tags { artist, album_artist, album: &album, genres: &["Rock"], cover, ..Tags::default() };
        audio::write(&dir.path().join(format!("{i}.mp3")), &tags);
    }
    another(dir.path());
    let source = read(dir.path());
    assert_eq!(source.rows.len(), 7);
    let artists: Vec<_> =
        source.rows.iter().map(|row| row.strings.group(0)).filter(|artist| !artist.is_empty()).collect();
    assert_eq!(artists, ["Z"]);
}
