//! What the frozen layers of a network make of covers, kept: it stays the same from epoch to epoch.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use gatefold_engine::plan::mib;
use memmap2::Mmap;

use crate::data::import::space;
use crate::data::set::feed::{Batch, feed};
use crate::data::{Dataset, Epoch};
use crate::file::cannot_write;
use crate::{Error, Result};

/// More than this is kept in a file instead of memory.
const IN_MEMORY: u64 = 1 << 30;

/// For each of some covers what a tape [holds](gatefold_engine::tape::Tape::hold_frozen_start) of it.
pub struct Features {
    /// Words of one cover in each held value.
    each: Vec<usize>,
    /// Of each cover that is there.
    rows: HashMap<usize, usize>,
    words: Words,
}

enum Words {
    Memory(Vec<u32>),
    File(Mmap),
}

enum Sink {
    Memory(Vec<u32>),
    File(BufWriter<File>),
}

/// Whether features of so many bytes can be kept, in memory or in a file in `folder`.
///
/// # Errors
/// [`Error::Input`] naming the folder, what is needed and what is free.
pub fn room(bytes: u64, folder: &Path) -> Result<()> {
    match space::less_than(bytes, folder).filter(|_| bytes > IN_MEMORY) {
        Some(free) => Err(Error::input(format!(
            "{}: what the frozen layers make of the covers needs {}, and {} are free on its disk: free some space, name a folder on \
             another disk with --out, freeze more layers, or take a smaller --size or fewer --views",
            folder.display(),
            mib(bytes),
            mib(free)
        ))),
        None => Ok(()),
    }
}

impl Features {
    /// Goes through the covers of `order`, `views` times. `run` gives the words of each held value for a batch, all samples of it, and
    /// hears the view and the batch's number. More than a gigabyte goes to a file in `folder` that has no name and ends with the
    /// program.
    ///
    /// # Errors
    /// Those of `run`, of damaged pictures, and of a disk that is full.
    pub fn take(
        dataset: &Dataset,
        order: &Epoch,
        views: usize,
        folder: &Path,
        mut run: impl FnMut(usize, usize, &Batch) -> Result<Vec<Vec<u32>>>,
    ) -> Result<Self> {
        let mut each = vec![];
        let mut rows = HashMap::new();
        let mut sink = Sink::Memory(vec![]);
        for view in 0..views {
            feed(dataset, order, |number, batch| {
                let held = run(view, number, batch)?;
                if each.is_empty() {
                    each = held.iter().map(|words| words.len() / order.batch_size()).collect();
                    let bytes = 4 * each.iter().sum::<usize>() as u64 * order.len() as u64 * views as u64;
                    sink = Sink::new(bytes, IN_MEMORY, folder)?;
                }
                // Those of weight 0 fill the last batch up, and were there before.
                for (sample, (cover, _)) in order.batch(number).enumerate().filter(|(_, (_, weight))| *weight > 0.0) {
                    let row = rows.len();
                    if view == 0 {
                        rows.insert(cover, row);
                    }
                    for (words, &each) in held.iter().zip(&each) {
                        sink.write(&words[sample * each..][..each], folder)?;
                    }
                }
                Ok::<(), Error>(())
            })?;
        }
        Ok(Self { each, rows, words: sink.finish(folder)? })
    }

    /// Bytes of all of it, and whether they lie in memory.
    pub fn bytes(&self) -> (u64, bool) {
        match &self.words {
            Words::Memory(words) => (4 * words.len() as u64, true),
            Words::File(map) => (map.len() as u64, false),
        }
    }

    /// The words of each held value for a batch of covers, in one of the views.
    ///
    /// # Errors
    /// If a cover is not there.
    pub fn batch(&self, view: usize, covers: impl Iterator<Item = usize>) -> Result<Vec<Vec<u32>>> {
        let all: &[u32] = match &self.words {
            Words::Memory(words) => words,
            Words::File(map) => bytemuck::cast_slice(map),
        };
        let row_words: usize = self.each.iter().sum();
        let mut held: Vec<Vec<u32>> = vec![vec![]; self.each.len()];
        for cover in covers {
            let row = self.rows.get(&cover).ok_or_else(|| Error::run(format!("cover {cover} has no features")))?;
            let mut words = all[(view * self.rows.len() + row) * row_words..].iter().copied();
            for (held, &each) in held.iter_mut().zip(&self.each) {
                held.extend(words.by_ref().take(each));
            }
        }
        Ok(held)
    }
}

impl Sink {
    /// For so many bytes, in memory if those are `most` or fewer.
    fn new(bytes: u64, most: u64, folder: &Path) -> Result<Self> {
        if bytes <= most {
            return Ok(Self::Memory(Vec::with_capacity(bytes as usize / 4)));
        }
        let file = tempfile::tempfile_in(folder).map_err(|e| cannot_write(folder, &e))?;
        Ok(Self::File(BufWriter::with_capacity(1 << 20, file)))
    }

    fn write(&mut self, words: &[u32], folder: &Path) -> Result<()> {
        match self {
            Self::Memory(all) => all.extend_from_slice(words),
            Self::File(file) => file.write_all(bytemuck::cast_slice(words)).map_err(|e| cannot_write(folder, &e))?,
        }
        Ok(())
    }

    fn finish(self, folder: &Path) -> Result<Words> {
        match self {
            Self::Memory(words) => Ok(Words::Memory(words)),
            Self::File(file) => {
                let file = file.into_inner().map_err(|e| cannot_write(folder, e.error()))?;
                // SAFETY: the file has no name, so nobody else can change or shorten it.
                let map = unsafe { Mmap::map(&file) }.map_err(|e| cannot_write(folder, &e))?;
                Ok(Words::File(map))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_what_memory_would_and_leaves_no_trace() {
        let folder = tempfile::tempdir().unwrap();
        let rows: Vec<Vec<u32>> = (0..3_000).map(|row| (0..100).map(|word| row * 100 + word).collect()).collect();
        let features = |most: u64| {
            let mut sink = Sink::new(4 * 300_000, most, folder.path()).unwrap();
            rows.iter().for_each(|row| sink.write(row, folder.path()).unwrap());
            let covers = (0..1_500).map(|row| (7 * row, row)).collect();
            Features { each: vec![64, 36], rows: covers, words: sink.finish(folder.path()).unwrap() }
        };
        let (memory, file) = (features(1 << 30), features(1 << 20));
        assert_eq!((memory.bytes(), file.bytes()), ((1_200_000, true), (1_200_000, false)));
        for view in 0..2 {
            let batch = |features: &Features| features.batch(view, [7, 0, 10_493].into_iter()).unwrap();
            assert_eq!(batch(&memory), batch(&file));
            // Row after row, value after value, and the second view behind all of the first.
            assert_eq!(batch(&file)[1][36 - 1], (view as u32 * 1_500 + 1) * 100 + 99);
        }
        assert!(file.batch(0, [1].into_iter()).is_err());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        room(IN_MEMORY, folder.path()).unwrap();
        let refused = room(u64::MAX, folder.path()).unwrap_err();
        assert!(refused.exit_code() == 2 && refused.to_string().contains("--views"), "{refused}");
    }
}
