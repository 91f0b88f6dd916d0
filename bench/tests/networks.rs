//! What needs networks, with the smallest work there is: it ends well, and its JSON has the keys that scripts rely on.

mod common;

use approx::assert_abs_diff_eq;
use common::{assert_bad_input, json, json_lines, positive};
use kernels_tests::tolerance;

#[test]
fn kernels_of_a_network_are_timed_and_agree_with_the_plain_ones() {
    let arguments = ["--net", "small", "--batch", "2", "--size", "16", "--all", "--seconds", "0.001", "--json"];
    let timings = json_lines(&[&["kernels"], &arguments[..]].concat());
    for pass in ["forward", "grad_input", "grad_weight"] {
        assert!(timings.iter().any(|t| t["op"] == "conv2d" && t["pass"] == pass), "{pass}");
    }
    for timing in &timings {
        positive(timing, &["median_ms", "gbytes_per_s", "roofline_share", "count"]);
        assert!(timing["gflops"].as_f64().unwrap() >= 0.0, "{timing}");
        assert_eq!(timing["tolerance"], tolerance::OTHER_KERNEL);
        assert_abs_diff_eq!(timing["error"].as_f64().unwrap(), 0.0, epsilon = tolerance::OTHER_KERNEL);
        assert!(timing["shape"].as_str().unwrap().contains("->") && timing["variant"].is_string(), "{timing}");
    }
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
        &["kernels", "--net", "alexnet"][..],
        &["step", "small", "--size", "16", "--steps", "0"],
        &["step", "alexnet"],
        &["compare", "--only", "conv9d"],
        &["compare", "--without", "jax"],
        &["serve", "no/such/run"],
        &["serve", "no/such/run", "--clients", "0"],
        &["serve", "no/such/run", "--picture", "0"],
    ] {
        assert_bad_input(arguments);
    }
}
