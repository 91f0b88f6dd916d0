//! The training loop: epochs of recorded steps, validation, checkpoints, and the final score.

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

use super::metrics::Metrics;
use super::model::{Inference, probabilities};
use super::pretrained::Pretrained;
use super::run::{MetricsLog, RunFolder};
use super::step::TrainingStep;
use super::{Config, Needs};
use crate::data::{Dataset, Epoch, Fit, Split};
use crate::gpu::{BufferPool, Gpu};
use crate::ops::adam::Adam;
use crate::params::{ParameterStore, StepWords};
use crate::plan::{Plan, Ticket};
use crate::tape::Arena;
use crate::weights::{Best, Checkpoint, FORMAT, Header};
use crate::{Error, Result};

/// One step, as `metrics.jsonl` has it.
#[derive(Clone, Debug, Serialize)]
pub struct StepReport {
    pub kind: &'static str,
    /// Steps done, this one included.
    pub step: u64,
    pub epoch: u64,
    pub loss: f64,
    pub accuracy: f64,
    pub grad_norm: f64,
    pub lr: f64,
}

/// One epoch, as `metrics.jsonl` has it.
#[derive(Clone, Debug, Serialize)]
pub struct EpochReport {
    pub kind: &'static str,
    pub step: u64,
    /// Epochs done, this one included.
    pub epoch: u64,
    pub train_loss: f64,
    pub train_accuracy: f64,
    /// `None` without a validation set.
    pub val_loss: Option<f64>,
    pub val_accuracy: Option<f64>,
    pub seconds: f64,
    pub images_per_second: f64,
}

/// Hears how training goes.
pub trait Observer {
    /// Before the first step: steps in an epoch, epochs in all, epochs done already.
    fn start(&mut self, steps: u64, epochs: u64, done: u64);
    fn step(&mut self, report: &StepReport);
    fn epoch(&mut self, report: &EpochReport, best: bool);
}

/// What training ended with.
pub struct Outcome {
    /// The score of the best checkpoint on the test set; `None` without one.
    pub test: Option<Metrics>,
    pub best: Option<Best>,
    pub seconds: f64,
}

/// A run under way.
pub struct Trainer {
    gpu: Arc<Gpu>,
    config: Config,
    run: RunFolder,
    dataset: Dataset,
    header: Header,
    store: ParameterStore,
    step: TrainingStep,
    plan: Plan,
    /// For validation and test; shares the training plan's storage.
    inference: Inference,
}

impl Trainer {
    /// Records and plans the network, and starts from the seed or, with `resume`, from the run's last checkpoint.
    ///
    /// # Errors
    /// [`Error::Input`] if the batch does not fit or the checkpoint is of another network or data set.
    pub fn new(gpu: &Arc<Gpu>, config: Config, run: RunFolder, dataset: Dataset, resume: bool) -> Result<Self> {
        let net = config.net_config(dataset.manifest.classes.len());
        Needs::of(&config, &net, gpu.adapter())?;
        let mut header = Header {
            format: FORMAT,
            labels: dataset.manifest.classes.clone(),
            fit: if config.fit == Fit::Pad { "pad" } else { "crop" }.into(),
            mean: config.mean,
            deviation: config.deviation,
            crop: 1.0,
            step: 0,
            epoch: 0,
            training_counts: training_counts(&dataset),
            best: None,
            fingerprint: dataset.fingerprint(),
            net,
        };
        let step = TrainingStep::record(&config, &header.net, config.batch)?;
        let store = ParameterStore::new(gpu, step.tape.spec(), true)?;
        if resume {
            header = Self::resume(gpu, &run, &store, &header)?;
        } else {
            let (parameters, states) = step.tape.spec().initial(config.seed);
            store.write(gpu, Arena::Parameters, &parameters)?;
            if !states.is_empty() {
                store.write(gpu, Arena::State, &states)?;
            }
        }
        let pool = BufferPool::default();
        let plan = Plan::new(gpu, &step.tape, &store, &pool)?;
        let inference = Inference::new(gpu, &header, &store, &pool, config.batch)?;
        Ok(Self { gpu: Arc::clone(gpu), config, run, dataset, header, store, step, plan, inference })
    }

    fn resume(gpu: &Gpu, run: &RunFolder, store: &ParameterStore, fresh: &Header) -> Result<Header> {
        let path = run.last();
        if !path.exists() {
            let text = format!(
                "--resume: run {} has no checkpoint yet; start it again without --resume",
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
        if (header.mean, header.deviation) != (fresh.mean, fresh.deviation) {
            return Err(wrong("normalises pictures otherwise than the run's config.toml".into()));
        }
        checkpoint.apply(gpu, store, true)?;
        Ok(header)
    }

    /// Takes over the weights of a file where it has fitting ones; the others start from the seed. Before training.
    pub fn start_from(&self, weights: &Pretrained) -> Result<()> {
        weights.apply(&self.gpu, &self.store)
    }

    /// What the user should know of the network at this size.
    pub fn notes(&self) -> &[String] {
        &self.step.notes
    }

    /// Pictures in a step.
    pub fn batch(&self) -> usize {
        self.config.batch
    }

    /// Epochs that are done already.
    pub fn epochs_done(&self) -> u64 {
        self.header.epoch
    }

    fn steps_per_epoch(&self) -> u64 {
        self.epoch_order(0).batches() as u64
    }

    fn epoch_order(&self, epoch: u64) -> Epoch {
        Epoch::shuffled(&self.dataset, Split::Train, self.config.batch, self.config.seed, epoch)
    }

    /// Trains to the end, then scores the best checkpoint on the test set.
    pub fn train(mut self, observer: &mut dyn Observer) -> Result<Outcome> {
        let start = Instant::now();
        let mut log = MetricsLog::open(&self.run.metrics(), self.header.step)?;
        observer.start(self.steps_per_epoch(), self.config.epochs, self.header.epoch);
        while self.header.epoch < self.config.epochs {
            self.epoch(&mut log, observer)?;
        }
        let seconds = start.elapsed().as_secs_f64();
        let test = self.test()?;
        if let Some(metrics) = &test {
            self.run.write_json(&self.run.test(), metrics)?;
        }
        Ok(Outcome { test, best: self.header.best, seconds })
    }

    fn epoch(&mut self, log: &mut MetricsLog, observer: &mut dyn Observer) -> Result<()> {
        let start = Instant::now();
        let order = self.epoch_order(self.header.epoch);
        let mut batch = Batch::new(self.config.batch, self.dataset.pack.image_bytes());
        let mut totals = Totals::default();
        // The numbers of a step are looked at while the next one runs, so that the device never waits for the host.
        let mut under_way: Option<(Ticket, u64, f32)> = None;
        for number in 0..order.batches() {
            order.fill(&self.dataset, number, &mut batch.pixels[..batch.bytes], &mut batch.labels, &mut batch.weights);
            let rate = self.write_step(&batch)?;
            let ticket = self.plan.submit()?;
            self.header.step += 1;
            if let Some(before) = under_way.replace((ticket, self.header.step, rate)) {
                self.look_at(before, &mut totals, log, observer)?;
            }
        }
        if let Some(last) = under_way {
            self.look_at(last, &mut totals, log, observer)?;
        }
        let training_seconds = start.elapsed().as_secs_f64();
        self.header.epoch += 1;
        let validation = self.score(Split::Val)?;
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
        let last = Checkpoint::take(&self.gpu, &self.store, self.header.clone(), true)?;
        if !last.is_finite() {
            return Err(self.diverged(self.header.step, "a weight"));
        }
        if best {
            Checkpoint::take(&self.gpu, &self.store, self.header.clone(), false)?.write(&self.run.best())?;
        }
        let report = EpochReport {
            kind: "epoch",
            step: self.header.step,
            epoch: self.header.epoch,
            train_loss: totals.loss / totals.weight.max(1e-12),
            train_accuracy: totals.correct / totals.samples.max(1.0),
            val_loss: validation.as_ref().map(|m| m.loss),
            val_accuracy: validation.as_ref().map(|m| m.accuracy),
            seconds: start.elapsed().as_secs_f64(),
            images_per_second: order.len() as f64 / training_seconds.max(1e-9),
        };
        log.line(&report)?;
        // After the log: a crash in between repeats the epoch and writes its line again.
        last.write(&self.run.last())?;
        observer.epoch(&report, best);
        Ok(())
    }

    /// Sends a batch and the numbers of the next step; returns its learning rate.
    fn write_step(&self, batch: &Batch) -> Result<f32> {
        let config = &self.config;
        let step = self.header.step;
        let rate = config.schedule.rate(config.lr, step, self.steps_per_epoch() * config.epochs);
        let [bias_correction1, bias_correction2] = Adam::default().bias_corrections(step as u32);
        let words = StepWords {
            step: step as u32,
            seed: config.seed as u32,
            learning_rate: rate,
            weight_decay: config.weight_decay,
            bias_correction1,
            bias_correction2,
            reserved: [0; 2],
        };
        if let Some(input) = self.step.tape.step_input() {
            self.plan.write(input, &[words])?;
        }
        self.plan.write(self.step.pixels, &batch.pixels)?;
        self.plan.write(self.step.labels, &batch.labels)?;
        self.plan.write(self.step.weights, &batch.weights)?;
        Ok(rate)
    }

    fn look_at(
        &self,
        (ticket, step, rate): (Ticket, u64, f32),
        totals: &mut Totals,
        log: &mut MetricsLog,
        observer: &mut dyn Observer,
    ) -> Result<()> {
        let results = self.plan.results(ticket)?;
        let stats: Vec<f64> = results.get(self.step.stats)?.into_iter().map(f64::from).collect();
        let loss = f64::from(results.get(self.step.loss)?[0]);
        let grad_norm = f64::from(results.get(self.step.grad_norm)?[0]);
        if !loss.is_finite() || !grad_norm.is_finite() {
            return Err(self.diverged(step, if loss.is_finite() { "the gradient" } else { "the loss" }));
        }
        totals.loss += stats[0];
        totals.weight += stats[1];
        totals.correct += stats[2];
        totals.samples += stats[3];
        let report = StepReport {
            kind: "step",
            step,
            epoch: self.header.epoch + 1,
            loss,
            accuracy: stats[2] / stats[3].max(1.0),
            grad_norm,
            lr: f64::from(rate),
        };
        log.line(&report)?;
        observer.step(&report);
        Ok(())
    }

    /// The error that stops a run whose numbers are none any more.
    fn diverged(&self, step: u64, what: &str) -> Error {
        let last = self.run.last();
        let kept = if last.exists() { format!("; {} is intact", last.display()) } else { String::new() };
        Error::run(format!("step {step}: {what} is no finite number; try a smaller --lr{kept}"))
    }

    /// The current weights' score on a split; `None` if the split is empty.
    fn score(&mut self, split: Split) -> Result<Option<Metrics>> {
        let (manifest, header) = (&self.dataset.manifest, &self.header);
        let indices = manifest.indices(split);
        if indices.is_empty() {
            return Ok(None);
        }
        let logits = self.inference.logits(indices.iter().map(|&i| self.dataset.pack.image(i)), |_| {})?;
        if logits.iter().any(|v| !v.is_finite()) {
            return Err(self.diverged(header.step, "an answer of the network"));
        }
        let labels: Vec<usize> = indices.iter().map(|&i| manifest.covers[i].label).collect();
        let probabilities = probabilities(&logits, header.net.outputs());
        Metrics::new(&labels, &probabilities, &header.labels, &header.training_counts).map(Some)
    }

    fn test(&mut self) -> Result<Option<Metrics>> {
        let path = self.run.best();
        if path.is_file() {
            Checkpoint::read(&path)?.apply(&self.gpu, &self.store, false)?;
        }
        self.score(Split::Test)
    }
}

fn training_counts(dataset: &Dataset) -> Vec<u64> {
    let mut counts = vec![0; dataset.manifest.classes.len()];
    for index in dataset.manifest.indices(Split::Train) {
        counts[dataset.manifest.covers[index].label] += 1;
    }
    counts
}

/// A batch on the host.
struct Batch {
    /// Padded to whole words.
    pixels: Vec<u8>,
    bytes: usize,
    labels: Vec<u32>,
    weights: Vec<f32>,
}

impl Batch {
    fn new(count: usize, image_bytes: usize) -> Self {
        let bytes = count * image_bytes;
        Self { pixels: vec![0; bytes.next_multiple_of(4)], bytes, labels: vec![0; count], weights: vec![0.0; count] }
    }
}

#[derive(Default)]
struct Totals {
    loss: f64,
    weight: f64,
    correct: f64,
    samples: f64,
}
