//! A network's labels for a music library, as other programs take them: `predict --beets` and `--mp3tag`.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use crate::audio::{self, Tags, jpeg};
use crate::common::*;

fn track(path: &Path, artist: &str, album: &str, genre: &str, cover: u32) {
    let genres = if genre.is_empty() { vec![] } else { vec![genre] };
    let cover = Some(jpeg(cover));
    audio::write(path, &Tags { artist, album_artist: artist, album, genres: &genres, cover, ..Tags::default() });
}

/// What a shell gives to `beet` when it runs the script: its arguments, call by call.
fn calls(script: &Path, fields: &str) -> Vec<Vec<String>> {
    let dir = tempfile::tempdir().unwrap();
    let (beet, log) = (dir.path().join("beet"), dir.path().join("log"));
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = fields ]; then echo '  {fields}'; exit; fi\nprintf '%s\\0' \"$@\" END >> {}\n",
        log.display()
    );
    fs::write(&beet, text).unwrap();
    fs::set_permissions(&beet, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", dir.path().display(), std::env::var("PATH").unwrap());
    assert!(Command::new("sh").arg(script).env("PATH", path).status().unwrap().success());
    let log = fs::read_to_string(log).unwrap_or_default();
    let words: Vec<String> = log.split_terminator('\0').map(str::to_owned).collect();
    words.split(|word| word == "END").filter(|call| !call.is_empty()).map(<[String]>::to_vec).collect()
}

#[test]
fn labels_reach_beets_and_mp3tag_whatever_files_are_called() {
    let (trained, dir) = (three(), tempfile::tempdir().unwrap());
    let music = dir.path().join("music");
    let odd = music.join("Miles O'Davis/Kind of \"Blue\" $HOME `ls`,");
    (1..=2).for_each(|number| track(&odd.join(format!("{number}.mp3")), "Miles", "Blue", "", 1));
    track(&music.join("Iron/Steel/cd1/1.mp3"), "Iron", "Steel", "Polka", 2);
    track(&music.join("Iron/Steel/cd2/1.mp3"), "Iron", "Steel", "Polka", 2);
    // Two albums in one folder.
    track(&music.join("mix/a.mp3"), "Ann", "One", "", 3);
    track(&music.join("mix/b.mp3"), "Bob", "Two", "Jazz", 4);
    let (script, table) = (dir.path().join("labels.sh"), dir.path().join("labels.txt"));
    let before = files(&music);
    let call = ["predict", trained.run(), text(&music), "--json", "--beets", text(&script), "--mp3tag", text(&table)];
    let done = good(&call);
    assert!(done.stderr.contains("labels for 4 albums, genres for 2 of them"), "{}", done.stderr);
    assert!(done.stderr.contains("genres for 3 tracks of 2 albums"), "{}", done.stderr);
    // Nothing is written to the music itself.
    assert_eq!(before, files(&music));
    let json = done.json();
    let label_of = |album: &str| {
        let row = json.as_array().unwrap().iter().find(|row| row["album"] == album).unwrap();
        row["label"].as_str().unwrap().to_owned()
    };
    let folder = |path: &Path| format!("path:{}/", path.display());
    for field in ["genre", "genres"] {
        // Which field gets which value, by what names the album.
        let mut set: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
        for call in calls(&script, field) {
            assert_eq!(call[..2], ["modify", "-y"]);
            let (what, value) = call.last().unwrap().split_once('=').unwrap();
            let queries = call[2..call.len() - 1].iter().filter(|word| *word != "," && *word != "-a");
            for query in queries {
                assert_eq!(query.ends_with('/'), call[2] == "-a", "{call:?}");
                set.entry(query.clone()).or_default().insert(what.to_owned(), value.to_owned());
            }
        }
        let wanted = |album: &str, bare: bool| {
            let mut fields = BTreeMap::from([("gatefold".to_owned(), label_of(album))]);
            if bare {
                fields.insert(field.to_owned(), label_of(album));
            }
            fields
        };
        let all = BTreeMap::from([
            (folder(&odd), wanted("Blue", true)),
            (folder(&music.join("Iron/Steel")), wanted("Steel", false)),
            (format!("path:{}", music.join("mix/a.mp3").display()), wanted("One", true)),
            (format!("path:{}", music.join("mix/b.mp3").display()), wanted("Two", false)),
        ]);
        assert_eq!(set, all);
    }
    let lines = fs::read_to_string(&table).unwrap();
    let mut lines: Vec<&str> = lines.strip_prefix('\u{feff}').unwrap().split_terminator("\r\n").collect();
    lines.sort_unstable();
    let line = |path: &Path, album: &str| format!("{}|{}", path.display(), label_of(album));
    let wanted =
        [line(&odd.join("1.mp3"), "Blue"), line(&odd.join("2.mp3"), "Blue"), line(&music.join("mix/a.mp3"), "One")];
    assert_eq!(lines, wanted);
    // What is there is not replaced; who has no library has no use for it; what is unsure is left alone.
    refused(&call, &["--beets", "labels.sh", "is there already"]);
    refused(
        &["predict", trained.run(), text(&trained.data), "--mp3tag", "x.txt"],
        &["--mp3tag x.txt", "music library"],
    );
    fs::remove_file(&script).unwrap();
    let unsure = ["predict", trained.run(), text(&music), "--min-confidence", "1", "--beets", text(&script)];
    assert!(good(&unsure).stderr.contains("labels for 0 albums"));
    assert_eq!(calls(&script, "genre"), Vec::<Vec<String>>::new());
    // Relative paths become whole ones.
    fs::remove_file(&script).unwrap();
    let (run, root) = (fs::canonicalize(&trained.run).unwrap(), fs::canonicalize(dir.path()).unwrap());
    let call = ["predict", text(&run), "music", "--beets", "labels.sh"];
    assert!(command(&call).current_dir(&root).output().unwrap().status.success());
    let root = format!("path:{}", root.display());
    assert!(
        calls(&script, "genre")
            .iter()
            .flatten()
            .filter(|word| word.starts_with("path:"))
            .all(|word| word.starts_with(&root))
    );
}
