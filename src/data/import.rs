//! From what people have to a data set: read the source, decode, drop duplicates, split, write.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use super::dataset::{Dataset, MANIFEST, PACK, PREVIEW, pack_of};
use super::decode::{self, Decoded, decode};
use super::duplicates::{self, Candidate, Told};
use super::harmonise::{Harmonise, Pipeline};
use super::manifest::{self, Cover, DUPLICATES, Manifest, Split};
use super::pack::{MAX_SIZE, PictureInfo};
use super::picture::Fit;
use super::preview;
use super::report::Report;
use super::source::{Request, Row, Skipped, Source};
use super::split::{self, DEFAULT_RATIOS, Item, SplitReport};
use super::stage::Stage;
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
/// [`Error::Input`] if source or options are at fault: see [`Request::read`], [`decode`] and [`split::assign`];
/// [`Error::Run`] if `dir` cannot be written.
pub fn import(options: &ImportOptions, dir: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Imported> {
    check_sizes(&options.sizes)?;
    let ratios = options.split.map(split::normalise).transpose()?;
    let survey = options.request.survey()?;
    let state = state(options, &survey.state(&options.request.columns)?)?;
    let before = Dataset::is_at(dir).then(|| Report::read(dir).ok()).flatten();
    if before.as_ref().is_some_and(|report| report.state == state)
        && !super::stage::is_waiting(dir)
        && let Ok(dataset) = Dataset::open(dir)
    {
        return add_sizes(options, dir, dataset, progress);
    }

    let source = options.request.read_surveyed(&survey)?;
    drop(survey);
    let shown = options.request.shown();
    refuse_reserved_names(&shown, &source)?;
    if options.request.images.is_none() && source.kind == "msd-i" {
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
    };
    // An impossible wish is told now, not after an hour of decoding.
    let paths: Vec<String> = job.source.rows.iter().map(|row| row.path.to_string_lossy().into()).collect();
    let extra = vec![String::new(); paths.len()];
    let draft: Vec<(&Row, &str)> = job.source.rows.iter().zip(paths.iter().map(String::as_str)).collect();
    job.split(&draft, &extra, &HashMap::new())?;

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
    let genres = options.request.genres.as_ref().map(fs::read_to_string).transpose().unwrap_or_default();
    let ImportOptions { request, split, seed, fit, harmonise, keep_duplicates, .. } = options;
    let text = format!(
        "{} {source} {:?} {genres:?} {:?} {split:?} {seed} {fit} {harmonise:?} {keep_duplicates}",
        env!("CARGO_PKG_VERSION"),
        request.columns,
        request.without
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
    let stage = Stage::open(dir)?;
    let covers = &dataset.manifest.covers;
    let paths: Vec<PathBuf> = covers.iter().map(|cover| cover.path.clone()).collect();
    let decoded = decode(&paths, &missing, options.pipeline(), &stage.work(), progress)?;
    let changed = covers.iter().zip(&decoded.pictures).find(|(c, p)| p.as_ref().map_or(true, |p| p.hash != c.hash));
    if let Some((cover, _)) = changed {
        return Err(Error::Input(format!(
            "{}: changed since it was imported, though its size and time did not: touch it and import again",
            cover.path.display()
        )));
    }
    let slots: Vec<u32> = (0..covers.len() as u32).collect();
    for &size in &missing {
        let hashes = covers.iter().map(|cover| cover.hash.as_str());
        decoded.finish(size, &slots, hashes, &dir.join(pack_of(size)))?;
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

/// One call of [`import`], its source read.
struct Job<'a> {
    options: &'a ImportOptions,
    shown: String,
    /// None where the source's own sets are kept.
    ratios: Option<[f64; 3]>,
    source: Source,
    state: String,
}

impl Job<'_> {
    fn run(mut self, stage: &Stage, dir: &Path, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<()> {
        let named = self.source.rows.len() + self.source.left_out.len();
        let paths: Vec<PathBuf> = self.source.rows.iter().map(|row| row.path.clone()).collect();
        decode::take_back(&stage.unfinished(), &stage.work())?;
        let mut decoded = decode(&paths, &self.options.sizes, self.options.pipeline(), &stage.work(), progress)?;
        drop(paths);

        // The usable pictures, in the order of their slots.
        let (mut rows, mut infos) = (Vec::new(), Vec::new());
        for (row, picture) in
            std::mem::take(&mut self.source.rows).into_iter().zip(std::mem::take(&mut decoded.pictures))
        {
            match picture {
                Ok(info) => {
                    rows.push(row);
                    infos.push(info);
                }
                Err(bad) => self.source.left_out.push(Skipped::new(&row.path, bad.reason)),
            }
        }
        let Cleaned { slots, duplicates, alike } = self.clean(&decoded, &rows, &infos)?;
        let before = self.sets_before(dir);
        let kept: Vec<(&Row, &str)> = slots.iter().map(|&i| (&rows[i], infos[i].hash.as_str())).collect();
        let (splits, moved) = self.split(&kept, &alike, &before)?;
        let moved: Vec<String> = moved.iter().map(|&i| kept[i].0.path.to_string_lossy().into_owned()).collect();
        if !moved.is_empty() {
            self.source.notes.push(format!(
                "{} covers were moved out of the set that the source gives them, to keep their groups whole (import.json \
                 lists them)",
                moved.len()
            ));
        }
        drop(kept);
        let manifest = self.manifest(rows, infos, &slots, &alike, splits)?;
        self.source.notes.extend(size_gap(&manifest));
        self.source.notes.extend(self.options.harmonise.and_then(|harmonise| enlarged(&manifest, harmonise)));
        self.write(stage, &decoded, &slots, &manifest, named, duplicates, moved)
    }

    /// Finds the pictures that show one cover, and drops all but one of each.
    fn clean(&mut self, decoded: &Decoded, rows: &[Row], infos: &[PictureInfo]) -> Result<Cleaned> {
        let greys = decoded.greys()?;
        let paths: Vec<String> = rows.iter().map(|row| row.path.to_string_lossy().into_owned()).collect();
        let candidates: Vec<Candidate> = rows
            .iter()
            .zip(infos)
            .zip(&paths)
            .map(|((row, info), path)| Candidate { path, info, label: row.label, split: row.split })
            .collect();
        let groups = duplicates::find(&candidates, &greys);
        let told: Vec<Told> =
            groups.iter().map(|group| duplicates::told(group, &candidates, &self.source.classes, &greys)).collect();
        let mut alike = vec![String::new(); rows.len()];
        let mut dropped = HashSet::new();
        let (mut copies, mut contradictions) = (0, 0);
        for group in &groups {
            if self.options.keep_duplicates {
                let name = &infos[group.members[0]].hash[..12];
                group.members.iter().for_each(|&i| alike[i] = name.to_owned());
                continue;
            }
            for &i in group.members.iter().filter(|&&i| group.kept != Some(i)) {
                dropped.insert(i);
                let reason = match group.kept {
                    Some(kept) if infos[i].hash == infos[kept].hash => format!("a copy of {}", paths[kept]),
                    Some(kept) => format!("looks like {}", paths[kept]),
                    None => {
                        let other =
                            group.members.iter().copied().find(|&j| rows[j].label != rows[i].label).unwrap_or(i);
                        let [own, theirs] = [i, other].map(|i| &self.source.classes[rows[i].label]);
                        format!("labelled `{own}`, but {} looks the same and is labelled `{theirs}`", paths[other])
                    }
                };
                if group.kept.is_some() {
                    copies += 1
                } else {
                    contradictions += 1
                }
                self.source.left_out.push(Skipped::new(&rows[i].path, reason));
            }
        }
        if self.options.keep_duplicates && !groups.is_empty() {
            let covers: usize = groups.iter().map(|group| group.members.len()).sum();
            let conflicts = groups.iter().filter(|group| group.kept.is_none()).count();
            self.source.notes.push(format!(
                "kept {covers} covers that look alike, in {} groups that stay in one set; {conflicts} groups have labels that \
                 contradict each other",
                groups.len(),
            ));
        } else if copies + contradictions > 0 {
            self.source.notes.push(format!(
                "dropped {copies} duplicates, and {contradictions} covers that look alike but are labelled differently \
                 (import.json lists them)"
            ));
        }
        let slots: Vec<usize> = (0..rows.len()).filter(|i| !dropped.contains(i)).collect();
        let alike = slots.iter().map(|&i| std::mem::take(&mut alike[i])).collect();
        Ok(Cleaned { slots, duplicates: told, alike })
    }

    /// Where covers of the data set that is to be replaced are, by content, if it was split by the same rule.
    fn sets_before(&self, dir: &Path) -> HashMap<String, Split> {
        let same = |report: &Report| {
            let grouped: Vec<&String> = self.source.grouping.iter().map(|&i| &self.source.group_columns[i]).collect();
            self.ratios.is_some()
                && report.split == self.ratios
                && report.seed == self.options.seed
                && report.grouped_by.iter().collect::<Vec<_>>() == grouped
        };
        if !Dataset::is_at(dir) || !Report::read(dir).is_ok_and(|report| same(&report)) {
            return HashMap::new();
        }
        let covers = Manifest::read(&dir.join(MANIFEST)).map(|manifest| manifest.covers).unwrap_or_default();
        covers.into_iter().map(|cover| (cover.hash, cover.split)).collect()
    }

    /// Splits `rows`, given with what identifies them (their content's hashes, or before decoding their paths). `alike` names
    /// groups of duplicates. The second list are those that were moved out of the source's own sets.
    fn split(
        &self,
        rows: &[(&Row, &str)],
        alike: &[String],
        before: &HashMap<String, Split>,
    ) -> Result<(Vec<Split>, Vec<usize>)> {
        let groups: Vec<Vec<String>> = rows
            .iter()
            .zip(alike)
            .map(|((row, _), alike)| {
                let own = self.source.grouping.iter().map(|&place| row.groups[place].clone());
                own.chain([alike.clone()]).collect()
            })
            .collect();
        let items: Vec<Item> = rows
            .iter()
            .zip(&groups)
            .map(|((row, key), groups)| Item { label: row.label, groups, key, before: before.get(*key).copied() })
            .collect();
        match self.ratios {
            Some(ratios) => {
                let splits = split::assign(&self.source.classes, &items, ratios, self.options.seed)
                    .map_err(|e| Error::Input(format!("{}: {e}", self.shown)))?;
                Ok((splits, Vec::new()))
            }
            None => {
                let mut splits: Vec<Split> = rows.iter().map(|(row, _)| row.split.unwrap_or(Split::Train)).collect();
                let moved = split::unite(&items, &mut splits);
                if !splits.contains(&Split::Train) {
                    return Err(Error::Input(format!(
                        "{}: no cover is left in its train set: make a split with --split 70,15,15",
                        self.shown
                    )));
                }
                Ok((splits, moved))
            }
        }
    }

    fn manifest(
        &self,
        rows: Vec<Row>,
        infos: Vec<PictureInfo>,
        slots: &[usize],
        alike: &[String],
        splits: Vec<Split>,
    ) -> Result<Manifest> {
        let mut rows: Vec<Option<(Row, PictureInfo)>> = rows.into_iter().zip(infos).map(Some).collect();
        let covers: Vec<Cover> = slots
            .iter()
            .zip(alike)
            .zip(splits)
            .filter_map(|((&i, alike), split)| {
                let (mut row, info) = rows[i].take()?;
                if self.options.keep_duplicates {
                    row.groups.push(alike.clone());
                }
                let PictureInfo { width, height, hash, look } = info;
                Some(Cover { path: row.path, label: row.label, groups: row.groups, split, width, height, hash, look })
            })
            .collect();
        if let Some(class) = (0..self.source.classes.len()).find(|&class| covers.iter().all(|c| c.label != class)) {
            return Err(Error::Input(format!(
                "{}: class `{}` has no usable cover left: repair its pictures or leave the class out",
                self.shown, self.source.classes[class]
            )));
        }
        let mut group_columns = self.source.group_columns.clone();
        if self.options.keep_duplicates {
            group_columns.push(DUPLICATES.to_owned());
        }
        Ok(Manifest { classes: self.source.classes.clone(), group_columns, covers })
    }

    /// Writes all files of the data set where they wait for being moved into place.
    #[expect(clippy::too_many_arguments, reason = "each is one of the things that are written")]
    fn write(
        self,
        stage: &Stage,
        decoded: &Decoded,
        slots: &[usize],
        manifest: &Manifest,
        named: usize,
        duplicates: Vec<Told>,
        moved: Vec<String>,
    ) -> Result<()> {
        let new = stage.new_files()?;
        manifest.write(&new.join(MANIFEST))?;
        let Self { options, ratios, source, state, .. } = self;
        let request = &options.request;
        let report = Report {
            gatefold: env!("CARGO_PKG_VERSION").to_owned(),
            source: self.shown,
            kind: source.kind.to_owned(),
            state,
            path_column: request.columns.path.clone(),
            label_column: request.columns.label.clone(),
            grouped_by: source.grouping.iter().map(|&place| source.group_columns[place].clone()).collect(),
            split: ratios,
            seed: options.seed,
            fit: options.fit,
            harmonise: options.harmonise,
            keep_duplicates: options.keep_duplicates,
            classes: source.classes,
            named,
            kept: manifest.covers.len(),
            skipped: source.left_out,
            duplicates,
            moved,
            notes: source.notes,
            details: serde_json::to_value(&source.details).map_err(Error::run)?,
        };
        report.write(&new)?;
        // Last, since a pack that has left the work folder has to be taken back by the next call if this one is killed.
        let slots: Vec<u32> = slots.iter().map(|&slot| slot as u32).collect();
        let pack = |i: usize, size: u32| if i == 0 { new.join(PACK) } else { new.join(pack_of(size)) };
        for (i, &size) in options.sizes.iter().enumerate() {
            decoded.finish(size, &slots, manifest.covers.iter().map(|cover| cover.hash.as_str()), &pack(i, size))?;
        }
        preview::write(manifest, &super::Pack::open(&pack(0, 0))?, &new.join(PREVIEW))
    }
}

/// What is left after duplicates were dropped.
struct Cleaned {
    /// The usable pictures that stay, by number.
    slots: Vec<usize>,
    duplicates: Vec<Told>,
    /// For each that stays the name of its group of duplicates, empty if it is in none or they were dropped.
    alike: Vec<String>,
}

/// Classes whose pictures' sides differ by more than this part have probably come from different sources.
const GAP: f64 = 0.1;

/// What to know if the classes' pictures differ in size.
fn size_gap(manifest: &Manifest) -> Option<String> {
    let mut sides: Vec<Vec<u32>> = vec![Vec::new(); manifest.classes.len()];
    manifest.covers.iter().for_each(|cover| sides[cover.label].push(cover.width.min(cover.height)));
    let medians: Vec<u32> = sides
        .iter_mut()
        .map(|sides| {
            sides.sort_unstable();
            sides[sides.len() / 2]
        })
        .collect();
    let (small, large) = (medians.iter().min()?, medians.iter().max()?);
    if f64::from(*large) <= f64::from(*small) * (1.0 + GAP) {
        return None;
    }
    let listed: Vec<String> =
        manifest.classes.iter().zip(&medians).map(|(class, side)| format!("{class} {side}")).collect();
    Some(format!(
        "WARNING: the classes' pictures differ in size (median side in pixels: {}), so they were scaled differently, and a \
         network may learn to see the scaling instead of the covers: do not believe a score before `gatefold audit` has put this to \
         the test",
        listed.join(", ")
    ))
}

/// What to know if pictures have to grow to the size that all are to be alike at.
fn enlarged(manifest: &Manifest, harmonise: Harmonise) -> Option<String> {
    let small = manifest.covers.iter().filter(|cover| cover.width.min(cover.height) < harmonise.size).count();
    (small > 0).then(|| {
        format!(
            "WARNING: --harmonise {harmonise}: {small} pictures are smaller than {} pixels, so they grow where the others \
             shrink, and that shows: name a size that all have",
            harmonise.size
        )
    })
}

fn refuse_reserved_names(shown: &str, source: &Source) -> Result<()> {
    let reserved = |column: &&String| manifest::COLUMNS.contains(&column.as_str()) || *column == DUPLICATES;
    source.group_columns.iter().find(reserved).map_or(Ok(()), |column| {
        Err(Error::Input(format!(
            "{shown}: --group {column}: the manifest has a column of this name already: rename it in the table"
        )))
    })
}
