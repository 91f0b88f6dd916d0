//! What comes out of a network's trunk, as a NumPy array: a row a picture, its path in a table beside it.

use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::rows::Row;
use crate::file::{AtomicFile, cannot_write};
use crate::shown::path_text;
use crate::{Error, Result};

/// Bytes before the numbers: NumPy wants a multiple of 64, and the count of rows is only known at the end.
const HEADER: usize = 128;

/// The array and its table in the making.
pub struct Embeddings {
    array: AtomicFile,
    table: csv::Writer<AtomicFile>,
    /// Of both.
    paths: [PathBuf; 2],
    rows: usize,
    width: usize,
}

impl Embeddings {
    /// Begins `FILE.npy`, and `FILE.csv` beside it.
    ///
    /// # Errors
    /// [`Error::Input`] if it is called otherwise, if it cannot be written, or if a table that is somebody else's would be replaced.
    pub fn create(path: &Path) -> Result<Self> {
        let shown = path.display();
        if path.extension().is_none_or(|ending| !ending.eq_ignore_ascii_case("npy")) {
            return Err(Error::input(format!(
                "--embeddings {shown}: must end in .npy; the paths go into a .csv beside it"
            )));
        }
        let table = path.with_extension("csv");
        if table.exists() && !path.exists() {
            let table = table.display();
            return Err(Error::input(format!(
                "--embeddings {shown}: its table would replace {table}, which is not of an earlier array: name another file"
            )));
        }
        let mut array = AtomicFile::create(path)?;
        array.write_all(&[0; HEADER]).map_err(|e| cannot_write(path, &e))?;
        let mut this = Self {
            array,
            table: csv::Writer::from_writer(AtomicFile::create(&table)?),
            paths: [path.to_owned(), table],
            rows: 0,
            width: 0,
        };
        this.table.write_record(["path", "label", "artist", "album", "genre"]).map_err(|e| this.failed(1, e))?;
        Ok(this)
    }

    fn failed(&self, place: usize, e: impl Into<std::io::Error>) -> Error {
        cannot_write(&self.paths[place], &e.into())
    }

    /// Adds a picture, if it has an answer, which is this label.
    pub fn add(&mut self, row: &Row, labels: &[String]) -> Result<()> {
        let Ok(answer) = &row.answer else { return Ok(()) };
        let bytes: Vec<u8> = answer.features.iter().flat_map(|v| v.to_le_bytes()).collect();
        self.array.write_all(&bytes).map_err(|e| self.failed(0, e))?;
        (self.rows, self.width) = (self.rows + 1, answer.features.len());
        let label = &labels[crate::score::metrics::predicted(&answer.probabilities)];
        let [artist, album, genre] = row.item.known();
        let record = [&*path_text(&row.item.path), label, artist, album, genre];
        self.table.write_record(record).map_err(|e| self.failed(1, e))
    }

    /// Puts both in their places; says what was written.
    pub fn finish(mut self) -> Result<String> {
        let (rows, width) = (self.rows, self.width);
        let header = header(rows, width);
        let patched = self.array.seek(SeekFrom::Start(0)).and_then(|_| self.array.write_all(&header));
        patched.map_err(|e| self.failed(0, e))?;
        let [path, table] = self.paths.clone();
        let written = self.table.into_inner().map_err(|e| cannot_write(&table, e.error()))?;
        self.array.commit()?;
        written.commit()?;
        Ok(format!("wrote {}: {rows} x {width}, and {}", path.display(), table.display()))
    }
}

/// The head of a .npy file of version 1.0: numbers of four bytes, row after row.
fn header(rows: usize, width: usize) -> Vec<u8> {
    let said = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {width}), }}");
    let mut header = b"\x93NUMPY\x01\x00".to_vec();
    header.extend(((HEADER - 10) as u16).to_le_bytes());
    header.extend(said.bytes());
    header.resize(HEADER - 1, b' ');
    header.push(b'\n');
    header
}

#[cfg(test)]
mod tests {
    use super::header;

    #[test]
    fn the_header_has_its_length_whatever_it_says() {
        for (rows, width) in [(0, 0), (1, 64), (usize::MAX, usize::MAX)] {
            let header = header(rows, width);
            assert!(header.len() == 128 && header.ends_with(b"\n"));
            assert!(String::from_utf8_lossy(&header[10..]).contains(&format!("({rows}, {width})")));
        }
    }
}
