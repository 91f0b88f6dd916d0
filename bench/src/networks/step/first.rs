//! The first step of a fresh process, with empty and with filled caches.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use gatefold::train::Precision;
use gatefold_engine::{Error, Result};

use super::Arguments;

/// Where drivers and Gatefold keep what they compiled or tuned.
const CACHES: [&str; 5] =
    ["GATEFOLD_CACHE", "XDG_CACHE_HOME", "MESA_SHADER_CACHE_DIR", "__GL_SHADER_DISK_CACHE_PATH", "CUDA_CACHE_PATH"];

/// Takes the first step in two processes, one after the other, that share a cache folder which is empty at first. In seconds.
pub fn cold_and_warm(arguments: &Arguments) -> Result<(f64, f64)> {
    let cache = tempfile::tempdir().map_err(|e| Error::run(format!("no temporary folder: {e}")))?;
    Ok((first_step(arguments, cache.path())?, first_step(arguments, cache.path())?))
}

fn first_step(arguments: &Arguments, cache: &Path) -> Result<f64> {
    let fault = |e: &dyn std::fmt::Display| Error::run(format!("--first-step: {e}"));
    let mut command = Command::new(env::current_exe().map_err(|e| fault(&e))?);
    command.args(["step", &arguments.net, "--steps", "1", "--json"]);
    for (name, value) in [("--batch", arguments.batch), ("--size", arguments.size), ("--classes", arguments.classes)] {
        command.args([name, &value.to_string()]);
    }
    if arguments.precision == Precision::Mixed {
        command.args(["--precision", "mixed"]);
    }
    for (name, given) in [("--tune", arguments.tuning.tune), ("--no-tune", arguments.tuning.no_tune)] {
        command.args(given.then_some(name));
    }
    if let Some(adapter) = &arguments.common.adapter {
        command.args(["--adapter", adapter]);
    }
    for name in CACHES {
        command.env(name, cache);
    }
    let output = command.stderr(Stdio::inherit()).output().map_err(|e| fault(&e))?;
    if !output.status.success() {
        return Err(fault(&format!("the fresh process ended with {}", output.status)));
    }
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).map_err(|e| fault(&e))?;
    answer["first_step_s"].as_f64().ok_or_else(|| fault(&"the fresh process told no time"))
}
