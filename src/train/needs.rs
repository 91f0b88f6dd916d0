//! What a run needs, known before anything is allocated.

mod largest;

use std::cmp::Ordering;
use std::collections::BTreeMap;

use gatefold_engine::gpu::{AdapterSummary, MemoryUse};
use gatefold_engine::plan::{Allocation, launches_needed};
use serde::Serialize;

use self::largest::{LargeTensor, largest_tensors};
use crate::nets::NetConfig;
use crate::nets::forward::{self, Taps};
use crate::train::step::TrainingStep;
use crate::train::{Config, Precision};
use crate::{Error, Result};

/// What a run needs: the JSON of `train --dry-run`. Launches and operations are those of an optimiser step.
#[derive(Clone, Debug, Serialize)]
pub struct Needs {
    pub parameters: usize,
    pub trained_parameters: usize,
    pub frozen_parameters: usize,
    pub launches_per_step: usize,
    pub flops_per_step: u64,
    /// All memory of the run: the sum of the next three.
    pub peak_bytes: u64,
    /// What that takes of the driver at most, which gives memory in blocks.
    pub reserved_bytes: u64,
    /// Parameters and running statistics, gradients and both Adam moments of what is trained.
    pub parameter_bytes: u64,
    /// Activations, their gradients, and scratch.
    pub activation_bytes: u64,
    /// Inputs, results and uniform blocks, validation's included.
    pub input_bytes: u64,
    pub largest_tensor_bytes: u64,
    pub largest_tensors: Vec<LargeTensor>,
    /// Most launches first.
    pub ops: Vec<OpNeeds>,
    pub adapter: String,
    /// Whether the adapter can run it.
    pub fits: bool,
    pub batch: usize,
    /// Batches in an optimiser step.
    pub accumulate: usize,
    pub size: usize,
    pub net: String,
    #[serde(skip)]
    misfit: Option<String>,
}

/// One op's part of an optimiser step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OpNeeds {
    pub op: &'static str,
    pub launches: usize,
    pub flops: u64,
}

/// Tensors in the list of the largest.
const LISTED: usize = 10;

impl Needs {
    /// Plans a training step and holds it against the adapter.
    ///
    /// # Errors
    /// As [`Needs::record`].
    pub fn of(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<Self> {
        Ok(Self::record(config, net, adapter)?.0)
    }

    /// Records a training step, plans it, and holds it against the adapter. Gives the step too, for the
    /// trainer.
    ///
    /// # Errors
    /// [`Error::Input`] with the numbers and a batch size that would fit, if this one does not; or if the adapter lacks the
    /// precision.
    pub fn record(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<(Self, TrainingStep)> {
        if config.precision == Precision::Mixed && !adapter.f16 {
            let text = "does not compute with 16-bit numbers; leave the option out, or name another --adapter";
            return Err(Error::input(format!("--precision mixed: {} {text}", adapter.name)));
        }
        let (needs, step) = Self::planned(config, net, adapter)?;
        needs.check(config, net, adapter)?;
        Ok((needs, step))
    }

    /// Like [`Needs::of`], also for what does not fit.
    ///
    /// # Errors
    /// [`Error::Input`] if a tensor is beyond any adapter, or the settings do not fit the network.
    pub fn measure(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<Self> {
        Ok(Self::planned(config, net, adapter)?.0)
    }

    fn planned(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<(Self, TrainingStep)> {
        let step = match TrainingStep::record_for(adapter, config, net, config.batch) {
            Ok(step) => step,
            Err(e) => {
                // What is wrong at any batch is no matter of the batch.
                TrainingStep::record_for(adapter, config, net, 2)?;
                return Err(refusal(config, net, adapter, &e.to_string()));
            }
        };
        step.at_start(adapter, config)?;
        let tape = &step.tape;
        let layout = Allocation::new(tape, true);
        // Validation runs in the training plan's storage; its own inputs and results come on top.
        let normalisation = (config.mean, config.std);
        let validation = forward::recorded(net, config.size, normalisation, config.validation_batch(), Taps::None)?;
        let validation = Allocation::new(&validation.tape, false);
        let (memory, spec) = (layout.memory(), tape.spec());
        let activation_bytes = memory.slots + validation.slots_beyond(&layout);
        let input_bytes = memory.fixed + validation.memory().fixed;
        let ops = ops(&step, config.accumulate, &launches_needed(tape, adapter)?);
        let trained_parameters = spec.count_from(tape.frozen_words());
        let misfit = layout.misfit(adapter, adapter.free_memory());
        let peak_bytes = memory.parameters + activation_bytes + input_bytes;
        let needs = Self {
            parameters: spec.parameter_count(),
            trained_parameters,
            frozen_parameters: spec.parameter_count() - trained_parameters,
            launches_per_step: ops.iter().map(|op| op.launches).sum(),
            flops_per_step: ops.iter().map(|op| op.flops).sum(),
            peak_bytes,
            reserved_bytes: MemoryUse::reserved(peak_bytes),
            parameter_bytes: memory.parameters,
            activation_bytes,
            input_bytes,
            largest_tensor_bytes: memory.largest_tensor,
            largest_tensors: largest_tensors(tape, LISTED),
            ops,
            adapter: adapter.name.clone(),
            fits: misfit.is_none(),
            batch: config.batch,
            accumulate: config.accumulate,
            size: config.size,
            net: config.net.clone(),
            misfit,
        };
        Ok((needs, step))
    }

    /// Whether it fits; `config`, `net` and `adapter` are those that it was measured with.
    ///
    /// # Errors
    /// [`Error::Input`] with the numbers and a batch size that would fit, if this one does not.
    pub fn check(&self, config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Result<()> {
        match &self.misfit {
            Some(misfit) => Err(refusal(config, net, adapter, misfit)),
            None => Ok(()),
        }
    }
}

/// Launches and operations by op. The phase of a batch runs `accumulate` times. What is held is computed once, before the first step.
fn ops(step: &TrainingStep, accumulate: usize, needed: &[bool]) -> Vec<OpNeeds> {
    let mut ops: BTreeMap<&'static str, (usize, u64)> = BTreeMap::new();
    for (number, phase) in step.tape.phases().into_iter().enumerate() {
        let times = match number.cmp(&step.batch_phase()) {
            Ordering::Less => 0,
            Ordering::Equal => accumulate,
            Ordering::Greater => 1,
        };
        let launches = step.tape.launches()[phase.clone()].iter().zip(&needed[phase]);
        for (launch, _) in launches.filter(|(_, needed)| **needed) {
            let (launches, flops) = ops.entry(launch.op).or_default();
            *launches += times;
            *flops += times as u64 * launch.flops;
        }
    }
    let mut ops: Vec<_> = ops.into_iter().map(|(op, (launches, flops))| OpNeeds { op, launches, flops }).collect();
    ops.sort_by_key(|op| std::cmp::Reverse(op.launches));
    ops
}

fn refusal(config: &Config, net: &NetConfig, adapter: &AdapterSummary, why: &str) -> Error {
    let advice = match fitting_batch(config, net, adapter) {
        Some(fitting) => format!("try --batch {fitting}"),
        None => "even one picture at a time does not fit; try a smaller --size".to_owned(),
    };
    let Config { batch, size, .. } = config;
    Error::input(format!("--batch {batch} at --size {size}: {why}: {advice}"))
}

/// The largest batch below the configured one that fits: by halving the interval, since need grows with the batch.
fn fitting_batch(config: &Config, net: &NetConfig, adapter: &AdapterSummary) -> Option<usize> {
    let free = adapter.free_memory();
    let fits = |batch: usize| {
        let step = TrainingStep::record_for(adapter, config, net, batch);
        step.is_ok_and(|step| Allocation::new(&step.tape, true).misfit(adapter, free).is_none())
    };
    // A batch-norm over maps of one pixel has no variance to take of a single picture.
    let (mut fitting, mut failing) = ((1..=2).find(|&batch| fits(batch))?, config.batch);
    while failing > fitting + 1 {
        let middle = fitting + (failing - fitting) / 2;
        if fits(middle) { fitting = middle } else { failing = middle }
    }
    Some(fitting)
}
