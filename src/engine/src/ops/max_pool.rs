//! The largest number of each window.

use super::window::Window;
use crate::gpu::Kernel;
use crate::tape::{Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Result, shader};

/// `n x h x w x c` to `n x h' x w' x c`: the maximum of each window, per channel; padding never wins, NaN always does.
///
/// The gradient goes to the first maximum of a window, row by row, as in PyTorch. Its place in the window, the argmax, is kept
/// from the forward pass, for squares of 2x2 outputs and four channels: a byte per output, a word for windows of more than 256
/// pixels, nothing if no gradient is wanted.
///
/// # Errors
/// If the kernel does not fit the padded input, or the padding is as large as the kernel.
pub fn max_pool(tape: &mut Tape, x: Tensor, window: Window) -> Result<Tensor> {
    let shape = window.pooled("max_pool", x.shape)?;
    let y = tape.output(shape, &[x]);
    let store = tape.requires_grad(x);
    let quads = x.shape.c.div_ceil(4);
    let wide = window.area() > 256;
    // 2x2 windows at a time.
    let tiles = shape.n * shape.h.div_ceil(2) * shape.w.div_ceil(2);
    let argmax = tape.scratch(Shape::vector(match (store, wide) {
        (true, true) => 16 * tiles * quads,
        (true, false) => 4 * tiles * quads,
        // What the binding holds at least, though nothing is stored.
        (false, _) => 4,
    }));

    let launch = Launch::new("max_pool", "forward").read(x).write(y).write_indices(argmax);
    let launch = launch.u32(tiles).u32(x.shape.h).u32(x.shape.w).u32(shape.h).u32(shape.w).f32(f32::NEG_INFINITY);
    let launch = launch.view(x).view(y).flops(shape.len() * window.area());
    // Each invocation has four channels in both widths, so that either can read what the other wrote.
    tape.launch(launch.any_width(x.shape.c, |_| {
        let kernel = Kernel::per_item(shader!("max_pool/forward.wgsl"), tiles * quads);
        let kernel = kernel.constant("CHANNELS", x.shape.c as i64).constant("QUADS", quads as i64);
        let kernel = kernel.constant("STORE", store).constant("WIDE", wide);
        window.forward(kernel, shape)
    }));
    tape.on_gradient(x, y, move |tape, dy, dx| {
        let squares = window.square_count(x.shape);
        let launch = Launch::new("max_pool", "backward").read_indices(argmax).read(dy).write(dx.tensor);
        let launch = launch.u32(squares).u32(x.shape.h).u32(x.shape.w).u32(y.shape.h).u32(y.shape.w);
        let launch = launch.view(dy).view(dx.tensor).flops(y.shape.len());
        let launch = if dx.accumulate { launch } else { launch.of_maxima(x, y) };
        tape.launch(launch.any_width(x.shape.c, |_| {
            let kernel = Kernel::per_item(shader!("max_pool/backward.wgsl"), squares * quads);
            let kernel = kernel.constant("CHANNELS", x.shape.c as i64).constant("QUADS", quads as i64);
            let kernel = kernel.constant("WIDE", wide).constant("ACCUMULATE", dx.accumulate);
            window.tiles(window.backward(kernel, x.shape), y.shape)
        }));
    });
    Ok(y)
}
