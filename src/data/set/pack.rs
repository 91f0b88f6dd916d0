//! The pack: every picture of a data set, decoded once, in one memory-mapped file.
//!
//! Little endian: 128 bytes of header, then the stored squares of size × size × 3 bytes of RGB, then the slots, then the
//! BLAKE3 of each stored square, 32 bytes.
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `GATEPACK` |
//! | 8..12 | version of this format |
//! | 12..16 | size: pixels on a side |
//! | 16..20 | channels: 3 |
//! | 20..24 | fit: its place in [`Fit::ALL`] |
//! | 24..32 | count of pictures |
//! | 32..64 | BLAKE3 over the pictures' hashes in order: the manifest they belong to |
//! | 64..72 | count of stored squares |
//! | 72..80 | size and quality of what [harmonised](crate::data::Harmonise) the pictures; 0 if nothing did |
//! | 80..112 | the seal: BLAKE3 over bytes 0..80, the slots and the squares' hashes |
//! | 112..128 | 0 |
//!
//! Slot `i`, a u32, is the number of the square that shows picture `i` of the manifest. Pictures are decoded, and stored,
//! before it is known which of them are duplicates; slots let a pack be finished without copying it.
//!
//! A disk or a copy can change bytes without a word. So the seal is checked when a pack is opened, and a square's hash when it
//! is read for the first time. Format 2 had neither; such packs are still read.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use blake3::Hash;
use image::RgbImage;
use memmap2::Mmap;
use rayon::prelude::*;

use crate::data::picture::fit::{Fit, MAX_SIZE};
use crate::data::picture::harmonise::{Harmonise, Pipeline};
use crate::file::cannot_write;
use crate::read::{cannot_read, open};
use crate::{Error, Result};

const MAGIC: [u8; 8] = *b"GATEPACK";
const VERSION: u32 = 3;
/// The last one whose packs have no hashes.
const UNSEALED: u32 = 2;
const CHANNELS: u32 = 3;
/// Bytes before the first square.
pub(crate) const HEADER: usize = 128;
/// Where the seal lies in the header.
const SEAL: std::ops::Range<usize> = 80..112;
const HASH: usize = blake3::OUT_LEN;

/// A memory-mapped pack. Opening takes the same time whatever its length; pages are read when they are used.
#[derive(Debug)]
pub struct Pack {
    map: Mmap,
    size: u32,
    pipeline: Pipeline,
    /// The square of each picture.
    slots: Vec<u32>,
    contents: [u8; 32],
    /// Of each stored square; none in a pack of an older version.
    hashes: Option<Vec<Hash>>,
    /// Which squares were found to be what their hashes say.
    known: Vec<AtomicBool>,
    path: PathBuf,
}

impl Pack {
    /// Whether the file begins as a pack does, damaged or not.
    pub(crate) fn is_at(path: &Path) -> bool {
        let mut magic = [0; MAGIC.len()];
        File::open(path).and_then(|mut file| file.read_exact(&mut magic)).is_ok() && magic == MAGIC
    }

    /// Opens a pack.
    ///
    /// # Errors
    /// [`Error::Input`] if the file cannot be read, is no pack, was made by another version, or is cut off.
    pub fn open(path: &Path) -> Result<Self> {
        let shown = path.display();
        let file = open(path).map_err(|e| cannot_read(path, &e))?;
        // SAFETY: the bytes are only read, as plain u8. A pack is never changed in place: a new one is renamed over it,
        // which leaves the mapped one as it is. Against a user who cuts the file off under a running program nothing
        // helps but reading it whole, which a pack is too large for.
        let map = unsafe { Mmap::map(&file) }.map_err(|e| cannot_read(path, &e))?;
        let again = "delete it and make the data set again";
        if !map.starts_with(&MAGIC) || map.len() < HEADER {
            return Err(Error::Input(format!("{shown}: not a pack of pictures: {again}")));
        }
        let word = |at: usize| u32::from_le_bytes([map[at], map[at + 1], map[at + 2], map[at + 3]]);
        let long = |at: usize| u128::from(word(at)) | u128::from(word(at + 4)) << 32;
        let (version, size, channels, fit) = (word(8), word(12), word(16), word(20));
        if ![UNSEALED, VERSION].contains(&version) {
            return Err(Error::Input(format!(
                "{shown}: made by another version of gatefold (format {version}, this one reads {VERSION}): {again}"
            )));
        }
        let damaged = || Error::Input(format!("{shown}: damaged header: {again}"));
        let Some(&fit) = Fit::ALL.get(fit as usize) else { return Err(damaged()) };
        if channels != CHANNELS || !(1..=MAX_SIZE).contains(&size) {
            return Err(damaged());
        }
        let harmonise = match (word(72), word(76)) {
            (0, 0) => None,
            (size, quality) => Some(Harmonise { size, quality: u8::try_from(quality).unwrap_or(0) }),
        };
        if harmonise.is_some_and(|harmonise| harmonise.fault().is_some()) {
            return Err(damaged());
        }
        let (count, stored) = (long(24), long(64));
        let sealed = version == VERSION;
        let first_slot = HEADER as u128 + bytes_of(size) as u128 * stored;
        let first_hash = first_slot + 4 * count;
        let wanted = first_hash + if sealed { HASH as u128 * stored } else { 0 };
        if wanted < map.len() as u128 {
            return Err(damaged());
        }
        if wanted > map.len() as u128 {
            return Err(Error::Input(format!("{shown}: cut off: {} of {wanted} bytes are there: {again}", map.len())));
        }
        let tail = &map[first_slot as usize..];
        if sealed && seal(&map[..SEAL.start], tail) != map[SEAL] {
            return Err(damaged());
        }
        let slots: Vec<u32> = (0..count as usize).map(|i| word(first_slot as usize + 4 * i)).collect();
        if slots.iter().any(|&slot| u128::from(slot) >= stored) {
            return Err(damaged());
        }
        let hashes = || tail[4 * count as usize..].as_chunks().0.iter().map(|bytes| Hash::from_bytes(*bytes)).collect();
        let hashes = sealed.then(hashes);
        let known = (0..stored as usize).map(|_| AtomicBool::new(!sealed)).collect();
        let mut contents = [0; 32];
        contents.copy_from_slice(&map[32..64]);
        Ok(Self {
            size,
            pipeline: Pipeline { fit, harmonise },
            slots,
            contents,
            hashes,
            known,
            path: path.to_owned(),
            map,
        })
    }

    /// Whether its squares have hashes, as all have but those of older versions.
    pub fn is_sealed(&self) -> bool {
        self.hashes.is_some()
    }

    /// How many pictures it holds.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether it holds no picture.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Pixels on a side of every picture.
    pub fn size(&self) -> u32 {
        self.size
    }

    /// How pictures that were not square were made so.
    pub fn fit(&self) -> Fit {
        self.pipeline.fit
    }

    /// All that pictures went through.
    pub fn pipeline(&self) -> Pipeline {
        self.pipeline
    }

    /// Bytes of one picture: size × size × 3.
    pub fn image_bytes(&self) -> usize {
        bytes_of(self.size)
    }

    /// Picture `i`.
    ///
    /// # Errors
    /// As [`Pack::image`].
    pub fn picture(&self, i: usize) -> Result<RgbImage> {
        let pixels = self.image(i)?.to_vec();
        RgbImage::from_raw(self.size, self.size, pixels).ok_or_else(|| Error::run("a square of another size"))
    }

    /// The RGB bytes of picture `i`: size rows from top to bottom, of size pixels, of 3 bytes. Checked against its hash when
    /// it is read for the first time.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    ///
    /// # Panics
    /// If `i` is not below [`Pack::len`].
    pub fn image(&self, i: usize) -> Result<&[u8]> {
        assert!(i < self.slots.len(), "picture {i} of a pack of {}", self.slots.len());
        let slot = self.slots[i] as usize;
        if self.is_whole(slot) {
            return Ok(self.square(slot));
        }
        Err(Error::Input(format!(
            "{}: picture {} of {} is damaged: restore the file from a copy, or make the data set again",
            self.path.display(),
            i + 1,
            self.slots.len()
        )))
    }

    /// All pictures `indices`, as [`Pack::image`] gives them.
    ///
    /// # Errors
    /// The first one of [`Pack::image`].
    pub fn images(&self, indices: &[usize]) -> Result<Vec<&[u8]>> {
        indices.iter().map(|&i| self.image(i)).collect()
    }

    /// BLAKE3 of the RGB bytes of picture `i`, as the pack has it, or of an older pack as they are.
    pub(crate) fn hash(&self, i: usize) -> Hash {
        let slot = self.slots[i] as usize;
        self.hashes.as_ref().map_or_else(|| blake3::hash(self.square(slot)), |hashes| hashes[slot])
    }

    /// Reads all stored squares, on all cores; gives how many of them are damaged, and how many there are.
    pub fn check(&self) -> (usize, usize) {
        let bad = (0..self.known.len()).into_par_iter().filter(|&slot| !self.is_whole(slot)).count();
        (bad, self.known.len())
    }

    fn is_whole(&self, slot: usize) -> bool {
        let known = &self.known[slot];
        if known.load(Ordering::Relaxed) {
            return true;
        }
        let whole = self.hashes.as_ref().is_none_or(|hashes| blake3::hash(self.square(slot)) == hashes[slot]);
        known.store(whole, Ordering::Relaxed);
        whole
    }

    fn square(&self, slot: usize) -> &[u8] {
        let each = self.image_bytes();
        &self.map[HEADER + slot * each..][..each]
    }

    /// Whether the pack holds the pictures with these hashes, in this order.
    pub fn belongs_to(&self, hashes: impl Iterator<Item = Hash>) -> bool {
        contents(hashes) == self.contents
    }
}

/// What a pack consists of beside its squares.
pub(crate) struct Rest<'a, H> {
    pub size: u32,
    pub pipeline: Pipeline,
    /// BLAKE3 of each stored square.
    pub squares: &'a [Hash],
    /// The square of each picture.
    pub slots: &'a [u32],
    /// Of the pictures' files, in the order of `slots`.
    pub hashes: H,
}

impl<H: Iterator<Item = Hash>> Rest<'_, H> {
    /// Makes a pack of `file`, which holds room for the header and the stored squares: writes all else, and syncs it.
    pub fn write(self, file: &mut File) -> io::Result<()> {
        let Self { size, pipeline, squares, slots, hashes } = self;
        let stored = squares.len() as u64;
        let end = HEADER as u64 + bytes_of(size) as u64 * stored;
        file.set_len(end)?;
        file.seek(SeekFrom::Start(end))?;
        let mut tail: Vec<u8> = slots.iter().flat_map(|slot| slot.to_le_bytes()).collect();
        squares.iter().for_each(|hash| tail.extend_from_slice(hash.as_bytes()));
        file.write_all(&tail)?;
        let mut header = [0; HEADER];
        header[..8].copy_from_slice(&MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[12..16].copy_from_slice(&size.to_le_bytes());
        header[16..20].copy_from_slice(&CHANNELS.to_le_bytes());
        header[20..24].copy_from_slice(&(pipeline.fit as u32).to_le_bytes());
        header[24..32].copy_from_slice(&(slots.len() as u64).to_le_bytes());
        header[32..64].copy_from_slice(&contents(hashes));
        header[64..72].copy_from_slice(&stored.to_le_bytes());
        if let Some(Harmonise { size, quality }) = pipeline.harmonise {
            header[72..76].copy_from_slice(&size.to_le_bytes());
            header[76..80].copy_from_slice(&u32::from(quality).to_le_bytes());
        }
        let seal = seal(&header[..SEAL.start], &tail);
        header[SEAL].copy_from_slice(&seal);
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&header)?;
        file.sync_all()
    }
}

/// Writes squares that are made already, RGB bytes of `size` × `size` pixels each, as the pack of a new data set at `path`.
/// `hashes` are those of its manifest, in the same order.
///
/// # Errors
/// Those of `squares`; [`Error::Run`] if the disk is full or fails.
pub fn write(
    path: &Path,
    size: u32,
    pipeline: Pipeline,
    squares: impl Iterator<Item = Result<Vec<u8>>>,
    hashes: impl ExactSizeIterator<Item = Hash>,
) -> Result<()> {
    let failed = |e: io::Error| cannot_write(path, &e);
    let mut file = File::create(path).map_err(failed)?;
    file.write_all(&[0; HEADER]).map_err(failed)?;
    let mut stored = Vec::with_capacity(hashes.len());
    for square in squares {
        let square = square?;
        stored.push(blake3::hash(&square));
        file.write_all(&square).map_err(failed)?;
    }
    let slots: Vec<u32> = (0..hashes.len() as u32).collect();
    let rest = Rest { size, pipeline, squares: &stored, slots: &slots, hashes };
    rest.write(&mut file).map_err(failed)
}

/// What tells that header, slots and hashes are as they were written.
fn seal(header: &[u8], tail: &[u8]) -> [u8; HASH] {
    *blake3::Hasher::new().update(header).update(tail).finalize().as_bytes()
}

fn contents(hashes: impl Iterator<Item = Hash>) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for hash in hashes {
        hasher.update(hash.to_hex().as_bytes()).update(b"\n");
    }
    hasher.finalize().into()
}

/// Bytes of one square.
pub(crate) fn bytes_of(size: u32) -> usize {
    size as usize * size as usize * CHANNELS as usize
}
