//! Many picture files to squares, on all cores, such that a killed program loses little of it.
//!
//! A work folder holds, for each size, a pack in the making; one file of what is compared to find duplicates; and a
//! journal with a line per file. Squares are synced before the journal tells of them, so what the journal tells is there.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};

use blake3::Hash;
use image::RgbImage;
use memmap2::Mmap;
use serde::{Deserialize, Serialize};

use crate::data::picture;
use crate::data::picture::fingerprint::{self, Fingerprint, PictureInfo};
use crate::data::picture::fit::BadPicture;
use crate::data::picture::harmonise::Pipeline;
use crate::data::picture::look;
use crate::data::set::names;
use crate::data::set::pack::{self, HEADER, Pack, bytes_of};
use crate::data::source::walk::state_of;
use crate::file::{cannot_write, sync_folder_of};
use crate::ranks::Ranks;
use crate::read::cannot_read;
use crate::{Error, Result};

mod share;

pub use share::{help, no_more};

/// Squares of one chunk, in bytes. Three chunks may be in memory: decoded, waiting, being written; each as many times larger as there are ranks.
const CHUNK: usize = 8 << 20;
/// Files of one chunk for each core, at least, so that the last ones do not leave cores idle for long.
const CHUNK_PER_CORE: usize = 16;
/// A cover has at least this many pixels on a side.
const LEAST_SIDE: u32 = 4;
/// A cover's longer side is at most so many times its shorter one.
const LONGEST: u32 = 8;

const JOURNAL: &str = "journal";
const LOOKS: &str = "looks";
/// Bytes of a picture in that file: its small grey picture, then its look.
const LOOK: usize = fingerprint::BYTES + look::BYTES;
/// How pictures are read and compared. What a build with other rules has left is not taken over.
const RULES: u32 = 3;

/// What came of decoding, the squares still in the work folder.
#[derive(Debug)]
pub struct Decoded {
    /// For each file, in order, what it is or why it cannot be used.
    pub pictures: Vec<Result<PictureInfo, BadPicture>>,
    /// Sizes of the packs in the making.
    pub sizes: Vec<u32>,
    pipeline: Pipeline,
    /// BLAKE3 of the stored squares of each size.
    squares: Vec<Vec<Hash>>,
    work: PathBuf,
}

/// One line of the journal.
#[derive(Serialize, Deserialize)]
struct Entry {
    path: PathBuf,
    bytes: u64,
    modified: u64,
    #[serde(flatten)]
    outcome: Outcome,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Good {
        width: u32,
        height: u32,
        hash: String,
        phash: u64,
        /// Of its squares, in the order of the sizes.
        squares: Vec<String>,
    },
    Bad(String),
}

impl Outcome {
    fn of(picture: &Result<PictureInfo, BadPicture>, squares: &[Hash]) -> Self {
        match picture {
            &Ok(PictureInfo { width, height, hash, phash }) => {
                let squares = squares.iter().map(Hash::to_string).collect();
                Self::Good { width, height, hash: hash.to_string(), phash, squares }
            }
            Err(bad) => Self::Bad(bad.reason.clone()),
        }
    }

    /// The picture and the hashes of its squares. None if the journal is damaged.
    fn picture(self, sizes: usize) -> Option<(Result<PictureInfo, BadPicture>, Vec<Hash>)> {
        match self {
            Self::Good { width, height, hash, phash, squares } => {
                let squares: Option<Vec<Hash>> = squares.iter().map(|hex| Hash::from_hex(hex).ok()).collect();
                let squares = squares.filter(|squares| squares.len() == sizes)?;
                Some((Ok(PictureInfo { width, height, hash: Hash::from_hex(hash).ok()?, phash }), squares))
            }
            Self::Bad(reason) => Some((Err(BadPicture::new(reason)), Vec::new())),
        }
    }
}

/// The first line of the journal.
#[derive(PartialEq, Serialize, Deserialize)]
struct Setting {
    gatefold: String,
    rules: u32,
    sizes: Vec<u32>,
    pipeline: Pipeline,
}

/// What one file gave: what it is, its squares in the order of the sizes, what it is compared by.
struct Piece {
    path: PathBuf,
    bytes: u64,
    modified: u64,
    picture: Result<PictureInfo, BadPicture>,
    squares: Vec<RgbImage>,
    /// Of the squares.
    hashes: Vec<Hash>,
    look: Vec<u8>,
}

/// [`decode_together`] by this process alone.
///
/// # Errors
/// As there.
pub fn decode<S: AsRef<Path> + Sync>(
    sources: &[S],
    sizes: &[u32],
    pipeline: impl Into<Pipeline>,
    work: &Path,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Decoded> {
    decode_together(sources, sizes, pipeline, work, &Ranks::alone(), progress)
}

/// Decodes `sources` on all cores, and on those of other ranks that [`help`], to squares of each of `sizes`. The same sources give the same bytes on any number of
/// cores and of ranks, and whether or not an earlier call with the same `work` folder was killed: its work is taken over as far as
/// the files are still the same.
///
/// `progress(done, total)` is called from many threads.
///
/// # Errors
/// [`Error::Input`] with the count and first reasons when more than half of the sources are bad; [`Error::Run`] if the
/// work folder cannot be written, for one because the disk is full.
pub fn decode_together<S: AsRef<Path> + Sync>(
    sources: &[S],
    sizes: &[u32],
    pipeline: impl Into<Pipeline>,
    work: &Path,
    ranks: &Ranks,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Result<Decoded> {
    let pipeline = pipeline.into();
    fs::create_dir_all(work).map_err(|e| cannot_write(work, &e))?;
    let (mut pictures, mut hashes) = taken_over(work, sources, sizes, pipeline)?;
    pictures.reserve_exact(sources.len() - pictures.len());
    let mut writer = Writer::open(work, sizes, pipeline, &pictures)?;
    let done = AtomicUsize::new(pictures.len());
    progress(pictures.len(), sources.len());

    let squares: usize = sizes.iter().map(|&size| bytes_of(size)).sum();
    let chunk = (CHUNK / squares.max(1)).clamp(CHUNK_PER_CORE * rayon::current_num_threads(), 4096) * ranks.count();
    // Written beside the decoding of the next chunk. The channel is short: a slow disk must not fill the memory.
    std::thread::scope(|scope| {
        let (send, receive) = sync_channel::<Vec<Piece>>(1);
        let writing = scope.spawn(move || writer.write_all(receive));
        let mut outcome = Ok(());
        for sources_now in sources[pictures.len()..].chunks(chunk) {
            let more = |count: usize| progress(done.fetch_add(count, Ordering::Relaxed) + count, sources.len());
            let own = |source: &S| {
                let piece = piece(source.as_ref(), sizes, pipeline);
                more(1);
                piece
            };
            let pieces = match share::pieces(ranks, sources_now, sizes, pipeline, own, more) {
                Ok(pieces) => pieces,
                Err(e) => {
                    outcome = Err(e);
                    break;
                }
            };
            pictures.extend(pieces.iter().map(|piece| piece.picture.clone()));
            pieces.iter().for_each(|piece| keep(&mut hashes, &piece.hashes));
            outcome = refuse_if_mostly_bad(sources, &pictures);
            // A writer that has gone away has its own error, which counts below.
            if outcome.is_err() || send.send(pieces).is_err() {
                break;
            }
        }
        drop(send);
        let written = writing.join().unwrap_or_else(|_| Err(Error::run("writing the decoded pictures broke off")));
        outcome.and(written)
    })?;
    Ok(Decoded { pictures, sizes: sizes.to_vec(), pipeline, squares: hashes, work: work.to_owned() })
}

/// Adds the hashes of one picture's squares, if it has any, to those of each size.
fn keep(of_sizes: &mut [Vec<Hash>], squares: &[Hash]) {
    of_sizes.iter_mut().zip(squares).for_each(|(of_size, &hash)| of_size.push(hash));
}

/// About how many bytes [`decode`] writes for so many files of these sizes, a finished data set's other files included.
pub fn bytes_needed(files: usize, sizes: &[u32]) -> u64 {
    // A line in the journal, one in the manifest, a name in the report.
    const TEXT: usize = 512;
    // A square's slot, and its hash in the pack and in the journal.
    const BESIDE: usize = 4 + 32 + 64;
    let squares: usize = sizes.iter().map(|&size| bytes_of(size) + BESIDE).sum();
    files as u64 * (squares + LOOK + TEXT) as u64
}

fn piece(path: &Path, sizes: &[u32], pipeline: Pipeline) -> Piece {
    let (bytes, modified) = state_of(path);
    let piece = |picture, squares: Vec<RgbImage>, look| {
        let hashes = squares.iter().map(|square| blake3::hash(square)).collect();
        Piece { path: path.to_owned(), bytes, modified, picture, squares, hashes, look }
    };
    let bad = |reason: String| piece(Err(BadPicture::new(reason)), Vec::new(), Vec::new());
    // The share is held until the squares are made.
    let (full, hash, _share) = match picture::load_hashed(path) {
        Ok(loaded) => loaded,
        Err(e) => return bad(e.reason),
    };
    let (width, height) = full.dimensions();
    if width.min(height) < LEAST_SIDE {
        return bad(format!("{width}x{height} pixels: too small for a cover"));
    }
    if width.max(height) > LONGEST * width.min(height) {
        return bad(format!("{width}x{height} pixels: no cover has this shape"));
    }
    let Fingerprint { hash: phash, grey } = Fingerprint::of(&full);
    let squares = match sizes.iter().map(|&size| pipeline.square(&full, size)).collect() {
        Ok(squares) => squares,
        Err(BadPicture { reason }) => return bad(reason),
    };
    piece(Ok(PictureInfo { width, height, hash, phash }), squares, [&grey[..], &look::look(&full)].concat())
}

impl Decoded {
    /// What all usable files are compared by, in order.
    ///
    /// # Errors
    /// [`Error::Run`] if the work folder cannot be read any more.
    pub fn looks(&self) -> Result<Looks> {
        let path = self.work.join(LOOKS);
        let map = (|| {
            let file = File::open(&path)?;
            // SAFETY: read as plain bytes; only this program's writer changes the file, and it has ended.
            unsafe { Mmap::map(&file) }
        })();
        match map {
            Ok(map) if map.len() == self.squares.first().map_or(0, Vec::len) * LOOK => Ok(Looks(map)),
            Ok(_) => Err(Error::Run(format!("{}: changed while it was in use: start again", path.display()))),
            Err(e) => Err(cannot_write(&path, &e)),
        }
    }

    /// Makes the squares of the size at `place` among [`Decoded::sizes`] a pack and puts it at `path`. `slots` number the usable
    /// files that are to be in it; `hashes` are theirs.
    ///
    /// # Errors
    /// [`Error::Run`] if the disk is full or fails.
    pub fn finish(&self, place: usize, slots: &[u32], hashes: impl Iterator<Item = Hash>, path: &Path) -> Result<()> {
        let (size, squares) = (self.sizes[place], &self.squares[place]);
        let part = part(&self.work, size);
        let finish = || {
            let mut file = OpenOptions::new().read(true).write(true).open(&part)?;
            pack::Rest { size, pipeline: self.pipeline, squares, slots, hashes }.write(&mut file)?;
            fs::rename(&part, path)?;
            sync_folder_of(path)
        };
        finish().map_err(|e| cannot_write(path, &e))
    }
}

/// What the usable pictures of a work folder are compared by, memory-mapped. Each is asked for by its number, and it is a bug to
/// ask for one that is not there.
#[derive(Debug)]
pub struct Looks(Mmap);

impl Looks {
    /// The small grey picture, see [`Fingerprint`].
    pub fn grey(&self, slot: usize) -> &[u8] {
        &self.0[slot * LOOK..][..fingerprint::BYTES]
    }

    /// The [`look`].
    pub fn look(&self, slot: usize) -> &[u8] {
        &self.0[slot * LOOK..][fingerprint::BYTES..LOOK]
    }
}

/// Puts packs that were finished into `folder` back into the work folder, where they are packs in the making again: a killed
/// import whose data set never became ready has them there, and [`decode`] takes over what they hold.
///
/// # Errors
/// [`Error::Run`] if they cannot be moved.
pub fn take_back(folder: &Path, work: &Path) -> Result<()> {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        // What is no pack, or one of another version, will be made anew.
        let is_pack = names::is_pack(&entry.file_name().to_string_lossy());
        let Some(size) = Pack::open(&path).ok().filter(|_| is_pack).map(|pack| pack.size()) else { continue };
        let part = part(work, size);
        if !part.exists() {
            fs::rename(&path, &part).map_err(|e| cannot_write(&part, &e))?;
        }
    }
    Ok(())
}

fn part(work: &Path, size: u32) -> PathBuf {
    work.join(format!("squares-{size}"))
}

/// The outcomes of some first files, and the hashes of the squares of each size.
type Outcomes = (Vec<Result<PictureInfo, BadPicture>>, Vec<Vec<Hash>>);

/// What an earlier, killed call has left that can be used.
fn taken_over<S: AsRef<Path>>(work: &Path, sources: &[S], sizes: &[u32], pipeline: Pipeline) -> Result<Outcomes> {
    let path = work.join(JOURNAL);
    let nothing = || (Vec::new(), vec![Vec::new(); sizes.len()]);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(nothing()),
        Err(e) => return Err(cannot_read(&path, &e)),
    };
    // A line that was cut off ends what can be used.
    let mut lines = BufReader::new(file).lines().map_while(io::Result::ok);
    let setting: Option<Setting> = lines.next().and_then(|line| serde_json::from_str(&line).ok());
    if setting != Some(setting_of(sizes, pipeline)) {
        return Ok(nothing());
    }
    // Squares that are not there cannot be used, whatever the journal says.
    let stored = |path: PathBuf, start: usize, each: usize| {
        fs::metadata(path).map_or(0, |about| (about.len() as usize).saturating_sub(start) / each.max(1))
    };
    let looks = stored(work.join(LOOKS), 0, LOOK);
    let room = sizes.iter().map(|&size| stored(part(work, size), HEADER, bytes_of(size))).min().unwrap_or(0).min(looks);

    let (mut pictures, mut hashes) = nothing();
    let mut good = 0;
    for (line, source) in lines.zip(sources.iter().map(S::as_ref)) {
        let Ok(entry) = serde_json::from_str::<Entry>(&line) else { break };
        good += usize::from(matches!(entry.outcome, Outcome::Good { .. }));
        if entry.path != source || (entry.bytes, entry.modified) != state_of(source) || good > room {
            break;
        }
        let Some((picture, squares)) = entry.outcome.picture(sizes.len()) else { break };
        pictures.push(picture);
        keep(&mut hashes, &squares);
    }
    Ok((pictures, hashes))
}

fn setting_of(sizes: &[u32], pipeline: Pipeline) -> Setting {
    Setting { gatefold: env!("CARGO_PKG_VERSION").to_owned(), rules: RULES, sizes: sizes.to_vec(), pipeline }
}

/// The files of a work folder, open for more.
struct Writer {
    parts: Vec<BufWriter<File>>,
    looks: BufWriter<File>,
    journal: File,
    work: PathBuf,
}

impl Writer {
    /// Opens the files and cuts them back to the `pictures` that were taken over.
    fn open(
        work: &Path,
        sizes: &[u32],
        pipeline: Pipeline,
        pictures: &[Result<PictureInfo, BadPicture>],
    ) -> Result<Self> {
        let stored = pictures.iter().flatten().count();
        let failed = |e: io::Error| cannot_write(work, &e);
        let open = |path: &Path, length: usize| {
            let mut file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
            file.set_len(length as u64)?;
            file.seek(SeekFrom::End(0))?;
            Ok(BufWriter::with_capacity(1 << 18, file))
        };
        let open_part = |size: &u32| open(&part(work, *size), HEADER + stored * bytes_of(*size));
        let parts = sizes.iter().map(open_part).collect::<io::Result<Vec<_>>>().map_err(failed)?;
        let looks = open(&work.join(LOOKS), stored * LOOK).map_err(failed)?;
        // The journal is written anew, since it may end in the middle of a line.
        let journal = (|| {
            let path = work.join(JOURNAL);
            crate::file::write_atomically(&path, |file| {
                serde_json::to_writer(&mut *file, &setting_of(sizes, pipeline))?;
                file.write_all(b"\n")?;
                if pictures.is_empty() {
                    return Ok(());
                }
                let lines = BufReader::new(File::open(&path)?).lines().skip(1).take(pictures.len());
                lines.into_iter().try_for_each(|line| writeln!(file, "{}", line?))
            })
            .map_err(io::Error::other)?;
            let mut file = OpenOptions::new().append(true).open(&path)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        })()
        .map_err(failed)?;
        Ok(Self { parts, looks, journal, work: work.to_owned() })
    }

    fn write_all(&mut self, chunks: Receiver<Vec<Piece>>) -> Result<()> {
        chunks.into_iter().try_for_each(|chunk| self.write(&chunk)).map_err(|e| cannot_write(&self.work, &e))
    }

    fn write(&mut self, chunk: &[Piece]) -> io::Result<()> {
        for (i, part) in self.parts.iter_mut().enumerate() {
            chunk.iter().filter_map(|piece| piece.squares.get(i)).try_for_each(|square| part.write_all(square))?;
        }
        chunk.iter().try_for_each(|piece| self.looks.write_all(&piece.look))?;
        for file in self.parts.iter_mut().chain([&mut self.looks]) {
            file.flush()?;
            file.get_ref().sync_data()?;
        }
        let mut lines = Vec::new();
        for Piece { path, bytes, modified, picture, hashes, .. } in chunk {
            let outcome = Outcome::of(picture, hashes);
            let entry = Entry { path: path.clone(), bytes: *bytes, modified: *modified, outcome };
            serde_json::to_writer(&mut lines, &entry)?;
            lines.push(b'\n');
        }
        self.journal.write_all(&lines)?;
        self.journal.sync_data()
    }
}

fn refuse_if_mostly_bad<S: AsRef<Path>>(sources: &[S], pictures: &[Result<PictureInfo, BadPicture>]) -> Result<()> {
    let bad = || sources.iter().zip(pictures).filter_map(|(path, p)| p.as_ref().err().map(|bad| (path, bad)));
    let count = bad().count();
    if count * 2 <= sources.len() {
        return Ok(());
    }
    let first: Vec<String> = bad().take(3).map(|(path, bad)| format!("{}: {bad}", path.as_ref().display())).collect();
    Err(Error::Input(format!(
        "{count} of {} pictures read so far cannot be used, more than half of all {}: {}{}; repair or remove them",
        pictures.len(),
        sources.len(),
        first.join("; "),
        if count > first.len() { "; …" } else { "" },
    )))
}

#[cfg(test)]
mod tests;
