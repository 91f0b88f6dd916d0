//! File facts: what a picture's file tells before a pixel is decoded. A network does not see most of them, but what differs here
//! says that the classes came another way, and much of it leaves traces in the pixels.

mod jpeg;

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use image::{ColorType, ExtendedColorType, ImageDecoder, ImageReader};
use jpeg::JpegHeader;
use rayon::prelude::*;
use serde::Serialize;

use super::table::{Column, Nature, Table};
use crate::data::picture;
use crate::panics::caught;

/// What one file tells.
#[derive(Clone, Debug, PartialEq)]
pub struct FileFacts {
    /// Such as `JPEG`.
    pub format: String,
    pub bytes: u64,
    /// Before turning.
    pub width: u32,
    pub height: u32,
    pub grey: bool,
    pub alpha: bool,
    /// Of one channel.
    pub bits: u16,
    pub exif: bool,
    pub icc: bool,
    pub jpeg: Option<JpegHeader>,
}

impl FileFacts {
    /// Reads a picture file's header, or that of the cover embedded in an audio file. None if the file is gone or unreadable.
    pub fn read(path: &Path) -> Option<Self> {
        let bytes = picture::read(path).ok()?;
        caught(|| Self::of(&bytes))?
    }

    fn of(bytes: &[u8]) -> Option<Self> {
        let format = image::guess_format(bytes).ok()?;
        let mut decoder = ImageReader::with_format(Cursor::new(bytes), format).into_decoder().ok()?;
        let (width, height) = decoder.dimensions();
        let colour = decoder.original_color_type();
        let shown = decoder.color_type();
        let channels = u16::from(colour.channel_count()).max(1);
        Some(Self {
            format: format!("{format:?}").to_uppercase(),
            bytes: bytes.len() as u64,
            width,
            height,
            grey: matches!(shown, ColorType::L8 | ColorType::La8 | ColorType::L16 | ColorType::La16)
                || matches!(colour, ExtendedColorType::L1 | ExtendedColorType::L2 | ExtendedColorType::L4),
            alpha: shown.has_alpha(),
            bits: colour.bits_per_pixel() / channels,
            exif: decoder.exif_metadata().is_ok_and(|exif| exif.is_some()),
            icc: decoder.icc_profile().is_ok_and(|icc| icc.is_some()),
            jpeg: (format == image::ImageFormat::Jpeg).then(|| JpegHeader::of(bytes)),
        })
    }
}

/// What the headers of all files of a data set say.
pub struct FileMetadata {
    /// For each picture; none where the file cannot be found any more.
    pub files: Vec<Option<FileFacts>>,
}

/// What is said of the facts in `audit.json`.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    pub files: usize,
    /// Files that are gone or unreadable: nothing is known of them.
    pub missing: usize,
    /// For each class, how many of its files have which value of a fact: the commonest ones.
    pub values: Vec<FactValues>,
}

/// One fact and how often its values occur.
#[derive(Clone, Debug, Serialize)]
pub struct FactValues {
    pub fact: String,
    pub values: Vec<FactValue>,
    /// Files with rarer values.
    pub others: Vec<usize>,
}

#[derive(Clone, Debug, Serialize)]
pub struct FactValue {
    pub value: String,
    /// Files of each class, in the order of the classes.
    pub files: Vec<usize>,
}

/// A fact with values that are names: how to read it, and whether content can cause it.
type Named = (&'static str, fn(&FileFacts) -> String, Nature);

const NAMED: [Named; 11] = [
    ("format", |f| f.format.clone(), Nature::Making),
    ("size", |f| format!("{}x{}", f.width, f.height), Nature::Making),
    ("JPEG tables", |f| f.jpeg.as_ref().map_or("none".into(), JpegHeader::tables), Nature::Making),
    ("JPEG colours", |f| f.jpeg.as_ref().map_or("none".into(), |j| j.subsampling.clone()), Nature::Making),
    ("JPEG kind", |f| jpeg_kind(f).into(), Nature::Making),
    ("JPEG marks", |f| f.jpeg.as_ref().map_or("none".into(), |j| j.marks.clone()), Nature::Making),
    ("EXIF", |f| yes(f.exif), Nature::Making),
    ("colour profile", |f| yes(f.icc), Nature::Making),
    ("alpha", |f| yes(f.alpha), Nature::Making),
    ("bits", |f| f.bits.to_string(), Nature::Making),
    ("grey", |f| yes(f.grey), Nature::Either),
];

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.into()
}

fn jpeg_kind(f: &FileFacts) -> &'static str {
    match &f.jpeg {
        None => "none",
        Some(j) if j.progressive => "progressive",
        Some(_) => "baseline",
    }
}

/// A fact that is a number.
type Number = (&'static str, &'static str, fn(&FileFacts) -> f64, Nature);

const NUMBERS: [Number; 5] = [
    ("pixels", "width × height, logarithm", |f| (f64::from(f.width) * f64::from(f.height)).ln(), Nature::Making),
    ("shape", "width / height, logarithm", |f| (f64::from(f.width) / f64::from(f.height)).ln(), Nature::Making),
    (
        "off square",
        "how far from square, logarithm",
        |f| (f64::from(f.width) / f64::from(f.height)).ln().abs(),
        Nature::Making,
    ),
    (
        "JPEG quality",
        "as libjpeg counts it, estimated from the luminance's quantisation table",
        |f| f.jpeg.as_ref().and_then(|j| j.quality).map_or(f64::NAN, f64::from),
        Nature::Making,
    ),
    (
        "bytes per pixel",
        "size of the file by its pixels, logarithm: quality, and how busy the picture is",
        |f| (f.bytes as f64 / (f64::from(f.width) * f64::from(f.height))).ln(),
        Nature::Either,
    ),
];

/// Named values that are rarer than this share of the files are not asked about.
const RARE: f64 = 0.02;
/// At most so many values of a fact are asked about, the commonest.
const MOST: usize = 8;

impl FileMetadata {
    /// Reads the headers of all files, on all cores.
    pub fn read(paths: &[&Path], progress: &(dyn Fn(usize, usize) + Sync)) -> Self {
        let done = AtomicUsize::new(0);
        let one = |path: &&Path| {
            let facts = FileFacts::read(path);
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            facts
        };
        Self { files: paths.par_iter().map(one).collect() }
    }

    /// Numbers of the pictures whose files were found.
    pub fn found(&self) -> Vec<usize> {
        (0..self.files.len()).filter(|&i| self.files[i].is_some()).collect()
    }

    /// The facts of the files that were found as numbers: a column for each number that varies and for each value that is neither
    /// rare nor everywhere.
    pub fn table(&self) -> Table {
        let files: Vec<&FileFacts> = self.files.iter().flatten().collect();
        let mut columns = Vec::new();
        let mut values: Vec<Vec<f64>> = Vec::new();
        for (name, about, read, nature) in NUMBERS {
            let column: Vec<f64> = files.iter().map(|file| read(file)).collect();
            let first = column.iter().copied().find(|v| !v.is_nan());
            if first.is_some_and(|first| column.iter().any(|v| !v.is_nan() && *v != first)) {
                columns.push(Column { name: name.into(), about: about.into(), nature });
                values.push(column);
            }
        }
        for (name, read, nature) in NAMED {
            let own: Vec<String> = files.iter().map(|file| read(file)).collect();
            let common = commonest(own.iter());
            let usual = |count: usize| {
                let share = count as f64 / files.len().max(1) as f64;
                (RARE..=1.0 - RARE).contains(&share) || (share < RARE && count >= 10)
            };
            // Of two values one is the other's mirror image, and the rarer one is the one to speak of.
            let asked = if common.len() == 2 { &common[1..] } else { &common[..] };
            for (value, _) in asked.iter().filter(|&&(_, count)| usual(count)).take(MOST) {
                columns.push(Column {
                    name: format!("{name} {value}"),
                    about: format!("whether the file's {name} is {value}"),
                    nature,
                });
                values.push(own.iter().map(|own| f64::from(u8::from(own == *value))).collect());
            }
        }
        Table::new(columns, (0..files.len()).map(|i| values.iter().map(|column| column[i]).collect()))
    }

    /// What to tell of them, for each of so many classes.
    pub fn summary(&self, labels: &[usize], classes: usize) -> Summary {
        let found = self.found();
        let files: Vec<(&FileFacts, usize)> =
            self.files.iter().zip(labels).filter_map(|(file, &label)| Some((file.as_ref()?, label))).collect();
        let fact = |&(name, read, _): &Named| {
            let own: Vec<(String, usize)> = files.iter().map(|(file, label)| (read(file), *label)).collect();
            let common = commonest(own.iter().map(|(value, _)| value));
            let count = |wanted: &dyn Fn(&str) -> bool| {
                let mut counts = vec![0; classes];
                own.iter().filter(|(value, _)| wanted(value)).for_each(|&(_, label)| counts[label] += 1);
                counts
            };
            let shown: Vec<String> = common.iter().take(MOST).map(|(value, _)| (*value).clone()).collect();
            FactValues {
                fact: name.into(),
                values: shown
                    .iter()
                    .map(|value| FactValue { value: value.clone(), files: count(&|own| own == value) })
                    .collect(),
                others: count(&|own| !shown.iter().any(|value| value == own)),
            }
        };
        Summary {
            files: self.files.len(),
            missing: self.files.len() - found.len(),
            values: NAMED.iter().map(fact).collect(),
        }
    }
}

/// Values with their counts, the commonest first.
fn commonest<'a>(values: impl Iterator<Item = &'a String>) -> Vec<(&'a String, usize)> {
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    values.for_each(|value| *counts.entry(value).or_default() += 1);
    let mut counts: Vec<(&String, usize)> = counts.into_iter().collect();
    counts.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    counts
}

#[cfg(test)]
mod tests;
