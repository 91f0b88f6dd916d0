//! What a network answers for each cover of a set, as a table that spreadsheets open: `test-predictions.csv`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::data::{Cover, Dataset};
use crate::file::write_atomically;
use crate::score::features::Features;
use crate::score::metrics::{Answer, Metrics, WHOLE, is_probability};
use crate::score::model::Inference;
use crate::{Error, Result};

/// Of more than [`WHOLE`] classes so many are kept for each cover: covers times classes may be too much for memory and disk.
const TOP: usize = 5;

/// The answers for a set of covers.
#[derive(Clone, Debug, PartialEq)]
pub struct Predictions {
    /// Class names, in the order of the network's outputs.
    pub labels: Vec<String>,
    pub covers: Vec<Answered>,
}

/// The answer for one cover.
#[derive(Clone, Debug, PartialEq)]
pub struct Answered {
    pub path: PathBuf,
    /// BLAKE3 of the picture file, by which the same cover is known in another run.
    pub hash: String,
    pub answer: Answer,
    /// What the table has of it.
    kept: Kept,
}

/// The probabilities that are kept of an answer.
#[derive(Clone, Debug, PartialEq)]
enum Kept {
    /// Of each class, in the order of the outputs.
    All(Vec<f32>),
    /// Of the most probable classes, the most probable first, then in the order of the outputs.
    Top(Vec<(usize, f32)>),
}

impl Answered {
    /// From the true class and one probability for each class.
    ///
    /// # Errors
    /// The reason, if they are no probabilities.
    pub(crate) fn new(path: PathBuf, hash: String, label: usize, row: &[f32]) -> Result<Self, String> {
        let answer = Answer::new(label, row)?;
        let kept = if row.len() <= WHOLE { Kept::All(row.to_vec()) } else { Kept::Top(top(row)) };
        Ok(Self { path, hash, answer, kept })
    }
}

impl Answered {
    /// Classes and their probabilities, as far as they were kept: of all classes, or of the true one and the most probable ones.
    pub fn probabilities(&self) -> Vec<(usize, f32)> {
        match &self.kept {
            Kept::All(row) => row.iter().copied().enumerate().collect(),
            Kept::Top(top) => {
                let Answer { label, truth, .. } = self.answer;
                let others = top.iter().copied().filter(|&(class, _)| class != label);
                others.chain([(label, truth)]).collect()
            }
        }
    }
}

/// The most probable classes, the first of equals first.
fn top(row: &[f32]) -> Vec<(usize, f32)> {
    let mut top: Vec<(usize, f32)> = Vec::with_capacity(TOP + 1);
    for (class, &p) in row.iter().enumerate() {
        let place = top.partition_point(|&(_, better)| better >= p);
        if place < TOP {
            top.insert(place, (class, p));
            top.truncate(TOP);
        }
    }
    top
}

/// Columns before those of the classes, whose names are `p(CLASS)`.
const COLUMNS: [&str; 4] = ["path", "hash", "label", "predicted"];

/// The column names of a table of `labels`: of each class's probability, or, of many classes, of the true class's and of the most
/// probable ones.
fn columns(labels: &[String], all: bool) -> Vec<String> {
    let mut columns = COLUMNS.map(str::to_owned).to_vec();
    if all {
        columns.extend(labels.iter().map(|label| format!("p({label})")));
    } else {
        columns.push("label_probability".to_owned());
        columns.extend((1..=TOP).flat_map(|i| [format!("class_{i}"), format!("probability_{i}")]));
    }
    columns
}

impl Predictions {
    /// Whether these are the answers for the covers at `places`, in that order.
    pub fn are_of(&self, covers: &[Cover], places: &[usize]) -> bool {
        let hash = |&place: &usize| covers.get(place).map(|cover| cover.hash.to_string());
        self.covers.iter().map(|cover| Some(cover.hash.clone())).eq(places.iter().map(hash))
    }

    /// What a network answers for the covers `indices` of a data set with its classes, `labels`, and its picture size. Only what is
    /// kept of an answer stays in memory. `no_number` is the error for an answer that is not finite.
    ///
    /// # Errors
    /// [`Error::Run`] if the device fails, [`Error::Input`] if a picture is damaged, and `no_number`'s.
    pub fn of(
        inference: &mut Inference,
        dataset: &Dataset,
        indices: &[usize],
        labels: &[String],
        no_number: impl Fn(&Path) -> Error,
    ) -> Result<Self> {
        let pictures = dataset.pack.images(indices)?;
        Self::collected(inference.as_probabilities(), dataset, indices, labels, no_number, |take| {
            inference.batches(pictures.into_iter(), take)
        })
    }

    /// Like [`Self::of`], from what the network's frozen layers made of the covers.
    ///
    /// # Errors
    /// As there.
    pub fn of_features(
        inference: &mut Inference,
        features: &Features,
        dataset: &Dataset,
        indices: &[usize],
        labels: &[String],
        no_number: impl Fn(&Path) -> Error,
    ) -> Result<Self> {
        Self::collected(inference.as_probabilities(), dataset, indices, labels, no_number, |take| {
            inference.batches_of(features, indices, take)
        })
    }

    /// `run` hands over the logits of the covers, in their order.
    fn collected(
        as_probabilities: impl Fn(&[f32]) -> Vec<f32>,
        dataset: &Dataset,
        indices: &[usize],
        labels: &[String],
        no_number: impl Fn(&Path) -> Error,
        run: impl FnOnce(&mut dyn FnMut(&[f32]) -> Result<()>) -> Result<()>,
    ) -> Result<Self> {
        let mut covers = Vec::with_capacity(indices.len());
        let mut left = indices.iter().map(|&i| &dataset.manifest.covers[i]);
        run(&mut |logits| {
            let rows = as_probabilities(logits);
            let rows = rows.chunks(labels.len());
            let outputs = logits.len() / rows.len().max(1);
            for ((logits, row), cover) in logits.chunks(outputs.max(1)).zip(rows).zip(&mut left) {
                let path = cover.strings.path();
                if logits.iter().any(|v| !v.is_finite()) {
                    return Err(no_number(path));
                }
                let answered = Answered::new(path.to_owned(), cover.hash.to_string(), cover.label, row);
                covers.push(answered.map_err(|why| Error::run(format!("{}: {why}", path.display())))?);
            }
            Ok(())
        })?;
        Ok(Self { labels: labels.to_vec(), covers })
    }

    /// Whether `other` is of the same covers, in the same order, and of the same classes.
    pub fn is_of(&self, other: &Self) -> bool {
        self.labels == other.labels
            && self.covers.iter().map(|cover| &cover.hash).eq(other.covers.iter().map(|cover| &cover.hash))
    }

    /// The means of several networks' probabilities for the same covers, or of one network's for several views of them.
    ///
    /// # Errors
    /// The reason, if they are of other covers or classes, or of too many classes: of more than [`WHOLE`] not all are kept.
    pub fn mean(all: &[Self]) -> Result<Self, String> {
        let Some((first, others)) = all.split_first() else {
            return Err("there is nothing to take a mean of".to_owned());
        };
        if others.is_empty() {
            return Ok(first.clone());
        }
        if !others.iter().all(|other| first.is_of(other)) {
            return Err("they are not of the same covers and classes".to_owned());
        }
        let mut covers = Vec::with_capacity(first.covers.len());
        let mut row = vec![0.0; first.labels.len()];
        for (place, cover) in first.covers.iter().enumerate() {
            row.fill(0.0_f64);
            for of in all {
                let Kept::All(probabilities) = &of.covers[place].kept else {
                    return Err(format!("of more than {WHOLE} classes not all probabilities are kept"));
                };
                row.iter_mut().zip(probabilities).for_each(|(sum, &p)| *sum += f64::from(p));
            }
            let mean: Vec<f32> = row.iter().map(|sum| (sum / all.len() as f64) as f32).collect();
            covers.push(Answered::new(cover.path.clone(), cover.hash.clone(), cover.answer.label, &mean)?);
        }
        Ok(Self { labels: first.labels.clone(), covers })
    }

    /// The answers, cover after cover.
    pub fn answers(&self) -> Vec<Answer> {
        self.covers.iter().map(|cover| cover.answer).collect()
    }

    /// The answers as bytes, for another process with the same data set.
    pub fn packed(&self) -> Vec<u8> {
        let mut words: Vec<u32> = vec![];
        for cover in &self.covers {
            match &cover.kept {
                Kept::All(row) => words.extend(row.iter().map(|p| p.to_bits())),
                Kept::Top(top) => {
                    let Answer { confidence, truth, second, .. } = cover.answer;
                    words.extend([confidence, truth, second].map(f32::to_bits));
                    words.extend(top.iter().flat_map(|&(class, p)| [class as u32, p.to_bits()]));
                }
            }
        }
        bytemuck::cast_slice(&words).to_vec()
    }

    /// What [`Self::packed`] made of the answers for the covers `indices` of a data set with the classes `labels`.
    ///
    /// # Errors
    /// [`Error::Run`] if it is not of so many covers and classes.
    pub fn unpacked(bytes: &[u8], dataset: &Dataset, indices: &[usize], labels: &[String]) -> Result<Self> {
        let whole = labels.len() <= WHOLE;
        let each = if whole { labels.len() } else { 3 + 2 * TOP };
        let words: Vec<u32> = bytemuck::pod_collect_to_vec(bytes);
        if words.len() != each * indices.len() {
            return Err(Error::run("the ranks' answers are not those for the covers"));
        }
        let rows = words.chunks(each.max(1)).zip(indices);
        let answered = rows.map(|(row, &index)| {
            let cover = &dataset.manifest.covers[index];
            let (path, hash, label) = (cover.strings.path().to_owned(), cover.hash.to_string(), cover.label);
            if whole {
                let row: Vec<f32> = row.iter().copied().map(f32::from_bits).collect();
                return Answered::new(path, hash, label, &row).map_err(Error::run);
            }
            let [confidence, truth, second] = [row[0], row[1], row[2]].map(f32::from_bits);
            let top: Vec<_> = row[3..].chunks(2).map(|pair| (pair[0] as usize, f32::from_bits(pair[1]))).collect();
            let answer = Answer { label, predicted: top[0].0, confidence, truth, second };
            Ok(Answered { path, hash, answer, kept: Kept::Top(top) })
        });
        Ok(Self { labels: labels.to_vec(), covers: answered.collect::<Result<_>>()? })
    }

    /// Their score; `training_counts` are the covers of each class in the training set.
    ///
    /// # Errors
    /// As [`Metrics::of`].
    pub fn metrics(&self, training_counts: &[u64]) -> Result<Metrics> {
        Metrics::of(&self.answers(), &self.labels, training_counts)
    }

    /// Writes the table. Probabilities are written with as many digits as bring back the same number. Of more than [`WHOLE`]
    /// classes it has the probabilities of the true class and of the five most probable ones.
    ///
    /// # Errors
    /// As [`cannot_write`](crate::file::cannot_write) says if the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        write_atomically(path, |file| {
            let mut csv = csv::Writer::from_writer(file);
            csv.write_record(columns(&self.labels, self.labels.len() <= WHOLE))?;
            for cover in &self.covers {
                let name = |class: usize| self.labels[class].clone();
                let Answer { label, predicted, truth, .. } = cover.answer;
                let mut row = vec![cover.path.display().to_string(), cover.hash.clone(), name(label), name(predicted)];
                match &cover.kept {
                    Kept::All(probabilities) => row.extend(probabilities.iter().map(ToString::to_string)),
                    Kept::Top(top) => {
                        row.push(truth.to_string());
                        row.extend(top.iter().flat_map(|&(class, p)| [name(class), p.to_string()]));
                    }
                }
                csv.write_record(row)?;
            }
            csv.flush()
        })
    }

    /// Reads a table that [`Self::write`] wrote for these classes. A table with each class's probability is read for any number of
    /// classes: older versions wrote it.
    ///
    /// # Errors
    /// [`Error::Input`] if it is missing, damaged, or of other classes.
    pub fn read(path: &Path, labels: &[String]) -> Result<Self> {
        Self::parse(path, labels).map_err(|why| {
            let path = path.display();
            Error::input(format!("{path}: cannot be read ({why}); delete it, and report makes it anew"))
        })
    }

    fn parse(path: &Path, labels: &[String]) -> Result<Self, String> {
        let mut csv = csv::Reader::from_path(path).map_err(|e| e.to_string())?;
        let head = csv.headers().map_err(|e| e.to_string())?;
        let is = |all: bool| head.iter().eq(columns(labels, all).iter());
        let all = is(true);
        let top = labels.len() > WHOLE && is(false);
        if !(all || top) {
            return Err("its columns are not those of this network's classes".to_owned());
        }
        let places: HashMap<&str, usize> = labels.iter().zip(0..).map(|(label, i)| (label.as_str(), i)).collect();
        let class = |name: &str| places.get(name).copied().ok_or("a label is no class");
        let number = |text: &str| text.parse::<f32>().map_err(|_| "a probability is no number");
        let (mut covers, mut row) = (vec![], Vec::with_capacity(labels.len()));
        for record in csv.records() {
            let record = record.map_err(|e| e.to_string())?;
            let (path, hash, label) = (record[0].into(), record[1].to_owned(), class(&record[2])?);
            if all {
                row.clear();
                for text in record.iter().skip(COLUMNS.len()) {
                    row.push(number(text)?);
                }
                covers.push(Answered::new(path, hash, label, &row)?);
            } else {
                let truth = number(&record[COLUMNS.len()])?;
                let pair = |place: usize| Ok((class(&record[place])?, number(&record[place + 1])?));
                let top: Result<Vec<(usize, f32)>, &str> = (0..TOP).map(|i| pair(COLUMNS.len() + 1 + 2 * i)).collect();
                let top = top?;
                if !top.iter().map(|&(_, p)| p).chain([truth]).all(is_probability) {
                    return Err("a probability is not between 0 and 1".to_owned());
                }
                let (predicted, confidence) = top[0];
                // The second class's own is for two classes only.
                let answer = Answer { label, predicted, confidence, truth, second: 0.0 };
                covers.push(Answered { path, hash, answer, kept: Kept::Top(top) });
            }
        }
        Ok(Self { labels: labels.to_vec(), covers })
    }
}

#[cfg(test)]
mod tests;
