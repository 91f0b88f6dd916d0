//! Others: programs of their own, which print JSON.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gatefold_engine::{Error, Result};
use serde_json::Value;

use super::{Arguments, Line};
use crate::networks::session::Load;

/// Where the peers are: in this crate's folder or, on a machine that only has the program, beside that.
fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let beside = || Some(std::env::current_exe().ok()?.parent()?.join("peers"));
    if here.is_dir() { here } else { beside().unwrap_or(here) }
}

/// Those that can run, and a line for each that cannot.
pub struct Peers {
    pub found: Vec<Peer>,
    pub missing: Vec<String>,
}

/// How to start one.
pub struct Peer {
    pub name: &'static str,
    program: PathBuf,
    first: Vec<PathBuf>,
}

/// Looks for the peers that were not left out.
pub fn installed(arguments: &Arguments) -> Peers {
    let mut peers = Peers { found: vec![], missing: vec![] };
    let wanted = |name: &str| !arguments.without.iter().any(|left_out| left_out == name);
    let built = format!("burn/target/release/burn-peer{}", std::env::consts::EXE_SUFFIX);
    let burn = arguments.burn.clone().unwrap_or_else(|| folder().join(built));
    if wanted("burn") {
        if burn.is_file() {
            peers.found.push(Peer { name: "burn", program: burn, first: vec![] });
        } else {
            peers.missing.push(
                "burn: not built; cargo build --release --manifest-path bench/peers/burn/Cargo.toml (takes minutes)"
                    .into(),
            );
        }
    }
    if wanted("torch") {
        let mut python = Command::new(&arguments.python);
        let found = python.args(["-c", "import torch"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if found.is_ok_and(|status| status.success()) {
            let script = folder().join("torch_step.py");
            peers.found.push(Peer { name: "torch", program: arguments.python.clone(), first: vec![script] });
        } else {
            let python = arguments.python.display();
            peers.missing.push(format!(
                "torch: {python} has none; pip install torch torchvision, or name another Python with --python"
            ));
        }
    }
    peers
}

impl Peer {
    /// Runs it once: a network's step, or the ops.
    pub fn run(&self, load: Option<&Load>, arguments: &Arguments) -> Result<Vec<Line>> {
        let mut command = Command::new(&self.program);
        command.args(&self.first);
        match load {
            Some(load) => {
                command.args(["step", &load.net]);
                for (name, value) in [
                    ("--batch", load.batch),
                    ("--size", load.size),
                    ("--classes", load.classes),
                    ("--steps", arguments.steps),
                ] {
                    command.args([name, &value.to_string()]);
                }
            }
            None => {
                command.args(["ops", "--cases", &folder().join("cases.json").display().to_string()]);
                command.args(["--seconds", &arguments.seconds.to_string()]);
                if let Some(only) = &arguments.only {
                    command.args(["--only", only]);
                }
            }
        }
        let fault = |e: &dyn std::fmt::Display| Error::run(format!("{}: {e}", self.name));
        let output = command.output().map_err(|e| fault(&e))?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            return Err(fault(&format!("ended with {}: {last}", output.status)));
        }
        let answer: Value = serde_json::from_slice(&output.stdout).map_err(|e| fault(&e))?;
        lines(self.name, load, &answer).ok_or_else(|| fault(&"its answer has no times"))
    }
}

/// What a peer's answer says: `ops` as a list of lines, a step in the answer itself or a list of `steps`.
fn lines(peer: &str, load: Option<&Load>, answer: &Value) -> Option<Vec<Line>> {
    let Some(load) = load else {
        let mut lines: Vec<Line> = serde_json::from_value(answer["ops"].clone()).ok()?;
        lines.iter_mut().for_each(|line| line.peer = peer.to_owned());
        return Some(lines);
    };
    let steps = answer["steps"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
    let line = |step: &Value| {
        Some(Line {
            peer: format!("{peer} ({})", step["precision"].as_str()?),
            name: load.name(),
            pass: "step".into(),
            median_ms: step["step_ms"].as_f64()?,
            cpu_ms: step["cpu_ms_per_step"].as_f64(),
            first_step_s: step["first_step_s"].as_f64(),
        })
    };
    steps.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gatefold::train::Precision;
    use serde_json::json;

    #[test]
    fn both_forms_of_an_answer_are_read() {
        let load = Load { net: "prognet".into(), batch: 8, size: 64, classes: 5, precision: Precision::F32 };
        let step =
            json!({"precision": "f32", "step_ms": 3.5, "cpu_ms_per_step": null, "first_step_s": 1.0, "steps": 3});
        let one = lines("burn", Some(&load), &step).unwrap();
        assert_eq!((one[0].peer.as_str(), one[0].median_ms, one[0].cpu_ms), ("burn (f32)", 3.5, None));
        let many = lines("torch", Some(&load), &json!({"steps": [step, step]})).unwrap();
        assert_eq!(many.len(), 2);
        let op = json!({"ops": [{"name": "a", "pass": "forward", "median_ms": 1.0, "cpu_ms": 2.0, "runs": 9}]});
        assert_eq!(lines("torch", None, &op).unwrap()[0].cpu_ms, Some(2.0));
        assert!(lines("burn", Some(&load), &json!({})).is_none());
    }
}
