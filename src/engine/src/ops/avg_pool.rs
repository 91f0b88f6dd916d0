//! The mean of each window.

use super::window::Window;
use crate::gpu::Kernel;
use crate::tape::{GradDestination, Launch, Tape};
use crate::tensor::Tensor;
use crate::{Result, shader};

/// `n x h x w x c` to `n x h' x w' x c`: the mean of each window, per channel. With `count_padding` the sum is divided by
/// the kernel's area (PyTorch's default), else by the number of pixels that are not padding.
///
/// # Errors
/// If the kernel does not fit the padded input, or the padding is as large as the kernel.
pub fn avg_pool(tape: &mut Tape, x: Tensor, window: Window, count_padding: bool) -> Result<Tensor> {
    let shape = window.pooled("avg_pool", x.shape)?;
    let y = tape.output(shape, &[x]);
    let tiles = shape.n * shape.h.div_ceil(2) * shape.w.div_ceil(2);
    let launch = Launch::new("avg_pool", "forward").read(x).write(y);
    let launch = launch.u32(tiles).u32(x.shape.h).u32(x.shape.w).u32(shape.h).u32(shape.w);
    let launch = launch.view(x).view(y).flops(shape.len() * window.area());
    let shader = shader!("avg_pool/forward.wgsl");
    tape.launch(launch.both_widths(x.shape.c, |channels| {
        let kernel = Kernel::per_item(shader, tiles * channels).constant("COUNT_PADDING", count_padding);
        window.forward(kernel, shape)
    }));
    tape.on_gradient(x, y, move |tape, dy, dx| backward(tape, dy, dx, window, count_padding));
    Ok(y)
}

fn backward(tape: &mut Tape, dy: Tensor, dx: GradDestination, window: Window, count_padding: bool) {
    let (x, y) = (dx.tensor.shape, dy.shape);
    let squares = window.square_count(x);
    let launch = Launch::new("avg_pool", "backward").read(dy).write(dx.tensor);
    let launch = launch.u32(squares).u32(x.h).u32(x.w).u32(y.h).u32(y.w);
    let launch = launch.view(dy).view(dx.tensor).flops(y.len() * window.area());
    let shader = shader!("avg_pool/backward.wgsl");
    tape.launch(launch.both_widths(x.c, |channels| {
        let kernel = Kernel::per_item(shader, squares * channels).constant("COUNT_PADDING", count_padding);
        window.backward(kernel.constant("ACCUMULATE", dx.accumulate), x)
    }));
}
