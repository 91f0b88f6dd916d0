//! Stochastic gradient descent with momentum, Nesterov's too, as PyTorch defines it (after Sutskever and others 2013, but the rate
//! multiplies the velocity, not what is added to it).

use super::optimizer::{Kind, Preparation, Segment, update};
use crate::params::Arena;
use crate::shader;
use crate::tape::Tape;

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
    let kind = Kind {
        op: "sgd",
        shader: shader!("sgd.wgsl"),
        flops: 8,
        moments: &[Arena::Moment1],
        numbers: &[options.momentum],
        switch: ("NESTEROV", options.nesterov),
    };
    update(tape, segments, prepared, &kind);
}
