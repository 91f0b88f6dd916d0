//! Names that do something to a terminal, to a spreadsheet or to JSON: shown, never obeyed, and no answer is lost for them.
#![cfg(unix)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::common::*;

/// No byte of it acts on a terminal but line breaks.
#[track_caller]
fn is_plain(text: &[u8]) {
    let text = String::from_utf8(text.to_vec()).unwrap();
    let acts = |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
    // Software drivers print a line of their own, with tabs in it or not.
    assert!(!text.contains(acts), "{text:?}");
}

fn json(done: &Output) -> Value {
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&done.stderr)))
}

#[test]
fn names_of_files_and_classes_are_escaped_wherever_they_are_printed() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    let odd = "./\u{1b}[2Jx\ny\u{202e}.jpg";
    let done = refused(&["predict", trained.run(), odd], &["./\\u{1b}[2Jx\\u{a}y\\u{202e}.jpg: cannot be read"]);
    is_plain(done.stderr.as_bytes());
    // A row beside that of a good one; the good one has such a name, too.
    let good_one = dir.path().join("a\u{1b}[31m\nb.png");
    fs::copy(trained.image("Jazz/00.png"), &good_one).unwrap();
    let done = gatefold(&["predict", trained.run(), odd, text(&good_one)]);
    is_plain(done.stderr.as_bytes());
    is_plain(done.stdout.as_bytes());
    assert_eq!((done.code, done.stdout.lines().count()), (2, 2), "{}", done.stdout);
    assert!(done.stdout.contains("a\\u{1b}[31m\\u{a}b.png: ") && done.stderr.contains("\\u{1b}[2Jx\\u{a}y"));
    // Classes, in the table and in errors.
    let covers = dir.path().join("covers");
    draw(&covers, &[("Fo\u{1b}lk", 4), ("Ja\nzz", 4)]);
    let done = good(&["import", text(&covers), "--dry-run"]);
    is_plain(done.stdout.as_bytes());
    is_plain(done.stderr.as_bytes());
    assert_eq!(done.stdout.lines().count(), 4, "{}", done.stdout);
    let set = dir.path().join("set");
    let done = good(&["import", text(&covers), "--out", text(&set)]);
    is_plain(done.stdout.as_bytes());
    assert!(done.stdout.contains("Folk  ") && done.stdout.contains("Ja zz  "), "{}", done.stdout);
    let done = refused(&["import", text(&covers), "--dry-run", "--map", "Pol\nka=x"], &["--map Pol"]);
    is_plain(done.stderr.as_bytes());
    refused(&["train", text(&covers), "--out", "r", "--net", "a\u{1b}b"], &["--net a"]);
}

#[test]
fn cells_that_a_spreadsheet_would_run_are_text() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    for name in ["=x.png", "+y.png", "z=.png"] {
        fs::copy(trained.image("Jazz/00.png"), dir.path().join(name)).unwrap();
    }
    let paths = |option: &str| -> Vec<String> {
        let run = fs::canonicalize(&trained.run).unwrap();
        let call = ["predict", text(&run), option, "--", "=x.png", "+y.png", "z=.png"];
        let done = command(&call).current_dir(dir.path()).output().unwrap();
        let mut reader = csv::Reader::from_reader(&done.stdout[..]);
        reader.records().map(|row| row.unwrap()[0].to_owned()).collect()
    };
    assert_eq!(paths("--csv"), ["'=x.png", "'+y.png", "z=.png"]);
    assert_eq!(paths("--csv-raw"), ["=x.png", "+y.png", "z=.png"]);
    refused(&["predict", trained.run(), "x.png", "--csv", "--csv-raw"], &["--csv-raw"]);
}

#[test]
fn a_name_that_is_no_text_loses_no_answer() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    let odd = dir.path().join(OsStr::from_bytes(b"caf\xe9.png"));
    let plain = dir.path().join("plain.png");
    for path in [&odd, &plain] {
        fs::copy(trained.image("Jazz/00.png"), path).unwrap();
    }
    let with = |first: &[&str], paths: &[&Path], last: &[&str]| {
        let done = command(first).args(paths).args(last).output().unwrap();
        assert_eq!(done.status.code(), Some(0), "{first:?}: {}", String::from_utf8_lossy(&done.stderr));
        done
    };
    let found = json(&with(&["predict", trained.run()], &[&odd, &plain], &["--json"]));
    let path = |row: &Value| row["path"].as_str().unwrap().to_owned();
    let rows = found.as_array().unwrap();
    assert_eq!(rows.len(), 2);
    assert!(path(&rows[0]).ends_with("/caf\\xe9.png") && path(&rows[1]).ends_with("/plain.png"), "{found}");
    let maps = dir.path().join("maps");
    let found = json(&with(&["explain", trained.run(), "--json", "--out", text(&maps)], &[&odd], &[]));
    assert!(path(&found[0]).ends_with("/caf\\xe9.png"));
    // Folders.
    let folder = dir.path().join(OsStr::from_bytes(b"\xe9"));
    let page = folder.join("page.html");
    fs::create_dir(&folder).unwrap();
    let found = json(&with(&["report", trained.run(), "--json", "--out"], &[&page], &[]));
    assert!(found["report"].as_str().unwrap().ends_with("/\\xe9/page.html"));
    let set = folder.join("set");
    let found = json(&with(&["import", text(&trained.data), "--json", "--out"], &[&set], &[]));
    assert!(found["dataset"].as_str().unwrap().ends_with("/\\xe9/set"));
    let run = folder.join("run");
    let small = ["--net", "small", "--size", "32", "--batch", "8", "--epochs", "1", "--no-tune", "--json"];
    let found = json(&with(&["train", text(&trained.data), "--out"], &[&run], &small));
    assert!(found["run"].as_str().unwrap().ends_with("/\\xe9/run"));
    // Weights and data whose places are kept in the run.
    let (first, again) = (run.join("best.safetensors"), dir.path().join("again"));
    let more = [&small[..], &["--out", text(&again)]].concat();
    with(&["train", text(&trained.data), "--weights"], &[&first], &more);
    assert!(fs::read_to_string(again.join("config.toml")).unwrap().contains("best.safetensors"));
}
