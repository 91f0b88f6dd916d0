//! The program as people and scripts start it: what it prints, and how it ends.

use std::process::{Command, Output};

use kernels_tests::{OPS, Trait};
use serde_json::Value;

fn kernels_tests(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_kernels-tests")).args(arguments).output().expect("the program starts")
}

fn json(arguments: &[&str]) -> Value {
    let output = kernels_tests(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON value and nothing else")
}

#[test]
fn the_table_has_a_line_for_each_case_and_one_that_sums_up() {
    let output = kernels_tests(&["--op", "relu"]);
    assert_eq!(output.status.code(), Some(0));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("adapter: ") && lines[1].starts_with("op  ") && lines[1].ends_with("  verdict"),
        "{text}"
    );
    assert!(
        lines[2..lines.len() - 1].iter().all(|line| line.starts_with("relu  ") && line.ends_with("  ok")),
        "{text}"
    );
    assert_eq!(lines[lines.len() - 1], format!("{} cases, 0 failed", lines.len() - 3));
}

#[test]
fn json_is_one_object_with_every_run_in_it() {
    let report = json(&["--op", "fill,flatten", "--op", "loss", "--json", "--unchecked"]);
    assert!(report["program"] == "kernels-tests" && report["version"].is_string() && report["checked"] == false);
    assert!(report["adapter"]["name"].is_string() && report["adapter"]["max_binding_bytes"].as_u64() > Some(0));
    assert!(report["seconds"].as_f64().unwrap() > 0.0 && report["skipped"].is_array());
    let cases = report["cases"].as_array().unwrap();
    for op in ["fill", "flatten", "loss"] {
        assert!(cases.iter().any(|case| case["op"] == op), "{op}");
    }
    for case in cases {
        let status = case["status"].as_str().unwrap();
        assert!(["passed", "skipped"].contains(&status), "{case}");
        if status == "passed" {
            assert!(case["max"].as_f64().unwrap() <= case["tolerance"].as_f64().unwrap(), "{case}");
            let errors = case["errors"].as_array().unwrap();
            assert!(
                !errors.is_empty() && errors.iter().all(|e| e["what"].is_string() && e["error"].is_number()),
                "{case}"
            );
        } else {
            assert!(case["reason"].is_string(), "{case}");
        }
        let on_device = case["placement"] != "reference" && status == "passed";
        assert_eq!(case["kernel"].is_number(), on_device, "{case}");
        assert_eq!(case["variants"].as_array().unwrap().is_empty(), !on_device, "{case}");
    }
    let counted = |status: &str| cases.iter().filter(|case| case["status"] == status).count() as u64;
    for status in ["passed", "failed", "skipped"] {
        assert_eq!(report["totals"][status], counted(status));
    }
    assert!(report.get("coverage").is_none());
}

#[test]
fn a_kernel_that_ends_the_process_costs_its_cases_and_no_other() {
    let run = |form: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kernels-tests"));
        let command = command.args(["--op", "relu,copy", form]).env("GATEFOLD_FAULT", "crash:relu/backward VECTOR=4");
        command.output().unwrap()
    };
    let output = run("--json");
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let failed = |case: &&Value| case["status"] == "failed";
    let cases = report["cases"].as_array().unwrap();
    let lost: Vec<&Value> = cases.iter().filter(failed).collect();
    assert!(!lost.is_empty() && lost.iter().all(|case| case["op"] == "relu"), "{lost:?}");
    assert!(lost.iter().all(|case| case["reason"].as_str().unwrap().starts_with("the process ended with ")));
    // `relu: one channel` does not take that kernel, and comes behind cases that do.
    for (op, name) in [("relu", "one channel"), ("copy", "even")] {
        assert!(
            cases.iter().any(|case| case["op"] == op && case["case"] == name && case["status"] == "passed"),
            "{op}"
        );
    }
    // The short form: what an adapter report asks for.
    let output = run("--summary");
    assert_eq!(output.status.code(), Some(1));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(summary["failures"].as_array().unwrap().len(), lost.len());
    assert!(
        summary["adapter"]["driver"].is_string() && summary["cases"].is_null() && summary["ops"]["copy"]["failed"] == 0
    );
    assert_eq!(summary["ops"]["relu"]["failed"], lost.len());
    assert!(output.stdout.len() < 20_000);
}

#[test]
fn a_case_is_found_by_a_regular_expression() {
    let report = json(&["--case", "^(relu|add): one channel$", "--json"]);
    let mut found: Vec<_> =
        report["cases"].as_array().unwrap().iter().map(|case| (&case["op"], &case["case"])).collect();
    found.dedup();
    assert_eq!(found.len(), 2);
    assert!(found.iter().all(|(_, case)| **case == "one channel"));
}

#[test]
fn coverage_is_told_by_trait_in_both_forms() {
    let report = json(&["--op", "relu", "--coverage", "--json"]);
    let relu = &report["coverage"][0];
    assert_eq!(relu["op"], "relu");
    assert_eq!(relu["traits"]["odd_sizes"]["state"], "yes");
    assert_eq!(relu["traits"]["odd_sizes"]["case"], "odd sizes");
    assert_eq!(relu["traits"].as_object().unwrap().len(), Trait::ALL.len());
    assert!(relu["kernels"].to_string().contains("relu/backward VECTOR=4"));
    let text = String::from_utf8(kernels_tests(&["--op", "relu", "--coverage"]).stdout).unwrap();
    let lines = text.lines().skip_while(|line| !line.starts_with("coverage  "));
    let lines: Vec<&str> = lines.collect();
    assert!(Trait::ALL.iter().all(|of| lines[0].contains(&of.to_string())), "{text}");
    assert!(lines[1].starts_with("relu  ") && lines[1].contains("yes"), "{text}");
}

#[test]
fn the_list_needs_no_adapter() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kernels-tests"));
    // No loader of any API finds a driver here.
    let output = command
        .args(["--list", "--json"])
        .env("VK_DRIVER_FILES", "/nonexistent")
        .env("VK_ICD_FILENAMES", "/nonexistent");
    let output = output.output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let list: Value = serde_json::from_slice(&output.stdout).unwrap();
    let ops = list["ops"].as_array().unwrap();
    assert_eq!(ops.iter().map(|op| op["op"].as_str().unwrap()).collect::<Vec<_>>(), OPS);
    for op in ops {
        assert!(!op["cases"].as_array().unwrap().is_empty() && !op["kernels"].as_array().unwrap().is_empty(), "{op}");
    }
    let text = String::from_utf8(kernels_tests(&["--list", "--op", "copy"]).stdout).unwrap();
    assert!(text.starts_with("copy\n") && text.contains("slice 4, slice 3, half"), "{text}");
}

#[test]
fn bad_usage_is_one_line_and_exit_code_2() {
    for (arguments, said) in [
        (&["--op", "rellu"][..], "did you mean relu?"),
        (&["--op", "relu,xyzzy"], "there are: adam, "),
        (&["--case", "("], "not a regular expression"),
        (&["--case", "no such case"], "no case matches"),
        (&["--op", "relu", "--case", "^add"], "no case of relu matches"),
        (&["--adapter", "voodoo"], "adapter voodoo"),
    ] {
        let output = kernels_tests(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
        let ours: Vec<_> = errors.iter().filter(|line| line.contains(said)).collect();
        assert!(ours.len() == 1 && output.stdout.is_empty(), "{arguments:?}: {text}");
    }
}
