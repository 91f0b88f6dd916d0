//! Reductions cut into parts, so that there is work for all of an adapter.

use crate::gpu::{AdapterSummary, Kernel};
use crate::shader;
use crate::tape::{GradDestination, Launch, Tape};
use crate::tensor::{Shape, Tensor};

impl Tape {
    /// Cuts reductions that are recorded from here on into as many parts as this adapter keeps busy: a GPU many times more than a
    /// processor. Sums are then added up in another order, so their last digits depend on it.
    pub fn split_for(&mut self, adapter: &AdapterSummary) {
        self.wide = !adapter.software;
    }

    /// Invocations that keep the adapter busy; reductions are split until there are about as many.
    pub(super) fn wanted_invocations(&self) -> usize {
        if self.wide { 1 << 17 } else { 1 << 14 }
    }
}

/// Words of scratch that a split reduction may take (32 MiB).
const MOST_SCRATCH: usize = 8 << 20;

/// A reduction over `total` items cut into `count` parts of `each` items.
#[derive(Clone, Copy)]
pub struct Splits {
    pub count: usize,
    pub each: usize,
    /// Numbers in one result.
    len: usize,
}

impl Splits {
    pub fn new(total: usize, wanted: usize, len: usize) -> Self {
        let most = (MOST_SCRATCH / len.max(1)).max(1);
        let each = total.div_ceil(wanted.clamp(1, most)).max(1);
        Self { count: total.div_ceil(each).max(1), each, len }
    }

    /// For kernels that cannot accumulate into the destination themselves.
    pub fn at_least_two(total: usize, wanted: usize, len: usize) -> Self {
        let splits = Self::new(total, wanted.max(2), len);
        Self { count: splits.count.max(2), ..splits }
    }

    /// Where the parts go: into scratch, or straight to the destination if there is one part.
    pub fn destination(&self, tape: &mut Tape, to: GradDestination) -> Tensor {
        if self.count == 1 { to.tensor } else { tape.scratch(Shape::matrix(self.count, self.len)) }
    }

    /// Adds the parts up in order.
    pub fn sum(&self, tape: &mut Tape, sums: Tensor, to: GradDestination) {
        if self.count == 1 {
            return;
        }
        let width = if self.len.is_multiple_of(4) { 4 } else { 1 };
        let items = self.len / width;
        let kernel = Kernel::per_item(shader!("conv2d/sum_splits.wgsl"), items).def("VECTOR", width as u32);
        let launch = Launch::new("conv2d", "sum_splits").read(sums).write(to.tensor).u32(items).u32(self.count);
        tape.launch(launch.kernel(kernel.constant("ACCUMULATE", to.accumulate)));
    }
}
