//! Which batches of an epoch are whose, where several ranks train together.

use std::ops::Range;

/// The batches of an epoch, dealt out. Those of a step are next to each other; of them the first rank has the first ones, and so on,
/// so that the ranks' batches one after the other are those of a single process. At the epoch's end there may be fewer, and then the
/// last ranks have fewer or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shares {
    /// In the epoch.
    pub batches: usize,
    /// Of a rank in a step.
    pub each: usize,
    pub ranks: usize,
    pub rank: usize,
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

    fn of_rank(self, step: usize, rank: usize) -> Range<usize> {
        let Range { start, end } = self.of_step(step);
        (start + rank * self.each).min(end)..(start + (rank + 1) * self.each).min(end)
    }

    /// This rank's batches, in their order.
    pub fn own(self) -> Vec<usize> {
        (0..self.steps()).flat_map(|step| self.of_rank(step, self.rank)).collect()
    }

    /// Whether a batch is this rank's first one in its step.
    pub fn begins(self, number: usize) -> bool {
        self.of_rank(self.step(number), self.rank).start == number
    }

    /// Whether it is the last one.
    pub fn ends(self, number: usize) -> bool {
        self.of_rank(self.step(number), self.rank).end == number + 1
    }

    /// How many batches each rank has in a step.
    pub fn batches_of_ranks(self, step: usize) -> Vec<usize> {
        (0..self.ranks).map(|rank| self.of_rank(step, rank).len()).collect()
    }

    /// Whether this rank has no batch in the last step.
    pub fn is_idle_at_the_end(self) -> bool {
        self.steps().checked_sub(1).is_some_and(|step| self.of_rank(step, self.rank).is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::Shares;

    #[test]
    fn the_ranks_batches_one_after_the_other_are_those_of_a_single_process() {
        for (batches, each, ranks) in [(7, 1, 1), (7, 2, 1), (7, 1, 2), (9, 2, 2), (10, 2, 3), (1, 3, 4), (0, 1, 2)] {
            let of = |rank| Shares { batches, each, ranks, rank };
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
        let last = |rank| Shares { batches: 5, each: 2, ranks: 3, rank };
        assert_eq!([0, 1, 2].map(|rank| last(rank).is_idle_at_the_end()), [false; 3]);
        let last = |rank| Shares { batches: 7, each: 2, ranks: 3, rank };
        assert_eq!([0, 1, 2].map(|rank| last(rank).is_idle_at_the_end()), [false, true, true]);
    }
}
