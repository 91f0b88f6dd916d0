//! The texts of covers: where each lies, and the values that group it.
//!
//! Path and groups as strings of their own would be most of the memory that an import needs. So the texts of all covers lie
//! end to end in temporary files that are memory-mapped: the system may drop their pages whenever it needs the room.

use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use memmap2::Mmap;

/// The path of one cover and its values in the group columns. Sixteen bytes; a clone copies no text.
#[derive(Clone, Default)]
pub struct Strings {
    segment: Arc<Bytes>,
    /// Where its record begins: for each text its length, a u32, and its bytes; before the first, the length of all of it.
    start: usize,
}

/// Strings as they are collected.
#[derive(Debug, Default)]
pub struct StringsBuilder {
    finished: Vec<Bytes>,
    /// Records that are still in memory.
    last: Vec<u8>,
}

/// Bytes of records that are written to one file.
const SEGMENT: usize = 1 << 20;

#[derive(Debug)]
enum Bytes {
    Mapped(Mmap),
    /// Where there is no room for a temporary file.
    Heap(Vec<u8>),
}

impl Default for Bytes {
    fn default() -> Self {
        Self::Heap(Vec::new())
    }
}

impl StringsBuilder {
    /// Adds the texts of one cover.
    pub fn push(&mut self, path: &str, groups: impl IntoIterator<Item = impl AsRef<str>>) {
        let start = self.last.len();
        self.push_length(0);
        self.push_text(path);
        groups.into_iter().for_each(|value| self.push_text(value.as_ref()));
        let length = self.last.len() - start - LENGTH;
        self.last[start..][..LENGTH].copy_from_slice(&(length as u32).to_le_bytes());
        if self.last.len() >= SEGMENT {
            self.finish_segment();
        }
    }

    fn push_text(&mut self, text: &str) {
        self.push_length(text.len());
        self.last.extend_from_slice(text.as_bytes());
    }

    fn push_length(&mut self, length: usize) {
        self.last.extend_from_slice(&(length as u32).to_le_bytes());
    }

    fn finish_segment(&mut self) {
        let last = std::mem::take(&mut self.last);
        let bytes = mapped(&last).map_or_else(|_| Bytes::Heap(last), Bytes::Mapped);
        self.finished.push(bytes);
    }

    /// The texts of each cover, in the order in which they were added.
    pub fn finish(mut self) -> impl Iterator<Item = Strings> {
        if !self.last.is_empty() {
            self.finish_segment();
        }
        self.finished.into_iter().map(Arc::new).flat_map(|segment| {
            let mut start = 0;
            std::iter::from_fn(move || {
                let (length, _) = split_length(segment.get().get(start..)?)?;
                let strings = Strings { segment: segment.clone(), start };
                start += LENGTH + length;
                Some(strings)
            })
        })
    }
}

/// The bytes in a temporary file, which has no name and goes when the mapping does.
fn mapped(bytes: &[u8]) -> io::Result<Mmap> {
    let mut file: File = tempfile::tempfile()?;
    file.write_all(bytes)?;
    // SAFETY: only read, as plain bytes, and nobody else can open the file.
    unsafe { Mmap::map(&file) }
}

impl Bytes {
    fn get(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Heap(bytes) => bytes,
        }
    }
}

/// Tells texts apart where lists of the texts themselves would be long.
pub(crate) fn short_hash(text: &[u8]) -> [u8; 16] {
    let hash = blake3::hash(text);
    std::array::from_fn(|i| hash.as_bytes()[i])
}

/// Bytes of a length.
const LENGTH: usize = size_of::<u32>();

/// The length that `bytes` begin with, and what follows it.
fn split_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    bytes.split_first_chunk().map(|(length, rest)| (u32::from_le_bytes(*length) as usize, rest))
}

impl Strings {
    /// Those of a single cover.
    pub fn of(path: &str, groups: &[&str]) -> Self {
        let mut all = StringsBuilder::default();
        all.push(path, groups);
        Self { segment: Arc::new(Bytes::Heap(all.last)), start: 0 }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        Path::new(self.path_text())
    }

    /// The file, as text.
    pub fn path_text(&self) -> &str {
        self.iter().next().unwrap_or_default()
    }

    /// The values in the group columns, in their order; empty where unknown.
    pub fn groups(&self) -> impl Iterator<Item = &str> {
        self.iter().skip(1)
    }

    /// The value in the group column at `place`, empty if unknown.
    pub fn group(&self, place: usize) -> &str {
        self.groups().nth(place).unwrap_or_default()
    }

    fn iter(&self) -> impl Iterator<Item = &str> {
        let record = split_length(&self.segment.get()[self.start..]).and_then(|(length, rest)| rest.get(..length));
        let mut rest = record.unwrap_or_default();
        std::iter::from_fn(move || {
            let (text, after) = split_length(rest).and_then(|(length, rest)| rest.split_at_checked(length))?;
            rest = after;
            std::str::from_utf8(text).ok()
        })
    }
}

impl PartialEq for Strings {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Strings {}

impl fmt::Debug for Strings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_back_in_order() {
        let covers: [(&str, &[&str]); 4] =
            [("/a/ü 1.jpg", &["AC/DC", ""]), ("", &[]), ("/b\n\".png", &["", "x"]), ("/c", &["längst"])];
        let mut builder = StringsBuilder::default();
        covers.iter().for_each(|(path, groups)| builder.push(path, *groups));
        let strings: Vec<Strings> = builder.finish().collect();
        assert_eq!(strings.len(), covers.len());
        for (strings, (path, groups)) in strings.iter().zip(covers) {
            assert_eq!((strings.path_text(), strings.groups().collect::<Vec<_>>()), (path, groups.to_vec()));
            assert_eq!(*strings, Strings::of(path, groups));
        }
        assert_eq!((strings[0].group(0), strings[0].group(1), strings[0].group(2)), ("AC/DC", "", ""));
        assert_ne!(strings[0], strings[1]);
    }

    #[test]
    fn more_texts_than_fit_into_one_file_come_back_too() {
        let (mut builder, long) = (StringsBuilder::default(), "x".repeat(SEGMENT / 3));
        (0..10).for_each(|i| builder.push(&format!("/{i}"), [&long]));
        let strings: Vec<Strings> = builder.finish().collect();
        assert!(strings.iter().enumerate().all(|(i, t)| t.path_text() == format!("/{i}") && t.group(0) == long));
        assert_eq!((strings.len(), strings[0].segment.get() == strings[9].segment.get()), (10, false));
    }

    #[test]
    fn no_texts_are_none() {
        assert_eq!(StringsBuilder::default().finish().count(), 0);
    }
}
