//! Bytes that a disk changed: found wherever they are read, and by `check`.

use std::fs;
use std::path::Path;

use crate::common::*;

/// Flips one bit of a file, `place` bytes from its start, or from its end if negative.
fn flip(path: &Path, place: i64) {
    let mut bytes = fs::read(path).unwrap();
    let at = if place < 0 { bytes.len() as i64 + place } else { place };
    bytes[at as usize] ^= 0x40;
    fs::write(path, bytes).unwrap();
}

fn replace(path: &Path, old: &str, new: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(old), "{old} in {}", path.display());
    fs::write(path, text.replace(old, new)).unwrap();
}

/// Takes out what older versions did not write.
fn age(run: &Path, change: impl Fn(&str) -> String) {
    for name in ["best.safetensors", "last.safetensors"] {
        let bytes = fs::read(run.join(name)).unwrap();
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let head = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
        let at = head.find(r#"{\"blake3\""#).unwrap();
        let end = at + head[at..].find(r#"\",\""#).unwrap() + 3;
        let mut old = format!("{}{{{}", &head[..at], &head[end..]).replace(r#"\"format\":2"#, r#"\"format\":1"#);
        old = change(&old);
        old += &" ".repeat(old.len().next_multiple_of(8) - old.len());
        let new = [&(old.len() as u64).to_le_bytes(), old.as_bytes(), &bytes[8 + length..]].concat();
        fs::write(run.join(name), new).unwrap();
    }
    let pack = run.join("data/images.pack");
    let mut bytes = fs::read(&pack).unwrap();
    let stored = u64::from_le_bytes(bytes[64..72].try_into().unwrap()) as usize;
    bytes.truncate(bytes.len() - 32 * stored);
    bytes[8] = 2;
    bytes[80..112].fill(0);
    fs::write(&pack, bytes).unwrap();
    let report = run.join("data/import.json");
    let text = fs::read_to_string(&report).unwrap();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().starts_with("\"manifest\":")).collect();
    fs::write(&report, lines.join("\n")).unwrap();
}

#[test]
fn a_changed_bit_of_a_checkpoint() {
    let trained = three();
    let image = trained.image("Jazz/01.png");
    let length = fs::metadata(trained.run.join("best.safetensors")).unwrap().len() as i64;
    for place in [-1, -length / 3, length / 2] {
        let (_folder, run) = trained.copy();
        flip(&run.join("best.safetensors"), place);
        flip(&run.join("last.safetensors"), place);
        let parts = ["best.safetensors", "damaged"];
        for command in [
            &["predict", text(&run), &image][..],
            &["eval", text(&run)],
            &["report", text(&run)],
            &["export", text(&run), "--out", text(&run.join("x.safetensors"))],
            &["explain", text(&run), &image, "--out", text(&run.join("maps"))],
        ] {
            refused(command, &parts);
        }
        let resume = ["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"];
        refused(&resume, &["last.safetensors", "damaged"]);
        let done = gatefold(&["check", text(&run)]);
        assert_eq!(done.code, 2);
        assert_eq!(done.stdout.matches("DAMAGED").count(), 2, "{}", done.stdout);
    }
    // Also where it is text: another class name, another rule for pictures.
    let (_folder, run) = trained.copy();
    let best = run.join("best.safetensors");
    let bytes = fs::read(&best).unwrap();
    let at = bytes.windows(4).position(|four| four == b"Jazz").unwrap();
    flip(&best, at as i64 + 1);
    refused(&["eval", text(&run)], &["best.safetensors", "not as it was written"]);
}

#[test]
fn changed_pixels_labels_and_sets() {
    let trained = three();
    let (_folder, run) = trained.copy();
    let pack = run.join("data/images.pack");
    let whole = fs::read(&pack).unwrap();
    let mut zeroed = whole.clone();
    zeroed[128..128 + 32 * 32 * 3 * 36].fill(0);
    fs::write(&pack, zeroed).unwrap();
    let damaged = ["images.pack", "is damaged", "restore"];
    refused(&["eval", text(&run)], &damaged);
    refused(&["report", text(&run)], &damaged);
    refused(&["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"], &damaged);
    refused(&["audit", text(&run.join("data")), "--out", text(&run.join("a")), "--no-views"], &damaged);
    let done = gatefold(&["check", text(&run), "--json"]);
    assert_eq!(done.code, 2);
    let items = done.json();
    let wrong: Vec<&str> = items
        .as_array()
        .unwrap()
        .iter()
        .filter(|i| i["state"] == "damaged")
        .map(|i| i["about"].as_str().unwrap())
        .collect();
    assert!(wrong.len() == 1 && wrong[0].starts_with("36 of 36 pictures are damaged"), "{wrong:?}");
    // The list of hashes and the header have one of their own.
    for place in [-1, 12, 70, 90] {
        fs::write(&pack, &whole).unwrap();
        flip(&pack, place);
        assert_eq!(gatefold(&["eval", text(&run)]).code, 2, "{place}");
    }
    fs::write(&pack, &whole).unwrap();
    good(&["check", text(&run)]);

    let manifest = run.join("data/manifest.csv");
    let table = fs::read_to_string(&manifest).unwrap();
    let said = ["manifest.csv is not as it was written", "import it as a table"];
    for (old, new) in [(",Jazz,test", ",Metal,test"), (",train,", ",test,")] {
        fs::write(&manifest, &table).unwrap();
        replace(&manifest, old, new);
        for command in
            [&["eval", text(&run)][..], &["report", text(&run)], &["audit", "--run", text(&run), "--no-views"]]
        {
            refused(command, &said);
        }
        refused(&["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"], &said);
    }
    // Another program writes the same table otherwise, and a collection may move.
    fs::write(&manifest, table.replace('\n', "\r\n").replace(text(&trained.data), "/elsewhere")).unwrap();
    good(&["eval", text(&run)]);
}

#[test]
fn answers_that_do_not_come_to_the_score() {
    let (_folder, run) = three().copy();
    replace(&run.join("test-predictions.csv"), ",Jazz,", ",Folk,");
    let done = gatefold(&["check", text(&run)]);
    assert!(done.code == 2 && done.stdout.contains("does not come to the score in test.json"), "{}", done.stdout);
}

#[test]
fn a_run_whose_data_were_made_anew() {
    let trained = three();
    let (_folder, run) = trained.copy();
    fs::remove_dir_all(run.join("data")).unwrap();
    good(&["import", text(&trained.data), "--out", text(&run.join("data")), "--size", "32", "--seed", "9"]);
    let parts = ["best.safetensors", "no longer what it was trained on", "restore them, or train again"];
    refused(&["eval", text(&run)], &parts);
    refused(&["report", text(&run)], &parts);
    refused(&["explain", text(&run), "--faithfulness", "--out", text(&run.join("f"))], &parts);
    refused(&["audit", "--run", text(&run), "--no-views"], &parts);
}

#[test]
fn what_an_older_version_wrote_is_read_with_a_note() {
    let trained = three();
    let (_folder, run) = trained.copy();
    age(&run, str::to_owned);
    let done = good(&["eval", text(&run)]);
    assert_eq!(done.stderr.matches("an older version").count(), 2, "{}", done.stderr);
    assert_eq!(done.stdout, good(&["eval", trained.run()]).stdout);
    let done = good(&["check", text(&run)]);
    assert!(done.stdout.contains("readable") && !done.stdout.contains("whole"), "{}", done.stdout);
    let resume = ["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"];
    assert_eq!(good(&resume).stderr.matches("an older version").count(), 2);
    // What is written from then on has its hash.
    let last = run.join("last.safetensors");
    assert!(good(&["check", text(&last)]).stdout.starts_with("whole"));
}

#[test]
fn a_checkpoint_that_says_otherwise_than_its_run_is_not_gone_on_with() {
    let trained = three();
    let (_folder, run) = trained.copy();
    age(&run, |head| head.replace(r#"\"crop\":1.0"#, r#"\"crop\":0.9"#));
    let resume = ["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"];
    refused(&resume, &["last.safetensors", "crops or normalises pictures otherwise"]);
    let (_folder, run) = trained.copy();
    age(&run, |head| head.replace(r#"\"training_counts\":["#, r#"\"training_counts\":[1,"#));
    refused(&["eval", text(&run)], &["4 training counts for 3 classes", "damaged"]);
}

#[test]
fn what_is_none_of_ours_cannot_be_checked() {
    let folder = tempfile::tempdir().unwrap();
    refused(&["check", text(folder.path())], &["is no data set, run or weights file"]);
    refused(&["check", text(&folder.path().join("gone"))], &["gone", "does not exist"]);
}
