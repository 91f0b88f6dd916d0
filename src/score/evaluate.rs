//! Scoring a trained network: on its own sets, or on any other labelled covers by class name.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;

use crate::claim::WorkFolder;
use crate::data::import::build;
use crate::data::source::{Columns, Rename, Request};
use crate::data::{Dataset, Pack, Skipped, Split};
use crate::hint::{did_you_mean, nearest};
use crate::score::metrics::{Answer, Metrics};
use crate::score::model::Model;
use crate::score::predictions::Predictions;
use crate::weights::Checkpoint;
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

/// A run, as far as scoring needs it.
pub struct Run {
    pub checkpoint: PathBuf,
    pub data: PathBuf,
}

/// Scores runs together, by the means of their probabilities, on one of the sets that lie in their data folders; `None` takes all
/// covers. With `mirrored` each cover is shown mirrored too.
///
/// # Errors
/// [`Error::Input`] if a checkpoint and its data do not belong together, the set is empty, or the runs have other sets.
pub fn own(gpu: &Arc<Gpu>, runs: &[Run], split: Option<Split>, mirrored: bool) -> Result<Evaluation> {
    let (mut all, mut notes, mut counts) = (vec![], vec![], vec![]);
    for Run { checkpoint, data } in runs {
        let read = Checkpoint::read(checkpoint)?;
        let model = Model::from_checkpoint(gpu, &read)?;
        let dataset = Dataset::open(data)?;
        model.header.check_data(checkpoint, &dataset)?;
        let indices = match split {
            Some(split) => dataset.manifest.indices(split),
            None => (0..dataset.manifest.covers.len()).collect(),
        };
        if indices.is_empty() {
            let (name, data) = (split.map_or("all", Split::name), data.display());
            return Err(Error::input(format!("--split {name}: {data} has no covers in it; name another set")));
        }
        notes.extend(read.notes().into_iter().chain(dataset.note()));
        for mirrored in views(mirrored) {
            all.push(seen(&model, &dataset, &indices, mirrored)?);
        }
        if !all[0].is_of(all.last().unwrap_or(&all[0])) {
            let (this, first) = (checkpoint.display(), runs[0].checkpoint.display());
            return Err(Error::input(format!(
                "{this}: its set has other covers or classes than that of {first}; runs are scored together on one split, as those \
                 of train --seeds have it"
            )));
        }
        counts = model.header.training_counts.clone();
    }
    if split != Some(Split::Test) {
        notes.push("these covers took part in training or in choosing the checkpoint: the score flatters".to_owned());
    }
    let metrics = Predictions::mean(&all).map_err(Error::input)?.metrics(&counts)?;
    Ok(Evaluation { metrics, skipped: vec![], notes })
}

/// Whether pictures are mirrored, for each time that they are shown.
fn views(mirrored: bool) -> impl Iterator<Item = bool> {
    [false].into_iter().chain(mirrored.then_some(true))
}

/// What a network answers for the covers `indices` of a data set with its classes and its picture size; there must be one.
pub fn predictions(model: &Model, dataset: &Dataset, indices: &[usize]) -> Result<Predictions> {
    seen(model, dataset, indices, false)
}

/// [`predictions`], of the covers as they are or mirrored.
fn seen(model: &Model, dataset: &Dataset, indices: &[usize], mirrored: bool) -> Result<Predictions> {
    let inference = model.inference_that_fits(BATCH.min(indices.len()), false)?;
    let mut inference = if mirrored { inference.mirrored() } else { inference };
    Predictions::of(&mut inference, dataset, indices, &model.header.labels, |cover| {
        Error::run(format!("{}: the network's answer is not a number", cover.display()))
    })
}

/// Labelled covers of others.
pub struct Others<'a> {
    /// A folder per class, a table, a music library or a data set.
    pub data: &'a Path,
    pub columns: &'a Columns,
    /// From their names of classes to the network's.
    pub renames: &'a [Rename],
}

/// Scores networks together, by the means of their probabilities, on other labelled covers, matched by class name. They may be of fewer
/// classes than the networks have. With `mirrored` each cover is shown mirrored too.
///
/// # Errors
/// [`Error::Input`] if the networks have other classes, a class is unknown to them, or nothing is left.
pub fn other(
    models: &[Model],
    others: &Others,
    mirrored: bool,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Evaluation> {
    let Others { data, columns, renames } = *others;
    let Some(model) = models.first() else { return Err(Error::input("there is no network to score")) };
    check_labels(models)?;
    let source = Request::new(data, columns).read_to_score()?;
    let place = places(data, &source.classes, &model.header.labels, renames)?;
    let rows: Vec<_> = source
        .rows
        .into_iter()
        .filter_map(|row| place[row.label].map(|label| (row.strings.path().to_owned(), label)))
        .collect();
    if rows.is_empty() {
        return Err(Error::input(format!("{}: no cover is left of the run's classes", data.display())));
    }
    let folder = WorkFolder::new()?;
    let paths: Vec<_> = rows.iter().map(|(path, _)| path.clone()).collect();
    let (mut packs, mut labels, mut skipped) = (vec![], vec![], source.left_out);
    for (number, model) in models.iter().enumerate() {
        let path = folder.path().join(format!("images-{number}.pack"));
        let mut built = build::build(&path, &paths, model.picture_size(), model.pipeline(), progress)?;
        // The same can be read each time.
        if number == 0 {
            for (picture, (path, label)) in std::mem::take(&mut built.pictures).into_iter().zip(&rows) {
                match picture {
                    Ok(_) => labels.push(*label),
                    Err(bad) => skipped.push(Skipped { path: path.display().to_string(), reason: bad.reason }),
                }
            }
        }
        built.commit()?;
        packs.push(Pack::open(&path)?);
    }
    let mut notes = source.notes;
    notes.extend(absent(&labels, &model.header.labels));
    if !knows_training(model) {
        notes.push(
            "these weights do not tell what they were trained on: the majority class is these covers' own".into(),
        );
    }
    Ok(Evaluation { metrics: score(models, &packs, &labels, mirrored)?, skipped, notes })
}

/// Fails where networks that are to answer together have other classes, or the same in another order.
///
/// # Errors
/// [`Error::Input`] with both lists.
pub fn check_labels(models: &[Model]) -> Result<()> {
    let differs = models.windows(2).find(|pair| pair[0].header.labels != pair[1].header.labels);
    differs.map_or(Ok(()), |pair| {
        let (first, second) = (few(&pair[0].header.labels), few(&pair[1].header.labels));
        Err(Error::input(format!(
            "these networks cannot answer together: one has the classes {first}, another {second}"
        )))
    })
}

/// For each of their classes the network's; none for those left out.
fn places(data: &Path, theirs: &[String], known: &[String], renames: &[Rename]) -> Result<Vec<Option<usize>>> {
    let (data, labels) = (data.display(), few(known));
    for Rename { label: name, class: to } in renames {
        if !theirs.contains(name) {
            let (classes, hint) = (few(theirs), did_you_mean(name, theirs));
            return Err(Error::input(format!("--map {name}=…: {data} has no such class{hint}; it has: {classes}")));
        }
        if !to.is_empty() && !known.contains(to) {
            let hint = did_you_mean(to, known);
            return Err(Error::input(format!(
                "--map {name}={to}: the network has no such class{hint}; it has: {labels}"
            )));
        }
    }
    let renamed = |class: &String| {
        renames.iter().find(|rename| rename.label == *class).map_or(class.clone(), |rename| rename.class.clone())
    };
    let numbers: HashMap<&str, usize> = known.iter().zip(0..).map(|(label, i)| (label.as_str(), i)).collect();
    let place = |class: &String| numbers.get(renamed(class).as_str()).copied();
    let unknown: Vec<&String> =
        theirs.iter().filter(|class| place(class).is_none() && !renamed(class).is_empty()).collect();
    if unknown.is_empty() {
        return Ok(theirs.iter().map(place).collect());
    }
    // What is pasted without a second look must not make Folk of Polka: near names also begin alike.
    let first = |name: &str| name.chars().find(|c| c.is_alphanumeric()).map(|c| c.to_lowercase().to_string());
    let near = |class: &str| nearest(class, known).filter(|near| first(near) == first(class));
    let map = |class: &&String| format!("--map \"{class}={}\"", near(class).unwrap_or("NAME"));
    let (named, more) = match unknown.len() {
        0..=NAMED => (&unknown[..], ""),
        _ => (&unknown[..NAMED], " and so on"),
    };
    let maps = named.iter().map(map).collect::<Vec<_>>().join(" ") + more;
    let guesses: Vec<_> = named.iter().filter_map(|class| Some((near(class)?, *class))).collect();
    Err(Error::input(match &unknown[..] {
        [class] => {
            let hint = near(class).map_or(String::new(), |near| format!("; did you mean {near}?"));
            format!(
                "{data}: class {class} is unknown to the network, which has: {labels}{hint}; say {maps}, or --map \"{class}=\" to leave \
                 it out"
            )
        }
        several => {
            let names = few(several);
            let hints: Vec<String> = guesses.iter().map(|(near, class)| format!("{near} for {class}")).collect();
            let hint = if hints.is_empty() { String::new() } else { format!("; did you mean {}?", hints.join(", ")) };
            format!(
                "{data}: classes {names} are unknown to the network, which has: {labels}{hint}; say {maps}, with nothing behind = to \
                 leave one out"
            )
        }
    }))
}

/// Of more classes than this the others are counted, not named: a message is one line.
const NAMED: usize = 20;

/// The names of classes, as many as a message has room for.
fn few<T: AsRef<str>>(names: &[T]) -> String {
    let first: Vec<&str> = names.iter().take(NAMED).map(AsRef::as_ref).collect();
    match names.len() {
        0..=NAMED => first.join(", "),
        n => format!("{} and {} other classes", first.join(", "), n - NAMED),
    }
}

/// What to know where not all of the network's classes have covers.
fn absent(labels: &[usize], known: &[String]) -> Option<String> {
    let there: HashSet<usize> = labels.iter().copied().collect();
    let here = there.len();
    let missing: Vec<&str> =
        known.iter().zip(0..).filter(|(_, i)| !there.contains(i)).map(|(name, _)| name.as_str()).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = few(&missing);
    Some(match here {
        1 => format!(
            "these covers are all of one class: the accuracy is its recall, and the baselines say little; there are none of {missing}"
        ),
        _ => format!(
            "there are no covers of {missing}: balanced accuracy and macro-F1 are means over the {here} classes that occur"
        ),
    })
}

fn score(models: &[Model], packs: &[Pack], labels: &[usize], mirrored: bool) -> Result<Metrics> {
    let mut eyes = vec![];
    for (model, pack) in models.iter().zip(packs) {
        for mirrored in views(mirrored) {
            let inference = model.inference_that_fits(BATCH.min(labels.len()), false)?;
            eyes.push((if mirrored { inference.mirrored() } else { inference }, pack));
        }
    }
    let header = &models[0].header;
    let classes = header.labels.len();
    let mut answers: Vec<Answer> = Vec::with_capacity(labels.len());
    // A batch at a time: the probabilities of all covers for very many classes are more than memory holds.
    for batch in (0..labels.len()).collect::<Vec<_>>().chunks(BATCH) {
        let mut sums = vec![0.0_f64; batch.len() * classes];
        for (inference, pack) in &mut eyes {
            let logits = inference.logits(pack.images(batch)?.into_iter(), |_| {})?;
            sums.iter_mut().zip(inference.probabilities(&logits)).for_each(|(sum, p)| *sum += f64::from(p));
        }
        let means: Vec<f32> = sums.into_iter().map(|sum| (sum / eyes.len() as f64) as f32).collect();
        for (&cover, row) in batch.iter().zip(means.chunks(classes)) {
            let answer = Answer::new(labels[cover], row);
            answers.push(answer.map_err(|why| Error::run(format!("cover number {cover}: {why}")))?);
        }
    }
    let mut counts = header.training_counts.clone();
    if !knows_training(&models[0]) {
        answers.iter().for_each(|answer| counts[answer.label] += 1);
    }
    Metrics::of(&answers, &header.labels, &counts)
}

/// Whether the weights tell how many covers of each class they were trained on.
fn knows_training(model: &Model) -> bool {
    model.header.training_counts.iter().any(|&count| count > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_matched_by_name_and_near_names_are_offered_ready_to_paste() {
        let known: Vec<String> = ["HipHop", "Jazz", "Metal"].map(str::to_owned).to_vec();
        let call = |theirs: &[&str], renames: &[(&str, &str)]| {
            let theirs: Vec<String> = theirs.iter().map(|&name| name.to_owned()).collect();
            let renames: Vec<Rename> = renames.iter().map(|(a, b)| format!("{a}={b}").parse().unwrap()).collect();
            places(Path::new("covers"), &theirs, &known, &renames).map_err(|e| e.to_string())
        };
        assert_eq!(call(&["Metal"], &[]), Ok(vec![Some(2)]));
        assert_eq!(call(&["hip-hop", "x"], &[("hip-hop", "HipHop"), ("x", "")]), Ok(vec![Some(0), None]));
        // Alike, but another thing.
        let far = call(&["Betal"], &[]).unwrap_err();
        assert!(far.contains("--map \"Betal=NAME\"") && !far.contains("did you mean"), "{far}");
        let one = call(&["Jazz", "hip-hop"], &[]).unwrap_err();
        for part in
            ["class hip-hop is unknown", "did you mean HipHop?", "--map \"hip-hop=HipHop\"", "--map \"hip-hop=\""]
        {
            assert!(one.contains(part), "{part}: {one}");
        }
        let two = call(&["Polka", "hip hop"], &[]).unwrap_err();
        for part in
            ["Polka, hip hop are unknown", "HipHop for hip hop?", "--map \"Polka=NAME\" --map \"hip hop=HipHop\""]
        {
            assert!(two.contains(part), "{part}: {two}");
        }
        let to = call(&["hip-hop"], &[("hip-hop", "Hip-Hop")]).unwrap_err();
        assert!(to.contains("--map hip-hop=Hip-Hop: the network has no such class; did you mean HipHop?"), "{to}");
        let from = call(&["hip-hop"], &[("HipHop", "HipHop")]).unwrap_err();
        assert!(from.contains("has no such class; did you mean hip-hop?"), "{from}");
        assert_eq!(absent(&[0, 1, 2], &known), None);
        assert!(absent(&[1, 1], &known).unwrap().contains("there are none of HipHop, Metal"));
        assert!(absent(&[1, 2], &known).unwrap().contains("the 2 classes that occur"));
        let many: Vec<String> = (0..1000).map(|i| format!("k{i}")).collect();
        let said = places(Path::new("covers"), &many, &known, &[]).unwrap_err().to_string();
        assert!(said.len() < 1500 && said.contains("k19 and 980 other classes are unknown"), "{said}");
        assert!(said.contains("--map \"k19=NAME\" and so on, with nothing behind ="), "{said}");
        let note = absent(&[0, 999], &many).unwrap();
        assert!(note.contains("k1, k2,") && note.contains("k20 and 978 other classes:"), "{note}");
    }
}
