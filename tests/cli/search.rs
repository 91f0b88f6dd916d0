//! `search`: what it tries, what it may look at, and that it goes on.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use crate::common::*;

/// Hashes of the covers of a data set that are in one of these sets.
fn covers(data: &Path, sets: &[&str]) -> BTreeSet<String> {
    let mut csv = csv::Reader::from_path(data.join("manifest.csv")).unwrap();
    let head = csv.headers().unwrap().clone();
    let place = |name: &str| head.iter().position(|column| column == name).unwrap();
    let (split, hash) = (place("split"), place("hash"));
    let rows = csv.records().map(Result::unwrap).filter(|row| sets.contains(&&row[split]));
    rows.map(|row| row[hash].to_owned()).collect()
}

#[test]
fn a_search_never_looks_at_the_test_set_and_says_the_winner_and_how_often_it_looked() {
    let root = tempfile::tempdir().unwrap();
    let (data, out) = (root.path().join("covers"), root.path().join("search"));
    good(&["sample", text(&data), "--per-genre", "16", "--size", "48"]);
    let table = data.join("covers.csv");
    let options =
        ["--net", "small", "--size", "32", "--batch", "16", "--epochs", "3", "--candidates", "2", "--no-tune"];
    let call = [&["search", text(&table), "--out", text(&out)][..], &options].concat();
    let done = good(&call);

    // The covers of the search are all that are not in the test set, and nothing else.
    let all = out.join("data");
    let [learnt, tested] = [&["train", "val"][..], &["test"]].map(|sets| covers(&all, sets));
    assert_eq!(covers(&out.join("covers"), &["train", "val", "test"]), learnt);
    assert!(!tested.is_empty() && learnt.is_disjoint(&tested));
    for round in ["round-1/candidate-1", "round-1/candidate-2"] {
        assert!(!out.join(round).join("test.json").exists(), "{round} was scored");
    }
    assert_eq!(covers(&out.join("best/data"), &["test"]), tested);

    let told: serde_json::Value = serde_json::from_slice(&fs::read(out.join("search.json")).unwrap()).unwrap();
    let candidates = told["candidates"].as_array().unwrap();
    let runs = |rounds: usize| candidates.iter().filter(|c| c["runs"].as_array().unwrap().len() == rounds).count();
    assert_eq!((candidates.len(), runs(1)), (2, 2));
    let winner = told["winner"].as_u64().unwrap();
    let accuracy = |c: &serde_json::Value| c["runs"][0]["best"]["accuracy"].as_f64().unwrap_or(-1.0);
    let best = candidates.iter().map(accuracy).fold(-1.0, f64::max);
    assert_eq!(accuracy(&candidates[winner as usize - 1]), best);

    for part in ["looks: 2 settings tried in 2 runs", "The test set was looked at once", "gatefold train", "--epochs 3"]
    {
        assert!(done.stdout.contains(part), "`{part}` is missing in {}", done.stdout);
    }
    let report = fs::read_to_string(out.join("best/report.html")).unwrap();
    assert!(report.contains("the best of 2 that a search tried"));
    assert!(fs::read_to_string(out.join("best/config.toml")).unwrap().contains("tried = 2"));

    // What is lost of it is done again, and comes out the same.
    let mut broken = told.clone();
    broken["candidates"][winner as usize - 1]["runs"].as_array_mut().unwrap().pop();
    (broken["winner"], broken["test"]) = (serde_json::Value::Null, serde_json::Value::Null);
    fs::write(out.join("search.json"), broken.to_string()).unwrap();
    refused(&call, &["holds runs already", "--resume"]);
    let again = good(&["search", text(&table), "--out", text(&out), "--resume", "--json", "--no-tune"]).json();
    assert_eq!((&again["winner"], &again["test"]), (&told["winner"], &told["test"]));
}

#[test]
fn a_search_that_cannot_be_is_refused_before_anything_is_decoded() {
    let root = tempfile::tempdir().unwrap();
    let (data, out) = (root.path().join("covers"), root.path().join("search"));
    draw(&data, &TWO);
    let call = ["search", text(&data), "--out", text(&out), "--size", "32"];
    refused(&call, &["--minutes", "say how long"]);
    refused(&[&call[..], &["--minutes", "1"]].concat(), &["--minutes 1", "9 candidates", "--minutes 2.7"]);
    refused(&[&call[..], &["--minutes", "9", "--lr", "auto"]].concat(), &["--lr auto", "tries rates itself"]);
    refused(&[&call[..], &["--minutes", "9", "--candidates", "1"]].concat(), &["--candidates", "from 2 to 1000"]);
    refused(&[&call[..], &["--resume"]].concat(), &["--minutes"]);
    assert!(!out.exists());
}
