//! Scoring a trained network: on its own sets, or on any other labelled covers by class name.

use std::path::Path;
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;
use gatefold_engine::hint::did_you_mean;

use crate::data::import::build;
use crate::data::source::{self, Columns};
use crate::data::{Dataset, Pack, Skipped, Split};
use crate::score::metrics::Metrics;
use crate::score::model::{Model, probabilities};
use crate::score::predictions::Predictions;
use crate::{Error, Result};

/// Pictures per launch of the forward pass.
pub const BATCH: usize = 32;

/// A score and what was left out of it.
pub struct Evaluation {
    pub metrics: Metrics,
    pub skipped: Vec<Skipped>,
    /// What else the user should know.
    pub notes: Vec<String>,
}

/// Scores a run's checkpoint on one of the sets that lie in its data folder; `None` takes all covers.
///
/// # Errors
/// [`Error::Input`] if the two do not belong together or the set is empty.
pub fn own(gpu: &Arc<Gpu>, checkpoint: &Path, data: &Path, split: Option<Split>) -> Result<Evaluation> {
    let model = Model::load(gpu, checkpoint)?;
    let dataset = Dataset::open(data)?;
    if dataset.manifest.classes != model.header.labels || dataset.pack.size() != model.picture_size() {
        let (data, checkpoint) = (data.display(), checkpoint.display());
        return Err(Error::input(format!("checkpoint {checkpoint} does not belong to the data in {data}")));
    }
    let indices = match split {
        Some(split) => dataset.manifest.indices(split),
        None => (0..dataset.manifest.covers.len()).collect(),
    };
    if indices.is_empty() {
        let (name, data) = (split.map_or("all", Split::name), data.display());
        return Err(Error::input(format!("--split {name}: {data} has no covers in it; name another set")));
    }
    let notes = match split {
        Some(Split::Test) => vec![],
        _ => vec!["these covers took part in training or in choosing the checkpoint: the score flatters".to_owned()],
    };
    let counts = &model.header.training_counts;
    let metrics = predictions(&model, &dataset, &indices)?.metrics(counts)?;
    Ok(Evaluation { metrics, skipped: vec![], notes })
}

/// What a network answers for the covers `indices` of a data set with its classes and its picture size; there must be one.
pub fn predictions(model: &Model, dataset: &Dataset, indices: &[usize]) -> Result<Predictions> {
    let mut inference = model.inference(BATCH.min(indices.len()))?;
    let logits = inference.logits(indices.iter().map(|&i| dataset.pack.image(i)), |_| {})?;
    let probabilities = probabilities(&logits, model.header.net.outputs());
    Ok(Predictions::new(dataset, indices, &model.header.labels, &probabilities))
}

/// Scores a network on other labelled covers, matched by class name. `renames` are pairs of their name and the network's
/// name; an empty name leaves a class out.
///
/// # Errors
/// [`Error::Input`] if a class is unknown to the network or nothing is left.
pub fn other(
    model: &Model,
    data: &Path,
    columns: &Columns,
    renames: &[(String, String)],
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Evaluation> {
    let source = source::read(data, columns)?;
    let known = &model.header.labels;
    if let Some((name, _)) = renames.iter().find(|(name, _)| !source.classes.contains(name)) {
        let classes = source.classes.join(", ");
        let (data, hint) = (data.display(), did_you_mean(name, &source.classes));
        return Err(Error::input(format!("--map {name}=…: {data} has no such class{hint}; it has: {classes}")));
    }
    let renamed =
        |class: &String| renames.iter().find(|(name, _)| name == class).map_or(class.clone(), |(_, to)| to.clone());
    let mut place = vec![];
    for class in &source.classes {
        let name = renamed(class);
        let found = known.iter().position(|label| *label == name);
        if found.is_none() && !name.is_empty() {
            let (data, labels) = (data.display(), known.join(", "));
            return Err(Error::input(format!(
                "{data}: class {class} is unknown to the network, which has: {labels}; say --map \"{class}=NAME\", or \
                 --map \"{class}=\" to leave it out"
            )));
        }
        place.push(found);
    }
    let rows: Vec<_> = source
        .rows
        .into_iter()
        .filter_map(|row| place[row.label].map(|label| (row.strings.path().to_owned(), label)))
        .collect();
    if rows.is_empty() {
        return Err(Error::input(format!("{}: no cover is left of the run's classes", data.display())));
    }
    let folder = tempfile::tempdir().map_err(|e| Error::run(format!("no temporary folder ({e})")))?;
    let path = folder.path().join("images.pack");
    let paths: Vec<_> = rows.iter().map(|(path, _)| path.clone()).collect();
    let mut built = build::build(&path, &paths, model.picture_size(), model.pipeline(), progress)?;
    let (mut labels, mut skipped) = (vec![], source.left_out);
    for (picture, (path, label)) in std::mem::take(&mut built.pictures).into_iter().zip(rows) {
        match picture {
            Ok(_) => labels.push(label),
            Err(bad) => skipped.push(Skipped { path: path.display().to_string(), reason: bad.reason }),
        }
    }
    built.commit()?;
    let pack = Pack::open(&path)?;
    let pictures: Vec<_> = labels.into_iter().enumerate().map(|(i, label)| (pack.image(i), label)).collect();
    let mut notes = source.notes;
    if !knows_training(model) {
        notes.push(
            "these weights do not tell what they were trained on: the majority class is these covers' own".into(),
        );
    }
    Ok(Evaluation { metrics: score(model, &pictures)?, skipped, notes })
}

fn score(model: &Model, pictures: &[(&[u8], usize)]) -> Result<Metrics> {
    let mut inference = model.inference(BATCH.min(pictures.len()))?;
    let logits = inference.logits(pictures.iter().map(|(bytes, _)| *bytes), |_| {})?;
    let labels: Vec<usize> = pictures.iter().map(|&(_, label)| label).collect();
    let probabilities = probabilities(&logits, model.header.net.outputs());
    let mut counts = model.header.training_counts.clone();
    if !knows_training(model) {
        labels.iter().for_each(|&label| counts[label] += 1);
    }
    Metrics::new(&labels, &probabilities, &model.header.labels, &counts)
}

/// Whether the weights tell how many covers of each class they were trained on.
fn knows_training(model: &Model) -> bool {
    model.header.training_counts.iter().any(|&count| count > 0)
}
