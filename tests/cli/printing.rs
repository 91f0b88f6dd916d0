//! Where what is printed goes, and what becomes of the files if it goes nowhere.
#![cfg(target_os = "linux")]

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use crate::common::*;

/// The program in a shell, with `how` after its arguments: `>/dev/full`.
fn shell(arguments: &[&str], how: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("\"$0\" \"$@\" {how}"), env!("CARGO_BIN_EXE_gatefold")]).args(arguments);
    shell.output().unwrap()
}

/// Exit code 1 and one line, if there is something to print that cannot be.
#[track_caller]
fn says_what_failed(arguments: &[&str]) {
    for (how, why) in [(">/dev/full", "No space left"), (">&-", "it is closed")] {
        let done = shell(arguments, how);
        let said = String::from_utf8(done.stderr).unwrap();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error:")).collect();
        assert_eq!((done.status.code(), errors.len()), (Some(1), 1), "{arguments:?} {how}: {said}");
        assert!(errors[0].starts_with("error: standard output: cannot be written: "), "{said}");
        assert!(errors[0].contains(why) && !said.contains("terminal"), "{said}");
    }
}

#[test]
fn a_full_or_closed_stdout_is_named_by_every_command() {
    for arguments in
        [&["--help"][..], &["train", "--help"], &["--version"], &["genres"], &["man"], &["completions", "fish"]]
    {
        says_what_failed(arguments);
    }
    let trained = three();
    let out = tempfile::tempdir().unwrap();
    let page = out.path().join("page.html");
    says_what_failed(&["eval", trained.run(), "--json"]);
    says_what_failed(&["predict", trained.run(), &trained.image("Jazz/00.png"), "--csv"]);
    says_what_failed(&["report", trained.run(), "--out", text(&page)]);
    assert!(page.is_file());
    // Where nothing is printed, nothing fails.
    let pages = out.path().join("man");
    assert_eq!(shell(&["man", "--out", text(&pages)], ">&-").status.code(), Some(0));
    // An error of its own is the one that counts.
    let done = shell(&["predict", trained.run(), "none.png"], ">&-");
    assert_eq!(done.status.code(), Some(2));
}

/// All that a run folder has after training.
fn is_whole(run: &Path) -> bool {
    ["report.html", "test.json", "test-predictions.csv", "last.safetensors"].iter().all(|name| run.join(name).is_file())
}

#[test]
fn training_writes_everything_whoever_reads_what_it_prints() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("covers"), dir.path().join("run"));
    draw(&data, &TWO);
    // Nobody reads from the start.
    let mut child = command(&train(&data, &run, &["--net", "small", "--epochs", "1"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{said}");
    assert!(is_whole(&run) && said.contains("report: ") && !said.contains("error:"), "{said}");

    fs::remove_dir_all(&run).unwrap();
    let mut full = command(&train(&data, &run, &["--net", "small", "--epochs", "1", "--json"]));
    let done = full.stdout(File::options().write(true).open("/dev/full").unwrap()).output().unwrap();
    assert_eq!(done.status.code(), Some(1));
    assert!(
        is_whole(&run) && String::from_utf8_lossy(&done.stderr).contains("error: standard output: cannot be written")
    );
}
