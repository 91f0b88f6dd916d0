//! The command: what it prints, and folders it may not read.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use super::common::*;

fn gatefold(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } =
        Command::new(env!("CARGO_BIN_EXE_gatefold")).arg("import").args(arguments).output().unwrap();
    let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
    assert!(!stderr.contains("panicked"), "{stderr}");
    (status.code().unwrap_or(-1), stdout, stderr)
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn it_prints_the_guess_the_table_and_json() {
    let (dir, out) = (scratch(), scratch());
    let mut rows = "file,genre,artist\n".to_owned();
    for i in 0..40 {
        save(i, &dir.path().join(format!("{i}.png")));
        rows += &format!("{i}.png,{},{}\n", ["Jazz", "Rock"][(i % 2) as usize], i / 2);
    }
    let table = dir.path().join("list.csv");
    fs::write(&table, rows).unwrap();
    let set = out.path().join("set");
    let arguments = [text(&table), "--out", text(&set), "--size", "32,16"];
    let (code, stdout, stderr) = gatefold(&arguments);
    assert_eq!(code, 0, "{stderr}");
    let guess = "guessed files from `file`, labels from `genre`, groups to keep whole from `artist`";
    assert!(stderr.contains(guess), "{stderr}");
    for part in ["class", "Jazz", "reached", "largest group: 2 covers", "40 of 40 pictures", "gatefold train"] {
        assert!(stdout.contains(part), "`{part}` is missing in {stdout}");
    }
    let (code, stdout, stderr) = gatefold(&[&arguments[..], &["--json"]].concat());
    assert!(code == 0 && stderr.contains("nothing to do"), "{stderr}");
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (json["unchanged"].as_bool(), json["kept"].as_u64(), json["kind"].as_str()),
        (Some(true), Some(40), Some("table"))
    );
    assert_eq!(json["classes"].as_array().unwrap().len(), 2);

    let (code, stdout, _) = gatefold(&[text(&table), "--dry-run", "--json"]);
    let json: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!((code, &json["classes"]["Jazz"], json["kind"].as_str()), (0, &Value::from(20), Some("table")));
    let (code, stdout, _) = gatefold(&[text(&table), "--dry-run"]);
    assert!(code == 0 && stdout.contains("Rock        20"), "{stdout}");
}

#[test]
fn wrong_usage_is_one_line_and_exit_code_2() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let set = out.path().join("set");
    assert_eq!(gatefold(&[text(dir.path()), "--out", text(&set)]).0, 0);
    for (arguments, part) in [
        (vec![text(&set), "--out", "x"], "a data set already"),
        (vec![text(dir.path()), "--out", text(&set), "--split", "70"], "split `70`"),
        (vec![text(dir.path()), "--out", text(&set), "--label", "x"], "a folder has no columns"),
        (vec![text(dir.path()), "--out", text(&set), "--fit", "stretch"], "there are: crop, pad"),
        (vec![text(dir.path())], "--out"),
        (vec!["--positive", text(dir.path()), "--out", "x"], "--negative"),
        (vec![], "required"),
    ] {
        let (code, stdout, stderr) = gatefold(&arguments);
        assert!(code == 2 && stdout.is_empty() && stderr.contains(part), "{arguments:?}: {code} {stderr}");
        assert_eq!(stderr.lines().filter(|line| line.starts_with("error:")).count(), 1, "{stderr}");
    }
}

/// Root may read everything, so root hands the program to another user for this.
#[cfg(target_os = "linux")]
#[test]
fn folders_that_may_not_be_read_are_listed_and_passed_over() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65534;

    let dir = scratch();
    let mode = |path: &Path, mode: u32| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(dir.path(), 0o777);
    let covers = dir.path().join("covers");
    draw(&covers, &[("Jazz", 9), ("Rock", 9), ("Rock/private", 3)]);
    let program = dir.path().join("gatefold");
    fs::copy(env!("CARGO_BIN_EXE_gatefold"), &program).unwrap();
    mode(&covers.join("Rock/private"), 0o000);
    let set = dir.path().join("set");
    let mut command = Command::new(&program);
    command.args(["import", text(&covers), "--out", text(&set), "--json"]);
    if fs::metadata(&program).unwrap().uid() == 0 {
        command.uid(NOBODY).gid(NOBODY);
    }
    let done = command.output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{said}");
    assert!(said.contains("Rock/private: cannot be read") && said.contains("give yourself the right"), "{said}");
    let json: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((json["kept"].as_u64(), json["skipped"].as_u64()), (Some(18), Some(1)));
    mode(&covers.join("Rock/private"), 0o755);
}
