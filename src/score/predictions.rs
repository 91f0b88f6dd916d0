//! What a network answers for each cover of a set, as a table that spreadsheets open: `test-predictions.csv`.

use std::path::{Path, PathBuf};

use gatefold_engine::file::write_atomically;

use crate::data::Dataset;
use crate::score::metrics::{Metrics, predicted};
use crate::{Error, Result};

/// The answers for a set of covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Class names, in the order of every row's probabilities.
    pub labels: Vec<String>,
    pub covers: Vec<Answered>,
}

/// The answer for one cover.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub path: PathBuf,
    /// BLAKE3 of the picture file, by which the same cover is known in another run.
    pub hash: String,
    /// The true class.
    pub label: usize,
    pub probabilities: Vec<f32>,
}

impl Answered {
    pub fn predicted(&self) -> usize {
        predicted(&self.probabilities)
    }

    pub fn is_right(&self) -> bool {
        self.predicted() == self.label
    }
}

/// Columns before those of the classes, whose names are `p(CLASS)`.
const COLUMNS: [&str; 4] = ["path", "hash", "label", "predicted"];

impl Predictions {
    /// Of the covers `indices` of a data set, one row of `labels.len()` probabilities for each.
    pub fn new(dataset: &Dataset, indices: &[usize], labels: &[String], probabilities: &[f32]) -> Self {
        let covers = indices.iter().zip(probabilities.chunks(labels.len())).map(|(&i, row)| {
            let cover = &dataset.manifest.covers[i];
            Answered {
                path: cover.strings.path().to_owned(),
                hash: cover.hash.to_string(),
                label: cover.label,
                probabilities: row.to_vec(),
            }
        });
        Self { labels: labels.to_vec(), covers: covers.collect() }
    }

    /// The true classes.
    pub fn truth(&self) -> Vec<usize> {
        self.covers.iter().map(|cover| cover.label).collect()
    }

    /// All probabilities, row after row.
    pub fn rows(&self) -> Vec<f32> {
        self.covers.iter().flat_map(|cover| cover.probabilities.iter().copied()).collect()
    }

    /// Their score; `training_counts` are the covers of each class in the training set.
    ///
    /// # Errors
    /// As [`Metrics::new`].
    pub fn metrics(&self, training_counts: &[u64]) -> Result<Metrics> {
        Metrics::new(&self.truth(), &self.rows(), &self.labels, training_counts)
    }

    /// Writes the table. Probabilities are written with as many digits as bring back the same number.
    ///
    /// # Errors
    /// As [`cannot_write`](gatefold_engine::file::cannot_write) says if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            let classes = self.labels.iter().map(|label| format!("p({label})"));
            csv.write_record(COLUMNS.iter().map(ToString::to_string).chain(classes))?;
            for cover in &self.covers {
                let (label, predicted) = (&self.labels[cover.label], &self.labels[cover.predicted()]);
                let head = [cover.path.display().to_string(), cover.hash.clone(), label.clone(), predicted.clone()];
                csv.write_record(head.into_iter().chain(cover.probabilities.iter().map(ToString::to_string)))?;
            }
            csv.flush()
        })
    }

    /// Reads a table that [`Self::write`] wrote.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing or damaged.
    pub fn read(path: &Path) -> Result<Self> {
        Self::parse(path).map_err(|why| {
            let path = path.display();
            Error::input(format!("{path}: cannot be read ({why}); delete it, and report makes it anew"))
        })
    }

    fn parse(path: &Path) -> Result<Self, String> {
        let mut csv = csv::Reader::from_path(path).map_err(|e| e.to_string())?;
        let head = csv.headers().map_err(|e| e.to_string())?.clone();
        if !head.iter().take(COLUMNS.len()).eq(COLUMNS) {
            return Err("its columns are others".to_owned());
        }
        let class = |name: &str| name.strip_prefix("p(").and_then(|name| name.strip_suffix(')')).map(str::to_owned);
        let labels: Option<Vec<String>> = head.iter().skip(COLUMNS.len()).map(class).collect();
        let labels = labels.ok_or("its columns are others")?;
        let mut covers = vec![];
        for record in csv.records() {
            let record = record.map_err(|e| e.to_string())?;
            let label = labels.iter().position(|label| *label == record[2]).ok_or("a label is no class")?;
            let numbers: Result<Vec<f32>, _> = record.iter().skip(COLUMNS.len()).map(str::parse).collect();
            let probabilities = numbers.map_err(|_| "a probability is no number")?;
            covers.push(Answered { path: record[0].into(), hash: record[1].to_owned(), label, probabilities });
        }
        Ok(Self { labels, covers })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_comes_back_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("test-predictions.csv");
        let answered = |path: &str, label, probabilities: &[f32]| Answered {
            path: path.into(),
            hash: "5a".repeat(32),
            label,
            probabilities: probabilities.to_vec(),
        };
        let covers = vec![answered("a, b/\"c\".jpg", 1, &[1.0 / 3.0, 2.0 / 3.0]), answered("d.png", 0, &[1e-30, 1.0])];
        let predictions = Predictions { labels: vec!["R&B, Soul".into(), "label".into()], covers };
        predictions.write(&path).unwrap();
        assert_eq!(Predictions::read(&path).unwrap(), predictions);
        assert!(std::fs::read_to_string(&path).unwrap().starts_with("path,hash,label,predicted,\"p(R&B, Soul)\","));
        for wrong in
            ["a,b\n", "path,hash,label,predicted,p(x)\nf,0,y,x,0.5\n", "path,hash,label,predicted,p(x)\nf,0,x,x,?\n"]
        {
            std::fs::write(&path, wrong).unwrap();
            assert_eq!(Predictions::read(&path).unwrap_err().exit_code(), 2, "{wrong}");
        }
    }
}
