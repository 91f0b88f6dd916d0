//! The recorded training step: input, network, loss, gradients, optimiser, as one flat list of launches.

use serde::Serialize;

use super::Config;
use super::model::{self, Taps};
use crate::gpu::{AdapterSummary, available_host_memory};
use crate::nets::{self, NetConfig};
use crate::ops::adam::{Adam, adam};
use crate::ops::grad_norm::grad_norm;
use crate::ops::input::{self, Augment, InputOp};
use crate::ops::loss::Targets;
use crate::ops::sigmoid_cross_entropy::sigmoid_cross_entropy;
use crate::ops::softmax_cross_entropy::softmax_cross_entropy;
use crate::plan::{self, Layout};
use crate::tape::Tape;
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// Weight of an auxiliary head's loss: with it the published weights of Inception-v3 were trained.
pub const AUXILIARY_WEIGHT: f32 = 0.4;

/// A training step on a tape, and the values that the host writes and reads.
pub struct TrainingStep {
    pub tape: Tape,
    pub pixels: Tensor,
    pub labels: Tensor,
    pub weights: Tensor,
    /// Sum of weighted losses, sum of weights, weighted number correct, samples that count.
    pub stats: Tensor,
    pub loss: Tensor,
    pub grad_norm: Tensor,
    pub notes: Vec<String>,
}

impl TrainingStep {
    /// Records the step for a batch of `batch` pictures.
    pub fn record(config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        let (size, mut tape) = (config.size, Tape::new());
        let pixels = tape.input(Shape::vector(input::words(batch, size, size)));
        let shift = (config.augment.shift * size as f32).round() as usize;
        let op = InputOp {
            source: (size, size),
            size: (size, size),
            mean: config.mean,
            deviation: config.deviation,
            augment: Augment { flip: config.augment.flip, shift },
        };
        let pictures = input::input(&mut tape, pixels, batch, &op)?;
        let recorded = nets::record(&mut tape, pictures, net, true)?;
        let targets = Targets { labels: tape.input(Shape::vector(batch)), weights: tape.input(Shape::vector(batch)) };
        let smoothing = config.label_smoothing;
        let cross_entropy = |tape: &mut Tape, logits: Tensor| match net.outputs() {
            1 => sigmoid_cross_entropy(tape, logits, &targets, None, smoothing),
            _ => softmax_cross_entropy(tape, logits, &targets, None, smoothing),
        };
        let loss = cross_entropy(&mut tape, recorded.logits)?;
        let mut losses = vec![(loss.loss, 1.0)];
        if let Some(logits) = recorded.auxiliary {
            // It only adds its gradient. What is reported is the main head's loss, which can be compared with validation's.
            losses.push((cross_entropy(&mut tape, logits)?.loss, AUXILIARY_WEIGHT));
        }
        let weigh = |tape: &mut Tape, weight: f32| tape.constant(Shape::vector(1), vec![weight.to_bits()]);
        let seeds: Vec<_> = losses.into_iter().map(|(loss, weight)| (loss, weigh(&mut tape, weight))).collect();
        tape.backward(&seeds)?;
        let words = tape.spec().parameter_words();
        let grad_norm = grad_norm(&mut tape, words);
        adam(&mut tape, words, Adam { decoupled: true, ..Adam::default() });
        for kept in [loss.stats, loss.loss, grad_norm] {
            tape.keep(kept);
        }
        let Targets { labels, weights } = targets;
        Ok(Self { tape, pixels, labels, weights, stats: loss.stats, loss: loss.loss, grad_norm, notes: recorded.notes })
    }
}

/// What a run needs, known before anything is allocated: the JSON of `train --dry-run`.
#[derive(Clone, Debug, Serialize)]
pub struct Needs {
    pub parameters: usize,
    pub launches_per_step: usize,
    pub flops_per_step: u64,
    pub peak_bytes: u64,
    pub largest_tensor_bytes: u64,
    pub adapter: String,
    pub batch: usize,
    pub size: usize,
    pub net: String,
}

impl Needs {
    /// Plans a training step and holds it against the adapter.
    ///
    /// # Errors
    /// [`Error::Input`] with the numbers and a batch size that would fit, if this one does not.
    pub fn of(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<Self> {
        let memory = available_host_memory();
        let refused = |misfit: String| {
            let advice = match fitting_batch(config, net, adapter, memory) {
                Some(fitting) => format!("try --batch {fitting}"),
                None => "even one picture at a time does not fit; try a smaller --size".to_owned(),
            };
            let Config { batch, size, .. } = config;
            Err(Error::input(format!("--batch {batch} at --size {size}: {misfit}: {advice}")))
        };
        let step = match TrainingStep::record(config, net, config.batch) {
            Ok(step) => step,
            Err(e) => {
                // What is wrong at any batch is no matter of the batch.
                TrainingStep::record(config, net, 2)?;
                return refused(e.to_string());
            }
        };
        let layout = Layout::new(&step.tape, true);
        if let Some(misfit) = layout.misfit(adapter, memory) {
            return refused(misfit);
        }
        // Validation runs in the training plan's storage; its own inputs and results come on top.
        let normalisation = (config.mean, config.deviation);
        let validation = model::recorded(net, config.size, normalisation, config.batch, Taps::None)?;
        let validation = Layout::new(&validation.tape, false);
        Ok(Self {
            parameters: step.tape.spec().parameter_count(),
            launches_per_step: step.tape.launches().len(),
            flops_per_step: plan::flops(&step.tape),
            peak_bytes: layout.memory().peak() + validation.memory().fixed,
            largest_tensor_bytes: layout.memory().largest_tensor,
            adapter: adapter.name.clone(),
            batch: config.batch,
            size: config.size,
            net: config.net.clone(),
        })
    }
}

/// The largest batch below the configured one that fits: by halving the interval, since need grows with the batch.
fn fitting_batch(config: &Config, net: &NetConfig, adapter: &AdapterSummary, memory: u64) -> Option<usize> {
    let fits = |batch: usize| {
        let step = TrainingStep::record(config, net, batch);
        step.is_ok_and(|step| Layout::new(&step.tape, true).misfit(adapter, memory).is_none())
    };
    // A batch-norm over maps of one pixel has no variance to take of a single picture.
    let (mut fitting, mut failing) = ((1..=2).find(|&batch| fits(batch))?, config.batch);
    while failing > fitting + 1 {
        let middle = fitting + (failing - fitting) / 2;
        if fits(middle) { fitting = middle } else { failing = middle }
    }
    Some(fitting)
}
