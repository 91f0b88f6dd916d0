//! Zero-copy channel concatenation: the parts become channel slices of one buffer.

use super::copy::{copy, copy_to};
use crate::tape::{SharedStatistics, Statistics, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// Joins tensors of equal `n x h x w` along their channels.
///
/// A part that owns its storage is moved into its slice, and whoever produces it writes there. A part that cannot move
/// (an input, a flattened value, a slice already, or one whose producer would then read and write one buffer) is copied. A part
/// may be there several times.
///
/// # Errors
/// If the extents differ or there is no part.
pub fn concat(tape: &mut Tape, parts: &[Tensor]) -> Result<Tensor> {
    let Some(first) = parts.first() else { return Err(Error::run("concat: nothing to join")) };
    if let Some(odd) = parts.iter().find(|p| p.shape.with_c(0) != first.shape.with_c(0)) {
        return Err(Error::run(format!(
            "concat: shapes {} and {} differ in more than channels",
            first.shape, odd.shape
        )));
    }
    let channels = parts.iter().map(|p| p.shape.c).sum();
    let whole = tape.output(first.shape.with_c(channels), parts);
    let mut channel = 0;
    for &part in parts {
        place(tape, part, whole, channel);
        channel += part.shape.c;
    }
    Ok(whole)
}

/// A concatenation that grows, part by part, while its earlier parts are in use: a block of DenseNet. Every part is moved into
/// its slice of one buffer (or copied there, as by [`concat()`]), and what there is so far is a slice of that buffer again.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    whole: Tensor,
    channels: usize,
}

impl Stack {
    /// Begins with `first`, and has room for `channels` channels in all.
    ///
    /// # Errors
    /// If there is not even room for the first part.
    pub fn new(tape: &mut Tape, first: Tensor, channels: usize) -> Result<Self> {
        let whole = tape.output(first.shape.with_c(channels), &[first]);
        let [mean, variance] = [(); 2].map(|()| tape.scratch(Shape::vector(channels)));
        tape.shared_statistics.insert(whole.id, SharedStatistics { by: Statistics { mean, variance }, done: 0 });
        let mut stack = Self { whole, channels: 0 };
        stack.push(tape, first)?;
        Ok(stack)
    }

    /// Adds a part.
    ///
    /// # Errors
    /// If its extents differ or there is no room for it.
    pub fn push(&mut self, tape: &mut Tape, part: Tensor) -> Result<()> {
        let end = self.channels + part.shape.c;
        if part.shape.with_c(0) != self.whole.shape.with_c(0) || end > self.whole.shape.c {
            let (room, taken) = (self.whole.shape, self.channels);
            return Err(Error::run(format!("concat: {} onto {taken} channels of {room}", part.shape)));
        }
        // A frozen first part needs no gradient, a later one may.
        if tape.requires_grad(part) {
            tape.require_grad(self.whole);
        }
        place(tape, part, self.whole, self.channels);
        self.channels = end;
        Ok(())
    }

    /// All parts so far, side by side.
    pub fn so_far(&self, tape: &mut Tape) -> Tensor {
        tape.slice(self.whole, 0, self.channels)
    }
}

/// Moves a part into its slice of `whole`, or copies it there.
fn place(tape: &mut Tape, part: Tensor, whole: Tensor, channel: usize) {
    if tape.alias_into(part, whole, channel) {
        return;
    }
    // A part that is there twice lies in the whole already, and no launch may read and write one buffer.
    let from = if tape.share_storage(part, whole) { copy(tape, part) } else { part };
    let to = tape.slice(whole, channel, part.shape.c);
    copy_to(tape, from, to);
}
