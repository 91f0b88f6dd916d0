//! Full disks: a small file system in memory where the user may mount one.

use std::path::Path;
use std::process::{Command, Stdio};

use rand_chacha::ChaCha8Rng;

use crate::tool::{Base, RUN, SET, Verdict, below, differing, run};

/// A file system of so many KiB, unmounted when it is dropped.
struct Small<'a>(&'a Path);

fn mount(words: &[&str], at: &Path) -> bool {
    let status = Command::new("mount").args(words).arg(at).stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

impl<'a> Small<'a> {
    fn new(at: &'a Path, kib: usize) -> Result<Option<Self>, String> {
        std::fs::create_dir_all(at).map_err(|e| e.to_string())?;
        Ok(mount(&["-t", "tmpfs", "-o", &format!("size={kib}k"), "tmpfs"], at).then_some(Self(at)))
    }

    /// As somebody who has made room.
    fn grow(&self) -> bool {
        mount(&["-o", "remount,size=512m"], self.0)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// A call on a disk with too little room: it says so with exit code 1, and with more room the same call ends in the same bytes.
fn filled(at: &Path, kib: usize, words: &[&str], whole: &Path, names: &[&str], resume: bool) -> Verdict {
    let Some(disk) = Small::new(at, kib)? else { return Ok("not tried: no right to mount") };
    let out = at.join("out");
    let done = run(words)?;
    match done.code {
        Some(0) => {
            differing(whole, &out, names)?;
            return Ok("had room enough");
        }
        // Too little room is told before anything is written, too, and that is the user's to mend.
        Some(1 | 2) if done.stderr.contains("space") => {}
        code => return Err(format!("exit code {code:?} on a full disk: {}", done.stderr)),
    }
    if !disk.grow() {
        return Err("the disk cannot be made larger".into());
    }
    let again: Vec<&str> = words.iter().copied().chain((resume && out.is_dir()).then_some("--resume")).collect();
    run(&again)?.succeeds()?;
    differing(whole, &out, names)?;
    Ok("full, then the same bytes")
}

pub fn import(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let at = base.round().join("disk");
    let out = at.join("out");
    let words = base.import(&out);
    filled(&at, 4 + below(rng, 900), &words, &base.set, &SET, false)
}

pub fn train(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let at = base.round().join("disk");
    let out = at.join("out");
    filled(&at, 4 + below(rng, 6000), &base.train(&out), &base.run, &RUN, true)
}
