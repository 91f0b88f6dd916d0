//! What training does with rare classes and with pictures before the network sees them.

use crate::common::*;

#[test]
fn class_weights_balance_and_changes_on_the_device() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("covers");
    draw(&data, &[("Folk", 24), ("Jazz", 9)]);
    let every = ["--epochs", "1", "--augment", "flip,shift,colour=0.3,erase=0.5"];
    let mut losses = vec![];
    for (name, more) in [("plain", &[][..]), ("weights", &["--class-weights", "auto"]), ("balance", &["--balance"])] {
        let run = dir.path().join(name);
        let done = good(&train(&data, &run, &[&every[..], more].concat()));
        assert!(done.stderr.contains("waiting for data"), "{}", done.stderr);
        let lines = metrics(&run);
        let epoch = lines.iter().find(|line| line["kind"] == "epoch").unwrap();
        assert!((0.0..=1.0).contains(&epoch["data_wait"].as_f64().unwrap()), "{epoch}");
        let accuracy = epoch["train_accuracy"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&accuracy), "{epoch}");
        losses.push(epoch["train_loss"].as_f64().unwrap());
        // The settings are the run's, so a resumption needs no options.
        let config = std::fs::read_to_string(run.join("config.toml")).unwrap();
        assert!(config.contains("flip,shift=0.1,colour=0.3,erase=0.5"), "{config}");
    }
    assert!(losses[0] != losses[1] && losses[0] != losses[2], "{losses:?}");
    let both = ["--class-weights", "auto", "--balance"];
    refused(&train(&data, &dir.path().join("both"), &both), &["--balance", "--class-weights auto", "choose one"]);
}
