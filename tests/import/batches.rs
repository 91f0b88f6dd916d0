//! From pictures on disk to batches: good pictures load right, bad ones are named, bad input ends in one clear line.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use gatefold::data::picture::{load, load_rgb};
use gatefold::data::prepare;
use gatefold::data::{Columns, Dataset, Epoch, Fit, PrepareOptions, Prepared, Split};
use gatefold::{Error, Result};
use image::{DynamicImage, ImageBuffer, ImageFormat, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use tempfile::TempDir;

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

/// A 16x16 CMYK JPEG as Adobe writes them (inverted): left half red, right half blue.
#[rustfmt::skip]
const CMYK: [u8; 189] = [
    0xff, 0xd8, 0xff, 0xee, 0x00, 0x0e, 0x41, 0x64, 0x6f, 0x62, 0x65, 0x00, 0x64, 0x00, 0x00, 0x00, 0x00, 0x00,
    0xff, 0xdb, 0x00, 0x43, 0x00, 0x10, 0x0b, 0x0c, 0x0e, 0x0c, 0x0a, 0x10, 0x0e, 0x0d, 0x0e, 0x12, 0x11, 0x10,
    0x13, 0x18, 0x28, 0x1a, 0x18, 0x16, 0x16, 0x18, 0x31, 0x23, 0x25, 0x1d, 0x28, 0x3a, 0x33, 0x3d, 0x3c, 0x39,
    0x33, 0x38, 0x37, 0x40, 0x48, 0x5c, 0x4e, 0x40, 0x44, 0x57, 0x45, 0x37, 0x38, 0x50, 0x6d, 0x51, 0x57, 0x5f,
    0x62, 0x67, 0x68, 0x67, 0x3e, 0x4d, 0x71, 0x79, 0x70, 0x64, 0x78, 0x5c, 0x65, 0x67, 0x63, 0xff, 0xc0, 0x00,
    0x14, 0x08, 0x00, 0x10, 0x00, 0x10, 0x04, 0x43, 0x11, 0x00, 0x4d, 0x11, 0x00, 0x59, 0x11, 0x00, 0x4b, 0x11,
    0x00, 0xff, 0xc4, 0x00, 0x16, 0x00, 0x01, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x08, 0x07, 0xff, 0xc4, 0x00, 0x14, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda, 0x00, 0x0e, 0x04, 0x43, 0x00,
    0x4d, 0x00, 0x59, 0x00, 0x4b, 0x00, 0x00, 0x3f, 0x00, 0xd0, 0x19, 0xfb, 0x3f, 0x68, 0x09, 0xfc, 0x50, 0x02,
    0x80, 0x13, 0xf8, 0x9f, 0xc5, 0x00, 0x3f, 0xff, 0xd9,
];

fn options() -> PrepareOptions {
    PrepareOptions { columns: Columns::default(), split: None, fold: None, seed: 1, size: 8, fit: Fit::Crop }
}

fn grouped(columns: &[&str]) -> PrepareOptions {
    let group = columns.iter().map(|&column| column.into()).collect();
    PrepareOptions { columns: Columns { group, ..Columns::default() }, ..options() }
}

fn make(data: &Path, options: &PrepareOptions, dir: &Path) -> Result<Prepared> {
    prepare(data, options, dir, &|_, _| {})
}

/// The one line that a run with this input ends with; exit code 2 and nothing left in the target folder.
fn refusal(data: &Path, options: &PrepareOptions) -> String {
    let dir = tempfile::tempdir().unwrap();
    match make(data, options, dir.path()) {
        Err(error @ Error::Input(_)) => {
            assert_eq!(error.exit_code(), 2);
            let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
            assert!(left.is_empty(), "{left:?}");
            let said = error.to_string();
            assert!(!said.contains('\n'), "{said}");
            said
        }
        other => panic!("{other:?}"),
    }
}

fn assert_says(said: &str, parts: &[&str]) {
    for part in parts {
        assert!(said.contains(part), "`{part}` is missing in: {said}");
    }
}

/// A cover of one colour that no other number has.
fn cover(number: usize) -> RgbImage {
    RgbImage::from_pixel(12, 10, Rgb([number as u8, (number >> 8) as u8, 77]))
}

/// A folder with a class per pair, of so many covers.
fn folder(classes: &[(&str, usize)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut number = 0;
    for (class, count) in classes {
        fs::create_dir(dir.path().join(class)).unwrap();
        for i in 0..*count {
            cover(number).save(dir.path().join(class).join(format!("{i:03}.png"))).unwrap();
            number += 1;
        }
    }
    dir
}

/// Left half red, right half blue, lossless enough to tell.
fn halves() -> RgbImage {
    RgbImage::from_fn(32, 16, |x, _| Rgb(if x < 16 { RED } else { BLUE }))
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn reason(name: &str, bytes: &[u8]) -> String {
    let (_dir, path) = written(name, bytes);
    let reason = load(&path, 8, Fit::Crop).unwrap_err().reason;
    assert_eq!(load_rgb(&path).unwrap_err().reason, reason);
    assert!(!reason.contains('\n'), "{reason}");
    reason
}

fn near(pixel: Rgb<u8>, wanted: [u8; 3]) -> bool {
    pixel.0.iter().zip(wanted).all(|(&a, b)| a.abs_diff(b) <= 12)
}

/// A JPEG of `halves` with an EXIF segment that says how to turn it.
fn jpeg_turned(orientation: u8) -> Vec<u8> {
    let plain = encode(&halves().into(), ImageFormat::Jpeg);
    let tiff = [
        &b"Exif\0\0MM\0*\0\0\0\x08\0\x01"[..], // big endian, first directory at 8, one entry
        &[0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0], // orientation, a short
        &[0, 0, 0, 0],                         // no next directory
    ]
    .concat();
    let length = (tiff.len() + 2) as u16;
    [&plain[..2], &[0xFF, 0xE1], &length.to_be_bytes(), &tiff, &plain[2..]].concat()
}

/// A PNG that is nothing but a header claiming this size.
fn png_header(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend(width.to_be_bytes());
    header.extend(height.to_be_bytes());
    header.extend([8, 2, 0, 0, 0]);
    let mut crc = u32::MAX;
    for &byte in &header {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0xEDB8_8320 } else { crc >> 1 };
        }
    }
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &header[..], &(!crc).to_be_bytes(), b"\0\0\0\x04IDAT"].concat()
}

#[test]
fn every_format_loads_whatever_its_extension() {
    for format in
        [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff]
    {
        let (_dir, path) = written("cover.jpg", &encode(&halves().into(), format));
        let full = load_rgb(&path).unwrap();
        assert_eq!(full.dimensions(), (32, 16), "{format:?}");
        assert!(near(full[(2, 8)], RED) && near(full[(30, 8)], BLUE), "{format:?}");
        let picture = load(&path, 8, Fit::Crop).unwrap();
        assert_eq!((picture.width, picture.height, picture.hash.len()), (32, 16, 64));
        assert_eq!(picture.pixels.dimensions(), (8, 8));
        assert!(near(picture.pixels[(0, 4)], RED) && near(picture.pixels[(7, 4)], BLUE), "{format:?}");
    }
}

#[test]
fn cmyk_grey_and_sixteen_bits_become_rgb() {
    let (_dir, path) = written("cmyk.jpg", &CMYK);
    let picture = load_rgb(&path).unwrap();
    assert!(near(picture[(2, 8)], RED) && near(picture[(13, 8)], BLUE), "{:?}", picture[(2, 8)]);

    let deep = ImageBuffer::from_pixel(4, 4, Rgb([65535_u16, 32896, 0]));
    let (_dir, path) = written("deep.png", &encode(&DynamicImage::ImageRgb16(deep), ImageFormat::Png));
    assert_eq!(load_rgb(&path).unwrap()[(1, 1)].0, [255, 128, 0]);

    for grey in [
        DynamicImage::ImageLuma8(ImageBuffer::from_pixel(4, 4, Luma([90]))),
        DynamicImage::ImageLuma16(ImageBuffer::from_pixel(4, 4, Luma([90 * 257]))),
    ] {
        let (_dir, path) = written("grey.png", &encode(&grey, ImageFormat::Png));
        assert_eq!(load_rgb(&path).unwrap()[(1, 1)].0, [90; 3]);
    }
}

#[test]
fn transparency_shows_white_and_never_its_hidden_colour() {
    let picture = RgbaImage::from_fn(16, 16, |x, _| Rgba(if x < 8 { [0, 255, 0, 0] } else { [0, 0, 0, 128] }));
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let (_dir, path) = written("cover.png", &encode(&picture.clone().into(), format));
        let full = load_rgb(&path).unwrap();
        assert_eq!((full[(0, 0)].0, full[(15, 0)].0), ([255; 3], [127; 3]));
        let small = load(&path, 4, Fit::Crop).unwrap().pixels;
        assert!(small.pixels().all(|p| p[0] == p[1] && p[1] == p[2]), "hidden green bled: {:?}", small.as_raw());
    }
    let deep = ImageBuffer::from_pixel(4, 4, Rgba([0_u16, 0, 0, 32768]));
    let (_dir, path) = written("deep.png", &encode(&DynamicImage::ImageRgba16(deep), ImageFormat::Png));
    assert_eq!(load_rgb(&path).unwrap()[(1, 1)].0, [127; 3]);
}

#[test]
fn exif_orientation_is_applied() {
    // For each orientation: width and height, and where the stored left (red) half ends up.
    let cases = [
        (1, (32, 16), (2, 8)),
        (2, (32, 16), (29, 8)),
        (3, (32, 16), (29, 8)),
        (4, (32, 16), (2, 8)),
        (5, (16, 32), (8, 2)),
        (6, (16, 32), (8, 2)),
        (7, (16, 32), (8, 29)),
        (8, (16, 32), (8, 29)),
    ];
    for (orientation, (width, height), (x, y)) in cases {
        let (_dir, path) = written("turned.jpg", &jpeg_turned(orientation));
        let picture = load_rgb(&path).unwrap();
        assert_eq!(picture.dimensions(), (width, height), "orientation {orientation}");
        assert!(near(picture[(x, y)], RED), "orientation {orientation}");
        assert!(near(picture[(width - 1 - x, height - 1 - y)], BLUE), "orientation {orientation}");
        let square = load(&path, 8, Fit::Pad).unwrap();
        assert_eq!((square.width, square.height), (width, height));
    }
}

#[test]
fn bad_pictures_say_what_is_wrong() {
    let noise = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 37 + y * 91) as u8, (x * y) as u8, (x ^ y) as u8]));
    let jpeg = encode(&noise.clone().into(), ImageFormat::Jpeg);
    assert_says(&reason("a.jpg", &jpeg[..jpeg.len() / 2]), &["truncated JPEG"]);
    assert_says(&reason("a.jpg", &jpeg[..jpeg.len() - 2]), &["truncated JPEG"]);
    assert_says(&reason("a.jpg", &jpeg[..20]), &["truncated JPEG"]);
    // Ones in the scan: no code is so long.
    let mut damaged = jpeg.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 40].chunks_mut(2).for_each(|two| two.copy_from_slice(&[0xff, 0x00]));
    assert_says(&reason("a.jpg", &damaged), &["damaged JPEG", "Huffman"]);
    let (_dir, path) = written("a.jpg", &[&jpeg[..], b"\r\ntrailing bytes"].concat());
    assert!(load(&path, 8, Fit::Crop).is_ok());

    for format in [ImageFormat::Png, ImageFormat::WebP, ImageFormat::Gif, ImageFormat::Bmp, ImageFormat::Tiff] {
        let bytes = encode(&noise.clone().into(), format);
        assert_says(&reason("a.png", &bytes[..bytes.len() / 2]), &["damaged or truncated"]);
    }
    assert_says(&reason("a.jpg", b"This is a text about a cover."), &["not a picture"]);
    assert_says(&reason("a.jpg", b""), &["empty file"]);
    assert_says(&reason("a.png", &png_header(60_000, 60_000)), &["20000 or more pixels", "scale it down"]);
    assert_says(&reason("a.png", &png_header(15_000, 15_000)), &["15000x15000", "too large"]);
    assert_says(&reason("a.png", &png_header(0, 5)), &["PNG"]);
    assert_says(&reason("a.avif", b"\0\0\0\x20ftypavif\0\0\0\0avifmif1"), &["not supported"]);

    let dir = tempfile::tempdir().unwrap();
    assert_says(&load(dir.path(), 8, Fit::Crop).unwrap_err().reason, &["not a file"]);
    assert_says(&load(&dir.path().join("none.jpg"), 8, Fit::Crop).unwrap_err().reason, &["cannot be read"]);
}

#[test]
fn a_folder_per_class_becomes_a_data_set() {
    let data = folder(&[("rock", 20), ("pop", 10), ("empty", 0)]);
    fs::write(data.path().join("pop/notes.txt"), "x").unwrap();
    fs::write(data.path().join("pop/.hidden.jpg"), "x").unwrap();
    fs::write(data.path().join("rock/broken.JPG"), "no picture").unwrap();
    let out = tempfile::tempdir().unwrap();
    let dir = out.path().join("new/set");
    let made = make(data.path(), &options(), &dir).unwrap();

    let manifest = &made.dataset.manifest;
    assert_eq!(manifest.classes, ["pop", "rock"]);
    let counts: Vec<usize> = made.report.covers.iter().map(|sets| sets.iter().sum()).collect();
    assert_eq!(counts, [10, 20]);
    assert!(made.report.covers.iter().flatten().all(|&covers| covers > 0), "{}", made.report);
    assert_eq!(made.skipped.len(), 1);
    assert!(made.skipped[0].path.ends_with("broken.JPG") && made.skipped[0].reason.starts_with("not a picture"));
    assert!(made.notes.len() == 3 && made.notes[0].contains("nothing was taken: `empty`"), "{:?}", made.notes);
    assert!(made.notes[1].contains("passed over 1 files"), "{:?}", made.notes);
    assert!(made.notes[2].contains("30 pictures are one colour all over"), "{:?}", made.notes);
    for (i, cover) in manifest.covers.iter().enumerate() {
        let full = load_rgb(cover.strings.path()).unwrap();
        assert_eq!((cover.width, cover.height), full.dimensions());
        assert_eq!(made.dataset.pack.image(i).unwrap()[..3], full[(0, 0)].0);
        let class = cover.strings.path().parent().unwrap().file_name().unwrap().to_str().unwrap();
        assert_eq!(manifest.classes[cover.label], class);
    }
    let again = Dataset::open(&dir).unwrap();
    assert_eq!(&again.manifest, manifest);
    assert_eq!(again.fingerprint(), made.dataset.fingerprint());
    let report = fs::read_to_string(dir.join("import.json")).unwrap();
    assert_says(&report, &["\"kept\": 30", "\"named\": 31", "broken.JPG", "\"folder\"", "\"seed\": 1"]);
}

#[test]
fn the_same_input_gives_the_same_bytes_and_another_seed_another_split() {
    let data = folder(&[("a", 20), ("b", 20)]);
    let out = tempfile::tempdir().unwrap();
    let first = make(data.path(), &options(), &out.path().join("1")).unwrap().dataset;
    let second = make(data.path(), &options(), &out.path().join("2")).unwrap().dataset;
    for name in ["images.pack", "manifest.csv", "import.json"] {
        assert_eq!(
            fs::read(out.path().join("1").join(name)).unwrap(),
            fs::read(out.path().join("2").join(name)).unwrap()
        );
    }
    assert_eq!(first.fingerprint(), second.fingerprint());
    let other = make(data.path(), &PrepareOptions { seed: 2, ..options() }, &out.path().join("3")).unwrap().dataset;
    assert_ne!(first.fingerprint(), other.fingerprint());

    // Where the covers lie decides nothing.
    let moved = out.path().join("moved");
    fs::rename(data.path(), &moved).unwrap();
    let third = make(&moved, &options(), &out.path().join("4")).unwrap().dataset;
    assert_eq!(first.fingerprint(), third.fingerprint());
}

/// A folder of pictures with `covers.csv` in it: rows of (class, artist).
fn table(rows: &[(&str, &str)]) -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let mut text = "path,genre,artist\n".to_owned();
    for (i, (class, artist)) in rows.iter().enumerate() {
        cover(i).save(dir.path().join(format!("{i}.png"))).unwrap();
        text += &format!("{i}.png,{class},{artist}\n");
    }
    let path = dir.path().join("covers.csv");
    fs::write(&path, text).unwrap();
    (dir, path)
}

#[test]
fn no_artist_is_in_two_sets() {
    let names: Vec<String> = (0..60).map(|i| format!("artist {}", i * i % 17)).collect();
    let rows: Vec<(&str, &str)> =
        names.iter().enumerate().map(|(i, name)| (["x", "y"][i % 2], name.as_str())).collect();
    let (_dir, path) = table(&rows);
    let out = tempfile::tempdir().unwrap();
    let mut options = grouped(&["artist"]);
    options.columns.label = Some("genre".into());
    let made = make(&path, &options, out.path());
    let manifest = made.unwrap().dataset.manifest;
    assert_eq!(manifest.group_columns, ["artist"]);
    assert_eq!(manifest.covers.len(), 60);
    let mut set_of = HashMap::new();
    for cover in &manifest.covers {
        assert_eq!(*set_of.entry(cover.strings.group(0)).or_insert(cover.split), cover.split);
    }
    for split in Split::ALL {
        assert!(manifest.counts(split).iter().all(|&count| count > 0));
    }
}

#[test]
fn absolute_and_parent_paths_are_followed() {
    let (dir, _) = table(&[("x", ""); 12]);
    let elsewhere = dir.path().join("tables");
    fs::create_dir(&elsewhere).unwrap();
    let mut text = "path,label\n".to_owned();
    for i in 0..12 {
        let file =
            if i % 2 == 0 { format!("../{i}.png") } else { dir.path().join(format!("{i}.png")).display().to_string() };
        text += &format!("{file},{}\n", ["x", "y"][i / 6]);
    }
    let path = elsewhere.join("t.csv");
    fs::write(&path, &text).unwrap();
    let out = tempfile::tempdir().unwrap();
    assert_eq!(make(&path, &options(), out.path()).unwrap().dataset.pack.len(), 12);

    fs::write(&path, text + "../gone.png,x\n/no/such/place.png,y\n").unwrap();
    let made = make(&path, &options(), &out.path().join("more")).unwrap();
    assert_eq!((made.dataset.pack.len(), made.skipped.len()), (12, 2));
    assert_eq!(made.skipped[0].reason, "line 14: there is no such file");
}

#[test]
fn a_data_set_is_a_source_too() {
    let names: Vec<String> = (0..40).map(|i| format!("artist {i}")).collect();
    let rows: Vec<(&str, &str)> = names.iter().enumerate().map(|(i, n)| (["x", "y"][i % 2], n.as_str())).collect();
    let (dir, path) = table(&rows);
    let out = tempfile::tempdir().unwrap();
    let first_dir = out.path().join("1");
    let first = make(&path, &grouped(&["artist"]), &first_dir).unwrap().dataset;
    let print = first.fingerprint();
    let unchanged = fs::read(first_dir.join("import.json")).unwrap();
    let same = make(&first_dir, &options(), &first_dir).unwrap().dataset;
    assert_eq!((same.fingerprint(), fs::read(first_dir.join("import.json")).unwrap()), (print.clone(), unchanged));

    // Another size is decoded anew, with the same split.
    let large = PrepareOptions { size: 11, ..options() };
    let large = make(&first_dir, &large, &out.path().join("2")).unwrap().dataset;
    assert_eq!((large.pack.size(), &large.manifest), (11, &first.manifest));
    // A split that is asked for is made.
    let wish = PrepareOptions { split: Some([50.0, 0.0, 50.0]), ..options() };
    let made = make(&first_dir, &wish, &out.path().join("3")).unwrap();
    assert!(made.report.covers.iter().all(|&[train, val, test]| val == 0 && train + test == 20 && test >= 5));
    assert_says(&refusal(&first_dir, &grouped(&["album"])), &["no column `album`", "made with artist"]);

    // The pictures at hand suffice even when the originals are gone, at their size.
    drop(dir);
    let copy = make(&first_dir, &options(), &out.path().join("4")).unwrap().dataset;
    assert_eq!(copy.fingerprint(), print);
    assert_says(
        &refusal(&first_dir, &PrepareOptions { size: 9, ..options() }),
        &["40 of its 40", "are gone", "--size 8"],
    );
}

#[test]
fn a_damaged_data_set_says_so() {
    let data = folder(&[("a", 4), ("b", 4)]);
    let out = tempfile::tempdir().unwrap();
    make(data.path(), &options(), out.path()).unwrap();
    let (pack, list) = (out.path().join("images.pack"), out.path().join("manifest.csv"));
    let (pack_bytes, list_text) = (fs::read(&pack).unwrap(), fs::read_to_string(&list).unwrap());
    let said = || Dataset::open(out.path()).unwrap_err().to_string();

    fs::write(&pack, &pack_bytes[..pack_bytes.len() - 100]).unwrap();
    assert_says(&said(), &["images.pack", "cut off"]);
    fs::write(&pack, &pack_bytes).unwrap();
    let mut lines: Vec<&str> = list_text.lines().collect();
    lines.swap(1, 2);
    fs::write(&list, lines.join("\n")).unwrap();
    assert_says(&said(), &["do not belong together"]);
    fs::write(&list, lines[..4].join("\n")).unwrap();
    assert_says(&said(), &["do not belong together"]);
    fs::remove_file(&list).unwrap();
    assert_says(&said(), &["manifest.csv is missing"]);
}

#[test]
fn folders_that_are_no_data_set_say_so() {
    let nothing = tempfile::tempdir().unwrap();
    assert_says(&refusal(nothing.path(), &options()), &["no pictures and no folders"]);
    assert_says(&refusal(&nothing.path().join("gone"), &options()), &["gone", "cannot be read"]);
    assert_says(&refusal(folder(&[("only", 5)]).path(), &options()), &["only one class, `only` (5 pictures)"]);
    assert_says(
        &refusal(folder(&[("a", 0), ("b", 0)]).path(), &options()),
        &["no pictures", "one sub-folder per class"],
    );
    let (flat, csv) = table(&[("x", "1"), ("y", "2")]);
    assert_says(&refusal(flat.path(), &options()), &["2 pictures lie in no class folder", "covers.csv"]);
    assert_says(&refusal(flat.path(), &grouped(&["artist"])), &["--group", "covers.csv"]);
    assert_says(&refusal(&csv, &grouped(&["album"])), &["no column `album`", "`path`, `genre`, `artist`"]);
    assert_says(&refusal(&csv, &grouped(&["path"])), &["--group path", "rename"]);
    assert_says(&refusal(&csv, &options()), &["class `x` has 1 usable covers", "3 sets"]);
    assert_says(&refusal(folder(&[("a", 9), ("b", 2)]).path(), &options()), &["class `b` has 2"]);
    assert_says(&refusal(&csv, &PrepareOptions { size: 0, ..options() }), &["size 0"]);
    assert_says(&refusal(&csv, &PrepareOptions { split: Some([0.0, 1.0, 1.0]), ..options() }), &["split 0,1,1"]);
    let (_dir, one) = table(&[("x", "1"), ("x", "2")]);
    assert_says(&refusal(&one, &options()), &["only one class, `x`"]);
    let (_dir, artist) = table(&[("x", "A"), ("x", "A"), ("x", "A"), ("y", "B"), ("y", "C"), ("y", "D")]);
    assert_says(&refusal(&artist, &grouped(&["artist"])), &["class `x`", "only 1 groups"]);
}

#[test]
fn more_than_half_bad_stops_and_half_does_not() {
    let data = folder(&[("a", 8), ("b", 8)]);
    for i in 0..4 {
        fs::write(data.path().join(format!("a/{i:03}.png")), "no picture").unwrap();
        fs::write(data.path().join(format!("b/{i:03}.png")), "").unwrap();
    }
    let out = tempfile::tempdir().unwrap();
    let made = make(data.path(), &options(), out.path()).unwrap();
    assert_eq!((made.skipped.len(), made.dataset.pack.len()), (8, 8));
    let names: Vec<&str> = made.skipped.iter().map(|skipped| skipped.path.as_str()).collect();
    assert!(names.is_sorted());
    fs::write(data.path().join("a/004.png"), "no picture").unwrap();
    assert_says(&refusal(data.path(), &options()), &["9 of 16", "more than half", "a/000.png: not a picture"]);

    // Only half are bad, but they are a whole class.
    let data = folder(&[("a", 8), ("b", 8)]);
    for i in 0..8 {
        fs::write(data.path().join(format!("b/{i:03}.png")), "").unwrap();
    }
    assert_says(&refusal(data.path(), &options()), &["class `b` has no usable cover left"]);
}

#[test]
fn batches_hold_every_cover_once() {
    let data = folder(&[("a", 13), ("b", 12)]);
    let out = tempfile::tempdir().unwrap();
    let dataset = make(data.path(), &PrepareOptions { split: Some([80.0, 0.0, 20.0]), ..options() }, out.path());
    let dataset = dataset.unwrap().dataset;
    let train = dataset.manifest.indices(Split::Train).len();
    let epoch = Epoch::shuffled(&dataset, Split::Train, 8, 3, 0);
    assert_eq!((epoch.len(), epoch.batches()), (train, train.div_ceil(8)));
    assert_eq!(epoch, Epoch::shuffled(&dataset, Split::Train, 8, 3, 0));
    assert_ne!(epoch, Epoch::shuffled(&dataset, Split::Train, 8, 3, 1));

    let each = dataset.pack.image_bytes();
    let (mut pixels, mut labels, mut weights) = (vec![0; 8 * each], vec![9; 8], vec![9.0; 8]);
    let mut seen = vec![0; dataset.pack.len()];
    for batch_no in 0..epoch.batches() {
        epoch.fill(&dataset, batch_no, &mut pixels, &mut labels, &mut weights).unwrap();
        for (slot, (index, weight)) in epoch.batch(batch_no).enumerate() {
            assert_eq!(&pixels[slot * each..][..each], dataset.pack.image(index).unwrap());
            assert_eq!(labels[slot] as usize, dataset.manifest.covers[index].label);
            assert_eq!(weights[slot], weight);
            seen[index] += weight as usize;
        }
    }
    for (count, cover) in seen.iter().zip(&dataset.manifest.covers) {
        assert_eq!(*count, usize::from(cover.split == Split::Train));
    }
    assert!(Epoch::in_order(&dataset, Split::Val, 8).is_empty());
    assert_eq!(Epoch::in_order(&dataset, Split::Val, 8).batches(), 0);
}
