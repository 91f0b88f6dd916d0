//! What is it that a user names: a picture, a folder of them, a table, a library, a data set, or a list?

use std::path::{Path, PathBuf};

use super::{Kind, STDIN, TABLES, WORK, Walk, ending, is_audio, library, walk};
use crate::data::set::dataset::Dataset;
use crate::{Error, Result};

pub(super) enum Given {
    /// A list of names on standard input.
    List,
    /// A picture, or something that will be refused as one when its turn comes.
    Picture,
    Table,
    Dataset,
    Library(Walk),
    Folder(Walk),
}

impl Given {
    pub fn of(path: &PathBuf) -> Result<Self> {
        if path.as_os_str() == STDIN {
            return Ok(Self::List);
        }
        let Ok(about) = std::fs::metadata(path) else { return Ok(Self::Picture) };
        if about.is_dir() {
            return Self::of_folder(path);
        }
        // What is no regular file might never answer.
        let is_table = about.is_file()
            && ending(path).is_some_and(|ending| TABLES.contains(&&*ending))
            && !is_audio(path)
            && Kind::of(path) == Kind::Other;
        Ok(if is_table { Self::Table } else { Self::Picture })
    }

    fn of_folder(path: &Path) -> Result<Self> {
        if Dataset::is_at(path) {
            return Ok(Self::Dataset);
        }
        if path.join(WORK).is_dir() {
            return Err(Error::Input(format!(
                "{}: an import into it was broken off: start the same import again, it goes on where it was",
                path.display()
            )));
        }
        let found = walk(path)?;
        if !library::kind::is_library(&found) {
            return Ok(Self::Folder(found));
        }
        if found.audio.is_empty() { Err(library::kind::none_read(path, &found)) } else { Ok(Self::Library(found)) }
    }
}
