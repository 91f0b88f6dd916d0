//! Power cuts. What a call does to its files is recorded (record.c); a cut at any moment leaves what was synced, some first ones of
//! the later changes of names, and any of the later writes. From there the same call must end in the same bytes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

use crate::tool::{Base, RUN, SET, Verdict, below, command, differing, run, text};

const OPEN: u64 = 1;
const WRITE: u64 = 2;
const TRUNCATE: u64 = 3;
const SYNC: u64 = 4;
const SYNC_FOLDER: u64 = 5;
const RENAME: u64 = 6;
const UNLINK: u64 = 7;
const MKDIR: u64 = 8;
const LINK: u64 = 9;

/// One thing that was done.
#[derive(Clone)]
struct Record {
    op: u64,
    inode: u64,
    offset: u64,
    path: String,
    second: String,
    data: Vec<u8>,
}

fn records(log: &Path) -> Result<Vec<Record>, String> {
    let bytes = fs::read(log).map_err(|e| format!("no log ({e})"))?;
    let (mut at, mut found) = (0, vec![]);
    let word = |at: usize| u64::from_ne_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    while at + 48 <= bytes.len() {
        let head: Vec<u64> = (0..6).map(|i| word(at + 8 * i)).collect();
        at += 48;
        let mut part = |length: u64| {
            at += length as usize;
            bytes[at - length as usize..at].to_vec()
        };
        let (path, second, data) = (part(head[3]), part(head[4]), part(head[5]));
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let (path, second) = (text(path), text(second));
        found.push(Record { op: head[0], inode: head[1], offset: head[2], path, second, data });
    }
    Ok(found)
}

/// What stands under a name.
#[derive(Clone, Copy, PartialEq)]
enum Entry {
    Folder,
    File(usize),
}

/// A file: what is on the disk, and what was done to it since.
#[derive(Clone, Default)]
struct Content {
    durable: Vec<u8>,
    later: Vec<(u64, Option<Vec<u8>>)>,
}

impl Content {
    /// A write at an offset, or a cut to a length.
    fn apply(bytes: &mut Vec<u8>, offset: u64, data: Option<&[u8]>) {
        let offset = offset as usize;
        match data {
            None => bytes.resize(offset, 0),
            Some(data) => {
                bytes.resize(bytes.len().max(offset + data.len()), 0);
                bytes[offset..offset + data.len()].copy_from_slice(data);
            }
        }
    }

    fn sync(&mut self) {
        for (offset, data) in self.later.drain(..) {
            Self::apply(&mut self.durable, offset, data.as_deref());
        }
    }

    /// What a cut leaves: any of the later changes, in their order.
    fn cut(mut self, rng: &mut ChaCha8Rng) -> Vec<u8> {
        let all = rng.next_u32().is_multiple_of(4);
        for (offset, data) in &self.later {
            if all || rng.next_u32().is_multiple_of(2) {
                Self::apply(&mut self.durable, *offset, data.as_deref());
            }
        }
        self.durable
    }
}

/// A change of names.
type Change = (String, Option<Entry>);

/// A disk with a cache in front of it.
#[derive(Default)]
struct Disk {
    contents: Vec<Content>,
    /// By the number that the system gives a file, which it may give again.
    numbers: BTreeMap<u64, usize>,
    /// As programs see it.
    names: BTreeMap<String, Entry>,
    durable: BTreeMap<String, Entry>,
    /// Changes of names since, each one whole: a rename takes one name and gives another.
    later: Vec<Vec<Change>>,
}

fn change(names: &mut BTreeMap<String, Entry>, changes: &[Change]) {
    for (path, entry) in changes {
        match entry {
            Some(entry) => names.insert(path.clone(), *entry),
            None => names.remove(path),
        };
    }
}

fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

impl Disk {
    fn rename_all(&mut self, changes: Vec<Change>) {
        change(&mut self.names, &changes);
        self.later.push(changes);
    }

    fn take(&mut self, record: &Record) {
        let Record { op, inode, offset, path, second, data } = record;
        match *op {
            OPEN => {
                let there = match self.names.get(path) {
                    Some(Entry::File(there)) => *there,
                    _ => {
                        self.contents.push(Content::default());
                        let new = self.contents.len() - 1;
                        self.rename_all(vec![(path.clone(), Some(Entry::File(new)))]);
                        new
                    }
                };
                self.numbers.insert(*inode, there);
                if *offset != 0 {
                    self.contents[there].later.push((0, None));
                }
            }
            WRITE | TRUNCATE => {
                if let Some(&there) = self.numbers.get(inode) {
                    self.contents[there].later.push((*offset, (*op == WRITE).then(|| data.clone())));
                }
            }
            SYNC => {
                if let Some(&there) = self.numbers.get(inode) {
                    self.contents[there].sync();
                }
            }
            SYNC_FOLDER => {
                // A journal keeps the order of names, so whatever came before is there, too.
                let last =
                    self.later.iter().rposition(|changes| changes.iter().any(|(name, _)| folder_of(name) == path));
                let settled: Vec<_> = self.later.drain(..last.map_or(0, |last| last + 1)).collect();
                settled.iter().for_each(|changes| change(&mut self.durable, changes));
            }
            RENAME => {
                let inside = format!("{path}/");
                let moved: Vec<(String, Entry)> = self
                    .names
                    .iter()
                    .filter(|(name, _)| *name == path || name.starts_with(&inside))
                    .map(|(name, entry)| (name.clone(), *entry))
                    .collect();
                let gone = moved.iter().map(|(name, _)| (name.clone(), None));
                let there =
                    moved.iter().map(|(name, entry)| (format!("{second}{}", &name[path.len()..]), Some(*entry)));
                self.rename_all(gone.chain(there).collect());
            }
            UNLINK => self.rename_all(vec![(path.clone(), None)]),
            MKDIR => self.rename_all(vec![(path.clone(), Some(Entry::Folder))]),
            LINK => {
                let known = self.names.get(path).copied();
                let entry = known.unwrap_or_else(|| {
                    // A file from elsewhere, which nobody changes.
                    self.contents.push(Content { durable: fs::read(path).unwrap_or_default(), later: vec![] });
                    Entry::File(self.contents.len() - 1)
                });
                self.rename_all(vec![(second.clone(), Some(entry))]);
            }
            _ => {}
        }
    }

    /// Writes what a cut leaves, below another root.
    fn cut(mut self, rng: &mut ChaCha8Rng, root: &str, to: &Path) -> Result<(), String> {
        let kept = if self.later.is_empty() { 0 } else { below(rng, self.later.len() + 1) };
        self.later.iter().take(kept).for_each(|changes| change(&mut self.durable, changes));
        let contents: Vec<Vec<u8>> = self.contents.into_iter().map(|content| content.cut(rng)).collect();
        for (name, entry) in &self.durable {
            let Some(rest) = name.strip_prefix(root) else { continue };
            let path = to.join(rest.trim_start_matches('/'));
            let failed = |e: std::io::Error| format!("{}: {e}", path.display());
            match entry {
                Entry::Folder => fs::create_dir_all(&path).map_err(failed)?,
                Entry::File(there) => {
                    fs::create_dir_all(path.parent().unwrap_or(to)).map_err(failed)?;
                    fs::write(&path, &contents[*there]).map_err(failed)?;
                }
            }
        }
        Ok(())
    }
}

/// The recorder as a library, made once; none without a C compiler.
fn recorder(base: &Base) -> Option<PathBuf> {
    let library = base.set.with_file_name("record.so");
    if !library.is_file() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/endure/record.c");
        let words = ["-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", text(&library), text(&source), "-ldl"];
        let made = Command::new("cc").args(words).stderr(Stdio::null()).status();
        if !made.is_ok_and(|status| status.success()) {
            return None;
        }
    }
    Some(library)
}

/// Records `words`, which write below `out`, once; cuts at a moment; ends it from there, with `more`.
fn cut(
    base: &Base,
    rng: &mut ChaCha8Rng,
    words: &[&str],
    out: &Path,
    whole: (&Path, &[&str]),
    more: &[&str],
) -> Verdict {
    let Some(library) = recorder(base) else { return Ok("not tried: no C compiler") };
    if !cfg!(target_os = "linux") {
        return Ok("not tried: not Linux");
    }
    let log = base.round().join("log");
    let status = command(words)
        .env("LD_PRELOAD", &library)
        .env("RECORD_ROOT", out)
        .env("RECORD_LOG", &log)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .map_err(|e| e.to_string())?;
    if !status.success() {
        return Err("the recorded call failed".into());
    }
    differing(whole.0, out, whole.1)?;
    let records = records(&log)?;
    if records.len() < 20 {
        return Err(format!("only {} records", records.len()));
    }
    fs::remove_dir_all(out).map_err(|e| e.to_string())?;
    for _ in 0..5 {
        let mut disk = Disk::default();
        let moment = below(rng, records.len() + 1);
        records[..moment].iter().for_each(|record| disk.take(record));
        let _ = fs::remove_dir_all(out);
        disk.cut(rng, text(out), out)?;
        let again: Vec<&str> = words.iter().chain(if out.is_dir() { more } else { &[] }).copied().collect();
        run(&again)?.succeeds().map_err(|e| format!("cut at {moment} of {}: {e}", records.len()))?;
        differing(whole.0, out, whole.1).map_err(|e| format!("cut at {moment} of {}: {e}", records.len()))?;
    }
    Ok("five cuts, the same bytes")
}

pub fn import(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("set");
    let words = base.import(&out);
    cut(base, rng, &words, &out, (&base.set, &SET), &[])
}

pub fn train(base: &Base, rng: &mut ChaCha8Rng) -> Verdict {
    let out = base.round().join("run");
    cut(base, rng, &base.train(&out), &out, (&base.run, &RUN), &["--resume"])
}
