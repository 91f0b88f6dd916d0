//! Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch defines them.

use crate::gpu::Kernel;
use crate::plan::arena_pieces;
use crate::shader;
use crate::tape::{Arena, Launch, Tape};

/// What stays the same over a training.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    pub beta1: f32,
    pub beta2: f32,
    /// Added after the second moment's bias correction; above 0.
    pub eps: f32,
    /// Whether weight decay shrinks the parameters by themselves (AdamW) or is a part of the gradient (L2).
    pub decoupled: bool,
}

impl Default for Adam {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, decoupled: false }
    }
}

impl Adam {
    /// `1 - beta^t` of both moments for the step that counts from 0, as
    /// [`StepWords`](crate::params::StepWords) wants them: of the very betas that the kernel works with.
    pub fn bias_corrections(self, step: u32) -> [f32; 2] {
        [self.beta1, self.beta2].map(|beta| (1.0 - f64::from(beta).powf(f64::from(step) + 1.0)) as f32)
    }
}

/// Records one optimiser step over the first `words` words of the parameters, usually
/// [`Spec::parameter_words`](crate::params::Spec::parameter_words), a multiple of 4, in place:
///
/// ```text
/// g += wd p   or, decoupled,   p *= 1 - lr wd
/// m  = beta1 m + (1 - beta1) g
/// v  = beta2 v + (1 - beta2) g^2
/// p -= lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps)
/// ```
///
/// `lr`, `wd` and the bias corrections `bc1` and `bc2` come from the step input
/// ([`StepWords`](crate::params::StepWords)), so a schedule needs no new plan.
pub fn adam(tape: &mut Tape, words: usize, options: Adam) {
    debug_assert!(words.is_multiple_of(4));
    let step = tape.step();
    for (offset, len) in arena_pieces(words) {
        let [parameters, gradients, moment1, moment2] =
            [Arena::Parameters, Arena::Gradients, Arena::Moment1, Arena::Moment2].map(|a| tape.arena(a, offset, len));
        let launch = Launch::new("adam", "update").read(gradients).read(step);
        let launch = launch.write(parameters).write(moment1).write(moment2);
        let rest = |beta: f32| (1.0 - f64::from(beta)) as f32;
        let launch = launch.u32(len / 4).f32(options.beta1).f32(options.beta2);
        let launch = launch.f32(rest(options.beta1)).f32(rest(options.beta2)).f32(options.eps).flops(14 * len);
        let kernel = Kernel::per_item(shader!("adam.wgsl"), len / 4).constant("DECOUPLED", options.decoupled);
        tape.launch(launch.kernel(kernel));
    }
}
