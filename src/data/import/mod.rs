//! From what people have to a data set: read the source, decode, drop duplicates, split, write.

pub mod build;
pub mod decode;
pub mod duplicates;
pub mod intake;
mod job;
mod notes;
pub mod prepare;
mod preview;
pub mod space;
pub(crate) mod stage;
pub mod untested;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::read::read_text;

use self::decode::decode_together;
use self::job::Job;
use self::stage::Stage;
use crate::claim;
use crate::data::picture::fit::{Fit, MAX_SIZE};
use crate::data::picture::harmonise::{Harmonise, Pipeline};
use crate::data::set::dataset::Dataset;
use crate::data::set::manifest::{self, DUPLICATES};
use crate::data::set::names::{self, pack_of};
use crate::data::set::report::{Report, is_ours};
use crate::data::set::split::{self, DEFAULT_RATIOS, SplitReport};
use crate::data::source::{Request, Source};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// How to make a data set.
#[derive(Clone, Debug)]
pub struct ImportOptions {
    pub request: Request,
    /// Shares of train, val and test, as fractions, percent or any parts of a whole. Not given: the sets that the source
    /// has, else 70, 15, 15.
    pub split: Option<[f64; 3]>,
    /// Decides the split.
    pub seed: u64,
    /// Pixels on a side of the pictures, one pack for each; the first is `images.pack`.
    pub sizes: Vec<u32>,
    /// How pictures that are not square become so.
    pub fit: Fit,
    /// Bring every picture through the same degradation first.
    pub harmonise: Option<Harmonise>,
    /// Keep all pictures of a cover, in one set, instead of one.
    pub keep_duplicates: bool,
    /// Those that help to decode.
    pub ranks: Ranks,
}

impl ImportOptions {
    /// All that makes a picture a square of the data set.
    pub fn pipeline(&self) -> Pipeline {
        Pipeline { fit: self.fit, harmonise: self.harmonise }
    }
}

/// A data set that was just made, and what its owner should know.
#[derive(Debug)]
pub struct Imported {
    /// The data set, opened.
    pub dataset: Dataset,
    /// Its `import.json`.
    pub told: Report,
    /// How the covers were split.
    pub report: SplitReport,
    /// Whether it was there already and nothing had to be done.
    pub unchanged: bool,
}

/// Makes a data set in `dir` (created if missing).
///
/// Writes `images.pack`, `manifest.csv`, `import.json` and `preview.png`. What is in `dir` stays whole until the new data set
/// is; a killed call is taken up where it stopped by the next one and ends in the same bytes. If `dir` holds what the
/// source would give again, nothing is done; a size that is missing is added. Covers that the data set in `dir` holds
/// already stay in their sets if seed, shares and groups are the same.
///
/// All that can be checked before decoding is. `progress(done, total)` is called from many threads while pictures are
/// decoded.
///
/// # Errors
/// [`Error::Input`] if source or options are at fault: see [`Request::read`], [`decode_together`] and [`split::assign`];
/// As [`cannot_write`](crate::file::cannot_write) says if `dir` cannot be written.
pub fn import(options: &ImportOptions, dir: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Imported> {
    check_sizes(&options.sizes)?;
    let survey = options.request.survey()?;
    let state = survey.state(&options.request)?;
    import_from(options, &state, move || options.request.read_surveyed(&survey), dir, progress)
}

/// [`import`] from a source whose state is known. It is read only if there is something to do.
fn import_from(
    options: &ImportOptions,
    state_of_source: &str,
    read: impl FnOnce() -> Result<Source>,
    dir: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported> {
    let ratios = options.split.map(split::normalise).transpose()?;
    claim::check(dir, "data set", || is_ours(dir))?;
    let state = state(options, state_of_source)?;
    let before = Dataset::is_at(dir).then(|| Report::read(dir).ok()).flatten();
    if before.as_ref().is_some_and(|report| report.state == state)
        && !names::import_waits_in(dir)
        && let Ok(dataset) = Dataset::open(dir)
    {
        stage::sweep(dir);
        return add_sizes(options, dir, dataset, progress);
    }

    let source = read()?;
    let shown = options.request.shown();
    refuse_reserved_names(&shown, &source)?;
    if options.request.columns.images.is_none() && source.kind == "msd-i" {
        return Err(Error::Input(format!(
            "{shown}: MSD-I's table has links, not pictures: fetch them and give their folder with --images, or see what \
             is in it with --dry-run"
        )));
    }
    let has_sets = source.rows.iter().any(|row| row.split.is_some());
    let job = Job {
        options,
        shown,
        ratios: if has_sets { ratios } else { Some(ratios.unwrap_or(DEFAULT_RATIOS)) },
        source,
        state,
        alike_column: false,
        tied: false,
    };
    // An impossible wish is told now, not after an hour of decoding.
    let by_path = |i: usize| blake3::hash(job.source.rows[i].strings.path_text().as_bytes());
    let (splits, _) = job.split(&job.source.rows, by_path, &HashMap::new())?;
    job.check_trained(&job.source.rows, &splits)?;

    space::check(dir, &stage::work_of(dir), decode::bytes_needed(job.source.rows.len(), &options.sizes))?;
    let stage = Stage::open(dir)?;
    // Another process, or the end of a killed import, may just have finished the work.
    if Report::read(dir).is_ok_and(|report| report.state == job.state)
        && let Ok(dataset) = Dataset::open(dir)
    {
        stage.clear();
        return add_sizes(options, dir, dataset, progress);
    }
    match job.run(&stage, dir, progress) {
        Ok(()) => stage.commit()?,
        Err(e @ Error::Input(_)) => {
            // The same sources would end here again, so nothing of the work is worth keeping.
            stage.clear();
            return Err(e);
        }
        Err(e) => return Err(e),
    }
    opened(dir, false)
}

fn check_sizes(sizes: &[u32]) -> Result<()> {
    if sizes.is_empty() {
        return Err(Error::Input("no size: name at least one, such as 128".into()));
    }
    let bad = sizes.iter().find(|size| !(1..=MAX_SIZE).contains(*size));
    if let Some(size) = bad {
        return Err(Error::Input(format!("size {size}: must be 1 to {MAX_SIZE} pixels on a side")));
    }
    let twice = sizes.iter().enumerate().find(|(i, size)| sizes[..*i].contains(size));
    twice.map_or(Ok(()), |(_, size)| Err(Error::Input(format!("size {size} is named twice: name each once"))))
}

/// What decides the data set: the source's files, and the options except sizes.
fn state(options: &ImportOptions, source: &str) -> Result<String> {
    let text_of = |file: &Option<PathBuf>| file.as_ref().map(|file| read_text(file)).transpose().unwrap_or_default();
    let (genres, corrections) = (text_of(&options.request.genres), text_of(&options.request.corrections));
    let ImportOptions { request, split, seed, fit, harmonise, keep_duplicates, .. } = options;
    // What is read otherwise than before has another number here.
    const RULES: u32 = 3;
    let Request { columns, labelling, .. } = request;
    let text = format!(
        "{} {RULES} {source} {columns:?} {labelling:?} {genres:?} {split:?} {seed} {fit} {harmonise:?} {keep_duplicates}{}",
        env!("CARGO_PKG_VERSION"),
        corrections.unwrap_or_default(),
    );
    Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
}

/// The data set in `dir`, which is what was asked for, with packs of the sizes that it lacks.
fn add_sizes(
    options: &ImportOptions,
    dir: &Path,
    dataset: Dataset,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Imported> {
    let mut missing = Vec::new();
    for &size in &options.sizes {
        if Dataset::open_at(dir, size, options.fit)?.is_none() {
            missing.push(size);
        }
    }
    if missing.is_empty() {
        return opened(dir, true);
    }
    let covers = &dataset.manifest.covers;
    space::check(dir, &stage::work_of(dir), decode::bytes_needed(covers.len(), &missing))?;
    let stage = Stage::open(dir)?;
    let paths: Vec<PathBuf> = covers.iter().map(|cover| cover.strings.path().to_owned()).collect();
    let decoded = decode_together(&paths, &missing, options.pipeline(), &stage.work(), &options.ranks, progress)?;
    let changed = covers.iter().zip(&decoded.pictures).find(|(c, p)| p.as_ref().map_or(true, |p| p.hash != c.hash));
    if let Some((cover, _)) = changed {
        return Err(Error::Input(format!(
            "{}: changed since it was imported, though its size and time did not: touch it and import again",
            cover.strings.path().display()
        )));
    }
    let slots: Vec<u32> = (0..covers.len() as u32).collect();
    for (place, &size) in missing.iter().enumerate() {
        let hashes = covers.iter().map(|cover| cover.hash);
        decoded.finish(place, &slots, hashes, &dir.join(pack_of(size)))?;
    }
    stage.clear();
    opened(dir, false)
}

fn opened(dir: &Path, unchanged: bool) -> Result<Imported> {
    let dataset = Dataset::open(dir)?;
    let told = Report::read(dir)?;
    let report = dataset.split_report();
    Ok(Imported { dataset, told, report, unchanged })
}

fn refuse_reserved_names(shown: &str, source: &Source) -> Result<()> {
    let reserved = |column: &&String| manifest::COLUMNS.contains(&column.as_str()) || *column == DUPLICATES;
    source.group_columns.iter().find(reserved).map_or(Ok(()), |column| {
        Err(Error::Input(format!(
            "{shown}: --group {column}: the manifest has a column of this name already: rename it in the table"
        )))
    })
}
