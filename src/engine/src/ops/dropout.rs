//! Dropout (Srivastava et al. 2014), inverted: what is kept is scaled up, so that nothing changes at inference. Of single numbers, or
//! of whole samples: stochastic depth (Huang et al. 2016), where `x` is a residual branch.

use crate::tape::{GradDestination, Launch, Tape};
use crate::tensor::Tensor;
use crate::{Error, Result, shader};

/// Sets each number of `x` to zero with probability `rate` and multiplies the others with `1 / (1 - rate)`.
///
/// The mask is a function of the step's number, the seed ([`StepWords`](crate::params::StepWords)), this op's stream and
/// the number's place in dense NHWC order of the whole batch: it is stored nowhere, and the backward pass draws it again. With a rate of 0
/// nothing is recorded.
///
/// # Errors
/// If the rate is not in `0..1`.
pub fn dropout(tape: &mut Tape, x: Tensor, rate: f32) -> Result<Tensor> {
    record(tape, x, rate, false)
}

/// Like [`dropout`], of whole samples: all numbers of one are zero or none.
///
/// # Errors
/// As [`dropout`].
pub fn drop_samples(tape: &mut Tape, x: Tensor, rate: f32) -> Result<Tensor> {
    record(tape, x, rate, true)
}

fn record(tape: &mut Tape, x: Tensor, rate: f32, whole: bool) -> Result<Tensor> {
    if !(0.0..1.0).contains(&rate) {
        return Err(Error::run(format!("dropout: a rate of {rate} is not in 0..1")));
    }
    if rate == 0.0 {
        return Ok(x);
    }
    let (y, mask) = (tape.output(x.shape, &[x]), (rate, whole, tape.random_stream()));
    apply(tape, "forward", x, GradDestination { tensor: y, accumulate: false }, mask);
    tape.on_gradient(x, y, move |tape, dy, dx| apply(tape, "backward", dy, dx, mask));
    Ok(y)
}

/// What a random op mixes into the seed, so that streams are far apart.
pub(crate) fn scrambled(stream: usize) -> usize {
    (stream as u32).wrapping_mul(0x9e37_79b9) as usize
}

/// `to (+)= x` times the mask of this rate and stream, which has a draw for each number, or for each `whole` sample.
fn apply(tape: &mut Tape, pass: &'static str, x: Tensor, to: GradDestination, mask: (f32, bool, usize)) {
    let ((rate, whole, stream), step, y) = (mask, tape.step(), to.tensor);
    // Draws have 24 bits.
    let threshold = (f64::from(rate) * f64::from(1 << 24)).round() as usize;
    let launch = Launch::new("dropout", pass).read(x).read(step).write(y);
    let launch = launch.u32(x.shape.len()).u32(threshold).f32((1.0 / (1.0 - f64::from(rate))) as f32);
    let launch = launch.u32(scrambled(stream)).u32(x.shape.len() / x.shape.n).view(x).view(y).cheap();
    let switches = [("ACCUMULATE", to.accumulate), ("WHOLE", whole)];
    tape.launch(launch.element_wise(shader!("dropout.wgsl"), x.shape, &switches));
}
