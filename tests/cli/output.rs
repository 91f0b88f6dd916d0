//! What the subcommands print and write.

use std::fs;
use std::path::Path;

use safetensors::SafeTensors;

use crate::common::*;

/// The keys of `eval --json` that scripts rely on.
const SCORE: [&str; 10] = [
    "n",
    "labels",
    "accuracy",
    "accuracy_ci",
    "balanced_accuracy",
    "macro_f1",
    "majority",
    "chance",
    "confusion",
    "roc_auc",
];

#[test]
fn eval_scores_the_runs_own_sets() {
    let trained = three();
    let score = good(&["eval", trained.run(), "--json"]).json();
    has_keys(&score, &SCORE);
    assert_eq!(score["labels"], serde_json::json!(["Folk", "Jazz", "Metal"]));
    assert!(score["roc_auc"].is_null());
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(trained.run.join("test.json")).unwrap()).unwrap();
    assert_eq!(score, kept, "eval says another thing than train");
    let all = good(&["eval", trained.run(), "--split", "all", "--json"]);
    assert!(all.stderr.contains("flatters"), "{}", all.stderr);
    assert_eq!(all.json()["n"], 36);
    let printed = good(&["eval", trained.run()]).stdout;
    assert!(printed.contains("95 % interval") && trained.done.stdout.contains(&printed), "{printed}");
}

#[test]
fn the_temperature_of_the_validation_set_is_kept_and_used() {
    let trained = three();
    let bytes = fs::read(trained.run.join("best.safetensors")).unwrap();
    let header = SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    let header: serde_json::Value = serde_json::from_str(&header["gatefold"]).unwrap();
    assert!(header["temperature"].as_f64().is_some_and(|t| t != 1.0), "{header}");
    let (table, mut seen) = (fs::read_to_string(trained.run.join("test-predictions.csv")).unwrap(), 0);
    for line in table.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        let said = good(&["predict", trained.run(), &trained.image(cells[0]), "--json"]).json();
        for (cell, p) in cells[4..].iter().zip(said[0]["probabilities"].as_array().unwrap()) {
            assert!((cell.parse::<f64>().unwrap() - p.as_f64().unwrap()).abs() < 1e-5, "{line}: {said}");
        }
        seen += 1;
        if seen == 2 {
            return;
        }
    }
    panic!("{table}");
}

#[test]
fn eval_scores_other_covers_by_class_name() {
    let trained = three();
    let other = tempfile::tempdir().unwrap();
    draw(other.path(), &[("Folk", 4), ("jazz music", 5), ("Polka", 3)]);
    let base = ["eval", trained.run(), text(other.path()), "--split", "all", "--json", "--map", "jazz music=Jazz"];
    let score = good(&[&base[..], &["--map", "Polka="]].concat()).json();
    has_keys(&score, &SCORE);
    assert_eq!((&score["n"], &score["labels"]), (&9.into(), &serde_json::json!(["Folk", "Jazz", "Metal"])));
    let rows: Vec<u64> = score["confusion"].as_array().unwrap().iter().map(sum).collect();
    assert_eq!(rows, [4, 5, 0]);
    // Two of theirs may be one of ours.
    let score = good(&[&base[..], &["--map", "Polka=Folk"]].concat()).json();
    assert_eq!(sum(&score["confusion"][0]), 7);
}

#[test]
fn eval_scores_one_class_and_fewer_classes_than_the_network_has() {
    let trained = three();
    let other = tempfile::tempdir().unwrap();
    draw(other.path(), &[("Folk", 4)]);
    let call = ["eval", trained.run(), text(other.path()), "--split", "all"];
    let printed = good(&call);
    assert!(printed.stdout.contains("mean recall of the 1 of 3 classes that occur"), "{}", printed.stdout);
    assert!(!printed.stdout.contains("NaN") && printed.stdout.contains("(4 covers)"), "{}", printed.stdout);
    let note =
        "all of one class: the accuracy is its recall, and the baselines say little; there are none of Jazz, Metal";
    assert!(printed.stderr.contains(note), "{}", printed.stderr);
    let score = good(&[&call[..], &["--json"]].concat()).json();
    assert_eq!((&score["n"], &score["accuracy"]), (&4.into(), &score["balanced_accuracy"]));
    assert!(score["roc_auc"].is_null() && score["macro_f1"].is_number());
    // A near name is offered with what to paste.
    let other = tempfile::tempdir().unwrap();
    draw(other.path(), &[("jazz-", 2), ("FOLK", 2)]);
    let call = ["eval", trained.run(), text(other.path()), "--split", "all"];
    refused(&call, &["did you mean Folk for FOLK, Jazz for jazz-?", "--map \"FOLK=Folk\" --map \"jazz-=Jazz\""]);
    // Nothing that can be decoded.
    let other = tempfile::tempdir().unwrap();
    fs::create_dir(other.path().join("Folk")).unwrap();
    fs::write(other.path().join("Folk/a.jpg"), "x").unwrap();
    refused(&["eval", trained.run(), text(other.path()), "--split", "all"], &["cannot be used", "a.jpg"]);
}

#[test]
fn eval_takes_labels_from_a_table_and_pictures_from_a_folder() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    draw(folder.path(), &[("in", 5)]);
    let (images, table) = (folder.path().join("in"), folder.path().join("labels.csv"));
    fs::write(&table, "id,genre\n00,Folk\n01.png,Folk\nIN/02.PNG,Jazz\n77,Jazz\n").unwrap();
    let base = ["eval", trained.run(), text(&table), "--split", "all", "--json", "--images", text(&images)];
    let done = good(&base);
    let rows: Vec<u64> = done.json()["confusion"].as_array().unwrap().iter().map(sum).collect();
    assert_eq!(rows, [2, 1, 0]);
    for note in [
        "guessed files from `id`, labels from `genre`",
        "left out 1 of 4 files, which do not exist",
        "77: line 5: there is no such file",
        "2 pictures are not named in",
        "there are no covers of Metal",
    ] {
        assert!(done.stderr.contains(note), "{note}: {}", done.stderr);
    }
    // The folder alone has no classes, and says what would give some.
    let call = ["eval", trained.run(), text(&images), "--split", "all"];
    refused(&call, &["its 5 pictures lie in no class folder", "a CSV with the columns path, label", "--images"]);
    refused(&["eval", trained.run(), "--images", text(&images)], &["--images", "name DATA"]);
    let swapped = ["eval", trained.run(), text(&images), "--split", "all", "--images", text(&table)];
    refused(&swapped, &["--images is for a table"]);
    fs::write(&table, "id,genre\nx,Folk\n").unwrap();
    refused(&base, &["labels.csv", "no column `path`", "--path"]);
    fs::write(&table, "id,what\n00,Folk\n").unwrap();
    refused(&base, &["no column `label`", "--label"]);
}

#[test]
fn genres_prints_the_table_that_import_takes() {
    let printed = good(&["genres"]).stdout;
    assert_eq!(printed, fs::read_to_string("datasets/genres.toml").unwrap());
    assert!(good(&["--help"]).stdout.contains("genres"));
    assert!(good(&["completions", "bash"]).stdout.contains("genres"));
    assert!(good(&["man", "genres"]).stdout.contains("genres.toml"));
}

fn sum(row: &serde_json::Value) -> u64 {
    row.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).sum()
}

#[test]
fn predict_prints_a_table_json_or_csv() {
    let trained = three();
    let (a, b) = (trained.image("Jazz/00.png"), trained.image("Metal/05.png"));
    let folder = tempfile::tempdir().unwrap();
    let bad = folder.path().join("bad.jpg");
    fs::write(&bad, "no picture").unwrap();
    // All but the bad one are answered, and the exit code tells of it.
    let call = |more: &[&str]| {
        let done = gatefold(&[&["predict", trained.run(), &a, text(&bad), &b], more].concat());
        assert_eq!((done.code, done.errors().len()), (2, 1), "{}", done.stderr);
        done
    };

    let table = call(&[]);
    assert!(table.stderr.contains("skipped 1 pictures") && table.stderr.contains("bad.jpg: not a picture"));
    let lines: Vec<&str> = table.stdout.lines().collect();
    assert!(lines.len() == 3 && lines[1].contains("bad.jpg: error: not a picture"), "{}", table.stdout);
    assert!(table.stdout.starts_with(&format!("{a}: ")) && !table.stdout.contains("logits"), "{}", table.stdout);
    assert_eq!(call(&["--logits"]).stdout.matches("[logits ").count(), 2);

    let json = call(&["--json"]).json();
    let rows = json.as_array().unwrap();
    assert_eq!(rows.iter().map(|row| row["path"].as_str().unwrap()).collect::<Vec<_>>(), [&a, text(&bad), &b]);
    assert!(rows[1]["label"].is_null() && rows[1]["error"].as_str().unwrap().starts_with("not a picture"));
    for row in [&rows[0], &rows[2]] {
        has_keys(row, &["path", "label", "probability", "probabilities", "logits"]);
        let numbers =
            |key: &str| -> Vec<f64> { row[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect() };
        let (shares, logits) = (numbers("probabilities"), numbers("logits"));
        assert_eq!((shares.len(), logits.len()), (3, 3));
        assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6);
        let best = shares.iter().copied().fold(0.0, f64::max);
        assert!(row["probability"].as_f64() == Some(best), "{row}");
    }

    let csv = call(&["--csv", "--logits"]).stdout;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head =
        ["path", "label", "probability", "p(Folk)", "p(Jazz)", "p(Metal)", "logit 0", "logit 1", "logit 2", "error"];
    assert_eq!(reader.headers().unwrap(), &head[..]);
    let records: Vec<_> = reader.records().map(Result::unwrap).collect();
    assert_eq!((&records[0][0], &records[1][0], &records[2][0]), (a.as_str(), text(&bad), b.as_str()));
    assert_eq!((&records[0][9], &records[1][1]), ("", ""));
    assert!(records[1][9].starts_with("not a picture"));
    assert_eq!(&records[0][1], rows[0]["label"].as_str().unwrap());
}

#[test]
fn explain_writes_maps_overlays_a_sheet_and_numbers() {
    let trained = three();
    let out = tempfile::tempdir().unwrap();
    let (a, b) = (trained.image("Jazz/00.png"), trained.image("Metal/00.png"));
    let explain = |more: &[&str]| {
        let maps = out.path().join(format!("maps{}", more.len()));
        let base = ["explain", trained.run(), &a, &b, "--json", "--out", text(&maps)];
        (good(&[&base[..], more].concat()).json(), maps)
    };
    let (records, maps) = explain(&[]);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(maps.join("explain.json")).unwrap()).unwrap();
    assert_eq!(records, kept);
    assert_eq!(records.as_array().unwrap().len(), 2);
    for record in records.as_array().unwrap() {
        has_keys(record, &["path", "layer", "resolution", "class", "predicted", "score", "probability", "evidence"]);
        assert_eq!(record["class"], record["predicted"]);
        let cells = record["resolution"][0].as_u64().unwrap() * record["resolution"][1].as_u64().unwrap();
        assert_eq!(record["values"].as_array().unwrap().len() as u64, cells);
        for key in ["heat_map", "overlay"] {
            match record[key].as_str() {
                Some(file) => assert!(image::open(file).unwrap().width() >= 32),
                // "No positive evidence" is said, not painted.
                None => assert_eq!(record["evidence"], false),
            }
        }
    }
    image::open(maps.join("contact-sheet.png")).unwrap();

    let (records, _) = explain(&["--class", "Folk", "--layer", "conv2"]);
    for record in records.as_array().unwrap() {
        assert_eq!((&record["class"], &record["layer"]), (&"Folk".into(), &"conv2".into()));
        assert_eq!(record["resolution"], serde_json::json!([16, 16]));
    }
    let layers = good(&["explain", trained.run(), "--layer", "list"]).stdout;
    assert_eq!(layers.lines().count(), 7);
    assert!(layers.starts_with("conv1 32x32 cells, 32 channels\n"), "{layers}");
}

#[test]
fn devices_lists_adapters_and_the_one_in_use() {
    let devices = good(&["devices", "--json"]).json();
    let adapters = devices["adapters"].as_array().unwrap();
    has_keys(&adapters[0], &["index", "name", "backend", "kind", "driver", "max_binding_bytes", "f16", "timestamps"]);
    let used = devices["used"].as_u64().unwrap() as usize;
    let name = adapters[used]["name"].as_str().unwrap();
    assert!(good(&["devices"]).stdout.contains(&format!("* {used} {name}")));
    assert!(three().done.stderr.contains(&format!("adapter: {name}")));
}

#[test]
fn a_dry_run_tells_what_a_run_needs_and_writes_nothing() {
    let data = &three().data;
    let before = files(data);
    let needs = good(&["train", text(data), "--dry-run", "--json", "--size", "64", "--batch", "4"]).json();
    let numbers = ["parameters", "launches_per_step", "flops_per_step", "peak_bytes", "largest_tensor_bytes"];
    for key in numbers {
        assert!(needs[key].as_u64().is_some_and(|n| n > 0), "{key} in {needs}");
    }
    assert!(needs["adapter"].is_string() && needs["fits"] == true);
    has_keys(
        &needs,
        &[
            "trained_parameters",
            "frozen_parameters",
            "parameter_bytes",
            "activation_bytes",
            "input_bytes",
            "reserved_bytes",
        ],
    );
    assert_eq!(needs["largest_tensors"].as_array().map(Vec::len), Some(10));
    has_keys(&needs["largest_tensors"][0], &["what", "shape", "bytes"]);
    has_keys(&needs["ops"][0], &["op", "launches", "flops"]);
    assert!(needs["peak_bytes"].as_u64() > needs["largest_tensor_bytes"].as_u64());
    assert!(before == files(data));
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let told = good(&train(data, &run, &["--dry-run", "--freeze", "conv3"])).stdout;
    for part in [
        "prognet at 32 px, batch 8",
        "frozen",
        "peak memory",
        "largest tensors",
        "conv2d grad_weight (conv7)",
        "launches",
    ] {
        assert!(told.contains(part), "`{part}` is missing in {told}");
    }
    assert!(!run.exists());
}

#[test]
fn a_dry_run_needs_no_data_where_the_classes_are_told() {
    let base = ["train", "--dry-run", "--json", "--net", "small", "--size", "32", "--batch", "4"];
    let told = good(&[&base[..], &["--classes", "3"]].concat()).json();
    let data = &three().data;
    let with_data = good(&[&base[..], &[text(data)]].concat()).json();
    assert_eq!(told, with_data);
    refused(&base, &["required arguments"]);
    for classes in ["1", "4294967296", "18446744073709551615"] {
        refused(&[&base[..], &["--classes", classes]].concat(), &["--classes", classes, "from 2 to 100000"]);
    }
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let disagrees = ["--classes 4", text(data), "has 3"];
    refused(&[&base[..], &[text(data), "--classes", "4"]].concat(), &disagrees);
    refused(&train(data, &run, &["--classes", "4"]), &disagrees);
    refused(&["train", "--classes", "3", "--out", text(&run)], &["required arguments"]);
    assert!(!run.exists());
}

#[test]
fn a_sample_is_a_table_that_trains() {
    let out = tempfile::tempdir().unwrap();
    let sample = out.path().join("sample");
    let said = good(&["sample", text(&sample), "--per-genre", "9", "--size", "48", "--seed", "5"]).stdout;
    let table = sample.join("covers.csv");
    assert!(said.contains(text(&table)) && said.contains("gatefold train"), "{said}");
    let run = out.path().join("run");
    let more = ["--label", "genre", "--group", "artist", "--epochs", "1", "--split", "60,0,40"];
    let done = good(&train(&table, &run, &more));
    assert!(done.stdout.contains("5 classes"), "{}", done.stdout);
    // Without a validation set the last epoch is the best.
    assert!(run.join("best.safetensors").is_file() && metrics(&run).iter().all(|line| line["val_loss"].is_null()));
    let image = sample.join("Jazz/000.png");
    good(&["predict", text(&run), text(&image), "--json"]);
    assert!(Path::new(&image).is_file());
}
