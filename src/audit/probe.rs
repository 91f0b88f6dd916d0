//! Can the label be told from a table of numbers? Logistic regression that is scored on groups it never saw, against what it
//! scores when labels mean nothing.

use std::sync::atomic::{AtomicUsize, Ordering};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::Serialize;

use super::auc::{auc, bootstrap, holm, interval, quantile, spread, two_sided};
use super::logistic::Logistic;
use super::table::{Nature, Table};
use crate::data::set::folds::{deal, members};

const FOLDS: usize = 5;
/// How often labels are dealt out anew to learn what chance does.
pub const PERMUTATIONS: usize = 200;
/// A class with fewer pictures, or fewer groups, is not asked about: five folds would have next to nothing to learn from.
pub const LEAST_PICTURES: usize = 20;
const LEAST_GROUPS: usize = 10;
/// Standardised values are cut off here, so that a single odd picture cannot turn a model.
const FURTHEST: f64 = 5.0;

/// Pictures whose labels are known, and which of them belong together.
#[derive(Clone, Copy)]
pub struct Pictures<'a> {
    pub classes: &'a [String],
    /// Index into `classes` for each picture.
    pub labels: &'a [usize],
    /// Number of each picture's group, from 0 on.
    pub groups: &'a [usize],
}

/// What a probe found.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    pub pictures: usize,
    pub columns: usize,
    /// One for each class against the rest; for two classes only one, since the other is its mirror image.
    pub classes: Vec<ClassProbe>,
    /// Classes that were not asked about.
    pub too_few: Vec<String>,
    /// What labels that mean nothing score; none where it was not asked for.
    pub null: Option<Null>,
    /// Single columns, the strongest first.
    pub features: Vec<FeatureProbe>,
    /// Scores of each class's question, for comparisons with other probes.
    #[serde(skip)]
    scores: Vec<Vec<f64>>,
}

/// One class against the rest, from all columns together.
#[derive(Clone, Debug, Serialize)]
pub struct ClassProbe {
    pub class: String,
    pub pictures: usize,
    pub auc: f64,
    /// 95 %, by drawing groups anew.
    pub interval: [f64; 2],
    /// The area that labels without meaning stay below in 95 % of cases, for this class.
    pub null_95: Option<f64>,
    pub null_sd: Option<f64>,
    /// How often meaningless labels reach this area for any of the classes.
    pub p: Option<f64>,
    #[serde(skip)]
    pub label: usize,
}

/// Areas under labels that were dealt out at random, group by group.
#[derive(Clone, Debug, Serialize)]
pub struct Null {
    pub permutations: usize,
    pub mean: f64,
    pub sd: f64,
    /// 95 % of permutations stay below this with their most successful class.
    pub largest_95: f64,
}

/// One column and one class.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureProbe {
    pub feature: String,
    pub about: String,
    pub nature: Nature,
    pub class: String,
    /// Above 0.5, the class has larger values than the rest; below, smaller ones.
    pub auc: f64,
    pub p: f64,
    /// Corrected for all columns and classes by Holm's method.
    pub p_holm: f64,
    #[serde(skip)]
    pub column: usize,
    #[serde(skip)]
    pub label: usize,
}

impl ClassProbe {
    /// Whether the area lies above what meaningless labels reach in 95 % of cases, for any class.
    pub fn is_above_chance(&self) -> bool {
        self.p.is_some_and(|p| p <= 0.05)
    }
}

impl Probe {
    /// Asks a table. With `permutations` 0, what chance does is left out, and single columns are too.
    ///
    /// The same seed gives the same numbers, on any number of cores.
    pub fn run(
        table: &Table,
        pictures: Pictures,
        permutations: usize,
        seed: u64,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Self {
        let (asked, too_few) = questions(pictures);
        let Pictures { classes, labels, groups } = pictures;
        let folded = Folded::new(table, &deal(labels, groups, classes.len(), FOLDS, seed));
        let scores: Vec<Vec<f64>> = asked.par_iter().map(|&class| folded.scores(&is(pictures.labels, class))).collect();
        let areas: Vec<f64> =
            scores.iter().zip(&asked).map(|(scores, &class)| area(scores, &is(pictures.labels, class))).collect();
        let intervals: Vec<[f64; 2]> = scores
            .par_iter()
            .zip(&asked)
            .map(|(scores, &class)| {
                interval(&bootstrap(&[scores.as_slice()], &is(pictures.labels, class), pictures.groups, seed)[0])
            })
            .collect();

        let singles = Singles::new(table);
        let done = AtomicUsize::new(0);
        let shuffled: Vec<(Vec<f64>, Vec<f64>)> = (0..permutations)
            .into_par_iter()
            .map(|number| {
                let labels = dealt(pictures, seed, number as u64);
                let joint = asked.iter().map(|&class| {
                    let labels = is(&labels, class);
                    area(&folded.scores(&labels), &labels)
                });
                let both = (joint.collect(), singles.areas(&labels, pictures.classes.len(), &asked));
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, permutations);
                both
            })
            .collect();
        let of_class = |place: usize| shuffled.iter().map(|(joint, _)| joint[place]).collect::<Vec<f64>>();
        let largest: Vec<f64> = shuffled.iter().map(|(joint, _)| joint.iter().copied().fold(0.0, f64::max)).collect();

        let classes = asked.iter().enumerate().map(|(place, &label)| {
            let own = of_class(place);
            let reached = largest.iter().filter(|&&null| null >= areas[place]).count();
            ClassProbe {
                class: pictures.classes[label].clone(),
                pictures: pictures.labels.iter().filter(|&&own| own == label).count(),
                auc: areas[place],
                interval: intervals[place],
                null_95: quantile(&own, 0.95),
                null_sd: (permutations > 0).then(|| spread(&own).1),
                p: (permutations > 0).then(|| (1 + reached) as f64 / (1 + permutations) as f64),
                label,
            }
        });
        let null = (permutations > 0 && !asked.is_empty()).then(|| {
            let all: Vec<f64> = shuffled.iter().flat_map(|(joint, _)| joint).copied().collect();
            let (mean, sd) = spread(&all);
            Null { permutations, mean, sd, largest_95: quantile(&largest, 0.95).unwrap_or(1.0) }
        });
        let nulls: Vec<&Vec<f64>> = shuffled.iter().map(|(_, singles)| singles).collect();
        Self {
            pictures: pictures.labels.len(),
            columns: table.width(),
            classes: classes.collect(),
            too_few: too_few.into_iter().map(|class| pictures.classes[class].clone()).collect(),
            null,
            features: if permutations > 0 { features(table, pictures, &asked, &singles, &nulls) } else { Vec::new() },
            scores,
        }
    }

    /// The best of the classes.
    pub fn strongest(&self) -> Option<&ClassProbe> {
        self.classes.iter().max_by(|a, b| a.auc.total_cmp(&b.auc))
    }

    /// By how much each class's area is larger here than in `other`, which asked about the same pictures: the difference and its
    /// 95 % interval, from the same draws for both.
    pub fn above(&self, other: &Self, pictures: Pictures, seed: u64) -> Vec<(f64, [f64; 2])> {
        let both = self.classes.iter().zip(&other.classes).zip(self.scores.iter().zip(&other.scores));
        both.map(|((one, two), (own, theirs))| {
            let drawn = bootstrap(&[own, theirs], &is(pictures.labels, one.label), pictures.groups, seed);
            let differences: Vec<f64> = drawn[0].iter().zip(&drawn[1]).map(|(a, b)| a - b).collect();
            (one.auc - two.auc, interval(&differences))
        })
        .collect()
    }
}

fn is(labels: &[usize], class: usize) -> Vec<bool> {
    labels.iter().map(|&label| label == class).collect()
}

fn area(scores: &[f64], labels: &[bool]) -> f64 {
    auc(scores, labels).unwrap_or(0.5)
}

/// The classes to ask about, and those that are too small.
fn questions(pictures: Pictures) -> (Vec<usize>, Vec<usize>) {
    let Pictures { classes, labels, groups } = pictures;
    let enough = |class: usize, inside: bool| {
        let own: Vec<usize> =
            (0..labels.len()).filter(|&i| (labels[i] == class) == inside).map(|i| groups[i]).collect();
        let count = own.len();
        let mut apart = own;
        apart.sort_unstable();
        apart.dedup();
        count >= LEAST_PICTURES && apart.len() >= LEAST_GROUPS
    };
    let (mut asked, too_few): (Vec<usize>, Vec<usize>) =
        (0..classes.len()).partition(|&class| enough(class, true) && enough(class, false));
    if classes.len() == 2 && asked.len() == 2 {
        // The smaller one is nearly always the one that is meant.
        let size = |class: usize| labels.iter().filter(|&&label| label == class).count();
        asked.remove(if size(0) < size(1) { 1 } else { 0 });
    }
    (asked, too_few)
}

/// Labels dealt out at random: each group gets those of another one. So pictures of a group go on sharing their label, and what
/// they have in common beside it does not look like a finding. Groups of different sizes repeat or drop some labels, so classes
/// keep their sizes only about; areas do not depend on them.
pub fn dealt(pictures: Pictures, seed: u64, number: u64) -> Vec<usize> {
    let Pictures { labels, groups, .. } = pictures;
    let members = members(groups);
    let mut givers: Vec<&Vec<usize>> = members.iter().collect();
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    dice.set_stream(1 + number);
    givers.shuffle(&mut dice);
    let mut out = vec![0; labels.len()];
    for (own, giver) in members.iter().zip(givers) {
        own.iter().zip(giver.iter().cycle()).for_each(|(&i, &from)| out[i] = labels[from]);
    }
    out
}

/// A table cut into folds, each standardised by what its model may see.
struct Folded {
    width: usize,
    folds: Vec<Fold>,
    count: usize,
}

struct Fold {
    /// Numbers of the pictures to learn from, and their standardised rows.
    learned: Vec<usize>,
    learned_rows: Vec<f64>,
    scored: Vec<usize>,
    scored_rows: Vec<f64>,
}

impl Folded {
    fn new(table: &Table, fold_of: &[usize]) -> Self {
        let fold = |fold: usize| {
            let (scored, learned): (Vec<usize>, Vec<usize>) = (0..fold_of.len()).partition(|&i| fold_of[i] == fold);
            let scale: Vec<(f64, f64)> = (0..table.width())
                .map(|column| {
                    let known = learned.iter().map(|&i| table.row(i)[column]).filter(|v| !v.is_nan());
                    let (mean, sd) = spread(&known.collect::<Vec<f64>>());
                    // A column that never changes says nothing.
                    (mean, if sd > 1e-9 * (1.0 + mean.abs()) { sd } else { f64::INFINITY })
                })
                .collect();
            let standard = |rows: &[usize]| {
                let values = rows.iter().flat_map(|&i| table.row(i).iter().zip(&scale));
                // What does not apply counts as average.
                let one = |(v, (mean, sd)): (&f64, &(f64, f64))| {
                    if v.is_nan() { 0.0 } else { ((v - mean) / sd).clamp(-FURTHEST, FURTHEST) }
                };
                values.map(one).collect()
            };
            Fold { learned_rows: standard(&learned), scored_rows: standard(&scored), learned, scored }
        };
        Self { width: table.width(), folds: (0..FOLDS).map(fold).collect(), count: fold_of.len() }
    }

    /// A score for each picture by a model that did not see its fold, less the fold's mean, so that folds can be compared.
    fn scores(&self, labels: &[bool]) -> Vec<f64> {
        let mut scores = vec![0.0; self.count];
        for fold in &self.folds {
            let known: Vec<bool> = fold.learned.iter().map(|&i| labels[i]).collect();
            // All of one kind, as may happen to dealt labels of a small class: nothing to learn, all score 0.
            if self.width == 0 || known.iter().all(|&label| label == known[0]) {
                continue;
            }
            let model = Logistic::fit(&fold.learned_rows, self.width, &known);
            let own: Vec<f64> = fold.scored_rows.chunks_exact(self.width).map(|row| model.score(row)).collect();
            let mean = own.iter().sum::<f64>() / own.len().max(1) as f64;
            fold.scored.iter().zip(own).for_each(|(&i, score)| scores[i] = score - mean);
        }
        scores
    }
}

/// Ranks of each column's values, for areas of single columns under any labels.
struct Singles {
    /// Column after column; NaN where the value is.
    ranks: Vec<Vec<f64>>,
}

impl Singles {
    fn new(table: &Table) -> Self {
        let ranks = (0..table.width()).map(|column| {
            let mut ranks = vec![f64::NAN; table.rows()];
            let value = |i: usize| table.row(i)[column];
            let mut order: Vec<usize> = (0..table.rows()).filter(|&i| !value(i).is_nan()).collect();
            order.sort_by(|&a, &b| value(a).total_cmp(&value(b)));
            let mut at = 0;
            while at < order.len() {
                let end = at + order[at..].iter().take_while(|&&i| value(i) == value(order[at])).count();
                order[at..end].iter().for_each(|&i| ranks[i] = (at + end + 1) as f64 / 2.0);
                at = end;
            }
            ranks
        });
        Self { ranks: ranks.collect() }
    }

    /// The area of each column for each of the `asked` classes, column after column; 0.5 where one side has no values.
    fn areas(&self, labels: &[usize], classes: usize, asked: &[usize]) -> Vec<f64> {
        let mut out = Vec::with_capacity(self.ranks.len() * asked.len());
        let (mut sums, mut counts) = (vec![0.0; classes], vec![0.0; classes]);
        for ranks in &self.ranks {
            sums.fill(0.0);
            counts.fill(0.0);
            for (&rank, &label) in ranks.iter().zip(labels).filter(|(rank, _)| !rank.is_nan()) {
                sums[label] += rank;
                counts[label] += 1.0;
            }
            let all: f64 = counts.iter().sum();
            out.extend(asked.iter().map(|&class| {
                let own: f64 = counts[class];
                let pairs = own * (all - own);
                if pairs > 0.0 { (sums[class] - own * (own + 1.0) / 2.0) / pairs } else { 0.5 }
            }));
        }
        out
    }
}

/// Each column by itself. Its p is that of a normal number with the spread that dealt labels give: 200 permutations alone could
/// not tell a p small enough to survive Holm's correction.
fn features(
    table: &Table,
    pictures: Pictures,
    asked: &[usize],
    singles: &Singles,
    nulls: &[&Vec<f64>],
) -> Vec<FeatureProbe> {
    let areas = singles.areas(pictures.labels, pictures.classes.len(), asked);
    let p: Vec<f64> = areas
        .iter()
        .enumerate()
        .map(|(place, area)| {
            let (_, sd) = spread(&nulls.iter().map(|null| null[place]).collect::<Vec<f64>>());
            if sd > 0.0 { two_sided((area - 0.5) / sd) } else { 1.0 }
        })
        .collect();
    let corrected = holm(&p);
    let mut found: Vec<FeatureProbe> = (0..areas.len())
        .map(|place| {
            let (column, label) = (place / asked.len(), asked[place % asked.len()]);
            let about = &table.columns[column];
            FeatureProbe {
                feature: about.name.clone(),
                about: about.about.clone(),
                nature: about.nature,
                class: pictures.classes[label].clone(),
                auc: areas[place],
                p: p[place],
                p_holm: corrected[place],
                column,
                label,
            }
        })
        .collect();
    found.sort_by(|a, b| (b.auc - 0.5).abs().total_cmp(&(a.auc - 0.5).abs()));
    found
}

#[cfg(test)]
mod tests;
