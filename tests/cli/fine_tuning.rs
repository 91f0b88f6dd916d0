//! Frozen layers, accumulated gradients, schedules and early stopping, as users meet them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::common::*;

/// Tensors of a checkpoint by name.
fn tensors(file: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(file).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    tensors.iter().map(|(name, view)| (name.to_owned(), view.data().to_vec())).collect()
}

/// Lines of `metrics.jsonl` of one kind.
fn lines(run: &Path, kind: &str) -> Vec<serde_json::Value> {
    metrics(run).into_iter().filter(|line| line["kind"] == kind).collect()
}

fn numbers(lines: &[serde_json::Value], key: &str) -> Vec<f64> {
    lines.iter().map(|line| line[key].as_f64().unwrap_or_else(|| panic!("{key} in {line}"))).collect()
}

/// Trains until the device is lost after the checkpoint of an epoch. At which submission that is, is looked for by halves.
#[track_caller]
fn lose_after(run: &Path, arguments: &[&str], epoch: usize) {
    let (mut early, mut late) = (0, 128);
    for _ in 0..30 {
        if run.exists() {
            fs::remove_dir_all(run).unwrap();
        }
        let lost = usize::midpoint(early, late);
        let output = command(arguments).env("GATEFOLD_FAULT", format!("lose:{lost}")).output().unwrap();
        let done = if run.join("last.safetensors").is_file() { lines(run, "epoch").len() } else { 0 };
        match (output.status.success(), done.cmp(&epoch)) {
            (false, Ordering::Equal) => return,
            (false, Ordering::Less) => early = lost,
            _ => late = lost,
        }
        // A device that is slow just then gets its work in more submissions, so the number is not always the same.
        if late - early < 2 {
            (early, late) = (early.saturating_sub(8), late + 8);
        }
    }
    panic!("the device was never lost after epoch {epoch}; last between submissions {early} and {late}");
}

#[track_caller]
fn same_files(a: &Path, b: &Path) {
    for file in ["last.safetensors", "best.safetensors", "test.json"] {
        assert!(fs::read(a.join(file)).unwrap() == fs::read(b.join(file)).unwrap(), "{file} differs");
    }
}

const CONSTANT: [&str; 4] = ["--net", "small", "--schedule", "constant"];

#[test]
fn a_frozen_run_trains_the_rest_resumes_and_explains() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let (first, whole) = (out.path().join("first"), out.path().join("whole"));
    let options = [&CONSTANT[..], &["--freeze", "conv2", "--trunk-lr", "0.5", "--clip", "0.5"]].concat();
    good(&train(data, &first, &[&options[..], &["--epochs", "1"]].concat()));
    let told = good(&train(data, &whole, &[&options[..], &["--epochs", "2"]].concat())).stderr;
    assert!(told.contains(" frozen, ") && told.contains("note: --freeze without --weights"), "{told}");
    let frozen = |name: &str| ["conv1.", "bn1.", "conv2.", "bn2."].iter().any(|layer| name.starts_with(layer));
    let (one, two) = (tensors(&first.join("last.safetensors")), tensors(&whole.join("last.safetensors")));
    for (name, bytes) in one.iter().filter(|(name, _)| !name.starts_with("optimizer.")) {
        assert_eq!(*bytes == two[name], frozen(name), "{name}");
        let learned = !name.contains("running");
        // Moments of what is trained, and of nothing else.
        for moment in ["exp_avg", "exp_avg_sq"] {
            let there = one.contains_key(&format!("optimizer.{moment}.{name}"));
            assert_eq!(there, learned && !frozen(name), "{moment} of {name}");
        }
    }

    let resume = ["train", text(data), "--out", text(&first), "--resume", "--epochs", "2"];
    refused(&[&resume[..], &["--freeze", "conv1"]].concat(), &["--resume", "other options", "config.toml"]);
    good(&resume);
    same_files(&first, &whole);
    // The usual case: a trunk that was trained before, and a new head's training on it.
    let (head, weights) = (out.path().join("head"), whole.join("best.safetensors"));
    let options = [&CONSTANT[..], &["--freeze", "trunk", "--weights", text(&weights), "--epochs", "1"]].concat();
    let told = good(&train(data, &head, &options)).stderr;
    assert!(!told.contains("without --weights"), "{told}");
    let (before, after) = (tensors(&weights), tensors(&head.join("best.safetensors")));
    for (name, bytes) in &before {
        assert_eq!(*bytes == after[name], !name.starts_with("fc."), "{name}");
    }
    let maps = out.path().join("maps");
    let image = three().image("Jazz/01.png");
    for layer in [&[][..], &["--layer", "conv1"]] {
        good(&[&["explain", text(&whole), &image, "--out", text(&maps)], layer].concat());
    }
}

#[test]
fn what_cannot_be_frozen_is_said_before_any_picture_is_read() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let cases: [(&[&str], &[&str]); 6] = [
        (&["--freeze", "conv8"], &["--freeze conv8", "trunk, conv1, conv2"]),
        (&["--freeze", "trunk", "--trunk-lr", "0.1"], &["--trunk-lr 0.1", "--freeze"]),
        (&["--warmup", "3"], &["--warmup 3", "one-cycle"]),
        (&["--schedule", "step"], &["--step-every"]),
        (&["--patience", "2", "--split", "80,20"], &["--patience 2", "validation set"]),
        (&["--accumulate", "0"], &["--accumulate 0", "from 1"]),
    ];
    for (options, parts) in cases {
        refused(&train(data, &run, options), parts);
        assert!(!run.exists(), "{options:?} leaves a folder");
    }
}

/// Nothing that looks at a whole batch or draws random numbers.
const PLAIN: &str =
    "net = \"prognet\"\nbatch_norm = false\ndropout = 0.0\naugment = \"none\"\nsize = 32\nschedule = \"constant\"";

#[test]
fn accumulated_batches_make_the_steps_of_larger_ones() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let recipe = out.path().join("plain.toml");
    fs::write(&recipe, PLAIN).unwrap();
    let run = |name: &str, options: &[&str]| {
        let run = out.path().join(name);
        let base = ["train", text(data), "--out", text(&run), "--recipe", text(&recipe)];
        good(&[&base[..], options].concat());
        run
    };
    let whole = run("whole", &["--batch", "10", "--epochs", "2"]);
    let parts = run("parts", &["--batch", "5", "--accumulate", "2", "--epochs", "2"]);
    let resumed = run("resumed", &["--batch", "5", "--accumulate", "2", "--epochs", "1"]);
    good(&["train", text(data), "--out", text(&resumed), "--resume", "--epochs", "2"]);
    same_files(&parts, &resumed);
    let no = out.path().join("no");
    let shared = ["train", text(data), "--out", text(&no), "--recipe", text(&recipe), "--sync-batch-norm"];
    refused(&shared, &["--sync-batch-norm", "prognet has no batch-norms"]);
    assert!(!no.exists());

    // The last step of an epoch is a short one: the covers are no multiple of ten.
    let covers = good(&["eval", text(&whole), "--split", "train", "--json"]).json()["n"].as_u64().unwrap();
    assert!(!covers.is_multiple_of(10), "{covers}");
    let (steps, same) = (lines(&whole, "step"), lines(&parts, "step"));
    assert_eq!((steps.len() as u64, same.len()), (2 * covers.div_ceil(10), steps.len()));
    for key in ["step", "epoch", "accuracy", "lr"] {
        assert_eq!(numbers(&steps, key), numbers(&same, key), "{key}");
    }
    for key in ["loss", "grad_norm"] {
        for (step, (a, b)) in numbers(&steps, key).into_iter().zip(numbers(&same, key)).enumerate() {
            assert!((a - b).abs() < 1e-4 * a, "{key} of step {step}: {b} instead of {a}");
        }
    }
    for line in lines(&parts, "epoch") {
        // Validation takes a part of the epoch's time and no part of the rate.
        let pictures = line["images_per_second"].as_f64().unwrap() * line["seconds"].as_f64().unwrap();
        assert!(pictures >= covers as f64 * 0.999 && pictures < covers as f64 * 5.0, "{pictures} of {covers}");
    }
}

#[test]
fn rates_warm_up_and_drop_by_optimiser_steps() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let schedule = ["--schedule", "step", "--step-every", "1", "--step-factor", "0.5", "--warmup", "3", "--lr", "0.01"];
    let options = ["--net", "small", "--accumulate", "2", "--epochs", "3", "--sync-batch-norm"];
    let told = good(&train(data, &run, &[&options[..], &schedule[..]].concat())).stderr;
    assert!(told.contains("--sync-batch-norm changes nothing in a single process"), "{told}");
    let steps = lines(&run, "step");
    let rates = numbers(&steps, "lr");
    assert!(steps.len() >= 6 && steps.len().is_multiple_of(3), "{}", steps.len());
    let an_epoch = steps.len() / 3;
    for (step, rate) in rates.into_iter().enumerate() {
        let expected = 0.01 * 0.5_f64.powi((step / an_epoch) as i32) * ((step + 1) as f64 / 3.0).min(1.0);
        assert!((rate - expected).abs() < 1e-8, "step {step}: {rate} instead of {expected}");
    }
    let long = out.path().join("long");
    let warm = ["--net", "small", "--epochs", "1", "--schedule", "cosine", "--warmup", "50"];
    refused(&train(data, &long, &warm), &["--warmup 50", "the whole run has at most 5 steps"]);
    assert!(!long.exists(), "it was seen only after decoding");
    // The split decides how many there are.
    let warm = ["--net", "small", "--epochs", "1", "--schedule", "cosine", "--warmup", "4"];
    refused(&train(data, &long, &warm), &["--warmup 4", "the whole run has 4 steps"]);
}

#[test]
fn clipping_leaves_the_norm_in_the_log_alone() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let (free, clipped) = (out.path().join("free"), out.path().join("clipped"));
    let options = [&CONSTANT[..], &["--epochs", "1"]].concat();
    good(&train(data, &free, &options));
    good(&train(data, &clipped, &[&options[..], &["--clip", "0.001"]].concat()));
    let [a, b] = [&free, &clipped].map(|run| numbers(&lines(run, "step"), "grad_norm"));
    assert!(a[0] > 0.001 && a[0] == b[0], "{a:?} {b:?}");
    assert!(fs::read(free.join("best.safetensors")).unwrap() != fs::read(clipped.join("best.safetensors")).unwrap());
}

/// The drawn pictures have 40 pixels, so those of 20 are the same from a pack of 40 and from their files.
#[test]
fn smaller_pictures_come_first_as_if_they_were_of_that_size_and_the_run_goes_on_in_either_half() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let [small, grown, part] = ["small", "grown", "part"].map(|name| out.path().join(name));
    let run = |at: &Path, more: &[&str]| {
        let common = ["--batch", "8", "--no-tune", "--augment", "flip,shift=0.1,cutmix=1", "--no-tensorboard"];
        let options = [&["train", text(data), "--out", text(at)], &CONSTANT[..], &common, more].concat();
        options.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    fn words(options: &[String]) -> Vec<&str> {
        options.iter().map(String::as_str).collect()
    }
    good(&words(&run(&small, &["--size", "20", "--epochs", "2"])));
    let growing = ["--size", "40", "--start-size", "20", "--epochs", "4"];
    good(&words(&run(&grown, &growing)));
    let losses = |run: &Path| numbers(&lines(run, "step"), "loss");
    let (first, all) = (losses(&small), losses(&grown));
    assert_eq!((first[..].len() * 2, &first[..]), (all.len(), &all[..first.len()]));

    // Lost in each half.
    let options = run(&part, &growing);
    for epoch in [1, 3] {
        lose_after(&part, &words(&options), epoch);
        good(&[&words(&options)[..], &["--resume"]].concat());
        same_files(&grown, &part);
    }

    let no = out.path().join("no");
    for (wrong, parts) in [
        (&["--size", "40", "--start-size", "40"][..], &["--start-size 40", "below --size, which is 40"][..]),
        (&["--size", "40", "--start-size", "9"], &["--start-size 9", "small needs pictures of at least 16 pixels"]),
        (&["--size", "40", "--start-size", "20", "--freeze", "conv2", "--views", "2"], &["--views 2", "--start-size"]),
    ] {
        refused(&words(&run(&no, wrong)), parts);
    }
    let other = ["train", text(data), "--net", "prognet", "--size", "260", "--start-size", "128", "--out", text(&no)];
    refused(&other, &["--start-size 128", "prognet has not the same weights there as at 260 px"]);
    assert!(!no.exists());
}

/// The numbers of a tensor.
fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks(4).map(|word| f32::from_le_bytes(word.try_into().unwrap())).collect()
}

/// Loses the device when the checkpoint has a mean, and resumes: the finished run's files come out as they were.
fn goes_on_with_its_mean(run: &Path, arguments: &[&str]) {
    let kept = || ["last.safetensors", "best.safetensors"].map(|name| fs::read(run.join(name)).unwrap());
    let whole = kept();
    lose_after(run, arguments, 3);
    assert!(tensors(&run.join("last.safetensors")).keys().any(|name| name.starts_with("optimizer.mean.")));
    good(&[arguments, &["--resume"]].concat());
    assert!(whole == kept());
}

#[test]
fn the_mean_of_the_last_epochs_is_what_is_scored_and_survives_an_end_in_between() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let [two, three, mean] = ["two", "three", "mean"].map(|name| out.path().join(name));
    let options = |epochs| [&CONSTANT[..], &["--split", "80,0,20", "--epochs", epochs]].concat();
    good(&train(data, &two, &options("2")));
    good(&train(data, &three, &options("3")));
    let averaged = train(data, &mean, &[&options("3")[..], &["--average", "2"]].concat());
    good(&averaged);
    let [two, three] = [&two, &three].map(|run| tensors(&run.join("last.safetensors")));
    let (last, best) = (tensors(&mean.join("last.safetensors")), tensors(&mean.join("best.safetensors")));
    let mut differs = false;
    for (name, bytes) in three.iter().filter(|(name, _)| !name.starts_with("optimizer.")) {
        assert!(last[name] == *bytes, "{name}: averaging changed the training");
        // Without a validation set the last epoch counts, and in it the mean.
        assert!(best[name] == last[&format!("optimizer.mean.{name}")], "{name}");
        for ((mean, a), b) in floats(&best[name]).into_iter().zip(floats(&two[name])).zip(floats(bytes)) {
            assert!((mean - f32::midpoint(a, b)).abs() <= 1e-6 * (1.0 + mean.abs()), "{name}: {mean}, {a}, {b}");
            differs |= a != b;
        }
    }
    assert!(differs);

    goes_on_with_its_mean(&mean, &averaged);
}

#[test]
fn the_average_over_the_steps_is_what_is_scored_and_survives_an_end_in_between() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let [two, four, ema] = ["two", "four", "ema"].map(|name| out.path().join(name));
    // Four steps in an epoch, so the eighth and the sixteenth count.
    let options = |epochs| [&CONSTANT[..], &["--split", "80,0,20", "--epochs", epochs]].concat();
    good(&train(data, &two, &options("2")));
    good(&train(data, &four, &options("4")));
    let averaged = train(data, &ema, &[&options("4")[..], &["--ema", "0.9"]].concat());
    good(&averaged);
    let [two, four] = [&two, &four].map(|run| tensors(&run.join("last.safetensors")));
    let (last, best) = (tensors(&ema.join("last.safetensors")), tensors(&ema.join("best.safetensors")));
    let stays = (17.0_f32 / 26.0).powi(8);
    for (name, bytes) in four.iter().filter(|(name, _)| !name.starts_with("optimizer.")) {
        assert!(last[name] == *bytes, "{name}: averaging changed the training");
        assert!(best[name] == last[&format!("optimizer.mean.{name}")], "{name}");
        for ((mean, a), b) in floats(&best[name]).into_iter().zip(floats(&two[name])).zip(floats(bytes)) {
            assert!(
                (mean - (stays * a + (1.0 - stays) * b)).abs() <= 1e-6 * (1.0 + mean.abs()),
                "{name}: {mean} {a} {b}"
            );
        }
    }
    assert!(four.iter().any(|(name, bytes)| best.get(name).is_some_and(|mean| mean != bytes)));

    goes_on_with_its_mean(&ema, &averaged);
    refused(&[&averaged[..], &["--average", "2", "--dry-run"]].concat(), &["--ema 0.9 and --average 2", "choose one"]);
}

#[test]
fn a_run_stops_when_its_best_epoch_lies_too_far_back() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    // Nothing changes, so nothing gets better than the first epoch.
    let still = [&CONSTANT[..], &["--lr", "1e-30", "--freeze-statistics"]].concat();
    let options = [&still[..], &["--patience", "2", "--epochs", "9", "--json"]].concat();
    let done = good(&train(data, &run, &options));
    assert!(done.stderr.contains("stopped early after epoch 3: none was better than epoch 1 in 2"), "{}", done.stderr);
    assert_eq!((&done.json()["stopped_early"], &done.json()["epochs"]), (&true.into(), &3.into()));
    assert_eq!(lines(&run, "epoch").len(), 3);

    // Interrupted and resumed it stops at the same place, and once stopped it stays so.
    // Event files hold the time of day.
    let lasting = || files(&run).into_iter().filter(|(path, _)| !path.starts_with("tensorboard")).collect::<Vec<_>>();
    let before = lasting();
    let resume = ["train", text(data), "--out", text(&run), "--resume", "--json"];
    assert_eq!(good(&resume).json()["stopped_early"], true);
    assert!(before == lasting());
    let part = out.path().join("part");
    let started = [&still[..], &["--patience", "2", "--epochs", "2", "--json"]].concat();
    assert_eq!(good(&train(data, &part, &started)).json()["stopped_early"], false);
    let more = ["train", text(data), "--out", text(&part), "--resume", "--epochs", "9", "--json"];
    assert_eq!(good(&more).json()["epochs"], 3);
    same_files(&run, &part);
}

#[test]
fn patience_needs_a_validation_set() {
    let out = tempfile::tempdir().unwrap();
    let (all, run) = (out.path().join("all"), out.path().join("run"));
    good(&train(&three().data, &all, &[&CONSTANT[..], &["--epochs", "1", "--split", "80,20"]].concat()));
    // A data set that brings its split along has none, and nothing was said of it.
    let data = all.join("data");
    refused(&train(&data, &run, &["--patience", "2"]), &["--patience 2", "validation set"]);
    assert!(!run.join("last.safetensors").exists());
}

/// Shifts of less than half a pixel move nothing, but a run that shifts does not know: it computes the frozen layers anew.
#[test]
fn what_frozen_layers_make_of_covers_is_computed_once_and_changes_no_bit() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    for (number, options) in [
        [&CONSTANT[..], &["--freeze", "trunk"]].concat(),
        [&CONSTANT[..], &["--freeze", "conv2", "--accumulate", "2", "--balance"]].concat(),
        [&CONSTANT[..], &["--freeze", "conv1", "--precision", "mixed"]].concat(),
        [&["--net", "densenet121", "--freeze", "features.denseblock3"][..], &["--dropout", "0.1"]].concat(),
    ]
    .into_iter()
    .enumerate()
    {
        let [kept, plain] = ["kept", "plain"].map(|name| out.path().join(format!("{number}-{name}")));
        let options = [&options[..], &["--epochs", "2"]].concat();
        let told = good(&train(data, &kept, &[&options[..], &["--augment", "none"]].concat())).stderr;
        assert!(told.contains("frozen layers make of covers is kept"), "{options:?}: {told}");
        let told = good(&train(data, &plain, &[&options[..], &["--augment", "shift=0.001"]].concat())).stderr;
        assert!(!told.contains("is kept"), "{told}");
        same_files(&kept, &plain);
    }
}

#[test]
fn views_are_drawn_once_and_taken_in_turn() {
    let data = &three().data;
    let out = tempfile::tempdir().unwrap();
    let [whole, part, one] = ["whole", "part", "one"].map(|name| out.path().join(name));
    let options =
        [&CONSTANT[..], &["--freeze", "conv2", "--augment", "flip,shift=0.2,crop=0.5", "--views", "2"]].concat();
    good(&train(data, &whole, &[&options[..], &["--epochs", "3"]].concat()));
    good(&train(data, &part, &[&options[..], &["--epochs", "1"]].concat()));
    good(&["train", text(data), "--out", text(&part), "--resume", "--epochs", "3"]);
    same_files(&whole, &part);
    let fewer =
        [&CONSTANT[..], &["--freeze", "conv2", "--augment", "flip,shift=0.2,crop=0.5", "--views", "1"]].concat();
    good(&train(data, &one, &[&fewer[..], &["--epochs", "3"]].concat()));
    let losses = |run: &Path| numbers(&lines(run, "epoch"), "train_loss");
    assert!(losses(&whole)[0] == losses(&one)[0] && losses(&whole)[1] != losses(&one)[1]);

    let no = out.path().join("no");
    for (wrong, part) in [
        (&["--views", "2"][..], "--freeze"),
        (&["--freeze", "conv2", "--views", "2", "--augment", "mixup=0.2"], "mixup"),
        (&["--freeze", "conv2", "--views", "2", "--augment", "none"], "all views are the same"),
        (&["--freeze", "conv2", "--views", "0"], "from 1 to 1000"),
        (&["--net", "prognet", "--freeze", "conv3", "--views", "2"], "dropout"),
    ] {
        refused(&train(data, &no, wrong), &["--views", part]);
        assert!(!no.exists());
    }
}
