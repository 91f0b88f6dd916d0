//! Heat maps against covers whose evidence is known: a small network is trained on the sample set, and Grad-CAM must point at
//! the motif that makes the genre.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatefold::data::sample::{self, SampleOptions};
use gatefold::data::{Dataset, PrepareOptions, Split, prepare};
use gatefold::explain::Explainer;
use gatefold::gpu::{Gpu, GpuOptions};
use gatefold::train::model::Model;
use gatefold::train::run::RunFolder;
use gatefold::train::{Config, EpochReport, Observer, StepReport, Trainer};

const SIZE: u32 = 64;
/// Share of the correctly classified test covers whose peak must lie in the evidence's box. The boxes cover about a fifth of a
/// cover, so pointing at random would reach 20 %.
const LEAST_SHARE: f64 = 0.8;

struct Silent;

impl Observer for Silent {
    fn start(&mut self, _: u64, _: u64, _: u64) {}
    fn step(&mut self, _: &StepReport) {}
    fn epoch(&mut self, _: &EpochReport, _: bool) {}
}

/// x, y, width and height of each cover's evidence, by path.
fn boxes(csv: &Path) -> HashMap<PathBuf, [u32; 4]> {
    let folder = csv.parent().unwrap();
    let mut reader = csv::Reader::from_path(csv).unwrap();
    let columns = reader.headers().unwrap().clone();
    let column = |name: &str| columns.iter().position(|c| c == name).unwrap();
    let places = ["box_x", "box_y", "box_w", "box_h"].map(column);
    let path = column("path");
    let row = |record: csv::StringRecord| {
        let numbers = places.map(|place| record[place].parse().unwrap());
        (std::path::absolute(folder.join(&record[path])).unwrap(), numbers)
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn the_peak_of_the_heat_map_lies_in_the_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let options = SampleOptions { per_genre: 60, size: SIZE, ..SampleOptions::default() };
    let csv = sample::write(&folder.path().join("covers"), &options).unwrap().csv;
    let config = Config {
        net: "small".into(),
        size: SIZE as usize,
        batch: 16,
        epochs: 18,
        lr: 0.004,
        label: Some("genre".into()),
        group: vec!["artist".into()],
        ..Config::default()
    };
    let run = RunFolder::new(&folder.path().join("run"));
    let prepared = prepare(
        &csv,
        &PrepareOptions {
            path_column: None,
            label_column: config.label.clone(),
            split_column: config.split_column.clone(),
            group_columns: config.group.clone(),
            split: Some([65.0, 10.0, 25.0]),
            seed: config.seed,
            size: SIZE,
            fit: config.fit,
        },
        &run.data(),
        &|_, _| {},
    )
    .unwrap();
    let gpu = Arc::new(Gpu::open(&GpuOptions::default()).unwrap());
    let trainer = Trainer::new(&gpu, config, run.clone(), prepared.dataset, false).unwrap();
    let outcome = trainer.train(&mut Silent).unwrap();
    let metrics = outcome.test.unwrap();
    assert!(metrics.accuracy_ci[0] > 0.4, "the network has not learned the genres:\n{metrics}");

    let dataset = Dataset::open(&run.data()).unwrap();
    let model = Model::load(&gpu, &run.checkpoint().unwrap()).unwrap();
    let mut explainer = Explainer::new(&model, None).unwrap();
    let boxes = boxes(&csv);
    let (mut correct, mut inside) = (0, 0);
    for index in dataset.manifest.indices(Split::Test) {
        let cover = &dataset.manifest.covers[index];
        let explanation = explainer.explain(dataset.pack.image(index), None).unwrap();
        if explanation.predicted != cover.label {
            continue;
        }
        correct += 1;
        let [x, y, w, h] = boxes[&cover.path];
        let hit = |(px, py): (u32, u32)| (x..x + w).contains(&px) && (y..y + h).contains(&py);
        inside += usize::from(explanation.heat.peak(SIZE, SIZE).is_some_and(hit));
    }
    let share = inside as f64 / correct as f64;
    println!("{inside} of {correct} peaks lie in the evidence's box ({:.0} %)", 100.0 * share);
    assert!(share >= LEAST_SHARE, "only {inside} of {correct} peaks lie in the evidence's box");
}
