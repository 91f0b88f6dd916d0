//! From what a user has to a data set: read the source, decode, split, write.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::dataset::{Dataset, IMPORT, MANIFEST, PACK};
use super::files::{cannot_write, write_atomically};
use super::manifest::{self, Cover, Manifest, Split};
use super::pack::{self, MAX_SIZE, Pack, PictureInfo};
use super::picture::{BadPicture, Fit};
use super::source::{self, Columns, Row, Skipped, Source};
use super::split::{self, DEFAULT_RATIOS, Item, SplitReport};
use crate::{Error, Result};

/// How to make a data set.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The table's column of picture files; `path` if not given.
    pub path_column: Option<String>,
    /// The table's column of labels; `label`, `genre` or `class` if not given.
    pub label_column: Option<String>,
    /// Columns whose values keep covers together when splitting.
    pub group_columns: Vec<String>,
    /// Shares of train, val and test, as fractions, percent or any parts of a whole. Not given: 70, 15, 15, or, for a
    /// data-set folder, the split it has.
    pub split: Option<[f64; 3]>,
    /// Decides the split.
    pub seed: u64,
    /// Pixels on a side of the pack's pictures.
    pub size: u32,
    /// How pictures that are not square become so.
    pub fit: Fit,
}

/// A data set that was just made, and what its owner should know.
#[derive(Debug)]
pub struct Prepared {
    /// The data set, opened.
    pub dataset: Dataset,
    /// Pictures that are not in it, and why: first those left out by name, then bad ones in the source's order.
    pub skipped: Vec<Skipped>,
    /// What else was noticed, a line each: a guessed column, a folder passed over.
    pub notes: Vec<String>,
    /// How the covers were split.
    pub report: SplitReport,
}

/// Makes a data set in `dir` (created if missing) from `data`: a folder with a sub-folder per class, a CSV or TSV, or
/// a data-set folder written by this function before (of which the pack is used if it has the wished size and fit, and
/// the split unless `options` name a split or groups).
///
/// Writes `images.pack`, `manifest.csv` and `import.json` (what was read, what was skipped and why), each in one step.
/// All that can be checked before decoding is. `progress(done, total)` is called from many threads while pictures are
/// decoded.
///
/// # Errors
/// [`Error::Input`] if `data` or `options` are at fault: see [`source::read`], [`pack::build`] and [`split::assign`];
/// [`Error::Run`] if `dir` cannot be written.
pub fn prepare(
    data: &Path,
    options: &PrepareOptions,
    dir: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Prepared> {
    if !(1..=MAX_SIZE).contains(&options.size) {
        return Err(Error::Input(format!("size {}: must be 1 to {MAX_SIZE} pixels on a side", options.size)));
    }
    let mut options = options.clone();
    options.split = options.split.map(split::normalise).transpose()?;

    if !Dataset::is_at(data) {
        options.split.get_or_insert(DEFAULT_RATIOS);
        let columns = Columns {
            path: options.path_column.clone(),
            label: options.label_column.clone(),
            groups: options.group_columns.clone(),
        };
        let source = source::read(data, &columns)?;
        refuse_reserved_names(data, &source)?;
        let grouping = (0..source.group_columns.len()).collect();
        return Job { data, dir, options, source, grouping, given: None }.run(progress);
    }

    let Dataset { manifest, pack } = Dataset::open(data)?;
    let grouping = grouping_of(data, &manifest, &options)?;
    let keep_split = options.split.is_none() && options.group_columns.is_empty();
    let same_pack = (pack.size(), pack.fit()) == (options.size, options.fit);
    if !keep_split {
        options.split.get_or_insert(DEFAULT_RATIOS);
    }
    if same_pack && keep_split && same_folder(data, dir) {
        return open(data, Vec::new(), Vec::new());
    }
    if !same_pack {
        check_originals(data, &manifest, pack.size())?;
    }
    let source = Source {
        kind: "dataset",
        rows: manifest
            .covers
            .iter()
            .map(|c| Row { path: c.path.clone(), label: c.label, groups: c.groups.clone() })
            .collect(),
        classes: manifest.classes,
        group_columns: manifest.group_columns,
        left_out: Vec::new(),
        notes: Vec::new(),
    };
    let splits = keep_split.then(|| manifest.covers.iter().map(|c| c.split).collect());
    let infos = manifest.covers.into_iter().map(|c| PictureInfo { width: c.width, height: c.height, hash: c.hash });
    let decoded = same_pack.then(|| (pack, infos.collect()));
    Job { data, dir, options, source, grouping, given: Some(Given { splits, decoded }) }.run(progress)
}

/// What a source that is itself a data set has already settled.
struct Given {
    splits: Option<Vec<Split>>,
    decoded: Option<(Pack, Vec<PictureInfo>)>,
}

/// One call of [`prepare`], its source read.
struct Job<'a> {
    data: &'a Path,
    dir: &'a Path,
    options: PrepareOptions,
    source: Source,
    /// Which of the source's group columns keep covers together.
    grouping: Vec<usize>,
    given: Option<Given>,
}

impl Job<'_> {
    fn run(mut self, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Prepared> {
        let (given_splits, decoded) = self.given.take().map_or((None, None), |given| (given.splits, given.decoded));
        if given_splits.is_none() {
            // An impossible wish is told now, not after an hour of decoding.
            let keys: Vec<String> = self.source.rows.iter().map(|row| row.path.to_string_lossy().into()).collect();
            self.split(&self.source.rows, &keys)?;
        }
        fs::create_dir_all(self.dir).map_err(|e| cannot_write(self.dir, &e))?;

        let (pictures, built) = match decoded {
            Some((pack, infos)) => {
                progress(infos.len(), infos.len());
                if !same_folder(self.data, self.dir) {
                    write_atomically(&self.dir.join(PACK), |file| file.write_all(pack.bytes()))?;
                }
                (infos.into_iter().map(Ok).collect(), None)
            }
            None => {
                let paths: Vec<PathBuf> = self.source.rows.iter().map(|row| row.path.clone()).collect();
                let pack = self.dir.join(PACK);
                let mut built = pack::build(&pack, &paths, self.options.size, self.options.fit, progress)?;
                (std::mem::take(&mut built.pictures), Some(built))
            }
        };

        let named = self.source.rows.len() + self.source.left_out.len();
        let (rows, infos, splits) = self.keep_good(pictures, given_splits);
        let splits = match splits {
            Some(splits) => splits,
            None => {
                let keys: Vec<String> = infos.iter().map(|info| info.hash.clone()).collect();
                self.split(&rows, &keys)?
            }
        };
        let manifest = self.manifest(rows, infos, splits)?;
        if let Some(built) = built {
            built.commit()?;
        }
        manifest.write(&self.dir.join(MANIFEST))?;
        self.write_report(named, manifest.covers.len())?;
        open(self.dir, self.source.left_out, self.source.notes)
    }

    /// Splits `rows`; `keys` identify them (their content's hashes, or before decoding their paths).
    fn split(&self, rows: &[Row], keys: &[String]) -> Result<Vec<Split>> {
        let groups: Vec<Vec<String>> =
            rows.iter().map(|row| self.grouping.iter().map(|&place| row.groups[place].clone()).collect()).collect();
        let items: Vec<Item> = rows
            .iter()
            .zip(&groups)
            .zip(keys)
            .map(|((row, groups), key)| Item { label: row.label, groups, key })
            .collect();
        let ratios = self.options.split.unwrap_or(DEFAULT_RATIOS);
        split::assign(&self.source.classes, &items, ratios, self.options.seed)
            .map_err(|e| Error::Input(format!("{}: {e}", self.data.display())))
    }

    /// Moves bad pictures to `left_out`; the rows, infos and splits of the others.
    fn keep_good(
        &mut self,
        pictures: Vec<Result<PictureInfo, BadPicture>>,
        splits: Option<Vec<Split>>,
    ) -> (Vec<Row>, Vec<PictureInfo>, Option<Vec<Split>>) {
        let splits =
            splits.map(|splits| splits.into_iter().zip(&pictures).filter(|(_, p)| p.is_ok()).map(|(s, _)| s).collect());
        let (mut rows, mut infos) = (Vec::new(), Vec::new());
        for (row, picture) in std::mem::take(&mut self.source.rows).into_iter().zip(pictures) {
            match picture {
                Ok(info) => {
                    rows.push(row);
                    infos.push(info);
                }
                Err(bad) => self.source.left_out.push(Skipped::new(&row.path, bad.reason)),
            }
        }
        (rows, infos, splits)
    }

    fn manifest(&self, rows: Vec<Row>, infos: Vec<PictureInfo>, splits: Vec<Split>) -> Result<Manifest> {
        let covers: Vec<Cover> = rows
            .into_iter()
            .zip(infos)
            .zip(splits)
            .map(|((row, info), split)| Cover {
                path: row.path,
                label: row.label,
                groups: row.groups,
                split,
                width: info.width,
                height: info.height,
                hash: info.hash,
            })
            .collect();
        if let Some(class) = (0..self.source.classes.len()).find(|&class| covers.iter().all(|c| c.label != class)) {
            return Err(Error::Input(format!(
                "{}: class `{}` has no usable cover left: repair its pictures or remove the class",
                self.data.display(),
                self.source.classes[class]
            )));
        }
        Ok(Manifest { classes: self.source.classes.clone(), group_columns: self.source.group_columns.clone(), covers })
    }

    fn write_report(&self, named: usize, kept: usize) -> Result<()> {
        #[derive(Serialize)]
        struct Report<'a> {
            gatefold: &'a str,
            source: String,
            kind: &'a str,
            path_column: &'a Option<String>,
            label_column: &'a Option<String>,
            grouped_by: Vec<&'a String>,
            split: Option<[f64; 3]>,
            seed: u64,
            size: u32,
            fit: Fit,
            classes: &'a [String],
            named: usize,
            kept: usize,
            skipped: &'a [Skipped],
            notes: &'a [String],
        }
        let report = Report {
            gatefold: env!("CARGO_PKG_VERSION"),
            source: std::path::absolute(self.data).unwrap_or(self.data.into()).to_string_lossy().into(),
            kind: self.source.kind,
            path_column: &self.options.path_column,
            label_column: &self.options.label_column,
            grouped_by: self.grouping.iter().map(|&place| &self.source.group_columns[place]).collect(),
            split: self.options.split,
            seed: self.options.seed,
            size: self.options.size,
            fit: self.options.fit,
            classes: &self.source.classes,
            named,
            kept,
            skipped: &self.source.left_out,
            notes: &self.source.notes,
        };
        write_atomically(&self.dir.join(IMPORT), |file| {
            serde_json::to_writer_pretty(&mut *file, &report)?;
            file.write_all(b"\n")
        })
    }
}

fn open(dir: &Path, skipped: Vec<Skipped>, notes: Vec<String>) -> Result<Prepared> {
    let dataset = Dataset::open(dir)?;
    let report = dataset.split_report();
    Ok(Prepared { dataset, skipped, notes, report })
}

/// The places of the group columns that `options` name among a manifest's; all of them if none is named.
fn grouping_of(data: &Path, manifest: &Manifest, options: &PrepareOptions) -> Result<Vec<usize>> {
    let shown = data.display();
    for (given, own, option) in [(&options.path_column, "path", "--path"), (&options.label_column, "label", "--label")]
    {
        if given.as_ref().is_some_and(|given| given != own) {
            return Err(Error::Input(format!("{shown}: a data set has its columns already: leave out {option}")));
        }
    }
    if options.group_columns.is_empty() {
        return Ok((0..manifest.group_columns.len()).collect());
    }
    let place = |wanted: &String| {
        manifest.group_columns.iter().position(|column| column.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
            let has = match &manifest.group_columns[..] {
                [] => "none".into(),
                columns => columns.join(", "),
            };
            Error::Input(format!(
                "{shown}: no column `{wanted}` to group by; this data set was made with {has}: make it again with --group"
            ))
        })
    };
    options.group_columns.iter().map(place).collect()
}

fn refuse_reserved_names(data: &Path, source: &Source) -> Result<()> {
    let reserved = source.group_columns.iter().find(|column| manifest::COLUMNS.contains(&column.as_str()));
    reserved.map_or(Ok(()), |column| {
        Err(Error::Input(format!(
            "{}: --group {column}: the manifest has a column of this name already: rename it in the table",
            data.display()
        )))
    })
}

fn check_originals(data: &Path, manifest: &Manifest, size: u32) -> Result<()> {
    let gone: Vec<&Cover> = manifest.covers.iter().filter(|cover| !cover.path.is_file()).collect();
    gone.first().map_or(Ok(()), |first| {
        Err(Error::Input(format!(
            "{}: {} of its {} original pictures are gone ({}, …), so it cannot be decoded at another size or fit: use \
             --size {size} and its own fit",
            data.display(),
            gone.len(),
            manifest.covers.len(),
            first.path.display()
        )))
    })
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
