//! The pack: every picture of a data set, decoded once, in one memory-mapped file.
//!
//! Little endian, 64 bytes of header, then count × size × size × 3 bytes of RGB in the manifest's order:
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `GATEPACK` |
//! | 8..12 | version of this format |
//! | 12..16 | size: pixels on a side |
//! | 16..20 | channels: 3 |
//! | 20..24 | fit: 0 crop, 1 pad |
//! | 24..32 | count of pictures |
//! | 32..64 | BLAKE3 over the pictures' hashes in order: the manifest they belong to |

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use memmap2::Mmap;
use rayon::prelude::*;

use super::files::{AtomicFile, cannot_read, cannot_write};
use super::picture::{self, BadPicture, Fit};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"GATEPACK";
const VERSION: u32 = 1;
const CHANNELS: u32 = 3;
const HEADER: usize = 64;
/// The largest size a pack may have, in pixels on a side.
pub const MAX_SIZE: u32 = 8192;
/// Decoded squares held in memory until they are written, in bytes.
const CHUNK: usize = 32 << 20;

/// A memory-mapped pack. Opening takes the same time whatever its length; pages are read when they are used.
#[derive(Debug)]
pub struct Pack {
    map: Mmap,
    size: u32,
    fit: Fit,
    count: usize,
    contents: [u8; 32],
}

impl Pack {
    /// Opens a pack.
    ///
    /// # Errors
    /// [`Error::Input`] if the file cannot be read, is no pack, was made by another version, or is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = File::open(path).map_err(|e| cannot_read(path, &e))?;
        // SAFETY: the bytes are only read, as plain u8. A pack is never changed in place: `build` renames a new file
        // over it, which leaves the mapped one as it is. Against a user who cuts the file off under a running
        // program nothing helps but reading it whole, which a pack is too large for.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| cannot_read(path, &e))?;
        let again = "delete it and make the data set again";
        let header = match map.get(..HEADER) {
            Some(header) if header.starts_with(&MAGIC) => header,
            _ => {
                return Err(Error::Input(format!("{shown}: not a pack of pictures: {again}")));
            }
        };
        let word = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let (version, size, channels, fit) = (word(8), word(12), word(16), word(20));
        if version != VERSION {
            return Err(Error::Input(format!(
                "{shown}: made by another version of gatefold (format {version}, this one reads {VERSION}): {again}"
            )));
        }
        let fit = match fit {
            0 => Fit::Crop,
            1 => Fit::Pad,
            _ => return Err(Error::Input(format!("{shown}: damaged header: {again}"))),
        };
        let count = u64::from(word(24)) | u64::from(word(28)) << 32;
        if channels != CHANNELS || !(1..=MAX_SIZE).contains(&size) {
            return Err(Error::Input(format!("{shown}: damaged header: {again}")));
        }
        let wanted = bytes_of(size) as u128 * u128::from(count) + HEADER as u128;
        if wanted < map.len() as u128 {
            return Err(Error::Input(format!("{shown}: damaged header: {again}")));
        }
        if wanted > map.len() as u128 {
            return Err(Error::Input(format!("{shown}: cut off: {} of {wanted} bytes are there: {again}", map.len())));
        }
        let mut contents = [0; 32];
        contents.copy_from_slice(&header[32..HEADER]);
        Ok(Self { size, fit, count: count as usize, contents, map })
    }

    /// How many pictures it holds.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether it holds no picture.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Pixels on a side of every picture.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How pictures that were not square were made so.
    pub fn fit(&self) -> Fit {
        self.fit
    }

    /// Bytes of one picture: size × size × 3.
    pub fn image_bytes(&self) -> usize {
        bytes_of(self.size)
    }

    /// The RGB bytes of picture `i`: size rows from top to bottom, of size pixels, of 3 bytes.
    ///
    /// # Panics
    /// If `i` is not below [`Pack::len`].
    pub fn image(&self, i: usize) -> &[u8] {
        assert!(i < self.count, "picture {i} of a pack of {}", self.count);
        let each = self.image_bytes();
        &self.map[HEADER + i * each..][..each]
    }

    /// The whole file, header included.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Whether the pack holds the pictures with these hashes, in this order.
    pub fn belongs_to<'a>(&self, hashes: impl Iterator<Item = &'a str>) -> bool {
        contents(hashes) == self.contents
    }
}

/// What is known of a picture beside its pixels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PictureInfo {
    /// Width of the file's picture in pixels, after turning.
    pub width: u32,
    /// Height of the file's picture in pixels, after turning.
    pub height: u32,
    /// BLAKE3 of the file's bytes, in hexadecimal digits.
    pub hash: String,
}

/// A pack that is written but has not taken its place yet; dropped, it leaves no trace.
#[derive(Debug)]
pub struct Built {
    /// For each source, in order, what it is or why it was left out.
    pub pictures: Vec<Result<PictureInfo, BadPicture>>,
    file: AtomicFile,
}

impl Built {
    /// Puts the pack in its place.
    ///
    /// # Errors
    /// [`Error::Run`] if the disk is full or fails.
    pub fn commit(self) -> Result<()> {
        self.file.commit()
    }
}

/// Decodes `sources` on all cores into a pack for `path`, pictures of `size` × `size`. The same sources give the same
/// bytes on any number of cores; at most 32 MiB of finished squares (and a full picture per core) wait in memory.
///
/// `progress(done, total)` is called from many threads, once per source.
///
/// # Errors
/// [`Error::Input`] with the count and first reasons when more than half of the sources are bad; [`Error::Run`] if the
/// file cannot be written.
pub fn build(
    path: &Path,
    sources: &[PathBuf],
    size: u32,
    fit: Fit,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Built> {
    let failed = |e: std::io::Error| cannot_write(path, &e);
    let mut file = AtomicFile::create(path)?;
    file.write_all(&[0; HEADER]).map_err(failed)?;

    let done = AtomicUsize::new(0);
    let chunk = (CHUNK / bytes_of(size).max(1)).max(rayon::current_num_threads());
    let mut pictures = Vec::with_capacity(sources.len());
    for sources_now in sources.chunks(chunk) {
        let loaded: Vec<_> = sources_now
            .par_iter()
            .map(|source| {
                let picture = picture::load(source, size, fit);
                progress(done.fetch_add(1, Ordering::Relaxed) + 1, sources.len());
                picture
            })
            .collect();
        for picture in loaded {
            pictures.push(match picture {
                Ok(picture) => {
                    file.write_all(picture.pixels.as_raw()).map_err(failed)?;
                    Ok(PictureInfo { width: picture.width, height: picture.height, hash: picture.hash })
                }
                Err(bad) => Err(bad),
            });
        }
        refuse_if_mostly_bad(sources, &pictures)?;
    }

    let hashes = || pictures.iter().flatten().map(|info| info.hash.as_str());
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    file.write_all(&header(size, fit, hashes().count(), contents(hashes()))).map_err(failed)?;
    Ok(Built { pictures, file })
}

fn refuse_if_mostly_bad(sources: &[PathBuf], pictures: &[Result<PictureInfo, BadPicture>]) -> Result<()> {
    let bad = || sources.iter().zip(pictures).filter_map(|(path, p)| p.as_ref().err().map(|bad| (path, bad)));
    let count = bad().count();
    if count * 2 <= sources.len() {
        return Ok(());
    }
    let first: Vec<String> = bad().take(3).map(|(path, bad)| format!("{}: {bad}", path.display())).collect();
    Err(Error::Input(format!(
        "{count} of {} pictures read so far cannot be used, more than half of all {}: {}{}; repair or remove them",
        pictures.len(),
        sources.len(),
        first.join("; "),
        if count > first.len() { "; …" } else { "" },
    )))
}

fn header(size: u32, fit: Fit, count: usize, contents: [u8; 32]) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    header[12..16].copy_from_slice(&size.to_le_bytes());
    header[16..20].copy_from_slice(&CHANNELS.to_le_bytes());
    header[20..24].copy_from_slice(&u32::from(fit == Fit::Pad).to_le_bytes());
    header[24..32].copy_from_slice(&(count as u64).to_le_bytes());
    header[32..].copy_from_slice(&contents);
    header
}

fn contents<'a>(hashes: impl Iterator<Item = &'a str>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for hash in hashes {
        hasher.update(hash.as_bytes()).update(b"\n");
    }
    hasher.finalize().into()
}

fn bytes_of(size: u32) -> usize {
    size as usize * size as usize * CHANNELS as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{Rgb, RgbImage};

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
        let hashes: Vec<String> = built.pictures.iter().flatten().map(|info| info.hash.clone()).collect();
        built.commit().unwrap();
        assert_eq!(calls.into_inner(), 6);

        let pack = Pack::open(&path).unwrap();
        assert_eq!((pack.len(), pack.size(), pack.fit()), (4, 4, Fit::Pad));
        let middle = |i: usize| pack.image(i)[(2 * 4 + 2) * 3..][..3].to_vec();
        assert_eq!([middle(0), middle(1), middle(3)], [[0, 100, 200], [2, 100, 200], [4, 100, 200]]);
        assert!(pack.belongs_to(hashes.iter().map(String::as_str)));
        assert!(!pack.belongs_to(hashes.iter().rev().map(String::as_str)));
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
        for (bytes, cause) in [
            (&whole[..whole.len() - 1], "cut off"),
            (&whole[..30], "not a pack"),
            (b"", "not a pack"),
            (b"GIF89a", "not a pack"),
            (&newer, "another version of gatefold (format 9"),
            (&absurd, "damaged"),
            (&damaged, "damaged"),
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
