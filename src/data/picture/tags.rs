//! From an audio file to its tags, within bounds that no file can exceed; ID3 tags also where the rest of the file is broken.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use lofty::config::{GlobalOptions, ParseOptions, apply_global_options};
use lofty::file::{FileType, TaggedFile};
use lofty::probe::Probe;

use crate::data::picture::id3::{self, MAX_READ};
use crate::panics::caught;

/// The most that may be asked for at once where a file is smaller: what the tag reader takes by itself.
const ALLOCATION: u64 = 16 << 20;

/// The tags of a file.
///
/// # Errors
/// A clause that says why they cannot be read.
pub(super) fn parse(path: &Path) -> Result<TaggedFile, String> {
    let mut file = File::open(path).map_err(|e| format!("cannot be read: {e}"))?;
    let length = file.metadata().map_or(0, |about| about.len());
    if length == 0 {
        return Err("empty file (0 bytes)".to_owned());
    }
    let by_name = FileType::from_path(path);
    let whole = attempt(Bounded::new(&mut file), by_name, length);
    // A stray APE footer, a torn end or one broken frame loses all tags in the reader. Those of ID3 can be had without the rest.
    whole.or_else(|fault| id3_alone(&mut file).ok_or(fault))
}

/// What can be read of the ID3 tags alone.
fn id3_alone(file: &mut File) -> Option<TaggedFile> {
    let found = id3::find(file)?;
    let read = |frames: &[&[u8]]| {
        let bytes = found.as_file(frames);
        let length = bytes.len() as u64;
        attempt(Cursor::new(bytes), Some(FileType::Mpeg), length).ok()
    };
    let frames: Vec<&[u8]> = found.frames.iter().map(Vec::as_slice).collect();
    read(&frames).or_else(|| {
        let good: Vec<&[u8]> = frames.into_iter().filter(|frame| read(&[frame]).is_some()).collect();
        if good.is_empty() && found.v1.is_none() { None } else { read(&good) }
    })
}

fn attempt(reader: impl Read + Seek, kind: Option<FileType>, length: u64) -> Result<TaggedFile, String> {
    // The reader's own limit is smaller than a front, a back and a booklet. It belongs to the thread.
    let limit = usize::try_from(length.clamp(ALLOCATION, MAX_READ)).unwrap_or(usize::MAX);
    apply_global_options(GlobalOptions::new().allocation_limit(limit));
    let options = ParseOptions::new().read_properties(false);
    let probe = Probe::new(BufReader::new(reader)).options(options);
    // The content decides, but a file that is all tags has none to decide by.
    let probe = match kind {
        Some(kind) => probe.set_file_type(kind),
        None => probe,
    };
    let read = || probe.guess_file_type().map(Probe::read);
    // A parser's panic on damaged bytes must not end an import of a whole library.
    match caught(read) {
        Some(Ok(Ok(file))) => Ok(file),
        Some(Ok(Err(e))) => Err(format!("damaged or no audio file ({})", one_line(&e.to_string()))),
        Some(Err(e)) => Err(format!("cannot be read: {e}")),
        None => Err("damaged (the tag reader gave up on it)".to_owned()),
    }
}

/// A reader that ends with an error after so many bytes, wherever they lie, and before an ID3 tag with compressed frames: a
/// kilobyte of those may unpack to a megabyte, which the tag reader does not bound.
struct Bounded<'a, R> {
    inner: &'a mut R,
    left: u64,
    /// The last bytes that went through, in case they begin a tag.
    before: Vec<u8>,
}

impl<'a, R> Bounded<'a, R> {
    fn new(inner: &'a mut R) -> Self {
        Self { inner, left: MAX_READ, before: Vec::new() }
    }
}

impl<R: Read + Seek> Bounded<'_, R> {
    /// Looks at every ID3 tag that begins in these bytes, which were read last.
    fn check(&mut self, bytes: &[u8]) -> io::Result<()> {
        let all = [&self.before[..], bytes].concat();
        self.before = all[all.len().saturating_sub(2)..].to_vec();
        for at in (0..all.len().saturating_sub(2)).filter(|&at| all[at..].starts_with(b"ID3")) {
            let here = self.inner.stream_position()?;
            self.inner.seek(SeekFrom::Start(here - (all.len() - at) as u64))?;
            let odd = id3::is_odd(self.inner);
            self.inner.seek(SeekFrom::Start(here))?;
            if odd {
                return Err(io::Error::other(
                    "its ID3 tag has compressed frames or an extended header: write the tags again",
                ));
            }
        }
        Ok(())
    }
}

impl<R: Read + Seek> Read for Bounded<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(got as u64).ok_or_else(|| {
            io::Error::other(format!("its tags take more than {} MB: remove pictures from them", MAX_READ >> 20))
        })?;
        self.check(&buffer[..got])?;
        Ok(got)
    }
}

impl<R: Seek> Seek for Bounded<'_, R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.before.clear();
        self.inner.seek(to)
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bounded_reader_ends_where_its_bytes_do_and_before_a_packed_tag() {
        let mut bytes = Cursor::new(vec![7_u8; 100]);
        let mut bounded = Bounded { left: 150, ..Bounded::new(&mut bytes) };
        let mut all = Vec::new();
        assert_eq!(bounded.read_to_end(&mut all).unwrap(), 100);
        bounded.rewind().unwrap();
        let said = bounded.read_to_end(&mut all).unwrap_err().to_string();
        assert!(said.contains("more than 128 MB"), "{said}");

        let tag =
            |flag: u8| [&[7; 50][..], b"ID3\x03\0\0\0\0\0\x0cTPE1\0\0\0\x02\0", &[flag], b"\0A", &[7; 50]].concat();
        for (flag, good) in [(0, true), (0x80, false)] {
            // In reads of every size, so that the mark of a tag is cut everywhere.
            for size in 1..8 {
                let mut bytes = Cursor::new(tag(flag));
                let mut bounded = Bounded::new(&mut bytes);
                let mut buffer = vec![0; size];
                let all =
                    std::iter::from_fn(|| bounded.read(&mut buffer).map(|got| (got > 0).then_some(got)).transpose());
                assert_eq!(all.collect::<io::Result<Vec<_>>>().is_ok(), good, "{flag} {size}");
            }
        }
    }
}
