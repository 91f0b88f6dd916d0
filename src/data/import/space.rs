//! Is there room on the disk for what is about to be written? Asked before an hour of decoding, not after.

use std::fs;
use std::path::Path;

use gatefold_engine::plan::mib;

use crate::{Error, Result};

/// Refuses work in `folder`, which need not exist yet, that needs more bytes than its file system has free. What `work`, a folder
/// that an earlier call left behind, holds already counts as done. A file system that does not tell is trusted.
///
/// Something else may fill the disk meanwhile, so writing can still fail.
///
/// # Errors
/// [`Error::Input`] naming the folder, what is needed and what is free.
pub fn check(folder: &Path, work: &Path, need: u64) -> Result<()> {
    let need = need.saturating_sub(bytes_below(work));
    match less_than(need, folder) {
        Some(free) => Err(Error::Input(format!(
            "{}: the decoded pictures need {}, and {} are free on its disk: free some space, name a folder on another disk with \
             --out, or a smaller --size",
            folder.display(),
            mib(need),
            mib(free)
        ))),
        None => Ok(()),
    }
}

/// What the file system of a folder, which need not exist yet, has free, if that is less than so many bytes. `None` also if it does not
/// tell.
pub fn less_than(need: u64, folder: &Path) -> Option<u64> {
    let absolute = std::path::absolute(folder).unwrap_or(folder.to_owned());
    let there = absolute.ancestors().find(|above| above.exists())?;
    // Those that hold no files of their own say that they have no room at all, for anything.
    let tells = fs4::total_space(there).is_ok_and(|bytes| bytes > 0);
    fs4::available_space(there).ok().filter(|&free| tells && need > free)
}

/// Bytes of the files in a folder and the folders in it; 0 if there is none.
fn bytes_below(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let each = entries.map(|entry| match entry.metadata() {
        Ok(about) if about.is_dir() => bytes_below(&entry.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    });
    each.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_and_what_is_there_already_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, work) = (dir.path().join("not/yet/there"), dir.path().join("work"));
        check(&folder, &work, 1).unwrap();
        let said = check(&folder, &work, u64::MAX).unwrap_err().to_string();
        for part in ["not/yet/there: the decoded pictures need 17179869184.0 GiB", "are free", "--out", "--size"] {
            assert!(said.contains(part) && !said.contains('\n'), "{said}");
        }
        // Half of what is free more than there is: it fits if as much is done.
        let free = fs4::available_space(dir.path()).unwrap();
        assert!(check(&folder, &work, free + free / 2).is_err());
        fs::create_dir_all(work.join("new")).unwrap();
        // A file with a hole takes no room.
        fs::File::create(work.join("new/squares")).unwrap().set_len(free.min(1 << 40)).unwrap();
        if free < 1 << 40 {
            check(&folder, &work, free + free / 2).unwrap();
        }
    }
}
