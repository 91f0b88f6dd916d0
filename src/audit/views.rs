//! How much of the label can a small network read off pictures from which what they show was taken away?
//!
//! Each *weak view* leaves one thing of a picture: its finest detail, its border, its texture without composition, its colours.
//! The same network is trained on each, with the same covers, epochs and seed. A view that scores near the full picture tells
//! what a larger network may be reading. Not each is a shortcut: colours belong to a cover, and so does a border. But nobody
//! knows a genre by the finest detail alone; that is where scaling and compression leave their traces.

use std::sync::Arc;
use std::time::Duration;

use gatefold_engine::gpu::Gpu;
use image::RgbImage;
use image::imageops::{self, FilterType};
use serde::Serialize;

use crate::claim::WorkFolder;
use crate::data::set::batch::shuffle;
use crate::data::set::names::{MANIFEST, PACK};
use crate::data::set::pack;
use crate::data::{Cover, Dataset, Fit, Manifest, Split};
use crate::score::Metrics;
use crate::train::run::{self, RunFolder};
use crate::train::tuning::When;
use crate::train::{Augmentation, Config, EpochReport, Observer, StepReport, Trainer, Tuning};
use crate::{Error, Result};

/// Patches are so many pixels wide and high.
pub const PATCH: u32 = 16;

/// How much work to spend on each view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Effort {
    /// Pixels on a side of the views, unless the pack's squares are smaller; a multiple of [`PATCH`].
    pub side: u32,
    /// Covers that are trained on, and that are scored, at most: of larger sets as many of each class as fit.
    pub most_trained: usize,
    pub most_scored: usize,
    /// Passes over them.
    pub epochs: u64,
}

impl Effort {
    /// A minute or two in all without a GPU.
    pub const BOUNDED: Self = Self { side: 48, most_trained: 640, most_scored: 800, epochs: 6 };
    /// As long on a GPU, which sees weaker traces.
    pub const FULL: Self = Self { side: 64, most_trained: 4000, most_scored: 4000, epochs: 12 };

    /// What suits the adapter.
    pub fn on(gpu: &Gpu) -> Self {
        if gpu.adapter().software { Self::BOUNDED } else { Self::FULL }
    }
}

/// What is left of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum View {
    /// All, scaled down.
    Full,
    /// Each pixel's difference from its 3 x 3 neighbours' mean, twice as strong, in the middle of the square. Not scaled, since
    /// scaling would take away what it is about.
    Residual,
    /// An eighth of the side all around; the middle is grey.
    Border,
    /// Patches of 16 x 16 pixels of the unscaled square, in random order: texture without composition.
    Patches,
    /// All pixels of the scaled picture in random order: its histogram of colours, and nothing else.
    Colours,
}

impl View {
    pub const ALL: [Self; 5] = [Self::Full, Self::Residual, Self::Border, Self::Patches, Self::Colours];

    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Residual => "residual",
            Self::Border => "border",
            Self::Patches => "patches",
            Self::Colours => "colours",
        }
    }

    /// What a score above chance would mean.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Full => "what this small network reads off the whole picture",
            Self::Residual => {
                "noise, compression and scaling tell the classes apart, or the finest edges of what is shown"
            }
            Self::Border => "frames, scanner edges or layout at the edge tell the classes apart",
            Self::Patches => "texture and colour tell the classes apart, without any composition",
            Self::Colours => "colours alone tell the classes apart: content, or how a source was scanned",
        }
    }

    /// What it leaves of a square, as `side` x `side` pixels. `number` decides the random order, with the seed.
    pub fn of(self, square: &RgbImage, side: u32, seed: u64, number: u64) -> RgbImage {
        let scaled = || {
            let same = square.width() == side;
            if same { square.clone() } else { imageops::resize(square, side, side, FilterType::CatmullRom) }
        };
        match self {
            Self::Full => scaled(),
            Self::Residual => {
                let edge = (square.width() - side) / 2;
                RgbImage::from_fn(side, side, |x, y| residual(square, x + edge, y + edge))
            }
            Self::Border => {
                let (mut picture, edge) = (scaled(), side / 8);
                let within = edge..side - edge;
                for (x, y, pixel) in picture.enumerate_pixels_mut() {
                    if within.contains(&x) && within.contains(&y) {
                        pixel.0 = [128; 3];
                    }
                }
                picture
            }
            Self::Patches => {
                let (across, wanted) = (square.width() / PATCH, side / PATCH);
                let mut order: Vec<usize> = (0..(across * across) as usize).collect();
                shuffle(&mut order, seed, number, 0);
                RgbImage::from_fn(side, side, |x, y| {
                    let from = order[(y / PATCH * wanted + x / PATCH) as usize] as u32;
                    *square.get_pixel(from % across * PATCH + x % PATCH, from / across * PATCH + y % PATCH)
                })
            }
            Self::Colours => {
                let picture = scaled();
                let mut order: Vec<usize> = (0..(side * side) as usize).collect();
                shuffle(&mut order, seed, number, 0);
                RgbImage::from_fn(side, side, |x, y| {
                    let from = order[(y * side + x) as usize] as u32;
                    *picture.get_pixel(from % side, from / side)
                })
            }
        }
    }
}

/// Twice the difference from the mean of the 3 x 3 neighbours (fewer at the edge), about the middle grey.
fn residual(square: &RgbImage, x: u32, y: u32) -> image::Rgb<u8> {
    let last = square.width() - 1;
    let (mut sums, mut count) = ([0_i32; 3], 0);
    for v in y.saturating_sub(1)..=(y + 1).min(last) {
        for u in x.saturating_sub(1)..=(x + 1).min(last) {
            let pixel = square.get_pixel(u, v).0;
            (0..3).for_each(|channel| sums[channel] += i32::from(pixel[channel]));
            count += 1;
        }
    }
    let own = square.get_pixel(x, y).0;
    image::Rgb([0, 1, 2].map(|c| (128 + 2 * (i32::from(own[c]) - (sums[c] + count / 2) / count)).clamp(0, 255) as u8))
}

/// What the network reads off each view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Views {
    pub net: &'static str,
    /// Pixels on a side.
    pub side: u32,
    pub epochs: u64,
    /// Covers trained on and covers scored; each class is shown equally often.
    pub trained: usize,
    pub scored: usize,
    /// Where the scored covers are from: test, or validation if there is no test set.
    pub set: Split,
    pub views: Vec<ViewScore>,
}

/// The score of one view.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ViewScore {
    pub view: View,
    pub meaning: &'static str,
    pub accuracy: f64,
    /// Wilson's 95 % interval.
    pub accuracy_ci: [f64; 2],
    /// Mean recall, with its 95 % interval. Since classes are shown equally often, this is the number to look at; guessing
    /// reaches [`ViewScore::chance`].
    pub balanced_accuracy: f64,
    pub balanced_accuracy_ci: [f64; 2],
    /// Two classes only.
    pub roc_auc: Option<f64>,
    /// The accuracy of always answering the most frequent class.
    pub majority: f64,
    pub chance: f64,
    /// Whether the balanced accuracy's interval lies above chance.
    pub above_chance: bool,
}

/// Trains and scores the network on each view of `dataset`, with [`Effort::on`] the adapter.
///
/// The split is the data set's own; train and validation are trained on, so that no choice of an epoch flatters, and test is
/// scored (validation, if there is no test set). `progress(done, total)` counts optimiser
/// steps of all views.
///
/// # Errors
/// [`Error::Input`] if there is neither test nor validation set; [`Error::Run`] if the device or the disk fails.
pub fn views(gpu: &Arc<Gpu>, dataset: &Dataset, seed: u64, progress: &dyn Fn(u64, u64)) -> Result<Views> {
    some_views(gpu, dataset, &View::ALL, Effort::on(gpu), seed, progress)
}

fn some_views(
    gpu: &Arc<Gpu>,
    dataset: &Dataset,
    wanted: &[View],
    effort: Effort,
    seed: u64,
    progress: &dyn Fn(u64, u64),
) -> Result<Views> {
    let manifest = &dataset.manifest;
    let set = [Split::Test, Split::Val].into_iter().find(|&set| !manifest.indices(set).is_empty());
    let set =
        set.ok_or_else(|| Error::input("no test set: the views of the covers cannot be scored; split the data set"))?;
    let size = dataset.pack.size();
    if size < PATCH {
        return Err(Error::input(format!("pictures of {size} pixels: views need {PATCH} or more; import them larger")));
    }
    let effort = Effort { side: size.min(effort.side) / PATCH * PATCH, ..effort };
    let (scored, trained): (Vec<usize>, Vec<usize>) =
        (0..manifest.covers.len()).partition(|&i| manifest.covers[i].split == set);
    let trained = some_of_each(manifest, trained, effort.most_trained, seed);
    let scored = some_of_each(manifest, scored, effort.most_scored, seed);
    let mut scores = Vec::new();
    for (done, &view) in (0..).zip(wanted) {
        let metrics = score(gpu, dataset, view, (&trained, &scored), effort, seed, &mut |step, steps| {
            progress(done * steps + step, wanted.len() as u64 * steps);
        })?;
        scores.push(told(view, &metrics));
    }
    let (trained, scored) = (trained.len(), scored.len());
    Ok(Views { net: NET, side: effort.side, epochs: effort.epochs, trained, scored, set, views: scores })
}

const NET: &str = "small";

/// At most `most` of the covers: as many of each class as there are, up to a number that is the same for all.
fn some_of_each(manifest: &Manifest, covers: Vec<usize>, most: usize, seed: u64) -> Vec<usize> {
    let mut classes = vec![Vec::new(); manifest.classes.len()];
    covers.into_iter().for_each(|i| classes[manifest.covers[i].label].push(i));
    let taken = |limit: usize| classes.iter().map(|class| class.len().min(limit)).sum::<usize>();
    let limit = (1..=most).take_while(|&limit| taken(limit) <= most).last().unwrap_or(1);
    for (class, covers) in (0..).zip(&mut classes) {
        shuffle(covers, seed, 0, class);
        covers.truncate(limit);
    }
    let mut chosen = classes.concat();
    chosen.sort_unstable();
    chosen
}

/// Trains on a view of the first covers and scores that of the others.
fn score(
    gpu: &Arc<Gpu>,
    dataset: &Dataset,
    view: View,
    (trained, scored): (&[usize], &[usize]),
    effort: Effort,
    seed: u64,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Metrics> {
    let folder = WorkFolder::new()?;
    let chosen: Vec<(usize, Split)> =
        trained.iter().map(|&i| (i, Split::Train)).chain(scored.iter().map(|&i| (i, Split::Test))).collect();
    let covers: Vec<Cover> =
        chosen.iter().map(|&(i, split)| Cover { split, ..dataset.manifest.covers[i].clone() }).collect();
    let manifest = Manifest { covers, ..dataset.manifest.clone() };
    manifest.write(&folder.path().join(MANIFEST))?;
    let squares =
        chosen.iter().map(|&(i, _)| Ok(view.of(&dataset.pack.picture(i)?, effort.side, seed, i as u64).into_raw()));
    let hashes = manifest.covers.iter().map(|cover| cover.hash);
    pack::write(&folder.path().join(PACK), effort.side, Fit::Crop.into(), squares, hashes)?;
    let config = Config {
        net: NET.into(),
        size: effort.side as usize,
        epochs: effort.epochs,
        balance: true,
        augment: Augmentation { flip: true, ..Augmentation::default() },
        seed,
        ..Config::default()
    };
    let run = RunFolder::new(&folder.path().join("run"));
    let run = run::create(&run)?;
    let data = Dataset::open(folder.path())?;
    // No kernel is worth a search here: the views are compared with each other, not with the clock.
    let mut tuning = Tuning { when: When::Never, budget: Duration::ZERO, cache: None, say: &mut |_| {} };
    let outcome =
        Trainer::new(gpu, config, run, data, None, false, &mut tuning)?.train(&mut Steps { steps: 1, progress })?;
    outcome.test.ok_or_else(|| Error::run("a view without a score"))
}

/// Hears of steps only.
struct Steps<'a> {
    steps: u64,
    progress: &'a mut dyn FnMut(u64, u64),
}

impl Observer for Steps<'_> {
    fn start(&mut self, steps: u64, pixels: &[usize], _: u64) {
        self.steps = steps * pixels.len() as u64;
    }

    fn step(&mut self, report: &StepReport) -> Result<()> {
        (self.progress)(report.step, self.steps);
        Ok(())
    }

    fn epoch(&mut self, _: &EpochReport, _: bool) {}
}

fn told(view: View, metrics: &Metrics) -> ViewScore {
    let reach = 1.96 * balanced_deviation(metrics);
    let balanced = metrics.balanced_accuracy;
    ViewScore {
        view,
        meaning: view.meaning(),
        accuracy: metrics.accuracy,
        accuracy_ci: metrics.accuracy_ci,
        balanced_accuracy: balanced,
        balanced_accuracy_ci: [(balanced - reach).max(0.0), (balanced + reach).min(1.0)],
        roc_auc: metrics.roc_auc,
        majority: metrics.majority,
        chance: metrics.chance,
        above_chance: balanced - reach > metrics.chance,
    }
}

/// Standard deviation of a mean of recalls, which are independent binomial shares. Two hits and two misses are added to each
/// (Agresti and Coull, 1998), since a recall of 0 or 1 would have none.
fn balanced_deviation(metrics: &Metrics) -> f64 {
    let classes: Vec<_> = metrics.per_class.iter().filter(|class| class.support > 0).collect();
    let variance = |recall: f64, support: u64| {
        let n = support as f64 + 4.0;
        let share = (recall * support as f64 + 2.0) / n;
        share * (1.0 - share) / n
    };
    let sum: f64 = classes.iter().map(|class| variance(class.recall, class.support)).sum();
    sum.sqrt() / classes.len().max(1) as f64
}

#[cfg(test)]
mod tests;
