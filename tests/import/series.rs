//! Covers of a series are different covers; copies through a third one are no copies; plain covers are named.

use std::fs;

use gatefold::data::picture::jpeg;
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

use super::common::*;

/// A digit of 3 x 5 cells, each `cell` pixels wide.
fn stamp(picture: &mut RgbImage, digit: usize, (left, top): (u32, u32), cell: u32, colour: [u8; 3]) {
    const DIGITS: [u32; 10] = [
        0b111_101_101_101_111,
        0b010_110_010_010_111,
        0b111_001_111_100_111,
        0b111_001_111_001_111,
        0b101_101_111_001_001,
        0b111_100_111_001_111,
        0b111_100_111_101_111,
        0b111_001_010_010_010,
        0b111_101_111_101_111,
        0b111_101_111_001_111,
    ];
    for place in (0..15).filter(|place| DIGITS[digit] >> (14 - place) & 1 == 1) {
        let (x, y) = (left + place % 3 * cell, top + place / 3 * cell);
        (0..cell * cell).for_each(|i| picture.put_pixel(x + i % cell, y + i / cell, Rgb(colour)));
    }
}

/// A white cover with a frame, a band of this colour, and a number.
fn volume(number: usize, band: [u8; 3], cell: u32) -> RgbImage {
    let mut picture = RgbImage::from_fn(300, 300, |x, y| {
        let frame = x.min(y).min(299 - x).min(299 - y);
        let in_band = (110..150).contains(&y) && (14..286).contains(&x);
        Rgb(if (10..14).contains(&frame) {
            [0; 3]
        } else if in_band {
            band
        } else {
            [255; 3]
        })
    });
    stamp(&mut picture, number / 10, (130, 200), cell, [0; 3]);
    stamp(&mut picture, number % 10, (130 + 4 * cell, 200), cell, [0; 3]);
    picture
}

#[test]
fn covers_that_differ_by_a_number_or_a_colour_only_are_kept_also_under_two_labels() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    // Numbers 40 and 20 pixels high; then one number and other colours, saved as JPEG.
    for number in 0..24 {
        let class = ["Jazz", "Rock"][number % 2];
        volume(number, [200, 60, 40], 8).save(dir.path().join(format!("{class}/big{number}.png"))).unwrap();
        volume(number, [40, 90, 60], 4).save(dir.path().join(format!("{class}/small{number}.png"))).unwrap();
    }
    for (i, band) in
        [[190, 60, 60], [60, 60, 190], [60, 140, 60], [150, 110, 30], [150, 40, 150]].into_iter().enumerate()
    {
        let seen = jpeg::recompressed(&volume(7, band, 4), 80, true).unwrap();
        seen.save(dir.path().join(format!("Rock/colour{i}.png"))).unwrap();
    }
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!((made.told.kept, &made.told.duplicates[..]), (12 + 48 + 5, &[][..]), "{:#?}", made.told.skipped);
}

#[test]
fn copies_of_a_cover_of_a_series_are_found() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    let at = |name: &str| dir.path().join("Jazz").join(name);
    let (three, seven) = (volume(3, [200, 60, 40], 8), volume(7, [200, 60, 40], 8));
    three.save(at("three.png")).unwrap();
    seven.save(at("seven.png")).unwrap();
    let scaled = imageops::resize(&three, 150, 150, FilterType::CatmullRom);
    jpeg::recompressed(&scaled, 60, true).unwrap().save(at("with-half.png")).unwrap();
    jpeg::recompressed(&three, 40, true).unwrap().save(at("with-40.png")).unwrap();
    imageops::crop_imm(&three, 3, 3, 294, 294).to_image().save(at("with-cropped.png")).unwrap();
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(made.told.kept, 14, "{:#?}", made.told.skipped);
    for name in ["with-half.png", "with-40.png", "with-cropped.png"] {
        assert!(reason(&made.told, name).contains("looks like") && reason(&made.told, name).contains("three.png"));
    }
    // What decided is told, against the one that stays.
    let [group] = &made.told.duplicates[..] else { panic!("{:#?}", made.told.duplicates) };
    for member in &group.members {
        let stays = group.kept.as_ref() == Some(&member.path);
        assert_eq!(member.like.is_none(), stays);
        assert!(stays || member.like == group.kept, "{member:?}");
        assert!(member.detail <= 4.2 && member.colour <= 13.0 && (stays || member.detail > 0.0), "{member:?}");
    }
}

/// One layout, of a colour that goes by equal steps: neighbours are alike, those two steps apart are not.
fn step(number: u8) -> RgbImage {
    let mut picture = cover(5, 120);
    picture.pixels_mut().for_each(|pixel| pixel.0[2] = 60 + pixel.0[2] / 2 + 18 * number);
    picture
}

#[test]
fn what_is_alike_through_a_third_one_only_is_not_dropped() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    let at = |name: &str| dir.path().join(name);
    (0..3).for_each(|i| step(i).save(at(&format!("Jazz/step{i}.png"))).unwrap());
    let out = scratch();
    let made = good(&options(dir.path()), &out.path().join("set"));
    assert_eq!(made.told.kept, 12 + 2, "{:#?}", made.told.duplicates);
    assert!(reason(&made.told, "step1.png").contains("looks like"));

    // Kept, all three stay together.
    let mut keep = options(dir.path());
    keep.keep_duplicates = true;
    let kept = good(&keep, &out.path().join("kept"));
    let [group] = &kept.told.duplicates[..] else { panic!("{:#?}", kept.told.duplicates) };
    assert_eq!(group.members.len(), 3);
    assert!(group.members.iter().all(|member| member.detail <= 4.2 && member.colour <= 13.0), "{group:#?}");

    // The middle one is the largest: it stays, and both are alike to it.
    imageops::resize(&step(1), 240, 240, FilterType::CatmullRom).save(at("Jazz/step1.png")).unwrap();
    let made = good(&options(dir.path()), &out.path().join("larger"));
    assert_eq!(made.told.kept, 12 + 1, "{:#?}", made.told.duplicates);

    // Another label: it contradicts the one that it is alike to, not the one behind.
    fs::rename(at("Jazz/step2.png"), at("Rock/step2.png")).unwrap();
    step(1).save(at("Jazz/step1.png")).unwrap();
    let made = good(&options(dir.path()), &out.path().join("contradictory"));
    assert_eq!(made.told.kept, 12 + 1, "{:#?}", made.told.duplicates);
    assert!(reason(&made.told, "step1.png").contains("step2.png looks the same and is labelled `Rock`"));
    assert!(reason(&made.told, "step2.png").contains("step1.png looks the same and is labelled `Jazz`"));
    assert!(made.told.skipped.iter().all(|skipped| !skipped.path.ends_with("step0.png")));
}

#[test]
fn copies_of_the_same_bytes_count_always_and_each_contradicts_what_the_other_does() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    let at = |name: &str| dir.path().join(name);
    // Under two labels, and one more that looks like them.
    for name in ["Jazz/a.png", "Jazz/b.png", "Rock/c.png"] {
        cover(3000, 100).save(at(name)).unwrap();
    }
    imageops::resize(&cover(3000, 100), 60, 60, FilterType::CatmullRom).save(at("Rock/d.png")).unwrap();
    // Plain ones of the same bytes.
    for name in ["Jazz/plain1.png", "Jazz/plain2.png", "Jazz/plain3.png"] {
        RgbImage::from_pixel(40, 40, Rgb([90; 3])).save(at(name)).unwrap();
    }
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(made.told.kept, 12 + 1, "{:#?}", made.told.skipped);
    for (name, other) in [("a.png", "c.png"), ("b.png", "c.png"), ("c.png", "a.png"), ("d.png", "a.png")] {
        assert!(reason(&made.told, name).contains(&format!("{other} looks the same")), "{}", reason(&made.told, name));
    }
    assert!(reason(&made.told, "plain2.png").contains("a copy of"));
    notes_say(&made.told, "1 picture is one colour all over, or nearly: ");
    notes_say(&made.told, "plain1.png");
}

#[test]
fn large_groups_of_different_files_are_named() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    let copy = |name: String, quality: u8| {
        let picture = jpeg::recompressed(&cover(3000, 120), quality, true).unwrap();
        picture.save(dir.path().join("Jazz").join(name)).unwrap();
    };
    (0..5).for_each(|i| copy(format!("copy{i}.png"), 70 + 5 * i));
    let out = scratch();
    // Five, and copies of one of them, are not many.
    copy("same.png".into(), 70);
    let made = good(&options(dir.path()), &out.path().join("five"));
    assert!(made.told.kept == 13 && !made.told.notes.iter().any(|note| note.contains("different files")));
    copy("copy5.png".into(), 98);
    let made = good(&options(dir.path()), &out.path().join("six"));
    assert_eq!(made.told.kept, 13);
    notes_say(&made.told, "1 group of more than 5 different files look alike: ");
    notes_say(&made.told, "(6 files)");
}

/// The sets of the covers whose names begin so.
fn sets_of(made: &gatefold::data::Imported, start: &str) -> std::collections::BTreeSet<String> {
    let covers = made.dataset.manifest.covers.iter();
    let named = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().starts_with(start);
    covers.filter(|cover| named(cover.strings.path())).map(|cover| cover.split.to_string()).collect()
}

#[test]
fn covers_that_are_alike_from_afar_stay_in_one_set_where_that_can_be() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 20), ("Rock", 20)]);
    for number in 0..8 {
        let class = ["Jazz", "Rock"][number % 2];
        volume(number, [200, 60, 40], 8).save(dir.path().join(format!("{class}/vol{number}.png"))).unwrap();
    }
    for seed in 1..5 {
        let mut wish = options(dir.path());
        wish.seed = seed;
        let made = good(&wish, &scratch().path().join("set"));
        assert_eq!((made.told.kept, sets_of(&made, "vol").len()), (48, 1));
        assert_eq!(made.dataset.manifest.group_columns, ["duplicates"]);
        notes_say(&made.told, "8 covers are alike from afar");
    }
    // A class of nothing else cannot be in all sets as a whole.
    let only = scratch();
    draw(only.path(), &[("Jazz", 12)]);
    fs::create_dir(only.path().join("Series")).unwrap();
    for number in 0..12 {
        volume(number, [200, 60, 40], 8).save(only.path().join(format!("Series/vol{number}.png"))).unwrap();
    }
    let made = good(&options(only.path()), &scratch().path().join("set"));
    assert_eq!((made.told.kept, sets_of(&made, "vol").len()), (24, 3));
    notes_say(&made.told, "WARNING: covers that look alike from afar are in several sets");
}
