//! Adam (Kingma and Ba 2015) and AdamW (Loshchilov and Hutter 2019), as PyTorch defines them.

use crate::gpu::Kernel;
use crate::params::{Arena, Layout, arena_pieces};
use crate::shader;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};

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

/// Trained parameters that lie together and share a learning rate. Each end is where a parameter begins, or that of the
/// buffer: multiples of 64 words.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Segment {
    /// First word in the buffer of all parameters.
    pub start: usize,
    pub words: usize,
    /// What the step's learning rate is multiplied by.
    pub scale: f32,
}

impl Segment {
    /// All trained parameters at the step's own rate.
    pub fn all(tape: &Tape) -> Self {
        Self { start: tape.frozen_words(), words: tape.trained_words(), scale: 1.0 }
    }
}

/// What happens to gradients before Adam sees them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Preparation {
    /// One number: the norm of all gradients together, as [`grad_norm`](super::grad_norm::grad_norm) leaves it. Whoever clips or
    /// scales needs it.
    pub norm: Option<Tensor>,
    /// Where the norm is larger, gradients are scaled down to it, as `torch.nn.utils.clip_grad_norm_` does.
    pub max_norm: Option<f32>,
    /// Gradients are multiplied by [`StepWords::gradient_scale`](crate::params::StepWords), and nothing changes where the norm is no
    /// finite number.
    pub scaled: bool,
    /// What has no weight decay, as [`vectors`] tells it; without it all have.
    pub undecayed: Option<Tensor>,
}

/// Which parameters are vectors: biases, and what batch-norms scale and shift by. A bit for each 64 words of all parameters. Recorded
/// when the tape has them all.
pub fn vectors(tape: &mut Tape) -> Tensor {
    let mut bits = vec![0_u32; tape.spec().parameter_words().div_ceil(64 * 32).max(1)];
    for (offset, parameter) in tape.spec().parameters.iter().filter(|(_, spec)| spec.layout == Layout::Vector) {
        for block in offset / 64..(offset + parameter.shape.len()).div_ceil(64) {
            bits[block / 32] |= 1 << (block % 32);
        }
    }
    tape.constant(Shape::vector(bits.len()), bits)
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
    let (step, frozen) = (tape.step(), tape.frozen_words());
    for &Segment { start, words, scale } in segments {
        // Ends of segments and of pieces are multiples of 64 words; an invocation takes two vectors of four.
        debug_assert!(words.is_multiple_of(8) && start >= frozen);
        for (offset, len) in arena_pieces(words) {
            let parameters = tape.arena(Arena::Parameters, start + offset, len);
            let [gradients, moment1, moment2] = [Arena::Gradients, Arena::Moment1, Arena::Moment2]
                .map(|arena| tape.arena(arena, start - frozen + offset, len));
            // Who neither clips nor scales never reads the norm's binding.
            let norm = prepared.norm.unwrap_or(step);
            let launch = Launch::new("adam", "update").read(gradients).read(step).read(norm);
            let launch = launch.write(parameters).write(moment1).write(moment2);
            let launch = launch.read_indices(prepared.undecayed.unwrap_or(step));
            let rest = |beta: f32| (1.0 - f64::from(beta)) as f32;
            let launch = launch.u32(len / 8).f32(options.beta1).f32(options.beta2);
            let launch = launch.f32(rest(options.beta1)).f32(rest(options.beta2)).f32(options.eps).f32(scale);
            let launch = launch.f32(prepared.max_norm.unwrap_or(0.0)).view(norm);
            let launch = launch.u32((start + offset) / 64).flops(14 * len);
            let kernel = Kernel::per_item(shader!("adam.wgsl"), len / 8);
            let kernel = kernel.constant("DECOUPLED", options.decoupled).constant("CLIP", prepared.max_norm.is_some());
            let kernel = kernel.constant("SCALED", prepared.scaled).constant("SPARES", prepared.undecayed.is_some());
            tape.launch(launch.kernel(kernel));
        }
    }
}
