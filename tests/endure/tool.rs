//! The program under test, the files that rounds start from, and what every call must keep to.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub use crate::change::below;

/// What a round came to, in words that are counted, or what it broke.
pub type Verdict = Result<&'static str, String>;

/// Nothing that a round starts takes longer, by far.
const HANG: Duration = Duration::from_secs(120);

/// What rounds start from.
pub struct Base {
    root: PathBuf,
    /// The table of the covers, a whole data set of them, and a whole run on it.
    pub table: PathBuf,
    pub set: PathBuf,
    pub run: PathBuf,
    rounds: Cell<u64>,
}

/// A finished call.
pub struct Done {
    /// None if a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap_or_default()
}

pub fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
    command.args(words).env("XDG_RUNTIME_DIR", "/nonexistent").env("RUST_BACKTRACE", "0");
    // What is learnt of drivers stays from round to round, as with a user, and does not mix with what is known here.
    command.env("GATEFOLD_CACHE", root().join("cache"));
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("endure")
}

/// Runs a call to its end, and holds it to what every call promises: an end, no panic, one line for an error.
pub fn run(words: &[&str]) -> Result<Done, String> {
    run_with(words, &[])
}

/// As [`run`], with variables of the environment.
pub fn run_with(words: &[&str], variables: &[(&str, &str)]) -> Result<Done, String> {
    let mut child = command(words)
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| e.to_string())?;
    let read = |from: Option<Box<dyn Read + Send>>| {
        std::thread::spawn(move || {
            let mut bytes = vec![];
            from.map(|mut from| from.read_to_end(&mut bytes));
            bytes
        })
    };
    let stdout = read(child.stdout.take().map(|out| Box::new(out) as _));
    let stderr = read(child.stderr.take().map(|out| Box::new(out) as _));
    let start = Instant::now();
    let status = loop {
        match child.try_wait().map_err(|e| e.to_string())? {
            Some(status) => break status,
            None if start.elapsed() > HANG => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("hangs: gatefold {}", words.join(" ")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
    let done = Done { code: status.code(), stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() };
    done.keeps_to_the_rules().map_err(|what| format!("{what}: gatefold {}: {}", words.join(" "), done.stderr))?;
    Ok(done)
}

impl Done {
    fn keeps_to_the_rules(&self) -> Result<(), String> {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error:")).count();
        match self.code {
            None => Err("ended by a signal".into()),
            _ if self.stderr.contains("panicked") || self.stderr.contains("a fault in gatefold") => {
                Err("panics".into())
            }
            Some(0 | 10..=12) if errors > 0 => Err("says an error and succeeds".into()),
            Some(1 | 2) if errors != 1 => Err(format!("fails with {errors} lines")),
            Some(0..=2 | 10..=12) => Ok(()),
            Some(code) => Err(format!("exit code {code}")),
        }
    }

    /// An error that is not said to be the user's to mend, where there is one to blame, is no answer.
    pub fn succeeds(self) -> Result<Self, String> {
        if self.code == Some(0) { Ok(self) } else { Err(format!("exit code {:?}: {}", self.code, self.stderr)) }
    }
}

/// Starts a call and kills it after so long, as a power button does. Tells whether it had ended before.
pub fn killed_after(words: &[&str], wait: Duration) -> Result<bool, String> {
    let mut child: Child =
        command(words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().map_err(|e| e.to_string())?;
    std::thread::sleep(wait);
    let ended = child.try_wait().map_err(|e| e.to_string())?.is_some();
    let _ = child.kill();
    let _ = child.wait();
    Ok(ended)
}

/// All files below a folder and their bytes, without those that tell of time.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(root, &path, found);
            } else if let (Ok(name), Ok(bytes)) = (path.strip_prefix(root), fs::read(&path)) {
                found.insert(name.to_owned(), bytes);
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// What is different in the second folder, among the files with these names.
pub fn differing(a: &Path, b: &Path, names: &[&str]) -> Result<(), String> {
    let (a, b) = (files(a), files(b));
    let other: Vec<&str> =
        names.iter().copied().filter(|name| a.get(Path::new(name)) != b.get(Path::new(name))).collect();
    if other.is_empty() { Ok(()) } else { Err(format!("ends in other bytes: {}", other.join(", "))) }
}

/// What a data set consists of.
pub const SET: [&str; 4] = ["images.pack", "manifest.csv", "import.json", "preview.png"];
/// What training ends in, byte for byte.
pub const RUN: [&str; 4] = ["best.safetensors", "last.safetensors", "test.json", "test-predictions.csv"];

impl Base {
    /// Covers, a data set of them and a run on it.
    pub fn new() -> Self {
        let root = root();
        let _ = fs::remove_dir_all(&root);
        fs::create_dir_all(&root).expect("a folder for the rounds");
        let [covers, set, whole] = ["covers", "set", "run"].map(|name| root.join(name));
        let base = Self { table: covers.join("covers.csv"), set, run: whole, root, rounds: Cell::new(0) };
        let must = |words: &[&str]| {
            run(words).and_then(Done::succeeds).unwrap_or_else(|e| panic!("the round's base cannot be made: {e}"));
        };
        must(&["sample", text(&covers), "--per-genre", "12", "--size", "64"]);
        must(&base.import(&base.set));
        must(&base.train(&base.run));
        base.fresh();
        base
    }

    /// Where this round may write.
    pub fn round(&self) -> PathBuf {
        self.root.join(format!("round-{}", self.rounds.get()))
    }

    /// The call that made [`Base::set`], into another folder.
    pub fn import<'a>(&'a self, out: &'a Path) -> Vec<&'a str> {
        let words = ["--label", "genre", "--group", "artist", "--size", "32", "--out", text(out)];
        [&["import", text(&self.table)], &words[..]].concat()
    }

    /// The call that made [`Base::run`], into another folder.
    pub fn train<'a>(&'a self, out: &'a Path) -> Vec<&'a str> {
        let words =
            ["--net", "small", "--size", "32", "--batch", "16", "--epochs", "3", "--no-tune", "--no-tensorboard"];
        [&["train", text(&self.set)], &words[..], &["--out", text(out)]].concat()
    }

    /// Empties the folder of the round before.
    pub fn fresh(&self) {
        let _ = fs::remove_dir_all(self.round());
        fs::create_dir_all(self.round()).expect("a folder for the round");
    }

    /// Leaves the folder of this round for who looks at it.
    pub fn keep(&self, seed: u64) -> PathBuf {
        let kept = self.root.join(format!("broken-{seed}"));
        let _ = fs::remove_dir_all(&kept);
        let _ = fs::rename(self.round(), &kept);
        self.rounds.set(self.rounds.get() + 1);
        kept
    }

    /// A copy of the run for the round to spoil.
    pub fn copy(&self) -> PathBuf {
        let to = self.round().join("run");
        for (name, bytes) in files(&self.run) {
            let path = to.join(name);
            fs::create_dir_all(path.parent().unwrap_or(&to)).expect("a folder of the copy");
            fs::write(path, bytes).expect("a file of the copy");
        }
        to
    }
}
