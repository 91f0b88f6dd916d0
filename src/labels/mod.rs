//! Which labels look wrong?
//!
//! Networks that have not seen a cover ([`Folds`]) say what they take it for; confident learning ([`confident`]) makes of that which
//! labels contradict them; and the covers that are alike to it ([`neighbours`]) give their labels beside it. [`find`] puts these
//! together, [`table`] and [`page`] write them down.

pub mod confident;
pub mod neighbours;
pub mod order;
pub mod page;
pub mod table;
mod trust;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;

use self::confident::{Confident, Opinion};
use self::neighbours::{Near, nearest};
use self::order::belief;
pub use self::trust::Trust;
use crate::data::set::manifest::DUPLICATES;
use crate::data::set::report::{Report, Told as Same};
use crate::data::{Dataset, Split};
use crate::score::Predictions;
use crate::score::model::Model;
use crate::train::folds::{Folds, Score};
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// What was found out about the labels of a data set.
pub struct Found {
    pub dataset: Arc<Dataset>,
    /// Of the networks, over all covers.
    pub score: Score,
    /// Whether they can tell a wrong label at all.
    pub trust: Trust,
    pub confident: Confident,
    /// All covers, the most suspicious label first.
    pub rows: Vec<Row>,
    /// Pictures that were left out of the data set because the same picture has several labels.
    pub contradictions: Vec<Same>,
}

/// A cover, and what speaks against its label.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Its place in the data set.
    pub cover: usize,
    pub label: usize,
    /// The class that it would rather be.
    pub suggestion: usize,
    /// How suspicious the label is, from 0 to 1, in the order that [`Trust`] chose.
    pub score: f64,
    /// Whether confident learning takes the label for wrong; of no cover if the networks cannot tell.
    pub suspect: bool,
    /// What the network gives the label and the suggestion.
    pub probabilities: [f32; 2],
    /// The most alike covers that the network learnt from.
    pub near: Vec<Near>,
    /// How many of them have the label, and the suggestion.
    pub near_labels: [usize; 2],
    /// The first cover that looks alike from afar, or shows the same, and has another label.
    pub alike: Option<usize>,
}

impl Found {
    /// The names of the classes.
    pub fn classes(&self) -> &[String] {
        &self.dataset.manifest.classes
    }

    /// How many labels are suspects.
    pub fn suspects(&self) -> usize {
        self.rows.iter().filter(|row| row.suspect).count()
    }

    /// What speaks against a label, in words.
    pub fn why(&self, row: &Row) -> String {
        let class = |class: usize| crate::report::words::short(&self.classes()[class]);
        let percent = crate::report::words::percent;
        let [of_label, of_suggestion] = row.probabilities.map(|p| percent(f64::from(p)));
        let mut why =
            format!("the network gives {} {of_suggestion} and {} {of_label}", class(row.suggestion), class(row.label));
        let [near_label, near_suggestion] = row.near_labels;
        if !row.near.is_empty() {
            let (all, suggestion, label) = (row.near.len(), class(row.suggestion), class(row.label));
            why += &format!(
                "; of the {all} most alike covers {near_suggestion} are {suggestion} and {near_label} {label}"
            );
        }
        if let Some(other) = row.alike {
            let cover = &self.dataset.manifest.covers[other];
            let name = cover.strings.path().file_name().unwrap_or_default().to_string_lossy();
            why += &format!("; {name} looks alike and is {}", class(cover.label));
        }
        why
    }
}

/// Hears how far it is: done of so many covers.
pub type Progress<'a> = &'a dyn Fn(usize, usize);

/// Finds the labels that look wrong from the folds in the folder `out`, all of which are trained, and their answers for all covers.
///
/// # Errors
/// [`Error::Input`] if a file of the folds is damaged; [`Error::Run`] if the device fails.
pub fn find(gpu: &Arc<Gpu>, folds: &Folds, answers: &Predictions, out: &Path, progress: Progress) -> Result<Found> {
    let folder = RunFolder::new(out);
    let dataset = Arc::new(Dataset::open(&folder.data())?);
    let score = folds.score.clone().ok_or_else(|| Error::run("the folds have no score"))?;
    let near = of_folds(gpu, folds, dataset.manifest.covers.len(), out, progress)?;
    let opinions: Vec<Opinion> = answers
        .covers
        .iter()
        .map(|cover| Opinion { label: cover.answer.label, probabilities: cover.probabilities() })
        .collect();
    let (manifest, classes) = (&dataset.manifest, dataset.manifest.classes.len());
    let labels: Vec<usize> = manifest.covers.iter().map(|cover| cover.label).collect();
    let confident = confident::learn(&opinions, classes);
    let believed = |vote: f32| -> Vec<Opinion> {
        opinions.iter().zip(&near).map(|(own, near)| belief(own, near, &labels, vote)).collect()
    };
    let trust = Trust::new(&score, &believed, &manifest.groups(), classes, folds.config.seed);
    let beliefs = believed(trust.order.vote);
    let alike = alike(&dataset);
    let mut rows: Vec<Row> = opinions
        .iter()
        .zip(&beliefs)
        .zip(near)
        .enumerate()
        .map(|(cover, ((opinion, belief), near))| {
            let label = opinion.label;
            // A cover of one class among two has one other.
            let suggestion = belief.best_other().map_or(label, |(class, _)| class);
            let count = |class: usize| near.iter().filter(|near| labels[near.cover] == class).count();
            Row {
                cover,
                label,
                suggestion,
                score: trust.order.suspicion(belief, label),
                suspect: trust.can_tell && confident.suspects[cover],
                probabilities: [opinion.self_confidence(), opinion.of(suggestion)],
                near_labels: [count(label), count(suggestion)],
                alike: alike.get(&cover).copied(),
                near,
            }
        })
        .collect();
    rows.sort_by(|a, b| b.score.total_cmp(&a.score).then(a.cover.cmp(&b.cover)));
    let report = Report::read(dataset.dir())?;
    let contradictions = report.duplicates.into_iter().filter(|group| group.kept.is_none()).collect();
    Ok(Found { dataset, score, trust, confident, rows, contradictions })
}

/// For each cover its neighbours, by the network of the fold that it is in.
fn of_folds(gpu: &Arc<Gpu>, folds: &Folds, covers: usize, out: &Path, progress: Progress) -> Result<Vec<Vec<Near>>> {
    let mut all = vec![Vec::new(); covers];
    for fold in 1..=folds.folds {
        let run = RunFolder::new(&Folds::folder(out, fold));
        // The same covers in the same order, as this network sees them.
        let own = Arc::new(Dataset::open(&run.data())?);
        let (asked, others) = (own.manifest.indices(Split::Test), own.manifest.indices(Split::Train));
        let model = Model::load(gpu, &run.checkpoint()?)?;
        let found = nearest(&model, &own, &asked, &others, &|done, _| {
            progress((fold - 1) * covers + done, folds.folds * covers);
        })?;
        asked.into_iter().zip(found).for_each(|(i, near)| all[i] = near);
    }
    Ok(all)
}

/// For each cover the first that looks alike, by the column that keeps such together, and has another label.
fn alike(dataset: &Dataset) -> HashMap<usize, usize> {
    let manifest = &dataset.manifest;
    let Some(column) = manifest.group_columns.iter().position(|column| column == DUPLICATES) else {
        return HashMap::new();
    };
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for (i, cover) in manifest.covers.iter().enumerate() {
        let value = cover.strings.group(column);
        if !value.is_empty() {
            groups.entry(value).or_default().push(i);
        }
    }
    let label = |i: usize| manifest.covers[i].label;
    let mut alike = HashMap::new();
    for group in groups.values() {
        for &i in group {
            if let Some(&other) = group.iter().find(|&&j| label(j) != label(i)) {
                alike.insert(i, other);
            }
        }
    }
    alike
}
