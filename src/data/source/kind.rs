//! Is a file a picture? Its content decides where its name does not say.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use image::ImageFormat;

use crate::data::picture::audio::ending;

/// Endings of picture files that are read.
const PICTURES: [&str; 15] =
    ["jpg", "jpeg", "jpe", "jfif", "jif", "jfi", "pjpeg", "pjp", "png", "apng", "webp", "gif", "bmp", "tif", "tiff"];

/// Endings of picture files that are not read, and the names of their formats.
const UNREAD: [(&str, &str); 24] = [
    ("heic", "HEIC"),
    ("heif", "HEIF"),
    ("hif", "HEIF"),
    ("avif", "AVIF"),
    ("avifs", "AVIF"),
    ("jxl", "JPEG XL"),
    ("jp2", "JPEG 2000"),
    ("j2k", "JPEG 2000"),
    ("jpf", "JPEG 2000"),
    ("jpx", "JPEG 2000"),
    ("jxr", "JPEG XR"),
    ("svg", "SVG"),
    ("psd", "Photoshop"),
    ("xcf", "GIMP"),
    ("tga", "TGA"),
    ("dng", "raw"),
    ("cr2", "raw"),
    ("cr3", "raw"),
    ("nef", "raw"),
    ("arw", "raw"),
    ("orf", "raw"),
    ("rw2", "raw"),
    ("ico", "icon"),
    ("pcx", "PCX"),
];

/// What a file is, for those that look for pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Picture,
    /// A picture in a format that is not read, by its name.
    Unread(&'static str),
    Other,
}

/// Whether the file's ending is that of a picture that is read.
pub fn is_picture(path: &Path) -> bool {
    ending(path).is_some_and(|ending| PICTURES.contains(&&*ending))
}

impl Kind {
    /// By the file's ending, else by its first bytes. It must be a regular file: others might never answer.
    pub fn of(path: &Path) -> Self {
        if is_picture(path) {
            return Self::Picture;
        }
        let ending = ending(path).unwrap_or_default();
        if let Some(&(_, format)) = UNREAD.iter().find(|(known, _)| *known == ending) {
            return Self::Unread(format);
        }
        let mut head = [0; 32];
        let mut length = 0;
        let Ok(mut file) = File::open(path) else { return Self::Other };
        while let Ok(more @ 1..) = file.read(&mut head[length..]) {
            length += more;
        }
        Self::of_content(&head[..length])
    }

    /// By the first bytes.
    pub fn of_content(head: &[u8]) -> Self {
        if head.get(4..8) == Some(b"ftyp") {
            return match head.get(8..12) {
                Some(b"heic" | b"heix" | b"hevc" | b"heim" | b"heis" | b"mif1" | b"msf1") => Self::Unread("HEIC"),
                Some(b"avif" | b"avis") => Self::Unread("AVIF"),
                _ => Self::Other,
            };
        }
        if head.starts_with(b"\xff\x0a") || head.starts_with(b"\0\0\0\x0cJXL \r\n\x87\n") {
            return Self::Unread("JPEG XL");
        }
        match image::guess_format(head) {
            Ok(ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP | ImageFormat::Gif | ImageFormat::Tiff) => {
                Self::Picture
            }
            // Two letters are no proof: the size of the second header, which has few values, has to agree.
            Ok(ImageFormat::Bmp) if matches!(head.get(14..18), Some([12 | 40 | 52 | 56 | 64 | 108 | 124, 0, 0, 0])) => {
                Self::Picture
            }
            _ => Self::Other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_decides_where_the_name_does_not() {
        for (head, kind) in [
            (&b"\xff\xd8\xff\xe0\0\x10JFIF\0"[..], Kind::Picture),
            (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", Kind::Picture),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Kind::Picture),
            (b"BM\x36\0\0\0\0\0\0\0\x36\0\0\0\x28\0\0\0", Kind::Picture),
            (b"BMW, Mercedes and other cars", Kind::Other),
            (b"\0\0\0\x18ftypheic\0\0\0\0", Kind::Unread("HEIC")),
            (b"\0\0\0\x1cftypavif\0\0\0\0", Kind::Unread("AVIF")),
            (b"\0\0\0\x1cftypM4A \0\0\0\0", Kind::Other),
            (b"\xff\x0a\xfa\x1f", Kind::Unread("JPEG XL")),
            (b"P5 is a name", Kind::Other),
            (b"", Kind::Other),
        ] {
            assert_eq!(Kind::of_content(head), kind, "{head:?}");
        }
        assert_eq!(Kind::of(Path::new("/none/a.HEIC")), Kind::Unread("HEIC"));
        assert!(is_picture(Path::new("a.JFIF")) && !is_picture(Path::new("a.jpg_large")));
    }
}
