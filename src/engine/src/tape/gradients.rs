//! Where gradients lie, and which parts of them hold numbers already. Gradient kernels overwrite or accumulate; which one is
//! decided here, while recording, by regions: intervals of channels of a root.

use super::{Home, Tape};
use crate::Result;
use crate::params::Arena;
use crate::tensor::Tensor;

/// Where an op's backward pass puts a gradient.
#[derive(Clone, Copy, Debug)]
pub struct GradDestination {
    pub tensor: Tensor,
    /// Add to what is there (another consumer came before) instead of overwriting.
    pub accumulate: bool,
}

impl Tape {
    /// The gradient that has arrived at a value; `None` if no consumer sent any.
    pub fn grad(&mut self, of: Tensor) -> Result<Option<Tensor>> {
        let (root, from, to) = self.region(of);
        if self.gaps(root, from, to) == [(from, to)] {
            return Ok(None);
        }
        self.fill_gaps(root, from, to)?;
        Ok(Some(self.gradient_value(of)))
    }

    /// Where to put a gradient for `of`, and whether to add to what is there.
    pub fn grad_destination(&mut self, of: Tensor) -> Result<GradDestination> {
        let (root, mut from, mut to) = self.region(of);
        let onto_sums = self.accumulates && matches!(self.values[root].home, Home::Arena(Arena::Parameters, _));
        if onto_sums {
            // All of it holds numbers already: there is no gap to fill with zeros.
            (from, to) = (0, self.values[root].shape.c);
        }
        let fresh = self.gaps(root, from, to) == [(from, to)];
        if fresh {
            self.written.entry(root).or_default().push((from, to));
        } else {
            self.fill_gaps(root, from, to)?;
        }
        Ok(GradDestination { tensor: self.gradient_value(of), accumulate: onto_sums || !fresh })
    }

    /// Leaves the backward half of an op from `x` to `y`, as [`Tape::on_backward`] does: `record` is called as by [`Tape::pass_back`].
    pub fn on_gradient(
        &mut self,
        x: Tensor,
        y: Tensor,
        record: impl FnOnce(&mut Self, Tensor, GradDestination) + 'static,
    ) {
        self.on_backward(&[x], move |tape| tape.pass_back(x, y, record));
    }

    /// Has `record` make the gradient of `x` of that of `y`: it is given the gradient that has arrived at `y`, and where that of `x`
    /// goes. If none has arrived, or `x` needs none, nothing is recorded.
    pub fn pass_back(
        &mut self,
        x: Tensor,
        y: Tensor,
        record: impl FnOnce(&mut Self, Tensor, GradDestination),
    ) -> Result<()> {
        if self.requires_grad(x)
            && let Some(dy) = self.grad(y)?
        {
            let dx = self.grad_destination(x)?;
            record(self, dy, dx);
        }
        Ok(())
    }

    /// Root and channel interval of a value. A value under another shape stands for the whole of its root.
    fn region(&self, of: Tensor) -> (usize, usize, usize) {
        let view = self.view(of);
        match self.values[of.id].home {
            Home::Alias { .. } => (view.root, 0, self.values[view.root].shape.c),
            _ => (view.root, view.offset, view.offset + of.shape.c),
        }
    }

    /// The parts of an interval of channels whose gradient was not written yet.
    fn gaps(&self, root: usize, from: usize, to: usize) -> Vec<(usize, usize)> {
        let mut written = self.written.get(&root).cloned().unwrap_or_default();
        written.sort_unstable();
        let (mut gaps, mut next) = (vec![], from);
        for (a, b) in written {
            if a > next && next < to {
                gaps.push((next, a.min(to)));
            }
            next = next.max(b);
        }
        if next < to {
            gaps.push((next, to));
        }
        gaps
    }

    fn fill_gaps(&mut self, root: usize, from: usize, to: usize) -> Result<()> {
        for (a, b) in self.gaps(root, from, to) {
            let gradient = self.gradient_value(self.whole(root));
            let gap = self.slice(gradient, a, b - a);
            self.fill(gap, 0.0);
            self.written.entry(root).or_default().push((a, b));
        }
        Ok(())
    }

    /// The value that holds the gradient of `of`, laid out like `of` itself.
    fn gradient_value(&mut self, of: Tensor) -> Tensor {
        if let Some(&id) = self.gradients.get(&of.id) {
            return Tensor { id, shape: of.shape };
        }
        let of_parent = |tape: &mut Self, id: usize| tape.gradient_value(tape.whole(id)).id;
        let home = match self.values[of.id].home {
            Home::Slice { of: parent, channel } => Home::Slice { of: of_parent(self, parent), channel },
            Home::Alias { of: parent } => Home::Alias { of: of_parent(self, parent) },
            Home::Arena(Arena::Parameters, offset) if offset >= self.frozen_words() => {
                Home::Arena(Arena::Gradients, offset - self.frozen_words())
            }
            _ => Home::Own,
        };
        let gradient = self.value(of.shape, home, false);
        self.values[gradient.id].half = home == Home::Own && self.is_half(of);
        self.gradients.insert(of.id, gradient.id);
        gradient
    }

    /// Each value that has a gradient, with that gradient, by their numbers.
    pub fn gradients(&self) -> impl Iterator<Item = (usize, usize)> {
        self.gradients.iter().map(|(&of, &gradient)| (of, gradient))
    }
}
