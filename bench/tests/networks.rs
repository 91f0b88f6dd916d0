//! What needs networks, with the smallest work there is: it ends well, and its JSON has the keys that scripts rely on.

mod common;

use approx::assert_abs_diff_eq;
use common::{assert_bad_input, bench, json, json_lines, positive};
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
fn kernels_go_through_a_gpus_compiler_or_the_remedy_is_named() {
    let arguments = ["isa", "--net", "small", "--batch", "2", "--size", "16"];
    let output = bench(&[&arguments[..], &["--json"]].concat());
    if output.status.code() == Some(2) {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains("mesa-vulkan-drivers"), "{text}");
        eprintln!("skipped: {text}");
        return;
    }
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for precision in ["f32", "mixed"] {
        let of = |line: &&serde_json::Value| line["precision"] == precision;
        let steps = lines.iter().filter(of).filter(|line| line["launches"].is_number()).count();
        let convolutions = lines.iter().filter(of).filter(|line| line["op"] == "conv2d" && line["chosen"] == true);
        assert!(steps == 1 && convolutions.clone().count() >= 6, "{precision}");
        for line in convolutions {
            positive(line, &["vgprs", "waves_per_simd", "inverse_throughput", "modelled_ms", "roofline_ms"]);
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("earlier.jsonl");
    std::fs::write(&file, &text).unwrap();
    let output = bench(&[&arguments[..], &["--against", file.to_str().unwrap()]].concat());
    let (told, code) = (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code());
    assert!(code == Some(0) && told.contains("  before  ") && told.contains("  before: "), "{told}");
}

#[test]
fn bad_input_is_one_line_and_exit_code_2() {
    for arguments in [
        &["kernels", "--net", "alexnet"][..],
        &["step", "small", "--size", "16", "--steps", "0"],
        &["step", "alexnet"],
        &["compare", "--only", "conv9d"],
        &["compare", "--without", "jax"],
        &["isa", "--against", "no/such/file"],
        &["isa", "--net", "alexnet"],
        &["serve", "no/such/run"],
        &["serve", "no/such/run", "--clients", "0"],
        &["serve", "no/such/run", "--picture", "0"],
    ] {
        assert_bad_input(arguments);
    }
}
