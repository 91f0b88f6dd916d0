//! `roofline` and `kernels` with the smallest work there is: they end well, and their JSON has the keys that scripts rely on.

mod common;

use common::{assert_bad_input, json, json_lines, positive};

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
fn kernels_of_the_test_rows_are_timed_by_op() {
    let timings = json_lines(&["kernels", "--op", "fill", "--seconds", "0.001", "--json"]);
    assert!(!timings.is_empty() && timings.iter().all(|t| t["op"] == "fill"));
    for timing in &timings {
        positive(timing, &["median_ms", "gbytes_per_s", "roofline_share", "count"]);
    }
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    for arguments in [&["kernels", "--op", "conv3d"][..], &["kernels", "--seconds", "0"]] {
        assert_bad_input(arguments);
    }
}
