//! Does the answer change when a cover is brought through another class's pipeline?
//!
//! Classes from different sources differ in what their files went through: a native size, a strength of compression. A cover
//! that is scaled and compressed as the other class is shows the same picture. If answers then move to that class, the network
//! reads the pipeline: a shortcut. If they move as often without direction, it is merely fragile.
//!
//! Scaling and compressing once more is in itself a change. So each cover also goes through its *own* class's pipeline, and the
//! two answers are compared: where only one of them is the other class, which one is it? Did the pipeline not matter, both would
//! be as likely, which the sign test (exact binomial, two-sided) puts to the proof; this is McNemar's test.

use std::sync::Arc;

use gatefold_engine::gpu::Gpu;
use image::RgbImage;
use rayon::prelude::*;
use serde::Serialize;

use crate::Result;
use crate::data::picture::{self, jpeg};
use crate::data::{Dataset, Fit, Manifest, Pipeline, Split};
use crate::score::evaluate::BATCH;
use crate::score::metrics::predicted;
use crate::score::model::Model;
use crate::train::run::RunFolder;

/// Test covers that are looked at, of each class; of more, so many are taken at even distances.
pub const MOST_COVERS: usize = 300;
/// Files that a class's pipeline is read off, at most.
const MOST_FILES: usize = 300;
/// Below this the sign test speaks of a direction.
const LEAST_P: f64 = 0.01;
/// Answers that change more often than this, in either pipeline, are fragile.
const FRAGILE: f64 = 0.1;

/// What a class's files typically went through before they came here.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Origin {
    pub label: String,
    /// Files that could be looked at.
    pub files: usize,
    /// Median of the shorter sides, in pixels.
    pub side: u32,
    /// Share of the files that are JPEG.
    pub jpeg_share: f64,
    /// Median quality of these, 1 to 100 on the scale of the Independent JPEG Group; none if most files are no JPEG.
    pub quality: Option<u8>,
    /// Whether most of these store colours at less resolution.
    pub subsampled: bool,
}

/// What became of one class's test covers.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClassSwap {
    pub label: String,
    /// The class whose pipeline they went through: of several, the one whose pipeline differs most from their own.
    pub into: String,
    /// Whether the two pipelines differ; if not, there is nothing to see.
    pub pipelines_differ: bool,
    pub covers: usize,
    /// Covers whose answer is another one after `into`'s pipeline than before.
    pub flipped: usize,
    /// Of these, covers that are `into` afterwards, and covers that were.
    pub towards: usize,
    pub away: usize,
    /// Covers whose answer is another one after their own class's pipeline than before.
    pub flipped_by_own: usize,
    /// Covers that are `into` after its pipeline but not after their own, and the other way round.
    pub only_swapped: usize,
    pub only_own: usize,
    /// That these two are as uneven, or more so, by chance alone.
    pub p: f64,
    /// Mean change of the probability of `into` from the own pipeline to that of `into`, with its 95 % interval.
    pub shift: f64,
    pub shift_ci: [f64; 2],
}

/// What it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Finding {
    /// Answers follow the pipeline.
    Shortcut,
    /// Answers change often, but not in the pipeline's direction.
    Fragile,
    /// Neither.
    Steady,
    /// The classes' files do not differ in size and compression.
    SamePipeline,
    /// There are no files to look at any more.
    NoFiles,
}

/// The outcome of [`swap`].
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Swap {
    /// Each class's typical pipeline.
    pub origins: Vec<Origin>,
    pub classes: Vec<ClassSwap>,
    /// Test covers that were looked at, and those whose files are gone or damaged.
    pub covers: usize,
    pub missing: usize,
    /// All classes with different pipelines together: covers that became the class of the pipeline, only by its pipeline and
    /// only by their own, and the sign test's p.
    pub only_swapped: usize,
    pub only_own: usize,
    pub p: f64,
    /// Share of answers that change, in the other pipeline and in the own one.
    pub flip_rate: f64,
    pub own_flip_rate: f64,
    pub finding: Finding,
    /// The finding in a sentence.
    pub text: String,
}

/// A run's best checkpoint and its own data, which belong together.
pub struct Asked {
    model: Model,
    dataset: Dataset,
}

impl Asked {
    /// Opens and checks them, which is to come before an hour of other questions.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if the run has no checkpoint, or its data are damaged or others.
    pub fn open(gpu: &Arc<Gpu>, run: &RunFolder) -> Result<Self> {
        let checkpoint = run.checkpoint()?;
        let this = Self { model: Model::load(gpu, &checkpoint)?, dataset: Dataset::open(&run.data())? };
        this.model.header.check_data(&checkpoint, &this.dataset)?;
        Ok(this)
    }

    /// [`swap`] for the run's network and its test set.
    ///
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) if the device fails.
    pub fn swap(&self, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Swap> {
        let mut inference = self.model.inference(BATCH)?;
        let mut answer = |pictures: &[&[u8]]| {
            let logits = inference.logits(pictures.iter().copied(), |_| {})?;
            Ok(inference.probabilities(&logits))
        };
        swap(&self.dataset, self.model.pipeline(), &mut answer, progress)
    }
}

/// Class probabilities, a row for each of these squares.
type Answer<'a> = dyn FnMut(&[&[u8]]) -> Result<Vec<f32>> + 'a;

/// Brings the test covers of `dataset` through their own and another class's typical pipeline, then through `pipeline` to the
/// size of the pack, and compares the answers. `answer` gives, for squares of the pack's size, a row of class probabilities
/// each. `progress(done, total)` counts covers.
///
/// # Errors
/// Those of `answer`.
pub fn swap(
    dataset: &Dataset,
    pipeline: Pipeline,
    answer: &mut Answer,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Swap> {
    let manifest = &dataset.manifest;
    let origins: Option<Vec<Origin>> = (0..manifest.classes.len()).map(|class| origin(manifest, class)).collect();
    let Some(origins) = origins else {
        return Ok(without_files("the original files of a class are gone or damaged, so its pipeline is unknown"));
    };
    let chosen: Vec<Vec<usize>> = (0..manifest.classes.len())
        .map(|class| {
            let test = manifest.indices(Split::Test);
            spread(test.into_iter().filter(|&i| manifest.covers[i].label == class).collect(), MOST_COVERS)
        })
        .collect();
    let total = chosen.iter().map(Vec::len).sum();
    let (mut classes, mut done, mut missing) = (Vec::new(), 0, 0);
    for (class, covers) in chosen.iter().enumerate() {
        let Some(into) = most_different(&origins, class) else { continue };
        let mut count = Count::default();
        for chunk in covers.chunks(BATCH) {
            let swapped = |&i: &usize| -> Option<(usize, [RgbImage; 2])> {
                let full = picture::load_rgb(manifest.covers[i].strings.path()).ok()?;
                let through = |origin: &Origin| {
                    let seen = origin.applied(&full, pipeline.fit)?;
                    pipeline.square(&seen, dataset.pack.size()).ok()
                };
                Some((i, [through(&origins[class])?, through(&origins[into])?]))
            };
            let swapped: Vec<(usize, [RgbImage; 2])> = chunk.par_iter().filter_map(swapped).collect();
            missing += chunk.len() - swapped.len();
            if !swapped.is_empty() {
                let mut squares: Vec<&[u8]> = Vec::with_capacity(3 * swapped.len());
                for (i, [own, other]) in &swapped {
                    squares.extend([dataset.pack.image(*i)?, own.as_raw(), other.as_raw()]);
                }
                let rows = answer(&squares)?;
                let each = manifest.classes.len();
                for three in rows.chunks_exact(3 * each) {
                    let [before, own, other] = [0, 1, 2].map(|n| &three[n * each..][..each]);
                    count.add(into, before, own, other);
                }
            }
            done += chunk.len();
            progress(done, total);
        }
        classes.push(count.told(&origins[class], &origins[into]));
    }
    Ok(summed(origins, classes, missing))
}

/// What the answers of a class's covers show.
#[derive(Default)]
struct Count {
    covers: usize,
    flipped: usize,
    towards: usize,
    away: usize,
    flipped_by_own: usize,
    only_swapped: usize,
    only_own: usize,
    shifts: Vec<f64>,
}

impl Count {
    fn add(&mut self, into: usize, before: &[f32], own: &[f32], other: &[f32]) {
        let [was, by_own, by_other] = [before, own, other].map(predicted);
        self.covers += 1;
        self.flipped += usize::from(by_other != was);
        self.towards += usize::from(by_other != was && by_other == into);
        self.away += usize::from(by_other != was && was == into);
        self.flipped_by_own += usize::from(by_own != was);
        self.only_swapped += usize::from(by_other == into && by_own != into);
        self.only_own += usize::from(by_own == into && by_other != into);
        self.shifts.push(f64::from(other[into]) - f64::from(own[into]));
    }

    fn told(self, own: &Origin, into: &Origin) -> ClassSwap {
        let Self { covers, flipped, towards, away, flipped_by_own, only_swapped, only_own, shifts } = self;
        let n = covers.max(1) as f64;
        let shift = shifts.iter().sum::<f64>() / n;
        let variance = shifts.iter().map(|v| (v - shift).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
        let reach = 1.96 * (variance / n).sqrt();
        ClassSwap {
            label: own.label.clone(),
            into: into.label.clone(),
            pipelines_differ: own.difference(into) > 0.0,
            covers,
            flipped,
            towards,
            away,
            flipped_by_own,
            only_swapped,
            only_own,
            p: sign_test(only_swapped, only_own),
            shift,
            shift_ci: [shift - reach, shift + reach],
        }
    }
}

impl Origin {
    /// The picture as it would have come from this source; none if it cannot be compressed.
    fn applied(&self, picture: &RgbImage, fit: Fit) -> Option<RgbImage> {
        let scaled = picture::square(picture, self.side, fit);
        match self.quality {
            Some(quality) => jpeg::recompressed(&scaled, quality, self.subsampled).ok(),
            None => Some(scaled),
        }
    }

    /// How much two pipelines differ: twice as large is 1, and so are 25 steps of quality; 0 if nobody could tell them apart.
    fn difference(&self, other: &Self) -> f64 {
        let scale = (f64::from(self.side) / f64::from(other.side)).log2().abs();
        let quality = |origin: &Self| f64::from(origin.quality.unwrap_or(110));
        let steps = (quality(self) - quality(other)).abs();
        let colours = if self.quality.is_some() && other.quality.is_some() && self.subsampled != other.subsampled {
            0.5
        } else {
            0.0
        };
        [(scale, 0.05), (steps / 25.0, 0.1)].iter().filter(|(by, least)| by > least).map(|(by, _)| by).sum::<f64>()
            + colours
    }
}

/// Of the other classes the one whose pipeline differs most; of equal ones the first.
fn most_different(origins: &[Origin], class: usize) -> Option<usize> {
    let others = (0..origins.len()).filter(|&other| other != class).rev();
    others.max_by(|&a, &b| origins[class].difference(&origins[a]).total_cmp(&origins[class].difference(&origins[b])))
}

/// Reads a class's pipeline off its files; none if there are none.
fn origin(manifest: &Manifest, class: usize) -> Option<Origin> {
    let of_class: Vec<usize> = (0..manifest.covers.len()).filter(|&i| manifest.covers[i].label == class).collect();
    let mut sides: Vec<u32> =
        of_class.iter().map(|&i| manifest.covers[i].width.min(manifest.covers[i].height)).collect();
    sides.sort_unstable();
    let read = |i: &usize| picture::read(manifest.covers[*i].strings.path()).ok();
    let files: Vec<Option<jpeg::Compression>> =
        spread(of_class, MOST_FILES).par_iter().filter_map(read).map(|bytes| jpeg::compression(&bytes)).collect();
    let jpegs: Vec<jpeg::Compression> = files.iter().copied().flatten().collect();
    let mut qualities: Vec<u8> = jpegs.iter().map(|jpeg| jpeg.quality).collect();
    qualities.sort_unstable();
    let mostly = 2 * jpegs.len() > files.len();
    (!files.is_empty()).then(|| Origin {
        label: manifest.classes[class].clone(),
        files: files.len(),
        side: sides[sides.len() / 2],
        jpeg_share: jpegs.len() as f64 / files.len() as f64,
        quality: qualities.get(qualities.len() / 2).copied().filter(|_| mostly),
        subsampled: 2 * jpegs.iter().filter(|jpeg| jpeg.subsampled).count() > jpegs.len(),
    })
}

/// At most `most` of them, at even distances.
fn spread(all: Vec<usize>, most: usize) -> Vec<usize> {
    if all.len() <= most { all } else { (0..most).map(|n| all[n * all.len() / most]).collect() }
}

/// How likely a fair coin is to fall as unevenly as `a` to `b`, or more so: the exact binomial test, two-sided.
pub fn sign_test(a: usize, b: usize) -> f64 {
    let n = a + b;
    // Logarithms, since 2 to the power of n is no number for long.
    let mut ln_choose = 0.0;
    let mut tail = 0.0;
    for k in 0..=a.min(b) {
        if k > 0 {
            ln_choose += ((n - k + 1) as f64 / k as f64).ln();
        }
        tail += (ln_choose - n as f64 * std::f64::consts::LN_2).exp();
    }
    (2.0 * tail).min(1.0)
}

fn summed(origins: Vec<Origin>, classes: Vec<ClassSwap>, missing: usize) -> Swap {
    let total = |of: fn(&ClassSwap) -> usize| classes.iter().filter(|c| c.pipelines_differ).map(of).sum::<usize>();
    let tested = total(|c| c.covers);
    let (only_swapped, only_own) = (total(|c| c.only_swapped), total(|c| c.only_own));
    let rate = |count: usize| count as f64 / tested.max(1) as f64;
    let (flip_rate, own_flip_rate) = (rate(total(|c| c.flipped)), rate(total(|c| c.flipped_by_own)));
    let p = sign_test(only_swapped, only_own);
    let covers = classes.iter().map(|c| c.covers).sum();
    let finding = if covers == 0 {
        Finding::NoFiles
    } else if tested == 0 {
        Finding::SamePipeline
    } else if p < LEAST_P && only_swapped > only_own {
        Finding::Shortcut
    } else if flip_rate.max(own_flip_rate) > FRAGILE {
        Finding::Fragile
    } else {
        Finding::Steady
    };
    let counts = format!(
        "of {tested} test covers {only_swapped} become the other class by its size and compression alone, {only_own} by their \
         own (p = {p:.2e}); {:.1} % of the answers change, {:.1} % by the own pipeline",
        100.0 * flip_rate,
        100.0 * own_flip_rate
    );
    let text = match finding {
        Finding::Shortcut => format!("answers follow the pipeline instead of the picture: {counts}"),
        Finding::Fragile => format!("answers change often, but not in the pipeline's direction: {counts}"),
        Finding::Steady => format!("no direction: {counts}"),
        Finding::SamePipeline => "the classes' files do not differ in size and compression: nothing to swap".to_owned(),
        Finding::NoFiles => "no test cover whose file is still there: nothing could be swapped".to_owned(),
    };
    Swap { origins, classes, covers, missing, only_swapped, only_own, p, flip_rate, own_flip_rate, finding, text }
}

fn without_files(why: &str) -> Swap {
    Swap { text: why.to_owned(), finding: Finding::NoFiles, ..summed(Vec::new(), Vec::new(), 0) }
}

#[cfg(test)]
mod tests;
