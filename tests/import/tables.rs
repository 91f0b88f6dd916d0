//! Tables with any columns, and MSD-I's.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use gatefold::data::source::Details;
use gatefold::data::{Request, Split};

use super::common::*;

#[test]
fn columns_are_guessed_and_groups_joined_through_one_another() {
    let dir = scratch();
    let mut text = "Genre\tFile Name\tArtist\tAlbum ID\tyear\n".to_owned();
    for i in 0..90 {
        save(i, &dir.path().join(format!("img/{i}.png")));
        // Chains: artist 0 and 1 share catalogue number 0, and so on.
        let (artist, album) = (i % 30, i % 30 / 2);
        let class = ["Jazz", "Rock"][(artist / 2 % 2) as usize];
        text += &format!("{class}\timg/{i}.png\tartist {artist}\talbum {album}\t19{artist}\n");
    }
    let table = dir.path().join("list.tsv");
    fs::write(&table, text).unwrap();
    let out = scratch();
    let made = good(&options(&table), &out.path().join("set"));
    notes_say(
        &made.told,
        "guessed files from `File Name`, labels from `Genre`, groups to keep whole from `Artist` and `Album ID`",
    );
    assert_eq!(made.told.grouped_by, ["Artist", "Album ID"]);
    assert_eq!(made.report.all_groups, 15);
    for column in 0..2 {
        let mut set_of: HashMap<&str, Split> = HashMap::new();
        for cover in &made.dataset.manifest.covers {
            assert_eq!(*set_of.entry(cover.strings.group(column)).or_insert(cover.split), cover.split);
        }
    }
    let text = fs::read_to_string(out.path().join("set/manifest.csv")).unwrap();
    assert!(text.starts_with("path,label,split,width,height,hash,phash,Artist,Album ID\n"), "{text}");
    let none = good(&grouped(&table, &["none"]), &out.path().join("none"));
    assert_eq!((none.report.all_groups, none.told.grouped_by.len()), (90, 0));
}

#[test]
fn a_class_with_one_artist_is_told_with_the_choices() {
    let dir = scratch();
    let mut text = "path,genre,artist\n".to_owned();
    for i in 0..24 {
        save(i, &dir.path().join(format!("{i}.png")));
        text += &format!("{i}.png,{},{}\n", ["Jazz", "Reggae"][(i % 2) as usize], if i % 2 == 0 { i } else { 1 });
    }
    let table = dir.path().join("covers.csv");
    fs::write(&table, text).unwrap();
    let parts =
        ["class `Reggae` has 12 covers but only 1 groups", "--without Reggae", "another --group", "--group none"];
    refused(&options(&table), &parts);
    good(&grouped(&table, &["none"]), &scratch().path().join("set"));
}

/// Rows of (track, genre, album, set, artist, link).
fn msd(dir: &Path, genre: &str, rows: &[(&str, &str, &str, &str, &str, &str)]) -> PathBuf {
    let mut text = format!("image_url\t{genre}\tset\tmsd_track_id\talbum_index\tmsd_artist_id\n");
    for (track, class, album, set, artist, link) in rows {
        text += &format!("http://img/{link}\t{class}\t{set}\t{track}\t{album}\t{artist}\n");
    }
    let path = dir.join("MSD-I_dataset.tsv");
    fs::write(&path, text).unwrap();
    path
}

const ROWS: [(&str, &str, &str, &str, &str, &str); 9] = [
    // Album 0: two of three say Rock, two of three are in test.
    ("TRA0", "Rock", "0", "train", "ARA", "a/0_200.jpg"),
    ("TRA1", "Rock", "0", "test", "ARA", "a/0_200.jpg"),
    ("TRA2", "Metal", "0", "test", "ARA", "a/0_200.jpg"),
    // Album 1: no majority.
    ("TRB0", "Rock", "1", "train", "ARB", "a/1_200.jpg"),
    ("TRB1", "Jazz", "1", "train", "ARB", "a/1_200.jpg"),
    // Album 2: one track each in train and val.
    ("TRC0", "Jazz", "2", "train", "ARA", "b/2_200.jpg?x=1"),
    ("TRC1", "Jazz", "2", "val", "ARA", "b/2_200.jpg?x=1"),
    ("TRD0", "Jazz", "3", "train", "ARD", "b/3_200.jpg"),
    ("TRE0", "Rock", "4", "train", "ARE", "b/4_200.jpg"),
];

#[test]
fn msd_i_without_pictures_tells_classes_conflicts_and_spanning_albums() {
    let dir = scratch();
    for genre in ["genre", "genre_label"] {
        let table = msd(dir.path(), genre, &ROWS);
        let source = Request::new(&table, &Default::default()).read().unwrap();
        assert_eq!((source.kind, source.rows.len()), ("msd-i", 0));
        let Some(Details::MsdI(report)) = &source.details else { panic!("{:?}", source.details) };
        assert_eq!((report.tracks, report.albums, report.artists), (9, 5, 3));
        let classes: Vec<_> = report.classes.iter().map(|(class, &sets)| (class.as_str(), sets)).collect();
        assert_eq!(classes, [("Jazz", [1, 1, 0]), ("Rock", [1, 0, 1])]);
        let taken = |albums: &[gatefold::data::source::msd_i::Album]| -> Vec<_> {
            albums.iter().map(|album| (album.album.clone(), album.taken.clone())).collect()
        };
        let owned = |album: &str, taken: Option<&str>| (album.to_owned(), taken.map(str::to_owned));
        assert_eq!(taken(&report.conflicting), [owned("0", Some("Rock")), owned("1", None)]);
        assert_eq!(taken(&report.spanning), [owned("0", Some("test")), owned("2", Some("val"))]);
        assert_eq!(report.artists_in_several_sets, 1);
        refused(&options(&table), &["links, not pictures", "--images", "--dry-run"]);
        let mut mapped = options(&table);
        mapped.request.labelling.map = vec!["Rock=Metal".parse().unwrap()];
        refused(&mapped, &["--map is for pictures", "--images"]);
    }
    let (table, gone) = (msd(dir.path(), "genre", &ROWS), dir.path().join("gone"));
    let mut wrong = options(&table);
    wrong.request.columns.images = Some(gone);
    refused(&wrong, &["gone", "cannot be read"]);
    let table = msd(dir.path(), "genre", &[("T", "Rock", "0", "trian", "A", "l.jpg")]);
    refused(&options(&table), &["line 2: set `trian`"]);
    let table = msd(dir.path(), "genre", &[("T", "", "0", "train", "A", "l.jpg")]);
    refused(&options(&table), &["line 2: `genre` is empty"]);
}

#[test]
fn msd_i_finds_covers_by_track_or_link_and_counts_the_missing() {
    let (dir, out) = (scratch(), scratch());
    let rows: Vec<[String; 6]> = (0..40)
        .map(|i| {
            let class = ["Jazz", "Rock"][i % 2];
            let set = ["train", "train", "val", "test"][i / 2 % 4];
            let fields =
                [&format!("TR{i}"), class, &i.to_string(), set, &format!("AR{}", i / 8), &format!("x/{i}_200.jpg")];
            fields.map(str::to_owned)
        })
        .collect();
    let borrowed: Vec<_> = rows.iter().map(|[a, b, c, d, e, f]| (&**a, &**b, &**c, &**d, &**e, &**f)).collect();
    let table = msd(dir.path(), "genre", &borrowed);
    let images = dir.path().join("covers");
    for i in 0..36_u32 {
        let name = if i % 2 == 0 { format!("sub/tr{i}.png") } else { format!("{i}_200.png") };
        save(i, &images.join(name));
    }
    let mut wish = options(&table);
    wish.request.columns.images = Some(images);
    let made = good(&wish, &out.path().join("set"));
    assert_eq!(made.dataset.manifest.covers.len(), 36);
    notes_say(&made.told, "4 of 40 albums have no picture");
    notes_say(&made.told, "5 artists have albums in several sets");
    // Artists span the table's sets, so they are put together, and that is told.
    let mut set_of: HashMap<&str, Split> = HashMap::new();
    for cover in &made.dataset.manifest.covers {
        assert_eq!(*set_of.entry(cover.strings.group(0)).or_insert(cover.split), cover.split);
    }
    assert!(!made.told.moved.is_empty());
    notes_say(&made.told, "moved out of the set");
    // Without grouping the table's sets stay.
    wish.request.columns.group = vec!["none".into()];
    let made = good(&wish, &out.path().join("kept"));
    assert_eq!((made.report.covers[0], made.told.moved.len()), ([10, 4, 4], 0), "{}", made.report);
    wish.request.columns.group = vec!["label".into()];
    refused(&wish, &["--group label", "artist, album"]);
    wish.request.columns.images = Some(out.path().to_owned());
    refused(&wish, &["none of its 40 albums"]);
}

#[test]
fn a_tables_own_sets_are_kept_and_groups_that_span_them_are_repaired() {
    let dir = scratch();
    let mut text = "path,genre,artist,Set\n".to_owned();
    for i in 0..40 {
        save(i, &dir.path().join(format!("{i}.png")));
        // Four of artist 0's five covers are in train; artist 1 has as many in validation as in test.
        let (artist, set) = match i {
            0..4 => (0, "Train"),
            4 => (0, "test"),
            5..7 => (1, "validation"),
            7..9 => (1, "TEST"),
            _ => (i, ["training", "train", "dev", "test"][i as usize % 4]),
        };
        text += &format!("{i}.png,{},artist {artist},{set}\n", ["Jazz", "Rock"][i as usize % 2]);
    }
    let table = dir.path().join("covers.csv");
    fs::write(&table, &text).unwrap();
    let out = scratch();
    let made = good(&options(&table), &out.path().join("set"));
    notes_say(&made.told, "sets from `Set` (--split-column none for none)");
    notes_say(
        &made.told,
        "2 values of `artist` are in several sets (artist 0, artist 1): each goes into the set that most",
    );
    notes_say(&made.told, "3 covers were moved out of the set that the source gives them");
    assert!(made.told.split.is_none());
    let set_of = |made: &gatefold::data::Imported, number: usize| {
        let name = format!("{number}.png");
        let mut covers = made.dataset.manifest.covers.iter();
        covers.find(|cover| cover.strings.path().file_name().unwrap() == &*name).unwrap().split
    };
    for i in 0..40 {
        let wanted = match i {
            0..5 => Split::Train,
            5..9 => Split::Test,
            _ => [Split::Train, Split::Train, Split::Val, Split::Test][i % 4],
        };
        assert_eq!(set_of(&made, i), wanted, "{i}");
    }
    // Without groups nothing is moved.
    let loose = good(&grouped(&table, &["none"]), &out.path().join("loose"));
    assert_eq!((set_of(&loose, 4), set_of(&loose, 5), loose.told.moved.len()), (Split::Test, Split::Val, 0));
    // A wish for another split, or for no column, is heard.
    let mut wish = options(&table);
    wish.split = Some([50.0, 0.0, 50.0]);
    assert!(good(&wish, &out.path().join("wish")).report.covers.iter().all(|sets| sets[1] == 0));
    let mut none = options(&table);
    none.request.columns.split_column = Some("none".into());
    let made = good(&none, &out.path().join("none"));
    assert!(made.told.split.is_some() && made.told.notes.iter().all(|note| !note.contains("sets from")));

    // By another name it has to be said; a column of something else is left alone, unless it is asked for.
    fs::write(&table, text.replace(",Set\n", ",part\n")).unwrap();
    assert!(good(&options(&table), &out.path().join("unsaid")).told.split.is_some());
    let mut said = options(&table);
    said.request.columns.split_column = Some("part".into());
    assert_eq!(set_of(&good(&said, &out.path().join("said")), 9), Split::Train);
    fs::write(&table, text.replace("TEST", "LP")).unwrap();
    let made = good(&options(&table), &out.path().join("other"));
    notes_say(&made.told, "`Set` is not taken for a split: line 9 says `LP`");
    let mut asked = options(&table);
    asked.request.columns.split_column = Some("set".into());
    refused(&asked, &["line 9", "`Set` is `LP`, which is no set", "train, val or test"]);
    asked.request.columns.split_column = Some("fold".into());
    refused(&asked, &["no column `fold`", "--split-column"]);
}

#[test]
fn a_table_of_numbers_finds_its_pictures_in_another_folder() {
    let dir = scratch();
    let mut text = "sep=;\r\nid;Genre;artist\r\n".to_owned();
    for i in 0..24 {
        save(i, &dir.path().join(format!("pictures/{}/{i}.png", i % 5)));
        text += &format!("{i};{};artist {i}\r\n", ["Jazz", "Rock"][(i % 2) as usize]);
    }
    let table = dir.path().join("covers.csv");
    let utf16: Vec<u8> = format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&table, utf16).unwrap();
    refused(&options(&table), &["no column `path`; it has `id`, `Genre`, `artist`", "--path", "--images"]);
    let mut wish = options(&table);
    // As the user would say it who stands elsewhere.
    wish.request.columns.images = Some("pictures".into());
    let made = good(&wish, &scratch().path().join("set"));
    assert_eq!(made.dataset.manifest.covers.len(), 24);
    notes_say(&made.told, "guessed files from `id`, labels from `Genre`");
}

#[test]
fn albums_named_alike_and_artists_that_are_nobody_tie_nothing_and_a_large_group_is_named() {
    let dir = scratch();
    let mut text = "path,genre,artist,album\n".to_owned();
    for i in 0..60 {
        save(i, &dir.path().join(format!("{i}.png")));
        let artist = if i < 20 { "Various Artists".to_owned() } else { format!("artist {i}") };
        let album = if i < 40 { "Greatest Hits".to_owned() } else { format!("album {i}") };
        let album = if i < 20 { format!("{album} {i}") } else { album };
        text += &format!("{i}.png,{},{artist},{album}\n", ["Jazz", "Rock"][(i % 2) as usize]);
    }
    let table = dir.path().join("covers.csv");
    fs::write(&table, &text).unwrap();
    let made = good(&options(&table), &scratch().path().join("set"));
    assert_eq!((made.report.all_groups, made.report.largest_group), (60, 1));
    // With the album alone they are one group, and that is told.
    let made = good(&grouped(&table, &["album"]), &scratch().path().join("set"));
    assert_eq!(made.report.largest_group, 20);
    notes_say(
        &made.told,
        "the largest group holds 20 of 60 covers, tied above all by `album`, which says `greatest hits`",
    );
}
