//! What `train` is given, as a data set of its own: imported, or taken over from a data set that is there.

use std::fs;
use std::path::{Path, PathBuf};

use crate::claim;
use crate::data::import::stage::{self, Stage};
use crate::data::import::{build, decode, space};
use crate::data::picture::fit::Fit;
use crate::data::picture::harmonise::Pipeline;
use crate::data::set::dataset::Dataset;
use crate::data::set::folds::{self, Fold};
use crate::data::set::manifest::{Cover, DUPLICATES, Manifest};
use crate::data::set::names::{MANIFEST, PACK, PREVIEW, pack_of};
use crate::data::set::report::{Report, Skipped, is_ours};
use crate::data::set::split::{self, DEFAULT_RATIOS, Items, Split, SplitReport};
use crate::data::set::ties::Tie;
use crate::data::source::Columns;
use crate::file::cannot_write;
use crate::{Error, Result};

/// How to make a data set for training.
#[derive(Clone, Debug)]
pub struct PrepareOptions {
    /// The table's columns.
    pub columns: Columns,
    /// Shares of train, val and test, as fractions, percent or any parts of a whole. Not given: 70, 15, 15, or the split
    /// that the source has.
    pub split: Option<[f64; 3]>,
    /// The fold to test on, instead of a split; of a data set only.
    pub fold: Option<Fold>,
    /// Decides the split, and the folds.
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
    /// Pictures that are not in it, and why: first those left out by name, then bad ones in the source's order, then
    /// duplicates.
    pub skipped: Vec<Skipped>,
    /// What else was noticed, a line each: a guessed column, a folder passed over.
    pub notes: Vec<String>,
    /// How the covers were split.
    pub report: SplitReport,
}

/// A data set that is made from another one.
pub(super) struct Reuse<'a> {
    pub data: &'a Path,
    pub dir: &'a Path,
    pub options: &'a PrepareOptions,
}

impl Reuse<'_> {
    pub fn run(self, progress: &(dyn Fn(usize, usize) + Sync)) -> Result<Prepared> {
        let Self { data, dir, options, .. } = self;
        claim::check(dir, "data set", || is_ours(dir))?;
        let Dataset { mut manifest, pack, .. } = Dataset::open(data)?;
        let mut told = Report::read(data)?;
        let grouping = self.grouping(&manifest)?;
        let keep_split = options.split.is_none() && options.fold.is_none() && options.columns.group.is_empty();
        let with_pack = Dataset::open_at(data, options.size, options.fit)?;
        if keep_split && same_folder(data, dir) && with_pack.is_some() && pack.size() == options.size {
            return opened(dir);
        }
        if !keep_split {
            let ties = Tie::of(&manifest.group_columns, &grouping);
            let items = Items::new(manifest.covers.len(), |i| manifest.covers[i].item(&ties));
            let (classes, seed) = (&manifest.classes, options.seed);
            let (splits, ratios) = match options.fold {
                Some(Fold { number, of }) => {
                    let set = |fold: usize| if fold + 1 == number { Split::Test } else { Split::Train };
                    let folds = folds::assign(classes, &items, of, seed);
                    (folds.map(|folds| folds.into_iter().map(set).collect()), None)
                }
                None => {
                    let ratios = split::normalise(options.split.unwrap_or(DEFAULT_RATIOS))?;
                    (split::assign(classes, &items, ratios, seed), Some(ratios))
                }
            };
            let splits: Vec<Split> = splits.map_err(|e| Error::Input(format!("{}: {e}", data.display())))?;
            drop(items);
            manifest.covers.iter_mut().zip(splits).for_each(|(cover, split)| cover.split = split);
            (told.split, told.seed) = (ratios, seed);
            told.grouped_by = grouping.iter().map(|&place| manifest.group_columns[place].clone()).collect();
        }
        if with_pack.is_none() {
            check_originals(data, &manifest, pack.size())?;
            space::check(dir, &stage::work_of(dir), decode::bytes_needed(manifest.covers.len(), &[options.size]))?;
        }

        let stage = Stage::open(dir)?;
        let new = stage.new_files()?;
        let hashes = || manifest.covers.iter().map(|cover| cover.hash);
        if with_pack.is_some() {
            let name = if pack.size() == options.size { PACK.to_owned() } else { pack_of(options.size) };
            link_or_copy(&data.join(name), &new.join(PACK))?;
        } else {
            let paths: Vec<PathBuf> = manifest.covers.iter().map(|cover| cover.strings.path().to_owned()).collect();
            // A harmonised data set stays harmonised at any size.
            let pipeline = Pipeline { fit: options.fit, ..pack.pipeline() };
            let built = build::build(&new.join(PACK), &paths, options.size, pipeline, progress)?;
            let changed =
                hashes().zip(&built.pictures).position(|(hash, p)| p.as_ref().map_or(true, |p| p.hash != hash));
            if let Some(i) = changed {
                stage.clear();
                return Err(Error::Input(format!(
                    "{}: its original {} has changed, so it cannot be decoded at another size: import it again",
                    data.display(),
                    paths[i].display()
                )));
            }
            built.commit()?;
        }
        manifest.write(&new.join(MANIFEST))?;
        if data.join(PREVIEW).is_file() {
            link_or_copy(&data.join(PREVIEW), &new.join(PREVIEW))?;
        }
        told.source = std::path::absolute(data).unwrap_or(data.into()).to_string_lossy().into();
        told.kind = "dataset".into();
        // The state of what was imported is no state of this: it may be split otherwise.
        told.state = String::new();
        told.fit = options.fit;
        told.manifest = Some(manifest.hash().to_string());
        told.write(&new)?;
        stage.commit()?;
        opened(dir)
    }

    /// The places of the group columns that are named among a manifest's; all of them if none is named. Covers that look
    /// alike are never parted.
    pub fn grouping(&self, manifest: &Manifest) -> Result<Vec<usize>> {
        let shown = self.data.display();
        for (given, own, option) in
            [(&self.options.columns.path, "path", "--path"), (&self.options.columns.label, "label", "--label")]
        {
            if given.as_ref().is_some_and(|given| given != own) {
                let text = format!("{shown}: a data set has its columns already: leave out {option}");
                return Err(Error::Input(text));
            }
        }
        let alike = manifest.group_columns.iter().position(|column| column == DUPLICATES);
        if self.options.columns.ungrouped() {
            return Ok(alike.into_iter().collect());
        }
        if self.options.columns.group.is_empty() {
            return Ok((0..manifest.group_columns.len()).collect());
        }
        let place = |wanted: &String| {
            manifest.group_columns.iter().position(|column| column.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
                let has = match &manifest.group_columns[..] {
                    [] => "none".into(),
                    columns => columns.join(", "),
                };
                Error::Input(format!(
                    "{shown}: no column `{wanted}` to group by; this data set was made with {has}: make it again with \
                     --group"
                ))
            })
        };
        let mut places = self.options.columns.group.iter().map(place).collect::<Result<Vec<_>>>()?;
        places.extend(alike.filter(|alike| !places.contains(alike)));
        Ok(places)
    }
}

fn opened(dir: &Path) -> Result<Prepared> {
    let dataset = Dataset::open(dir)?;
    let report = dataset.split_report();
    Ok(Prepared { dataset, skipped: Vec::new(), notes: Vec::new(), report })
}

fn check_originals(data: &Path, manifest: &Manifest, size: u32) -> Result<()> {
    let gone: Vec<&Cover> = manifest.covers.iter().filter(|cover| !cover.strings.path().is_file()).collect();
    gone.first().map_or(Ok(()), |first| {
        Err(Error::Input(format!(
            "{}: {} of its {} original pictures are gone ({}, …), so it cannot be decoded at another size or fit: use \
             --size {size} and its own fit",
            data.display(),
            gone.len(),
            manifest.covers.len(),
            first.strings.path().display()
        )))
    })
}

/// A second name for a file that is never changed in place, or a copy where file systems part.
fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    if fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copy = || fs::copy(from, to).and_then(|_| fs::File::open(to)?.sync_all());
    copy().map_err(|e| cannot_write(to, &e))
}

fn same_folder(a: &Path, b: &Path) -> bool {
    matches!((fs::canonicalize(a), fs::canonicalize(b)), (Ok(a), Ok(b)) if a == b)
}
