//! The covers that the network was trained on: those nearest to one that was asked about, and what they look like.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

use axum::body::Bytes;
use image::imageops::{self, FilterType};
use serde::Serialize;

use super::limits::THUMBNAILS;
use crate::data::{Dataset, Split};
use crate::report::page;
use crate::score::similar::Index;
use crate::score::stream::Answer;
use crate::{Error, Result};

/// The side of a thumbnail, in pixels, unless its square is smaller.
const SIDE: u32 = 192;
/// Of JPEGs, from 1 to 100.
pub const QUALITY: u8 = 85;

/// The training covers of a run's data set.
pub struct Training {
    dataset: Arc<Dataset>,
    /// Their numbers in the data set, in the order in which the device looks at them.
    covers: Vec<usize>,
    /// How many are shown beside an answer.
    most: usize,
    /// Those that were looked at.
    index: RwLock<Index>,
    /// Why no more of them can be.
    fault: OnceLock<String>,
    thumbnails: Mutex<Thumbnails>,
    /// The columns that tell whose a cover is, if the data set has them.
    artist: Option<usize>,
    album: Option<usize>,
}

/// What is known of a training cover that is near.
#[derive(Debug, Serialize)]
pub struct Near {
    /// Where it can be seen.
    picture: String,
    /// The cosine between what the network sees in both.
    similarity: f32,
    label: String,
    artist: String,
    album: String,
}

/// How far the device has come with the training covers.
#[derive(Debug, Serialize)]
pub struct Progress {
    done: usize,
    covers: usize,
    /// Why no more of them can be looked at.
    error: Option<String>,
}

impl Training {
    /// Of a data set, if it has training covers and `most`, of which so many are shown, is not 0.
    pub fn new(dataset: &Arc<Dataset>, most: usize) -> Option<Self> {
        let covers = dataset.manifest.indices(Split::Train);
        if most == 0 || covers.is_empty() {
            return None;
        }
        let columns = &dataset.manifest.group_columns;
        let column = |name: &str| columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        Some(Self {
            covers,
            most,
            index: RwLock::default(),
            fault: OnceLock::new(),
            thumbnails: Mutex::default(),
            artist: column("artist"),
            album: column("album"),
            dataset: Arc::clone(dataset),
        })
    }

    /// The squares of the next covers to look at, at most so many, with their hashes.
    ///
    /// # Errors
    /// [`Error::Input`] if one is damaged.
    pub fn next(&self, most: usize) -> Result<Vec<(&[u8], blake3::Hash)>> {
        let done = self.progress().done;
        let next = self.covers[done..].iter().take(most);
        next.map(|&cover| Ok((self.dataset.pack.image(cover)?, self.dataset.pack.hash(cover)))).collect()
    }

    /// Adds what the network sees in the covers that were next.
    pub fn add(&self, answers: &[Answer]) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        answers.iter().for_each(|answer| index.add(answer));
    }

    pub fn progress(&self) -> Progress {
        let done = self.index.read().unwrap_or_else(PoisonError::into_inner).len();
        Progress { done, covers: self.covers.len(), error: self.fault.get().cloned() }
    }

    /// No more covers are looked at.
    pub fn give_up(&self, why: &Error) {
        let _ = self.fault.set(why.to_string());
    }

    pub fn has_given_up(&self) -> bool {
        self.fault.get().is_some()
    }

    /// Whether the device has looked at all of them.
    pub fn is_done(&self) -> bool {
        let Progress { done, covers, .. } = self.progress();
        done == covers
    }

    /// The nearest, and whether the picture itself is among them; none until all were looked at.
    pub fn nearest(&self, answer: &Answer) -> Option<(Vec<Near>, bool)> {
        if !self.is_done() {
            return None;
        }
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let (nearest, itself) = index.nearest(answer, self.most);
        let manifest = &self.dataset.manifest;
        let near = |(place, similarity): (usize, f32)| {
            let number = self.covers[place];
            let cover = &manifest.covers[number];
            let group = |column: Option<usize>| column.map_or("", |column| cover.strings.group(column)).to_owned();
            Near {
                picture: format!("/api/cover/{number}"),
                similarity,
                label: manifest.classes[cover.label].clone(),
                artist: group(self.artist),
                album: group(self.album),
            }
        };
        Some((nearest.into_iter().map(near).collect(), itself))
    }

    /// A training cover as a JPEG, by its number in the data set; none if that is no training cover's.
    ///
    /// # Errors
    /// [`Error::Input`] if it is damaged.
    pub fn thumbnail(&self, number: usize) -> Result<Option<Bytes>> {
        // They are in ascending order.
        if self.covers.binary_search(&number).is_err() {
            return Ok(None);
        }
        let kept = || self.thumbnails.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = kept().of.get(&number) {
            return Ok(Some(found.clone()));
        }
        let square = self.dataset.pack.picture(number)?;
        let small =
            if square.width() > SIDE { imageops::resize(&square, SIDE, SIDE, FilterType::CatmullRom) } else { square };
        let made = Bytes::from(page::jpeg_bytes(&small, QUALITY)?);
        kept().keep(number, made.clone());
        Ok(Some(made))
    }
}

/// The last ones that were made.
#[derive(Default)]
struct Thumbnails {
    of: HashMap<usize, Bytes>,
    order: VecDeque<usize>,
}

impl Thumbnails {
    fn keep(&mut self, number: usize, made: Bytes) {
        // Two may have made the same.
        if self.of.insert(number, made).is_none() {
            self.order.push_back(number);
        }
        if self.order.len() > THUMBNAILS
            && let Some(oldest) = self.order.pop_front()
        {
            self.of.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_thumbnails_are_kept_and_no_more() {
        let mut kept = Thumbnails::default();
        for number in (0..1000).chain([999, 999]) {
            kept.keep(number, Bytes::new());
        }
        assert_eq!((kept.of.len(), kept.order.len()), (THUMBNAILS, THUMBNAILS));
        assert!(kept.of.contains_key(&999) && kept.of.contains_key(&(1000 - THUMBNAILS)) && !kept.of.contains_key(&0));
    }
}
