//! Between which numbers settings may lie: for the options of the command line and for recipes alike.

use std::ops::RangeInclusive;

use crate::data::picture::fit::MAX_SIZE;

/// Pixels on a side; what a network needs at least is checked later.
pub const SIZE: RangeInclusive<u64> = 1..=MAX_SIZE as u64;
/// Pictures at a time.
pub const BATCH: RangeInclusive<u64> = 1..=1 << 16;
/// Batches per optimiser step.
pub const ACCUMULATE: RangeInclusive<u64> = 1..=1 << 16;
/// Epochs, and distances in epochs: more than anybody waits for, and few enough to be counted in steps.
pub const EPOCHS: RangeInclusive<u64> = 1..=1_000_000;
/// Parts that covers are cut into, one run each.
pub const FOLDS: RangeInclusive<u64> = 2..=100;
/// Settings that a search tries: with fewer than two there is nothing to choose.
pub const CANDIDATES: RangeInclusive<u64> = 2..=1000;
/// Versions of each cover: each takes as much room as the first.
pub const VIEWS: RangeInclusive<u64> = 1..=1000;
/// Optimiser steps of a warm-up.
pub const WARMUP: RangeInclusive<u64> = 0..=u32::MAX as u64;
/// Kernels draw from 32 bits.
pub const SEED: RangeInclusive<u64> = 0..=u32::MAX as u64;
/// Classes that are planned for without data: far more than any list of genres has.
pub const CLASSES: RangeInclusive<u64> = 2..=100_000;

/// "from 1 to 65536".
pub fn in_words(bounds: &RangeInclusive<u64>) -> String {
    format!("from {} to {}", bounds.start(), bounds.end())
}
