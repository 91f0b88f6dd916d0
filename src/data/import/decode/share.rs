//! Decoding by several ranks: the first one hands out the files of a chunk, and writes what all have made of them in the order of the
//! files. So the bytes are those of a process by itself.

use std::path::{Path, PathBuf};

use image::RgbImage;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Entry, Outcome, Piece, piece};
use crate::data::picture::harmonise::Pipeline;
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Files for a rank, and what is to become of them. An empty message instead says that there are no more.
#[derive(Serialize, Deserialize)]
struct Order {
    paths: Vec<PathBuf>,
    sizes: Vec<u32>,
    pipeline: Pipeline,
}

/// Decodes files for the first rank, until it says that there are no more.
///
/// # Errors
/// [`Error::Run`] if its messages are of another version.
pub fn help(ranks: &Ranks) -> Result<()> {
    loop {
        let message = ranks.scatter(vec![]);
        if message.is_empty() {
            return Ok(());
        }
        let Order { paths, sizes, pipeline } = serde_json::from_slice(&message).map_err(Error::run)?;
        let pieces: Vec<Piece> = paths.par_iter().map(|path| piece(path, &sizes, pipeline)).collect();
        ranks.gather(packed(&pieces)?);
    }
}

/// Tells those that [`help`] that there are no more files.
pub fn no_more(ranks: &Ranks) {
    ranks.scatter(vec![Vec::new(); ranks.count()]);
}

/// What all ranks make of some files, in their order. `own` decodes the first one's part; `others` hears how many were done elsewhere.
pub(super) fn pieces<S: AsRef<Path> + Sync>(
    ranks: &Ranks,
    sources: &[S],
    sizes: &[u32],
    pipeline: Pipeline,
    own: impl Fn(&S) -> Piece + Send + Sync,
    others: impl FnOnce(usize),
) -> Result<Vec<Piece>> {
    if ranks.is_alone() {
        return Ok(sources.par_iter().map(own).collect());
    }
    let count = ranks.count();
    let part = |rank: usize| sources.len() * rank / count..sources.len() * (rank + 1) / count;
    let order = |rank: usize| {
        let paths = sources[part(rank)].iter().map(|source| source.as_ref().to_owned()).collect();
        serde_json::to_vec(&Order { paths, sizes: sizes.to_vec(), pipeline }).map_err(Error::run)
    };
    ranks.scatter((0..count).map(order).collect::<Result<_>>()?);
    let mut pieces: Vec<Piece> = sources[part(0)].par_iter().map(own).collect();
    let done = pieces.len();
    for message in &ranks.gather(vec![])[1..] {
        pieces.extend(unpacked(message, sizes)?);
    }
    if pieces.len() != sources.len() {
        return Err(broken());
    }
    others(pieces.len() - done);
    Ok(pieces)
}

fn broken() -> Error {
    Error::run("a rank's pictures are not those that it was asked for")
}

/// For each piece its line in the journal, what it is compared by, and its squares, each after its length.
fn packed(pieces: &[Piece]) -> Result<Vec<u8>> {
    let mut bytes = vec![];
    let mut add = |part: &[u8]| {
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    };
    for Piece { path, bytes, modified, picture, squares, hashes, look } in pieces {
        let (bytes, modified, outcome) = (*bytes, *modified, Outcome::of(picture, hashes));
        add(&serde_json::to_vec(&Entry { path: path.clone(), bytes, modified, outcome }).map_err(Error::run)?);
        add(look);
        squares.iter().for_each(|square| add(square));
    }
    Ok(bytes)
}

fn unpacked(mut bytes: &[u8], sizes: &[u32]) -> Result<Vec<Piece>> {
    let mut pieces = vec![];
    while !bytes.is_empty() {
        let mut next = || {
            let (length, rest) = bytes.split_first_chunk().ok_or_else(broken)?;
            let (part, rest) = rest.split_at_checked(u64::from_le_bytes(*length) as usize).ok_or_else(broken)?;
            bytes = rest;
            Ok::<&[u8], Error>(part)
        };
        let Entry { path, bytes, modified, outcome } = serde_json::from_slice(next()?).map_err(Error::run)?;
        let (picture, hashes) = outcome.picture(sizes.len()).ok_or_else(broken)?;
        let look = next()?.to_vec();
        let sizes = if picture.is_ok() { sizes } else { &[] };
        let square = |&size: &u32| RgbImage::from_raw(size, size, next()?.to_vec()).ok_or_else(broken);
        let squares = sizes.iter().map(square).collect::<Result<_>>()?;
        pieces.push(Piece { path, bytes, modified, picture, squares, hashes, look });
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use image::Rgb;

    use super::*;
    use crate::data::picture::fit::Fit;

    #[test]
    fn pieces_come_back_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let (good, bad) = (dir.path().join("good.png"), dir.path().join("bad.png"));
        RgbImage::from_fn(9, 7, |x, y| Rgb([x as u8, y as u8, 3])).save(&good).unwrap();
        std::fs::write(&bad, "no picture").unwrap();
        let sizes = [4, 6];
        let pieces = [&good, &bad, &good].map(|path| piece(path, &sizes, Fit::Crop.into()));
        let bytes = packed(&pieces).unwrap();
        let back = unpacked(&bytes, &sizes).unwrap();
        assert_eq!(packed(&back).unwrap(), bytes);
        assert_eq!(back[2].squares, pieces[2].squares);
        assert!(back[0].picture.is_ok() && back[1].picture.is_err() && back[0].hashes == pieces[0].hashes);
        assert!(unpacked(&bytes[..bytes.len() - 1], &sizes).is_err());
    }
}
