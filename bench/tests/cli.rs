//! Each subcommand with the smallest work there is: it ends well, and its JSON has the keys that scripts rely on.

use std::process::{Command, Output};

use serde_json::Value;

fn bench(arguments: &[&str]) -> Output {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).env("GATEFOLD_CACHE", cache.path()).output().expect("the bench starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = bench(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

fn positive(value: &Value, keys: &[&str]) {
    for key in keys {
        let number = value[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", value[key]));
        assert!(number.is_finite() && number > 0.0, "{key} is {number}");
    }
}

#[test]
fn roofline_measures_multiply_adds_and_copies() {
    let report = json(&["roofline", "--seconds", "0.02", "--json"]);
    positive(&report["ceilings"], &["gflops", "copy_gbytes_per_s"]);
    let named = |what: &str| report["measurements"].as_array().unwrap().iter().any(|m| m["what"] == what);
    assert!(named("multiply-add f32") && named("copy"));
    // What is not measured is said to be skipped.
    let skipped = report["skipped"].to_string();
    for what in ["multiply-add f16", "cooperative matrix"] {
        assert_ne!(named(what), skipped.contains(what), "{what}");
    }
}

#[test]
fn kernels_of_a_network_are_timed_and_agree_with_the_plain_ones() {
    let arguments = ["--net", "small", "--batch", "2", "--size", "16", "--all", "--seconds", "0.001", "--json"];
    let timings = json(&[&["kernels"], &arguments[..]].concat());
    let timings = timings.as_array().unwrap();
    for pass in ["forward", "grad_input", "grad_weight"] {
        assert!(timings.iter().any(|t| t["op"] == "conv2d" && t["pass"] == pass), "{pass}");
    }
    for timing in timings {
        positive(timing, &["median_ms", "gbytes_per_s", "roofline_share", "count"]);
        assert!(timing["gflops"].as_f64().unwrap() >= 0.0 && timing["error"].as_f64().unwrap() < 1e-4, "{timing}");
        assert!(timing["shape"].as_str().unwrap().contains("->") && timing["variant"].is_string(), "{timing}");
    }
}

#[test]
fn kernels_of_the_test_rows_are_timed_by_op() {
    let timings = json(&["kernels", "--op", "fill", "--seconds", "0.001", "--json"]);
    assert!(timings.as_array().unwrap().iter().all(|t| t["op"] == "fill"));
}

#[test]
fn a_step_is_timed_and_profiled_and_its_memory_stays() {
    let arguments = ["--batch", "2", "--size", "16", "--steps", "100", "--profile", "--json"];
    let time = json(&[&["step", "small"], &arguments[..]].concat());
    let keys =
        ["images_per_second", "host_ms_per_step", "launches_per_step", "peak_bytes", "first_step_s", "batch", "size"];
    positive(&time, &keys);
    assert!(time["network"] == "small" && time["precision"] == "f32" && time["adapter"].is_string());
    assert_eq!(time["allocated_after_10"], time["allocated_at_end"]);
    let dearest = time["profile"]["dearest"].as_array().unwrap();
    assert_eq!(dearest.len(), 10);
    positive(&dearest[0], &["ms", "roofline_share"]);
}

#[test]
fn a_comparison_says_who_is_missing_and_how_to_get_them() {
    let nowhere = ["--burn", "no/such/program", "--python", "no-such-python", "--rounds", "1", "--seconds", "0.001"];
    let report = json(&[&["compare", "--only", "ReLU", "--json"], &nowhere[..]].concat());
    let missing = report["missing"].to_string();
    assert!(missing.contains("bench/peers/burn/Cargo.toml") && missing.contains("--python"), "{missing}");
    let lines = report["lines"].as_array().unwrap();
    assert_eq!(lines.iter().map(|line| line["pass"].as_str().unwrap()).collect::<Vec<_>>(), ["forward", "backward"]);
    positive(&lines[0], &["median_ms"]);
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    for arguments in [
        &["kernels", "--op", "conv3d"][..],
        &["kernels", "--net", "alexnet"],
        &["kernels", "--seconds", "0"],
        &["step", "small", "--size", "16", "--steps", "0"],
        &["step", "alexnet"],
        &["compare", "--only", "conv9d"],
        &["compare", "--without", "jax"],
    ] {
        let output = bench(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(errors.len(), 1, "{arguments:?}: {text}");
    }
}
