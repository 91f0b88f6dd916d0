//! Made-up covers, and calls of the importer.

use std::fs;
use std::path::{Path, PathBuf};

use gatefold::data::set::report::Report;
use gatefold::data::{Columns, Fit, ImportOptions, Imported, Place, Request, import};
use gatefold::{Error, Result};
use image::{Rgb, RgbImage};

pub fn scratch() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

/// A cover of coloured patches that no other number has, of any size.
pub fn cover(number: u32, side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        let patch = (x * 7 / side) * 7919 + (y * 7 / side) * 104_729 + number * 15_485_863 + 1;
        let mixed = (patch ^ patch >> 15).wrapping_mul(2_246_822_519);
        let mixed = (mixed ^ mixed >> 13).wrapping_mul(3_266_489_917);
        Rgb((mixed ^ mixed >> 16).to_be_bytes()[..3].try_into().unwrap())
    })
}

/// Writes a cover, its folder included.
pub fn save(number: u32, path: &Path) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    cover(number, 40).save(path).unwrap();
}

/// A folder per class, of so many covers; the numbers of class k start at 1000 k.
pub fn draw(root: &Path, classes: &[(&str, u32)]) {
    for (k, (class, count)) in classes.iter().enumerate() {
        (0..*count).for_each(|i| save(1000 * k as u32 + i, &root.join(class).join(format!("{i:03}.png"))));
    }
}

pub fn options(source: &Path) -> ImportOptions {
    ImportOptions {
        request: Request::new(source, &Columns::default()),
        split: None,
        seed: 1,
        sizes: vec![16],
        fit: Fit::Crop,
        harmonise: None,
        keep_duplicates: false,
        ranks: gatefold::ranks::Ranks::alone(),
    }
}

pub fn pair(positive: &Path, negative: &Path) -> ImportOptions {
    let mut options = options(positive);
    options.request.place = Place::Pair { positive: positive.to_owned(), negative: negative.to_owned() };
    options
}

pub fn grouped(source: &Path, columns: &[&str]) -> ImportOptions {
    let mut options = options(source);
    options.request.columns.group = columns.iter().map(|&column| column.into()).collect();
    options
}

pub fn run(options: &ImportOptions, out: &Path) -> Result<Imported> {
    import(options, out, &|_, _| {})
}

pub fn good(options: &ImportOptions, out: &Path) -> Imported {
    run(options, out).unwrap_or_else(|e| panic!("{e}"))
}

/// The one line of bad input, which leaves nothing behind.
#[track_caller]
pub fn refused(options: &ImportOptions, parts: &[&str]) {
    let dir = scratch();
    let out = dir.path().join("set");
    let said = match run(options, &out) {
        Err(e @ Error::Input(_)) => e.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(!said.contains('\n'), "{said}");
    parts.iter().for_each(|part| assert!(said.contains(part), "`{part}` is missing in: {said}"));
    assert!(!out.exists(), "{:?} are left", files(&out));
}

/// Names and bytes of all files below a folder.
pub fn files(root: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// Why a picture whose path ends so was left out.
#[track_caller]
pub fn reason(told: &Report, end: &str) -> String {
    let skipped = told.skipped.iter().find(|skipped| skipped.path.ends_with(end));
    skipped.unwrap_or_else(|| panic!("{end} is not among {:#?}", told.skipped)).reason.clone()
}

#[track_caller]
pub fn notes_say(told: &Report, part: &str) {
    assert!(told.notes.iter().any(|note| note.contains(part)), "`{part}` is missing in {:#?}", told.notes);
}
