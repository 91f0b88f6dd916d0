//! `--optimizer`: what SGD trains, that its velocity is kept, and what is refused.

use std::fs;

use safetensors::SafeTensors;

use crate::common::*;

#[test]
fn sgd_learns_and_goes_on_with_its_velocity() {
    let root = tempfile::tempdir().unwrap();
    let (data, whole, parts) = (root.path().join("data"), root.path().join("whole"), root.path().join("parts"));
    draw(&data, &TWO);
    let options = ["--net", "small", "--optimizer", "sgd", "--schedule", "constant"];
    good(&train(&data, &whole, &[&options[..], &["--epochs", "4"]].concat()));
    good(&train(&data, &parts, &[&options[..], &["--epochs", "2"]].concat()));
    good(&["train", text(&data), "--out", text(&parts), "--resume", "--epochs", "4", "--no-tune"]);
    let [one, other] = [&whole, &parts].map(|run| fs::read(run.join("last.safetensors")).unwrap());
    assert!(one == other, "a run that was resumed differs");
    let tensors = SafeTensors::deserialize(&one).unwrap();
    let moves = |name: &str| tensors.tensor(name).unwrap().data().iter().any(|byte| *byte != 0);
    let moments = ["exp_avg", "exp_avg_sq"];
    assert_eq!(moments.map(|name| moves(&format!("optimizer.{name}.conv1.weight"))), [true, false]);
    let losses = metrics(&whole);
    let of = |line: &serde_json::Value| line["train_loss"].as_f64();
    let losses: Vec<f64> = losses.iter().filter_map(of).collect();
    assert!(losses[3] < losses[0], "{losses:?}");
    let config = fs::read_to_string(whole.join("config.toml")).unwrap();
    for part in ["optimizer = \"sgd\"", "momentum = 0.9", "lr = 0.05", "weight_decay = 0.0005"] {
        assert!(config.contains(part), "`{part}` is missing in {config}");
    }
}

#[test]
fn a_momentum_that_makes_no_sense_is_refused() {
    let (data, out) = (std::path::Path::new("data"), std::path::Path::new("out"));
    for (options, parts) in [
        (["--momentum", "0.8"], ["--momentum 0.8", "--optimizer sgd"]),
        (["--momentum", "1"], ["--momentum 1", "from 0 to below 1"]),
        (["--optimizer", "adagrad"], ["adagrad", "sgd"]),
    ] {
        refused(&train(data, out, &options), &parts);
    }
}
