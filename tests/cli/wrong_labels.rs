//! `train --folds`, `labels`, and `import --corrections`: labels that look wrong, from the networks to the data set made anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use serde_json::Value;

use crate::common::*;

const CLASSES: [&str; 2] = ["=Jazz, \"Hot\"", "R&B <script>alert(1)</script>"];
/// Covers of each class, two by each artist; the first of each class has the other's label.
const EACH: usize = 20;

/// A table whose classes have strange names, with a planted label in each class.
struct Planted {
    data: PathBuf,
    out: PathBuf,
    told: Value,
}

fn rows(path: &Path) -> Vec<BTreeMap<String, String>> {
    let mut csv = csv::Reader::from_path(path).unwrap();
    let head = csv.headers().unwrap().clone();
    let row = |record: csv::StringRecord| head.iter().zip(&record).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    csv.records().map(|record| row(record.unwrap())).collect()
}

fn options<'a>(data: &'a Path, out: &'a Path) -> Vec<&'a str> {
    let own =
        ["labels", text(data), "--out", text(out), "--folds", "2", "--net", "small", "--epochs", "8", "--lr", "0.01"];
    [&own[..], &["--no-tune", "--group", "artist"], &SMALL].concat()
}

fn planted() -> &'static Planted {
    static FOUND: OnceLock<Planted> = OnceLock::new();
    FOUND.get_or_init(|| {
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli-planted");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        let (data, out) = (root.join("covers.csv"), root.join("found"));
        let mut csv = csv::Writer::from_path(&data).unwrap();
        csv.write_record(["path", "genre", "artist"]).unwrap();
        for (class, i) in (0..2).flat_map(|class| (0..EACH).map(move |i| (class, i))) {
            let name = format!("{class}, it's {i}.png");
            picture(class, i).save(root.join(&name)).unwrap();
            let label = if i == 0 { 1 - class } else { class };
            csv.write_record([&name, CLASSES[label], &format!("artist {class} {}", i / 2)]).unwrap();
        }
        csv.flush().unwrap();
        let call = [options(&data, &out), vec!["--gallery", "6", "--json"]].concat();
        let told = good(&call).json();
        Planted { data, out, told }
    })
}

#[test]
fn planted_labels_stand_first_and_the_page_stays_safe() {
    let Planted { out, told, .. } = planted();
    assert_eq!((&told["covers"], &told["score"]["all"]["n"]), (&Value::from(40), &Value::from(40)));
    assert_eq!(told["trust"]["can_tell"], true, "{told}");
    assert!(told["suspects"].as_u64().unwrap() >= 2, "{told}");
    let list = rows(&out.join("labels.csv"));
    assert_eq!(list.len(), 40);
    let first: BTreeSet<&str> =
        list[..2].iter().map(|row| Path::new(&row["path"]).file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(first, BTreeSet::from(["0, it's 0.png", "1, it's 0.png"]), "{:?}", &list[..4]);
    for row in &list[..2] {
        assert!(row["suspect"] == "yes" && row["action"].is_empty() && row["label"] != row["suggestion"], "{row:?}");
        assert!(row["why"].contains("the network gives") && row["why"].contains("most alike covers"), "{row:?}");
    }
    // A spreadsheet computes no class.
    assert!(list.iter().all(|row| !row["label"].starts_with('=') && !row["suggestion"].starts_with('=')));
    let page = fs::read_to_string(out.join("labels.html")).unwrap();
    assert_eq!(page.matches("<li data-cover=").count(), 6);
    assert!(!page.contains("<script>alert") && !page.contains("http:") && !page.contains("https:"));
    assert!(
        page.contains("R&amp;B &lt;script&gt;alert(1)") && page.contains("\\u003cscript>alert"),
        "the class is missing"
    );
    assert!(page.contains("it's 0.png"));
}

#[test]
fn every_cover_is_answered_by_a_network_that_has_not_seen_its_group() {
    let Planted { out, told, .. } = planted();
    let answers = rows(&out.join("out-of-fold.csv"));
    let manifest = rows(&out.join("data/manifest.csv"));
    let paths = |rows: &[BTreeMap<String, String>]| rows.iter().map(|row| row["path"].clone()).collect::<Vec<_>>();
    assert_eq!(paths(&answers), paths(&manifest));
    let mut fold_of = BTreeMap::new();
    for fold in 1..=2 {
        let own = rows(&out.join(format!("fold-{fold}/data/manifest.csv")));
        assert!(own.iter().all(|row| row["split"] != "val"));
        for row in own.iter().filter(|row| row["split"] == "test") {
            assert_eq!(*fold_of.entry(row["artist"].clone()).or_insert(fold), fold, "{}", row["artist"]);
        }
        let tested = rows(&out.join(format!("fold-{fold}/test-predictions.csv")));
        assert_eq!(tested.len(), 20);
        assert!(tested.iter().all(|row| answers.contains(row)));
    }
    assert_eq!(fold_of.len(), 20);
    let (score, interval) = (&told["score"], told["score"]["accuracy_ci"].as_array().unwrap());
    assert_eq!(score["groups"], 20);
    assert!(
        interval[0].as_f64() < score["all"]["accuracy"].as_f64()
            && interval[1].as_f64() >= score["all"]["accuracy"].as_f64()
    );
    let checked = good(&["check", text(out)]);
    assert!(checked.stdout.contains("2 folds") && checked.stdout.contains("40 answers"), "{}", checked.stdout);
}

#[test]
fn corrections_go_through_an_import_and_are_gone_from_the_next_list() {
    let Planted { data, out, .. } = planted();
    let dir = tempfile::tempdir().unwrap();
    // As somebody would in a spreadsheet: the column `action` of labels.csv.
    let mut list = rows(&out.join("labels.csv"));
    list[0].insert("action".into(), "change".into());
    list[1].insert("action".into(), "drop".into());
    list[2].insert("action".into(), "keep".into());
    let corrections = dir.path().join("labels.csv");
    let mut csv = csv::Writer::from_path(&corrections).unwrap();
    csv.write_record(list[0].keys()).unwrap();
    list.iter().for_each(|row| csv.write_record(row.values()).unwrap());
    csv.flush().unwrap();
    let new = dir.path().join("new");
    let import = ["import", text(data), "--corrections", text(&corrections), "--out", text(&new), "--size", "32"];
    let done = good(&import);
    assert!(done.stderr.contains("1 labels changed, 1 covers left out, 1 labels kept"), "{}", done.stderr);
    let made = rows(&new.join("manifest.csv"));
    let label = |path: &str| made.iter().find(|row| row["path"] == path).map(|row| row["label"].clone());
    assert_eq!(made.len(), 39);
    let suggestion = list[0]["suggestion"].trim_start_matches('\'').to_owned();
    assert_eq!((label(&list[0]["path"]), label(&list[1]["path"])), (Some(suggestion), None));
    // The same again is nothing to do, and other corrections are.
    assert!(good(&import).stderr.contains("nothing to do"));
    fs::write(&corrections, format!("path,label,suggestion,action\n\"{}\",x,y,drop\n", list[0]["path"])).unwrap();
    refused(&import, &["labels.csv: line 2", "and not `x` any more"]);
}

#[test]
fn the_same_command_goes_on_and_other_settings_are_refused() {
    let Planted { data, out, .. } = planted();
    let call = options(data, out);
    let before: Vec<Vec<u8>> =
        ["fold-1/last.safetensors", "labels.csv"].map(|name| fs::read(out.join(name)).unwrap()).into();
    refused(&[&call[..], &["--epochs", "9"]].concat(), &["cannot be used multiple times"]);
    let other: Vec<&str> = call.iter().map(|&word| if word == "8" { "9" } else { word }).collect();
    // `--batch 8` and `--epochs 8`, both.
    refused(&other, &["was begun with", "--epochs 8", "--batch 8"]);
    refused(&["labels", text(out), "--folds", "3"], &["was begun with --folds 2"]);
    refused(&["labels", text(out), "--epochs", "3"], &["was begun with", "--epochs 8", "--lr "]);
    refused(&["labels", text(data)], &["--out DIR is missing"]);
    // A folder of folds says all itself; what is finished is not trained again.
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("found");
    for (file, bytes) in files(out) {
        fs::create_dir_all(copy.join(&file).parent().unwrap()).unwrap();
        fs::write(copy.join(file), bytes).unwrap();
    }
    // As if it had been killed within the second fold.
    fs::remove_file(copy.join("fold-2/test-predictions.csv")).unwrap();
    for name in ["labels.csv", "labels.html", "labels.json", "out-of-fold.csv"] {
        fs::remove_file(copy.join(name)).unwrap();
    }
    let done = good(&["labels", text(&copy), "--no-tune"]);
    assert!(
        done.stderr.contains("fold 1 of 2\nis finished") && done.stderr.contains("resuming after epoch 8"),
        "{}",
        done.stderr
    );
    let after: Vec<Vec<u8>> =
        ["fold-1/last.safetensors", "labels.csv"].map(|name| fs::read(copy.join(name)).unwrap()).into();
    assert!(before == after, "other bytes");
    assert!(done.stdout.contains("all covers, each answered by the network that had not seen it"), "{}", done.stdout);
}

#[test]
fn folds_are_checked_before_the_long_run_and_give_a_score_over_all_covers() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("data"), dir.path().join("folds"));
    draw(&data, &[("Folk", 9), ("Jazz", 3)]);
    let call = |folds: &'static str, more: &[&'static str]| -> Vec<String> {
        let all = train(&data, &out, &[&["--folds", folds, "--epochs", "1", "--net", "small"], more].concat());
        all.into_iter().map(str::to_owned).collect()
    };
    let refused = |folds, more: &[&'static str], parts: &[&str]| {
        let call = call(folds, more);
        refused(&call.iter().map(String::as_str).collect::<Vec<_>>(), parts);
        assert!(!out.exists());
    };
    refused("4", &[], &["class `Jazz` has 3 covers, fewer than the 4 folds: say --folds 3", "--without Jazz"]);
    refused("1", &[], &["--folds 1: must be a whole number from 2 to 100"]);
    refused("3", &["--split", "80,20"], &["--split", "cannot be used with"]);
    refused("3", &["--patience", "2"], &["--patience 2", "folds have none"]);
    let words = call("3", &["--json"]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let told = good(&words).json();
    has_keys(&told, &["data", "folds", "config", "runs", "score"]);
    assert_eq!((&told["score"]["all"]["n"], told["runs"].as_array().unwrap().len()), (&Value::from(12), 3));
    assert!(out.join("fold-3/report.html").is_file() && out.join("out-of-fold.csv").is_file());
    fails(2, &words, &["holds runs already; add --resume"]);
    let resume = ["train", text(&data), "--out", text(&out), "--resume"];
    let done = good(&resume);
    assert_eq!(done.stderr.matches("is finished").count(), 3);
    crate::common::refused(&[&resume[..], &["--folds", "4"]].concat(), &["--folds 4", "was begun with 3"]);
    // One fold by itself, from its own settings.
    let again = dir.path().join("again");
    let (prepared, recipe) = (out.join("data"), out.join("fold-2/config.toml"));
    good(&["train", text(&prepared), "--recipe", text(&recipe), "--no-tune", "--out", text(&again)]);
    assert_eq!(
        fs::read(again.join("last.safetensors")).unwrap(),
        fs::read(out.join("fold-2/last.safetensors")).unwrap()
    );
    crate::common::refused(
        &["train", text(&data), "--recipe", text(&recipe), "--out", text(&dir.path().join("x"))],
        &["fold 2/3", "import it"],
    );
}

#[test]
fn a_report_of_strange_classes_is_safe_and_as_large_as_was_asked_for() {
    let Planted { out, .. } = planted();
    let (dir, fold) = (tempfile::tempdir().unwrap(), out.join("fold-1"));
    for (gallery, covers) in [("0", 0), ("3", 3), ("100", 20)] {
        let page = dir.path().join("page.html");
        good(&["report", text(&fold), "--gallery", gallery, "--out", text(&page)]);
        let page = fs::read_to_string(page).unwrap();
        assert_eq!(page.matches("<li ").count(), covers, "--gallery {gallery}");
        assert!(!page.contains("<script>alert") && !page.contains("http:") && !page.contains("https:"));
        assert!(page.contains("R&amp;B &lt;script&gt;alert(1)"));
        // A cell of the matrix leads to a cover of it, and only if there is one.
        let links: BTreeSet<&str> =
            page.split("href=\"#cell-").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let places: BTreeSet<&str> =
            page.split("id=\"cell-").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        assert_eq!((links.is_empty(), &links), (covers == 0, &places), "--gallery {gallery}");
    }
    refused(&["report", text(&fold), "--gallery", "9999"], &["--gallery 9999: must be a whole number from 0 to 2000"]);
}
