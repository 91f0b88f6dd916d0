//! `y = a + b`: a residual connection.

use super::{concat, element_wise, same_shape};
use crate::tape::{Launch, Tape};
use crate::tensor::Tensor;
use crate::{Result, shader};

/// Adds two tensors of the same shape.
///
/// # Errors
/// If the shapes differ.
pub fn add(tape: &mut Tape, a: Tensor, b: Tensor) -> Result<Tensor> {
    same_shape("add", a.shape, b.shape)?;
    let y = tape.output(a.shape, &[a, b]);
    let launch = Launch::new("add", "forward").read(a).read(b).write(y);
    let launch = launch.u32(a.shape.len()).view(a).view(b).view(y).flops(a.shape.len());
    tape.launch(element_wise(launch, shader!("add.wgsl"), a.shape, None));
    tape.on_backward(&[a, b], move |tape| {
        let Some(dy) = tape.grad(y)? else { return Ok(()) };
        for x in [a, b] {
            if tape.requires_grad(x) {
                let dx = tape.grad_destination(x)?;
                concat::copy_into(tape, dy, dx);
            }
        }
        Ok(())
    });
    Ok(y)
}
