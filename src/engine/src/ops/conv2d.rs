//! Two-dimensional convolution (cross-correlation, as everybody's networks have it).
//!
//! Three passes, each an implicit matrix product, each in several kernels: *plain* (one element per invocation, any layout),
//! *subgroup* (up to 64 x 64 outputs in the registers of a subgroup, whose lanes hand round what they load; for software adapters),
//! *registers* (8 x 8 outputs per invocation, for software adapters whose subgroups are not of eight), *tiled* (64 x 64 outputs
//! per workgroup through workgroup memory, for GPUs) and *matrix* (the same on matrix units, in mixed precision).

use super::batch_norm::{BatchNorm, Normalisation};
use super::window::Window;
use crate::gpu::{Kernel, Shader};
use crate::tape::{GradDestination, Launch, Tape};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result, shader};

mod candidates;
mod kernels;
mod splits;

use candidates::Pass;
use splits::Splits;

/// Slides `weight` over `x`.
///
/// * `x`: `n x h x w x cin`
/// * `weight`: `kh x kw x cin x cout` (as the `n, h, w, c` of its shape); `kh x kw` must be the window's kernel
/// * `bias`: `cout` numbers
/// * output: `n x oh x ow x cout` with the window's output size
///
/// # Errors
/// If shapes don't fit together.
pub fn conv2d(tape: &mut Tape, x: Tensor, weight: Tensor, bias: Option<Tensor>, window: Window) -> Result<Tensor> {
    let Shape { n: kh, h: kw, w: cin, c: cout } = weight.shape;
    let (h, w) = window.output("conv2d", x.shape)?;
    let fits = [kh, kw] == window.kernel && cin == x.shape.c && bias.is_none_or(|b| b.shape == Shape::vector(cout));
    if !fits {
        let bias = bias.map(|b| b.shape);
        return Err(Error::run(format!(
            "conv2d: input {}, weight {}, bias {bias:?}, {window:?}",
            x.shape, weight.shape
        )));
    }
    let inputs: Vec<Tensor> = [x, weight].into_iter().chain(bias).collect();
    let y = tape.output(Shape::new(x.shape.n, h, w, cout), &inputs);
    Ok(Conv { x, weight, y, window, before: None }.record(tape, bias, &inputs))
}

/// Batch-norm, ReLU and an unpadded convolution without a bias, in one: `x` is normalised and rectified while the kernels load
/// it, so the normalised `x` never exists in memory. DenseNet's layers begin so. Shapes are those of [`conv2d`].
///
/// # Errors
/// As [`conv2d`] and [`batch_norm`](super::batch_norm::batch_norm); also if the window is padded, because the padding's zeros
/// come after the normalisation.
pub fn norm_relu_conv2d(
    tape: &mut Tape,
    x: Tensor,
    norm: &BatchNorm,
    weight: Tensor,
    window: Window,
    training: bool,
) -> Result<Tensor> {
    let Shape { n: kh, h: kw, w: cin, c: cout } = weight.shape;
    let (h, w) = window.output("conv2d", x.shape)?;
    if [kh, kw] != window.kernel || cin != x.shape.c || window.padding != [0; 4] {
        return Err(Error::run(format!("conv2d: normalised input {}, weight {}, {window:?}", x.shape, weight.shape)));
    }
    let before = Normalisation::new(tape, x, norm, training, true)?;
    let inputs = [x, weight, norm.gamma, norm.beta];
    let y = tape.output(Shape::new(x.shape.n, h, w, cout), &inputs);
    Ok(Conv { x, weight, y, window, before: Some(before) }.record(tape, None, &inputs))
}

#[derive(Clone, Copy)]
struct Conv {
    x: Tensor,
    weight: Tensor,
    y: Tensor,
    window: Window,
    /// What is done to `x` while it is loaded.
    before: Option<Normalisation>,
}

/// Binding of what only some convolutions read: the bias, or the vectors of the normalisation.
const VECTORS: u32 = 4;

impl Conv {
    fn cin(&self) -> usize {
        self.weight.shape.w
    }

    fn cout(&self) -> usize {
        self.weight.shape.c
    }

    fn flops(&self) -> usize {
        2 * self.y.shape.pixels() * self.weight.shape.len()
    }

    /// What kernels know of the window, by the names of their overrides.
    fn window_numbers(&self) -> [(&'static str, usize); 6] {
        let Window { kernel: [kh, kw], stride: [sh, sw], padding: [top, _, left, _] } = self.window;
        [("KERNEL_H", kh), ("KERNEL_W", kw), ("STRIDE_H", sh), ("STRIDE_W", sw), ("PAD_TOP", top), ("PAD_LEFT", left)]
    }

    /// The window as overrides.
    fn window_constants(&self, kernel: Kernel) -> Kernel {
        self.window_numbers().into_iter().fold(kernel, |kernel, (name, value)| kernel.constant(name, value as i64))
    }

    /// The window at the end of the uniform block, for the kernels that have no constants of it.
    fn window_words(&self, launch: Launch) -> Launch {
        self.window_numbers().into_iter().fold(launch, |launch, (_, value)| launch.u32(value))
    }

    /// Numbers of channels as constants, in fours, for kernels that divide by them. The others read them from the uniform block, so
    /// that a network of many widths compiles few kernels.
    fn quads(&self, kernel: Kernel) -> Kernel {
        kernel.constant("CIN4", (self.cin() / 4) as i64).constant("COUT4", (self.cout() / 4) as i64)
    }

    /// The kernel of one element per invocation.
    fn plain(&self, shader: Shader, elements: usize) -> Kernel {
        let kernel = Kernel::per_item(shader, elements);
        kernel.constant("CIN", self.cin() as i64).constant("COUT", self.cout() as i64)
    }

    /// Whether a window can hang over the edge of the picture.
    fn padded(&self) -> bool {
        self.window.padding != [0; 4]
    }

    /// Whether the convolution is a plain matrix product: every input pixel is under one tap.
    fn is_product(&self) -> bool {
        self.window.area() == 1 && self.window.stride == [1, 1] && !self.padded()
    }

    /// The kernel that does what there is to do before and after its products.
    fn loading(&self, kernel: Kernel, bias: bool) -> Kernel {
        match (self.before.is_some(), kernel.needs.aligned) {
            (true, true) => kernel.def("NORMALISE_FOUR", VECTORS),
            (true, false) => kernel.def("NORMALISE_ONE", VECTORS),
            (false, _) if bias => kernel.def("BIAS", VECTORS),
            (false, _) => kernel,
        }
    }

    /// The launch with the vectors of the normalisation, if there is one.
    fn with_vectors(&self, launch: Launch) -> Launch {
        self.before.iter().flat_map(Normalisation::operands).fold(launch, Launch::read)
    }

    /// A launch that makes a map of a source and the weights. Its block is `conv::Maps`.
    fn mapping(&self, pass: &'static str, source: Tensor, result: Tensor) -> Launch {
        let (from, to) = (source.shape, result.shape);
        let launch = Launch::new("conv2d", pass).read(source).read(self.weight).write(result);
        let launch = launch.u32(to.pixels()).u32(to.h).u32(to.w).u32(from.h).u32(from.w);
        let launch = launch.u32(self.cin()).u32(self.cout()).view(source).view(result);
        self.window_words(launch).flops(self.flops())
    }

    /// Records the forward pass, and leaves the backward one. Gives the output.
    fn record(self, tape: &mut Tape, bias: Option<Tensor>, inputs: &[Tensor]) -> Tensor {
        let launch = self.with_vectors(self.mapping("forward", self.x, self.y));
        let launch = bias.into_iter().fold(launch, Launch::read).with_epilogue();
        tape.launch(launch.candidates(self.candidates(Pass::Forward { bias: bias.is_some() })));
        tape.on_backward(inputs, move |tape| self.backward(tape, bias));
        self.y
    }

    fn backward(&self, tape: &mut Tape, bias: Option<Tensor>) -> Result<()> {
        if let Some(bias) = bias {
            tape.pass_back(bias, self.y, grad_bias)?;
        }
        let grad_weight = |tape: &mut Tape, dy, to| self.grad_weight(tape, dy, to);
        tape.pass_back(self.weight, self.y, grad_weight)?;
        let Some(before) = &self.before else {
            return tape.pass_back(self.x, self.y, |tape, dy, to| self.grad_input(tape, dy, to));
        };
        let wanted = [self.x].into_iter().chain(before.parameters()).any(|t| tape.requires_grad(t));
        if wanted && let Some(dy) = tape.grad(self.y)? {
            // The gradient of the normalised x exists only until the next launches have read it.
            let activated = GradDestination { tensor: tape.scratch_like(self.x), accumulate: false };
            self.grad_input(tape, dy, activated);
            before.backward(tape, self.x, activated.tensor)?;
        }
        Ok(())
    }

    fn grad_input(&self, tape: &mut Tape, dy: Tensor, to: GradDestination) {
        let launch = self.mapping("grad_input", dy, to.tensor);
        tape.launch(launch.candidates(self.candidates(Pass::GradInput { accumulate: to.accumulate })));
    }

    fn grad_weight(&self, tape: &mut Tape, dy: Tensor, to: GradDestination) {
        let (x, y, weights) = (self.x, self.y.shape, self.weight.shape.len());
        let lines = y.n * y.h;
        let tiles = self.window.area() * self.cin().div_ceil(8) * self.cout().div_ceil(8);
        let splits = Splits::new(lines, tape.wanted_invocations().div_ceil(tiles), weights);
        let sums = splits.destination(tape, to);
        let launch = self.with_vectors(Launch::new("conv2d", "grad_weight").read(x).read(dy).write(sums));
        // The block is `conv::Weights`.
        let launch = launch.u32(lines).u32(splits.each).u32(x.shape.h).u32(x.shape.w).u32(y.h).u32(y.w);
        let launch = launch.u32(self.cin()).u32(self.cout()).u32(splits.count).view(x).view(dy);
        let launch = self.window_words(launch).flops(self.flops());
        let accumulate = splits.count == 1 && to.accumulate;
        tape.launch(launch.candidates(self.candidates(Pass::GradWeight { splits, accumulate })));
        splits.sum(tape, sums, to);
    }
}

/// `db[c]` is the sum of `dy` over all pixels.
fn grad_bias(tape: &mut Tape, dy: Tensor, to: GradDestination) {
    let (pixels, channels) = (dy.shape.pixels(), dy.shape.c);
    let splits = Splits::at_least_two(pixels, (tape.wanted_invocations() / 4).div_ceil(channels), channels);
    let sums = splits.destination(tape, to);
    let launch = Launch::new("conv2d", "grad_bias").read(dy).write(sums);
    let launch = launch.u32(pixels).u32(splits.each).u32(splits.count).view(dy);
    tape.launch(
        launch.both_widths(channels, |elements| {
            Kernel::per_item(shader!("conv2d/grad_bias.wgsl"), splits.count * elements)
        }),
    );
    splits.sum(tape, sums, to);
}
