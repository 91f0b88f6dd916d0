//! The covers that are not in a data set's test set, split again: what a search may look at.

use std::path::Path;

use crate::claim;
use crate::data::import::stage::Stage;
use crate::data::set::dataset::Dataset;
use crate::data::set::manifest::{DUPLICATES, Manifest};
use crate::data::set::names::{MANIFEST, PACK};
use crate::data::set::pack;
use crate::data::set::report::{Report, is_ours};
use crate::data::set::split::{self, Items, Split};
use crate::data::set::ties::Tie;
use crate::{Error, Result};

/// Shares of training and validation.
const RATIOS: [f64; 3] = [0.8, 0.2, 0.0];

/// Makes a data set in `dir` (created if missing) of all covers of the data set in `data` but those of its test set: four fifths for
/// training, a fifth for validation, groups whole. None of the test set is in it, not even its pixels.
///
/// # Errors
/// [`Error::Input`] if a class has fewer than two groups left, or `dir` holds files that are not Gatefold's.
pub fn untested(data: &Path, dir: &Path, seed: u64) -> Result<Dataset> {
    claim::check(dir, "data set", || is_ours(dir))?;
    let Dataset { manifest, pack, .. } = Dataset::open(data)?;
    let mut told = Report::read(data)?;
    let kept: Vec<usize> = (0..manifest.covers.len()).filter(|&i| manifest.covers[i].split != Split::Test).collect();
    let covers = kept.iter().map(|&i| manifest.covers[i].clone()).collect();
    let mut manifest = Manifest { covers, ..manifest };
    let tied = |column: &String| column == DUPLICATES || told.grouped_by.contains(column);
    let columns: Vec<usize> =
        (0..manifest.group_columns.len()).filter(|&place| tied(&manifest.group_columns[place])).collect();
    let ties = Tie::of(&manifest.group_columns, &columns);
    let items = Items::new(manifest.covers.len(), |i| manifest.covers[i].item(&ties));
    let splits = split::assign(&manifest.classes, &items, RATIOS, seed);
    let splits = splits.map_err(|e| Error::Input(format!("{}: without its test set: {e}", data.display())))?;
    drop(items);
    manifest.covers.iter_mut().zip(splits).for_each(|(cover, split)| cover.split = split);

    let stage = Stage::open(dir)?;
    let new = stage.new_files()?;
    let squares = kept.iter().map(|&i| pack.image(i).map(<[u8]>::to_vec));
    let hashes: Vec<blake3::Hash> = manifest.covers.iter().map(|cover| cover.hash).collect();
    pack::write(&new.join(PACK), pack.size(), pack.pipeline(), squares, hashes.into_iter())?;
    manifest.write(&new.join(MANIFEST))?;
    told.source = std::path::absolute(data).unwrap_or(data.into()).to_string_lossy().into();
    (told.kind, told.state) = ("dataset".into(), String::new());
    (told.split, told.seed) = (Some(RATIOS), seed);
    (told.kept, told.duplicates, told.moved) = (manifest.covers.len(), vec![], vec![]);
    told.manifest = Some(manifest.hash().to_string());
    told.write(&new)?;
    stage.commit()?;
    Dataset::open(dir)
}
