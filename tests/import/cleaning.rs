//! Bad pictures, duplicates, contradictions.

use std::fs;

use image::imageops::{self, FilterType};

use super::common::*;

#[test]
fn bad_pictures_are_set_aside_with_reasons() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    cover(77, 64).save(dir.path().join("Jazz/cut.jpg")).unwrap();
    let whole = fs::read(dir.path().join("Jazz/cut.jpg")).unwrap();
    fs::write(dir.path().join("Jazz/cut.jpg"), &whole[..whole.len() / 2]).unwrap();
    fs::write(dir.path().join("Jazz/empty.png"), "").unwrap();
    fs::write(dir.path().join("Jazz/text.jpg"), "no picture").unwrap();
    image::RgbImage::new(300, 20).save(dir.path().join("Rock/strip.png")).unwrap();
    image::RgbImage::new(2, 2).save(dir.path().join("Rock/dot.png")).unwrap();
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!((made.told.named, made.told.kept, made.told.skipped.len()), (23, 18, 5));
    for (end, part) in [
        ("cut.jpg", "truncated JPEG"),
        ("empty.png", "0 bytes"),
        ("text.jpg", "not a picture"),
        ("strip.png", "no cover has this shape"),
        ("dot.png", "too small"),
    ] {
        assert!(reason(&made.told, end).contains(part), "{}", reason(&made.told, end));
    }
}

#[test]
fn of_the_same_cover_the_largest_stays_and_contradictions_go() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let at = |name: &str| dir.path().join(name);
    // A copy, a larger one saved with loss, and one of another class.
    fs::copy(at("Jazz/000.png"), at("Jazz/copy.png")).unwrap();
    imageops::resize(&cover(1, 40), 90, 90, FilterType::CatmullRom).save(at("Jazz/large.jpg")).unwrap();
    let small = imageops::resize(&cover(2, 40), 70, 66, FilterType::Triangle);
    small.save(at("Rock/other.jpg")).unwrap();
    // Plain covers look alike from afar; only the same file is the same cover.
    for (name, grey) in [("a", 90), ("b", 92)] {
        image::RgbImage::from_pixel(30, 30, image::Rgb([grey; 3])).save(at(&format!("Rock/{name}.png"))).unwrap();
    }
    let out = scratch();
    let made = good(&options(dir.path()), &out.path().join("set"));
    assert_eq!(made.told.kept, 9 - 1 + 9 + 2, "{:#?}", made.told.skipped);
    assert!(reason(&made.told, "Jazz/copy.png").contains("a copy of"));
    assert!(
        reason(&made.told, "Jazz/001.png").contains("looks like")
            && reason(&made.told, "Jazz/001.png").contains("large.jpg")
    );
    assert!(reason(&made.told, "Jazz/002.png").contains("other.jpg looks the same and is labelled `Rock`"));
    assert!(reason(&made.told, "Rock/other.jpg").contains("labelled `Rock`"));
    notes_say(&made.told, "dropped 2 duplicates, and 2 covers");
    let kept: Vec<bool> = made.told.duplicates.iter().map(|group| group.kept.is_some()).collect();
    assert_eq!(kept, [true, true, false]);
    let near = &made.told.duplicates[1].members;
    assert!(near.iter().all(|member| member.correlation > 0.96 && member.distance <= 10), "{near:?}");

    let mut keep = options(dir.path());
    keep.keep_duplicates = true;
    for seed in 0..6 {
        keep.seed = seed;
        let made = good(&keep, &out.path().join("kept"));
        assert_eq!(made.told.kept, 23);
        notes_say(&made.told, "kept 6 covers that look alike, in 3 groups");
        let manifest = &made.dataset.manifest;
        assert_eq!(manifest.group_columns, ["duplicates"]);
        for a in &manifest.covers {
            for b in manifest
                .covers
                .iter()
                .filter(|b| !a.strings.group(0).is_empty() && b.strings.group(0) == a.strings.group(0))
            {
                assert_eq!(a.split, b.split);
            }
        }
    }
}

#[test]
fn different_covers_are_not_taken_for_duplicates() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 150), ("Rock", 150)]);
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!((made.told.kept, made.told.duplicates.len()), (300, 0));
    // And the covers that `sample` draws are all different.
    let drawn = dir.path().join("sample");
    let table = gatefold::sample::write(&drawn, &Default::default()).unwrap().csv;
    let made = good(&options(&table), &scratch().path().join("set"));
    assert_eq!(made.told.duplicates, []);
}
