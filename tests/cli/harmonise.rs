//! Covers that were brought through the same degradation: the run remembers it and does it to fresh pictures.

use crate::common::*;

#[test]
fn a_run_on_harmonised_covers_harmonises_fresh_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (data, set, run) = (dir.path().join("covers"), dir.path().join("set"), dir.path().join("run"));
    draw(&data, &TWO);
    let import = ["import", text(&data), "--out", text(&set), "--size", "32", "--seed", "3", "--harmonise"];
    let told = |harmonise: &str| {
        good(&[&import[..], &[harmonise, "--json"]].concat());
        let report = std::fs::read_to_string(set.join("import.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&report).unwrap()["harmonise"].clone()
    };
    let first = std::fs::read(set.join("images.pack")).unwrap_or_default();
    assert_eq!(told("20,70"), serde_json::json!({"size": 20, "quality": 70}));
    let soft = std::fs::read(set.join("images.pack")).unwrap();
    assert_ne!(soft, first);
    // Again is nothing to do; other numbers make it anew.
    let again = good(&[&import[..], &["20,70"]].concat());
    assert!(again.stderr.contains("nothing to do"), "{}", again.stderr);
    assert_eq!(told("20,25")["quality"], 25);
    let harsh = std::fs::read(set.join("images.pack")).unwrap();
    assert_ne!(harsh, soft);

    good(&train(&set, &run, &["--epochs", "1", "--seed", "3"]));
    // The same covers from the pack and from their files, through the run's own pipeline: the same score to the last digit.
    let own = good(&["eval", text(&run), "--split", "all", "--json"]).json();
    let fresh = good(&["eval", text(&run), text(&data), "--split", "all", "--json"]).json();
    assert_eq!((&own["n"], &own["loss"]), (&fresh["n"], &fresh["loss"]));
    // And a network that was trained without sees other pixels.
    let plain = dir.path().join("plain");
    good(&train(&data, &plain, &["--epochs", "1", "--seed", "3"]));
    let image = data.join("Folk/00.png");
    let logits = |run: &std::path::Path| {
        good(&["predict", text(run), text(&image), "--logits", "--json"]).json()[0]["logits"].clone()
    };
    assert_ne!(logits(&run), logits(&plain));
    // At another size the covers are decoded again, and harmonised as before.
    let larger = dir.path().join("larger");
    good(&["train", text(&set), "--out", text(&larger), "--net", "small", "--size", "48", "--epochs", "1"]);
    let own = good(&["eval", text(&larger), "--split", "all", "--json"]).json();
    let fresh = good(&["eval", text(&larger), text(&data), "--split", "all", "--json"]).json();
    assert_eq!((&own["n"], &own["loss"]), (&fresh["n"], &fresh["loss"]));
    good(&["explain", text(&run), text(&image), "--out", text(&dir.path().join("heat"))]);
}

#[test]
fn bad_numbers_are_refused_and_small_pictures_told_of() {
    let dir = tempfile::tempdir().unwrap();
    let (data, set) = (dir.path().join("covers"), dir.path().join("set"));
    draw(&data, &TWO);
    for wrong in ["20", "20,0", "20,101", "8,50", "wide,60", "20,60,1"] {
        let arguments = ["import", text(&data), "--out", text(&set), "--harmonise", wrong];
        refused(&arguments, &[&format!("--harmonise {wrong}"), "such as 96,60"]);
        assert!(!set.exists());
    }
    let done = good(&["import", text(&data), "--out", text(&set), "--size", "32", "--harmonise", "64,60"]);
    assert!(done.stderr.contains("24 pictures are smaller than 64 pixels"), "{}", done.stderr);
}
