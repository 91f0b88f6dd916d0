//! A folder to give away: weights, ONNX, timm's `config.json` and a model card.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::common::*;

fn names(folder: &Path) -> BTreeSet<String> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn config(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap()
}

fn card(folder: &Path) -> String {
    fs::read_to_string(folder.join("README.md")).unwrap()
}

/// The front matter's lines, and the rest.
fn parts(card: &str) -> (Vec<&str>, &str) {
    let (front, rest) = card.strip_prefix("---\n").unwrap().split_once("\n---\n").unwrap();
    (front.lines().collect(), rest)
}

/// Every table has as many cells in each of its lines.
#[track_caller]
fn assert_tables(card: &str) {
    let lines: Vec<&str> = card.lines().collect();
    let cells = |line: &str| line.matches('|').count();
    for pair in lines.windows(2).filter(|pair| pair.iter().all(|line| line.starts_with('|'))) {
        assert_eq!(cells(pair[0]), cells(pair[1]), "{pair:?}");
    }
}

#[test]
fn a_run_becomes_a_folder_that_says_what_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let (trained, out) = (three(), dir.path().join("deep/model"));
    let done = good(&["export", trained.run(), "--out", text(&out)]);
    for part in ["model.onnx", "model.safetensors", "config.json", "README.md", "the licence"] {
        assert!(done.stdout.contains(part), "{part}: {}", done.stdout);
    }
    assert!(done.stderr.contains("has not been audited"), "{}", done.stderr);
    let wanted = [".gatefold", "README.md", "config.json", "model.onnx", "model.safetensors"];
    assert_eq!(names(&out), wanted.map(str::to_owned).into());

    // The weights answer as the run does.
    let image = trained.image("Jazz/00.png");
    let by_run = good(&["predict", trained.run(), &image, "--json"]).json();
    let weights = out.join("model.safetensors");
    assert_eq!(good(&["predict", "--weights", text(&weights), &image, "--json"]).json(), by_run);

    let card = card(&out);
    let (front, rest) = parts(&card);
    for line in ["license: other # to be chosen by whoever publishes this", "library_name: gatefold", "- onnx"] {
        assert!(front.contains(&line), "{line}: {front:?}");
    }
    let scored: Value = serde_json::from_slice(&fs::read(trained.run.join("test.json")).unwrap()).unwrap();
    let percent = |value: &Value| format!("{:.1} %", 100.0 * value.as_f64().unwrap());
    let [low, high] = [0, 1].map(|end| percent(&scored["accuracy_ci"][end]));
    for part in [
        "# ProgNet for album covers".to_owned(),
        format!("| **Accuracy** | {} | {low} – {high} |", percent(&scored["accuracy"])),
        format!(
            "| always “{}”, the majority baseline | {} |",
            scored["majority_label"].as_str().unwrap(),
            percent(&scored["majority"])
        ),
        format!("| guessing evenly | {} |", percent(&scored["chance"])),
        "None was made".to_owned(),
        "| 0 | Folk |".to_owned(),
        "| 2 | Metal |".to_owned(),
        "36 covers:".to_owned(),
        "Training began with random weights".to_owned(),
        "the largest square around the centre, resized to 32 x 32 pixels".to_owned(),
        "less the mean 0.5, 0.5, 0.5, divided by the standard deviation 0.25, 0.25, 0.25".to_owned(),
        "session.run([\"probabilities\"], {\"image\":".to_owned(),
        "gatefold predict --weights model.safetensors".to_owned(),
        "## Licence".to_owned(),
    ] {
        assert!(rest.contains(&part), "`{part}` is missing:\n{rest}");
    }
    // Where the user keeps things is nobody's business.
    assert!(!card.contains(text(&trained.data)), "{card}");
    assert_tables(rest);
    let config = config(&out);
    assert_eq!((&config["architecture"], &config["num_classes"]), (&json!("prognet"), &json!(3)));
    assert_eq!(config["label_names"], json!(["Folk", "Jazz", "Metal"]));
}

#[test]
fn the_audits_verdict_and_the_options_are_on_the_card() {
    let (dir, run) = two().copy();
    fs::create_dir_all(run.join("audit")).unwrap();
    let told = json!({"verdict": "SHORTCUT FOUND", "summary": "The *files* tell Jazz | Folk."});
    fs::write(run.join("audit/audit.json"), told.to_string()).unwrap();
    let out = dir.path().join("model");
    let onnx = ["--format", "onnx", "--with-preprocessing", "--fold", "--half"];
    let arguments = [&["export", text(&run), "--json", "--out", text(&out)], &onnx[..]].concat();
    let written = good(&arguments).json();
    has_keys(&written, &["folder", "weights", "onnx", "config", "card"]);
    assert_eq!(written["weights"], Value::Null);
    assert_eq!(written["onnx"]["bytes"], fs::metadata(out.join("model.onnx")).unwrap().len());
    let card = card(&out);
    for part in [
        "**SHORTCUT FOUND** The &#42;files&#42; tell Jazz &#124; Folk.",
        "{\"pixels\": pixels}",
        "from pixels of any size, batch-norms folded, in 16 bits",
        "The head has one row",
        "| ROC-AUC",
    ] {
        assert!(card.contains(part), "`{part}` is missing:\n{card}");
    }
    // What is not there is not recommended.
    assert!(!card.contains("model.safetensors") && !card.contains("- timm"), "{card}");
    assert_eq!((&config(&out)["num_classes"], &config(&out)["label_names"]), (&json!(1), &json!(["Folk", "Jazz"])));
}

#[test]
fn timm_is_told_of_networks_that_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let weights = crate::weights::save(dir.path(), "theirs.safetensors", &crate::weights::drawn("resnet18", 4), "");
    let (out, ours) = (dir.path().join("model"), dir.path().join("ours"));
    let about = ["--net", "resnet18", "--size", "224", "--format", "safetensors"];
    good(&[&["export", text(&weights), "--out", text(&out)], &about[..]].concat());
    let wanted = json!({
        "architecture": "resnet18", "num_classes": 4, "num_features": 512, "global_pool": "avg", "label_names": ["0", "1", "2", "3"],
        "pretrained_cfg": {
            "tag": "gatefold", "custom_load": false, "input_size": [3, 224, 224], "fixed_input_size": false,
            "interpolation": "bilinear", "crop_pct": 0.875, "crop_mode": "center", "mean": [0.485, 0.456, 0.406],
            "std": [0.229, 0.224, 0.225], "num_classes": 4, "pool_size": [7, 7], "first_conv": "conv1", "classifier": "fc"
        }
    });
    assert_eq!(config(&out), wanted);
    let card = card(&out);
    for part in [
        "library_name: timm",
        "timm.create_model(\"local-dir:.\", pretrained=True)",
        "logits.softmax(1)",
        "resnet18(num_classes=4)",
        "Not known: it has not been asked about a test set.",
        "the shorter side has 256 pixels (bilinear), of which the centre is kept, then the central 224 x 224",
    ] {
        assert!(card.contains(part), "`{part}` is missing:\n{card}");
    }
    // Weights of others that lie there are read by what is beside them, as timm does.
    fs::create_dir(&ours).unwrap();
    fs::copy(&weights, ours.join("model.safetensors")).unwrap();
    fs::copy(out.join("config.json"), ours.join("config.json")).unwrap();
    let image = three().image("Jazz/00.png");
    let asked = ["--json", "--net", "resnet18"];
    let [a, b] = [&out, &ours].map(|folder| {
        let weights = folder.join("model.safetensors");
        good(&[&["predict", "--weights", text(&weights), &image], &asked[..]].concat()).json()
    });
    assert_eq!(a, b);
}

#[test]
fn names_of_classes_do_nothing_to_the_card() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("covers");
    draw(&data, &THREE);
    let classes = ["New\n---\nlicense: mit\n# Age | x", "<script>alert(1)</script>", "[a](http://b.c) `d` *e*"];
    let mut table = "image,label\n".to_owned();
    for (folder, class) in ["Folk", "Jazz", "Metal"].iter().zip(classes) {
        for i in 0..12 {
            writeln!(table, "{folder}/{i:02}.png,\"{class}\"").unwrap();
        }
    }
    fs::write(data.join("covers.csv"), table).unwrap();
    let (run, out) = (dir.path().join("run"), dir.path().join("model"));
    let more = ["--label", "label", "--net", "small", "--epochs", "1", "--multi", "keep"];
    good(&train(&data.join("covers.csv"), &run, &more));
    good(&["export", text(&run), "--out", text(&out)]);
    let names = config(&out)["label_names"].as_array().unwrap().len();
    assert_eq!(names, 3);
    let card = card(&out);
    let (front, rest) = parts(&card);
    assert!(front.iter().all(|line| !line.contains("mit")), "{front:?}");
    assert_tables(rest);
    for bad in ["<script", "\n---\n", "\nlicense", "\n# Age", "](", "*e*", "http://b.c"] {
        assert!(!rest.contains(bad), "{bad}: {rest}");
    }
    for shown in ["&#60;script&#62;alert(1)&#60;/script&#62;", "# Age &#124; x", "&#91;a&#93;(http&#58;//b.c)"] {
        assert!(rest.contains(shown), "{shown}: {rest}");
    }
}

#[test]
fn folders_of_others_and_earlier_exports_are_not_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let (run, mine, out) = (three().run(), dir.path().join("mine"), dir.path().join("model"));
    fs::create_dir(&mine).unwrap();
    fs::write(mine.join("README.md"), "my own").unwrap();
    for force in [&[][..], &["--force"]] {
        let arguments = [&["export", run, "--out", text(&mine)], force].concat();
        refused(&arguments, &["holds other files (README.md)", "no model of Gatefold", "a new or an empty folder"]);
        refused(&[&["export", run, "--out", run], force].concat(), &["is marked as `run`", "not as `model`"]);
    }
    assert_eq!(fs::read_to_string(mine.join("README.md")).unwrap(), "my own");
    assert_eq!(names(&mine).len(), 1);

    good(&["export", run, "--out", text(&out)]);
    fs::write(out.join("README.md"), "edited").unwrap();
    fs::write(out.join("LICENSE"), "mine").unwrap();
    let there = "holds a model already (model.safetensors, model.onnx, config.json, README.md)";
    refused(&["export", run, "--out", text(&out)], &[there, "--force"]);
    assert_eq!(card(&out), "edited");
    // All of the earlier one goes, so that the card is of what lies beside it.
    good(&["export", run, "--format", "safetensors", "--force", "--out", text(&out)]);
    assert!(card(&out).starts_with("---\n"));
    let wanted = [".gatefold", "LICENSE", "README.md", "config.json", "model.safetensors"];
    assert_eq!(names(&out), wanted.map(str::to_owned).into());
}

#[test]
fn a_file_or_a_folder_is_told_by_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let run = three().run();
    let at = |name: &str| format!("{}/{name}", text(dir.path()));
    // A file that ends in .onnx is one.
    good(&["export", run, "--out", &at("net.onnx")]);
    assert_eq!(fs::read(at("net.onnx")).unwrap()[..2], [8, 8]);
    good(&["export", run, "--out", &at("net.bin")]);
    assert!(dir.path().join("net.bin").is_file());
    good(&["export", run, "--out", &at("v1.2/")]);
    assert!(dir.path().join("v1.2/README.md").is_file());
    fs::create_dir(at("v1.3")).unwrap();
    good(&["export", run, "--out", &at("v1.3")]);
    assert!(dir.path().join("v1.3/README.md").is_file());
    // A file without an ending stays one.
    fs::write(at("net"), "mine").unwrap();
    refused(&["export", run, "--out", &at("net")], &["is there already", "--force"]);
    refused(&["export", run, "--fold", "--out", &at("x.safetensors")], &["--fold", "--format onnx"]);
    // What ONNX cannot do is refused before anything lies there.
    refused(&["export", run, "--with-cam", "--out", &at("new/")], &["--with-cam: prognet's head"]);
    assert!(!Path::new(&at("new")).exists());
}

#[test]
fn a_run_without_its_data_is_exported_without_a_score() {
    let (dir, run) = three().copy();
    fs::remove_dir_all(run.join("data")).unwrap();
    let out = dir.path().join("model");
    let done = good(&["export", text(&run), "--out", text(&out)]);
    assert!(done.stderr.contains("note: the card has neither score nor data: "), "{}", done.stderr);
    let card = card(&out);
    assert!(card.contains("Not known") && card.contains("of the validation covers"), "{card}");
}
