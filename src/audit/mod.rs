//! Can the label be read off without looking at what the picture shows, and do the sets leak into each other?
//!
//! [`audit`] asks files before they are decoded ([`facts`]), pixels after the run's own pipeline ([`features`]), and a small
//! probe ([`probe`]) whether they know the label; controls ([`controls`]) tell whether the answers can be trusted, and
//! [`verdict`] makes one paragraph of it.

pub mod auc;
pub mod controls;
pub mod facts;
pub mod features;
pub mod leaks;
mod logistic;
pub mod page;
pub mod probe;
pub mod remake;
pub mod source;
pub mod swap;
pub mod table;
pub mod verdict;
pub mod views;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;
use serde::Serialize;

use self::auc::quantile;
use self::controls::{Controls, Setting};
use self::facts::FileMetadata;
use self::leaks::Leaks;
use self::probe::{PERMUTATIONS, Pictures, Probe};
use self::source::Source;
use self::swap::Swap;
use self::table::{Nature, Table};
use self::verdict::{Findings, Thresholds, Verdict};
use self::views::{View, Views};
use crate::data::{Dataset, Harmonise, Pipeline, Split};
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// What to audit beside the data set.
pub struct Options<'a> {
    /// Where the pictures came from, for messages.
    pub data: &'a Path,
    /// What was noticed when it was read: duplicates that were dropped, guessed columns.
    pub notes: Vec<String>,
    pub seed: u64,
    /// The name of the source column, and its value for each cover.
    pub source: Option<(String, Vec<String>)>,
    /// What trains the weak views and asks a run's network; without it both are left out.
    pub gpu: Option<&'a Arc<Gpu>>,
    /// Whether to train the weak views.
    pub views: bool,
    /// A run whose network is asked.
    pub run: Option<&'a RunFolder>,
}

/// Makes a function that is told how far a step (its name, and what it counts) has come.
pub type Steps<'a> = dyn Fn(&str, &str) -> Box<dyn Fn(usize, usize) + Sync> + 'a;

/// Everything that `audit.json` says.
#[derive(Clone, Debug, Serialize)]
pub struct Audit {
    #[serde(flatten)]
    pub verdict: Verdict,
    pub version: &'static str,
    #[serde(serialize_with = "crate::shown::path")]
    pub data: PathBuf,
    /// What was noticed when it was read.
    pub notes: Vec<String>,
    pub seed: u64,
    /// Pixels on a side of the squares that were measured.
    pub size: u32,
    #[serde(flatten)]
    pub pipeline: Pipeline,
    pub covers: usize,
    pub classes: Vec<ClassCount>,
    /// Columns whose values keep covers together, and how many groups that makes.
    pub group_columns: Vec<String>,
    pub groups: usize,
    pub thresholds: Thresholds,
    pub facts: facts::Summary,
    pub probes: Probes,
    pub source: Option<Source>,
    pub controls: Option<Controls>,
    pub leaks: Leaks,
    /// None if they were not asked for, or there is no adapter to train them on.
    pub views: Option<Views>,
    /// None without a run.
    pub swap: Option<Swap>,
    pub distributions: Vec<Distribution>,
}

#[derive(Clone, Debug, Serialize)]
pub struct ClassCount {
    pub class: String,
    pub covers: usize,
}

/// What was asked about the label.
#[derive(Clone, Debug, Serialize)]
pub struct Probes {
    /// File facts that content cannot cause; none if most files are gone or all are alike.
    pub files: Option<Probe>,
    /// Single file facts that content can cause too.
    pub mixed_files: Option<Probe>,
    /// Pixel facts of the squares as a network sees them.
    pub pixels: Probe,
    /// The same after all squares were degraded alike.
    pub harmonised: Probe,
    /// By how much areas fall from the one to the other, with 95 % intervals, in the order of the classes asked about.
    pub drops: Vec<(f64, [f64; 2])>,
    /// The degradation.
    pub harmonised_at: Harmonise,
}

/// How a strong feature is distributed in each class.
#[derive(Clone, Debug, Serialize)]
pub struct Distribution {
    /// `files` or `pixels`.
    pub from: &'static str,
    pub feature: String,
    pub about: String,
    pub class: String,
    pub auc: f64,
    /// The values at the left and the right end; what lies beyond is counted in the outermost bins.
    pub range: [f64; 2],
    /// Shares of the class's pictures, and of the rest's, in bins of equal width.
    pub own: Vec<f64>,
    pub rest: Vec<f64>,
}

const BINS: usize = 24;
/// So many features of each kind are drawn.
const DRAWN: usize = 4;

/// Audits a data set: its files, and its squares as the pack holds them.
///
/// The same seed gives the same numbers.
///
/// # Errors
/// [`Error::Input`] if the squares are too small to be measured; [`Error::Run`] if one cannot be compressed.
pub fn audit(dataset: &Dataset, options: &Options, steps: &Steps) -> Result<Audit> {
    let asked = options.gpu.zip(options.run).map(|(gpu, run)| swap::Asked::open(gpu, run)).transpose()?;
    let Dataset { manifest, pack, .. } = dataset;
    let size = pack.size() as usize;
    check_size(size)?;
    let labels: Vec<usize> = manifest.covers.iter().map(|cover| cover.label).collect();
    let groups = manifest.groups();
    let pictures = Pictures { classes: &manifest.classes, labels: &labels, groups: &groups };
    let seed = options.seed;

    let paths: Vec<&Path> = manifest.covers.iter().map(|cover| cover.strings.path()).collect();
    let facts = FileMetadata::read(&paths, &*steps("reading headers", "files"));
    let (files, mixed_files, file_table) = ask_files(&facts, pictures, seed, steps);

    let as_is = |i: usize| pack.image(i);
    let pixels = features::table(size, pack.len(), as_is, &*steps("measuring", "pictures"))?;
    let harmonised = harmonised(dataset, &*steps("measuring degraded copies", "pictures"))?;
    let probe = Probe::run(&pixels, pictures, PERMUTATIONS, seed, &*steps("probing pixels", "permutations"));
    let after = Probe::run(&harmonised, pictures, 0, seed, &|_, _| {});
    let drops = probe.above(&after, pictures, seed);

    let source = options.source.as_ref().map(|(column, values)| {
        let progress = steps("probing sources", "permutations");
        source::source(column, values, pictures, (&pixels, &harmonised), seed, &*progress)
    });
    let setting = Setting { dataset, pictures, pixels: &pixels, harmonised: &harmonised, probe: &probe, seed };
    let controls = setting.run(&*steps("planting a shortcut", "pictures"))?;

    let mut distributions = Vec::new();
    if let (Some(files), Some((table, found))) = (&files, &file_table) {
        let own: Vec<usize> = found.iter().map(|&i| labels[i]).collect();
        distributions.extend(drawn("files", files, table, &own));
    }
    distributions.extend(drawn("pixels", &probe, &pixels, &labels));

    let leaks = leaks::leaks(dataset, &*steps("comparing pictures", "pictures"))?;
    let views = match options.gpu.filter(|_| options.views && has_tests(dataset)) {
        Some(gpu) => {
            let progress = steps("training on weak views", "steps");
            Some(views::views(gpu, dataset, seed, &|done, total| progress(done as usize, total as usize))?)
        }
        None => None,
    };
    let swap = asked.map(|asked| asked.swap(&*steps("swapping pipelines", "pictures"))).transpose()?;

    let verdict = Findings {
        pictures: labels.len(),
        size: pack.size(),
        files: files.as_ref(),
        pixels: &probe,
        harmonised: &after,
        drops: &drops,
        source: source.as_ref(),
        controls: controls.as_ref(),
        harmonise: pack.pipeline().harmonise,
        leak: verdict::leak::text(&leaks),
        finest: views.as_ref().and_then(finest),
        network: swap.as_ref().filter(|swap| swap.finding == swap::Finding::Shortcut).map(|swap| swap.text.clone()),
    }
    .verdict();
    let count = |class: usize| labels.iter().filter(|&&label| label == class).count();
    Ok(Audit {
        verdict,
        version: env!("CARGO_PKG_VERSION"),
        data: options.data.to_owned(),
        notes: options.notes.clone(),
        seed,
        size: pack.size(),
        pipeline: pack.pipeline(),
        covers: labels.len(),
        classes: manifest
            .classes
            .iter()
            .enumerate()
            .map(|(i, class)| ClassCount { class: class.clone(), covers: count(i) })
            .collect(),
        group_columns: manifest.group_columns.clone(),
        groups: groups.iter().max().map_or(0, |most| most + 1),
        thresholds: Thresholds::default(),
        facts: facts.summary(&labels, manifest.classes.len()),
        probes: Probes {
            files,
            mixed_files,
            pixels: probe,
            harmonised: after,
            drops,
            harmonised_at: remake::advised(pack.size()),
        },
        source,
        controls,
        leaks,
        views,
        swap,
        distributions,
    })
}

/// Whether weak views can be scored.
fn has_tests(dataset: &Dataset) -> bool {
    dataset.manifest.covers.iter().any(|cover| cover.split != Split::Train)
}

/// Mean recalls on the finest detail and on whole pictures, and chance, if the first is above it.
fn finest(views: &Views) -> Option<[f64; 3]> {
    let of = |wanted: View| views.views.iter().find(|view| view.view == wanted);
    let (finest, full) = (of(View::Residual)?, of(View::Full)?);
    finest.above_chance.then_some([finest.balanced_accuracy, full.balanced_accuracy, finest.chance])
}

/// Checks that squares of this size can be measured.
///
/// # Errors
/// [`Error::Input`] if not.
pub fn check_size(size: usize) -> Result<()> {
    if size >= features::LEAST_SIZE {
        return Ok(());
    }
    let least = features::LEAST_SIZE;
    Err(Error::input(format!(
        "--size {size}: squares below {least} pixels have no traces to measure; use {least} or more"
    )))
}

/// Probes of the file facts that only the making can cause, and of the others; and the first one's table with its pictures.
#[expect(clippy::type_complexity)]
fn ask_files(
    facts: &FileMetadata,
    pictures: Pictures,
    seed: u64,
    steps: &Steps,
) -> (Option<Probe>, Option<Probe>, Option<(Table, Vec<usize>)>) {
    let found = facts.found();
    if found.len() * 2 < facts.files.len() {
        return (None, None, None);
    }
    let whole = facts.table();
    let labels: Vec<usize> = found.iter().map(|&i| pictures.labels[i]).collect();
    let groups: Vec<usize> = found.iter().map(|&i| pictures.groups[i]).collect();
    let own = Pictures { classes: pictures.classes, labels: &labels, groups: &groups };
    let ask = |nature: Nature| {
        let table = whole.columns_where(|column| column.nature == nature);
        let progress = steps("probing file facts", "permutations");
        (table.width() > 0).then(|| (Probe::run(&table, own, PERMUTATIONS, seed, &*progress), table))
    };
    let (files, table) = ask(Nature::Making).unzip();
    let (mixed, _) = ask(Nature::Either).unzip();
    (files, mixed, table.map(|table| (table, found)))
}

/// Features of all squares after the same degradation.
fn harmonised(dataset: &Dataset, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Table> {
    let pack = &dataset.pack;
    let small = |i: usize| Ok(remake::harmonised(&pack.picture(i)?).map_err(Error::run)?.into_raw());
    features::table(pack.size() as usize, pack.len(), small, progress)
}

/// Histograms of the strongest features, each feature once.
fn drawn(from: &'static str, probe: &Probe, table: &Table, labels: &[usize]) -> Vec<Distribution> {
    let mut seen = Vec::new();
    let mut out = Vec::new();
    for feature in probe.features.iter().filter(|feature| feature.p_holm <= 0.05) {
        if seen.contains(&feature.column) || out.len() == DRAWN {
            continue;
        }
        seen.push(feature.column);
        let values: Vec<(f64, bool)> = (0..table.rows())
            .map(|row| (table.row(row)[feature.column], labels[row] == feature.label))
            .filter(|(value, _)| !value.is_nan())
            .collect();
        let all: Vec<f64> = values.iter().map(|&(value, _)| value).collect();
        let (Some(mut low), Some(mut high)) = (quantile(&all, 0.005), quantile(&all, 0.995)) else { continue };
        if high <= low {
            (low, high) = all.iter().fold((low, high), |(l, h), &v| (l.min(v), h.max(v)));
        }
        let bin = |value: f64| (((value - low) / (high - low).max(1e-12) * BINS as f64) as usize).min(BINS - 1);
        let share = |wanted: bool| {
            let own: Vec<f64> = values.iter().filter(|&&(_, is)| is == wanted).map(|&(value, _)| value).collect();
            let mut bins = vec![0.0; BINS];
            own.iter().for_each(|&value| bins[bin(value)] += 1.0 / own.len() as f64);
            bins
        };
        out.push(Distribution {
            from,
            feature: feature.feature.clone(),
            about: feature.about.clone(),
            class: feature.class.clone(),
            auc: feature.auc,
            range: [low, high],
            own: share(true),
            rest: share(false),
        });
    }
    out
}
