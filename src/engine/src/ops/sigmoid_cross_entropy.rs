//! Cross-entropy of a sigmoid: two classes and one logit.

pub use super::loss::{Loss, Targets};
use super::loss::{check, loss};
use crate::gpu::Kernel;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

const OP: &str = "sigmoid_cross_entropy";

/// Mean loss of one logit `z` per sample (`n x 1 x 1 x 1`); labels are 0 or 1.
///
/// With `y` the label, `w` the class weights (ones if `None`), `s` the label smoothing and `v` the sample's weight:
///
/// ```text
/// t      = y (1 - s) + s / 2
/// loss_i = -t log sigmoid(z) - (1 - t) log sigmoid(-z) = softplus(z) - t z
/// loss   = sum_i v_i w[y_i] loss_i / sum_i v_i w[y_i]
/// ```
///
/// A logit of exactly 0 counts as class 0.
///
/// # Errors
/// If shapes, class weights or smoothing make no sense.
pub fn sigmoid_cross_entropy(
    tape: &mut Tape,
    logits: Tensor,
    targets: &Targets,
    class_weights: Option<[f32; 2]>,
    label_smoothing: f32,
) -> Result<Loss> {
    let class_weights = class_weights.unwrap_or([1.0; 2]);
    check(OP, logits.shape, targets, &class_weights, label_smoothing)?;
    if logits.shape.c != 1 {
        return Err(Error::run(format!("{OP}: logits are {}, not one number per sample", logits.shape)));
    }
    let n = logits.shape.n;
    let records = tape.scratch(Shape::matrix(n, 4));
    let launch =
        Launch::new(OP, "forward").read(logits).read_indices(targets.labels).read(targets.weights).write(records);
    let launch = launch.u32(n).f32(label_smoothing).f32(class_weights[0]).f32(class_weights[1]).view(logits);
    tape.launch(launch.kernel(Kernel::per_item(shader!("sigmoid_cross_entropy/sample.wgsl"), n)));
    let result = loss(tape, OP, records, logits);

    let labels = targets.labels;
    tape.on_gradient(logits, result.loss, move |tape, dloss, to| {
        let launch = Launch::new(OP, "backward").read(logits).read_indices(labels).read(records).read(result.stats);
        let launch = launch.read(dloss).write(to.tensor).u32(n).f32(label_smoothing);
        let launch = launch.view(logits).view(result.stats).view(dloss).view(to.tensor);
        let kernel = Kernel::per_item(shader!("sigmoid_cross_entropy/backward.wgsl"), n);
        tape.launch(launch.kernel(kernel.constant("ACCUMULATE", to.accumulate)));
    });
    Ok(result)
}
