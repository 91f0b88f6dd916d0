//! Networks that answer together, pictures that are shown twice, and what is chosen where nothing is said.

use std::fs;

use serde_json::Value;

use crate::common::*;
use crate::weights::{drawn, save};

/// The probabilities of `predict`'s only row, by class.
fn probabilities(arguments: &[&str]) -> Vec<(String, f64)> {
    let rows = good(arguments).json();
    let [labels, numbers] = ["labels", "probabilities"].map(|key| rows[0][key].as_array().unwrap().clone());
    let all: Vec<(String, f64)> = labels
        .iter()
        .zip(&numbers)
        .map(|(label, p)| (label.as_str().unwrap().to_owned(), p.as_f64().unwrap()))
        .collect();
    all
}

/// Right answers among `predict`'s rows, whose class is the name of the folder.
fn right(rows: &Value) -> usize {
    let is_right =
        |row: &&Value| row["path"].as_str().unwrap().contains(&format!("/{}/", row["label"].as_str().unwrap()));
    rows.as_array().unwrap().iter().filter(is_right).count()
}

#[test]
fn several_runs_answer_by_the_means_of_their_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let runs = folder.path().join("runs");
    let data = &three().data;
    good(&train(data, &runs, &["--seeds", "1,2", "--epochs", "1"]));
    let [one, two] = ["seed-1", "seed-2"].map(|seed| text(&runs.join(seed)).to_owned());
    let image = three().image("Jazz/03.png");
    let [first, second, both] = [vec![&*one], vec![&*two], vec![&*one, &*two]]
        .map(|runs| probabilities(&[&["predict"], &runs[..], &[&*image, "--json"]].concat()));
    for (place, (class, p)) in both.iter().enumerate() {
        let mean = (first[place].1 + second[place].1) / 2.0;
        assert!((p - mean).abs() < 1e-6, "{class}: {p}, mean {mean}");
    }
    assert_ne!(first, second);

    // On their own test set, as their tables of answers have it.
    let score = good(&["eval", &one, &two, "--json"]).json();
    let tables = [&one, &two].map(|run| {
        let text = fs::read_to_string(format!("{run}/test-predictions.csv")).unwrap();
        text.lines().skip(1).map(str::to_owned).collect::<Vec<String>>()
    });
    let right_of = |place: usize| {
        let cells = tables.each_ref().map(|table| table[place].split(',').map(str::to_owned).collect::<Vec<_>>());
        let mean = |class: usize| cells.iter().map(|row| row[4 + class].parse::<f64>().unwrap()).sum::<f64>();
        let best = (0..3).max_by(|&a, &b| mean(a).total_cmp(&mean(b))).unwrap();
        THREE[best].0 == cells[0][2]
    };
    let wanted = (0..tables[0].len()).filter(|&place| right_of(place)).count();
    assert_eq!(score["n"], tables[0].len());
    assert!((score["accuracy"].as_f64().unwrap() - wanted as f64 / tables[0].len() as f64).abs() < 1e-9);
    // And on other covers.
    let others = good(&["eval", &one, &two, text(data), "--split", "all", "--json"]).json();
    let rows = good(&["predict", &one, &two, text(data), "--json"]).json();
    assert!((others["accuracy"].as_f64().unwrap() - right(&rows) as f64 / 36.0).abs() < 1e-9);

    let other = three().run();
    refused(&["eval", &one, other], &[other, "other covers or classes", "--seeds"]);
    let of_two = crate::common::two().run();
    refused(&["predict", &one, of_two, &image], &["cannot answer together", "Metal"]);
    refused(&["eval", &one, of_two, text(data), "--split", "all"], &["cannot answer together"]);
    refused(&["eval", &one, &two, text(data), &image, "--split", "all"], &["one DATA"]);
    let npy = folder.path().join("e.npy");
    refused(&["predict", &one, &two, &image, "--embeddings", text(&npy)], &["--embeddings", "one run"]);
}

#[test]
fn eval_shows_each_cover_mirrored_too_as_predict_does() {
    let trained = three();
    let data = text(&trained.data);
    let with = good(&["eval", trained.run(), data, "--split", "all", "--tta", "--json"]).json();
    let without = good(&["eval", trained.run(), data, "--split", "all", "--json"]).json();
    assert_ne!(with["loss"], without["loss"]);
    let rows = good(&["predict", trained.run(), data, "--tta", "--json"]).json();
    assert!((with["accuracy"].as_f64().unwrap() - right(&rows) as f64 / 36.0).abs() < 1e-9);
    // The run's own test set takes another way.
    let own = good(&["eval", trained.run(), "--tta", "--json"]).json();
    assert_ne!(own["loss"], good(&["eval", trained.run(), "--json"]).json()["loss"]);
}

/// The options that `train` says would have chosen the same.
fn said(stderr: &str) -> Vec<String> {
    let line = stderr.lines().find_map(|line| line.split_once("the same without choosing: ")).unwrap().1;
    line.split(' ').map(str::to_owned).collect()
}

#[test]
fn what_is_left_open_is_chosen_and_said_so_that_it_can_be_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let (chosen, repeated) = (folder.path().join("chosen"), folder.path().join("repeated"));
    let data = text(&three().data);
    let open = ["train", data, "--out", text(&chosen), "--size", "32", "--epochs", "1", "--no-tune"];
    let done = good(&open);
    for part in [
        "chosen: ",
        " at 32 px, batches of 16, 1 epochs",
        "36 covers of 3 classes, 12 in the rarest",
        "an epoch takes about: ",
    ] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    let options = said(&done.stderr);
    assert!(options.contains(&"--net".to_owned()), "{options:?}");
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let done = good(&[&["train", data, "--out", text(&repeated), "--no-tune"], &options[..]].concat());
    assert!(!done.stderr.contains("chosen: "), "{}", done.stderr);
    let best = |run: &std::path::Path| fs::read(run.join("best.safetensors")).unwrap();
    assert!(best(&chosen) == best(&repeated));
    // Its settings say all, so it goes on as it is.
    let resumed = good(&["train", data, "--out", text(&chosen), "--resume", "--epochs", "2"]);
    assert!(!resumed.stderr.contains("chosen: "), "{}", resumed.stderr);

    let dry = good(&["train", data, "--dry-run", "--size", "32"]);
    assert!(dry.stderr.contains("chosen: ") && dry.stdout.contains(" at 32 px"), "{}{}", dry.stderr, dry.stdout);
}

#[test]
fn weights_say_which_network_they_are_of_and_what_is_trained_of_them_is_chosen() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let weights = three().run.join("best.safetensors");
    let done = good(&[
        "train",
        text(&two().data),
        "--out",
        text(&run),
        "--weights",
        text(&weights),
        "--size",
        "32",
        "--epochs",
        "2",
        "--no-tune",
    ]);
    for part in ["chosen: prognet at 32 px", "up to the head, which learns"] {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    assert!(config.contains("freeze = \"trunk\"") && config.contains("head = \"linear\""), "{config}");
}

#[test]
fn weights_of_others_get_a_head_on_several_of_their_layers() {
    let folder = tempfile::tempdir().unwrap();
    let (run, cut) = (folder.path().join("run"), folder.path().join("cut"));
    let (data, image) = (text(&three().data), three().image("Jazz/03.png"));
    let weights = save(folder.path(), "resnet18.safetensors", &drawn("resnet18", 7), "");
    let how = ["--weights", text(&weights), "--epochs", "1", "--no-tune"];
    // Few covers: they are as large as the network wants them.
    let few = folder.path().join("few");
    draw(&few, &[("Folk", 5), ("Jazz", 5)]);
    let done = good(&[&["train", text(&few), "--batch", "2", "--dry-run"], &how[..]].concat());
    for part in ["chosen: resnet18 at 224 px", "a new linear layer learns from what they make of covers up to layer2.1"]
    {
        assert!(done.stderr.contains(part), "{part}: {}", done.stderr);
    }
    let options = said(&done.stderr);
    let said = |option: &str| options.iter().skip_while(|word| *word != option).nth(1).map(String::as_str);
    assert_eq!(said("--head"), Some("layer2.1,layer3.0,layer3.1,layer4.0,layer4.1"), "{options:?}");
    assert_eq!((said("--freeze"), said("--views")), (Some("trunk"), Some("4")), "{options:?}");
    // That is trained with smaller pictures: at 224 px a software adapter takes a minute.
    let smaller = ["train", text(&few), "--out", text(&run), "--size", "32", "--batch", "2"];
    let done = good(&[&smaller[..], &how[..]].concat());
    assert!(done.stderr.contains("chosen: resnet18 at 32 px"), "{}", done.stderr);

    // All that stands on a run knows where its network ends.
    let head = "layer2.1,layer3.0";
    let start = ["train", data, "--out", text(&cut), "--freeze", "trunk", "--head", head, "--size", "32"];
    let done = good(&[&start[..], &how[..]].concat());
    let left_out = "left out, as they lie behind the layers of --head: layer3.1, layer4";
    assert!(done.stderr.contains(left_out), "{}", done.stderr);
    good(&["train", data, "--out", text(&cut), "--resume", "--epochs", "2"]);
    good(&["eval", text(&cut)]);
    assert!(good(&["explain", text(&cut), "--layer", "list"]).stdout.contains("layer3.0"));
    good(&["explain", text(&cut), &image, "--out", text(&folder.path().join("maps"))]);
    let features = folder.path().join("features.npy");
    good(&["predict", text(&cut), &image, "--embeddings", text(&features)]);
    // A row of 128 + 256 means in f32, behind the header.
    assert_eq!(fs::read(&features).unwrap().len() % 64, 0);
    assert!(fs::read(&features).unwrap().len() > 4 * (128 + 256));
    good(&["export", text(&cut), "--format", "onnx", "--out", text(&folder.path().join("cut.onnx"))]);

    let (ours, more) = (cut.join("best.safetensors"), folder.path().join("more"));
    let again = ["train", data, "--out", text(&more), "--weights", text(&ours), "--size", "32"];
    refused(&[&again[..], &["--head", "linear"]].concat(), &["its network ends where its head stands", head]);
    refused(&[&again[..], &["--head", "layer9"]].concat(), &["neither such a head nor such a layer", "layer4.1"]);
}

#[test]
fn a_learning_rate_is_found_by_trial() {
    let folder = tempfile::tempdir().unwrap();
    let (run, repeated, svg) =
        (folder.path().join("run"), folder.path().join("repeated"), folder.path().join("lr.svg"));
    let data = text(&three().data);
    let how = ["--net", "small", "--size", "16", "--batch", "8", "--no-tune"];
    let tried = good(&[&["lr", data, "--json", "--svg", text(&svg)], &how[..]].concat()).json();
    let points = tried["tried"].as_array().unwrap();
    assert!((10..=120).contains(&points.len()), "{}", points.len());
    let lr = |point: &Value| point["lr"].as_f64().unwrap();
    assert!(points.windows(2).all(|pair| lr(&pair[0]) < lr(&pair[1])));
    let settled = if points.len() > 20 { &points[20..] } else { &points[..] };
    let least = settled.iter().min_by(|a, b| {
        let smoothed = |point: &Value| point["smoothed"].as_f64().unwrap();
        smoothed(a).total_cmp(&smoothed(b))
    });
    assert!((tried["suggestion"].as_f64().unwrap() - lr(least.unwrap()) / 10.0).abs() < 1e-9);
    let drawn = fs::read_to_string(&svg).unwrap();
    assert!(drawn.starts_with("<svg xmlns=") && drawn.contains("log10 of the learning rate"), "{drawn}");
    assert!(good(&[&["lr", data], &how[..]].concat()).stdout.contains("suggestion: --lr "));

    refused(&[&["lr", data, "--lr", "0.1"], &how[..]].concat(), &["--lr", "leave it out"]);
    let nowhere = folder.path().join("no/lr.svg");
    let done = refused(&[&["lr", data, "--svg", text(&nowhere)], &how[..]].concat(), &["lr.svg"]);
    assert!(!done.stderr.contains("adapter: "), "{}", done.stderr);

    // The rate that was found stands in the run's settings, and the first weights were put back.
    let start = ["train", data, "--out", text(&run), "--epochs", "1", "--lr", "auto"];
    let done = good(&[&start[..], &how[..]].concat());
    let said = done.stderr.lines().find_map(|line| line.split_once("the same again is --lr ")).unwrap().1.trim();
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let kept: f32 = config.lines().find_map(|line| line.strip_prefix("lr = ")).unwrap().parse().unwrap();
    assert_eq!(kept, said.parse::<f32>().unwrap());
    good(&[&["train", data, "--out", text(&repeated), "--epochs", "1", "--lr", said], &how[..]].concat());
    let best = |run: &std::path::Path| fs::read(run.join("best.safetensors")).unwrap();
    assert!(best(&run) == best(&repeated));

    let resume = ["train", data, "--out", text(&run), "--resume", "--epochs", "2", "--lr", "auto"];
    refused(&resume, &["--lr auto", "resumed"]);
    let several = folder.path().join("several");
    let seeds = ["train", data, "--out", text(&several), "--epochs", "1", "--lr", "auto", "--seeds", "1,2"];
    refused(&[&seeds[..], &how[..]].concat(), &["--lr auto", "gatefold lr"]);
    refused(&[&start[..6], &["--lr", "fast"]].concat(), &["must be a number above 0", "auto"]);
}
