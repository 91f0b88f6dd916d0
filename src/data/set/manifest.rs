//! The list of covers that a data set consists of, and its file `manifest.csv`.

use std::collections::BTreeMap;
use std::path::Path;

use blake3::Hash;

use crate::data::set::hash::Parts;
use crate::data::set::split::{Item, Items, Split, join};
use crate::data::set::strings::{Strings, StringsBuilder};
use crate::data::set::ties::Tie;
use crate::file::write_atomically;
use crate::read::cannot_read;
use crate::{Error, Result};

/// The columns every manifest has; group columns follow them.
pub const COLUMNS: [&str; 7] = ["path", "label", "split", "width", "height", "hash", "phash"];
/// The group column that keeps covers together which look alike, where duplicates were kept.
pub const DUPLICATES: &str = "duplicates";

/// One cover of a data set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cover {
    /// Where the picture file lay when the data set was made, absolute; and a value for each of
    /// [`Manifest::group_columns`], empty where unknown.
    pub strings: Strings,
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
    /// Perceptual hash, see [`Fingerprint`](crate::data::picture::fingerprint::Fingerprint); sixteen hexadecimal digits in the file.
    pub phash: u64,
}

impl Cover {
    /// What a new split needs to know of it, if these ties keep covers together.
    pub fn item<'a>(&'a self, ties: &'a [Tie]) -> Item<'a> {
        Item { label: self.label, strings: &self.strings, ties, key: self.hash, before: None }
    }
}

/// All covers of a data set, in the order in which the pack holds their pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifest {
    /// Names of the classes, sorted; each has at least one cover.
    pub classes: Vec<String>,
    /// Names of the columns that the covers' [strings](Cover::strings) have values for.
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

    /// For each cover the number of its group: covers that share a value in any group column are one, also through others.
    pub fn groups(&self) -> Vec<usize> {
        self.groups_by(&self.group_columns)
    }

    /// The same by some of the group columns alone.
    pub fn groups_by(&self, columns: &[String]) -> Vec<usize> {
        let columns: Vec<usize> =
            (0..self.group_columns.len()).filter(|&place| columns.contains(&self.group_columns[place])).collect();
        let ties = Tie::of(&self.group_columns, &columns);
        join(&Items::new(self.covers.len(), |i| self.covers[i].item(&ties)))
    }

    /// BLAKE3 over all that it says but where the files lay, so that a collection may move. The same from any program's CSV.
    pub fn hash(&self) -> Hash {
        let mut parts = Parts::default();
        let mut part = |bytes: &[u8]| parts.add(bytes);
        part(&(self.group_columns.len() as u64).to_le_bytes());
        self.group_columns.iter().for_each(|column| part(column.as_bytes()));
        for cover in &self.covers {
            part(self.classes[cover.label].as_bytes());
            part(cover.split.name().as_bytes());
            part(&[cover.width.to_le_bytes(), cover.height.to_le_bytes()].concat());
            part(cover.hash.as_bytes());
            part(&cover.phash.to_le_bytes());
            cover.strings.groups().for_each(|group| part(group.as_bytes()));
        }
        parts.hash()
    }

    /// Writes the manifest as CSV with a header line, replacing `path` in one step.
    ///
    /// # Errors
    /// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(COLUMNS.into_iter().chain(self.group_columns.iter().map(String::as_str)))?;
            for cover in &self.covers {
                let (width, height) = (cover.width.to_string(), cover.height.to_string());
                let look = format!("{:016x}", cover.phash);
                let own = [
                    cover.strings.path_text(),
                    &self.classes[cover.label],
                    cover.split.name(),
                    &width,
                    &height,
                    &cover.hash.to_hex(),
                    &look,
                ];
                csv.write_record(own.into_iter().chain(cover.strings.groups()))?;
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

        let (mut strings, mut labels) = (StringsBuilder::default(), Labels::default());
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
            strings.push(file, group_places.iter().map(|&place| &record[place]));
            covers.push(Cover {
                strings: Strings::default(),
                label: labels.number(label),
                split: Split::from_name(split)
                    .ok_or_else(|| bad(line, format!("split `{split}` is not train, val or test")))?,
                width: pixels("width", width)?,
                height: pixels("height", height)?,
                phash: u64::from_str_radix(look, 16)
                    .map_err(|_| bad(line, format!("phash `{look}` is no perceptual hash")))?,
                hash: Hash::from_hex(hash).map_err(|_| bad(line, format!("hash `{hash}` is no BLAKE3")))?,
            });
        }
        let (classes, class_of) = labels.sorted();
        for (cover, strings) in covers.iter_mut().zip(strings.finish()) {
            (cover.strings, cover.label) = (strings, class_of[cover.label]);
        }
        let group_columns = group_places.iter().map(|&place| header[place].to_owned()).collect();
        Ok(Self { classes, group_columns, covers })
    }
}

/// Numbers for labels as they are met.
#[derive(Debug, Default)]
pub(crate) struct Labels(BTreeMap<String, usize>);

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
pub(crate) fn not_csv(path: &Path, error: csv::Error) -> Error {
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
            strings: Strings::of(path, &[group, ""]),
            label,
            split,
            width: 300,
            height: 200,
            hash: blake3::hash(path.as_bytes()),
            phash: 0xfe,
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
