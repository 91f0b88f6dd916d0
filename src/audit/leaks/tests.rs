//! Planted duplicates, and covers that are none.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use image::imageops::{self, FilterType};
use image::{ImageFormat, RgbImage};

use super::*;
use crate::data::{Columns, Fit, ImportOptions, Request, Strings, import};
use crate::ranks::Ranks;
use crate::sample::{self, SampleOptions};

/// Covers drawn by the program, 300 of them, in a folder per class.
fn drawn(root: &Path) -> Vec<PathBuf> {
    let options = SampleOptions { per_genre: 60, size: 128, seed: 3 };
    sample::write(root, &options).unwrap();
    let mut paths: Vec<PathBuf> = fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .flat_map(|folder| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()))
        .collect();
    paths.sort();
    paths
}

/// All pictures of a folder per class, duplicates and all, set by `split`.
fn dataset(root: &Path, out: &Path, split: impl Fn(&str) -> Split) -> Dataset {
    let options = ImportOptions {
        ranks: Ranks::alone(),
        request: Request::new(root, &Columns::default()),
        split: None,
        seed: 1,
        sizes: vec![96],
        fit: Fit::Crop,
        harmonise: None,
        keep_duplicates: true,
    };
    let mut dataset = import(&options, out, &|_, _| {}).unwrap().dataset;
    for cover in &mut dataset.manifest.covers {
        cover.split = split(cover.strings.path().file_name().unwrap().to_str().unwrap());
    }
    dataset
}

fn jpeg(picture: &RgbImage, quality: u8, path: &Path) {
    let file = fs::File::create(path).unwrap();
    let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(file, quality);
    encoder.encode_image(picture).unwrap();
}

/// The picture without these shares of its edges: left, top, and what makes it a square again.
fn cropped(picture: &RgbImage, left: f64, top: f64, side: f64) -> RgbImage {
    let whole = f64::from(picture.width());
    let [x, y, side] = [left, top, side].map(|share| (share * whole).round() as u32);
    imageops::crop_imm(picture, x, y, side, side).to_image()
}

#[test]
fn twenty_planted_duplicates_of_four_kinds_are_found_and_no_other_pair() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("covers");
    let paths = drawn(&root);
    assert_eq!(paths.len(), 300);
    let mut planted = BTreeSet::new();
    for (n, path) in paths.iter().step_by(15).enumerate() {
        let picture = image::open(path).unwrap().into_rgb8();
        // Every fourth lies in another class than its twin.
        let folder = if n % 4 == 3 { paths[299 - n].parent().unwrap() } else { path.parent().unwrap() };
        let kind = n % 4;
        let twin = folder.join(format!("twin{n}.{}", if kind == 1 || kind == 3 { "jpg" } else { "png" }));
        match kind {
            0 => drop(fs::copy(path, &twin).unwrap()),
            1 => jpeg(&picture, [30, 50, 70, 85, 95][n / 4], &twin),
            2 => {
                let side = [40, 64, 150, 230, 300][n / 4];
                let filter = [FilterType::Lanczos3, FilterType::Triangle, FilterType::CatmullRom][n % 3];
                imageops::resize(&picture, side, side, filter).save_with_format(&twin, ImageFormat::Png).unwrap();
            }
            _ => {
                let part = [(0.04, 0.04, 0.92), (0.0, 0.0, 0.94), (0.1, 0.02, 0.88), (0.05, 0.0, 0.95)];
                let (left, top, side) = part[(n / 4).min(3)];
                if n / 4 == 4 {
                    jpeg(&imageops::brighten(&picture, 25), 80, &twin)
                } else {
                    jpeg(&cropped(&picture, left, top, side), 80, &twin)
                }
            }
        }
        planted.insert([path.clone(), twin]);
    }
    assert_eq!(planted.len(), 20);
    let dataset =
        dataset(
            &root,
            &dir.path().join("set"),
            |name| if name.starts_with("twin") { Split::Test } else { Split::Train },
        );
    assert_eq!(dataset.manifest.covers.len(), 320);
    let leaks = leaks(&dataset, &|_, _| {}).unwrap();
    let found: BTreeSet<[PathBuf; 2]> = leaks
        .listed
        .iter()
        .map(|pair| {
            let mut both = [pair.first.path.clone(), pair.second.path.clone()];
            both.sort_by_key(|path| path.file_name().unwrap().to_str().unwrap().starts_with("twin"));
            both
        })
        .collect();
    assert_eq!(found, planted);
    let kind = |kind| leaks.kinds.get(&kind).copied().unwrap_or(0);
    assert_eq!(
        [Kind::Copy, Kind::ReEncoded, Kind::Resized, Kind::Cropped, Kind::Altered, Kind::Mirrored].map(kind),
        [5, 5, 5, 4, 1, 0],
        "{:#?}",
        leaks.listed
    );
    assert_eq!((leaks.pairs, leaks.groups, leaks.across_sets, leaks.covers_seen_in_training), (20, 20, 20, 20));
    // One of the five is in its twin's class already.
    assert_eq!(leaks.across_labels, 4);
    assert!(leaks.found() && leaks.listed[..4].iter().all(|pair| pair.across_sets && pair.across_labels));
}

#[test]
fn mirrored_covers_are_found_and_a_picture_that_is_there_many_times_over_is_one_group() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("covers");
    let paths = drawn(&root);
    paths[40..].iter().for_each(|path| {
        if !path.starts_with(paths[299].parent().unwrap()) {
            fs::remove_file(path).unwrap()
        }
    });
    let first = image::open(&paths[0]).unwrap().into_rgb8();
    jpeg(&imageops::flip_horizontal(&first), 80, &paths[0].with_file_name("mirror.jpg"));
    let second = image::open(&paths[1]).unwrap().into_rgb8();
    (0..60).for_each(|n| jpeg(&second, 40 + n, &paths[1].with_file_name(format!("many{n}.jpg"))));
    let dataset = dataset(&root, &dir.path().join("set"), |_| Split::Train);
    let leaks = leaks(&dataset, &|_, _| {}).unwrap();
    assert_eq!((leaks.groups, leaks.kinds[&Kind::Mirrored], leaks.across_sets), (2, 1, 0));
    assert!(leaks.pairs >= 61 && !leaks.found(), "{}", leaks.pairs);
}

#[test]
fn groups_in_several_sets_are_listed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("covers");
    drawn(&root);
    let mut dataset = dataset(&root, &dir.path().join("set"), |_| Split::Train);
    let manifest = &mut dataset.manifest;
    manifest.group_columns.insert(0, "artist".into());
    for (i, cover) in manifest.covers.iter_mut().enumerate() {
        let artist = if i % 3 == 0 { String::new() } else { format!("Artist {}", i / 10) };
        cover.strings = Strings::of(cover.strings.path_text(), &[if i == 152 { "ARTIST 15 " } else { &artist }]);
        cover.split = if i < 155 { Split::Train } else { Split::Test };
    }
    let leaks = leaks(&dataset, &|_, _| {}).unwrap();
    let [column] = &leaks.columns[..] else { panic!("{:?}", leaks.columns) };
    assert_eq!((column.column.as_str(), column.values, column.spanning), ("artist", 30, 1));
    let [spanning] = &column.listed[..] else { panic!("{column:?}") };
    assert_eq!((spanning.value.to_lowercase().as_str(), spanning.covers), ("artist 15", [3, 0, 3]));
    assert_eq!(column.covers_seen_in_training, 3);
    assert!(leaks.found());
}
