//! Killed, repeated, full disk: what is there stays whole.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatefold::data::{Dataset, Fit};

use super::common::*;

fn program(arguments: &[&Path]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
    command.arg("import").args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

#[test]
fn a_second_import_does_nothing_and_a_new_size_stands_beside_the_old() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let set = out.path().join("set");
    assert!(!good(&options(dir.path()), &set).unchanged);
    let before = files(&set);
    let times = |set: &Path| -> Vec<_> {
        files(set).iter().map(|(name, _)| fs::metadata(set.join(name)).unwrap().modified().unwrap()).collect()
    };
    let then = times(&set);
    assert!(good(&options(dir.path()), &set).unchanged);
    assert_eq!((files(&set), times(&set)), (before.clone(), then));
    let names: Vec<_> = before.iter().map(|(name, _)| name.to_str().unwrap()).collect();
    assert_eq!(names, ["images.pack", "import.json", "manifest.csv", "preview.png"]);

    let mut two = options(dir.path());
    two.sizes = vec![16, 24];
    assert!(!good(&two, &set).unchanged && good(&two, &set).unchanged);
    let after = files(&set);
    assert!(before.iter().all(|file| after.contains(file)));
    assert_eq!(Dataset::open_at(&set, 24, Fit::Crop).unwrap().unwrap().pack.size(), 24);
    assert!(Dataset::open_at(&set, 32, Fit::Crop).unwrap().is_none());
    // Both at once give the same bytes as one after the other.
    let fresh = out.path().join("fresh");
    good(&two, &fresh);
    assert_eq!(files(&fresh), after);

    // What changed is imported anew, and the pack that no longer belongs goes.
    save(500, &dir.path().join("Jazz/new.png"));
    assert_eq!(good(&options(dir.path()), &set).told.kept, 19);
    assert!(!set.join("images-24.pack").exists());
}

#[test]
fn killed_at_any_moment_it_ends_in_the_same_bytes() {
    let (dir, out) = (scratch(), scratch());
    for i in 0..120 {
        let path = dir.path().join(["Jazz", "Rock"][i % 2]).join(format!("{i:03}.png"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        cover(i as u32, 300).save(path).unwrap();
    }
    let whole = out.path().join("whole");
    let start = Instant::now();
    assert!(program(&[dir.path(), Path::new("--out"), &whole]).status().unwrap().success());
    let mut took = start.elapsed();
    let expected = files(&whole);

    let set = out.path().join("set");
    let mut killed = 0;
    for part in 1..=8 {
        let _ = fs::remove_dir_all(&set);
        let mut child = program(&[dir.path(), Path::new("--out"), &set]).spawn().unwrap();
        std::thread::sleep(took * part / 8);
        match child.try_wait().unwrap() {
            None => killed += 1,
            // The first run was slowed by its neighbours: be quicker from here on.
            Some(_) => took /= 2,
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Either nothing can be opened yet, or all of it.
        if Dataset::is_at(&set) && !set.join(".import/ready").exists() {
            assert_eq!(Dataset::open(&set).unwrap().pack.len(), 120);
        }
        assert!(program(&[dir.path(), Path::new("--out"), &set]).status().unwrap().success());
        assert!(files(&set) == expected, "killed after {part}/8");
    }
    assert!(killed >= 2, "only {killed} of 8 were killed");
    // Killed after its last move, an import leaves its work folder, which the next one removes.
    fs::create_dir(set.join(".import")).unwrap();
    fs::write(set.join(".import/greys"), "left").unwrap();
    assert!(program(&[dir.path(), Path::new("--out"), &set]).status().unwrap().success());
    assert!(files(&set) == expected);
}

#[test]
fn killed_between_the_moves_it_is_finished_by_the_next_import() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let (old, new) = (out.path().join("old"), out.path().join("new"));
    good(&options(dir.path()), &old);
    save(500, &dir.path().join("Jazz/new.png"));
    let finished = good(&options(dir.path()), &new);
    let expected = files(&new);
    // As the importer leaves it when it dies after its first move.
    let waiting = old.join(".import/new");
    fs::create_dir_all(&waiting).unwrap();
    for name in ["import.json", "manifest.csv", "preview.png"] {
        fs::copy(new.join(name), waiting.join(name)).unwrap();
    }
    fs::copy(new.join("images.pack"), old.join("images.pack")).unwrap();
    fs::write(old.join(".import/ready"), "images.pack\nimport.json\nmanifest.csv\npreview.png").unwrap();
    let said = Dataset::open(&old).unwrap_err().to_string();
    assert!(said.contains("broken off") && said.contains("start the same import again"), "{said}");
    let made = good(&options(dir.path()), &old);
    assert!(made.unchanged && made.told.kept == finished.told.kept);
    assert_eq!(files(&old), expected);
}

#[test]
fn killed_between_the_packs_and_ready_it_decodes_nothing_again() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let mut wanted = options(dir.path());
    wanted.sizes = vec![16, 24];
    let (whole, set) = (out.path().join("whole"), out.path().join("set"));
    good(&wanted, &whole);
    // How many pictures a call has to decode, and its outcome.
    let decoded = |set: &Path| {
        let first = std::sync::atomic::AtomicUsize::new(usize::MAX);
        let done = gatefold::data::import(&wanted, set, &|done, _| {
            first.fetch_min(done, std::sync::atomic::Ordering::Relaxed);
        });
        (18 - first.into_inner().min(18), done.map(|_| ()))
    };
    // Where the list of finished files should stand, there is a folder: the call ends as if it were killed there.
    let stop = |set: &Path| {
        let ready = set.join(".import/ready");
        fs::create_dir_all(&ready).unwrap();
        let (count, outcome) = decoded(set);
        assert!(outcome.unwrap_err().to_string().contains("ready"));
        assert!(set.join(".import/new/images.pack").is_file() && set.join(".import/new/images-24.pack").is_file());
        fs::remove_dir(ready).unwrap();
        count
    };
    assert_eq!(stop(&set), 18);
    let (count, outcome) = decoded(&set);
    outcome.unwrap();
    assert_eq!((count, files(&set)), (0, files(&whole)));

    // Killed between the two packs: one is finished, the other has its slots and was not moved.
    let half = out.path().join("half");
    stop(&half);
    fs::rename(half.join(".import/new/images-24.pack"), half.join(".import/squares-24")).unwrap();
    let (count, outcome) = decoded(&half);
    outcome.unwrap();
    assert_eq!((count, files(&half)), (0, files(&whole)));

    // A pack that is gone, and one that was cut off, are made again.
    for torn in [false, true] {
        let lost = out.path().join(format!("lost-{torn}"));
        stop(&lost);
        let pack = lost.join(".import/new/images.pack");
        if torn {
            let bytes = fs::read(&pack).unwrap();
            fs::write(&pack, &bytes[..bytes.len() / 2]).unwrap();
        } else {
            fs::remove_file(&pack).unwrap();
        }
        let (count, outcome) = decoded(&lost);
        outcome.unwrap();
        assert_eq!((count, files(&lost)), (18, files(&whole)));
    }
}

#[test]
fn two_imports_into_one_folder_are_refused() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let set = out.path().join("set");
    fs::create_dir_all(set.join(".import")).unwrap();
    let lock = fs::File::create(set.join(".import/lock")).unwrap();
    lock.lock().unwrap();
    let said = run(&options(dir.path()), &set).unwrap_err().to_string();
    assert!(said.contains("another import is writing"), "{said}");
    drop(lock);
    good(&options(dir.path()), &set);
}

/// A limit on the size of files stands for a full disk: writing fails in the middle of the pack.
#[cfg(unix)]
#[test]
fn a_full_disk_leaves_the_old_data_set() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let set = out.path().join("set");
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let import = |limit: &str| {
        // Blocks of 512 bytes; the signal that goes with the limit is ignored, so that writing fails instead.
        let script = format!(
            "trap '' XFSZ; ulimit -f {limit}; exec '{}' import '{}' --out '{}' --size 64",
            env!("CARGO_BIN_EXE_gatefold"),
            text(dir.path()),
            text(&set)
        );
        Command::new("sh").args(["-c", &script]).output().unwrap()
    };
    assert!(import("unlimited").status.success());
    let before = files(&set);
    (0..9).for_each(|i| save(500 + i, &dir.path().join(format!("Jazz/n{i}.png"))));
    let full = import("200");
    let said = String::from_utf8_lossy(&full.stderr).into_owned();
    assert_eq!(full.status.code(), Some(1), "{said}");
    assert!(said.contains("cannot be written") && said.contains("free some space and start again"), "{said}");
    for (name, bytes) in &before {
        assert_eq!(&fs::read(set.join(name)).unwrap(), bytes, "{}", name.display());
    }
    assert_eq!(Dataset::open(&set).unwrap().pack.len(), 18);
    assert!(import("unlimited").status.success());
    assert_eq!(Dataset::open(&set).unwrap().pack.len(), 27);
    assert!(!set.join(".import").exists());
}

#[test]
fn what_cannot_fit_on_the_disk_is_refused_before_decoding() {
    let dir = scratch();
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    let mut wish = options(dir.path());
    // Packs of almost ten terabytes in all; on a larger disk this would be decoded.
    if fs4::available_space(dir.path()).unwrap() > 9 << 40 {
        return;
    }
    wish.sizes = (1..=8192).rev().collect();
    refused(&wish, &["the decoded pictures need", "are free on its disk", "--out", "--size"]);
    // A data set that is there is left alone.
    let out = scratch();
    let set = out.path().join("set");
    good(&options(dir.path()), &set);
    let before = files(&set);
    assert!(run(&wish, &set).unwrap_err().to_string().contains("the decoded pictures need"));
    assert_eq!(files(&set), before);
}

#[test]
fn a_pack_of_another_version_is_refused_in_a_line() {
    let (dir, out) = (scratch(), scratch());
    draw(dir.path(), &[("Jazz", 9), ("Rock", 9)]);
    good(&options(dir.path()), out.path());
    let pack = out.path().join("images.pack");
    let mut bytes = fs::read(&pack).unwrap();
    bytes[8] = 1;
    fs::write(&pack, bytes).unwrap();
    let said = Dataset::open(out.path()).unwrap_err().to_string();
    assert!(said.contains("made by another version of gatefold (format 1, this one reads 3)"), "{said}");
    assert!(said.contains("make the data set again") && !said.contains('\n'));
    // And importing again does that.
    assert_eq!(good(&options(dir.path()), out.path()).dataset.pack.len(), 18);
}

#[test]
fn a_pack_of_thirty_thousand_opens_in_milliseconds() {
    let dir = scratch();
    let path = dir.path().join("images.pack");
    let mut bytes = vec![0_u8; 128];
    bytes[..8].copy_from_slice(b"GATEPACK");
    for (at, word) in [(8, 2_u32), (12, 8), (16, 3), (24, 30_000), (64, 30_000)] {
        bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    }
    bytes.resize(128 + 30_000 * 8 * 8 * 3, 7);
    (0..30_000_u32).for_each(|slot| bytes.extend((29_999 - slot).to_le_bytes()));
    fs::write(&path, bytes).unwrap();
    let start = Instant::now();
    let pack = gatefold::data::Pack::open(&path).unwrap();
    let took = start.elapsed();
    assert_eq!((pack.len(), pack.image(29_999).unwrap()[0]), (30_000, 7));
    assert!(took < Duration::from_millis(50), "{took:?}");
}
