//! The recorded training step: input, network, loss, gradients, optimiser, as one flat list of launches.

use std::ops::Range;

use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::grad_norm::grad_norm;
use gatefold_engine::ops::input::{self, Augment, InputOp, Mix};
use gatefold_engine::ops::loss::Targets;
use gatefold_engine::ops::optimizer::{Preparation, Segment, vectors};
use gatefold_engine::ops::sgd::{Sgd, sgd};
use gatefold_engine::ops::sigmoid_cross_entropy::sigmoid_cross_entropy;
use gatefold_engine::ops::softmax_cross_entropy::softmax_cross_entropy;
use gatefold_engine::params::{Arena, arena_pieces};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::nets::{self, NetConfig};
use crate::train::{Config, Decay, Optimizer, Precision};
use crate::{Error, Result};

/// Weight of an auxiliary head's loss: with it the published weights of Inception-v3 were trained.
pub const AUXILIARY_WEIGHT: f32 = 0.4;

/// A training step on a tape, and the values that the host writes and reads.
pub struct TrainingStep {
    /// What was recorded.
    pub net: NetConfig,
    pub tape: Tape,
    pub pixels: Tensor,
    pub labels: Tensor,
    pub weights: Tensor,
    /// Sum of weighted losses, sum of weights, weighted number correct, samples that count.
    pub stats: Tensor,
    pub loss: Tensor,
    pub grad_norm: Tensor,
    /// Where several batches make an optimiser step, the loss is scaled or pictures are mixed: the gradients that flow into the
    /// losses. The host writes them.
    pub seeds: Vec<Seed>,
    /// Where pictures are mixed with others of their batch.
    pub mixed: Option<Mixed>,
    /// What the frozen layers end in, where it is [kept](Config::kept_views): inputs, and the tape's first phase writes them.
    pub held: Vec<Tensor>,
    pub notes: Vec<String>,
}

/// The gradient that flows into a loss: its part times the batch's share in the step times the loss's factor, and, where pictures are
/// mixed, times how much its labels count.
#[derive(Clone, Copy, Debug)]
pub struct Seed {
    pub value: Tensor,
    pub part: f32,
    /// Whether its labels are the partners'.
    pub of_partners: bool,
}

/// What mixing adds: inputs, and the loss against the partners' labels.
#[derive(Clone, Copy, Debug)]
pub struct Mixed {
    pub mix: Mix,
    pub labels: Tensor,
    pub weights: Tensor,
    pub stats: Tensor,
    pub loss: Tensor,
}

impl TrainingStep {
    /// The phase that runs for each batch; before it there is one for what is held.
    pub fn batch_phase(&self) -> usize {
        usize::from(!self.held.is_empty())
    }

    /// What runs for a batch: without the first phase where what it makes is `kept`, and with the optimiser's where the batch `ends`
    /// a step.
    pub fn phases(&self, kept: bool, ends: bool) -> Range<usize> {
        let batch = self.batch_phase();
        let end = if ends { self.tape.phases().len() } else { batch + 1 };
        if kept { batch..end } else { 0..end }
    }

    /// What makes a step of the gradients, where that is a phase of its own.
    pub fn last_phase(&self) -> Range<usize> {
        self.batch_phase() + 1..self.tape.phases().len()
    }

    /// Bytes of what is held of so many training covers and of so many others, whose maps validation keeps in 32 bits.
    pub fn held_bytes(&self, training: u64, others: u64) -> u64 {
        let each = |tensor: &Tensor| {
            let full = 4 * tensor.shape.len() as u64;
            (training * self.tape.bytes(*tensor) + others * full) / tensor.shape.n as u64
        };
        self.held.iter().map(each).sum()
    }

    /// The step of the first half of the epochs, where [`Config::start_size`] gives it smaller pictures.
    ///
    /// # Errors
    /// [`Error::Input`] if the network is not the same at that size, or it is not smaller.
    pub fn at_start(&self, adapter: &AdapterSummary, config: &Config) -> Result<Option<Self>> {
        let Some(size) = config.start_size else { return Ok(None) };
        let (net, full) = (&self.net.net, self.net.size);
        let wrong =
            |what: String| Error::input(format!("--start-size {size}: {what}; take another size, or leave it out"));
        if size >= full {
            return Err(wrong(format!("must be below --size, which is {full}")));
        }
        let small = Self::record_for(adapter, config, &NetConfig { size, ..self.net.clone() }, config.batch)?;
        if small.tape.spec() != self.tape.spec() {
            return Err(wrong(format!("{net} has not the same weights there as at {full} px")));
        }
        Ok(Some(small))
    }

    /// Records the step for a batch of `batch` pictures.
    ///
    /// Where [`Config::batches_per_step`] is above 1 the tape has two phases: forward and backward pass, which add their gradients
    /// up, and what makes a step of them and clears them. The first one runs for each batch.
    ///
    /// # Errors
    /// [`Error::Input`] if the network does not exist or the settings do not fit it.
    pub fn record(config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        Self::record_on(Tape::new(), config, net, batch)
    }

    /// Like [`TrainingStep::record`], with reductions cut as this adapter likes them.
    ///
    /// # Errors
    /// As [`TrainingStep::record`].
    pub fn record_for(adapter: &AdapterSummary, config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        let mut tape = Tape::new();
        tape.split_for(adapter);
        Self::record_on(tape, config, net, batch)
    }

    fn record_on(tape: Tape, config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        let mut step = Self::kept_on(tape, config, net, batch)?;
        step.tape.fuse();
        step.tape.recompute();
        Ok(step)
    }

    /// Like [`TrainingStep::record`], as the ops recorded it, without [`Tape::fuse`] and [`Tape::recompute`]: the same numbers with
    /// more memory.
    ///
    /// # Errors
    /// As [`TrainingStep::record`].
    pub fn record_keeping(config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        Self::kept_on(Tape::new(), config, net, batch)
    }

    fn kept_on(mut tape: Tape, config: &Config, net: &NetConfig, batch: usize) -> Result<Self> {
        let size = net.size;
        let accumulates = config.batches_per_step() > 1;
        if accumulates {
            tape.accumulate_parameter_gradients();
        }
        let pixels = tape.input(Shape::vector(input::words(batch, size, size)));
        let shift = (config.augment.shift * size as f32).round() as usize;
        let op = InputOp {
            source: (size, size),
            size: (size, size),
            mean: config.mean,
            std: config.std,
            augment: Augment {
                flip: config.augment.flip,
                shift,
                colour: config.augment.colour,
                erase: config.augment.erase,
                crop: config.augment.crop,
                rotate: config.augment.rotate,
                randaugment: config.augment.randaugment,
            },
        };
        if config.sync_batch_norm {
            tape.share_batches(config.ranks);
        }
        let mixed = config.precision == Precision::Mixed;
        tape.keep_halves(mixed);
        let mix = config.augment.mixes().then(|| Mix::inputs(&mut tape, batch));
        let pictures = match &mix {
            Some(mix) => input::input_mixed(&mut tape, pixels, batch, &op, mix)?,
            None => input::input(&mut tape, pixels, batch, &op)?,
        };
        let (recorded, trunk_words) =
            nets::record_for_training(&mut tape, pictures, net, config.freeze.as_ref(), config.freeze_statistics)?;
        if config.sync_batch_norm && tape.spec().states.is_empty() {
            return Err(Error::input(format!("--sync-batch-norm: {} has no batch-norms; leave it out", net.net)));
        }
        tape.keep_halves(false);
        for logits in [Some(recorded.logits), recorded.auxiliary].into_iter().flatten() {
            tape.keep_full(logits);
        }
        let segments = segments(&tape, config, trunk_words)?;
        let targets = Targets::inputs(&mut tape, batch);
        let smoothing = config.label_smoothing;
        let cross_entropy = |tape: &mut Tape, logits: Tensor, targets: &Targets| match net.outputs() {
            1 => sigmoid_cross_entropy(tape, logits, targets, None, smoothing),
            _ => softmax_cross_entropy(tape, logits, targets, None, smoothing),
        };
        let (mut outputs, mut seeds) = (vec![], vec![]);
        // What is reported is the main head's loss, which can be compared with validation's. An auxiliary one only adds its gradient.
        let mut losses = |tape: &mut Tape, targets: &Targets, of_partners: bool| {
            let main = cross_entropy(tape, recorded.logits, targets)?;
            let auxiliary = recorded.auxiliary.map(|logits| cross_entropy(tape, logits, targets)).transpose()?;
            let parts = [(main.loss, 1.0)].into_iter().chain(auxiliary.map(|loss| (loss.loss, AUXILIARY_WEIGHT)));
            for (value, part) in parts {
                let seed = if accumulates || mixed || mix.is_some() {
                    let seed = tape.input(value.shape);
                    seeds.push(Seed { value: seed, part, of_partners });
                    seed
                } else {
                    tape.constant(value.shape, vec![part.to_bits()])
                };
                outputs.push((value, seed));
            }
            Ok::<_, Error>(main)
        };
        let loss = losses(&mut tape, &targets, false)?;
        let mixed_in = mix.map(|mix| {
            let Targets { labels, weights } = Targets::inputs(&mut tape, batch);
            let of_partners = losses(&mut tape, &Targets { labels, weights }, true)?;
            Ok::<_, Error>(Mixed { mix, labels, weights, stats: of_partners.stats, loss: of_partners.loss })
        });
        let mixed_in = mixed_in.transpose()?;
        tape.backward(&outputs)?;
        if accumulates {
            tape.end_phase();
        }
        let words = tape.trained_words();
        let grad_norm = grad_norm(&mut tape, words, mixed);
        let undecayed = (config.decay == Decay::Weights).then(|| vectors(&mut tape));
        let prepared = Preparation { norm: Some(grad_norm), max_norm: config.clip, scaled: mixed, undecayed };
        match config.optimizer {
            Optimizer::Adam => adam(&mut tape, &segments, Adam { decoupled: true, ..Adam::default() }, prepared),
            Optimizer::Sgd => sgd(&mut tape, &segments, Sgd { momentum: config.momentum, nesterov: true }, prepared),
        }
        if accumulates {
            for (offset, len) in arena_pieces(words) {
                let gradients = tape.arena(Arena::Gradients, offset, len);
                tape.fill(gradients, 0.0);
            }
        }
        let of_partners = mixed_in.iter().flat_map(|mixed| [mixed.stats, mixed.loss]);
        for kept in [loss.stats, loss.loss, grad_norm].into_iter().chain(of_partners) {
            tape.keep(kept);
        }
        let Targets { labels, weights } = targets;
        let notes = recorded.notes;
        let net = net.clone();
        let held = if config.kept_views().is_some() { tape.hold_frozen_start(batch) } else { vec![] };
        if let (Some(views), true) = (config.views, held.is_empty()) {
            let text = "what the frozen layers make of a cover cannot be kept: there is dropout in them";
            return Err(Error::input(format!("--views {views}: {text}; leave it out, or freeze fewer layers")));
        }
        let (stats, loss) = (loss.stats, loss.loss);
        Ok(Self { net, tape, pixels, labels, weights, stats, loss, grad_norm, seeds, mixed: mixed_in, held, notes })
    }
}

/// The trained parameters by their learning rate: the trunk's, whose rate may be lower, and the head's.
fn segments(tape: &Tape, config: &Config, trunk_words: usize) -> Result<Vec<Segment>> {
    let all = Segment::all(tape);
    if config.trunk_lr == 1.0 {
        return Ok(vec![all]);
    }
    let trunk = trunk_words.saturating_sub(all.start);
    if trunk == 0 {
        return Err(Error::input(format!(
            "--trunk-lr {}: --freeze leaves no layer of the trunk to train; leave one of them out",
            config.trunk_lr
        )));
    }
    Ok(vec![
        Segment { words: trunk, scale: config.trunk_lr, ..all },
        Segment { start: trunk_words, words: all.words - trunk, ..all },
    ])
}
