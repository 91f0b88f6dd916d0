//! What a driver did not survive. Before something is tried that has ended programs, it is written down. What is still written down
//! when no living process tries it was under way when one ended. If that was a crash ([`crash`](super::crash)), it is done without from
//! then on. Else the program may have been killed, and it must happen twice in a row. A kernel that a driver refuses, or gives up the
//! device for, is done without at once.
//!
//! A file `trying-…` in the cache folder belongs to the process that has it locked. `refused-….json` keeps what was learnt of one
//! adapter with one driver; whoever deletes it has everything tried again.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::{AdapterSummary, Switch, crash};
use crate::file::{Temporary, replace};

/// Something that may end the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Attempt {
    /// A device is asked for with these.
    Open(Vec<Switch>),
    /// A kernel is compiled, or compiled and run.
    Kernel(String),
    /// Several are compiled side by side, so that nobody knows which one it was.
    Kernels,
}

/// What is done without on an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Refused {
    pub switches: BTreeSet<Switch>,
    /// Variants, for all shapes.
    pub kernels: BTreeSet<String>,
    /// Starts in a row that ended while kernels were compiled side by side.
    pub ended: u32,
    /// What was under way when the last start ended without a crash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspect: Option<Attempt>,
}

/// After so many of them kernels are compiled one after the other, until all of them have been.
const IN_A_ROW: u32 = 2;

impl Refused {
    pub fn one_by_one(&self) -> bool {
        self.ended >= IN_A_ROW
    }

    /// Takes over what was under way when a program ended, by a crash or not, and says what that means.
    fn add(&mut self, attempt: Attempt, crashed: bool) -> Option<String> {
        if !crashed && attempt != Attempt::Kernels && self.suspect.as_ref() != Some(&attempt) {
            self.suspect = Some(attempt);
            return None;
        }
        match attempt {
            Attempt::Open(asked) => {
                // One at a time: those that are suspected first come first.
                let switch = asked.into_iter().min()?;
                self.switches.insert(switch);
                Some(format!(
                    "an earlier start ended while a device was asked for, so `{}` is done without",
                    switch.name()
                ))
            }
            Attempt::Kernel(variant) => {
                let text = format!("an earlier start ended while kernel {variant} was tried, so it is not used");
                self.kernels.insert(variant);
                Some(text)
            }
            Attempt::Kernels => {
                self.ended = if crashed { IN_A_ROW } else { self.ended + 1 };
                let text = "earlier starts ended while kernels were compiled, so they are compiled one after the other";
                self.one_by_one().then(|| text.to_owned())
            }
        }
    }
}

/// The files of one adapter in a cache folder; without a folder nothing is written and nothing known.
#[derive(Debug)]
pub struct Attempts {
    place: Option<(PathBuf, String)>,
    refused: Mutex<Refused>,
    /// What was found on the way, a sentence each.
    pub notes: Vec<String>,
    /// Held while something is tried; what is tried meanwhile is part of it.
    under_way: Mutex<()>,
}

impl Attempts {
    /// Reads what is known, and what ended programs since.
    pub fn read(folder: Option<&Path>, adapter: &AdapterSummary) -> Self {
        let name = adapter.cache_key();
        let mut attempts = Self { place: None, refused: Mutex::default(), notes: vec![], under_way: Mutex::default() };
        let Some(folder) = folder.filter(|folder| fs::create_dir_all(folder).is_ok()) else { return attempts };
        attempts.place = Some((folder.to_owned(), name.clone()));
        // A file that cannot be read is one that nobody wrote.
        let bytes = attempts.file().and_then(|file| fs::read(file).ok()).unwrap_or_default();
        let mut refused: Refused = serde_json::from_slice(&bytes).unwrap_or_default();
        let known = refused.clone();
        for (attempt, crashed) in given_up(folder, &name) {
            attempts.notes.extend(refused.add(attempt, crashed));
        }
        if refused != known {
            attempts.save(&refused);
        } else if refused != Refused::default() {
            let switches = refused.switches.iter().map(|switch| format!("`{}`", switch.name()));
            let kernels = refused.kernels.iter().map(|kernel| format!("kernel {kernel}"));
            let all: Vec<_> = switches.chain(kernels).collect();
            if !all.is_empty() {
                attempts.notes.push(format!("done without, since earlier starts ended with it: {}", all.join(", ")));
            }
        }
        let again = attempts.file().map(|file| format!("; to try again, delete {}", file.display()));
        if let Some(last) = attempts.notes.last_mut() {
            last.extend(again);
        }
        attempts.refused = Mutex::new(refused);
        attempts
    }

    pub fn refused(&self) -> Refused {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Does `work`, which may end the program.
    pub fn during<T>(&self, attempt: &Attempt, work: impl FnOnce() -> T) -> T {
        let (Some((folder, name)), Ok(_alone)) = (&self.place, self.under_way.try_lock()) else { return work() };
        let path = folder.join(format!("trying-{name}-{}", std::process::id()));
        // Whoever ends the program by a signal did not crash it.
        let _temporary = Temporary::new(path.clone());
        let held = File::create(&path).and_then(|mut file| {
            file.lock()?;
            file.write_all(&serde_json::to_vec(attempt)?)?;
            Ok(file)
        });
        let watched = held.as_ref().ok().map(crash::watched);
        let done = work();
        drop(watched);
        // It is a help, not a need: where it cannot be written, work goes on.
        if held.is_ok() {
            let _ = fs::remove_file(&path);
        }
        done
    }

    /// Takes over what the driver refused or gave up the device for, and says what the next start does about it.
    pub fn failed(&self, attempt: &Attempt) -> Option<String> {
        self.place.as_ref()?;
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let then = match attempt {
            Attempt::Open(_) => return None,
            Attempt::Kernel(variant) => {
                refused.kernels.insert(variant.clone());
                format!("start again: kernel {variant} will not be used")
            }
            // Nobody killed the program, so once is enough.
            Attempt::Kernels => {
                refused.ended = refused.ended.max(IN_A_ROW);
                "start again: kernels will be compiled one after the other, which shows the one to do without"
                    .to_owned()
            }
        };
        self.save(&refused);
        Some(then)
    }

    /// All kernels have been compiled, and nothing happened.
    pub fn compiled(&self) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.ended > 0 || refused.suspect.is_some() {
            (refused.ended, refused.suspect) = (0, None);
            self.save(&refused);
        }
    }

    fn file(&self) -> Option<PathBuf> {
        self.place.as_ref().map(|(folder, name)| folder.join(format!("refused-{name}.json")))
    }

    fn save(&self, refused: &Refused) {
        let Some(file) = self.file() else { return };
        if *refused == Refused::default() {
            let _ = fs::remove_file(file);
            return;
        }
        // What cannot be kept is learnt again.
        let _ = serde_json::to_vec_pretty(refused).map(|text| replace(&file, &text));
    }
}

/// Attempts whose process is gone, and whether it crashed; their files too.
fn given_up(folder: &Path, name: &str) -> Vec<(Attempt, bool)> {
    let prefix = format!("trying-{name}-");
    let mut found = vec![];
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if !entry.file_name().to_string_lossy().starts_with(&prefix) {
            continue;
        }
        let Ok(mut file) = File::open(entry.path()) else { continue };
        // Where the file system knows no locks, a living process is taken for a dead one, which costs a kernel.
        if !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)) {
            // Through the handle that has the lock: on Windows no other one may read.
            let mut bytes = vec![];
            let read = file.read_to_end(&mut bytes);
            let marked = bytes.pop_if(|last| *last == crash::MARK).is_some();
            let attempt = read.ok().and_then(|_| serde_json::from_slice(&bytes).ok());
            found.extend(attempt.map(|attempt| (attempt, marked)));
            let _ = fs::remove_file(entry.path());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crash_counts_at_once_and_a_kill_when_it_comes_twice_in_a_row() {
        let kernel = |name: &str| Attempt::Kernel(name.to_owned());
        let mut refused = Refused::default();
        assert_eq!(refused.add(kernel("a"), false), None);
        assert_eq!(refused.add(kernel("b"), false), None);
        assert!(refused.kernels.is_empty());
        assert!(refused.add(kernel("b"), false).unwrap().contains("kernel b was tried"));
        assert!(refused.add(kernel("c"), true).is_some());
        assert_eq!(refused.kernels.iter().collect::<Vec<_>>(), ["b", "c"]);
        let open = || Attempt::Open(vec![Switch::Matrix]);
        assert_eq!(refused.add(open(), false), None);
        assert!(refused.switches.is_empty() && refused.add(open(), true).is_some());
        assert!(refused.switches.contains(&Switch::Matrix));

        let mut refused = Refused::default();
        assert!(refused.add(Attempt::Kernels, false).is_none() && !refused.one_by_one());
        assert!(refused.add(Attempt::Kernels, false).is_some() && refused.one_by_one());
        let mut refused = Refused::default();
        assert!(refused.add(Attempt::Kernels, true).is_some() && refused.one_by_one());
    }

    #[test]
    fn what_a_process_left_behind_is_found_with_its_mark() {
        let folder = tempfile::tempdir().unwrap();
        let attempt = Attempt::Kernel("relu".to_owned());
        let json = serde_json::to_vec(&attempt).unwrap();
        for (number, mark) in [(1, vec![]), (2, vec![crash::MARK]), (3, b"?".to_vec())] {
            fs::write(folder.path().join(format!("trying-x-{number}")), [json.clone(), mark].concat()).unwrap();
        }
        fs::write(folder.path().join("trying-y-1"), &json).unwrap();
        let mut found = given_up(folder.path(), "x");
        found.sort_by_key(|(_, crashed)| *crashed);
        // The third was never written whole.
        assert_eq!(found, [(attempt.clone(), false), (attempt, true)]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
