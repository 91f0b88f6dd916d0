//! Heat maps against what is known: a small network is trained on the sample set, where Grad-CAM must point at the motif that
//! makes the genre and pass its tests, and one on covers of which half carry a small mark, on which most of its map must lie.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gatefold::data::prepare;
use gatefold::data::{Columns, Dataset, PrepareOptions, Split, picture};
use gatefold::explain::faithfulness::{BLOB, Measure, RANDOM, measure};
use gatefold::explain::randomisation::{LOST, SEED, randomise};
use gatefold::explain::{Explainer, HeatMap, Method, Pictures, Question};
use gatefold::sample::{self, SampleOptions};
use gatefold::score::model::Model;
use gatefold::train::run::RunFolder;
use gatefold::train::tuning::When;
use gatefold::train::{Config, EpochReport, Observer, StepReport, Trainer, Tuning};
use gatefold_engine::gpu::{Gpu, GpuOptions};
use gatefold_engine::params::Arena;
use image::{Rgb, RgbImage};

const SIZE: u32 = 64;

struct Silent;

impl Observer for Silent {
    fn start(&mut self, _: u64, _: &[usize], _: u64) {}
    fn step(&mut self, _: &StepReport) -> gatefold::Result<()> {
        Ok(())
    }
    fn epoch(&mut self, _: &EpochReport, _: bool) {}
}

/// A network trained on `data`, and what it was trained on.
struct Trained {
    model: Model,
    dataset: Dataset,
}

fn train(data: &Path, run: &Path, config: Config) -> Trained {
    let config = Config { net: "small".into(), size: SIZE as usize, batch: 16, lr: 0.004, ..config };
    let run = RunFolder::new(run);
    let prepared = prepare(
        data,
        &PrepareOptions {
            columns: config.columns.clone(),
            split: Some([65.0, 10.0, 25.0]),
            fold: None,
            seed: config.seed,
            size: SIZE,
            fit: config.fit,
        },
        &run.data(),
        &|_, _| {},
    )
    .unwrap();
    let gpu = Arc::new(Gpu::open(&GpuOptions::default()).unwrap());
    let mut tuning = Tuning { when: When::Never, budget: Duration::ZERO, cache: None, say: &mut |_| {} };
    let trainer = Trainer::new(&gpu, config, run.clone(), prepared.dataset, None, false, &mut tuning).unwrap();
    let metrics = trainer.train(&mut Silent).unwrap().test.unwrap();
    assert!(metrics.accuracy_ci[0] > metrics.chance + 0.2, "the network has not learned the classes:\n{metrics}");
    let model = Model::load(&gpu, &run.checkpoint().unwrap()).unwrap();
    Trained { model, dataset: Dataset::open(&run.data()).unwrap() }
}

/// An empty folder of this test binary's own.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("evidence").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A network that knows the sample's genres by their motifs, and the motifs' boxes.
fn genres() -> &'static (Trained, HashMap<PathBuf, [u32; 4]>) {
    static TRAINED: OnceLock<(Trained, HashMap<PathBuf, [u32; 4]>)> = OnceLock::new();
    TRAINED.get_or_init(|| {
        let folder = folder("genres");
        let options = SampleOptions { per_genre: 60, size: SIZE, ..SampleOptions::default() };
        let csv = sample::write(&folder.join("covers"), &options).unwrap().csv;
        let columns = Columns { group: vec!["artist".into()], label: Some("genre".into()), ..Columns::default() };
        let config = Config { epochs: 18, columns, ..Config::default() };
        (train(&csv, &folder.join("run"), config), boxes(&csv))
    })
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

/// Every `step`th picture of the test set.
fn test_pictures(dataset: &Dataset, step: usize) -> Pictures<'_> {
    let test = dataset.manifest.indices(Split::Test);
    let pixels = test.iter().step_by(step).map(|&i| dataset.pack.image(i).unwrap()).collect();
    Pictures { pixels, source: "test set".into(), of: test.len() }
}

/// Share of the correctly classified test covers whose peak must lie in the evidence's box. The boxes cover about a fifth of a
/// cover, so pointing at random would reach 20 %.
const LEAST_SHARE: f64 = 0.8;

#[test]
fn the_peak_of_the_heat_map_lies_in_the_evidence() {
    let (Trained { model, dataset }, boxes) = genres();
    let mut explainer = Explainer::new(model, None).unwrap();
    let (mut correct, mut inside) = (0, 0);
    for index in dataset.manifest.indices(Split::Test) {
        let cover = &dataset.manifest.covers[index];
        let explanation = explainer.explain(dataset.pack.image(index).unwrap(), None).unwrap();
        if explanation.predicted != cover.label {
            continue;
        }
        correct += 1;
        let [x, y, w, h] = boxes[cover.strings.path()];
        let hit = |(px, py): (u32, u32)| (x..x + w).contains(&px) && (y..y + h).contains(&py);
        inside += usize::from(explanation.heat.peak(SIZE, SIZE).is_some_and(hit));
    }
    let share = inside as f64 / correct as f64;
    println!("{inside} of {correct} peaks lie in the evidence's box ({:.0} %)", 100.0 * share);
    assert!(share >= LEAST_SHARE, "only {inside} of {correct} peaks lie in the evidence's box");
}

#[test]
fn what_the_heat_map_marks_matters_more_than_what_others_do() {
    let (Trained { model, dataset }, _) = genres();
    let question = Question { methods: &[Method::GradCam], layer: None, class: None };
    let pictures = test_pictures(dataset, 8);
    let found = measure(model, &question, &pictures, &|_, _| {}).unwrap();
    println!("{:?}", found.verdicts);
    for comparison in &found.comparisons {
        let against = [RANDOM, BLOB].contains(&comparison.against.as_str());
        assert!(against && comparison.beats == comparison.advantage.is_positive(), "{comparison:?}");
        // Deletion is the weakest of the three: any hole disturbs a network. And motifs often lie near the middle, so a few covers
        // do not always tell the map from the blob.
        match (comparison.measure, comparison.against.as_str()) {
            (Measure::Deletion, _) => {}
            (_, RANDOM) => assert!(comparison.beats, "{comparison:?}"),
            _ => assert!(comparison.advantage.mean > -0.02, "{comparison:?}"),
        }
    }
    // A map that knows nothing takes away the hottest as well as the coldest.
    let random = found.maps.iter().find(|map| map.name == RANDOM).unwrap();
    assert!(random.road.mean.abs() < 0.1, "{random:?}");
    for map in &found.maps {
        let curves = &map.curves;
        assert_eq!((curves.deletion.len(), curves.insertion.len()), (found.fractions.len(), found.fractions.len()));
        assert_eq!((curves.deletion[0], map.pictures), (*curves.insertion.last().unwrap(), found.pictures));
    }
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<gatefold::explain::Faithfulness>(&json).unwrap(), found);
}

#[test]
fn heat_maps_lose_their_likeness_as_layers_are_randomised() {
    let (Trained { model, dataset }, _) = genres();
    let weights = || [Arena::Parameters, Arena::State].map(|arena| model.store.read(&model.gpu, arena).unwrap());
    let before = weights();
    let question = Question { methods: &[Method::GradCam, Method::HiResCam], layer: None, class: None };
    let pictures = test_pictures(dataset, 6);
    let (found, maps) = randomise(model, &question, &pictures, SEED, &|_, _| {}).unwrap();
    println!("{:?}", found.methods.iter().map(|method| &method.verdict).collect::<Vec<_>>());
    assert!(weights() == before, "the network must have its own weights again");
    assert_eq!(maps.len(), 2);
    for (method, maps) in found.methods.iter().zip(&maps) {
        let names: Vec<&str> = method.stages.iter().map(|stage| stage.layers.as_str()).collect();
        assert_eq!(names, ["head", "conv4", "conv3", "conv2", "conv1"]);
        assert!(maps.iter().all(|of| of.len() == 6 && of.iter().all(|e| e.class == of[0].class)));
        let similarity: Vec<f64> = method.stages.iter().map(|stage| stage.similarity.mean).collect();
        assert!(method.passes && similarity[4] < LOST, "{similarity:?}");
        assert!(similarity[0] < 0.9, "the head decides what is evidence: {similarity:?}");
    }
    // The same weights give the same map.
    let mut explainer = Explainer::new(model, None).unwrap();
    let now = explainer.explain(pictures.pixels[0], Some(maps[0][0][0].class)).unwrap();
    assert_eq!(now.heat, maps[0][0][0].heat);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<gatefold::explain::Randomisation>(&json).unwrap(), found);
}

/// Pixels of the mark's sides, and of a cell of the map, by which its box is widened: a cell cannot point more finely.
const MARK: u32 = 10;
const CELL: u32 = 8;

fn mark_place(number: usize) -> (u32, u32) {
    let place = |factor: usize| ((number * factor + 3) % (SIZE - MARK) as usize) as u32;
    (place(37), place(23))
}

/// A ring with a dot: nothing else on the covers looks like it.
fn stamp(cover: &mut RgbImage, (left, top): (u32, u32)) {
    for (x, y) in (0..MARK * MARK).map(|i| (i % MARK, i / MARK)) {
        let away = x.abs_diff(MARK - 1 - x).max(y.abs_diff(MARK - 1 - y));
        let colour = if matches!(away, 5..=7 | 0..=2) { [20, 20, 20] } else { [250, 240, 90] };
        cover.put_pixel(left + x, top + y, Rgb(colour));
    }
}

/// How much of the map lies in the mark's box, widened by a cell; `None` without positive evidence.
fn share_on_mark(heat: &HeatMap, (left, top): (u32, u32)) -> Option<f64> {
    let near = |at: u32, start: u32| at + CELL >= start && at < start + MARK + CELL;
    let heat = heat.upsampled(SIZE, SIZE)?;
    let on = (0..).zip(&heat).filter(|(i, _)| near(i % SIZE, left) && near(i / SIZE, top)).map(|(_, v)| f64::from(*v));
    Some(on.sum::<f64>() / heat.iter().map(|v| f64::from(*v)).sum::<f64>())
}

#[test]
fn most_of_the_map_lies_on_a_planted_mark() {
    let folder = folder("mark");
    let options = SampleOptions { per_genre: 40, size: SIZE, ..SampleOptions::default() };
    let csv = sample::write(&folder.join("covers"), &options).unwrap().csv;
    let mut covers: Vec<PathBuf> = boxes(&csv).into_keys().collect();
    covers.sort();
    for class in ["marked", "plain"] {
        std::fs::create_dir_all(folder.join("data").join(class)).unwrap();
    }
    // Every other cover gets the mark, whatever its genre.
    for (number, path) in covers.iter().enumerate() {
        let mut cover = image::open(path).unwrap().to_rgb8();
        let class = if number % 2 == 0 { "marked" } else { "plain" };
        if class == "marked" {
            stamp(&mut cover, mark_place(number));
        }
        cover.save(folder.join("data").join(class).join(format!("{number:03}.png"))).unwrap();
    }
    let config = Config { epochs: 10, ..Config::default() };
    let Trained { model, dataset } = train(&folder.join("data"), &folder.join("run"), config);
    assert_eq!(dataset.manifest.classes, ["marked", "plain"]);

    let mut explainer = Explainer::new(&model, None).unwrap();
    let (mut marked, mut plain, mut unmarked) = (vec![], vec![], vec![]);
    for index in dataset.manifest.indices(Split::Test) {
        let cover = &dataset.manifest.covers[index];
        if cover.label != 0 {
            continue;
        }
        let number: usize = cover.strings.path().file_stem().unwrap().to_str().unwrap().parse().unwrap();
        let place = mark_place(number);
        let mut share = |pixels: &[u8], class| {
            share_on_mark(&explainer.explain(pixels, Some(class)).unwrap().heat, place).unwrap_or(0.0)
        };
        marked.push(share(dataset.pack.image(index).unwrap(), 0));
        plain.push(share(dataset.pack.image(index).unwrap(), 1));
        // The same cover as it was before it was marked.
        let before = picture::load(&covers[number], SIZE, dataset.pack.fit()).unwrap().pixels;
        unmarked.push(share(before.as_raw(), 0));
    }
    let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
    let [on_mark, other_class, without_mark] = [&marked, &plain, &unmarked].map(|shares| mean(shares));
    println!(
        "{} covers: {on_mark:.2} of the map on the mark, other class {other_class:.2}, no mark {without_mark:.2}",
        marked.len()
    );
    assert!(marked.len() >= 15);
    assert!(on_mark > 0.6, "only {on_mark:.2} of the map lies on the mark");
    assert!(other_class < 0.2, "{other_class:.2} of the other class's map lies on the mark");
    assert!(without_mark < 0.3, "{without_mark:.2} of the map lies where no mark is");
}
