//! `GATEFOLD_SHADERS`: the program runs the kernels of a folder, and says so.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

const RELU: &str = "relu/forward.wgsl";

/// A copy of `shaders/` to change.
fn copied() -> TempDir {
    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }
    let folder = TempDir::new().unwrap();
    copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../shaders"), folder.path());
    folder
}

/// Runs the rows of one op with the shaders of a folder.
fn rows_of(op: &str, shaders: Option<&Path>) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernels-tests"));
    command.args(["--op", op]).env_remove("GATEFOLD_SHADERS").env_remove("WAYLAND_DISPLAY");
    command.envs(shaders.map(|folder| ("GATEFOLD_SHADERS", folder)));
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn a_wrong_kernel_in_the_folder_fails_its_rows() {
    let folder = copied();
    let (code, stdout, stderr) = rows_of("relu", Some(folder.path()));
    assert_eq!(code, Some(0), "{stdout}{stderr}");
    assert!(stderr.contains("GATEFOLD_SHADERS") && stderr.contains(folder.path().to_str().unwrap()), "{stderr}");

    let file = folder.path().join(RELU);
    let text = fs::read_to_string(&file).unwrap();
    let wrong = text.replace("max(value", "min(value");
    assert_ne!(wrong, text);
    fs::write(&file, wrong).unwrap();
    let (code, stdout, stderr) = rows_of("relu", Some(folder.path()));
    assert!(code == Some(1) && stdout.contains("FAIL in output 0"), "{stdout}{stderr}");

    // Nobody runs it who did not ask for it.
    let (code, _, stderr) = rows_of("relu", None);
    assert!(code == Some(0) && !stderr.contains("GATEFOLD_SHADERS"), "{stderr}");
}

#[test]
fn what_is_shared_is_read_from_the_folder_too() {
    let folder = copied();
    let file = folder.path().join("shared/element.wgsl");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("place.item >= place.items", "place.item >= place.items / 2u")).unwrap();
    let (code, stdout, stderr) = rows_of("relu", Some(folder.path()));
    assert!(code == Some(1) && stdout.contains("FAIL"), "{stdout}{stderr}");
}

#[test]
fn a_file_that_is_missing_is_named() {
    let folder = copied();
    fs::remove_file(folder.path().join(RELU)).unwrap();
    let (code, stdout, stderr) = rows_of("fill", Some(folder.path()));
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains(RELU) && stderr.contains("has to be a whole copy of shaders/"), "{stderr}");
}
