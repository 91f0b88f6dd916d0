//! Gradients that are done while others are still computed, so that processes that train together can add them up meanwhile.

use std::ops::Range;

use super::marks::MOST_SUBMISSIONS;
use super::{Plan, Ticket};
use crate::Result;
use crate::params::Arena;
use crate::tape::{Home, Launch, Tape};

/// Neighbouring words of the gradients that are done at the same time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    pub words: Range<usize>,
    /// Launches of the plan after which they are.
    done_after: usize,
}

/// The words of the parameters' gradients that a launch writes, from the first to the last.
pub(super) fn gradients_of(tape: &Tape, launch: &Launch) -> Range<usize> {
    let words = launch.writes().filter_map(|tensor| {
        let value = &tape.values[tape.view(tensor).root];
        match value.home {
            Home::Arena(Arena::Gradients, offset) => Some(offset..offset + (value.bytes() / 4) as usize),
            _ => None,
        }
    });
    words.reduce(|all, words| all.start.min(words.start)..all.end.max(words.end)).unwrap_or(0..0)
}

/// Cuts the gradients of some launches, of which each writes these words, into buckets of `least` words or more. The backward pass
/// comes to the last parameters first, so what is done is what lies behind all that is still to be written.
fn cut(written: &[Range<usize>], first: usize, least: usize) -> Vec<Bucket> {
    let mut open_after = vec![0; written.len()];
    for launch in (1..written.len()).rev() {
        open_after[launch - 1] = open_after[launch].max(written[launch].end);
    }
    let (mut buckets, mut done) = (vec![], written.iter().map(|words| words.end).max().unwrap_or(0));
    for (launch, open) in open_after.into_iter().enumerate() {
        if open < done && (open == 0 || done - open >= least) {
            buckets.push(Bucket { words: open..done, done_after: first + launch + 1 });
            done = open;
        }
    }
    buckets
}

impl Plan {
    /// The gradients that some phases write, in the order in which they are done, `least` words at a time or more. They are the same
    /// for all plans of a tape.
    pub fn buckets(&self, phases: Range<usize>, least: usize) -> Vec<Bucket> {
        let steps = self.steps_of(phases);
        let written: Vec<_> = self.steps[steps.clone()].iter().map(|step| step.gradients.clone()).collect();
        let total = written.iter().map(|words| words.end).max().unwrap_or(0);
        // Each takes a submission of its own.
        cut(&written, steps.start, least.max(total.div_ceil(MOST_SUBMISSIONS / 2)))
    }

    /// Like [`Plan::submit_phases`], and calls `done` with each of the phases' [buckets](Plan::buckets) when what computes it has been
    /// submitted, and what comes later has not.
    ///
    /// # Errors
    /// If the device fails, and those of `done`.
    pub fn submit_buckets(
        &mut self,
        phases: Range<usize>,
        buckets: &[Bucket],
        mut done: impl FnMut(&Bucket) -> Result<()>,
    ) -> Result<Ticket> {
        let steps = self.steps_of(phases);
        let starts = std::iter::once(steps.start).chain(buckets.iter().map(|bucket| bucket.done_after));
        let ends = buckets.iter().map(|bucket| bucket.done_after).chain([steps.end]);
        let stretches: Vec<_> = starts.zip(ends).map(|(start, end)| start..end).collect();
        self.submit_stretches(&stretches, &mut |number| buckets.get(number).map_or(Ok(()), &mut done))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_is_done_when_nothing_writes_into_it_any_more() {
        // A launch without gradients, the last layer's, one's that is written twice, and the first two layers'.
        let written = [0..0, 70..100, 40..50, 50..70, 40..60, 10..40, 0..0, 0..10, 0..0];
        let of = |least| -> Vec<(Range<usize>, usize)> {
            cut(&written, 5, least).into_iter().map(|bucket| (bucket.words, bucket.done_after)).collect()
        };
        assert_eq!(of(1), [(70..100, 7), (60..70, 9), (40..60, 10), (10..40, 11), (0..10, 13)]);
        assert_eq!(of(31), [(60..100, 9), (10..60, 11), (0..10, 13)]);
        assert_eq!(of(1000), [(0..100, 13)]);
        assert_eq!(cut(&[0..0, 0..0], 0, 1), []);
    }
}
