//! `y = a + b`: a residual connection, with or without the ReLU that usually follows it.

use super::relu;
use crate::tape::{Follow, Launch, Tape};
use crate::tensor::Tensor;
use crate::{Error, Result, shader};

/// Adds two tensors of the same shape.
///
/// # Errors
/// If the shapes differ.
pub fn add(tape: &mut Tape, a: Tensor, b: Tensor) -> Result<Tensor> {
    let y = forward(tape, a, b, false)?;
    tape.on_backward(&[a, b], move |tape| [a, b].into_iter().try_for_each(|x| tape.pass_back(x, y, Tape::copy_into)));
    Ok(y)
}

/// `y = max(a + b, 0)`: the end of a residual block. The sum before the ReLU is never stored, and both gradients are one launch.
///
/// # Errors
/// If the shapes differ.
pub fn add_relu(tape: &mut Tape, a: Tensor, b: Tensor) -> Result<Tensor> {
    let y = forward(tape, a, b, true)?;
    tape.on_backward(&[a, b], move |tape| backward(tape, a, b, y));
    Ok(y)
}

fn forward(tape: &mut Tape, a: Tensor, b: Tensor, rectified: bool) -> Result<Tensor> {
    if a.shape != b.shape {
        return Err(Error::run(format!("add: shapes {} and {} differ", a.shape, b.shape)));
    }
    let y = tape.output(a.shape, &[a, b]);
    let launch = Launch::new("add", "forward").read(a).read(b).write(y);
    let launch =
        launch.u32(a.shape.len()).view(a).view(b).view(y).flops(a.shape.len()).follows(Follow::Add { rectified });
    let constants = [("RELU", rectified)];
    tape.launch(launch.element_wise(shader!("add/forward.wgsl"), a.shape, &constants));
    Ok(y)
}

fn backward(tape: &mut Tape, a: Tensor, b: Tensor, y: Tensor) -> Result<()> {
    // One launch writes two buffers: two different ones, both wanted.
    let both = tape.requires_grad(a) && tape.requires_grad(b) && !tape.share_storage(a, b);
    if !both {
        let rectified = |tape: &mut Tape, dy, dx| relu::backward(tape, y, dy, dx);
        return [a, b].into_iter().try_for_each(|x| tape.pass_back(x, y, rectified));
    }
    let Some(dy) = tape.grad(y)? else { return Ok(()) };
    let [da, db] = [tape.grad_destination(a)?, tape.grad_destination(b)?];
    let launch = Launch::new("add", "backward").read(y).read(dy).write(da.tensor).write(db.tensor);
    let launch = launch.u32(y.shape.len()).view(y).view(dy).view(da.tensor).view(db.tensor);
    let constants = [("ACCUMULATE_A", da.accumulate), ("ACCUMULATE_B", db.accumulate)];
    tape.launch(launch.element_wise(shader!("add/backward.wgsl"), y.shape, &constants));
    Ok(())
}
