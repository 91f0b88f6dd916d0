//! Cross-entropy of a softmax, as `torch.nn.functional.cross_entropy` defines it, with a weight per sample on top.

pub use super::loss::{Loss, Targets};
use super::loss::{check, loss};
use crate::gpu::Kernel;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

const OP: &str = "softmax_cross_entropy";

/// Mean loss of `logits` (`n x 1 x 1 x c`).
///
/// With `y` the label, `w` the class weights (ones if `None`), `s` the label smoothing and `v` the sample's weight:
///
/// ```text
/// loss_i = (1 - s) w[y] (-log p[y]) + s / c * sum_k w[k] (-log p[k])
/// loss   = sum_i v_i loss_i / sum_i v_i w[y_i]
/// ```
///
/// A sample whose largest logit is shared by several classes counts as the lowest of them.
///
/// # Errors
/// If shapes, class weights or smoothing make no sense.
pub fn softmax_cross_entropy(
    tape: &mut Tape,
    logits: Tensor,
    targets: &Targets,
    class_weights: Option<&[f32]>,
    label_smoothing: f32,
) -> Result<Loss> {
    let Shape { n, c, .. } = logits.shape;
    let class_weights = class_weights.map_or_else(|| vec![1.0; c], <[f32]>::to_vec);
    check(OP, logits.shape, targets, &class_weights, label_smoothing)?;
    if class_weights.len() != c {
        return Err(Error::run(format!("{OP}: {} class weights for {c} classes", class_weights.len())));
    }
    let class_weight_sum = class_weights.iter().map(|&w| f64::from(w)).sum::<f64>() as f32;
    let class_weights = tape.constant(Shape::vector(c), class_weights.iter().map(|w| w.to_bits()).collect());

    let records = tape.scratch(Shape::matrix(n, 8));
    let launch = Launch::new(OP, "forward").read(logits).read_indices(targets.labels).read(targets.weights);
    let launch = launch.read(class_weights).write(records);
    let launch = launch.u32(n).f32(label_smoothing).f32(class_weight_sum).view(logits).flops(8 * logits.shape.len());
    let shader = shader!("softmax_cross_entropy/sample.wgsl");
    let kernel = |lanes| Kernel::in_lanes(shader, n, lanes).constant("CLASSES", c as i64);
    tape.launch(launch.kernel(kernel(64)).kernel(kernel(1)));
    let result = loss(tape, OP, records, logits);

    let labels = targets.labels;
    tape.on_gradient(logits, result.loss, move |tape, dloss, to| {
        let launch = Launch::new(OP, "backward").read(logits).read_indices(labels).read(class_weights);
        let launch = launch.read(records).read(result.stats).read(dloss).write(to.tensor);
        let launch = launch.u32(logits.shape.len()).f32(label_smoothing).f32(class_weight_sum);
        let launch = launch.view(logits).view(result.stats).view(dloss).view(to.tensor).flops(4 * logits.shape.len());
        let kernel = Kernel::per_item(shader!("softmax_cross_entropy/backward.wgsl"), logits.shape.len());
        let kernel = kernel.constant("CLASSES", c as i64).constant("ACCUMULATE", to.accumulate);
        tape.launch(launch.kernel(kernel));
    });
    Ok(result)
}
