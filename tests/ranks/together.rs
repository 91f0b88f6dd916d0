//! Ranks that train and import together.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use safetensors::SafeTensors;
use serde_json::Value;

use super::{GATEFOLD, draw, is_possible, skipped};

/// How long all ranks may take to end once one of them is gone.
const END: Duration = Duration::from_secs(10);

/// A command of so many ranks. The packages of Linux are not made for root, and there may be fewer cores than ranks.
fn mpirun(ranks: usize, arguments: &[&str]) -> Command {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none", "-n", &ranks.to_string(), GATEFOLD]).args(arguments);
    in_peace(&mut command);
    command
}

fn in_peace(command: &mut Command) {
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1").env("LP_NUM_THREADS", "1");
}

fn one(arguments: &[&str]) -> Command {
    let mut command = Command::new(GATEFOLD);
    command.args(arguments).env("LP_NUM_THREADS", "1");
    command
}

/// How a command ended.
struct Done {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Done {
    fn of(mut command: Command) -> Self {
        let done = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: done.status.code(), stdout: text(done.stdout), stderr: text(done.stderr) }
    }

    /// Lines of the program, not of the launcher.
    fn errors(&self) -> Vec<&str> {
        self.stderr.lines().filter(|line| line.starts_with("error:")).collect()
    }
}

#[track_caller]
fn good(command: Command) -> Done {
    let done = Done::of(command);
    assert!(done.code == Some(0) && done.errors().is_empty(), "{:?}: {}", done.code, done.stderr);
    done
}

/// `train DATA --out RUN` with few small pictures.
fn train<'a>(data: &'a Path, run: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    let paths = ["train", data.to_str().unwrap(), "--out", run.to_str().unwrap()];
    let usual = ["--size", "32", "--batch", "2", "--seed", "3", "--no-tune", "--augment", "flip,shift=0.1"];
    [&paths[..], &usual, more].concat()
}

fn log(run: &Path) -> Vec<Value> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// All numbers of a checkpoint.
fn weights(run: &Path) -> Vec<f64> {
    let bytes = fs::read(run.join("last.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: BTreeMap<_, _> = file.iter().collect();
    let numbers = tensors.values().flat_map(|tensor| tensor.data().chunks(4));
    numbers.map(|bytes| f64::from(f32::from_le_bytes(bytes.try_into().unwrap()))).collect()
}

/// The norm of the difference of two lists, by that of the first.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |list: &mut dyn Iterator<Item = f64>| list.map(|x| x * x).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(a, b)| a - b)) / norm(&mut a.iter().copied())
}

/// Holds two ranks against `--accumulate 2`: losses of all steps, norms, scores, weights, moments and running statistics.
fn same_as_accumulated(net: &str, epochs: &str, covers: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [data, accumulated, ranks] = ["data", "accumulated", "ranks"].map(|name| dir.path().join(name));
    draw(&data, covers);
    let more = ["--net", net, "--epochs", epochs, "--clip", "5", "--split", "90,5,5"];
    good(one(&train(&data, &accumulated, &[&more[..], &["--accumulate", "2"]].concat())));
    let done = good(mpirun(2, &train(&data, &ranks, &more)));
    assert!(done.stderr.contains("adapter of ranks 0, 1, which share it"), "{}", done.stderr);
    assert!(done.stderr.contains(" communication"), "{}", done.stderr);
    // Written and printed once.
    assert_eq!(done.stdout.matches("test set:").count(), 1, "{}", done.stdout);
    let (a, b) = (log(&accumulated), log(&ranks));
    assert!(a.len() == b.len() && a.iter().filter(|line| line["kind"] == "step").count() >= 20, "{}", a.len());
    for (a, b) in a.iter().zip(&b) {
        for name in ["loss", "grad_norm", "lr", "accuracy", "train_loss", "train_accuracy", "val_loss"] {
            let (a, b) = (&a[name], &b[name]);
            let far = a.as_f64().zip(b.as_f64()).map(|(a, b)| (a - b).abs() / a.abs().max(1e-3));
            assert!(far.map_or(a == b, |far| far < 1e-6), "{name}: {a} and {b}");
        }
        let shares = b["kind"] == "epoch";
        assert_eq!(b["communication"].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)), shares, "{b}");
    }
    // The last step of an epoch is one of fewer batches.
    let table = fs::read_to_string(accumulated.join("data/manifest.csv")).unwrap();
    let covers = table.lines().filter(|line| line.split(',').any(|cell| cell == "train")).count();
    assert!(covers.div_ceil(2) % 2 == 1, "{covers} covers");
    let far = distance(&weights(&accumulated), &weights(&ranks));
    assert!(far < 1e-6, "{net}: {far}");
    let score = |run: &Path| serde_json::from_slice::<Value>(&fs::read(run.join("test.json")).unwrap()).unwrap();
    assert_eq!(score(&accumulated)["accuracy"], score(&ranks)["accuracy"]);
}

/// An odd number of batches: in the last step of an epoch only one rank has one.
#[test]
fn two_ranks_compute_what_accumulation_computes() {
    if !is_possible() {
        return skipped("two_ranks_compute_what_accumulation_computes");
    }
    same_as_accumulated("prognet", "2", "11");
}

#[test]
fn two_ranks_compute_what_accumulation_computes_for_a_resnet() {
    if !is_possible() {
        return skipped("two_ranks_compute_what_accumulation_computes_for_a_resnet");
    }
    same_as_accumulated("resnet18", "1", "19");
}

#[test]
fn two_ranks_compute_what_accumulation_computes_for_a_densenet() {
    if !is_possible() {
        return skipped("two_ranks_compute_what_accumulation_computes_for_a_densenet");
    }
    same_as_accumulated("densenet121", "1", "19");
}

/// With the statistics of all batches, two ranks are one process with a batch as large as theirs together: also where the last batch of
/// an epoch is filled up for the whole of one rank, and with what is drawn by chance.
fn same_as_one_batch(net: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [data, one_batch, ranks, apart] = ["data", "one", "ranks", "apart"].map(|name| dir.path().join(name));
    draw(&data, "5");
    let train = |run: &Path, batch: &str, more: &[&str]| -> Vec<String> {
        let usual = ["--net", net, "--size", "64", "--seed", "3", "--no-tune", "--lr", "1e-10", "--split", "80,0,20"];
        let run = ["train", data.to_str().unwrap(), "--out", run.to_str().unwrap(), "--batch", batch, "--epochs", "1"];
        [&run[..], &usual, &["--augment", "flip,shift=0.1,erase=0.5"], more]
            .concat()
            .into_iter()
            .map(str::to_owned)
            .collect()
    };
    let words = |words: &[String], make: &dyn Fn(&[&str]) -> Command| {
        good(make(&words.iter().map(String::as_str).collect::<Vec<_>>()));
    };
    words(&train(&one_batch, "8", &[]), &one);
    words(&train(&ranks, "4", &["--sync-batch-norm"]), &|words| mpirun(2, words));
    let table = fs::read_to_string(one_batch.join("data/manifest.csv")).unwrap();
    let covers = table.lines().filter(|line| line.split(',').any(|cell| cell == "train")).count();
    assert!(covers.div_ceil(4) % 2 == 1, "{covers} covers");
    let steps = |run: &Path| log(run).into_iter().filter(|line| line["kind"] == "step").collect::<Vec<_>>();
    let (a, b) = (steps(&one_batch), steps(&ranks));
    assert_eq!((a.len(), b.len()), (3, 3));
    for (a, b) in a.iter().zip(&b) {
        // A number that rounding takes over a ReLU's edge changes gradients more than losses.
        for (name, least) in [("loss", 1e-6), ("grad_norm", 1e-3), ("accuracy", 1e-9)] {
            let [a, b] = [a, b].map(|line| line[name].as_f64().unwrap());
            assert!((a - b).abs() <= least * a.abs(), "{net}, {name}: {a} and {b}");
        }
    }
    // At this rate, moments and running statistics are what moves.
    let far = distance(&weights(&one_batch), &weights(&ranks));
    assert!(far < 5e-5, "{net}: {far}");
    if net == "prognet" {
        words(&train(&apart, "4", &[]), &|words| mpirun(2, words));
        let far = distance(&weights(&one_batch), &weights(&apart));
        assert!(far > 1e-4, "statistics of single batches are others: {far}");
    }
}

#[test]
fn two_ranks_with_the_statistics_of_all_batches_compute_what_one_batch_computes() {
    if !is_possible() {
        return skipped("two_ranks_with_the_statistics_of_all_batches_compute_what_one_batch_computes");
    }
    same_as_one_batch("prognet");
    // Normalises slices of maps that grow.
    same_as_one_batch("densenet121");
}

/// A run under way; its processes end with the test.
struct Running {
    child: Child,
    run: PathBuf,
}

impl Running {
    fn new(mut command: Command, run: &Path) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        Self { child, run: run.to_owned() }
    }

    /// Waits until so many lines are in the log.
    fn wait_for(&mut self, lines: usize) {
        let start = Instant::now();
        while log(&self.run).len() < lines {
            assert!(self.child.try_wait().unwrap().is_none(), "it ended before line {lines} of its log");
            assert!(start.elapsed() < Duration::from_secs(120), "no line {lines} in its log");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The process of a rank.
    fn pid(&self, rank: usize) -> String {
        let wanted = format!("OMPI_COMM_WORLD_RANK={rank}");
        let run = self.run.to_str().unwrap();
        let has = |pid: &str, file: &str, text: &str| {
            let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
            bytes.split(|&byte| byte == 0).any(|part| part == text.as_bytes())
        };
        let pids = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.file_name().into_string().unwrap());
        let mut found = pids.filter(|pid| has(pid, "cmdline", run) && has(pid, "environ", &wanted));
        found.next().unwrap_or_else(|| panic!("rank {rank} has no process"))
    }

    fn signal(&self, rank: usize, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.pid(rank)]).status().unwrap().success());
    }

    /// How it ends, which must be soon.
    fn end(mut self, within: Duration) -> Done {
        let start = Instant::now();
        while self.child.try_wait().unwrap().is_none() {
            if start.elapsed() > within {
                let _ = self.child.kill();
                panic!("still there after {within:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let done = self.child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&done.stderr).into_owned();
        Done { code: done.status.code(), stdout: String::new(), stderr }
    }
}

/// One run is killed again and again, either rank at drawn steps, and resumed; it ends in the bytes of one that was left
/// alone. `GATEFOLD_KILLS` says how often.
#[cfg(target_os = "linux")]
#[test]
fn a_run_whose_ranks_are_killed_ends_at_once_and_goes_on_to_the_same_bytes() {
    if !is_possible() {
        return skipped("a_run_whose_ranks_are_killed_ends_at_once_and_goes_on_to_the_same_bytes");
    }
    let kills: usize = std::env::var("GATEFOLD_KILLS").map_or(2, |kills| kills.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let [data, whole, killed] = ["data", "whole", "killed"].map(|name| dir.path().join(name));
    draw(&data, "4");
    let epochs = (kills + 3).to_string();
    // The average of the weights over all steps goes on, too, which only the first rank keeps.
    let more = ["--net", "prognet", "--epochs", &epochs, "--patience", "100", "--ema", "0.9"];
    good(mpirun(2, &train(&data, &whole, &more)));
    let mut seed = std::process::id() as usize;
    for number in 0..kills {
        // The order of steps in a run is known, when they are done is not.
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let rank = number % 2;
        let resume: &[&str] = if number == 0 { &more } else { &["--resume"] };
        let done_before = log(&killed).len();
        let mut running = Running::new(mpirun(2, &train(&data, &killed, resume)), &killed);
        running.wait_for(done_before + 1 + (seed >> 33) % 5);
        running.signal(rank, "-KILL");
        let done = running.end(END);
        assert_ne!(done.code, Some(0));
        let errors = done.errors();
        assert!(errors.len() == 1 && errors[0].contains(&format!("rank {rank} on ")), "{}", done.stderr);
        assert!(errors[0].contains("is gone"), "{}", errors[0]);
    }
    let done = good(mpirun(2, &train(&data, &killed, &["--resume"])));
    assert!(kills == 0 || done.stderr.contains("resuming after") || done.stderr.contains("from its beginning"));
    for file in ["last.safetensors", "best.safetensors", "test-predictions.csv"] {
        assert!(fs::read(killed.join(file)).unwrap() == fs::read(whole.join(file)).unwrap(), "{file}");
    }
    // Other ranks, and what that changes.
    let done = good(one(&train(&data, &killed, &["--resume", "--epochs", &(kills + 4).to_string()])));
    assert!(done.stderr.contains("the run was trained by 2 ranks and goes on with 1"), "{}", done.stderr);
    assert!(done.stderr.contains("2 covers instead of 4") && done.stderr.contains("--batch 4"), "{}", done.stderr);
    let batch = ["--resume", "--epochs", &(kills + 5).to_string(), "--batch", "4"];
    let sizes = ["train", data.to_str().unwrap(), "--out", killed.to_str().unwrap()];
    let done = good(mpirun(2, &[&sizes[..], &batch].concat()));
    assert!(done.stderr.contains("trained by 1 rank and goes on with 2"), "{}", done.stderr);
}

/// A process that is stopped still holds its sockets: only the others' patience ends the run.
#[cfg(target_os = "linux")]
#[test]
fn a_rank_that_hangs_ends_all() {
    if !is_possible() {
        return skipped("a_rank_that_hangs_ends_all");
    }
    let dir = tempfile::tempdir().unwrap();
    let [data, run] = ["data", "run"].map(|name| dir.path().join(name));
    draw(&data, "4");
    let more = ["--net", "prognet", "--epochs", "1000", "--schedule", "constant"];
    let mut running = Running::new(mpirun(2, &train(&data, &run, &more)), &run);
    running.wait_for(4);
    running.signal(1, "-STOP");
    let done = running.end(END + Duration::from_secs(5));
    assert!(done.code == Some(1) && done.errors().len() == 1, "{:?} {}", done.code, done.stderr);
    assert!(
        done.errors()[0].contains("rank 1 on ") && done.errors()[0].contains("has said nothing"),
        "{}",
        done.stderr
    );
    assert!(done.errors()[0].contains("go on with: mpirun -n 2 gatefold train"), "{}", done.stderr);
}

/// Runs two commands together, a rank each.
fn two(a: (&Path, &[&str]), b: (&Path, &[&str])) -> Done {
    let mut command = Command::new("mpirun");
    command.args(["--oversubscribe", "--bind-to", "none"]);
    for (number, (folder, arguments)) in [a, b].into_iter().enumerate() {
        command.args(if number > 0 { &[":"][..] } else { &[] });
        command.args(["-n", "1", "--wdir", folder.to_str().unwrap(), GATEFOLD]).args(arguments);
    }
    in_peace(&mut command);
    Done::of(command)
}

#[track_caller]
fn one_line(done: &Done, code: i32, parts: &[&str]) {
    let errors = done.errors();
    assert!(done.code == Some(code) && errors.len() == 1, "{:?}: {}", done.code, done.stderr);
    assert!(parts.iter().all(|part| errors[0].contains(part)), "{parts:?}: {}", errors[0]);
}

#[test]
fn a_rank_that_cannot_work_with_the_others_ends_all_with_one_line() {
    if !is_possible() {
        return skipped("a_rank_that_cannot_work_with_the_others_ends_all_with_one_line");
    }
    let dir = tempfile::tempdir().unwrap();
    let [data, run, a, b] = ["data", "run", "a", "b"].map(|name| dir.path().join(name));
    draw(&data, "4");
    let more = ["--net", "prognet", "--epochs", "1"];

    let other = [&train(&data, &run, &more)[..], &["--clip", "3"]].concat();
    let done = two((dir.path(), &train(&data, &run, &more)), (dir.path(), &other));
    one_line(&done, 2, &["rank 1 on ", "other options than rank 0"]);
    assert!(!run.exists());

    let adapters = [&train(&data, &run, &more)[..], &["--adapter", "llvmpipe,no such adapter"]].concat();
    one_line(&Done::of(mpirun(2, &adapters)), 2, &["rank 1 on ", "no such adapter"]);

    // The same words mean another folder there, in which other covers lie.
    for folder in [&a, &b] {
        fs::create_dir(folder).unwrap();
    }
    draw(&a.join("data"), "4");
    draw(&b.join("data"), "5");
    let words = train(Path::new("data"), Path::new("run"), &more);
    let mut there = one(&words);
    there.current_dir(&b);
    good(there);
    one_line(&two((&a, &words), (&b, &words)), 1, &["rank 1 on ", "is another data set than rank 0 has there"]);

    one_line(&Done::of(mpirun(2, &["devices"])), 2, &["only train and import", "without mpirun"]);
    let usage = Done::of(mpirun(2, &["train", "x", "--out", "y", "--batch", "0"]));
    assert_eq!((usage.code, usage.errors().len()), (Some(2), 1), "{}", usage.stderr);
}

#[test]
fn an_import_has_the_same_bytes_for_any_number_of_ranks() {
    if !is_possible() {
        return skipped("an_import_has_the_same_bytes_for_any_number_of_ranks");
    }
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    draw(&data, "30");
    fs::write(data.join("Jazz/zz-broken.png"), "no picture").unwrap();
    let files = |ranks: usize| {
        let out = dir.path().join(format!("set-{ranks}"));
        let words = ["import", data.to_str().unwrap(), "--out", out.to_str().unwrap(), "--size", "32", "--size", "48"];
        good(if ranks == 1 { one(&words) } else { mpirun(ranks, &words) });
        let names = fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path());
        let files = names.filter(|path| path.is_file());
        files.map(|path| (path.file_name().unwrap().to_owned(), fs::read(path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let alone = files(1);
    assert!(alone.len() > 4, "{:?}", alone.keys());
    assert!(alone == files(2));
    assert!(alone == files(3));
}
