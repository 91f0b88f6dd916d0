use image::codecs::jpeg::JpegEncoder;
use image::{GrayImage, Rgb, RgbImage, RgbaImage};

use super::*;

fn jpeg(quality: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(40, 32, |x, y| Rgb([x as u8 * 6, y as u8 * 8, 90]));
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, quality).encode_image(&picture).unwrap();
    bytes
}

fn png(picture: impl Into<image::DynamicImage>) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.into().write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

/// Puts a segment behind the start marker.
fn with(bytes: &[u8], marker: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16 + 2).to_be_bytes();
    [&bytes[..2], &[0xFF, marker], &length, content, &bytes[2..]].concat()
}

#[test]
fn reads_a_jpegs_quality_and_marks() {
    for quality in [20, 60, 75, 92] {
        let facts = FileFacts::of(&jpeg(quality)).unwrap();
        let header = facts.jpeg.unwrap();
        assert_eq!((header.quality, header.standard), (Some(quality), true), "{header:?}");
        assert_eq!((header.tables(), header.progressive), (format!("quality {quality}"), false));
        assert_eq!((facts.width, facts.height, facts.bits, facts.grey), (40, 32, 8, false));
        assert!(!facts.exif && !facts.icc && !facts.alpha && facts.format == "JPEG");
        assert!(header.subsampling.starts_with("4:"), "{}", header.subsampling);
    }
    let plain = jpeg(60);
    let marked = with(&with(&plain, 0xFE, b"scanned"), 0xEE, b"Adobe\0\x64\0\0\0\0\0");
    let marks = FileFacts::of(&marked).unwrap().jpeg.unwrap().marks;
    assert!(marks.contains("Adobe") && marks.contains("comment"), "{marks}");
    let exif = with(&plain, 0xE1, b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0");
    assert!(FileFacts::of(&exif).unwrap().exif);
}

#[test]
fn tables_of_other_encoders_are_told_apart() {
    let plain = jpeg(60);
    // The first number of the first table.
    let place = plain.windows(2).position(|two| two == [0xFF, 0xDB]).unwrap() + 5;
    let mut other = plain.clone();
    other[place] += 3;
    let [own, other] = [&plain, &other].map(|bytes| FileFacts::of(bytes).unwrap().jpeg.unwrap());
    assert!(
        own.standard && !other.standard && other.tables().starts_with("about 60, own tables "),
        "{}",
        other.tables()
    );
    // A walk over damage ends; it does not panic.
    (0..plain.len()).step_by(7).for_each(|end| drop(JpegHeader::of(&plain[..end])));
}

#[test]
fn reads_other_formats() {
    let alpha = FileFacts::of(&png(RgbaImage::new(8, 9))).unwrap();
    assert_eq!((alpha.format.as_str(), alpha.alpha, alpha.grey, alpha.jpeg.is_none()), ("PNG", true, false, true));
    let grey = FileFacts::of(&png(GrayImage::new(8, 9))).unwrap();
    assert_eq!((grey.alpha, grey.grey, grey.bits, grey.width, grey.height), (false, true, 8, 8, 9));
    let deep = FileFacts::of(&png(image::DynamicImage::new_rgb16(4, 4))).unwrap();
    assert_eq!(deep.bits, 16);
    assert_eq!(FileFacts::of(b"nothing"), None);
    assert_eq!(FileFacts::read(Path::new("gone.jpg")), None);
}

#[test]
fn a_table_has_columns_for_what_varies_and_counts_what_is_missing() {
    let file = |quality: u8, side: u32| {
        let mut facts = FileFacts::of(&jpeg(quality)).unwrap();
        (facts.width, facts.height) = (side, side);
        Some(facts)
    };
    let mut files: Vec<Option<FileFacts>> = (0..40).map(|i| file(if i % 2 == 0 { 60 } else { 90 }, 300)).collect();
    files[7] = None;
    let facts = FileMetadata { files };
    let table = facts.table();
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    // Two qualities need one column of names; the rest never varies.
    assert_eq!(names, ["JPEG quality", "bytes per pixel", "JPEG tables quality 90"]);
    assert_eq!((table.rows(), facts.found().len()), (39, 39));
    assert_eq!([table.row(0)[2], table.row(1)[2]], [0.0, 1.0]);
    let labels: Vec<usize> = (0..40).map(|i| i % 2).collect();
    let summary = facts.summary(&labels, 2);
    assert_eq!((summary.files, summary.missing), (40, 1));
    let tables = summary.values.iter().find(|fact| fact.fact == "JPEG tables").unwrap();
    assert_eq!((tables.values[0].value.as_str(), &tables.values[0].files[..]), ("quality 60", &[20, 0][..]));
}
