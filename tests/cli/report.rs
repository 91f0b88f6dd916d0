//! `report`, event files for TensorBoard, and `train --seeds`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::*;

/// The page, checked for being whole, well-formed and self-contained.
#[track_caller]
fn page(path: &Path) -> String {
    let html = fs::read_to_string(path).unwrap();
    assert!(html.starts_with("<!DOCTYPE html>") && html.trim_end().ends_with("</html>"));
    for address in html.split(" src=\"").skip(1).chain(html.split(" href=\"").skip(1)) {
        let inside = ["data:", "#", "audit/"].iter().any(|start| address.starts_with(start));
        assert!(inside, "the page needs another file: {}", &address[..address.len().min(80)]);
    }
    assert!(
        !html.contains("http:") && !html.contains("https:") && !html.contains("@import"),
        "the page needs a network"
    );
    balanced(&html);
    html
}

/// Checks that every element is closed by its own end.
#[track_caller]
fn balanced(html: &str) {
    const EMPTY: [&str; 5] = ["meta", "link", "img", "br", "!DOCTYPE"];
    let (mut open, mut rest) = (vec![], html);
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let end = rest.find('>').expect("a tag is cut off");
        let (tag, inner) = (&rest[..end], rest[..end].trim_start_matches('/'));
        let name = inner.split([' ', '/', '\n']).next().unwrap();
        rest = &rest[end + 1..];
        if tag.starts_with('/') {
            assert_eq!(open.pop(), Some(name), "</{name}> closes another element");
        } else if !EMPTY.contains(&name) && !tag.ends_with('/') {
            open.push(name);
            if name == "script" || name == "style" {
                rest = &rest[rest.find(&format!("</{name}>")).expect("never ends")..];
            }
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
}

fn json_of(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn percent(value: &Value) -> String {
    format!("{:.1} %", 100.0 * value.as_f64().unwrap())
}

#[test]
fn training_leaves_a_report_with_the_numbers_of_the_score() {
    let trained = three();
    let html = page(&trained.run.join("report.html"));
    let score = json_of(&trained.run.join("test.json"));
    for key in ["accuracy", "majority", "chance", "stratified", "balanced_accuracy"] {
        assert!(html.contains(&percent(&score[key])), "{key} is missing");
    }
    let [low, high] = [0, 1].map(|end| 100.0 * score["accuracy_ci"][end].as_f64().unwrap());
    assert!(html.contains(&format!("{low:.1} % – {high:.1} %")));
    for row in score["per_class"].as_array().unwrap() {
        let cell = format!("<th scope=\"row\">{}</th>", row["label"].as_str().unwrap());
        assert!(html.contains(&cell) && html.contains(&format!("{:.3}", row["f1"].as_f64().unwrap())), "{row}");
    }
    let counts = html.split("<table class=\"matrix\">").nth(1).unwrap().split("</table>").next().unwrap();
    for row in score["confusion"].as_array().unwrap() {
        for count in row.as_array().unwrap() {
            assert!(counts.contains(&format!(">{count}</td>")), "{count} is missing in the matrix");
        }
    }
    assert!(html.matches("<svg").count() >= 6 && html.contains("Reliability, ECE"));
    assert!(!html.contains("ROC, area"), "three classes have no ROC");
    // Covers and their maps, as JPEGs, and what maps do not show.
    assert!(
        html.matches("data:image/jpeg;base64,").count() >= 2
            && html.contains("Traces that lie everywhere, such as blur")
    );
    assert!(html.len() < 4_000_000, "{} bytes", html.len());
    for part in [
        "seed 3",
        "Adapter",
        "images/s",
        "Peak memory",
        "Not audited yet",
        ">gatefold</span> <span>train</span>",
        ">--epochs</span> <span>2<",
    ] {
        assert!(html.contains(part), "`{part}` is missing");
    }
    assert!(trained.done.stderr.contains("report: "), "{}", trained.done.stderr);
}

#[test]
fn the_command_in_a_report_repeats_the_run() {
    let trained = two();
    let html = fs::read_to_string(trained.run.join("report.html")).unwrap();
    let html = html.replace("<span>", "").replace("</span>", "");
    let command = html.split(">gatefold train ").nth(1).unwrap().split("</pre>").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let again = folder.path().join("again");
    let words: Vec<&str> = command.split(' ').collect();
    let out = words.iter().position(|&word| word == "--out").unwrap() + 1;
    assert_eq!(words[out], "run-again");
    let mut arguments = vec!["train"];
    arguments.extend(&words);
    arguments[out + 1] = text(&again);
    good(&arguments);
    for file in ["best.safetensors", "test.json", "test-predictions.csv", "config.toml"] {
        assert!(fs::read(again.join(file)).unwrap() == fs::read(trained.run.join(file)).unwrap(), "{file} differs");
    }
}

#[test]
fn two_classes_have_curves_over_thresholds_and_lost_answers_are_made_anew() {
    let (_folder, run) = two().copy();
    let (answers, report) = (run.join("test-predictions.csv"), run.join("report.html"));
    let before = fs::read(&answers).unwrap();
    fs::remove_file(&answers).unwrap();
    let summary = good(&["report", text(&run), "--json"]).json();
    let html = page(&report);
    assert!(fs::read(&answers).unwrap() == before, "other answers than at the end of training");
    let score = json_of(&run.join("test.json"));
    assert_eq!(summary["runs"][0]["test"], score);
    assert!(html.contains(&format!("ROC, area {:.3}", score["roc_auc"].as_f64().unwrap())));
    assert!(html.contains("Precision against recall") && html.contains("average precisions"));

    // The audit's verdict, with a link where it lies beside the page.
    fs::create_dir(run.join("audit")).unwrap();
    fs::write(run.join("audit/audit.json"), r#"{"verdict": "SHORTCUT FOUND", "summary": "Size tells <all>."}"#)
        .unwrap();
    fs::write(run.join("audit/audit.html"), "").unwrap();
    good(&["report", text(&run)]);
    let html = page(&report);
    assert!(
        html.contains("SHORTCUT FOUND")
            && html.contains("Size tells &lt;all&gt;.")
            && html.contains("href=\"audit/audit.html\"")
    );
    let elsewhere = run.parent().unwrap().join("page.html");
    good(&["report", text(&run), "--out", text(&elsewhere)]);
    assert!(!page(&elsewhere).contains("audit/audit.html"), "a link that leads nowhere");

    fs::write(&answers, "path,hash\n").unwrap();
    refused(&["report", text(&run)], &["test-predictions.csv", "cannot be read", "delete it"]);
}

#[test]
fn bad_calls_of_report_are_refused() {
    let trained = three();
    refused(&["report", text(&trained.data)], &["no config.toml"]);
    refused(&["report", trained.run(), two().run()], &["several runs", "--out"]);
    refused(&["report", trained.run(), "--out", text(&trained.data)], &["is a folder"]);
    refused(&["report", trained.run(), "--out", "no/such/folder.html"], &["make its folder first"]);
}

#[test]
fn runs_stand_side_by_side() {
    let folder = tempfile::tempdir().unwrap();
    let (out, other) = (folder.path().join("both.html"), folder.path().join("other"));
    let (first, second) = (three(), two());
    good(&train(&first.data, &other, &["--epochs", "1", "--seed", "3", "--lr", "0.01"]));
    let summary = good(&["report", first.run(), text(&other), "--out", text(&out), "--json"]).json();
    let html = page(&out);
    let pair = &summary["pairs"][0];
    assert_eq!(pair["shared"], json_of(&first.run.join("test.json"))["n"], "one split, one test set");
    // What McNemar counts must add up to the difference of the accuracies.
    let number = |value: &Value| value.as_f64().unwrap();
    let difference = (number(&pair["only_first"]) - number(&pair["only_second"])) / number(&pair["shared"]);
    assert!((difference - (number(&pair["accuracies"][0]) - number(&pair["accuracies"][1]))).abs() < 1e-9, "{pair}");
    for part in [
        "McNemar",
        "<th scope=\"row\">lr</th>",
        "<th scope=\"row\">epochs</th>",
        "Accuracy on the validation set",
        ">Jazz<",
    ] {
        assert!(html.contains(part), "`{part}` is missing");
    }
    assert!(!html.contains("The test sets differ") && summary["spread"].is_null());

    // Two classes of other covers: nothing of the test sets is shared, or only part of it.
    good(&["report", first.run(), second.run(), "--out", text(&out)]);
    assert!(page(&out).contains("The test sets differ"));
}

#[test]
fn seeds_are_told_with_mean_and_deviation_and_resumed() {
    let data = &three().data;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("seeds");
    let call = train(data, &out, &["--epochs", "1", "--seeds", "5,6", "--json"]);
    refused(&train(data, &out, &["--seeds", "5"]), &["--seeds 5", "two or more"]);
    refused(&train(data, &out, &["--seeds", "5,5"]), &["--seeds 5,5", "twice"]);
    let told = good(&call).json();
    let accuracies: Vec<f64> =
        [5, 6].map(|seed| json_of(&out.join(format!("seed-{seed}/test.json")))["accuracy"].as_f64().unwrap()).to_vec();
    let mean = (accuracies[0] + accuracies[1]) / 2.0;
    let deviation = (accuracies[0] - accuracies[1]).abs() / 2.0_f64.sqrt();
    let close = |value: &Value, expected: f64| (value.as_f64().unwrap() - expected).abs() < 1e-9;
    let score = &told["spread"]["accuracy"];
    assert!(close(&score["mean"], mean) && close(&score["std"], deviation), "{score}");
    assert_eq!(told, json_of(&out.join("seeds.json")));
    let html = page(&out.join("report.html"));
    assert!(html.contains("What the seed alone changes") && html.contains("seed-5 – seed-6"));
    let manifest = |seed: u64| fs::read(out.join(format!("seed-{seed}/data/manifest.csv"))).unwrap();
    assert!(manifest(5) == manifest(6), "the runs have different splits");
    refused(&call, &["holds runs already", "--resume"]);

    // One is taken away: it is made again, with the same bytes, and the other is left alone.
    let before = files(&out);
    fs::remove_dir_all(out.join("seed-6")).unwrap();
    let resumed = good(&["train", text(data), "--out", text(&out), "--resume"]);
    assert!(
        resumed.stderr.contains("is finished") && resumed.stdout.contains("mean and standard deviation"),
        "{}",
        resumed.stderr
    );
    for file in ["seed-6/test.json", "seed-6/best.safetensors", "seed-5/metrics.jsonl", "seeds.json"] {
        assert!(before[Path::new(file)] == fs::read(out.join(file)).unwrap(), "{file} differs");
    }
    // A third one joins.
    good(&["train", text(data), "--out", text(&out), "--resume", "--seeds", "5,6,7"]);
    assert_eq!(json_of(&out.join("seeds.json"))["runs"].as_array().unwrap().len(), 3);
    good(&["report", text(&out)]);
    assert!(page(&out.join("report.html")).contains("seed-7"));
}

/// Tags and numbers by step, read by hand from TFRecords of protocol buffers; the frames' lengths must lead to the end.
fn scalars(folder: &Path) -> BTreeMap<String, Vec<(u64, f32)>> {
    let mut found = BTreeMap::<String, Vec<(u64, f32)>>::new();
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        let bytes = fs::read(path).unwrap();
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let event = fields(&rest[12..12 + length]);
            rest = &rest[16 + length..];
            let step = event.iter().find(|(number, _)| *number == 2).map_or(0, |(_, bytes)| varint(bytes).0);
            for (_, summary) in event.iter().filter(|(number, _)| *number == 5) {
                for (_, value) in fields(summary) {
                    let value = fields(value);
                    let tag = String::from_utf8(value[0].1.to_vec()).unwrap();
                    found.entry(tag).or_default().push((step, f32::from_le_bytes(value[1].1.try_into().unwrap())));
                }
            }
        }
    }
    found
}

/// Numbers and bytes of a message's fields.
fn fields(mut bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut found = vec![];
    while !bytes.is_empty() {
        let (key, used) = varint(bytes);
        bytes = &bytes[used..];
        let (skip, length) = match key & 7 {
            0 => (0, varint(bytes).1),
            1 => (0, 8),
            5 => (0, 4),
            2 => {
                let (length, used) = varint(bytes);
                (used, length as usize)
            }
            kind => panic!("wire type {kind}"),
        };
        found.push((key >> 3, &bytes[skip..skip + length]));
        bytes = &bytes[skip + length..];
    }
    found
}

fn varint(bytes: &[u8]) -> (u64, usize) {
    let length = bytes.iter().position(|byte| byte & 128 == 0).unwrap() + 1;
    (bytes[..length].iter().rev().fold(0, |sum, byte| sum << 7 | u64::from(byte & 127)), length)
}

#[test]
fn event_files_hold_what_metrics_jsonl_holds_also_after_a_resumption() {
    let trained = three();
    let (_folder, run) = trained.copy();
    good(&["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs", "3"]);
    for run in [&trained.run, &run] {
        let found = scalars(&run.join("tensorboard"));
        for (kind, tag, key) in [
            ("step", "batch/loss", "loss"),
            ("step", "batch/lr", "lr"),
            ("epoch", "epoch/val_accuracy", "val_accuracy"),
        ] {
            let lines = metrics(run).into_iter().filter(|line| line["kind"] == kind);
            let expected: Vec<(u64, f32)> =
                lines.map(|line| (line["step"].as_u64().unwrap(), line[key].as_f64().unwrap() as f32)).collect();
            assert_eq!(found[tag], expected, "{tag}");
        }
    }
    let out = tempfile::tempdir().unwrap();
    let without = out.path().join("run");
    good(&train(&trained.data, &without, &["--epochs", "1", "--no-tensorboard"]));
    assert!(!without.join("tensorboard").exists());
}
