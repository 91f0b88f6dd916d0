//! The table of planted cases: one class came native, the other was scaled down from twice its size.

use gatefold::audit::probe::{PERMUTATIONS, Pictures, Probe};
use gatefold::audit::table::Table;
use gatefold::audit::verdict::{Finding, rule};
use gatefold::audit::{features, remake};
use image::RgbImage;
use image::imageops::{FilterType, resize, thumbnail};

use crate::pictures::*;

/// Pixels on a side of what reaches the audit. 128 against 252 are 260 against 512, halved.
const SIDE: u32 = 128;
const LARGE: u32 = 252;
/// Pictures of each class.
const EACH: u64 = 90;

/// Features of one class: `make` brings masters that no other class has to [`SIDE`].
fn class(first: u64, make: impl Fn(u64, RgbImage) -> RgbImage + Sync) -> [Table; 2] {
    let table = |degrade: bool| {
        let square = |i: usize| {
            let made = make(first + i as u64, master(first + i as u64));
            assert_eq!(made.dimensions(), (SIDE, SIDE));
            Ok(if degrade { remake::harmonised(&made).unwrap() } else { made }.into_raw())
        };
        features::table(SIDE as usize, EACH as usize, square, &|_, _| {}).unwrap()
    };
    [table(false), table(true)]
}

/// What the probe makes of two classes: its area, the area when all are degraded alike, and what that means.
fn told(one: &[Table; 2], other: &[Table; 2]) -> (f64, f64, Finding) {
    let names = ["one".to_owned(), "other".to_owned()];
    let count = 2 * EACH as usize;
    let labels: Vec<usize> = (0..count).map(|i| i / EACH as usize).collect();
    let groups: Vec<usize> = (0..count).collect();
    let pictures = Pictures { classes: &names, labels: &labels, groups: &groups };
    let ask = |place: usize, permutations: usize| {
        let rows = [&one[place], &other[place]].into_iter().flat_map(|t| (0..t.rows()).map(|row| t.row(row).to_vec()));
        Probe::run(&Table::new(features::columns(), rows), pictures, permutations, 1, &|_, _| {})
    };
    let (before, after) = (ask(0, PERMUTATIONS), ask(1, 0));
    let drop = before.above(&after, pictures, 1)[0];
    (before.classes[0].auc, after.classes[0].auc, rule(&before.classes[0], Some(drop)))
}

/// Quality of a native picture: it varies, as in any collection.
fn quality(number: u64) -> u8 {
    78 + (number % 5) as u8 * 3
}

fn native(first: u64) -> [Table; 2] {
    class(first, |number, master| jpeg(&lanczos(&master, SIDE), quality(number)))
}

/// What is done to a picture.
type Change = fn(&RgbImage) -> RgbImage;

#[test]
fn scaled_pictures_are_told_from_native_ones_whatever_the_filter() {
    let native = native(0);
    let scaled: [(&str, Change); 5] = [
        ("triangle", |p| resize(p, SIDE, SIDE, FilterType::Triangle)),
        ("cubic", |p| resize(p, SIDE, SIDE, FilterType::CatmullRom)),
        ("gaussian", |p| resize(p, SIDE, SIDE, FilterType::Gaussian)),
        ("lanczos", |p| resize(p, SIDE, SIDE, FilterType::Lanczos3)),
        ("box", |p| thumbnail(p, SIDE, SIDE)),
    ];
    for (name, filter) in scaled {
        let other = class(10_000, |number, master| filter(&jpeg(&lanczos(&master, LARGE), quality(number))));
        let (auc, left, finding) = told(&native, &other);
        println!("{name}: {auc:.3}, degraded alike {left:.3}, {finding:?}");
        assert!(auc >= 0.95 && finding == Finding::Shortcut, "{name}: {auc} {finding:?}");
        // A soft filter's blur survives; a sharp one leaves little that does.
        assert!(name != "lanczos" || left < 0.75, "{name}: {left} is left of {auc}");
    }
}

#[test]
fn pictures_of_one_source_are_not_told_apart() {
    let (auc, left, finding) = told(&native(0), &native(20_000));
    println!("same source: {auc:.3}, degraded alike {left:.3}, {finding:?}");
    assert!((0.40..=0.62).contains(&auc) && finding == Finding::Nothing, "{auc} {finding:?}");
}

#[test]
fn lanczos_without_jpeg_leaves_nothing_to_find() {
    let once = class(0, |_, master| lanczos(&master, SIDE));
    let twice = class(30_000, |_, master| lanczos(&lanczos(&master, LARGE), SIDE));
    let (auc, left, finding) = told(&once, &twice);
    println!("no JPEG, Lanczos: {auc:.3}, degraded alike {left:.3}, {finding:?}");
    assert!(auc < 0.65 && finding == Finding::Nothing, "{auc} {finding:?}");
}
