//! Pictures of this machine that may be named by their paths: those within the folders that `--allow-folder` names, and no others.

use std::path::{Path, PathBuf};

use axum::http::StatusCode;
use serde::Serialize;

use super::limits::{FILE_BYTES, LISTED};
use super::refusal::Refusal;
use crate::data::picture::audio::is_audio;
use crate::data::{picture, source};
use crate::{Error, Result};

/// What may be read.
pub struct Folders {
    /// As they were named, and with all links followed.
    roots: Vec<(PathBuf, PathBuf)>,
}

/// The pictures in a folder and below it.
#[derive(Debug, Serialize)]
pub struct Pictures {
    folder: String,
    /// Absolute paths, sorted.
    pictures: Vec<String>,
    /// How many more there are, those whose paths are not UTF-8 or lead elsewhere among them.
    left_off: usize,
}

impl Folders {
    /// # Errors
    /// [`Error::Input`] if one is no folder.
    pub fn new(roots: &[PathBuf]) -> Result<Self> {
        let each = roots.iter().map(|root| {
            let shown = root.display();
            let whole = root.canonicalize();
            let whole = whole
                .map_err(|e| Error::input(format!("--allow-folder {shown}: cannot be read ({e}); name a folder")))?;
            if !whole.is_dir() {
                return Err(Error::input(format!(
                    "--allow-folder {shown}: is no folder; name the one that it lies in"
                )));
            }
            Ok((std::path::absolute(root).unwrap_or_else(|_| root.clone()), whole))
        });
        Ok(Self { roots: each.collect::<Result<_>>()? })
    }

    /// The folders' paths as text.
    pub fn names(&self) -> Vec<String> {
        self.roots.iter().filter_map(|(named, _)| Some(named.to_str()?.to_owned())).collect()
    }

    /// The path, if it is there and lies within an allowed folder, links followed. What lies outside and what is not there get the same
    /// answer, so that nobody learns what there is.
    fn allowed(&self, path: &str) -> Result<PathBuf, Refusal> {
        let outside = || {
            let text = if self.roots.is_empty() {
                "paths of this machine are not allowed; start gatefold serve with --allow-folder DIR, or send the picture".to_owned()
            } else {
                format!("{path}: is not there, or not within what --allow-folder allows ({})", self.names().join(", "))
            };
            Refusal::new(StatusCode::FORBIDDEN, text)
        };
        let given = Path::new(path);
        // Before the disk is asked for anything.
        if !given.is_absolute()
            || !self.roots.iter().any(|(named, whole)| given.starts_with(named) || given.starts_with(whole))
        {
            return Err(outside());
        }
        let whole = given.canonicalize().map_err(|_| outside())?;
        if self.roots.iter().any(|(_, root)| whole.starts_with(root)) { Ok(whole) } else { Err(outside()) }
    }

    /// The bytes of a picture.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Refusal> {
        let whole = self.allowed(path)?;
        let about =
            std::fs::metadata(&whole).map_err(|e| Refusal::no_picture(format!("{path}: cannot be read: {e}")))?;
        // Of an audio file only the tags are read.
        if about.is_file() && about.len() > FILE_BYTES && !is_audio(&whole) {
            return Err(too_large(about.len()));
        }
        // A folder, a pipe or a device is refused there.
        picture::read(&whole).map_err(|bad| Refusal::no_picture(format!("{path}: {}", bad.reason)))
    }

    /// The pictures of a folder, the first allowed one unless another is named.
    pub fn list(&self, folder: Option<&str>) -> Result<Pictures, Refusal> {
        let first = self.roots.first().and_then(|(named, _)| named.to_str());
        let folder = folder.or(first).unwrap_or_default();
        let whole = self.allowed(folder)?;
        if !whole.is_dir() {
            return Err(Refusal::bad(format!("{folder}: is no folder; name the one that it lies in")));
        }
        let found = source::pictures(&whole)?;
        // Under the name that was given, which may be a link's.
        let named = |path: &PathBuf| Some(Path::new(folder).join(path.strip_prefix(&whole).ok()?).to_str()?.to_owned());
        let within = |path: &String| self.allowed(path).is_ok();
        let pictures: Vec<String> = found.iter().filter_map(named).filter(within).take(LISTED).collect();
        Ok(Pictures { folder: folder.to_owned(), left_off: found.len() - pictures.len(), pictures })
    }
}

/// The refusal of a file of so many bytes.
pub fn too_large(bytes: u64) -> Refusal {
    let [bytes, most] = [bytes, FILE_BYTES].map(|bytes| bytes.div_ceil(1 << 20));
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("a file of {bytes} MiB: at most {most} MiB are taken; scale it down"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn nothing_outside_of_what_was_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let (inside, outside) = (dir.path().join("covers"), dir.path().join("covers-of-others"));
        [&inside, &inside.join("sub"), &outside].into_iter().for_each(|folder| fs::create_dir(folder).unwrap());
        for file in [inside.join("a.png"), inside.join("sub/ü.png"), outside.join("b.png"), dir.path().join("c.png")] {
            image::RgbImage::new(4, 4).save(file).unwrap();
        }
        let folders = Folders::new(std::slice::from_ref(&inside)).unwrap();
        let of = |name: &str| inside.join(name).to_str().unwrap().to_owned();
        for good in ["a.png", "sub/ü.png", "sub/../a.png", "./a.png"] {
            assert!(folders.read(&of(good)).is_ok(), "{good}");
        }
        let beside = outside.join("b.png").to_str().unwrap().to_owned();
        for bad in [
            of("../c.png"),
            of("../covers-of-others/b.png"),
            of("none.png"),
            beside,
            "a.png".into(),
            "/etc/passwd".into(),
            String::new(),
        ] {
            assert_eq!(folders.read(&bad).unwrap_err().status(), 403, "{bad}");
        }
        assert_eq!(folders.read(&of("sub")).unwrap_err().status(), 422);
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
            std::os::unix::fs::symlink(inside.join("a.png"), inside.join("same.png")).unwrap();
            assert_eq!(folders.read(&of("link/b.png")).unwrap_err().status(), 403);
            assert!(folders.read(&of("same.png")).is_ok());
            assert_eq!(folders.list(Some(&of("link"))).unwrap_err().status(), 403);
        }
        let listed = folders.list(None).unwrap();
        // The one behind the link.
        let outside = usize::from(cfg!(unix));
        assert!(listed.pictures.contains(&of("sub/ü.png")) && listed.left_off == outside, "{listed:?}");
        assert_eq!(folders.list(Some(&of("sub"))).unwrap().pictures, [of("sub/ü.png")]);
        assert_eq!(folders.list(Some(&of("a.png"))).unwrap_err().status(), 400);
        assert_eq!(Folders::new(&[]).unwrap().read(&of("a.png")).unwrap_err().status(), 403);
        assert!(Folders::new(&[inside.join("a.png")]).is_err() && Folders::new(&[inside.join("none")]).is_err());
    }
}
