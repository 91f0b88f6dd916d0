//! What optimisers have in common: which parameters they change, what happens to gradients first, and their launches.

use crate::gpu::{Kernel, Shader};
use crate::params::{Arena, Layout, arena_pieces};
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};

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

/// What happens to gradients before an optimiser sees them.
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

/// What an optimiser has of its own.
pub(super) struct Kind<'a> {
    pub op: &'static str,
    pub shader: Shader,
    /// Operations for each parameter.
    pub flops: usize,
    /// What it changes besides parameters. They begin with the first trained parameter, as gradients do.
    pub moments: &'a [Arena],
    /// Its numbers in the uniform block: behind half the number of vectors of four, and before what `gatefold::optimizer` is about.
    pub numbers: &'a [f32],
    pub switch: (&'static str, bool),
}

/// Records the launches of a step.
pub(super) fn update(tape: &mut Tape, segments: &[Segment], prepared: Preparation, kind: &Kind) {
    let (step, frozen) = (tape.step(), tape.frozen_words());
    for &Segment { start, words, scale } in segments {
        // Ends of segments and of pieces are multiples of 64 words; an invocation takes two vectors of four.
        debug_assert!(words.is_multiple_of(8) && start >= frozen);
        for (offset, len) in arena_pieces(words) {
            let parameters = tape.arena(Arena::Parameters, start + offset, len);
            let mut of_trained = |arena: Arena| tape.arena(arena, start - frozen + offset, len);
            let gradients = of_trained(Arena::Gradients);
            // Who neither clips nor scales never reads the norm's binding, and who spares nothing not that of what is spared.
            let norm = prepared.norm.unwrap_or(step);
            let launch = Launch::new(kind.op, "update").read(gradients).read(step).read(norm).write(parameters);
            let launch = kind.moments.iter().fold(launch, |launch, &moment| launch.write(of_trained(moment)));
            let launch = launch.read_indices(prepared.undecayed.unwrap_or(step)).u32(len / 8);
            let launch = kind.numbers.iter().fold(launch, |launch, &number| launch.f32(number)).f32(scale);
            let launch = launch.f32(prepared.max_norm.unwrap_or(0.0)).view(norm).u32((start + offset) / 64);
            let kernel = Kernel::per_item(kind.shader, len / 8).constant(kind.switch.0, kind.switch.1);
            let kernel = kernel.constant("CLIP", prepared.max_norm.is_some()).constant("SCALED", prepared.scaled);
            let kernel = kernel.constant("SPARES", prepared.undecayed.is_some());
            tape.launch(launch.flops(kind.flops * len).kernel(kernel));
        }
    }
}
