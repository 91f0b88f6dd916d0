//! What batches under way have shown so far.

use std::ops::RangeInclusive;

use gatefold_engine::plan::Ticket;

use crate::data::Epoch;

/// A batch whose numbers have not been looked at yet.
pub(super) struct Submitted {
    pub ticket: Ticket,
    /// Optimiser steps done when its own is.
    pub step: u64,
    pub rate: f32,
    /// Its share in the step's loss.
    pub share: f64,
    /// How much the samples' own labels count.
    pub own: f64,
    /// Whether the step is done with it.
    pub ends: bool,
}

/// What a batch has shown.
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub(super) struct Shown {
    /// Its part of the step's loss.
    pub loss: f64,
    /// Sum of weighted losses, sum of weights, weighted number correct.
    pub sum: f64,
    pub weight: f64,
    pub correct: f64,
}

/// What the batches of an optimiser step have shown so far.
#[derive(Default)]
pub(super) struct Group {
    pub loss: f64,
    pub correct: f64,
    pub weight: f64,
}

/// How much these batches count: a loss is the mean over its batch's weights, so a batch is worth their sum.
pub(super) fn weight(order: &Epoch, batches: RangeInclusive<usize>) -> f64 {
    batches.flat_map(|number| order.batch(number)).map(|(_, weight)| f64::from(weight)).sum()
}

#[derive(Default)]
pub(super) struct Totals {
    pub loss: f64,
    pub weight: f64,
    pub correct: f64,
}
