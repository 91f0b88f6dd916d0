//! Alpha, premultiplied colours and orientation, as files have them.

use std::fs;
use std::io::Cursor;
use std::path::PathBuf;

use image::{ImageBuffer, LumaA, Rgba, RgbaImage};

use super::*;

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];

fn halves() -> RgbImage {
    RgbImage::from_fn(32, 16, |x, _| Rgb(if x < 16 { RED } else { BLUE }))
}

fn encode(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, bytes).unwrap();
    (dir, path)
}

fn near(pixel: Rgb<u8>, wanted: [u8; 3]) -> bool {
    pixel.0.iter().zip(wanted).all(|(&a, b)| a.abs_diff(b) <= 12)
}

#[test]
fn messages_stay_one_short_line() {
    assert_eq!(one_line("a\n  b\tc"), "a b c");
    assert_eq!(one_line(&"ä".repeat(500)).chars().count(), 161);
}

#[test]
fn alpha_that_hides_the_whole_picture_is_no_transparency() {
    let shown = |name: &str, picture: DynamicImage, format| {
        let (_dir, path) = written(name, &encode(&picture, format));
        load_rgb(&path).unwrap()
    };
    let halves = |alpha: u8| {
        RgbaImage::from_fn(16, 8, |x, _| {
            let [r, g, b] = if x < 8 { RED } else { BLUE };
            Rgba([r, g, b, alpha])
        })
    };
    // Also 1 of 255, which is a 1.0 written as a byte.
    for (format, alpha) in
        [(ImageFormat::Png, 0), (ImageFormat::WebP, 0), (ImageFormat::Tiff, 0), (ImageFormat::Png, 1)]
    {
        let seen = shown("hidden.png", halves(alpha).into(), format);
        assert_eq!((seen[(0, 0)].0, seen[(15, 7)].0), (RED, BLUE), "{format:?} {alpha}");
    }
    // A single pixel that can be seen makes it transparency again.
    let mut spot = halves(0);
    spot.put_pixel(3, 3, Rgba([0, 0, 0, 255]));
    let seen = shown("spot.png", spot.into(), ImageFormat::Png);
    assert_eq!((seen[(0, 0)].0, seen[(3, 3)].0), ([255; 3], [0; 3]));

    let deep = ImageBuffer::from_pixel(4, 4, Rgba([65535_u16, 32896, 0, 0]));
    assert_eq!(shown("deep.png", DynamicImage::ImageRgba16(deep), ImageFormat::Png)[(1, 1)].0, [255, 128, 0]);
    for grey in [
        DynamicImage::ImageLumaA8(ImageBuffer::from_pixel(4, 4, LumaA([90, 0]))),
        DynamicImage::ImageLumaA16(ImageBuffer::from_pixel(4, 4, LumaA([90 * 257, 0]))),
    ] {
        assert_eq!(shown("grey.png", grey, ImageFormat::Png)[(1, 1)].0, [90; 3]);
    }
    // A GIF whose one colour is the transparent one.
    let gif = RgbaImage::from_pixel(4, 4, Rgba([200, 30, 90, 0]));
    assert_eq!(shown("plain.gif", gif.into(), ImageFormat::Gif).dimensions(), (4, 4));
}

#[test]
fn colours_that_are_multiplied_by_alpha_already_are_not_multiplied_again() {
    // A half transparent red over white is pink. Written straight, and premultiplied: ExtraSamples 2 and 1.
    for (extra, red) in [(2, 255), (1, 128)] {
        let bytes = tiff_of(extra, [red, 0, 0, 128]);
        let (_dir, path) = written("cover.tif", &bytes);
        assert_eq!(load_rgb(&path).unwrap()[(1, 1)].0, [255, 127, 127], "ExtraSamples {extra}");
    }
    // Hidden all over it keeps its colours in either.
    for extra in [1, 2] {
        let (_dir, path) = written("cover.tif", &tiff_of(extra, [10, 20, 30, 0]));
        assert_eq!(load_rgb(&path).unwrap()[(1, 1)].0, [10, 20, 30]);
    }
}

/// A TIFF of 2 x 2 pixels of this colour whose fourth sample is what `extra` says.
fn tiff_of(extra: u32, colour: [u8; 4]) -> Vec<u8> {
    // Width, height, bits (their place is told below), no compression, RGB, place of the pixels, four samples, rows, bytes, extra.
    let entries = 10;
    let end = 8 + 2 + 12 * entries + 4;
    let tags = [
        (256, 1, 2),
        (257, 1, 2),
        (258, 4, end),
        (259, 1, 1),
        (262, 1, 2),
        (273, 1, end + 8),
        (277, 1, 4),
        (278, 1, 2),
        (279, 1, 16),
        (338, 1, extra),
    ];
    let mut out = b"II*\0\x08\0\0\0".to_vec();
    out.extend((entries as u16).to_le_bytes());
    for (tag, count, value) in tags {
        out.extend(
            [&(tag as u16).to_le_bytes()[..], &3_u16.to_le_bytes(), &u32::to_le_bytes(count), &u32::to_le_bytes(value)]
                .concat(),
        );
    }
    out.extend([0; 4]);
    out.extend([8, 0, 8, 0, 8, 0, 8, 0]);
    out.extend(colour.repeat(4));
    out
}

/// A WebP of `halves` with an EXIF chunk that says how to turn it, perhaps after a JPEG's mark.
fn webp_turned(orientation: u8, mark: &[u8]) -> Vec<u8> {
    let plain = encode(&halves().into(), ImageFormat::WebP);
    let tiff =
        [mark, &b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0"[..], &[orientation, 0, 0], &[0, 0, 0, 0]].concat();
    let chunk = |name: &[u8], body: &[u8]| {
        let fill = &[0][..body.len() % 2];
        [name, &(body.len() as u32).to_le_bytes(), body, fill].concat()
    };
    // Of the extended kind: a flag for EXIF, then width and height less one, three bytes each.
    let head = chunk(b"VP8X", &[8, 0, 0, 0, 31, 0, 0, 15, 0, 0]);
    let body = [b"WEBP", &head[..], &plain[12..], &chunk(b"EXIF", &tiff)].concat();
    [b"RIFF", &(body.len() as u32).to_le_bytes()[..], &body].concat()
}

#[test]
fn exif_orientation_of_a_webp_is_applied_with_and_without_a_jpegs_mark() {
    for mark in [&b""[..], b"Exif\0\0"] {
        let (_dir, path) = written("turned.webp", &webp_turned(6, mark));
        let picture = load_rgb(&path).unwrap();
        assert_eq!(picture.dimensions(), (16, 32), "{mark:?}");
        assert!(near(picture[(8, 2)], RED) && near(picture[(8, 29)], BLUE), "{mark:?}");
        let (_dir, path) = written("upright.webp", &webp_turned(1, mark));
        assert_eq!(load_rgb(&path).unwrap().dimensions(), (32, 16));
    }
}

#[test]
fn a_small_file_with_a_huge_frame_is_refused_at_once() {
    let gif = |side: u16| {
        let [low, high] = side.to_le_bytes();
        let mut bytes = b"GIF89a\x10\0\x10\0\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0".to_vec();
        bytes.extend([low, high, low, high, 0, 2, 2, 0x4c, 0x01, 0, 0x3b]);
        bytes
    };
    let said = decode_caught(&gif(u16::MAX)).unwrap_err().reason;
    assert!(said.contains("more memory than a picture of its size needs"), "{said}");
    // One that is somewhat larger than its picture is decoded, and found to end early.
    let said = decode_caught(&gif(20)).map(|_| ()).map_err(|bad| bad.reason);
    assert!(said.as_ref().is_ok() || said.as_ref().is_err_and(|said| said.contains("GIF")), "{said:?}");
}

/// A decoder may hold the whole picture twice, before anything is made of it.
#[test]
fn deep_pictures_have_room_to_be_decoded_from_one_strip() {
    let deep = DynamicImage::from(ImageBuffer::from_pixel(32, 16, Rgba([1_u16, 2, 3, 4])));
    for (picture, format) in [
        (deep, ImageFormat::Tiff),
        (DynamicImage::from(halves()), ImageFormat::Tiff),
        (halves().into(), ImageFormat::Png),
    ] {
        let bytes = encode(&picture, format);
        let decoder = ImageReader::with_format(Cursor::new(&bytes[..]), format).into_decoder().unwrap();
        assert!(needed(&decoder) >= 3 * decoder.total_bytes(), "{format:?}");
    }
}
