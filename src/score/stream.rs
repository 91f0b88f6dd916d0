//! Answers to any number of pictures as they come: decoding on all cores beside the device, memory that does not grow with them.
//!
//! One thread goes through the list and hands each picture to the cores. The calling thread takes them in their order, fills a
//! batch, and starts it before it waits for the one before. So the device has its next batch when it is done with one, and a list of
//! a million names needs no more memory than one of a hundred.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use blake3::Hash;
use gatefold_engine::plan::Ticket;

use crate::data::source::listing::Pixels;
use crate::data::{Item, Listing, Pipeline, picture};
use crate::panics::caught;
use crate::score::evaluate::{BATCH, check_labels};
use crate::score::model::{Inference, Model, mirror};
use crate::{Error, Result};

/// How to answer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Shows the network each picture mirrored too, and takes the means.
    pub mirrored: bool,
    /// Gives features too.
    pub features: bool,
}

/// What a network says of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    pub logits: Vec<f32>,
    /// In the order of the network's labels.
    pub probabilities: Vec<f32>,
    /// The mean over the cells of the map that the trunk ends in; empty unless asked for.
    pub features: Vec<f32>,
    /// BLAKE3 of the square that the network saw: two files of the same picture have the same.
    pub picture: Hash,
}

/// How long what took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// Pictures that were answered.
    pub pictures: usize,
    /// From the first picture asked for to the last one answered.
    pub whole: Duration,
    /// Of all cores together, from files to squares.
    pub decoding: Duration,
    pub cores: usize,
    /// While no picture was ready and the device had nothing to do, or soon would have.
    pub waited_for_pictures: Duration,
    /// While pictures were ready and the device was at work or busy taking them.
    pub waited_for_device: Duration,
}

/// Pictures that are decoded or decoded already and not yet in a batch, in batches: one that is ready when a batch is full, and one
/// for pictures that take longer than others.
const AHEAD: usize = 2;

/// Pictures that cannot be read in a row, in batches, after which what is ready is sent off so that they do not pile up.
const PILED: usize = 4;

/// How long the list may give nothing before those that wait are answered in a batch that is not full: somebody who types names, or a
/// program that writes one when it has one, wants the answer to it.
const PATIENCE: Duration = Duration::from_millis(200);

/// A square with its hash, or why there is none.
type Square = std::result::Result<(Vec<u8>, Hash), String>;

/// Answers for all pictures of a list, in its order: the means of these networks' probabilities and logits. `take` gets each with its answer, or with the reason why there is none, and may
/// end it.
///
/// The bits of an answer do not depend on which pictures share its batch.
///
/// # Errors
/// Those of the list and of `take`, [`Error::Input`] if the networks have other classes or see pictures otherwise, and [`Error::Run`]
/// if the device fails or an answer is not finite.
pub fn answer(
    models: &[Model],
    listing: Listing,
    options: Options,
    mut take: impl FnMut(Item, std::result::Result<Answer, String>) -> Result<ControlFlow<()>>,
) -> Result<Timing> {
    let views = if options.mirrored { 2 } else { 1 };
    let most = listing.count.map_or(BATCH, |count| (count * views).clamp(views, BATCH));
    let Some(model) = models.first() else { return Err(Error::input("there is no network to answer")) };
    check_labels(models)?;
    let pictures = |model: &Model| (model.picture_size(), model.pipeline());
    if let Some(other) = models.iter().find(|other| pictures(other) != pictures(model)) {
        let (first, second) = (model.picture_size(), other.picture_size());
        return Err(Error::input(format!(
            "networks that answer together must see the same pictures: one takes them {first} px wide, another {second}, or makes them \
             square otherwise"
        )));
    }
    let mut inferences = vec![];
    let mut most = most;
    for model in models {
        let inference = model.inference_that_fits(most, options.features)?;
        most = inference.batch();
        inferences.push(inference);
    }
    if most < views {
        return Err(Error::input(
            "the adapter has no room for a picture and its mirror image at a time; leave --tta out",
        ));
    }
    let start = Instant::now();
    let decoding = Arc::new(AtomicU64::new(0));
    let cores = rayon::current_num_threads();
    let ahead = AHEAD * most + cores;
    let pictures = squares(listing, model.picture_size(), model.pipeline(), ahead, &decoding);
    let mut device = Device::new(model, inferences, most, views);
    let mut timing = Timing { cores, ..Timing::default() };
    let mut answered = 0;
    let mut hand = |item: Item, answer: std::result::Result<Answer, String>| {
        answered += usize::from(answer.is_ok());
        take(item, answer)
    };
    let outcome = (|| {
        loop {
            let asked = Instant::now();
            // Only the list is short of time here: decoding is waited for below.
            let next = match pictures.recv_timeout(PATIENCE) {
                Ok(next) => next,
                Err(RecvTimeoutError::Timeout) => match device.finish(&mut hand)? {
                    ControlFlow::Continue(()) => continue,
                    ControlFlow::Break(()) => return Ok(()),
                },
                Err(RecvTimeoutError::Disconnected) => break,
            };
            let (item, square) = next?;
            // Whoever was to decode it has given up if nothing comes.
            let square = square.recv().unwrap_or_else(|_| Err("damaged (the decoder gave up on it)".to_owned()));
            timing.waited_for_pictures += asked.elapsed();
            device.add(item, square);
            if device.is_full() && device.go_on(&mut hand)?.is_break() {
                return Ok(());
            }
        }
        device.finish(&mut hand).map(drop)
    })();
    timing.waited_for_device = device.waited;
    timing.pictures = answered;
    timing.whole = start.elapsed();
    timing.decoding = Duration::from_nanos(decoding.load(Ordering::Relaxed));
    outcome.map(|()| timing)
}

/// What is in the works: a picture, and where its square will come from.
type InTheWorks = Result<(Item, Receiver<Square>)>;

/// Decodes on all cores, at most `ahead` pictures more than were taken.
fn squares(
    listing: Listing,
    size: u32,
    pipeline: Pipeline,
    ahead: usize,
    decoding: &Arc<AtomicU64>,
) -> Receiver<InTheWorks> {
    let (send, receive): (SyncSender<InTheWorks>, _) = sync_channel(ahead);
    let decoding = Arc::clone(decoding);
    // Nobody waits for this thread: it may stand before a standard input that never ends.
    std::thread::spawn(move || {
        for item in listing.items {
            let (done, square) = sync_channel(1);
            let job = item.as_ref().ok().map(|item| (item.path.clone(), item.pixels.clone()));
            // The other end is gone when enough was seen, or after an error.
            if send.send(item.map(|item| (item, square))).is_err() {
                return;
            }
            let Some((path, pixels)) = job else { return };
            let decoding = Arc::clone(&decoding);
            rayon::spawn_fifo(move || {
                let start = Instant::now();
                let square = caught(|| match pixels {
                    Pixels::File => picture::load(&path, size, pipeline)
                        .map(|picture| picture.pixels.into_raw())
                        .map_err(|bad| bad.reason),
                    Pixels::Packed(dataset, place) => {
                        dataset.pack.image(place).map(<[u8]>::to_vec).map_err(|e| e.to_string())
                    }
                    Pixels::None(reason) => Err(reason),
                });
                let square = square.map(|square| {
                    square.map(|square| {
                        let hash = blake3::hash(&square);
                        (square, hash)
                    })
                });
                decoding.fetch_add(start.elapsed().as_nanos() as u64, Ordering::Relaxed);
                // Without a square the other end is told that there is none.
                let _ = square.map(|square| done.send(square));
            });
        }
    });
    receive
}

/// Pictures in their order, those without a square among them.
#[derive(Default)]
struct Queue {
    items: Vec<(Item, Option<String>)>,
    /// Hashes of the squares of those that have one.
    squares: Vec<Hash>,
}

/// Batches on their way: one that is filled, and at most one that the device works on.
struct Device<'a> {
    /// The first; the others see pictures as it does.
    model: &'a Model,
    inferences: Vec<Inference>,
    /// Pictures at a time, mirrored ones counted.
    batch: usize,
    views: usize,
    bytes: Vec<u8>,
    filling: Queue,
    /// A ticket of each network, none if there are no pictures to look at.
    started: VecDeque<(Vec<Ticket>, Queue)>,
    waited: Duration,
}

impl<'a> Device<'a> {
    fn new(model: &'a Model, inferences: Vec<Inference>, batch: usize, views: usize) -> Self {
        let most = inferences.iter().map(|inference| inference.bytes().0).max().unwrap_or_default();
        let (bytes, filling, started) = (vec![0; most], Queue::default(), VecDeque::new());
        Self { model, inferences, batch, views, bytes, filling, started, waited: Duration::ZERO }
    }

    fn add(&mut self, item: Item, square: Square) {
        let Queue { items, squares } = &mut self.filling;
        match square {
            Err(reason) => items.push((item, Some(reason))),
            Ok((square, hash)) => {
                let each = square.len();
                let place = squares.len() * self.views * each;
                self.bytes[place..][..each].copy_from_slice(&square);
                if self.views > 1 {
                    mirror(&square, self.model.picture_size() as usize, &mut self.bytes[place + each..][..each]);
                }
                squares.push(hash);
                items.push((item, None));
            }
        }
    }

    fn is_full(&self) -> bool {
        let Queue { items, squares } = &self.filling;
        (squares.len() + 1) * self.views > self.batch || items.len() >= PILED * self.batch
    }

    /// Starts what was filled, and hands out the batch that was started before it; or, if nothing was filled, the last one.
    fn go_on(
        &mut self,
        hand: &mut impl FnMut(Item, std::result::Result<Answer, String>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        let more = !self.filling.items.is_empty();
        if more {
            let queue = std::mem::take(&mut self.filling);
            // Software adapters compute while a batch is handed to them.
            let asked = Instant::now();
            let mut tickets = vec![];
            for inference in self.inferences.iter_mut().filter(|_| !queue.squares.is_empty()) {
                tickets.push(inference.submit(&self.bytes[..inference.bytes().0])?);
            }
            self.waited += asked.elapsed();
            self.started.push_back((tickets, queue));
        }
        if more && self.started.len() < 2 {
            return Ok(ControlFlow::Continue(()));
        }
        let Some((tickets, queue)) = self.started.pop_front() else { return Ok(ControlFlow::Continue(())) };
        let asked = Instant::now();
        let answers = self.answers(tickets, &queue.squares)?;
        self.waited += asked.elapsed();
        let mut answers = answers.into_iter();
        for (item, fault) in queue.items {
            let answer = match fault {
                Some(reason) => Err(reason),
                None => answers.next().ok_or_else(|| "the device gave no answer".to_owned()),
            };
            if hand(item, answer)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// Hands out all that was filled or started.
    fn finish(
        &mut self,
        hand: &mut impl FnMut(Item, std::result::Result<Answer, String>) -> Result<ControlFlow<()>>,
    ) -> Result<ControlFlow<()>> {
        while !(self.filling.items.is_empty() && self.started.is_empty()) {
            if self.go_on(hand)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What all networks say of a batch that was started; nothing, if it was not.
    fn answers(&self, tickets: Vec<Ticket>, pictures: &[Hash]) -> Result<Vec<Answer>> {
        let said =
            self.inferences.iter().zip(tickets).map(|(inference, ticket)| self.said(inference, ticket, pictures));
        let mut said = said.collect::<Result<Vec<_>>>()?;
        if said.len() < 2 {
            return Ok(said.pop().unwrap_or_default());
        }
        let together = |place: usize, of: fn(&Answer) -> &Vec<f32>| {
            let rows: Vec<f32> = said.iter().flat_map(|answers| of(&answers[place])).copied().collect();
            mean(&rows, rows.len() / said.len())
        };
        let answer = |(place, &picture): (usize, &Hash)| Answer {
            logits: together(place, |answer| &answer.logits),
            probabilities: together(place, |answer| &answer.probabilities),
            features: together(place, |answer| &answer.features),
            picture,
        };
        Ok(pictures.iter().enumerate().map(answer).collect())
    }

    /// What one of the networks says.
    fn said(&self, inference: &Inference, ticket: Ticket, pictures: &[Hash]) -> Result<Vec<Answer>> {
        let (outputs, labels) = (inference.outputs(), self.model.header.labels.len());
        let (logits, features) = inference.answers(ticket, pictures.len() * self.views)?;
        let (probabilities, width) = (inference.probabilities(&logits), inference.features());
        let mut features = features.chunks(width.max(1) * self.views);
        let of_views = logits.chunks(outputs * self.views).zip(probabilities.chunks(labels * self.views));
        Ok(of_views
            .zip(pictures)
            .map(|((logits, probabilities), &picture)| Answer {
                logits: mean(logits, outputs),
                probabilities: mean(probabilities, labels),
                features: features.next().map_or_else(Vec::new, |features| mean(features, width)),
                picture,
            })
            .collect())
    }
}

/// The mean of rows of `each` numbers.
fn mean(rows: &[f32], each: usize) -> Vec<f32> {
    let count = rows.len() / each.max(1);
    if count == 1 {
        return rows.to_vec();
    }
    let sum = |place: usize| rows.iter().skip(place).step_by(each).map(|&v| f64::from(v)).sum::<f64>();
    (0..each).map(|place| (sum(place) / count as f64) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_squares_and_means() {
        let square: Vec<u8> = (0..12).collect();
        let mut mirrored = vec![0; 12];
        mirror(&square, 2, &mut mirrored);
        assert_eq!(mirrored, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        assert_eq!(mean(&[1.0, 0.25, 3.0, 0.75], 2), [2.0, 0.5]);
        assert_eq!(mean(&[0.1, 0.2], 2), [0.1, 0.2]);
    }
}
