//! What `train` is given, read once: its classes are known before an hour of decoding, and decoding does not read it again.

use std::path::{Path, PathBuf};

use blake3::Hash;

use crate::data::import::prepare::{PrepareOptions, Prepared, Reuse};
use crate::data::import::{ImportOptions, check_sizes, import_from};
use crate::data::set::dataset::Dataset;
use crate::data::set::folds;
use crate::data::set::manifest::Manifest;
use crate::data::set::names::MANIFEST;
use crate::data::set::split::{Item, Items};
use crate::data::set::ties::Tie;
use crate::data::source::{Columns, Labelling, Request, Source};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Covers that are there: a source that was read, or a data set.
pub struct Intake {
    data: PathBuf,
    read: Read,
}

enum Read {
    /// The list of a data-set folder.
    Dataset(Manifest),
    Source(Box<Surveyed>),
}

/// A source, how it was asked for, and the hash of its files.
struct Surveyed {
    request: Request,
    state: String,
    source: Source,
}

impl Intake {
    /// Reads the list of covers in `data`: anything that [`import`](super::import()) takes, or a data-set folder.
    ///
    /// # Errors
    /// [`Error::Input`]: see [`Request::read`].
    pub fn open(data: &Path, columns: &Columns, labelling: &Labelling) -> Result<Self> {
        let read = if Dataset::is_at(data) {
            if *labelling != Labelling::default() {
                return Err(Error::Input(format!(
                    "{}: a data set has its classes already: --map, --without, --min-covers and --multi are for import",
                    data.display()
                )));
            }
            if columns.images.is_some() {
                let data = data.display();
                return Err(Error::Input(format!("{data}: a data set knows its pictures: leave out --images")));
            }
            Read::Dataset(Manifest::read(&data.join(MANIFEST))?)
        } else {
            let request = Request { labelling: labelling.clone(), ..Request::new(data, columns) };
            let survey = request.survey()?;
            let state = survey.state(&request)?;
            let source = request.read_surveyed(&survey)?;
            Read::Source(Box::new(Surveyed { request, state, source }))
        };
        Ok(Self { data: data.to_owned(), read })
    }

    /// Where they are.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Names of the classes.
    pub fn classes(&self) -> &[String] {
        match &self.read {
            Read::Dataset(manifest) => &manifest.classes,
            Read::Source(surveyed) => &surveyed.source.classes,
        }
    }

    /// How many covers each class has.
    pub fn counts(&self) -> Vec<usize> {
        let mut counts = vec![0; self.classes().len()];
        match &self.read {
            Read::Dataset(manifest) => manifest.covers.iter().for_each(|cover| counts[cover.label] += 1),
            Read::Source(surveyed) => surveyed.source.rows.iter().for_each(|row| counts[row.label] += 1),
        }
        counts
    }

    /// Files and labels of the covers.
    pub fn covers(&self) -> Vec<(PathBuf, String)> {
        let labelled = |path: &Path, label: usize| (path.to_owned(), self.classes()[label].clone());
        match &self.read {
            Read::Dataset(manifest) => {
                manifest.covers.iter().map(|cover| labelled(cover.strings.path(), cover.label)).collect()
            }
            Read::Source(surveyed) => {
                surveyed.source.rows.iter().map(|row| labelled(row.strings.path(), row.label)).collect()
            }
        }
    }

    /// Fails unless there are `wanted` classes, if a number was named.
    ///
    /// # Errors
    /// [`Error::Input`] if there are more or fewer.
    pub fn check_classes(&self, wanted: Option<usize>) -> Result<()> {
        let (data, found) = (self.data.display(), self.classes().len());
        match wanted {
            Some(wanted) if wanted != found => Err(Error::input(format!(
                "--classes {wanted}: {data} has {found}; leave the option out, it is for --dry-run"
            ))),
            _ => Ok(()),
        }
    }

    /// Fails unless all classes can be in each of so many folds. Of a source's pictures only their list is known yet.
    ///
    /// # Errors
    /// As [`folds::check`].
    pub fn check_folds(&self, count: usize, options: &PrepareOptions) -> Result<()> {
        let checked = match &self.read {
            Read::Dataset(manifest) => {
                let grouping = Reuse { data: &self.data, dir: &self.data, options }.grouping(manifest)?;
                let (ties, covers) = (Tie::of(&manifest.group_columns, &grouping), &manifest.covers);
                let items = Items::new(covers.len(), |i| covers[i].item(&ties));
                folds::check(self.classes(), &items, count)
            }
            Read::Source(surveyed) => {
                let Source { group_columns, grouping, rows, .. } = &surveyed.source;
                let ties = Tie::of(group_columns, grouping);
                // What they hash to is not known, and tells nothing of groups.
                let key = Hash::from_bytes([0; 32]);
                let item =
                    |i: usize| Item { label: rows[i].label, strings: &rows[i].strings, ties: &ties, key, before: None };
                let items = Items::new(rows.len(), item);
                folds::check(self.classes(), &items, count)
            }
        };
        checked.map_err(|e| Error::Input(format!("{}: {e}", self.data.display())))
    }

    /// Makes a data set in `dir` (created if missing). Of a data-set folder the pack is used if it has one of the wished size and
    /// fit, and the split unless `options` name a split or groups. The columns are those that it was opened with.
    ///
    /// # Errors
    /// [`Error::Input`] if the covers or `options` are at fault: see [`import`](super::import()); [`Error::Run`] if `dir` cannot
    /// be written.
    pub fn prepare(
        self,
        options: &PrepareOptions,
        dir: &Path,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Result<Prepared> {
        let Surveyed { request, state, source } = match self.read {
            Read::Dataset(_) => return Reuse { data: &self.data, dir, options }.run(progress),
            Read::Source(surveyed) => *surveyed,
        };
        let PrepareOptions { split, fold, seed, size, fit, .. } = *options;
        if let Some(fold) = fold {
            let data = self.data.display();
            return Err(Error::input(format!(
                "fold {fold}: folds are cut from a data set, and {data} is none yet: import it, and give the data set"
            )));
        }
        check_sizes(&[size])?;
        let options = ImportOptions {
            request,
            split,
            seed,
            sizes: vec![size],
            fit,
            harmonise: None,
            keep_duplicates: false,
            ranks: Ranks::alone(),
        };
        let made = import_from(&options, &state, move || Ok(source), dir, progress)?;
        Ok(Prepared { dataset: made.dataset, skipped: made.told.skipped, notes: made.told.notes, report: made.report })
    }
}

/// Makes a data set in `dir` (created if missing) from `data`: [`Intake::open`], then [`Intake::prepare`].
///
/// # Errors
/// As those two.
pub fn prepare(
    data: &Path,
    options: &PrepareOptions,
    dir: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Prepared> {
    Intake::open(data, &options.columns, &Labelling::default())?.prepare(options, dir, progress)
}
