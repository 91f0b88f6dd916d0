//! Which batches of an epoch are whose, where several ranks train together.

use std::iter::StepBy;
use std::ops::Range;

/// The batches of an epoch, dealt out. Those of a step are next to each other; of them the first rank has the first ones, and so on,
/// so that the ranks' batches one after the other are those of a single process. At the epoch's end there may be fewer, and then the
/// last ranks have fewer or none.
///
/// Where the batches that the ranks compute at a time are to be as one, they are next to each other: each rank has every so manieth.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    /// In the epoch.
    pub batches: usize,
    /// Of a rank in a step.
    pub each: usize,
    pub ranks: usize,
    pub rank: usize,
    /// The ranks' batches at a time are one.
    pub as_one: bool,
}

/// What a batch's random numbers go by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Draw {
    /// The number of the batch, or of the larger one that it is a part of.
    pub batch: u64,
    /// Batches of other ranks that come before it there.
    pub before: usize,
}

impl Shares {
    fn per_step(self) -> usize {
        self.each * self.ranks
    }

    pub fn steps(self) -> usize {
        self.batches.div_ceil(self.per_step())
    }

    /// The step that a batch is in.
    pub fn step(self, number: usize) -> usize {
        number / self.per_step()
    }

    /// All batches of a step.
    pub fn of_step(self, step: usize) -> Range<usize> {
        let start = step * self.per_step();
        start..(start + self.per_step()).min(self.batches)
    }

    fn of_rank(self, step: usize, rank: usize) -> StepBy<Range<usize>> {
        let Range { start, end } = self.of_step(step);
        if self.as_one {
            return ((start + rank).min(end)..end).step_by(self.ranks);
        }
        ((start + rank * self.each).min(end)..(start + (rank + 1) * self.each).min(end)).step_by(1)
    }

    /// What a batch draws in the epoch of this number.
    pub fn draw(self, epoch: u64, number: usize) -> Draw {
        let ranks = if self.as_one { self.ranks } else { 1 };
        Draw { batch: epoch * (self.batches / ranks) as u64 + (number / ranks) as u64, before: number % ranks }
    }

    /// This rank's batches, in their order.
    pub fn own(self) -> Vec<usize> {
        (0..self.steps()).flat_map(|step| self.of_rank(step, self.rank)).collect()
    }

    /// Whether a batch is this rank's first one in its step.
    pub fn begins(self, number: usize) -> bool {
        self.of_rank(self.step(number), self.rank).next() == Some(number)
    }

    /// Whether it is the last one.
    pub fn ends(self, number: usize) -> bool {
        self.of_rank(self.step(number), self.rank).next_back() == Some(number)
    }

    /// How many batches each rank has in a step.
    pub fn batches_of_ranks(self, step: usize) -> Vec<usize> {
        (0..self.ranks).map(|rank| self.of_rank(step, rank).len()).collect()
    }

    /// Whether this rank has no batch in the last step.
    pub fn is_idle_at_the_end(self) -> bool {
        self.steps().checked_sub(1).is_some_and(|step| self.of_rank(step, self.rank).len() == 0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Draw, Shares};

    #[test]
    fn the_ranks_batches_one_after_the_other_are_those_of_a_single_process() {
        for (batches, each, ranks) in [(7, 1, 1), (7, 2, 1), (7, 1, 2), (9, 2, 2), (10, 2, 3), (1, 3, 4), (0, 1, 2)] {
            let of = |rank| Shares { batches, each, ranks, rank, as_one: false };
            let mut all = vec![];
            for step in 0..of(0).steps() {
                let counts = of(0).batches_of_ranks(step);
                assert_eq!(counts.iter().sum::<usize>(), of(0).of_step(step).len());
                assert_eq!(counts.len(), ranks);
                for (rank, count) in counts.into_iter().enumerate() {
                    let own = of(rank).own().into_iter().filter(|&number| of(rank).step(number) == step);
                    let own: Vec<usize> = own.collect();
                    assert_eq!(own.len(), count);
                    assert!(own.first().is_none_or(|&number| of(rank).begins(number)));
                    assert!(own.last().is_none_or(|&number| of(rank).ends(number)));
                    all.extend(own);
                }
            }
            assert_eq!(all, (0..batches).collect::<Vec<_>>(), "{batches} batches, {each} of each of {ranks}");
        }
        let last = |rank| Shares { batches: 5, each: 2, ranks: 3, rank, as_one: false };
        assert_eq!([0, 1, 2].map(|rank| last(rank).is_idle_at_the_end()), [false; 3]);
        let last = |rank| Shares { batches: 7, each: 2, ranks: 3, rank, as_one: false };
        assert_eq!([0, 1, 2].map(|rank| last(rank).is_idle_at_the_end()), [false, true, true]);
    }

    #[test]
    fn batches_that_are_as_one_are_neighbours_and_draw_as_a_larger_one() {
        // 3 ranks, 2 batches of each in a step; the last step has one of each.
        let of = |rank| Shares { batches: 9, each: 2, ranks: 3, rank, as_one: true };
        assert_eq!([0, 1, 2].map(|rank| of(rank).own()), [[0, 3, 6], [1, 4, 7], [2, 5, 8]]);
        assert!(of(1).begins(1) && !of(1).begins(4) && of(1).ends(4) && of(1).begins(7) && of(1).ends(7));
        assert_eq!(of(0).batches_of_ranks(1), [1, 1, 1]);
        // As batch 1 of 3 in the fifth epoch, where two ranks come before the last one.
        assert_eq!(of(2).draw(4, 5), Draw { batch: 13, before: 2 });
        let alone = Shares { as_one: false, ..of(2) };
        assert_eq!(alone.draw(4, 5), Draw { batch: 41, before: 0 });
    }
}
