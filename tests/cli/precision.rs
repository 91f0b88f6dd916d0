//! Training in mixed precision, as a user runs it.

use std::fs;

use crate::common::*;

/// Whether the adapter that would be used computes with 16-bit numbers. Without them the option is refused, which
/// `tests/engine/mixed.rs` sees to.
fn has_halves() -> bool {
    let devices = good(&["devices", "--json"]).json();
    let used = devices["used"].as_u64().unwrap() as usize;
    devices["adapters"][used]["f16"].as_bool().unwrap()
}

#[test]
fn mixed_precision_learns_the_same_resumes_to_the_same_bytes_and_needs_less() {
    if !has_halves() {
        return;
    }
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let run = |name: &str, precision: &str, epochs: &str| {
        let run = out.path().join(name);
        let options = ["--dropout", "0", "--schedule", "constant", "--epochs", epochs];
        good(&train(data, &run, &[&options[..], &["--precision", precision]].concat()));
        run
    };
    let (full, mixed, resumed) = (run("full", "f32", "3"), run("mixed", "mixed", "3"), run("resumed", "mixed", "1"));
    good(&["train", text(data), "--out", text(&resumed), "--resume", "--epochs", "3"]);
    assert!(fs::read(mixed.join("last.safetensors")).unwrap() == fs::read(resumed.join("last.safetensors")).unwrap());

    let lines = |run: &std::path::Path, kind: &str| -> Vec<serde_json::Value> {
        let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
        let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["kind"] == kind).collect()
    };
    let last_loss = |run| lines(run, "epoch").last().unwrap()["train_loss"].as_f64().unwrap();
    let (a, b) = (last_loss(&full), last_loss(&mixed));
    assert!(a < 0.6 && b < 0.6, "losses of {a} and {b}, where guessing has 1.1");
    assert_eq!(lines(&mixed, "step")[0]["loss_scale"], 65_536.0);
    assert!(lines(&full, "step")[0].get("loss_scale").is_none());

    let needs = |precision: &str| {
        let options = ["train", "--dry-run", "--classes", "5", "--json", "--precision", precision];
        good(&options).json()["activation_bytes"].as_u64().unwrap()
    };
    assert!(3 * needs("mixed") < 2 * needs("f32"));
}
