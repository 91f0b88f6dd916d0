//! Folders to write into: what is not Gatefold's stays as it is, and two processes do not mix.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::common::*;

/// Files of somebody else, with names that Gatefold would write.
const FOREIGN: [&str; 9] = [
    "config.toml",
    "report.html",
    "metrics.jsonl",
    "test.json",
    "manifest.csv",
    "import.json",
    "images-old.pack",
    "data/manifest.csv",
    "data/images-2019.pack",
];

#[test]
fn files_of_others_are_never_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("covers"), dir.path().join("mine"));
    draw(&data, &TWO);
    fs::create_dir_all(out.join("data")).unwrap();
    FOREIGN.iter().for_each(|name| fs::write(out.join(name), "my own").unwrap());
    let parts = ["mine: holds other files (config.toml, data, images-old.pack, …)", "name a new or an empty folder"];
    refused(&train(&data, &out, &["--epochs", "1"]), &parts);
    refused(&["import", text(&data), "--out", text(&out)], &parts);
    refused(&["audit", text(&data), "--out", text(&out)], &parts);
    let image = data.join("Folk/00.png");
    refused(&["explain", three().run(), text(&image), "--out", text(&out)], &parts);
    refused(&["import", text(&data), "--out", text(&out.join("config.toml"))], &["is a file: name a folder"]);
    assert!(FOREIGN.iter().all(|name| fs::read_to_string(out.join(name)).unwrap() == "my own"));
    assert_eq!(fs::read_dir(&out).unwrap().count(), 8);
    // A run's own data are no place for another data set, nor a run for a data set.
    let trained = three();
    refused(&["import", text(&data), "--out", text(&trained.run)], &["is marked as `run`", "not as `data set`"]);
    // A pack in name only stays beside a data set.
    let set = dir.path().join("set");
    good(&["import", text(&data), "--out", text(&set)]);
    fs::write(set.join("images-2019.pack"), "my own").unwrap();
    draw(&data, &THREE);
    good(&["import", text(&data), "--out", text(&set)]);
    assert_eq!(fs::read_to_string(set.join("images-2019.pack")).unwrap(), "my own");
}

#[test]
fn the_demo_leaves_files_of_others_alone() {
    let out = tempfile::tempdir().unwrap();
    for folder in ["run", "heat-maps"] {
        fs::create_dir(out.path().join(folder)).unwrap();
    }
    let own = out.path().join("run/config.toml");
    fs::write(&own, "my own").unwrap();
    refused(
        &["demo", "--out", text(out.path())],
        &["holds other files (config.toml)", "name a new or an empty folder"],
    );
    assert_eq!(fs::read_to_string(&own).unwrap(), "my own");
}

#[test]
fn two_trainings_into_one_folder_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("covers"), dir.path().join("run"));
    draw(&data, &TWO);
    let first = train(&data, &out, &["--net", "small", "--epochs", "400"]);
    let mut first = command(&first).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let marked = || fs::read_to_string(out.join(".gatefold")).is_ok_and(|text| text.trim() == "run");
    while !marked() && first.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let second = train(&data, &out, &["--net", "small", "--epochs", "1"]);
    let done = gatefold(&second);
    let running = first.try_wait().unwrap().is_none();
    first.kill().unwrap();
    first.wait().unwrap();
    assert!(running && done.code == 2, "exit {}: {}", done.code, done.stderr);
    assert!(is_refused(&done.errors(), &out), "{}", done.stderr);
    // The lock is gone with its process.
    let done = gatefold(&second);
    assert!(done.code == 0 || done.errors()[0].contains("holds a run already"), "{}", done.stderr);
}

/// Either another process is at work, or it has made a checkpoint already.
fn is_refused(errors: &[&str], out: &Path) -> bool {
    let [error] = errors else { return false };
    error.contains(text(out))
        && (error.contains("another gatefold is at work") || error.contains("holds a run already"))
}

/// Every command that writes, with where it is to write.
fn writers<'a>(data: &'a str, image: &'a str, out: &'a str) -> Vec<Vec<&'a str>> {
    let run = three().run();
    vec![
        vec!["train", data, "--out", out, "--net", "small", "--size", "32", "--epochs", "1", "--no-tune"],
        vec!["import", data, "--out", out],
        vec!["audit", data, "--out", out],
        vec!["explain", run, image, "--out", out],
        vec!["explain", run, "--faithfulness", "--out", out],
        vec!["export", run, "--out", out],
        vec!["sample", out],
        vec!["man", "--out", out],
    ]
}

#[test]
fn a_file_for_a_folder_has_the_same_words_and_code_everywhere() {
    let dir = tempfile::tempdir().unwrap();
    let (data, file) = (dir.path().join("covers"), dir.path().join("notes.txt"));
    draw(&data, &TWO);
    fs::write(&file, "my own").unwrap();
    let image = data.join("Folk/00.png");
    let (below, set) = (file.join("deep"), data.join("x"));
    for (out, what) in [(text(&file), "is a file: name a folder"), (text(&below), "lies in a file: name a folder")] {
        for arguments in writers(text(&data), text(&image), out) {
            // It writes files too, and this one is there.
            let what = if arguments[0] == "export" && out == text(&file) { "is there already" } else { what };
            refused(&arguments, &[out, what]);
        }
        // What it makes is in folders of its own.
        refused(&["demo", "--out", out], &[out, "lies in a file: name a folder"]);
    }
    let trained = three();
    refused(&["report", trained.run(), "--out", text(&data)], &[text(&data), "is a folder: name a file"]);
    for command in ["report", "export"] {
        refused(&[command, trained.run(), "--out", text(&below)], &[text(&below)]);
        refused(&[command, trained.run(), "--out", text(&set.join("y.onnx"))], &["make its folder first"]);
    }
    refused(
        &["export", trained.run(), "--force", "--out", text(&data)],
        &["holds other files", "no model of Gatefold"],
    );
    assert_eq!(fs::read_to_string(&file).unwrap(), "my own");
}

/// The kernel's own file system takes no folders, whoever asks.
#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_may_not_be_written_has_the_same_words_and_code_everywhere() {
    let out = "/sys/kernel/gatefold";
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), &TWO);
    let image = dir.path().join("Folk/00.png");
    for arguments in writers(text(dir.path()), text(&image), out) {
        refused(&arguments, &[out, "cannot be written: ", "; choose a folder you may write to"]);
    }
    refused(&["demo", "--out", out], &[out, "cannot be written: ", "; choose a folder you may write to"]);
    let page = "/sys/kernel/page";
    for arguments in [["report", three().run(), "--out", page], ["export", three().run(), "--out", page]] {
        refused(&arguments, &[page, "cannot be written: ", "; choose a folder you may write to"]);
    }
}
