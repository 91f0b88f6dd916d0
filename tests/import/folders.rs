//! Folders per class, and two folders of different origin.

use std::fs;

use gatefold::data::{Split, SplitReport};
use gatefold_engine::Error;

use super::common::*;

fn totals(report: &SplitReport) -> Vec<usize> {
    report.covers.iter().map(|sets| sets.iter().sum()).collect()
}

#[test]
fn classes_may_lie_deeper_and_hold_folders() {
    let dir = scratch();
    let root = dir.path().join("archive/images");
    draw(&root, &[("Jazz/1950s", 6), ("Jazz/1960s/blue", 6), ("Rock", 12)]);
    fs::write(root.join("Rock/list.txt"), "x").unwrap();
    fs::write(root.join("Rock/.hidden.png"), "x").unwrap();
    save(9999, &root.join("outside.png"));
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Jazz", "Rock"]);
    assert_eq!(totals(&made.report), [12, 12]);
    notes_say(&made.told, "1 pictures outside the class folders");
    notes_say(&made.told, "1 files that are no pictures");
}

#[test]
fn sets_on_top_are_kept() {
    let dir = scratch();
    for (set, from, count) in [("Train", 0, 8), ("valid", 100, 3), ("TEST", 200, 4)] {
        for (k, class) in ["Jazz", "Rock"].into_iter().enumerate() {
            (0..count).for_each(|i| {
                save(from + i + 1000 * k as u32, &dir.path().join(set).join(class).join(format!("{i}.png")));
            });
        }
    }
    // The same cover in train and test: the test set keeps it.
    fs::copy(dir.path().join("TEST/Jazz/0.png"), dir.path().join("Train/Jazz/copy.png")).unwrap();
    let out = scratch();
    let made = good(&options(dir.path()), &out.path().join("set"));
    assert_eq!(made.report.covers, [[8, 3, 4]; 2]);
    assert!(reason(&made.told, "copy.png").contains("a copy of") && made.told.split.is_none());
    notes_say(&made.told, "the sets are kept");
    for cover in &made.dataset.manifest.covers {
        let set = cover
            .strings
            .path()
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .to_lowercase();
        assert_eq!(cover.split.name()[..3], set[..3]);
    }
    // A split that is asked for is made.
    let mut wish = options(dir.path());
    wish.split = Some([50.0, 0.0, 50.0]);
    let made = good(&wish, &out.path().join("other"));
    assert!(made.report.covers.iter().all(|sets| sets[1] == 0 && sets[2] > 3), "{}", made.report);
}

#[test]
fn two_folders_become_two_classes_and_their_sizes_are_compared() {
    let dir = scratch();
    let (prog, rock) = (dir.path().join("is_prog"), dir.path().join("not_prog"));
    for i in 0..10 {
        fs::create_dir_all(prog.join("deeper")).unwrap();
        fs::create_dir_all(&rock).unwrap();
        cover(i, 26).save(prog.join(format!("deeper/{i}.png"))).unwrap();
        cover(100 + i, 51).save(rock.join(format!("{i}.png"))).unwrap();
    }
    let out = scratch();
    let made = good(&pair(&prog, &rock), &out.path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["is_prog", "not_prog"]);
    assert_eq!((totals(&made.report), made.dataset.pack.size()), (vec![10, 10], 16));
    assert_eq!(made.dataset.manifest.covers.iter().filter(|c| c.width == 26).count(), 10);
    for part in ["is_prog 26", "not_prog 51", "before `gatefold audit` has put this to the test"] {
        notes_say(&made.told, part);
    }
    // Names alike say nothing.
    let other = dir.path().join("x/is_prog");
    fs::create_dir_all(other.parent().unwrap()).unwrap();
    fs::rename(&rock, &other).unwrap();
    let made = good(&pair(&prog, &other), &out.path().join("alike"));
    assert_eq!(made.dataset.manifest.classes, ["negative", "positive"]);
    let empty = dir.path().join("empty");
    fs::create_dir(&empty).unwrap();
    refused(&pair(&prog, &empty), &["empty", "no pictures"]);
    refused(&pair(&prog, &dir.path().join("gone")), &["gone", "cannot be read"]);
}

#[test]
fn files_that_differ_only_in_case_and_names_that_are_not_utf8() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    save(50, &dir.path().join("Jazz/A.png"));
    save(51, &dir.path().join("Jazz/a.PNG"));
    let both = dir.path().join("Jazz/A.png").is_file() && fs::read_dir(dir.path().join("Jazz")).unwrap().count() == 8;
    let set = scratch();
    #[cfg(target_os = "linux")]
    {
        use std::os::unix::ffi::OsStrExt;
        fs::write(dir.path().join("Jazz").join(std::ffi::OsStr::from_bytes(b"caf\xe9.png")), "x").unwrap();
        let made = good(&options(dir.path()), &set.path().join("1"));
        assert!(reason(&made.told, ".png").contains("not UTF-8, which the manifest cannot hold: rename it"));
    }
    let made = good(&options(dir.path()), &set.path().join("2"));
    assert_eq!(made.dataset.manifest.counts(Split::Train).len(), 2);
    assert_eq!(totals(&made.report)[0], if both { 8 } else { 7 });

    draw(dir.path(), &[("rock", 6)]);
    if fs::read_dir(dir.path()).unwrap().count() == 3 {
        // These six are drawn like Jazz's: contradictions, which leave nothing of the two classes.
        (0..6).for_each(|i| save(7000 + i, &dir.path().join(format!("rock/{i:03}.png"))));
        let made = good(&options(dir.path()), &set.path().join("3"));
        notes_say(&made.told, "classes `Rock` (6) and `rock` (6) differ only in case");
    }
}

#[cfg(unix)]
#[test]
fn links_that_loop_or_lead_nowhere_are_listed_and_others_followed() {
    use std::os::unix::fs::symlink;
    let (dir, elsewhere) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    draw(elsewhere.path(), &[("more", 5)]);
    (0..5).for_each(|i| save(500 + i, &elsewhere.path().join(format!("more/{i:03}.png"))));
    symlink(dir.path(), dir.path().join("Jazz/loop")).unwrap();
    symlink(dir.path().join("Rock/self"), dir.path().join("Rock/self")).unwrap();
    symlink("/no/such/file.png", dir.path().join("Rock/gone.png")).unwrap();
    symlink(elsewhere.path().join("more"), dir.path().join("Rock/more")).unwrap();
    symlink(dir.path().join("Rock/000.png"), dir.path().join("Rock/again.png")).unwrap();
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(totals(&made.report), [6, 11]);
    assert!(reason(&made.told, "Jazz/loop").contains("leads back to"));
    assert!(reason(&made.told, "gone.png").contains("cannot be read"));
    assert!(reason(&made.told, "Rock/self").contains("cannot be read"));
    assert!(reason(&made.told, "again.png").contains("the same file as"));
}

#[test]
fn impossible_wishes_are_told_with_the_choices() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Polka", 2)]);
    refused(
        &options(dir.path()),
        &["class `Polka` has 2 usable covers", "--min-covers 3 or --without Polka", "--split 80,20"],
    );
    let mut without = options(dir.path());
    without.request.labelling.without = vec!["Polka".into()];
    refused(&without, &["only one class, `Jazz`"]);
    without.request.labelling.without = vec!["Punk".into()];
    refused(&without, &["--without Punk", "no such class", "Jazz, Polka"]);
    draw(dir.path(), &[("Jazz", 9), ("Polka", 2), ("Rock", 9)]);
    without.request.labelling.without = vec!["Polka".into()];
    let made = good(&without, &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Jazz", "Rock"]);
    notes_say(&made.told, "left out class `Polka`: 2 covers");

    let mut wrong = options(dir.path());
    for (sizes, part) in [(vec![], "no size"), (vec![16, 16], "named twice"), (vec![0], "size 0")] {
        wrong.sizes = sizes;
        refused(&wrong, &[part]);
    }
    let mut images = without.clone();
    images.request.columns.images = Some(dir.path().to_owned());
    refused(&images, &["--images", "is for a table"]);
    assert!(matches!(run(&options(&dir.path().join("gone")), dir.path()), Err(Error::Input(_))));
}

#[test]
fn a_split_stays_as_it_is_when_covers_are_added() {
    let (dir, out) = (scratch(), scratch());
    // Few covers, so that sets had to be mended.
    draw(dir.path(), &[("Jazz", 7), ("Rock", 9), ("Pop", 30)]);
    let set = out.path().join("set");
    let sets = |made: &gatefold::data::Imported| -> Vec<_> {
        made.dataset.manifest.covers.iter().map(|cover| (cover.strings.path().to_owned(), cover.split)).collect()
    };
    let before = sets(&good(&options(dir.path()), &set));
    for more in [(8, 11, 40), (20, 30, 60)] {
        draw(dir.path(), &[("Jazz", more.0), ("Rock", more.1), ("Pop", more.2)]);
        let after = sets(&good(&options(dir.path()), &set));
        assert!(after.len() > before.len());
        for cover in &before {
            assert!(after.contains(cover), "{cover:?} was moved");
        }
    }
}

#[test]
fn a_class_is_never_a_set() {
    let dir = scratch();
    draw(dir.path(), &[("train", 6), ("test", 6)]);
    let parts = ["class `test` is named like a set", "--label", "--without test", "--map test=NAME"];
    refused(&options(dir.path()), &parts);
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6), ("train", 6)]);
    fs::remove_dir_all(dir.path().join("test")).unwrap();
    refused(&options(dir.path()), &["class `train` is named like a set"]);
    let mut without = options(dir.path());
    without.request.labelling.without = vec!["train".into()];
    assert_eq!(good(&without, &scratch().path().join("set")).dataset.manifest.classes, ["Jazz", "Rock"]);
}

#[test]
fn what_lies_beside_sets_is_passed_over_and_told() {
    let dir = scratch();
    for (k, set) in ["seg_train/seg_train", "seg_test/seg_test"].into_iter().enumerate() {
        for (class, from) in [("Jazz", 0), ("Rock", 100)] {
            (0..6).for_each(|i| {
                save(from + i + 1000 * k as u32, &dir.path().join(set).join(class).join(format!("{i}.png")))
            });
        }
    }
    (0..3).for_each(|i| save(9000 + i, &dir.path().join(format!("seg_pred/seg_pred/{i}.png"))));
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Jazz", "Rock"]);
    assert_eq!(made.report.covers, [[6, 0, 6]; 2]);
    notes_say(&made.told, "stands beside sets: `seg_pred` (3 pictures)");

    fs::remove_dir_all(dir.path().join("seg_test")).unwrap();
    (0..3).for_each(|i| save(9100 + i, &dir.path().join(format!("seg_test/{i}.png"))));
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert!(made.report.covers.iter().all(|sets| sets.iter().all(|&covers| covers > 0)), "{}", made.report);
    notes_say(&made.told, "have no labels: `seg_test` (3 pictures)");
    notes_say(&made.told, "only seg_train has labels");
}

#[test]
fn content_decides_and_what_is_not_read_is_named() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 6), ("Rock", 6)]);
    for (i, end) in ["", ".jpg_large", ".jfif", ".cover", ".part", ".x"].into_iter().enumerate() {
        let path = dir.path().join(format!("Metal/{i}{end}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut bytes = std::io::Cursor::new(Vec::new());
        cover(7000 + i as u32, 40).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
        fs::write(path, bytes.into_inner()).unwrap();
    }
    for folder in ["Phone", "__MACOSX/Rock", "Jazz/@eaDir", "Rock/$RECYCLE.BIN"] {
        fs::create_dir_all(dir.path().join(folder)).unwrap();
        save(8000, &dir.path().join(folder).join("no.png"));
    }
    fs::remove_file(dir.path().join("Phone/no.png")).unwrap();
    fs::write(dir.path().join("Phone/1.HEIC"), "x").unwrap();
    fs::write(dir.path().join("Phone/2"), b"\0\0\0\x1cftypavif\0\0\0\0").unwrap();
    fs::write(dir.path().join("Jazz/BMW.txt"), "BMW and others").unwrap();
    let made = good(&options(dir.path()), &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Jazz", "Metal", "Rock"]);
    assert_eq!(totals(&made.report), [6, 6, 6]);
    assert_eq!(reason(&made.told, "1.HEIC"), "HEIC pictures are not read: convert it to JPEG or PNG");
    assert_eq!(reason(&made.told, "Phone/2"), "AVIF pictures are not read: convert it to JPEG or PNG");
    notes_say(&made.told, "WARNING");
    notes_say(&made.told, "class folders from which nothing was taken: `Phone`");
    notes_say(&made.told, "folders that systems leave: $RECYCLE.BIN (1), @eaDir (1), __MACOSX (1)");
    notes_say(&made.told, "1 files that are no pictures");
}

#[test]
fn labels_that_differ_only_in_what_cannot_be_seen_are_one_and_others_are_joined_on_demand() {
    let dir = scratch();
    draw(dir.path(), &[("Rock", 5), ("Jazz", 5), ("hip-hop", 5), ("Cafe\u{301}", 5), ("Hip Hop", 6)]);
    (0..5).for_each(|i| save(7000 + i, &dir.path().join(format!("Rock\u{a0}/{i}.png"))));
    (0..5).for_each(|i| save(7100 + i, &dir.path().join(format!("Caf\u{e9}\u{200b}/{i}.png"))));
    let mut wish = options(dir.path());
    let made = good(&wish, &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Café", "Hip Hop", "Jazz", "Rock", "hip-hop"]);
    notes_say(&made.told, "label `Rock\\u{a0}` is taken for `Rock`");
    notes_say(&made.told, "classes `Hip Hop` (6) and `hip-hop` (5) differ only in case, blanks or hyphens");
    notes_say(&made.told, "--map 'hip-hop=Hip Hop'");
    wish.request.labelling.map = vec!["hip-hop=Hip Hop".parse().unwrap(), "Jazz=".parse().unwrap()];
    let made = good(&wish, &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Café", "Hip Hop", "Rock"]);
    assert_eq!(totals(&made.report), [10, 11, 10]);
    notes_say(&made.told, "label `hip-hop` became class `Hip Hop`: 5 pictures");
    wish.request.labelling.map = vec!["hiphop=Rap".parse().unwrap()];
    refused(&wish, &["--map hiphop=Rap: there is no label `hiphop`", "did you mean Hip Hop?"]);
}

#[test]
fn rare_classes_are_told_all_at_once_and_left_out_on_demand() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9), ("Polka", 2), ("Stage & Screen", 1)]);
    let parts = [
        "class `Polka` has 2 usable covers, class `Stage & Screen` has 1",
        "--min-covers 3",
        "--without 'Polka,Stage & Screen'",
    ];
    refused(&options(dir.path()), &parts);
    let mut wish = options(dir.path());
    wish.request.labelling.min_covers = Some(3);
    let made = good(&wish, &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.classes, ["Jazz", "Rock"]);
    notes_say(&made.told, "left out 2 classes of fewer than 3 covers: Polka (2), Stage & Screen (1)");
    wish.request.labelling.min_covers = None;
    wish.request.labelling.without = vec!["Polka,Stage & Screen".into()];
    assert_eq!(good(&wish, &scratch().path().join("set")).dataset.manifest.classes, ["Jazz", "Rock"]);
}
