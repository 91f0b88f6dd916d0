//! `gatefold audit`: exit codes, files, bad input.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rayon::prelude::*;
use serde_json::Value;

use crate::pictures::*;

struct Done {
    code: i32,
    stdout: String,
    stderr: String,
}

fn audit(arguments: &[&str]) -> Done {
    let output = Command::new(env!("CARGO_BIN_EXE_gatefold")).arg("audit").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(output.stdout), text(output.stderr));
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    Done { code: output.status.code().unwrap_or(-1), stdout, stderr }
}

#[track_caller]
fn refused(arguments: &[&str], parts: &[&str]) {
    let done = audit(arguments);
    let errors: Vec<&str> = done.stderr.lines().filter(|line| line.starts_with("error:")).collect();
    assert!(
        done.code == 2 && errors.len() == 1 && done.stdout.is_empty(),
        "{arguments:?}: {}\n{}",
        done.code,
        done.stderr
    );
    parts.iter().for_each(|part| assert!(errors[0].contains(part), "`{part}` is missing in: {}", errors[0]));
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
}

/// How a class came to its files.
#[derive(Clone, Copy)]
enum Way {
    /// Made at 96 pixels, stored as JPEG once, kept as it came out.
    Native,
    /// The same after JPEG at twice the size.
    Scaled,
    /// Native, and stored as JPEG again.
    Stored,
}

/// Writes pictures of 96 pixels, and a table of them with a source and sets that have nothing to do with the label.
fn draw(root: &Path, classes: &[(&str, u64, Way)]) -> PathBuf {
    let mut table = "path,label,scanner,set\n".to_owned();
    for (k, &(class, count, way)) in classes.iter().enumerate() {
        fs::create_dir_all(root.join(class)).unwrap();
        (0..count).into_par_iter().for_each(|i| {
            let master = master(1000 * k as u64 + i);
            let native = || jpeg(&lanczos(&master, 96), 80);
            let to = root.join(class).join(format!("{i:03}"));
            match way {
                Way::Native => native().save(to.with_extension("png")).unwrap(),
                Way::Scaled => lanczos(&jpeg(&lanczos(&master, 190), 80), 96).save(to.with_extension("png")).unwrap(),
                Way::Stored => fs::write(to.with_extension("jpg"), jpeg_bytes(&native(), 97)).unwrap(),
            }
        });
        let end = if matches!(way, Way::Stored) { "jpg" } else { "png" };
        let set = |i: u64| ["train", "train", "train", "val", "test"][i as usize % 5];
        (0..count).for_each(|i| {
            table += &format!("{class}/{i:03}.{end},{class},{},{}\n", ["A", "B"][i as usize % 2], set(i));
        });
    }
    fs::write(root.join("covers.csv"), table).unwrap();
    root.join("covers.csv")
}

/// Data sets that all tests read and none changes.
fn covers() -> &'static Path {
    static ROOT: OnceLock<PathBuf> = OnceLock::new();
    ROOT.get_or_init(|| {
        // A static is never dropped, so the folder stays until the next time.
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        draw(&root.join("same"), &[("Folk", 90, Way::Native), ("Jazz", 90, Way::Native)]);
        draw(&root.join("scaled"), &[("Folk", 50, Way::Native), ("Jazz", 50, Way::Scaled)]);
        draw(&root.join("stored"), &[("Folk", 50, Way::Native), ("Jazz", 50, Way::Stored)]);
        draw(&root.join("few"), &[("Folk", 12, Way::Native), ("Jazz", 12, Way::Native)]);
        // Three covers of the training set are in the test set again, mirrored.
        let table = draw(&root.join("leaking"), &[("Folk", 90, Way::Native), ("Jazz", 90, Way::Native)]);
        let mut rows = fs::read_to_string(&table).unwrap();
        for i in 0..3 {
            let folder = root.join("leaking/Folk");
            let picture = image::open(folder.join(format!("{:03}.png", 5 * i))).unwrap();
            picture.fliph().save(folder.join(format!("mirrored-{i}.png"))).unwrap();
            rows += &format!("Folk/mirrored-{i}.png,Folk,A,test\n");
        }
        fs::write(table, rows).unwrap();
        root
    })
}

const SMALL: [&str; 3] = ["--size", "96", "--no-views"];

#[test]
fn one_source_is_not_detected_and_the_seed_decides_the_bytes() {
    let out = tempfile::tempdir().unwrap();
    let data = covers().join("same/covers.csv");
    let [one, two] = ["one", "two"].map(|name| out.path().join(name));
    let arguments = |out| [&[text(&data), "--out", text(out), "--source", "scanner"], &SMALL[..]].concat();
    let done = audit(&arguments(&one));
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    assert!(
        done.stdout.starts_with("NOT DETECTED\n") && done.stdout.contains("would have been found"),
        "{}",
        done.stdout
    );
    assert!(!done.stdout.to_lowercase().contains("clean"));
    let told = json(&one.join("audit.json"));
    let wanted = ["verdict", "exit_code", "summary", "facts", "probes", "controls", "seed", "size", "version"];
    wanted.iter().for_each(|key| assert!(told.get(key).is_some(), "{key} is missing"));
    assert_eq!((&told["verdict"], &told["exit_code"], &told["size"]), (&"NOT DETECTED".into(), &0.into(), &96.into()));
    assert!(
        told["controls"]["planted"]["passed"].as_bool().unwrap() && told["source"]["cramers_v"].as_f64().unwrap() < 0.1
    );

    assert_eq!(audit(&arguments(&two)).code, 0);
    for file in ["audit.json", "audit.html"] {
        assert_eq!(fs::read(one.join(file)).unwrap(), fs::read(two.join(file)).unwrap(), "{file}");
    }
    let page = fs::read_to_string(one.join("audit.html")).unwrap();
    assert!(page.contains("NOT DETECTED") && !page.contains("http"), "the page loads something");
    // Nothing else is left behind, but the mark that says whose folder it is.
    assert_eq!(fs::read_dir(&one).unwrap().count(), 3);
}

/// What an audit of one of [`covers`] prints with `--json`.
#[track_caller]
fn told(data: &str, code: i32) -> Value {
    let out = tempfile::tempdir().unwrap();
    let done = audit(&[&[text(&covers().join(data)), "--out", text(out.path()), "--json"], &SMALL[..]].concat());
    assert_eq!(done.code, code, "{data}\n{}\n{}", done.stdout, done.stderr);
    let told: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((&told, told["exit_code"].as_i64()), (&json(&out.path().join("audit.json")), Some(i64::from(code))));
    told
}

#[test]
fn a_class_that_was_scaled_down_is_a_shortcut() {
    let told = told("scaled", 10);
    assert_eq!(told["verdict"], "SHORTCUT FOUND");
    let evidence = &told["evidence"][0];
    assert!(evidence["from"] == "pixels" && evidence["auc"].as_f64().unwrap() > 0.9, "{evidence}");
    assert!(told["summary"].as_str().unwrap().contains("--harmonise"), "{}", told["summary"]);
}

#[test]
fn a_class_that_was_stored_another_way_is_a_shortcut() {
    let told = told("stored", 10);
    let evidence = &told["evidence"][0];
    assert!(evidence["from"] == "files" && evidence["auc"] == 1.0, "{evidence}");
}

#[test]
fn harmonising_takes_the_shortcut() {
    let dir = tempfile::tempdir().unwrap();
    let (set, out) = (dir.path().join("set"), dir.path().join("audit"));
    let scaled = covers().join("scaled");
    let import = ["import", text(&scaled), "--out", text(&set), "--size", "96", "--harmonise", "64,60"];
    assert!(Command::new(env!("CARGO_BIN_EXE_gatefold")).args(import).output().unwrap().status.success());
    let done = audit(&[text(&set), "--out", text(&out), "--no-views"]);
    assert_eq!(done.code, 0, "{}\n{}", done.stdout, done.stderr);
    let told = json(&out.join("audit.json"));
    assert_eq!((&told["size"], &told["harmonise"]["size"]), (&96.into(), &64.into()));
    // The planted one is seen before harmonising; after it, little is left.
    let planted = &told["controls"]["planted"];
    assert!(planted["auc"].as_f64() > Some(0.9) && planted["after_harmonising"].as_f64() < Some(0.8), "{planted}");
}

#[test]
fn covers_in_two_sets_are_a_leak() {
    let told = told("leaking/covers.csv", 11);
    assert_eq!(told["verdict"], "LEAK FOUND");
    assert_eq!((&told["leaks"]["across_sets"], &told["leaks"]["kinds"]["mirrored"]), (&3.into(), &3.into()));
    let summary = told["summary"].as_str().unwrap();
    assert!(summary.starts_with("3 pairs of covers show the same picture in different sets"), "{summary}");
}

#[test]
fn too_few_covers_are_inconclusive() {
    let out = tempfile::tempdir().unwrap();
    let done = audit(&[&[text(&covers().join("few")), "--out", text(out.path())], &SMALL[..]].concat());
    assert_eq!(done.code, 12, "{}\n{}", done.stdout, done.stderr);
    assert!(done.stdout.starts_with("INCONCLUSIVE\n") && done.stdout.contains("pictures enough"), "{}", done.stdout);
}

#[test]
fn bad_input_is_told_in_a_line() {
    let out = tempfile::tempdir().unwrap();
    let folder = covers().join("few");
    let (data, table) = (text(&folder), folder.join("covers.csv"));
    let to = text(out.path());
    refused(&["/nowhere", "--out", to], &["/nowhere", "cannot be read"]);
    refused(&[data, "--out", to, "--size", "16"], &["--size 16", "32 or more"]);
    refused(&[data, "--out", to, "--source", "scanner"], &["--source scanner", "covers.csv"]);
    refused(&[text(&table), "--out", to, "--source", "press"], &["--source press", "no column `press`", "scanner"]);
    refused(&[text(&table), "--out", text(&table)], &["covers.csv", "is a file: name a folder"]);
    refused(&[data, "--run", "/nowhere"], &["run /nowhere", "does not exist"]);
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 0);
    // clap's own.
    assert_eq!(audit(&[data]).code, 2);
    assert_eq!(audit(&[]).code, 2);
}
