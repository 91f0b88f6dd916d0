//! A pack of some files, without the rest of an import.

use std::path::{Path, PathBuf};

use blake3::Hash;

use crate::Result;
use crate::claim::WorkFolder;
use crate::data::import::decode::{self, Decoded};
use crate::data::picture::fingerprint::PictureInfo;
use crate::data::picture::fit::BadPicture;
use crate::data::picture::harmonise::Pipeline;
use crate::file::cannot_write;

/// A pack of all usable pictures among some files.
#[derive(Debug)]
pub struct Built {
    /// For each file, in order, what it is or why it was left out.
    pub pictures: Vec<Result<PictureInfo, BadPicture>>,
    /// Of the usable ones.
    hashes: Vec<Hash>,
    decoded: Decoded,
    path: PathBuf,
    /// Removed with everything in it when this is dropped.
    _work: WorkFolder,
}

impl Built {
    /// Puts the pack in its place.
    ///
    /// # Errors
    /// [`Error::Run`](crate::Error::Run) if the disk is full or fails.
    pub fn commit(self) -> Result<()> {
        let slots: Vec<u32> = (0..self.hashes.len() as u32).collect();
        self.decoded.finish(0, &slots, self.hashes.iter().copied(), &self.path)
    }
}

/// Decodes files on all cores into a pack for `path`, pictures of `size` × `size`, without looking for duplicates.
/// Leaves nothing behind if it fails; dropped, the pack leaves no trace.
///
/// `progress(done, total)` is called from many threads, once per file.
///
/// # Errors
/// See [`decode::decode`].
pub fn build(
    path: &Path,
    sources: &[PathBuf],
    size: u32,
    pipeline: impl Into<Pipeline>,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Built> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let work = WorkFolder::new_in(folder, "pack").map_err(|e| cannot_write(path, &e))?;
    let mut decoded = decode::decode(sources, &[size], pipeline, work.path(), progress)?;
    let pictures = std::mem::take(&mut decoded.pictures);
    let hashes = pictures.iter().flatten().map(|info| info.hash).collect();
    Ok(Built { pictures, hashes, decoded, path: path.to_owned(), _work: work })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Error;
    use crate::data::picture::fit::Fit;
    use crate::data::set::pack::Pack;
    use image::{Rgb, RgbImage};
    use std::sync::atomic::{AtomicUsize, Ordering};

    fn sources(dir: &Path, count: u8) -> Vec<PathBuf> {
        (0..count)
            .map(|i| {
                let path = dir.join(format!("{i}.png"));
                RgbImage::from_pixel(9, 7, Rgb([i, 100, 200])).save(&path).unwrap();
                path
            })
            .collect()
    }

    #[test]
    fn holds_the_good_pictures_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = sources(dir.path(), 5);
        std::fs::write(&sources[1], "no picture").unwrap();
        sources.insert(0, dir.path().join("missing.png"));
        let path = dir.path().join("images.pack");
        let calls = AtomicUsize::new(0);
        let built = build(&path, &sources, 4, Fit::Pad, &|_, total| {
            assert_eq!(total, 6);
            calls.fetch_add(1, Ordering::Relaxed);
        })
        .unwrap();
        assert!(!path.exists());
        let good: Vec<bool> = built.pictures.iter().map(Result::is_ok).collect();
        assert_eq!(good, [false, true, false, true, true, true]);
        let hashes: Vec<Hash> = built.pictures.iter().flatten().map(|info| info.hash).collect();
        built.commit().unwrap();
        // Once for each file, and once before the first.
        assert_eq!(calls.into_inner(), 7);

        let pack = Pack::open(&path).unwrap();
        assert_eq!((pack.len(), pack.size(), pack.fit()), (4, 4, Fit::Pad));
        let middle = |i: usize| pack.image(i).unwrap()[(2 * 4 + 2) * 3..][..3].to_vec();
        assert_eq!([middle(0), middle(1), middle(3)], [[0, 100, 200], [2, 100, 200], [4, 100, 200]]);
        assert!(pack.belongs_to(hashes.iter().copied()));
        assert!(!pack.belongs_to(hashes.iter().rev().copied()));
    }

    #[test]
    fn bytes_do_not_depend_on_the_number_of_threads() {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(dir.path(), 20);
        let bytes_with = |threads: usize| {
            let path = dir.path().join("images.pack");
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| build(&path, &sources, 5, Fit::Crop, &|_, _| {})).unwrap().commit().unwrap();
            std::fs::read(path).unwrap()
        };
        assert_eq!(bytes_with(1), bytes_with(7));
    }

    #[test]
    fn says_what_is_wrong_with_a_pack() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("images.pack");
        build(&path, &sources(dir.path(), 3), 4, Fit::Crop, &|_, _| {}).unwrap().commit().unwrap();
        let whole = std::fs::read(&path).unwrap();
        let mut newer = whole.clone();
        newer[8] = 9;
        let mut absurd = whole.clone();
        absurd[12..32].fill(0xFF);
        let mut damaged = whole.clone();
        damaged[20] = 7;
        let mut astray = whole.clone();
        let last = astray.len() - 2;
        astray[last] = 1; // a slot beyond the squares
        for (bytes, cause) in [
            (&whole[..whole.len() - 1], "cut off"),
            (&whole[..30], "not a pack"),
            (b"", "not a pack"),
            (&b"GIF89a"[..], "not a pack"),
            (&newer, "another version of gatefold (format 9"),
            (&absurd, "damaged"),
            (&damaged, "damaged"),
            (&astray, "damaged"),
            (&[&whole[..], b"x"].concat(), "damaged"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = Pack::open(&path).unwrap_err();
            assert!(matches!(&error, Error::Input(said) if said.contains(cause)), "{cause}: {error}");
        }
    }

    #[test]
    fn an_unwanted_pack_leaves_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let mut sources = sources(dir.path(), 3);
        let before = std::fs::read_dir(dir.path()).unwrap().count();
        drop(build(&dir.path().join("images.pack"), &sources, 4, Fit::Crop, &|_, _| {}).unwrap());
        sources.extend((0..4).map(|i| dir.path().join(format!("missing-{i}.jpg"))));
        let error = build(&dir.path().join("images.pack"), &sources, 4, Fit::Crop, &|_, _| {}).unwrap_err();
        assert!(
            matches!(&error, Error::Input(said) if said.contains("4 of 7") && said.contains("missing-0.jpg")),
            "{error}"
        );
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), before);
    }
}
