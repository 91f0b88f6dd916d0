//! Stochastic gradient descent with momentum, Nesterov's too, as PyTorch defines it (after Sutskever and others 2013, but the rate
//! multiplies the velocity, not what is added to it).

use super::adam::{Preparation, Segment};
use crate::gpu::Kernel;
use crate::params::{Arena, arena_pieces};
use crate::shader;
use crate::tape::{Launch, Tape};

/// What stays the same over a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// What the velocity is multiplied by in each step: from 0, which is gradient descent by itself, to below 1.
    pub momentum: f32,
    /// Whether a step goes where the next velocity points to.
    pub nesterov: bool,
}

/// Records one optimiser step over these segments of the parameters, in place:
///
/// ```text
/// g *= gradient_scale                     where it is scaled
/// g *= min(1, max_norm / (norm + 1e-6))   where it is clipped
/// g += wd p                               but for what is undecayed
/// v  = momentum v + g
/// p -= lr v   or, with Nesterov,   p -= lr (g + momentum v)
/// ```
///
/// `lr` and `wd` come from the step input, as [`adam`](super::adam::adam) takes them, and so do segments and preparation. The
/// velocity is the first moment's buffer; the second one's is not touched.
pub fn sgd(tape: &mut Tape, segments: &[Segment], options: Sgd, prepared: Preparation) {
    let (step, frozen) = (tape.step(), tape.frozen_words());
    for &Segment { start, words, scale } in segments {
        debug_assert!(words.is_multiple_of(8) && start >= frozen);
        for (offset, len) in arena_pieces(words) {
            let parameters = tape.arena(Arena::Parameters, start + offset, len);
            let [gradients, velocity] =
                [Arena::Gradients, Arena::Moment1].map(|arena| tape.arena(arena, start - frozen + offset, len));
            // Who neither clips nor scales never reads the norm's binding.
            let norm = prepared.norm.unwrap_or(step);
            let launch = Launch::new("sgd", "update").read(gradients).read(step).read(norm);
            let launch = launch.write(parameters).write(velocity);
            let launch =
                launch.read_indices(prepared.undecayed.unwrap_or(step)).u32(len / 8).f32(options.momentum).f32(scale);
            let launch = launch.f32(prepared.max_norm.unwrap_or(0.0)).view(norm);
            let launch = launch.u32((start + offset) / 64).flops(8 * len);
            let kernel = Kernel::per_item(shader!("sgd.wgsl"), len / 8);
            let kernel = kernel.constant("NESTEROV", options.nesterov).constant("CLIP", prepared.max_norm.is_some());
            let kernel = kernel.constant("SCALED", prepared.scaled).constant("SPARES", prepared.undecayed.is_some());
            tape.launch(launch.kernel(kernel));
        }
    }
}
