//! `gatefold explain`

use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;

use super::GpuArguments;
use super::console::{self, percent};
use super::help::{Choice, DATA, NETWORK, OUTPUT, choice, whole};
use super::predict::load;
use super::weights::WeightsArguments;
use crate::claim::make_folder;
use crate::claim::{self, Claim};
use crate::data::{Dataset, Split, source};
use crate::explain::faithfulness::{self, Faithfulness};
use crate::explain::randomisation::{self, Randomisation, StripRow};
use crate::explain::render::NO_EVIDENCE;
use crate::explain::{CANNOT_SHOW, Method, Pictures, Question, choose_layer, gallery, layers};
use crate::file::write_atomically;
use crate::score::model::Model;
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// Show where the network looked: heat map, overlay, contact sheet and numbers
///
/// With --faithfulness or --randomisation, put the heat maps to the test instead.
#[derive(Args)]
pub struct Arguments {
    /// Run folder (not with --weights), then pictures or folders of pictures [default for the tests: the run's test set]
    #[arg(required_unless_present = "weights", value_name = "[RUN] IMAGE")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    weights: WeightsArguments,
    /// Folder to write; required for heat maps [default: RUN/explain, for the tests]
    #[arg(long, help_heading = OUTPUT)]
    out: Option<PathBuf>,
    /// How maps are made; several with commas between
    #[arg(long, value_delimiter = ',', default_value = "grad-cam", value_parser = choice::<Method>(), help_heading = NETWORK)]
    method: Vec<Method>,
    /// Class to look for [default: the predicted one]
    #[arg(long, help_heading = NETWORK)]
    class: Option<String>,
    /// Layer to look at, or `list` to print them [default: the network's usual one]
    #[arg(long, help_heading = NETWORK)]
    layer: Option<String>,
    /// Write an overlay on each picture at its own resolution too, as it lies before it is made square
    #[arg(long, conflicts_with_all = ["faithfulness", "randomisation"], help_heading = OUTPUT)]
    original: bool,
    /// Test whether what maps mark matters: deletion, insertion and ROAD, against a random map and a centred blob
    #[arg(long, help_heading = OUTPUT)]
    faithfulness: bool,
    /// Test whether maps depend on what was learned: randomise the layers from the head down (Adebayo and others, 2018)
    #[arg(long, help_heading = OUTPUT)]
    randomisation: bool,
    /// Most pictures for the tests, spread over all there are [default: 50]
    #[arg(long, value_name = "N", value_parser = whole::<u32>(1..=1_000_000), help_heading = DATA)]
    limit: Option<u32>,
    /// Print the numbers as JSON too
    #[arg(long, help_heading = OUTPUT)]
    json: bool,
    #[command(flatten)]
    gpu: GpuArguments,
}

/// Pictures that the tests take unless told otherwise: enough for an interval, few enough for a software adapter.
const LIMIT: usize = 50;

impl Choice for Method {
    const WHAT: &'static str = "method";
    const VALUES: &'static [(&'static str, &'static str, Self)] = &{
        let mut values = [("", "", Self::GradCam); Self::ALL.len()];
        let mut i = 0;
        while i < values.len() {
            let method = Self::ALL[i];
            values[i] = (method.name(), method.about(), method);
            i += 1;
        }
        values
    };
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let tests = arguments.faithfulness || arguments.randomisation;
    if arguments.limit.is_some() && !tests {
        return Err(Error::input("--limit is for --faithfulness and --randomisation; leave it out"));
    }
    let (checkpoint, images) = arguments.weights.checkpoint(&arguments.paths)?;
    // Of any file whose network is known, also of one without a head.
    if let Some(header) = checkpoint.header.as_ref().filter(|_| arguments.layer.as_deref() == Some("list")) {
        let lines = layers(header)?;
        let lines =
            lines.iter().map(|(name, shape)| format!("{name} {}x{} cells, {} channels\n", shape.h, shape.w, shape.c));
        console::show(&lines.collect::<String>());
        return Ok(());
    }
    let model = Model::from_checkpoint(&arguments.gpu.open()?, &checkpoint)?;
    let class = arguments.class.as_deref().map(|name| gallery::class_of(&model, name)).transpose()?;
    let question = Question { methods: &arguments.method, layer: arguments.layer.as_deref(), class };
    let run = arguments.weights.weights.is_none().then(|| RunFolder::new(&arguments.paths[0]));
    let out = match (&arguments.out, &run) {
        (Some(out), _) => out.clone(),
        (None, Some(run)) if tests => run.root().join("explain"),
        _ => return Err(Error::input("--out DIR is missing")),
    };
    // Before pictures are read and folders made.
    choose_layer(&model, question.layer)?;
    let images = pictures_of(images)?;
    if images.is_empty() && !tests {
        return Err(Error::input("no picture to explain; name at least one"));
    }
    let _claim = claimed(&out)?;
    if tests {
        return test(arguments, &model, &question, run.as_ref(), &images, &out);
    }
    let explanations = write_maps(&model, &question, &images, arguments.original, &out)?;
    if arguments.json {
        return console::json(&explanations);
    }
    let mut text = String::new();
    for e in &explanations {
        let found = if e.evidence { format!("peak at {},{}", e.peak[0], e.peak[1]) } else { NO_EVIDENCE.to_owned() };
        let (path, method, class, probability) =
            (console::shown(e.path.display()), e.method, console::shown(&e.class), percent(f64::from(e.probability)));
        text += &format!("{path}: {class} {probability}, score {:.3}, {method}: {found}\n", e.score);
    }
    console::show(&format!("{text}wrote {}\n{CANNOT_SHOW}\n", console::shown(out.join(gallery::SHEET).display())));
    Ok(())
}

/// Grad-CAM of pictures by the network's usual layer: loads them and writes their heat maps.
pub fn explain(
    model: &Model,
    images: &[PathBuf],
    class: Option<&str>,
    layer: Option<&str>,
    out: &Path,
) -> Result<Vec<gallery::Record>> {
    let class = class.map(|name| gallery::class_of(model, name)).transpose()?;
    let _claim = claimed(out)?;
    write_maps(model, &Question { methods: &[Method::GradCam], layer, class }, images, false, out)
}

/// The folder for heat maps, for this process alone.
fn claimed(out: &Path) -> Result<Claim> {
    let older = [gallery::NUMBERS, faithfulness::NUMBERS, randomisation::NUMBERS];
    claim::claim(out, "heat maps", || older.iter().any(|name| out.join(name).is_file()))
}

fn write_maps(
    model: &Model,
    question: &Question,
    images: &[PathBuf],
    original: bool,
    out: &Path,
) -> Result<Vec<gallery::Record>> {
    let pictures = load(images, model.picture_size(), model.pipeline())?;
    say_passes(model, question)?;
    let progress = console::Progress::new("explaining", "pictures");
    gallery::write(model, question, &pictures, original, out, &|done, total| progress.at(done, total))
}

/// Score-CAM is slow; says how slow.
fn say_passes(model: &Model, question: &Question) -> Result<()> {
    if question.methods.contains(&Method::ScoreCam) {
        let layer = choose_layer(model, question.layer)?;
        let channels =
            layers(&model.header)?.into_iter().find(|(name, _)| *name == layer).map_or(0, |(_, shape)| shape.c);
        console::say(format!(
            "note: score-cam runs the network up to {} times for each picture, once per channel",
            channels + 1
        ));
    }
    Ok(())
}

/// Pictures as they are, and those in folders.
fn pictures_of(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let each = paths.iter().map(|path| if path.is_dir() { source::pictures(path) } else { Ok(vec![path.clone()]) });
    Ok(each.collect::<Result<Vec<_>>>()?.concat())
}

/// What `--json` prints of the tests.
#[derive(Serialize)]
struct Tests {
    #[serde(skip_serializing_if = "Option::is_none")]
    faithfulness: Option<Faithfulness>,
    #[serde(skip_serializing_if = "Option::is_none")]
    randomisation: Option<Randomisation>,
}

fn test(
    arguments: &Arguments,
    model: &Model,
    question: &Question,
    run: Option<&RunFolder>,
    images: &[PathBuf],
    out: &Path,
) -> Result<()> {
    let limit = arguments.limit.map_or(LIMIT, |limit| limit as usize);
    // Whichever of the two holds the pixels.
    let (dataset, loaded);
    let pictures = if images.is_empty() {
        let Some(run) = run else {
            return Err(Error::input("no picture to test on; name some, or a run with a test set"));
        };
        dataset = Dataset::open(&run.data())?;
        if dataset.pack.size() != model.picture_size() {
            let text = "its data has pictures of another size than its checkpoint; name pictures";
            return Err(Error::input(format!("run {}: {text}", run.root().display())));
        }
        model.header.check_data(&run.checkpoint()?, &dataset)?;
        if let Some(note) = dataset.note() {
            console::say(format!("note: {note}"));
        }
        let test = dataset.manifest.indices(Split::Test);
        if test.is_empty() {
            return Err(Error::input(format!("run {}: has no test set; name pictures", run.root().display())));
        }
        let pixels = spread(test.len(), limit).map(|i| dataset.pack.image(test[i])).collect::<Result<_>>()?;
        Pictures { pixels, source: "test set".into(), of: test.len() }
    } else {
        let some: Vec<PathBuf> = spread(images.len(), limit).map(|i| images[i].clone()).collect();
        let some = load(&some, model.picture_size(), model.pipeline())?;
        loaded = some.into_iter().map(|(_, picture)| picture.pixels).collect::<Vec<_>>();
        Pictures {
            pixels: loaded.iter().map(|pixels| pixels.as_raw().as_slice()).collect(),
            source: "given".into(),
            of: images.len(),
        }
    };
    let (count, of) = (pictures.pixels.len(), pictures.of);
    if of > limit {
        console::say(format!("note: {count} of {of} pictures ({}); --limit N takes more or fewer", pictures.source));
    }
    say_passes(model, question)?;
    make_folder(out)?;
    let mut done = Tests { faithfulness: None, randomisation: None };
    let mut text = String::new();
    if arguments.faithfulness {
        let progress = console::Progress::new("measuring", "pictures");
        let found = faithfulness::measure(model, question, &pictures, &|done, total| progress.at(done, total))?;
        drop(progress);
        write_json(&out.join(faithfulness::NUMBERS), &found)?;
        let svg = faithfulness::chart(&found)?;
        write_atomically(&out.join(faithfulness::CHART), |file| std::io::Write::write_all(file, svg.as_bytes()))?;
        text += &faithfulness_text(&found);
        text += &format!("wrote {}\n", console::shown(out.join(faithfulness::CHART).display()));
        done.faithfulness = Some(found);
    }
    if arguments.randomisation {
        let found = randomise(model, question, &pictures, out)?;
        for method in &found.methods {
            for stage in &method.stages {
                text += &format!(
                    "{} randomised to {}: rank correlation {}\n",
                    method.method, stage.layers, stage.similarity
                );
            }
            text += &format!(
                "{}\nwrote {}\n",
                method.verdict,
                console::shown(out.join(randomisation::strip_of(method.method)).display())
            );
        }
        done.randomisation = Some(found);
    }
    if arguments.json {
        return console::json(&done);
    }
    console::show(&format!("{text}{CANNOT_SHOW}\n"));
    Ok(())
}

/// At most `limit` of `count`, evenly spread.
fn spread(count: usize, limit: usize) -> impl Iterator<Item = usize> {
    let taken = count.min(limit);
    (0..taken).map(move |i| i * count / taken)
}

fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let json = serde_json::to_string_pretty(value).map_err(Error::run)?;
    write_atomically(path, |file| std::io::Write::write_all(file, format!("{json}\n").as_bytes()))
}

fn faithfulness_text(found: &Faithfulness) -> String {
    let mut text = format!(
        "{:12} {:8} {:24} {:24} {:24}\n",
        "map", "evidence", "deletion (less)", "insertion (more)", "ROAD (more)"
    );
    for map in &found.maps {
        let [deletion, insertion, road] = [map.deletion, map.insertion, map.road].map(|estimate| estimate.to_string());
        text += &format!("{:12} {:<8} {deletion:24} {insertion:24} {road:24}\n", map.name, map.pictures);
    }
    if found.compared < found.pictures {
        let (compared, pictures) = (found.compared, found.pictures);
        text += &format!("over {compared} of {pictures} pictures: in the others a map has no positive evidence\n");
    }
    for verdict in &found.verdicts {
        text += &format!("{verdict}\n");
    }
    text
}

fn randomise(model: &Model, question: &Question, pictures: &Pictures, out: &Path) -> Result<Randomisation> {
    let progress = console::Progress::new("randomising", "maps");
    let at = |done: usize, total: usize| progress.at(done, total);
    let (found, maps) = randomisation::randomise(model, question, pictures, randomisation::SEED, &at)?;
    for (of, maps) in found.methods.iter().zip(maps) {
        let covers = pictures.pixels.iter().map(|picture| gallery::seen(&model.header, picture));
        let rows = covers.zip(maps).map(|(cover, maps)| {
            let maps = maps.into_iter().map(|explanation| explanation.heat).collect();
            Ok(StripRow { cover: cover?, maps })
        });
        let rows = rows.collect::<Result<Vec<_>>>()?;
        let sheet = randomisation::strip(&rows, of, &[&of.verdict, &found.cannot_show]);
        gallery::save_png(&out.join(randomisation::strip_of(of.method)), &sheet)?;
    }
    write_json(&out.join(randomisation::NUMBERS), &found)?;
    Ok(found)
}
