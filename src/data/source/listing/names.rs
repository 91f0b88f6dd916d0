//! Names of files on standard input, one a line or with NUL between them.

use std::ffi::OsString;
use std::io::{BufRead, Read};
use std::path::PathBuf;

use crate::{Error, Result};

/// No system has longer paths; whoever sends more sends no list of names.
const LONGEST: u64 = 1 << 16;

/// Names as they are read. Empty ones are passed over.
pub(super) struct Names<R> {
    input: R,
    null: bool,
    ended: bool,
}

impl<R: BufRead> Names<R> {
    pub fn new(input: R, null: bool) -> Self {
        Self { input, null, ended: false }
    }

    /// The next name with what ends it; empty at the end.
    fn read(&mut self) -> Result<Vec<u8>> {
        let end = if self.null { 0 } else { b'\n' };
        let mut name = Vec::new();
        let mut input = self.input.by_ref().take(LONGEST);
        let read = input.read_until(end, &mut name);
        read.map_err(|e| Error::Input(format!("standard input: cannot be read: {e}")))?;
        if name.len() as u64 == LONGEST {
            let remedy = if self.null { "end each name with a NUL, or leave --null out" } else { "write one a line" };
            return Err(Error::Input(format!("standard input: no list of names: one of them has no end: {remedy}")));
        }
        if !self.null && name.contains(&0) {
            return Err(Error::Input(
                "standard input: a NUL in a line: if they end the names, say so with --null; if not, this is no list of names".into(),
            ));
        }
        Ok(name)
    }
}

impl<R: BufRead> Iterator for Names<R> {
    type Item = Result<PathBuf>;

    fn next(&mut self) -> Option<Result<PathBuf>> {
        while !self.ended {
            let mut name = match self.read() {
                Ok(name) => name,
                Err(e) => {
                    self.ended = true;
                    return Some(Err(e));
                }
            };
            self.ended = name.is_empty();
            if self.null {
                name.pop_if(|last| *last == 0);
            } else {
                name.pop_if(|last| *last == b'\n');
                // As Windows ends lines. A name that ends so can be given with --null.
                name.pop_if(|last| *last == b'\r');
            }
            if !name.is_empty() {
                return Some(Ok(path_of(name)));
            }
        }
        None
    }
}

#[cfg(unix)]
fn path_of(name: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    OsString::from_vec(name).into()
}

#[cfg(not(unix))]
fn path_of(name: Vec<u8>) -> PathBuf {
    OsString::from(String::from_utf8_lossy(&name).into_owned()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(input: &[u8], null: bool) -> Result<Vec<PathBuf>> {
        Names::new(input, null).collect()
    }

    #[test]
    fn names_end_with_a_line_or_with_nul() {
        let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        assert_eq!(names(b"a b.jpg\n\nc.jpg\r\n./-d", false).unwrap(), paths(&["a b.jpg", "c.jpg", "./-d"]));
        assert_eq!(names(b"a\nb.jpg\0\0c \r\0", true).unwrap(), paths(&["a\nb.jpg", "c \r"]));
        assert_eq!(names(b"", false).unwrap(), paths(&[]));
    }

    #[test]
    fn what_is_no_list_is_refused() {
        let said = |input: &[u8], null| names(input, null).unwrap_err().to_string();
        assert!(said(b"a\0b\0", false).contains("--null"));
        assert!(said(&vec![b'x'; 1 << 17], false).contains("one a line"));
        assert!(said(&vec![b'\n'; 1 << 17], true).contains("leave --null out"));
    }

    #[cfg(unix)]
    #[test]
    fn a_name_that_is_no_text_stays_as_it_is() {
        use std::os::unix::ffi::OsStrExt;
        let found = names(b"caf\xe9.jpg\n", false).unwrap();
        assert_eq!(found[0].as_os_str().as_bytes(), b"caf\xe9.jpg");
    }
}
