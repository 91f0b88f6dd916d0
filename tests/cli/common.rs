//! Runs the program on small made-up picture sets.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use image::{Rgb, RgbImage};
use serde_json::Value;

/// A finished call.
pub struct Done {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// The program with these arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatefold"));
    command.args(arguments);
    command
}

pub fn gatefold(arguments: &[&str]) -> Done {
    let Output { status, stdout, stderr } = command(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    let (stdout, stderr) = (text(stdout), text(stderr));
    assert!(!stderr.contains("panicked"), "{arguments:?}: {stderr}");
    Done { code: status.code().unwrap_or(-1), stdout, stderr }
}

impl Done {
    /// Lines that begin with `error:`, without those that a software Vulkan driver prints where no desktop runs.
    pub fn errors(&self) -> Vec<&str> {
        let errors = self.stderr.lines().filter(|line| line.starts_with("error:"));
        errors.filter(|line| !line.contains("XDG_RUNTIME_DIR")).collect()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|e| panic!("{e}: {}", self.stdout))
    }
}

/// Runs what must succeed.
#[track_caller]
pub fn good(arguments: &[&str]) -> Done {
    let done = gatefold(arguments);
    assert!(done.code == 0 && done.errors().is_empty(), "{arguments:?}: exit {}\n{}", done.code, done.stderr);
    done
}

/// Runs what must fail with this exit code and one error line that has all of these parts.
#[track_caller]
pub fn fails(code: i32, arguments: &[&str], parts: &[&str]) -> Done {
    let done = gatefold(arguments);
    let errors = done.errors();
    assert!(done.code == code && errors.len() == 1, "{arguments:?}: exit {}\n{}", done.code, done.stderr);
    for part in parts {
        assert!(errors[0].contains(part), "{arguments:?}: `{part}` is missing in: {}", errors[0]);
    }
    assert!(done.stdout.is_empty(), "{arguments:?} fails and prints: {}", done.stdout);
    done
}

/// Bad usage and bad input.
#[track_caller]
pub fn refused(arguments: &[&str], parts: &[&str]) -> Done {
    fails(2, arguments, parts)
}

pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A 40x40 picture: stripes whose direction tells the class, and noise that makes each another one.
pub fn picture(class: usize, number: usize) -> RgbImage {
    let mut noise = (class * 7919 + number * 104_729 + 1) as u32;
    RgbImage::from_fn(40, 40, |x, y| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let stripe = [x, y, x + y, x ^ y][class % 4] / 5 % 2 * 150;
        let value = (stripe + (noise >> 24) % 80) as u8;
        Rgb([value, value / 2, 255 - value])
    })
}

/// A larger one, for audio files.
pub fn cover(number: u32, side: u32) -> RgbImage {
    let small = picture(number as usize, number as usize);
    image::imageops::resize(&small, side, side, image::imageops::FilterType::Nearest)
}

/// Writes a sub-folder of `count` pictures per class.
pub fn draw(folder: &Path, classes: &[(&str, usize)]) {
    for (class, (name, count)) in classes.iter().enumerate() {
        let sub = folder.join(name);
        fs::create_dir_all(&sub).unwrap();
        (0..*count).for_each(|i| picture(class, i).save(sub.join(format!("{i:02}.png"))).unwrap());
    }
}

pub const THREE: [(&str, usize); 3] = [("Folk", 12), ("Jazz", 12), ("Metal", 12)];
pub const TWO: [(&str, usize); 2] = [("Folk", 12), ("Jazz", 12)];

/// What a test needs of training: small pictures, few of them.
pub const SMALL: [&str; 4] = ["--size", "32", "--batch", "8"];

/// `train DATA --out RUN` with small pictures, the rule of thumb's kernels unless the tuner is asked for, and more arguments. Unless they
/// say which network, it is `prognet`: nothing is measured.
pub fn train<'a>(data: &'a Path, out: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let kernels: &[&str] = if more.iter().any(|m| m.ends_with("tune")) { &[] } else { &["--no-tune"] };
    let says_net =
        ["--net", "--recipe", "--weights", "--pretrained", "--resume"].iter().any(|option| more.contains(option));
    let net: &[&str] = if says_net { &[] } else { &["--net", "prognet"] };
    [&["train", text(data), "--out", text(out)], &SMALL[..], kernels, net, more].concat()
}

/// A trained run that all tests read and none changes.
pub struct Trained {
    pub data: PathBuf,
    pub run: PathBuf,
    /// What training printed.
    pub done: Done,
}

impl Trained {
    fn new(name: &str, classes: &[(&str, usize)]) -> Self {
        // A static is never dropped, so the folder stays until the next time.
        let root = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        let (data, run) = (root.join("data"), root.join("run"));
        draw(&data, classes);
        let done = good(&train(&data, &run, &["--epochs", "2", "--seed", "3"]));
        Self { data, run, done }
    }

    pub fn run(&self) -> &str {
        text(&self.run)
    }

    /// A picture of the data set.
    pub fn image(&self, name: &str) -> String {
        text(&self.data.join(name)).to_owned()
    }

    /// A copy of the run that a test may spoil.
    pub fn copy(&self) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        for (file, bytes) in files(&self.run) {
            let to = run.join(file);
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(to, bytes).unwrap();
        }
        (folder, run)
    }
}

/// Three classes, two epochs.
pub fn three() -> &'static Trained {
    static RUN: OnceLock<Trained> = OnceLock::new();
    RUN.get_or_init(|| Trained::new("three", &THREE))
}

/// Two classes: one logit.
pub fn two() -> &'static Trained {
    static RUN: OnceLock<Trained> = OnceLock::new();
    RUN.get_or_init(|| Trained::new("two", &TWO))
}

/// All files below a folder and their bytes.
pub fn files(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fn walk(root: &Path, folder: &Path, found: &mut BTreeMap<PathBuf, Vec<u8>>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(root, &path, found);
            } else {
                found.insert(path.strip_prefix(root).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    let mut found = BTreeMap::new();
    walk(folder, folder, &mut found);
    found
}

/// The lines of `metrics.jsonl`, each a JSON object.
pub fn metrics(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The keys of a JSON object.
pub fn keys(value: &Value) -> Vec<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[track_caller]
pub fn has_keys(value: &Value, wanted: &[&str]) {
    let keys = keys(value);
    assert!(wanted.iter().all(|key| keys.contains(key)), "{wanted:?} are not all among {keys:?}");
}
