//! What the two cross-entropies share: what they compare with, what they return, and the mean over samples.

use crate::gpu::Kernel;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

/// The truth about a batch of `n` samples, as inputs with `n` words each ([`Shape::vector`] or [`Shape::matrix`]).
#[derive(Clone, Copy, Debug)]
pub struct Targets {
    /// Class numbers, `u32`. The host makes sure that they are in range.
    pub labels: Tensor,
    /// How much each sample counts, `f32`. A sample of weight 0 counts for nothing, as if it were not there: that is how
    /// the last batch of an epoch is filled up.
    pub weights: Tensor,
}

impl Targets {
    /// Inputs for `n` samples.
    pub fn inputs(tape: &mut Tape, n: usize) -> Self {
        Self { labels: tape.input(Shape::vector(n)), weights: tape.input(Shape::vector(n)) }
    }
}

/// What a cross-entropy leaves.
#[derive(Clone, Copy, Debug)]
pub struct Loss {
    /// One number, the weighted mean over the samples: `stats[0] / stats[1]`, or 0 where no sample counts.
    pub loss: Tensor,
    /// Four numbers that add up over batches:
    ///
    /// 0. the sum of weighted losses,
    /// 1. the sum of weights (a sample's weight times its class's weight),
    /// 2. the sum of sample weights (without class weights) over the samples whose class was found,
    /// 3. the number of samples with a weight above 0.
    pub stats: Tensor,
}

/// Checks what both ops demand of their inputs; class weights are finite and not negative.
pub(crate) fn check(op: &str, logits: Shape, targets: &Targets, class_weights: &[f32], smoothing: f32) -> Result<()> {
    let Shape { n, h, w, c } = logits;
    let [labels, weights] = [targets.labels.shape.len(), targets.weights.shape.len()];
    if h * w != 1 || c == 0 {
        Err(Error::run(format!("{op}: logits are {logits}, not one vector per sample")))
    } else if labels != n || weights != n {
        Err(Error::run(format!("{op}: {labels} labels and {weights} weights for {n} samples")))
    } else if !(0.0..=1.0).contains(&smoothing) {
        Err(Error::run(format!("{op}: a label smoothing of {smoothing} is not in 0..=1")))
    } else if let Some(w) = class_weights.iter().find(|w| !(w.is_finite() && **w >= 0.0)) {
        Err(Error::run(format!("{op}: a class weight of {w}")))
    } else {
        Ok(())
    }
}

/// Adds up one record per sample, `n x 1 x 1 x c` with `c` a multiple of 4: each begins with weighted loss, weight, weighted hit and
/// one (or four zeros). The loss needs a gradient if `logits` do; the launch is counted as `op`'s.
pub fn loss(tape: &mut Tape, op: &'static str, records: Tensor, logits: Tensor) -> Loss {
    let mean = tape.output(Shape::vector(1), &[logits]);
    let stats = tape.scratch(Shape::vector(4));
    let launch = Launch::new(op, "total").read(records).write(mean).write(stats);
    let launch = launch.u32(records.shape.n).u32(records.shape.c / 4).view(mean).view(stats);
    tape.launch(launch.kernel(Kernel::per_group(shader!("loss/total.wgsl"), 1)));
    Loss { loss: mean, stats }
}

#[cfg(test)]
mod tests {
    use super::super::{dropout::dropout, sigmoid_cross_entropy::sigmoid_cross_entropy};
    use super::super::{input, softmax_cross_entropy::softmax_cross_entropy};
    use super::*;

    #[test]
    fn nonsense_is_refused() {
        let mut tape = Tape::new();
        let logits = tape.input(Shape::matrix(3, 4));
        let map = tape.input(Shape::new(3, 2, 1, 4));
        let (targets, fewer) = (Targets::inputs(&mut tape, 3), Targets::inputs(&mut tape, 2));
        let mut softmax = |x, targets, weights: Option<&[f32]>, smoothing| {
            softmax_cross_entropy(&mut tape, x, targets, weights, smoothing).is_err()
        };
        assert!(softmax(map, &targets, None, 0.0));
        assert!(softmax(logits, &fewer, None, 0.0));
        assert!(softmax(logits, &targets, None, 1.5));
        assert!(softmax(logits, &targets, None, f32::NAN));
        assert!(softmax(logits, &targets, Some(&[1.0; 3]), 0.0));
        assert!(softmax(logits, &targets, Some(&[1.0, 1.0, 1.0, -1.0]), 0.0));
        assert!(sigmoid_cross_entropy(&mut tape, logits, &targets, None, 0.0).is_err());
        assert!(dropout(&mut tape, logits, 1.0).is_err());
        let mut op = input::InputOp {
            source: (2, 2),
            size: (2, 2),
            mean: [0.5; 3],
            std: [0.5; 3],
            augment: input::Augment::default(),
        };
        assert!(input::input(&mut tape, fewer.labels, 1, &op).is_err());
        op.std[1] = 0.0;
        assert!(input::input(&mut tape, targets.labels, 1, &op).is_err());
        assert!(tape.launches().is_empty());
    }
}
