//! `train`: its files, its repeatability, and how it stops.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use safetensors::SafeTensors;

use crate::common::*;

#[test]
fn a_run_folder_holds_settings_metrics_checkpoints_and_score() {
    let trained = three();
    let run = &trained.run;
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    for part in ["net = \"prognet\"", "size = 32", "epochs = 2", "seed = 3", "labels = [\"Folk\", \"Jazz\", \"Metal\"]"]
    {
        assert!(config.contains(part), "`{part}` is missing in {config}");
    }

    let lines = metrics(run);
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let (steps, epochs) = (of("step"), of("epoch"));
    assert_eq!((epochs.len(), steps.len() + epochs.len()), (2, lines.len()));
    for (number, step) in (1..).zip(&steps) {
        assert_eq!(step["step"], number);
        has_keys(step, &["step", "epoch", "loss", "accuracy", "grad_norm", "lr"]);
    }
    for (number, epoch) in (1..).zip(&epochs) {
        assert_eq!((&epoch["epoch"], &epoch["step"]), (&number.into(), &(number * steps.len() / 2).into()));
        has_keys(epoch, &["train_loss", "train_accuracy", "val_loss", "val_accuracy", "seconds", "images_per_second"]);
        assert!(epoch["val_accuracy"].as_f64().is_some_and(|share| (0.0..=1.0).contains(&share)));
    }

    for (file, optimiser) in [("last.safetensors", true), ("best.safetensors", false)] {
        let bytes = fs::read(run.join(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let shape =
            |name: &str| tensors.tensor(name).unwrap_or_else(|e| panic!("{file}: {name}: {e}")).shape().to_vec();
        assert_eq!(shape("conv1.weight"), [32, 3, 3, 3]);
        assert_eq!(shape("conv2.weight"), [32, 32, 3, 3]);
        assert_eq!(shape("conv7.bias"), [128]);
        assert_eq!(shape("bn1.running_var"), [32]);
        assert_eq!(shape("fc1.weight"), [100, 128]);
        assert_eq!(shape("fc2.weight"), [3, 100]);
        assert_eq!(tensors.tensor("optimizer.exp_avg.conv1.weight").is_ok(), optimiser);
    }

    let score: serde_json::Value = serde_json::from_slice(&fs::read(run.join("test.json")).unwrap()).unwrap();
    has_keys(&score, &["n", "accuracy", "accuracy_ci", "majority", "chance", "confusion"]);
    let printed = &trained.done.stdout;
    for part in ["95 % interval", "the majority baseline", "chance", "macro-F1", "balanced accuracy", "Confusion"] {
        assert!(printed.contains(part), "`{part}` is missing in {printed}");
    }
    assert!(printed.contains("always answering"), "no verdict in {printed}");
    assert!(!printed.contains("ROC-AUC"));
    for part in ["adapter: ", "epoch 1/2: loss", "epoch 2/2: loss", "images/s"] {
        assert!(trained.done.stderr.contains(part), "`{part}` is missing in {}", trained.done.stderr);
    }
}

#[test]
fn two_classes_are_one_logit_and_have_a_roc() {
    let trained = two();
    assert!(trained.done.stdout.contains("ROC-AUC"), "{}", trained.done.stdout);
    let bytes = fs::read(trained.run.join("best.safetensors")).unwrap();
    assert_eq!(SafeTensors::deserialize(&bytes).unwrap().tensor("fc2.weight").unwrap().shape(), [1, 100]);
    let score = good(&["eval", trained.run(), "--json"]).json();
    assert!(score["roc_auc"].as_f64().is_some_and(|auc| (0.0..=1.0).contains(&auc)), "{score}");
}

#[test]
fn a_run_is_not_written_over() {
    let trained = three();
    let before = files(&trained.run);
    refused(
        &train(&trained.data, &trained.run, &["--epochs", "2"]),
        &[trained.run(), "holds a run already", "--resume"],
    );
    assert!(before == files(&trained.run), "the run was touched");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let trained = three();
    let out = tempfile::tempdir().unwrap();
    let (same, other) = (out.path().join("same"), out.path().join("other"));
    good(&train(&trained.data, &same, &["--epochs", "2", "--seed", "3"]));
    good(&train(&trained.data, &other, &["--epochs", "2", "--seed", "4"]));
    for file in ["last.safetensors", "best.safetensors", "test.json", "config.toml"] {
        let bytes = |run: &Path| fs::read(run.join(file)).unwrap();
        assert!(bytes(&same) == bytes(&trained.run), "{file} differs");
        assert!(bytes(&other) != bytes(&same), "{file} does not depend on the seed");
    }
}

/// Lines of steps, which unlike those of epochs tell no times.
fn step_lines(run: &Path) -> Vec<serde_json::Value> {
    metrics(run).into_iter().filter(|line| line["kind"] == "step").collect()
}

#[test]
fn a_run_killed_and_resumed_ends_with_the_bytes_of_one_that_was_not() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    // A machine may train faster than this test looks: then the run is made longer.
    for epochs in ["4", "16", "64"] {
        let (whole, killed) = (out.path().join(format!("whole{epochs}")), out.path().join(format!("killed{epochs}")));
        let mut to_kill = command(&train(data, &killed, &["--epochs", epochs]));
        let mut child = to_kill.stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let (last, start) = (killed.join("last.safetensors"), Instant::now());
        while !last.exists() && start.elapsed() < Duration::from_secs(120) {
            std::thread::sleep(Duration::from_millis(2));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(last.exists(), "no checkpoint within two minutes");
        if killed.join("test.json").exists() {
            continue;
        }
        let done = metrics(&killed).iter().filter(|line| line["kind"] == "epoch").count();
        let resumed = good(&["train", text(data), "--out", text(&killed), "--resume"]);
        assert!(resumed.stderr.contains("resuming after epoch"), "{}", resumed.stderr);
        good(&train(data, &whole, &["--epochs", epochs]));
        for file in ["last.safetensors", "best.safetensors", "test.json", "config.toml"] {
            let bytes = |run: &Path| fs::read(run.join(file)).unwrap();
            assert!(bytes(&whole) == bytes(&killed), "{file} differs after {done} of {epochs} epochs and a resumption");
        }
        assert_eq!(step_lines(&whole), step_lines(&killed));
        return;
    }
    panic!("no run could be killed before its end");
}

#[test]
fn a_finished_run_goes_on_when_more_epochs_are_asked_for() {
    let trained = three();
    let (_folder, run) = trained.copy();
    let arguments = ["train", text(&trained.data), "--out", text(&run), "--resume", "--epochs"];
    refused(&[&arguments[..], &["1"]].concat(), &["--epochs 1", "at least"]);
    refused(&[&arguments[..], &["3", "--lr", "0.5"]].concat(), &["--resume", "other options", "config.toml"]);
    let done = good(&[&arguments[..], &["3"]].concat());
    assert!(done.stderr.contains("resuming after epoch 2") && done.stderr.contains("epoch 3/3"), "{}", done.stderr);
    assert_eq!(metrics(&run).iter().filter(|line| line["kind"] == "epoch").count(), 3);
}

/// What a kill, or a full disk, can leave before the first epoch is whole.
#[test]
fn a_run_that_was_broken_off_before_its_first_checkpoint_is_gone_on_with() {
    let trained = three();
    let whole = files(&trained.run);
    let same = |run: &Path| {
        let now = files(run);
        for name in ["best.safetensors", "last.safetensors", "test.json", "test-predictions.csv", "data/images.pack"] {
            assert!(now[Path::new(name)] == whole[Path::new(name)], "{name}");
        }
    };
    let begun = |keep: &[&str]| {
        let (folder, run) = trained.copy();
        for name in [
            "report.html",
            "test.json",
            "test-predictions.csv",
            "last.safetensors",
            "best.safetensors",
            "metrics.jsonl",
        ] {
            if !keep.contains(&name) {
                fs::remove_file(run.join(name)).unwrap();
            }
        }
        (folder, run)
    };
    // Before the first step.
    let (_folder, run) = begun(&[]);
    let resume = ["train", text(&trained.data), "--out", text(&run), "--resume", "--no-tune"];
    let done = good(&resume);
    assert!(done.stderr.contains("starts from its beginning"), "{}", done.stderr);
    same(&run);
    // Before its settings were written, where all options are given again; then also without --resume.
    for flag in ["--resume", "--no-tensorboard"] {
        let (_folder, run) = begun(&[]);
        fs::remove_file(run.join("config.toml")).unwrap();
        good(&train(&trained.data, &run, &["--epochs", "2", "--seed", "3", flag]));
        same(&run);
    }
    // Between the best checkpoint and the last one.
    let (_folder, run) = begun(&[]);
    let data = text(&trained.data);
    let other = run.with_file_name("other");
    good(&train(&trained.data, &other, &["--epochs", "1", "--seed", "3"]));
    fs::copy(other.join("best.safetensors"), run.join("best.safetensors")).unwrap();
    good(&["train", data, "--out", text(&run), "--resume", "--no-tune"]);
    same(&run);

    // A finished run without its last checkpoint is not overwritten unasked.
    let (_folder, run) = begun(&["best.safetensors", "test.json", "test-predictions.csv", "metrics.jsonl"]);
    refused(&train(&trained.data, &run, &[]), &["holds a run already", "--resume"]);
    good(&["train", data, "--out", text(&run), "--resume", "--no-tune"]);
    same(&run);
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_step() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    fails(1, &train(data, &run, &["--lr", "1e30"]), &["step 2", "no finite number", "--lr"]);
    // There is nothing to go on from but its beginning.
    let again = fails(1, &["train", text(data), "--out", text(&run), "--resume"], &["step 2", "no finite number"]);
    assert!(again.stderr.contains("has no last checkpoint, so it starts from its beginning"), "{}", again.stderr);

    // One step an epoch: the second finds what the first one did.
    let run = out.path().join("epochs");
    let one =
        ["train", text(data), "--out", text(&run), "--net", "small", "--size", "32", "--batch", "64", "--lr", "1e30"];
    fails(1, &one, &["step 2", "no finite number", "last.safetensors is intact"]);
    for file in ["last.safetensors", "best.safetensors"] {
        let bytes = fs::read(run.join(file)).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let values = tensors.iter().flat_map(|(_, view)| view.data().chunks_exact(4).map(|b| b.try_into().unwrap()));
        assert!(values.map(f32::from_le_bytes).all(f32::is_finite), "{file} has numbers that are none");
    }
}

#[test]
fn a_resumed_run_tells_what_becomes_of_the_rate_and_keeps_its_settings() {
    let trained = three();
    let data = text(&trained.data);
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("run");
    let first = train(&trained.data, &out, &["--epochs", "2", "--schedule", "cosine", "--lr", "0.01"]);
    good(&first);
    let resume =
        |more: &[&'static str]| [&["train", data, "--out", text(&out), "--resume", "--no-tensorboard"], more].concat();
    refused(&resume(&["--schedule", "constant"]), &["other options", "where --epochs is raised"]);
    refused(&resume(&["--restart-schedule"]), &["all 2 epochs of the run are done", "--epochs"]);
    refused(&resume(&["--epochs", "3", "--size", "64"]), &["other options"]);
    let longer = good(&resume(&["--epochs", "3"])).stderr;
    for part in
        ["the learning rate goes from", "cosine of 3 epochs instead of 2, 2 epochs of it done", "--schedule constant"]
    {
        assert!(longer.contains(part), "{part}: {longer}");
    }
    // The settings are kept: the next call needs no options, and changes nothing.
    let config = || fs::read_to_string(out.join("config.toml")).unwrap();
    assert!(config().contains("epochs = 3") && config().contains("[run]"), "{}", config());
    let again = good(&resume(&[])).stderr;
    assert!(!again.contains("learning rate"), "{again}");
    let fresh = good(&resume(&["--epochs", "5", "--restart-schedule"])).stderr;
    assert!(fresh.contains("to 0.01 with the next step: a fresh cosine of 2 epochs, begun after epoch 3"), "{fresh}");
    assert!(config().contains("schedule_from = 3"), "{}", config());
    let flat = good(&resume(&["--epochs", "6", "--schedule", "constant", "--lr", "0.001"])).stderr;
    assert!(flat.contains("to 0.001 with the next step: constant"), "{flat}");
    let rates: Vec<(u64, f64)> = metrics(&out)
        .iter()
        .filter(|line| line["type"] == "step" || line.get("lr").is_some())
        .map(|line| (line["epoch"].as_u64().unwrap(), line["lr"].as_f64().unwrap()))
        .collect();
    let of = |epoch: u64| rates.iter().filter(|(e, _)| *e == epoch).map(|(_, rate)| *rate).next().unwrap();
    assert!((of(4) - 0.01).abs() < 1e-6 && (of(6) - 0.001).abs() < 1e-6, "{rates:?}");
    assert!(good(&["report", text(&out), "--out", text(&folder.path().join("r.html"))]).code == 0);
    refused(&["train", data, "--out", text(&folder.path().join("n")), "--restart-schedule"], &["--resume"]);
}

/// What is measured decides how many epochs there are, and nothing else: the same number by hand gives the same bytes.
#[test]
fn a_time_becomes_a_number_of_epochs() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let [timed, counted, no] = ["timed", "counted", "no"].map(|name| out.path().join(name));
    let options = ["--net", "small", "--accumulate", "2", "--augment", "flip,mixup=0.2"];
    let told = good(&train(data, &timed, &[&options[..], &["--minutes", "0.1"]].concat())).stderr;
    let config = fs::read_to_string(timed.join("config.toml")).unwrap();
    let epochs = config.lines().find_map(|line| line.strip_prefix("epochs = ")).unwrap();
    assert!(told.contains(&format!("the same again is --epochs {epochs}")), "{told}");
    assert!(!config.contains("minutes") && config.contains("[run]"), "{config}");
    good(&train(data, &counted, &[&options[..], &["--epochs", epochs]].concat()));
    assert!(fs::read(timed.join("last.safetensors")).unwrap() == fs::read(counted.join("last.safetensors")).unwrap());
    for (wrong, part) in [
        (&["--minutes", "3", "--epochs", "3"][..], "--epochs"),
        (&["--minutes", "0"], "from 0.1"),
        (&["--minutes", "3", "--seeds", "1,2"], "several runs"),
        (&["--minutes", "3", "--folds", "3"], "several runs"),
        (&["--minutes", "3", "--dry-run"], "--dry-run"),
    ] {
        refused(&train(data, &no, wrong), &["--minutes", part]);
        assert!(!no.exists());
    }
}
