//! Checkpoints that do not fit: cut off, of another network or class count, of other data, of another program.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use safetensors::Dtype;
use safetensors::tensor::TensorView;

use crate::common::*;

/// `--resume` in this folder is refused and changes nothing.
#[track_caller]
fn no_resumption(data: &Path, run: &Path, parts: &[&str]) {
    let before = files(run);
    refused(&["train", text(data), "--out", text(run), "--resume", "--epochs", "4"], parts);
    assert!(before == files(run), "the run was touched");
}

fn cut(path: &Path) {
    let bytes = fs::read(path).unwrap();
    fs::write(path, &bytes[..bytes.len() * 2 / 3]).unwrap();
}

#[test]
fn a_checkpoint_that_is_cut_off() {
    let trained = three();
    let (_folder, run) = trained.copy();
    cut(&run.join("last.safetensors"));
    no_resumption(&trained.data, &run, &["last.safetensors", "cut off or damaged"]);
    cut(&run.join("best.safetensors"));
    let image = trained.image("Jazz/01.png");
    let parts = ["best.safetensors", "cut off or damaged", "use another checkpoint"];
    refused(&["eval", text(&run)], &parts);
    refused(&["predict", text(&run), &image], &parts);
    refused(&["explain", text(&run), &image, "--out", text(&run.join("maps"))], &parts);
    for bytes in [&b""[..], b"short", &[0xff; 100]] {
        fs::write(run.join("best.safetensors"), bytes).unwrap();
        refused(&["predict", text(&run), &image], &["best.safetensors", "cut off or damaged"]);
    }
}

#[test]
fn a_checkpoint_of_another_class_count() {
    let (three, two) = (three(), two());
    let (_folder, run) = three.copy();
    fs::copy(two.run.join("last.safetensors"), run.join("last.safetensors")).unwrap();
    no_resumption(&three.data, &run, &["last.safetensors", "has 2 classes, the data set 3", "another --out"]);
    fs::copy(two.run.join("best.safetensors"), run.join("best.safetensors")).unwrap();
    refused(&["eval", text(&run)], &["best.safetensors", "does not belong to the data"]);
}

#[test]
fn a_checkpoint_of_another_network() {
    let trained = three();
    let (folder, run) = trained.copy();
    let other = folder.path().join("other");
    let arguments =
        ["train", text(&trained.data), "--out", text(&other), "--net", "prognet", "--size", "64", "--epochs", "1"];
    good(&arguments);
    fs::copy(other.join("last.safetensors"), run.join("last.safetensors")).unwrap();
    no_resumption(&trained.data, &run, &["last.safetensors", "another network"]);
    let image = trained.image("Folk/00.png");
    let weights = text(&run.join("best.safetensors")).to_owned();
    refused(
        &["predict", "--weights", &weights, "--net", "resnet50", &image],
        &["resnet50", "another network, prognet"],
    );

    // Another program's file, then one that claims to be ours and has other tensors.
    let values: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let save = |metadata: Option<HashMap<String, String>>| {
        let view = TensorView::new(Dtype::F32, vec![3, 4], &values).unwrap();
        fs::write(&weights, safetensors::serialize([("fc.weight", view)], metadata).unwrap()).unwrap();
    };
    save(None);
    refused(&["predict", "--weights", &weights, &image], &["best.safetensors", "nothing of its network"]);
    let bytes = fs::read(trained.run.join("best.safetensors")).unwrap();
    let (_, ours) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    save(ours.metadata().clone());
    refused(&["predict", "--weights", &weights, &image], &["best.safetensors", "not as it was written"]);
    // Older versions wrote no hash.
    let key = "gatefold".to_owned();
    let text = &ours.metadata().as_ref().unwrap()[&key];
    let unsealed = format!("{{{}", text.split_once("\",").unwrap().1).replace("\"format\":2", "\"format\":1");
    save(Some(HashMap::from([(key, unsealed)])));
    let parts = ["another network", "missing: ", "bn1.bias", "unexpected: fc.weight"];
    refused(&["predict", "--weights", &weights, &image], &parts);
}

#[test]
fn resuming_with_another_data_set() {
    let trained = three();
    let (folder, run) = trained.copy();
    let data = folder.path().join("data");
    draw(&data, &THREE);
    // The same pictures elsewhere are other files.
    no_resumption(&data, &run, &[text(&data), "another data set", "36 covers gone, 36 new"]);
    no_resumption(&two().data, &run, &["another data set"]);
    no_resumption(&folder.path().join("none"), &run, &["none", "cannot be read"]);
    let nowhere = folder.path().join("nowhere");
    let arguments = ["train", text(&trained.data), "--out", text(&nowhere), "--resume"];
    refused(&arguments, &["nowhere", "does not exist"]);
    assert!(!nowhere.exists());
}

#[test]
fn weights_serve_without_their_run() {
    let trained = two();
    let (folder, weights) = (tempfile::tempdir().unwrap(), "weights.safetensors");
    let weights = folder.path().join(weights);
    fs::copy(trained.run.join("best.safetensors"), &weights).unwrap();
    let image = trained.image("Jazz/02.png");
    let by_run = good(&["predict", trained.run(), &image, "--json"]).json();
    let by_file = good(&["predict", "--weights", text(&weights), "--net", "prognet", &image, "--json"]).json();
    assert_eq!(by_run, by_file);
}
