//! Starts the bench with the smallest work there is.

use std::process::{Command, Output};

use serde_json::Value;

pub fn bench(arguments: &[&str]) -> Output {
    let cache = tempfile::tempdir().expect("a temporary folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_bench"));
    command.args(arguments).env("GATEFOLD_CACHE", cache.path()).output().expect("the bench starts")
}

pub fn json(arguments: &[&str]) -> Value {
    let output = bench(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("one JSON value")
}

/// For commands that print a line of JSON for each thing that they measure.
pub fn json_lines(arguments: &[&str]) -> Vec<Value> {
    let output = bench(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("one JSON value a line")).collect()
}

pub fn positive(value: &Value, keys: &[&str]) {
    for key in keys {
        let number = value[key].as_f64().unwrap_or_else(|| panic!("{key} is {}", value[key]));
        assert!(number.is_finite() && number > 0.0, "{key} is {number}");
    }
}

pub fn assert_bad_input(arguments: &[&str]) {
    let output = bench(arguments);
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
    let errors: Vec<&str> =
        text.lines().filter(|line| line.starts_with("error: ") && !line.contains("XDG_RUNTIME_DIR")).collect();
    assert_eq!(errors.len(), 1, "{arguments:?}: {text}");
}
