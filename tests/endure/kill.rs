//! Kills at any moment, and two processes in one folder.

use std::process::Stdio;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;

use crate::tool::{Base, RUN, SET, Verdict, below, command, differing, killed_after, run, run_with, text};

/// A call is killed again and again, at most so often, before it is left alone.
const KILLS: usize = 4;

fn wait(rng: &mut ChaCha8Rng, most: usize) -> Duration {
    Duration::from_millis(below(rng, most) as u64)
}

/// However often an import is killed, the same call ends in the same bytes.
pub fn import(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("set");
    let words = base.import(&out);
    let mut killed = false;
    for _ in 0..=below(rng, KILLS) {
        killed |= !killed_after(&words, wait(rng, 250))?;
    }
    run(&words)?.succeeds()?;
    differing(&base.set, &out, &SET)?;
    if out.join(".import").exists() {
        return Err(".import is left".into());
    }
    Ok(if killed { "killed, the same bytes" } else { "ended before it was killed" })
}

/// However often training is killed, `--resume` ends in the same bytes.
pub fn train(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("run");
    let mut words = base.train(&out);
    let mut killed = false;
    for _ in 0..=below(rng, KILLS) {
        killed |= !killed_after(&words, wait(rng, 3000))?;
        if out.is_dir() && !words.contains(&"--resume") {
            words.push("--resume");
        }
    }
    run(&words)?.succeeds()?;
    differing(&base.run, &out, &RUN)?;
    run(&["check", text(&out)])?.succeeds()?;
    Ok(if killed { "killed, the same bytes" } else { "ended before it was killed" })
}

/// Of two processes one trains, the other is refused, and the run is whole.
pub fn two_at_once(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("run");
    let words = base.train(&out);
    let mut first = command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    std::thread::sleep(wait(rng, 1500));
    let second = run(&words);
    let first = first.wait().map_err(|e| e.to_string())?;
    let codes = [first.code(), second?.code];
    if !matches!(codes, [Some(0), Some(2)] | [Some(2), Some(0)]) {
        return Err(format!("exit codes {codes:?} instead of 0 and 2"));
    }
    differing(&base.run, &out, &RUN)?;
    Ok("one trained, one was refused")
}

/// A device that fails at any moment: one line, exit code 1, and `--resume` ends in the same bytes.
pub fn device(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("run");
    let mut words = base.train(&out);
    let (kind, most) = [("lose", 120), ("refuse", 60), ("late", 60)][below(rng, 3)];
    let fault = format!("{kind}:{}", 1 + below(rng, most));
    let done = run_with(&words, &[("GATEFOLD_FAULT", &fault)])?;
    let told = match (done.code, kind) {
        (Some(0), "late") => "late, the same bytes",
        (Some(0), _) => "ended before it failed",
        (Some(1), "lose" | "refuse")
            if done.stderr.contains("device was lost") || done.stderr.contains("out of memory") =>
        {
            "failed, the same bytes"
        }
        (code, _) => return Err(format!("{fault}: exit code {code:?}: {}", done.stderr)),
    };
    if done.code != Some(0) {
        words.extend(out.is_dir().then_some("--resume"));
        run(&words)?.succeeds().map_err(|e| format!("after {fault}: {e}"))?;
    }
    differing(&base.run, &out, &RUN).map_err(|e| format!("after {fault}: {e}"))?;
    Ok(told)
}
