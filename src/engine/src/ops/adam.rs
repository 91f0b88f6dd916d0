//! Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch defines them.

use super::optimizer::{Kind, Preparation, Segment, update};
use crate::params::Arena;
use crate::shader;
use crate::tape::Tape;

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

/// Records one optimiser step over these segments of the parameters, in place:
///
/// ```text
/// g *= gradient_scale                     where it is scaled
/// g *= min(1, max_norm / (norm + 1e-6))   where it is clipped
/// g += wd p   or, decoupled,   p *= 1 - lr wd     but for what is undecayed
/// m  = beta1 m + (1 - beta1) g
/// v  = beta2 v + (1 - beta2) g^2
/// p -= lr / bc1 * m / (sqrt(v) / sqrt(bc2) + eps)
/// ```
///
/// `lr`, `wd` and the bias corrections `bc1` and `bc2` come from the step input
/// ([`StepWords`](crate::params::StepWords)), so a schedule needs no new plan. `lr` is then multiplied by the segment's scale.
/// Gradients and moments of the first trained parameter lie at the start of their buffers.
pub fn adam(tape: &mut Tape, segments: &[Segment], options: Adam, prepared: Preparation) {
    let Adam { beta1, beta2, eps, decoupled } = options;
    let [rest1, rest2] = [beta1, beta2].map(|beta| (1.0 - f64::from(beta)) as f32);
    let kind = Kind {
        op: "adam",
        shader: shader!("adam.wgsl"),
        flops: 14,
        moments: &[Arena::Moment1, Arena::Moment2],
        numbers: &[beta1, beta2, rest1, rest2, eps],
        switch: ("DECOUPLED", decoupled),
    };
    update(tape, segments, prepared, &kind);
}
