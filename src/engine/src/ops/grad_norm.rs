//! The Euclidean norm of all gradients together.

use crate::gpu::Kernel;
use crate::params::{Arena, arena_pieces};
use crate::shader;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};

/// Words to a partial sum: enough that the second stage is short, few enough that a GPU is busy.
const RUN: usize = 1 << 14;

/// One number: `sqrt(sum g^2)` over the first `words` words of the gradients, usually
/// [`Tape::trained_words`], a multiple of 4. The gaps between parameters are zero.
///
/// Sums over fixed blocks, runs of blocks, and all runs: the order is the same in every step, and chains of additions stay
/// short, so that f32 is exact enough for any network.
///
/// With `scaled` the norm is multiplied by [`StepWords::gradient_scale`](crate::params::StepWords): gradients of a scaled loss, norm
/// of the unscaled one.
pub fn grad_norm(tape: &mut Tape, words: usize, scaled: bool) -> Tensor {
    debug_assert!(words.is_multiple_of(4));
    let runs: usize = arena_pieces(words).map(|(_, len)| len.div_ceil(RUN)).sum();
    let partial = tape.scratch(Shape::vector(runs.max(1)));
    let mut start = 0;
    for (offset, len) in arena_pieces(words) {
        let gradients = tape.arena(Arena::Gradients, offset, len);
        let runs = len.div_ceil(RUN);
        let launch = Launch::new("grad_norm", "partial").read(gradients).write(partial);
        let launch = launch.u32(len / 4).u32(runs).u32(start).flops(2 * len);
        let shader = shader!("grad_norm/partial.wgsl");
        let kernel = |lanes| Kernel::in_lanes(shader, runs, lanes).constant("RUN", (RUN / 4) as i64);
        tape.launch(launch.kernel(kernel(64)).kernel(kernel(1)));
        start += runs;
    }
    let norm = tape.scratch(Shape::vector(1));
    let step = tape.step();
    let launch = Launch::new("grad_norm", "total").read(partial).read(step).write(norm).u32(runs).view(norm);
    let kernel = Kernel::per_group(shader!("grad_norm/total.wgsl"), 1);
    tape.launch(launch.kernel(kernel.constant("SCALED", scaled)));
    norm
}
