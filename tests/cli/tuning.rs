//! `train --tune`: what is found is kept, and gives the same bytes again.

use std::fs;
use std::path::{Path, PathBuf};

use crate::common::*;

/// Trains with the tuner and this folder for what it finds; what it said on stderr.
fn tuned(run: &Path, cache: &Path, more: &[&str]) -> String {
    let arguments = train(&three().data, run, &[&["--net", "small", "--epochs", "1", "--seed", "3"], more].concat());
    let output = command(&arguments).env("GATEFOLD_CACHE", cache).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    said
}

fn cached(folder: &Path) -> PathBuf {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files.filter(|path| path.extension().is_some_and(|e| e == "json")).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn choices_are_cached_kept_in_the_run_and_rebuilt_if_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let (cache, run) = (folder.path().join("cache"), |name: &str| folder.path().join(name));
    let said = tuned(&run("first"), &cache, &["--tune"]);
    assert!(said.contains("chose kernels for"), "{said}");
    let choices = fs::read(run("first").join("tune.json")).unwrap();
    let file = cached(&cache);
    assert!(!file.with_extension("trying").exists());

    // The same kernels, without a trial, and the same bytes.
    let said = tuned(&run("second"), &cache, &["--tune"]);
    assert!(!said.contains("chose kernels"), "{said}");
    for name in ["tune.json", "last.safetensors", "test.json"] {
        let bytes = |of: &str| fs::read(run(of).join(name)).unwrap();
        assert!(bytes("first") == bytes("second"), "{name} differs");
    }

    // A run that is resumed takes its own choices, whatever the cache says.
    let whole = fs::read(&file).unwrap();
    fs::write(&file, &whole[..whole.len() / 2]).unwrap();
    let second = run("second");
    let resumed = train(&three().data, &second, &["--resume", "--epochs", "2"]);
    let resumed: Vec<&str> = resumed.into_iter().filter(|argument| !SMALL.contains(argument)).collect();
    let output = command(&resumed).env("GATEFOLD_CACHE", &cache).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(fs::read(run("second").join("tune.json")).unwrap(), choices);
    assert_eq!(fs::read(&file).unwrap().len(), whole.len() / 2, "a resumed run needs no cache");

    let said = tuned(&run("third"), &cache, &["--tune"]);
    assert!(said.contains("is damaged") && said.contains("built anew"), "{said}");
    assert!(serde_json::from_slice::<serde_json::Value>(&fs::read(&file).unwrap()).is_ok());

    // One process at a time looks for kernels.
    let lock = fs::File::create(file.with_extension("lock")).unwrap();
    lock.lock().unwrap();
    fs::remove_file(&file).unwrap();
    let waiting = std::thread::scope(|scope| {
        let fifth = scope.spawn(|| tuned(&run("fifth"), &cache, &["--tune"]));
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert!(!file.exists(), "it did not wait");
        drop(lock);
        fifth.join().unwrap()
    });
    assert!(
        waiting.contains("another gatefold is choosing kernels") && waiting.contains("chose kernels for"),
        "{waiting}"
    );

    let said = tuned(&run("fourth"), &cache, &["--no-tune"]);
    assert!(!said.contains("chose kernels") && !run("fourth").join("tune.json").exists(), "{said}");
}
