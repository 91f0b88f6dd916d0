//! The thread that owns the network and the adapter: answers questions in batches, draws heat maps, and between them looks at the training
//! covers.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use blake3::Hash;
use tokio::sync::oneshot;

use super::limits::EXPLAINERS;
use super::training::Training;
use crate::explain::{Explainer, Explanation, Method};
use crate::score::model::{Inference, Model};
use crate::score::stream::Answer;
use crate::{Error, Result};

/// Pictures that are answered together at most.
pub const BATCH: usize = 32;

/// How long the device may be busy with training covers while a question could come.
const ASIDE: Duration = Duration::from_millis(100);

/// A question, and whom to answer. Who does not wait any more has dropped the other end.
pub enum Job {
    Predict(Ask, oneshot::Sender<Result<Answer>>),
    Explain(Box<Map>, oneshot::Sender<Result<Explanation>>),
}

/// What the network takes a picture for.
pub struct Ask {
    /// RGB bytes, the model's picture size squared x 3.
    pub square: Vec<u8>,
    pub picture: Hash,
}

/// Where the network looked.
pub struct Map {
    pub square: Vec<u8>,
    pub method: Method,
    /// One of the network's.
    pub layer: String,
    /// `None` takes the predicted one.
    pub class: Option<usize>,
}

/// A question that waits for its answer.
type Waiting<Q, A> = (Q, oneshot::Sender<Result<A>>);

/// The device with all that it works on.
pub struct Device {
    jobs: Receiver<Job>,
    model: Model,
    /// Plans for 1, 2, 4, … pictures at a time, as they were needed. The last is the largest that the adapter has room for.
    plans: Vec<Inference>,
    /// No larger plan is tried.
    largest: usize,
    /// The last used first. Score-CAM's has a plan more.
    explainers: VecDeque<((String, bool), Explainer)>,
    training: Option<Arc<Training>>,
    /// What a picture took when training covers were looked at last.
    each: Duration,
    predicts: VecDeque<Waiting<Ask, Answer>>,
    maps: VecDeque<Waiting<Box<Map>, Explanation>>,
}

impl Device {
    /// With a plan for single pictures, so that an adapter without room for it is known at once.
    ///
    /// # Errors
    /// [`Error::Input`] if there is none.
    pub fn new(model: Model, training: Option<Arc<Training>>, jobs: Receiver<Job>) -> Result<Self> {
        let plans = vec![model.inference_that_fits(1, true)?];
        Ok(Self {
            jobs,
            model,
            plans,
            largest: BATCH,
            explainers: VecDeque::new(),
            training,
            each: ASIDE,
            predicts: VecDeque::new(),
            maps: VecDeque::new(),
        })
    }

    /// Works until nobody can ask any more.
    pub fn work(mut self) {
        while self.listen() {
            if !self.predicts.is_empty() {
                self.predict();
            }
            if let Some((map, reply)) = self.maps.pop_front() {
                let explained = self.explain(&map, &reply);
                // If nobody waits any more, it is as well.
                let _ = reply.send(explained);
            }
        }
    }

    /// Takes all questions that wait; if there are none and nothing else is to be done, waits for one. False if none will come.
    fn listen(&mut self) -> bool {
        loop {
            match self.jobs.try_recv() {
                Ok(job) => self.take(job),
                Err(TryRecvError::Disconnected) => return false,
                Err(TryRecvError::Empty) if !(self.predicts.is_empty() && self.maps.is_empty()) => return true,
                Err(TryRecvError::Empty) if self.training.is_some() => self.look_aside(),
                Err(TryRecvError::Empty) => match self.jobs.recv() {
                    Ok(job) => self.take(job),
                    Err(_) => return false,
                },
            }
        }
    }

    fn take(&mut self, job: Job) {
        match job {
            Job::Predict(ask, reply) => self.predicts.push_back((ask, reply)),
            Job::Explain(map, reply) => self.maps.push_back((map, reply)),
        }
    }

    /// Answers as many of those that wait as make a full batch: of 40 first 32, then 8 together with those that have come since.
    fn predict(&mut self) {
        self.predicts.retain(|(_, reply)| !reply.is_closed());
        let Some(place) = self.plan_for(self.predicts.len()) else { return };
        let count = self.plans[place].batch();
        let batch: Vec<Waiting<Ask, Answer>> = self.predicts.drain(..count).collect();
        let squares: Vec<(&[u8], Hash)> = batch.iter().map(|(ask, _)| (&*ask.square, ask.picture)).collect();
        match self.answers(place, &squares) {
            Ok(answers) => {
                for ((_, reply), answer) in batch.into_iter().zip(answers) {
                    let _ = reply.send(answer);
                }
            }
            Err(e) => {
                for (_, reply) in batch {
                    let _ = reply.send(Err(e.clone()));
                }
            }
        }
    }

    /// The place of the largest plan for at most so many pictures; makes it if it is not there yet. `None` of no pictures.
    fn plan_for(&mut self, count: usize) -> Option<usize> {
        let wanted = count.min(self.largest).checked_ilog2()? as usize;
        while self.plans.len() <= wanted {
            let batch = 1 << self.plans.len();
            match self.model.inference_that_fits(batch, true) {
                Ok(plan) if plan.batch() == batch => self.plans.push(plan),
                // There is no room for more.
                _ => self.largest = batch / 2,
            }
            if batch > self.largest {
                break;
            }
        }
        Some(wanted.min(self.plans.len() - 1))
    }

    /// Answers for a full batch of a plan. One whose numbers are not finite spoils no other.
    fn answers(&mut self, place: usize, squares: &[(&[u8], Hash)]) -> Result<Vec<Result<Answer>>> {
        let plan = &mut self.plans[place];
        let (all, each) = plan.bytes();
        let mut bytes = vec![0; all];
        bytes.chunks_mut(each).zip(squares).for_each(|(to, (square, _))| to[..square.len()].copy_from_slice(square));
        let ticket = plan.submit(&bytes)?;
        let (outputs, width, labels) = (plan.outputs(), plan.features(), self.model.header.labels.len());
        let (logits, features) = match plan.answers(ticket, squares.len()) {
            Ok(numbers) => numbers,
            // Each by itself, to find the one.
            Err(_) if squares.len() > 1 => {
                let alone = |square| self.answers(0, std::slice::from_ref(square)).map(|mut one| one.remove(0));
                return Ok(squares.iter().map(alone).map(|one| one.and_then(|one| one)).collect());
            }
            Err(e) => return Err(e),
        };
        let rows = plan.probabilities(&logits);
        let answers = logits.chunks(outputs).zip(rows.chunks(labels)).zip(features.chunks(width)).zip(squares);
        Ok(answers
            .map(|(((logits, probabilities), features), (_, picture))| {
                let [logits, probabilities, features] = [logits, probabilities, features].map(<[f32]>::to_vec);
                Ok(Answer { logits, probabilities, features, picture: *picture })
            })
            .collect())
    }

    fn explain(&mut self, map: &Map, reply: &oneshot::Sender<Result<Explanation>>) -> Result<Explanation> {
        if reply.is_closed() {
            return Err(Error::run("the question was withdrawn"));
        }
        let key = (map.layer.clone(), map.method == Method::ScoreCam);
        let place = self.explainers.iter().position(|(of, _)| *of == key);
        let (key, mut explainer) = match place.and_then(|place| self.explainers.remove(place)) {
            Some(kept) => kept,
            None => {
                // Before another one is made, so that there are never more.
                self.explainers.truncate(EXPLAINERS - 1);
                (key, Explainer::with_methods(&self.model, &[map.method], Some(&map.layer))?)
            }
        };
        let done = explainer.explain_by(&[map.method], &map.square, map.class, &|| !reply.is_closed());
        self.explainers.push_front((key, explainer));
        done?.pop().ok_or_else(|| Error::run("no method to explain by"))
    }

    /// Looks at the next few training covers. Should that fail, nearest covers are done without.
    fn look_aside(&mut self) {
        let Some(training) = self.training.clone() else { return };
        let count = (ASIDE.as_nanos() / self.each.as_nanos().max(1)).clamp(1, BATCH as u128) as usize;
        let start = Instant::now();
        let looked = (|| {
            let mut squares = training.next(count)?;
            let place = self.plan_for(squares.len()).unwrap_or(0);
            squares.truncate(self.plans[place].batch());
            let found: Result<Vec<Answer>> = self.answers(place, &squares)?.into_iter().collect();
            training.add(&found?);
            Ok::<_, Error>(squares.len())
        })();
        match looked {
            Ok(count) => self.each = start.elapsed() / count.max(1) as u32,
            Err(e) => training.give_up(&e),
        }
        if training.is_done() || training.has_given_up() {
            self.training = None;
        }
    }
}
