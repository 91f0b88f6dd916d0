//! The list of covers that a data set consists of, and its file `manifest.csv`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use blake3::Hash;
use serde::{Deserialize, Serialize};

use gatefold_engine::file::{cannot_read, write_atomically};
use super::split::Item;
use super::texts::{Texts, TextsBuilder};
use crate::{Error, Result};

/// The columns every manifest has; group columns follow them.
pub const COLUMNS: [&str; 7] = ["path", "label", "split", "width", "height", "hash", "phash"];
/// The group column that keeps covers together which look alike, where duplicates were kept.
pub const DUPLICATES: &str = "duplicates";

/// The three sets that covers are split into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Split {
    /// What the network learns from.
    Train,
    /// What chooses the best checkpoint.
    Val,
    /// What the printed score comes from.
    Test,
}

impl Split {
    /// All three, in the order of the ratios in `--split`.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }

    /// The set of this name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|split| split.name() == name)
    }
}

impl fmt::Display for Split {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One cover of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Where the picture file lay when the data set was made, absolute; and a value for each of
    /// [`Manifest::group_columns`], empty where unknown.
    pub texts: Texts,
    /// Index into [`Manifest::classes`].
    pub label: usize,
    /// The set it belongs to.
    pub split: Split,
    /// Width of the file's picture in pixels, after turning.
    pub width: u32,
    /// Height of the file's picture in pixels, after turning.
    pub height: u32,
    /// BLAKE3 of the picture's bytes.
    pub hash: Hash,
    /// Perceptual hash, see [`Look`](super::look::Look); sixteen hexadecimal digits in the file.
    pub look: u64,
}

impl Cover {
    /// What a new split needs to know of it, if these group columns keep covers together.
    pub fn item<'a>(&'a self, columns: &'a [usize]) -> Item<'a> {
        Item { label: self.label, texts: &self.texts, columns, key: self.hash, before: None }
    }
}

/// All covers of a data set, in the order in which the pack holds their pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Names of the classes, sorted; each has at least one cover.
    pub classes: Vec<String>,
    /// Names of the columns that the covers' [texts](Cover::texts) have values for.
    pub group_columns: Vec<String>,
    /// The covers.
    pub covers: Vec<Cover>,
}

impl Manifest {
    /// Indices of the covers in `split`, ascending.
    pub fn indices(&self, split: Split) -> Vec<usize> {
        (0..self.covers.len()).filter(|&i| self.covers[i].split == split).collect()
    }

    /// How many covers of each class `split` has, in the order of [`Manifest::classes`].
    pub fn counts(&self, split: Split) -> Vec<usize> {
        let mut counts = vec![0; self.classes.len()];
        for cover in self.covers.iter().filter(|cover| cover.split == split) {
            counts[cover.label] += 1;
        }
        counts
    }

    /// Writes the manifest as CSV with a header line, replacing `path` in one step.
    ///
    /// # Errors
    /// [`Error::Run`] if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(COLUMNS.into_iter().chain(self.group_columns.iter().map(String::as_str)))?;
            for cover in &self.covers {
                let (width, height) = (cover.width.to_string(), cover.height.to_string());
                let look = format!("{:016x}", cover.look);
                let own = [
                    cover.texts.path_text(),
                    &self.classes[cover.label],
                    cover.split.name(),
                    &width,
                    &height,
                    &cover.hash.to_hex(),
                    &look,
                ];
                csv.write_record(own.into_iter().chain(cover.texts.groups()))?;
            }
            csv.flush()
        })
    }

    /// Reads what [`Manifest::write`] wrote. Columns may stand in any order; all beside [`COLUMNS`] are groups.
    ///
    /// # Errors
    /// [`Error::Input`] naming file and line if the file is missing, no CSV, lacks a column or holds a bad value.
    pub fn read(path: &Path) -> Result<Self> {
        let shown = path.display();
        let bad =
            |line: u64, what: String| Error::Input(format!("{shown}: line {line}: {what}: make the data set again"));
        let mut csv = csv::Reader::from_path(path).map_err(|e| not_csv(path, e))?;
        let header = csv.headers().map_err(|e| not_csv(path, e))?.clone();
        let mut own = [0; COLUMNS.len()];
        for (place, name) in own.iter_mut().zip(COLUMNS) {
            let found = header.iter().position(|column| column == name);
            *place = found.ok_or_else(|| bad(1, format!("no column `{name}`, so this is no manifest")))?;
        }
        let group_places: Vec<usize> = (0..header.len()).filter(|place| !own.contains(place)).collect();

        let (mut texts, mut labels) = (TextsBuilder::default(), Labels::default());
        let mut covers: Vec<Cover> = Vec::new();
        let mut record = csv::StringRecord::new();
        while csv.read_record(&mut record).map_err(|e| not_csv(path, e))? {
            let line = record.position().map_or(0, csv::Position::line);
            let [file, label, split, width, height, hash, look] = own.map(|place| &record[place]);
            let pixels = |name: &str, text: &str| {
                text.parse::<u32>().map_err(|_| bad(line, format!("{name} `{text}` is no number of pixels")))
            };
            if label.is_empty() {
                return Err(bad(line, "no label".into()));
            }
            texts.push(file, group_places.iter().map(|&place| &record[place]));
            covers.push(Cover {
                texts: Texts::default(),
                label: labels.number(label),
                split: Split::from_name(split)
                    .ok_or_else(|| bad(line, format!("split `{split}` is not train, val or test")))?,
                width: pixels("width", width)?,
                height: pixels("height", height)?,
                look: u64::from_str_radix(look, 16)
                    .map_err(|_| bad(line, format!("phash `{look}` is no perceptual hash")))?,
                hash: Hash::from_hex(hash).map_err(|_| bad(line, format!("hash `{hash}` is no BLAKE3")))?,
            });
        }
        let (classes, class_of) = labels.sorted();
        for (cover, texts) in covers.iter_mut().zip(texts.finish()) {
            (cover.texts, cover.label) = (texts, class_of[cover.label]);
        }
        let group_columns = group_places.iter().map(|&place| header[place].to_owned()).collect();
        Ok(Self { classes, group_columns, covers })
    }
}

/// Numbers for labels as they are met.
#[derive(Debug, Default)]
pub(super) struct Labels(BTreeMap<String, usize>);

impl Labels {
    /// The label's number: how many others were met before it.
    pub fn number(&mut self, label: &str) -> usize {
        if let Some(&number) = self.0.get(label) {
            return number;
        }
        let next = self.0.len();
        self.0.insert(label.to_owned(), next);
        next
    }

    /// The labels, sorted, and for each number its label's place among them.
    pub fn sorted(self) -> (Vec<String>, Vec<usize>) {
        let mut place_of = vec![0; self.0.len()];
        self.0.values().enumerate().for_each(|(place, &number)| place_of[number] = place);
        (self.0.into_keys().collect(), place_of)
    }
}

/// The error for a table the csv crate stumbled over.
pub(super) fn not_csv(path: &Path, error: csv::Error) -> Error {
    let shown = path.display();
    let line = error.position().map_or(0, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(cause) => cannot_read(path, &cause),
        csv::ErrorKind::Utf8 { .. } => {
            Error::Input(format!("{shown}: line {line}: not UTF-8: save the table as UTF-8"))
        }
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => Error::Input(format!(
            "{shown}: line {line}: {len} fields where the header has {expected_len}: put values with commas or quotes \
             in double quotes"
        )),
        other => Error::Input(format!("{shown}: line {line}: not a table: {other:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest() -> Manifest {
        let cover = |path: &str, label, split, group: &str| Cover {
            texts: Texts::of(path, &[group, ""]),
            label,
            split,
            width: 300,
            height: 200,
            hash: blake3::hash(path.as_bytes()),
            look: 0xfe,
        };
        Manifest {
            classes: vec!["Pop, \"soft\"".into(), "Rock".into()],
            group_columns: vec!["artist".into(), "album".into()],
            covers: vec![
                cover("/a/ü 1.jpg", 1, Split::Train, "AC/DC"),
                cover("/a/2\n.jpg", 0, Split::Test, "Crosby, Stills"),
                cover("/a/3.jpg", 0, Split::Val, ""),
            ],
        }
    }

    #[test]
    fn reads_what_it_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.csv");
        manifest().write(&path).unwrap();
        assert_eq!(Manifest::read(&path).unwrap(), manifest());
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.starts_with("path,label,split,width,height,hash,phash,artist,album\n"), "{text}");
        assert_eq!(manifest().indices(Split::Val), [2]);
        assert_eq!(manifest().counts(Split::Test), [1, 0]);
    }

    #[test]
    fn names_what_is_wrong_with_a_manifest() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("manifest.csv");
        for (text, cause) in [
            ("path,label\na,b\n", "no column `split`"),
            ("path,label,split,width,height,hash,phash\na,b,tain,1,1,x,0\n", "line 2: split `tain`"),
            ("path,label,split,width,height,hash,phash\na,b,test,wide,1,x,0\n", "line 2: width `wide`"),
            ("path,label,split,width,height,hash,phash\na,b\n", "line 2: 2 fields"),
            ("path,label,split,width,height,hash,phash\na,,val,1,1,x,0\n", "line 2: no label"),
            ("path,label,split,width,height,hash,phash\na,b,val,1,1,x,zz\n", "line 2: phash `zz`"),
            ("path,label,split,width,height,hash,phash\na,b,val,1,1,x,0\n", "line 2: hash `x`"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = Manifest::read(&path).unwrap_err();
            assert!(matches!(&error, Error::Input(said) if said.contains(cause)), "{error}");
        }
        assert!(matches!(Manifest::read(&dir.path().join("none")), Err(Error::Input(_))));
    }
}
