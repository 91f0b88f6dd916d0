//! What the frozen start of a network computes, held for later runs: nothing of it changes while the rest is trained.

use std::collections::BTreeSet;

use super::{Access, Home, Launch, Tape};
use crate::tensor::Tensor;

impl Tape {
    /// Nothing recorded so far depends on what is trained. The first call counts.
    pub fn end_frozen_start(&mut self) {
        let end = self.launches.len();
        self.frozen_start.get_or_insert(end);
    }

    /// Makes a first phase of the frozen start, for a batch of `n`, and inputs of what the rest needs of it: the host either runs the
    /// phase and reads them ([`Plan::read`](crate::plan::Plan::read)), or writes what it has read before and leaves the phase out. What
    /// has neither parameters nor chance in it, such as a pooling before the head, goes with the start.
    ///
    /// To be called after everything is recorded and before [`Tape::fuse`]. Returns the inputs; none if there is no frozen start, it
    /// draws random numbers beyond those of its pictures, or what the rest needs of it is not one row for each of `n` samples. Then
    /// nothing has changed.
    pub fn hold_frozen_start(&mut self, n: usize) -> Vec<Tensor> {
        let Some(mut end) = self.frozen_start else { return vec![] };
        let first_phase = self.phases.first().copied().unwrap_or(self.launches.len());
        while end < first_phase && self.goes_with_start(end, n) {
            end += 1;
        }
        let (start, rest) = self.launches.split_at(end);
        if start.iter().any(|launch| launch.op == "dropout") {
            return vec![];
        }
        let written: BTreeSet<usize> = start.iter().flat_map(Launch::writes).map(|t| self.root(t)).collect();
        let needed = rest.iter().flat_map(|launch| &launch.operands).map(|&(t, _)| self.root(t)).collect();
        let held: Vec<usize> = written.intersection(&needed).copied().collect();
        let fits = |&root: &usize| {
            let value = &self.values[root];
            value.home == Home::Own && value.shape.n == n && (value.bytes() as usize).is_multiple_of(4 * n)
        };
        if held.is_empty() || !held.iter().all(fits) {
            return vec![];
        }
        self.phases.insert(0, end);
        let hold = |&root: &usize| {
            self.values[root].home = Home::Input;
            self.whole(root)
        };
        held.iter().map(hold).collect()
    }

    /// Whether all that a launch reads was made by launches before it, and it makes less of it for each of `n` samples: a batch's
    /// statistics depend on who shares it.
    fn goes_with_start(&self, at: usize, n: usize) -> bool {
        let launch = &self.launches[at];
        let made = |root: usize| self.launches[..at].iter().flat_map(Launch::writes).any(|t| self.root(t) == root);
        let own = |root: usize| self.values[root].home == Home::Own;
        let roots = |wanted: Access| launch.touched(wanted).map(|t| self.root(t));
        let bytes = |access: Access| roots(access).map(|root| self.values[root].bytes()).sum::<u64>();
        roots(Access::Read).all(|root| own(root) && made(root))
            && roots(Access::Write).all(|root| own(root) && self.values[root].shape.n == n)
            && bytes(Access::Write) <= bytes(Access::Read)
    }
}
