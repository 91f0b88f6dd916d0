//! The training loop: epochs of recorded steps, validation, checkpoints, and the final score.

mod batches;
mod course;
mod ema;
mod rates;
mod scoring;
mod shares;
mod together;
mod totals;
mod within;

use std::mem::swap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gatefold_engine::gpu::{BufferPool, Gpu};
use gatefold_engine::params::ParameterStore;
use gatefold_engine::plan::{Choice, Plan};

use self::course::Course;
use self::ema::Ema;
pub use self::rates::{Rates, Tried};
use self::together::TRAINED;
use self::totals::{Submitted, weight};
use crate::data::set::batch::even_weights;
use crate::data::{Dataset, Epoch, Split};
use crate::ranks::{Ranks, Sum};
use crate::score::metrics::Metrics;
use crate::score::model::Inference;
use crate::train::config::check::{no_validation, warmup_within};
use crate::train::kept::{Kept, Place, feed_epoch};
use crate::train::log::{EpochReport, Line, Log, StepReport};
use crate::train::pretrained::Pretrained;
use crate::train::run::RunFolder;
use crate::train::step::TrainingStep;
use crate::train::tuning::Tuning;
use crate::train::{ClassWeights, Config, LearningRate, Needs, Precision};
use crate::weights::{Best, Checkpoint, FORMAT, Header, LossScale};
use crate::{Error, Result};

/// Hears how training goes.
pub trait Observer {
    /// While what the frozen layers make of covers is computed: covers done, of so many.
    fn keeping(&mut self, _done: usize, _of: usize) {}
    /// After it, or instead: bytes of the training set's, and where they are.
    fn kept(&mut self, _bytes: u64, _place: Place) {}
    /// While learning rates are tried: steps done, of so many; and what was found.
    fn trying_rates(&mut self, _done: usize, _of: usize) {}
    fn found_rate(&mut self, _rate: f32) {}
    /// Where a time was given: minutes, how many epochs they have room for, and what one takes.
    fn fitted(&mut self, _minutes: f64, _epochs: u64, _each: Duration) {}
    /// Before the first step: steps in an epoch, a picture's pixels in each epoch, epochs done already.
    fn start(&mut self, steps: u64, pixels: &[usize], done: u64);
    /// # Errors
    /// Ends the run.
    fn step(&mut self, report: &StepReport) -> Result<()>;
    fn epoch(&mut self, report: &EpochReport, best: bool);
}

/// What training ended with.
pub struct Outcome {
    /// The score of the best checkpoint on the test set; `None` without one.
    pub test: Option<Metrics>,
    pub best: Option<Best>,
    pub seconds: f64,
    /// Epochs done, those before a resumption included.
    pub epochs: u64,
    /// Fewer than were asked for: the best one lies too far back.
    pub stopped_early: bool,
}

/// A run under way.
pub struct Trainer {
    gpu: Arc<Gpu>,
    config: Config,
    run: RunFolder,
    dataset: Arc<Dataset>,
    header: Header,
    store: ParameterStore,
    step: TrainingStep,
    plan: Plan,
    /// Both at the other size, where pictures grow.
    resting: Option<(TrainingStep, Plan)>,
    /// For validation and test; shares the training plan's storage.
    inference: Inference,
    /// What the frozen layers make of covers, where it is kept.
    kept: Option<Arc<Kept>>,
    /// Of the weights of the epochs that [`Config::average`] counts, or of the steps that [`Config::ema`] does.
    mean: Option<Checkpoint>,
    ema: Ema,
    /// Whether to write event files for TensorBoard.
    tensorboard: bool,
    /// When the command began, for a run that is given a time.
    began: Instant,
    /// Those that train it together.
    ranks: Ranks,
    /// The running statistics that all ranks had after the last step; of a process by itself none are kept.
    followed: Vec<f32>,
    /// The gradients of all ranks that are being summed up, with their first words.
    sums: Vec<(usize, Sum)>,
    /// Those of the step before, whose memory the next ones take.
    summed: Vec<Vec<f32>>,
}

impl Trainer {
    /// Chooses the kernels of a recorded step, plans it, and starts from the seed or, with `resume`, from the run's last
    /// checkpoint. A step that was recorded for another number of classes than the data set has is recorded again, and so is one
    /// that is not given.
    ///
    /// # Errors
    /// [`Error::Input`] if the batch does not fit, the checkpoint is of another network or data set, or the settings ask for
    /// what this data set has not.
    pub fn new(
        gpu: &Arc<Gpu>,
        config: Config,
        run: RunFolder,
        dataset: Dataset,
        recorded: Option<TrainingStep>,
        resume: bool,
        tuning: &mut Tuning,
    ) -> Result<Self> {
        let net = config.net_config(dataset.manifest.classes.len());
        if let Some(patience) = config.patience
            && dataset.manifest.indices(Split::Val).is_empty()
        {
            return Err(no_validation(patience));
        }
        let counts = training_counts(&dataset);
        if let Some(class) = counts.iter().position(|&count| count == 0) {
            let (data, class) = (run.data(), &dataset.manifest.classes[class]);
            return Err(Error::input(format!(
                "{}: class `{class}` has no cover in the train set, so nothing could be learnt of it: split the data again, or leave it \
                 out",
                data.display()
            )));
        }
        let step = match recorded.filter(|step| step.net == net) {
            Some(step) => step,
            None => Needs::record(&config, &net, gpu.adapter())?.1,
        };
        let mut header = Header {
            format: FORMAT,
            labels: dataset.manifest.classes.clone(),
            fit: config.fit,
            harmonise: dataset.pack.pipeline().harmonise,
            mean: config.mean,
            std: config.std,
            crop: 1.0,
            step: 0,
            epoch: 0,
            training_counts: counts,
            best: None,
            averaged: 0,
            temperature: 1.0,
            loss_scale: (config.precision == Precision::Mixed).then(LossScale::default),
            fingerprint: dataset.fingerprint(),
            net,
        };
        let store = ParameterStore::for_training(gpu, step.tape.spec(), step.tape.frozen_words())?;
        let mut mean = None;
        if resume {
            let (there, last) = Self::resume(gpu, &run, &store, &header)?;
            (header, mean) = (there, last.kept_mean());
            last.notes().into_iter().chain(dataset.note()).for_each(|note| (tuning.say)(format!("note: {note}")));
        } else {
            store.initialise(gpu, config.seed)?;
        }
        let small = step.at_start(gpu.adapter(), &config)?;
        let tapes: Vec<_> = [Some(&step), small.as_ref()].into_iter().flatten().map(|step| &step.tape).collect();
        let choices = tuning.choices(gpu, &tapes, &run)?;
        let pool = BufferPool::default();
        // Validation keeps to the rule, as `eval` does: both then give the same score.
        let planned = |step: &TrainingStep| Plan::with_choice(gpu, &step.tape, &store, &pool, Choice::Tuned(&choices));
        let plan = planned(&step)?;
        let resting = small.map(|small| planned(&small).map(|plan| (small, plan))).transpose()?;
        let validation = config.validation_batch();
        let inference = match config.freeze.as_ref().filter(|_| !step.held.is_empty()) {
            Some(freeze) => Inference::after(gpu, &header, &store, &pool, validation, freeze)?,
            None => Inference::new(gpu, &header, &store, &pool, validation)?,
        };
        let trainer = Self {
            gpu: Arc::clone(gpu),
            config,
            run,
            dataset: Arc::new(dataset),
            header,
            store,
            step,
            plan,
            resting,
            inference,
            kept: None,
            mean,
            ema: Ema::default(),
            tensorboard: true,
            began: Instant::now(),
            ranks: Ranks::alone(),
            followed: vec![],
            sums: vec![],
            summed: vec![],
        };
        let rates = trainer.learning_rate();
        let (warmup, steps) = (trainer.config.warmup, rates.steps().saturating_sub(rates.start));
        if trainer.config.minutes.is_none() {
            warmup_within(warmup, "has", steps)?;
        }
        Ok(trainer)
    }

    fn resume(gpu: &Gpu, run: &RunFolder, store: &ParameterStore, fresh: &Header) -> Result<(Header, Checkpoint)> {
        let path = run.last();
        if !path.exists() {
            let text = format!(
                "--resume: run {} has no last.safetensors; start a new run with another --out",
                run.root().display()
            );
            return Err(Error::input(text));
        }
        let checkpoint = Checkpoint::read(&path)?;
        let source = checkpoint.source().to_owned();
        let wrong = |what: String| {
            Error::input(format!("--resume: checkpoint {source} {what}; start a new run with another --out"))
        };
        let header = checkpoint.header.clone().ok_or_else(|| wrong("was not written by train".into()))?;
        if header.net.classes != fresh.net.classes {
            return Err(wrong(format!("has {} classes, the data set {}", header.net.classes, fresh.net.classes)));
        }
        if header.net != fresh.net {
            return Err(wrong("is of another network".into()));
        }
        if header.fingerprint != fresh.fingerprint || header.labels != fresh.labels {
            return Err(wrong("was trained on another data set".into()));
        }
        let picture = |header: &Header| (header.mean, header.std, header.crop, header.fit, header.harmonise);
        if picture(&header) != picture(fresh) {
            return Err(wrong("crops or normalises pictures otherwise than the run's config.toml".into()));
        }
        if header.training_counts != fresh.training_counts {
            return Err(wrong("was trained on another data set".into()));
        }
        checkpoint.apply(gpu, store, true)?;
        Ok((header, checkpoint))
    }

    /// Takes over the weights of a file where it has fitting ones; the others start from the seed. Before training.
    pub fn start_from(&self, weights: &Pretrained) -> Result<()> {
        weights.apply(&self.gpu, &self.store)
    }

    /// Leaves out the event files for TensorBoard. Before training.
    pub fn without_tensorboard(&mut self) {
        self.tensorboard = false;
    }

    /// When the time that the run was given began. Before training.
    pub fn since(&mut self, began: Instant) {
        self.began = began;
    }

    /// The adapter it runs on.
    pub fn gpu(&self) -> Arc<Gpu> {
        Arc::clone(&self.gpu)
    }

    /// What the user should know of the network at this size.
    pub fn notes(&self) -> &[String] {
        &self.step.notes
    }

    /// Pictures in an optimiser step.
    pub fn pictures_per_step(&self) -> usize {
        self.config.batch * self.config.batches_per_step()
    }

    /// Epochs that are done already.
    pub fn epochs_done(&self) -> u64 {
        self.header.epoch
    }

    /// The optimiser steps of the epochs that are done already. More or fewer were done if there were other ranks then: the learning
    /// rate goes by epochs.
    pub fn steps_done(&self) -> u64 {
        self.header.epoch * self.steps_per_epoch()
    }

    /// The learning rates of two configurations on this run's covers.
    pub fn rates_of(&self, before: &Config, after: &Config) -> (LearningRate, LearningRate) {
        let steps = self.steps_per_epoch();
        (before.learning_rate(steps), after.learning_rate(steps))
    }

    fn steps_per_epoch(&self) -> u64 {
        let covers = self.dataset.manifest.indices(Split::Train).len();
        covers.div_ceil(self.config.batch).div_ceil(self.config.batches_per_step()) as u64
    }

    fn learning_rate(&self) -> LearningRate {
        self.config.learning_rate(self.steps_per_epoch())
    }

    /// Whether the best epoch lies too far back to go on.
    fn out_of_patience(&self) -> bool {
        let best = self.header.best.map_or(self.header.epoch, |best| best.epoch);
        self.config.patience.is_some_and(|patience| best + patience <= self.header.epoch)
    }

    /// An epoch in this order, of pictures as the step takes them.
    fn sized(&self, order: Epoch) -> Epoch {
        let size = self.step.net.size;
        if size == self.config.size { order } else { order.shrunk(size) }
    }

    /// Takes the step for pictures of this size.
    fn take_size(&mut self, size: usize) {
        if size != self.step.net.size
            && let Some((step, plan)) = &mut self.resting
        {
            swap(&mut self.step, step);
            swap(&mut self.plan, plan);
        }
    }

    fn epoch_order(&self, epoch: u64) -> Epoch {
        let draw = if self.config.balance { Epoch::balanced } else { Epoch::shuffled };
        let order = self.sized(draw(&self.dataset, Split::Train, self.config.batch, self.config.seed, epoch));
        let order = if self.config.sync_batch_norm { order.in_groups(self.config.ranks) } else { order };
        match self.config.class_weights {
            ClassWeights::None => order,
            ClassWeights::Auto => order.weighted(&self.dataset, &even_weights(&self.header.training_counts)),
        }
    }

    /// Trains to the end, then scores the best checkpoint on the test set.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let start = Instant::now();
        let first = self.ranks.is_first();
        let mut log = first.then(|| Log::open(&self.run, self.header.step, self.tensorboard)).transpose()?;
        if !self.step.held.is_empty() && self.header.epoch < self.config.epochs && !self.out_of_patience() {
            self.kept = self.keep(observer).map_err(|e| self.in_smaller_steps(e))?.map(Arc::new);
        }
        self.find_rate(observer).map_err(|e| self.in_smaller_steps(e))?;
        self.fit_epochs(observer).map_err(|e| self.in_smaller_steps(e))?;
        self.resume_ema()?;
        let pixels: Vec<_> = (0..self.config.epochs).map(|epoch| self.config.size_in(epoch).pow(2)).collect();
        observer.start(self.steps_per_epoch(), &pixels, self.header.epoch);
        while self.header.epoch < self.config.epochs && !self.out_of_patience() {
            self.epoch(log.as_mut(), observer).map_err(|e| self.in_smaller_steps(e))?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let test = self.test().map_err(|e| self.in_smaller_steps(e))?;
        let (epochs, best) = (self.header.epoch, self.header.best);
        Ok(Outcome { test, best, seconds, epochs, stopped_early: epochs < self.config.epochs })
    }

    /// What a driver gave up for taking too long is said with the options that make it shorter.
    fn in_smaller_steps(&self, error: Error) -> Error {
        let Error::Unfinished(text) = error else { return error };
        let (batch, accumulate) = (self.config.batch.div_ceil(2), self.config.accumulate * 2);
        Error::Unfinished(format!(
            "{text}: --resume takes up the last checkpoint; if it happens again, a new run with --batch {batch} --accumulate \
             {accumulate} does the same in smaller steps"
        ))
    }

    fn epoch(&mut self, log: Option<&mut Log>, observer: &mut dyn Observer) -> Result<()> {
        let (start, together, summing) = (Instant::now(), self.ranks.together(), self.ranks.summing());
        self.take_size(self.config.size_in(self.header.epoch));
        let order = self.epoch_order(self.header.epoch);
        let mut course = Course::new(log, observer);
        let rates = self.learning_rate();
        // The numbers of a batch are looked at while the next one runs, so that the device never waits for the host.
        let mut under_way: Option<Submitted> = None;
        let batches = order.batches();
        let (shares, steps_before) = (self.shares(batches), self.steps_done());
        // It stays the same for all batches of a step, although it may change while they run.
        let mut factor = 1.0;
        let dataset = Arc::clone(&self.dataset);
        let (kept, epoch) = (self.kept.clone(), self.header.epoch);
        self.begin_steps()?;
        let own = shares.own();
        let waited = feed_epoch(&dataset, &order, &own, kept.as_deref().map(|kept| (kept, epoch)), |number, batch| {
            let (step, all) = (shares.step(number), shares.of_step(shares.step(number)));
            let share = weight(&order, number..=number) / weight(&order, all.start..=all.end - 1);
            let rate = rates.at(steps_before + step as u64);
            if shares.begins(number) {
                factor = course.factor(&self.header);
            }
            let own = self.write_step(batch, shares.draw(epoch, number), rate, share, factor)?;
            let ends = shares.ends(number);
            let ticket = self.submit_batch(ends)?;
            let this = Submitted { ticket, step: self.header.step + 1, rate, share, own, ends };
            if !self.ranks.is_alone() {
                return self.look_together(this, shares.batches_of_ranks(step), &mut course);
            }
            self.header.step += u64::from(ends);
            if ends {
                self.average_step()?;
            }
            if let Some(before) = under_way.replace(this) {
                self.look_at(before, &mut course)?;
            }
            Ok::<(), Error>(())
        })?;
        if let Some(last) = under_way {
            self.look_at(last, &mut course)?;
        }
        if shares.is_idle_at_the_end() {
            let step = shares.steps() - 1;
            let (factor, rate) = (course.factor(&self.header), rates.at(steps_before + step as u64));
            self.write_numbers(shares.draw(0, 0), rate, factor)?;
            self.step_together(rate, shares.batches_of_ranks(step), &mut course)?;
        }
        let training_seconds = start.elapsed().as_secs_f64();
        let share = |of: Duration| of.as_secs_f64() / training_seconds.max(1e-9);
        let of_ranks = |now: Duration, before: Duration| (!self.ranks.is_alone()).then(|| share(now - before));
        let communication = of_ranks(self.ranks.together(), together);
        let all_reduce = of_ranks(self.ranks.summing(), summing);
        self.header.epoch += 1;
        // The others write nothing.
        let take = |this: &Self, optimiser| Checkpoint::take(&this.gpu, &this.store, this.header.clone(), optimiser);
        let mut last = self.ranks.is_first().then(|| take(self, true)).transpose()?;
        self.average(last.as_ref())?;
        let validation = self.validate()?;
        self.header.temperature = validation.as_ref().map_or(1.0, |(_, temperature)| *temperature);
        let validation = validation.map(|(metrics, _)| metrics);
        let this = Best {
            epoch: self.header.epoch,
            accuracy: validation.as_ref().map_or(0.0, |m| m.accuracy),
            loss: validation.as_ref().map_or(0.0, |m| m.loss),
        };
        // Without a validation set nothing says which epoch is better: the last one counts.
        let best = validation.is_none() || self.header.best.is_none_or(|best| this.beats(&best));
        if best {
            self.header.best = Some(this);
        }
        if last.as_ref().is_some_and(|last| !last.is_finite()) {
            return Err(self.diverged(self.header.step, "a weight"));
        }
        if best && self.ranks.is_first() {
            take(self, false)?.write(&self.run.best())?;
        }
        if let Some(last) = &mut last {
            last.header = Some(self.header.clone());
            if let Some(mean) = &self.mean {
                last.apply(&self.gpu, &self.store, false)?;
                last.keep_mean(mean);
            }
        }
        let report = EpochReport {
            step: self.header.step,
            epoch: self.header.epoch,
            train_loss: course.totals.loss / course.totals.weight.max(1e-12),
            train_accuracy: course.totals.correct / course.totals.weight.max(1e-12),
            val_loss: validation.as_ref().map(|m| m.loss),
            val_accuracy: validation.as_ref().map(|m| m.accuracy),
            seconds: start.elapsed().as_secs_f64(),
            images_per_second: order.len() as f64 / training_seconds.max(1e-9),
            data_wait: share(waited),
            communication,
            all_reduce,
        };
        course.line(&Line::Epoch(report.clone()))?;
        // After the log: a crash in between repeats the epoch and writes its line again.
        last.map_or(Ok(()), |last| last.write(&self.run.last()))?;
        course.observer.epoch(&report, best);
        self.agree(&TRAINED)
    }

    /// The error that stops a run whose numbers are none any more.
    fn diverged(&self, step: u64, what: &str) -> Error {
        diverged(&self.run, step, what)
    }
}

fn diverged(run: &RunFolder, step: u64, what: &str) -> Error {
    let last = run.last();
    let kept = if last.exists() { format!("; {} is intact", last.display()) } else { String::new() };
    Error::run(format!("step {step}: {what} is no finite number; try a smaller --lr{kept}"))
}

fn training_counts(dataset: &Dataset) -> Vec<u64> {
    let mut counts = vec![0; dataset.manifest.classes.len()];
    for index in dataset.manifest.indices(Split::Train) {
        counts[dataset.manifest.covers[index].label] += 1;
    }
    counts
}
