//! Which file does a value in a table mean? Tables come from other systems, with other separators, forms and folders.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::data::source::kind::is_picture;
use crate::data::source::spelling::other_forms;
use crate::data::source::walk::Walk;

/// Finds the pictures that a table names.
pub(super) struct Finder {
    /// Where relative paths start.
    folder: PathBuf,
    images: Option<Images>,
}

/// A folder of pictures, by name.
struct Images {
    folder: PathBuf,
    /// By lower-case name and by lower-case name without its ending; none where several have it.
    by_name: HashMap<String, Option<PathBuf>>,
    by_stem: HashMap<String, Option<PathBuf>>,
}

/// A file, or why there is none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    File(PathBuf),
    Missing(PathBuf),
    /// A link to a picture on the net.
    Link,
    /// Several pictures have the name.
    Several,
}

impl Finder {
    /// Paths start at `folder`; with `images`, in that folder, or are names of pictures in it.
    pub fn new(folder: &Path, images: Option<(&Path, &Walk)>) -> Self {
        let images = images.map(|(folder, walk)| Images::new(folder, walk));
        Self { folder: folder.to_owned(), images }
    }

    /// The file that is meant by `value`.
    pub fn find(&self, value: &str) -> Found {
        let value = value.trim().trim_matches('"');
        let is_link = ["http://", "https://", "ftp://"].iter().any(|scheme| starts_with(value, scheme));
        let value = value.strip_prefix("file://").unwrap_or(value);
        if let Some(images) = &self.images {
            return match images.find(value, is_link) {
                Found::Missing(_) if is_link => Found::Link,
                other => other,
            };
        }
        if is_link {
            return Found::Link;
        }
        existing(&self.folder, value).map_or_else(|| Found::Missing(self.folder.join(value)), Found::File)
    }
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

/// The file `value` below `folder`: as it is written, with slashes for backslashes, or in the other Unicode form.
fn existing(folder: &Path, value: &str) -> Option<PathBuf> {
    let slashes = value.contains('\\').then(|| value.replace('\\', "/"));
    let written = [Some(value.to_owned()), slashes];
    let written = || written.iter().flatten();
    let forms = written().flat_map(|text| other_forms(text));
    written().cloned().chain(forms).map(|text| folder.join(text)).find(|path| path.is_file())
}

impl Images {
    fn new(folder: &Path, walk: &Walk) -> Self {
        let mut images = Self { folder: folder.to_owned(), by_name: HashMap::new(), by_stem: HashMap::new() };
        for file in &walk.pictures {
            let put = |map: &mut HashMap<String, Option<PathBuf>>, name: Option<&std::ffi::OsStr>| {
                if let Some(name) = name.and_then(|name| name.to_str()) {
                    map.entry(key(name)).and_modify(|known| *known = None).or_insert_with(|| Some(file.path.clone()));
                }
            };
            put(&mut images.by_name, file.path.file_name());
            put(&mut images.by_stem, file.path.file_stem());
        }
        images
    }

    fn find(&self, value: &str, is_link: bool) -> Found {
        let missing = || Found::Missing(self.folder.join(value));
        if value.is_empty() {
            return missing();
        }
        if !is_link && let Some(path) = existing(&self.folder, value) {
            return Found::File(path);
        }
        let slashes = value.replace('\\', "/");
        let path = if is_link { slashes.split(['?', '#']).next().unwrap_or_default() } else { &slashes };
        let name = key(path.rsplit('/').next().unwrap_or_default());
        // An id may hold a dot, so only a picture's ending is one.
        let as_path = Path::new(&name);
        let stem = if is_picture(as_path) { as_path.file_stem().and_then(|stem| stem.to_str()) } else { None };
        let named = self.by_name.get(&name);
        match named.or_else(|| self.by_stem.get(stem.unwrap_or(&name))) {
            None => missing(),
            Some(None) => Found::Several,
            Some(Some(path)) => Found::File(path.clone()),
        }
    }
}

/// What of a file's name counts: not its case, nor its Unicode form.
fn key(name: &str) -> String {
    use unicode_normalization::UnicodeNormalization;
    name.nfc().flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::data::source::walk::walk;

    #[test]
    fn values_of_other_systems_are_found() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("p")).unwrap();
        for name in ["0.jpg", "Caf\u{e9}.jpg", "a b.png"] {
            fs::write(dir.path().join("p").join(name), "").unwrap();
        }
        let file = |name: &str| Found::File(dir.path().join("p").join(name));
        let finder = Finder::new(dir.path(), None);
        for (value, name) in [
            ("p/0.jpg", "0.jpg"),
            (" p/0.jpg ", "0.jpg"),
            ("p/a b.png", "a b.png"),
            ("p/Cafe\u{301}.jpg", "Caf\u{e9}.jpg"),
        ] {
            assert_eq!(finder.find(value), file(name), "{value}");
        }
        assert_eq!(finder.find("p\\0.jpg"), Found::File(dir.path().join("p/0.jpg")));
        assert_eq!(finder.find("https://img.example/0.jpg"), Found::Link);
        assert_eq!(finder.find("p/1.jpg"), Found::Missing(dir.path().join("p/1.jpg")));

        fs::create_dir(dir.path().join("q")).unwrap();
        fs::write(dir.path().join("q/twice.jpg"), "").unwrap();
        fs::write(dir.path().join("p/twice.jpg"), "").unwrap();
        let found = walk(dir.path()).unwrap();
        let finder = Finder::new(dir.path(), Some((dir.path(), &found)));
        for (value, name) in [
            ("0", "0.jpg"),
            ("0.JPG", "0.jpg"),
            ("0.png", "0.jpg"),
            ("C:\\Users\\me\\covers\\0.jpg", "0.jpg"),
            ("/home/you/0.jpg", "0.jpg"),
            ("https://img.example/x/0.jpg?size=300", "0.jpg"),
            ("cafe\u{301}", "Caf\u{e9}.jpg"),
        ] {
            assert_eq!(finder.find(value), file(name), "{value}");
        }
        assert_eq!(finder.find("twice"), Found::Several);
        assert_eq!(finder.find("q/twice.jpg"), Found::File(dir.path().join("q/twice.jpg")));
        assert_eq!(finder.find("https://img.example/9.jpg"), Found::Link);
        assert!(matches!(finder.find("9"), Found::Missing(_)));
    }
}
