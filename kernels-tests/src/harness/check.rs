//! Runs a row: every placement, every kernel, outputs and gradients, against the reference.

use std::fmt;
use std::sync::Arc;

use gatefold_engine::gpu::Gpu;
use gatefold_engine::params::{Arena, ParameterStore, StepWords};
use gatefold_engine::plan::trains;
use gatefold_engine::tape::{Launch, Tape};
use gatefold_engine::tensor::{Shape, Tensor};
use gatefold_engine::{Error, Result, ops};

use super::runner::Noted;
use super::{Array, Checked, Finding, Input, Outcome, Reference, Row, RowKind, Run, Runner};
use crate::tolerance;

/// The step that all rows run at, for ops with random numbers or schedules.
pub const STEP: StepWords = StepWords {
    step: 3,
    seed: 7,
    learning_rate: 0.01,
    weight_decay: 0.0,
    bias_correction1: 0.343_9,
    bias_correction2: 0.003_994_004,
    gradient_scale: 0.25,
    first: 5,
};

/// How a row's tensors lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Each tensor by itself.
    Dense,
    /// Inputs are channel slices `before` channels into something wider, the output becomes a slice, and the inputs have a
    /// second consumer, so that gradients must be added up. With 4 slices are aligned, if they have channels in fours.
    Sliced { before: usize },
    /// As dense, with feature maps, output and their gradients in half precision.
    Half,
    /// As the row itself has it: it makes its own plans.
    Own,
    /// Nowhere: the reference's gradient is compared with finite differences of the reference.
    Reference,
}

/// As `--json` and `--list` say it.
impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dense => f.write_str("dense"),
            Self::Sliced { before } => write!(f, "slice {before}"),
            Self::Half => f.write_str("half"),
            Self::Own => f.write_str("own"),
            Self::Reference => f.write_str("reference"),
        }
    }
}

/// The placements that a row runs in.
///
/// # Errors
/// If the row cannot be recorded.
pub fn placements(row: &Row) -> Result<Vec<Placement>> {
    let RowKind::Op { inputs, sliceable, .. } = &row.kind else { return Ok(vec![Placement::Own]) };
    let mut placements = vec![Placement::Dense];
    if *sliceable || inputs.iter().any(|input| input.sliceable) {
        placements.extend([Placement::Sliced { before: 4 }, Placement::Sliced { before: 3 }]);
    }
    let tape = record(row, Placement::Half)?.tape;
    let mut operands = tape.launches().iter().flat_map(Launch::operands);
    if operands.any(|&(tensor, _)| tape.is_half(tensor)) {
        placements.push(Placement::Half);
    }
    Ok(placements)
}

/// Runs a row on an adapter: in every placement, with every kernel that can run there. Who runs it on several keeps its reference.
///
/// # Errors
/// If the row cannot be recorded or the device is lost. What goes wrong in one run is no error but a run that failed.
pub fn check(gpu: &Arc<Gpu>, reference: &Reference) -> Result<Finding> {
    let (row, mut runs) = (reference.row(), vec![]);
    if let RowKind::Custom(run) = &row.kind {
        each_kernel(gpu, row, Placement::Own, &mut runs, run)?;
        return Ok(Finding::new(row, runs));
    }
    if let Some(error) = reference.gradcheck() {
        let checked = Checked { what: "gradcheck of the reference".into(), error };
        runs.push(Run {
            placement: Placement::Reference,
            kernel: None,
            tolerance: tolerance::FINITE_DIFFERENCES,
            outcome: Outcome::Measured(vec![checked]),
            noted: Noted::default(),
        });
    }
    for placement in placements(row)? {
        if placement == Placement::Half && !gpu.adapter().f16 {
            let outcome = Outcome::Skipped(format!("the adapter has no {F16}"));
            runs.push(Run { placement, kernel: None, tolerance: tolerance::HALF, outcome, noted: Noted::default() });
        } else {
            each_kernel(gpu, row, placement, &mut runs, &|runner| run_op(runner, reference, placement))?;
        }
    }
    Ok(Finding::new(row, runs))
}

/// What an adapter needs for rows in half precision.
pub(super) const F16: &str = "f16 in shaders";

fn each_kernel(
    gpu: &Arc<Gpu>,
    row: &Row,
    placement: Placement,
    runs: &mut Vec<Run>,
    run: &dyn Fn(&Runner) -> Result<Vec<Checked>>,
) -> Result<()> {
    let tolerance = if placement == Placement::Half { tolerance::HALF } else { row.tolerance };
    for number in 0..row.kernels {
        let runner = Runner::new(gpu, number);
        let outcome = match run(&runner) {
            Ok(checked) => Outcome::Measured(checked),
            Err(e) => Outcome::Error(e.to_string()),
        };
        gpu.check()?;
        let noted = runner.noted();
        let last = number + 1 >= noted.kernels;
        runs.push(Run { placement, kernel: Some(number), tolerance, outcome, noted });
        if last {
            break;
        }
    }
    Ok(())
}

/// The tapes that a row records, one for each placement; none if it runs itself. Needs no adapter.
///
/// # Errors
/// If the row cannot be recorded.
pub fn tapes(row: &Row) -> Result<Vec<Tape>> {
    let RowKind::Op { .. } = row.kind else { return Ok(vec![]) };
    placements(row)?.into_iter().map(|placement| Ok(record(row, placement)?.tape)).collect()
}

/// The tape of a row with dense tensors: op and gradient.
///
/// # Errors
/// If the row cannot be recorded.
pub fn record_row(row: &Row) -> Result<Tape> {
    Ok(record(row, Placement::Dense)?.tape)
}

struct Recording {
    tape: Tape,
    /// What the host writes: the input itself or the wider tensor it is a slice of.
    written: Vec<Tensor>,
    outputs: Vec<Tensor>,
    /// Gradient that flows into the first output.
    seed: Option<Tensor>,
    gradients: Vec<Option<Tensor>>,
}

/// Channels of the wider tensor after the slice: with 4 before it, so many that kernels of four channels at a time can run on slices
/// of fours; with 3 before it neither its first channel nor the step from pixel to pixel divides by anything.
fn after(before: usize) -> usize {
    if before.is_multiple_of(4) { 8 } else { 6 }
}

fn record(row: &Row, placement: Placement) -> Result<Recording> {
    let RowKind::Op { inputs, record, backward, sliceable, .. } = &row.kind else { unreachable!("only for ops") };
    let mut tape = Tape::new();
    tape.keep_halves(placement == Placement::Half);
    let (mut written, mut tensors) = (vec![], vec![]);
    for input in inputs {
        let wide = tape.input(wide_shape(input, placement));
        if backward.is_some() {
            tape.require_grad(wide);
        }
        tensors.push(match placement {
            Placement::Sliced { before } if input.sliceable => tape.slice(wide, before, input.shape.c),
            Placement::Half if input.sliceable => ops::copy::copy(&mut tape, wide),
            _ => wide,
        });
        written.push(wide);
    }
    let outputs = record(&mut tape, &tensors)?;
    let mut seeds = vec![];
    let first = outputs[0];
    if let Placement::Sliced { before } = placement
        && *sliceable
    {
        let neighbour = tape.input(first.shape.with_c(before));
        ops::concat::concat(&mut tape, &[neighbour, first])?;
    }
    let mut seed = None;
    if backward.is_some() {
        if matches!(placement, Placement::Sliced { .. }) {
            for &tensor in &tensors {
                let second = ops::copy::copy(&mut tape, tensor);
                let ones = vec![1.0_f32.to_bits(); second.shape.len()];
                seeds.push((second, tape.constant(second.shape, ones)));
            }
        }
        let upstream = tape.input(first.shape);
        seeds.push((first, upstream));
        seed = Some(upstream);
        tape.backward(&seeds)?;
    }
    let gradients = tensors.iter().map(|&tensor| tape.grad(tensor)).collect::<Result<Vec<_>>>()?;
    for &kept in outputs.iter().chain(gradients.iter().flatten()) {
        tape.keep(kept);
    }
    if row.fused && tape.fuse() == 0 && placement == Placement::Dense {
        return Err(Error::run(format!("{} {}: nothing is fused", row.op, row.name)));
    }
    Ok(Recording { tape, written, outputs, seed, gradients })
}

fn wide_shape(input: &Input, placement: Placement) -> Shape {
    match placement {
        Placement::Sliced { before } if input.sliceable => input.shape.with_c(before + input.shape.c + after(before)),
        _ => input.shape,
    }
}

fn run_op(runner: &Runner, reference: &Reference, placement: Placement) -> Result<Vec<Checked>> {
    let (gpu, row) = (runner.gpu(), reference.row());
    let RowKind::Op { inputs, .. } = &row.kind else { unreachable!("only for ops") };
    let recording = record(row, placement)?;
    let tape = &recording.tape;
    let store = ParameterStore::new(gpu, tape.spec(), trains(tape))?;
    let (parameters, states) = tape.spec().initial(1);
    if !parameters.is_empty() {
        store.write(gpu, Arena::Parameters, &parameters)?;
    }
    let mut plan = runner.plan(tape, &store)?;
    for ((input, array), &wide) in inputs.iter().zip(reference.arrays()).zip(&recording.written) {
        let before = match placement {
            Placement::Sliced { before } if wide.shape != input.shape => before,
            _ => 0,
        };
        plan.write(wide, &widened(array, wide.shape, before).to_f32())?;
    }
    if let (Some(seed), Some(upstream)) = (recording.seed, reference.upstream()) {
        plan.write(seed, &upstream.to_f32())?;
    }
    if let Some(step) = tape.step_input() {
        plan.write(step, &[STEP])?;
    }

    let mut first: Option<Vec<Vec<f32>>> = None;
    let kept: Vec<Tensor> =
        recording.outputs.iter().copied().chain(recording.gradients.iter().flatten().copied()).collect();
    for _ in 0..2 {
        if !states.is_empty() {
            store.write(gpu, Arena::State, &states)?;
        }
        plan.poison();
        let results = plan.run()?;
        let values = kept.iter().map(|&tensor| results.get(tensor)).collect::<Result<Vec<_>>>()?;
        // The same adapter gives the same bits.
        if let Some(first) = &first
            && first.iter().flatten().map(|v| v.to_bits()).ne(values.iter().flatten().map(|v| v.to_bits()))
        {
            return Ok(vec![Checked { what: "a second run differs".into(), error: f64::INFINITY }]);
        }
        first = Some(values);
    }
    let values = first.unwrap_or_default();

    let mut checked = vec![];
    let mut compare = |what: String, out: &[f32], reference: &[f64]| checked.push(Checked::norm(what, out, reference));
    let expected = reference.expected(placement == Placement::Half);
    for (i, (out, reference)) in values.iter().zip(&expected.outputs).enumerate() {
        compare(format!("output {i}"), out, &reference.data);
    }
    let mut out = values[recording.outputs.len()..].iter();
    for (i, (reference, gradient)) in expected.gradients.iter().zip(&recording.gradients).enumerate() {
        // The second consumer sends ones.
        let extra = if matches!(placement, Placement::Sliced { .. }) { 1.0 } else { 0.0 };
        let reference = reference.map(|v| v + extra);
        match gradient.and_then(|_| out.next()) {
            Some(out) => compare(format!("gradient {i}"), out, &reference.data),
            None => compare(format!("gradient {i} is missing"), &[], &reference.data),
        }
    }
    if let Some(state) = &expected.state {
        let memory = store.read(gpu, Arena::State)?;
        let states = &tape.spec().states;
        let dense: Vec<f32> = states.iter().flat_map(|(offset, s)| memory[*offset..offset + s.len].to_vec()).collect();
        compare("running statistics".into(), &dense, state);
    }
    Ok(checked)
}

/// The array in the middle of a wider one whose other channels hold numbers that must not matter.
fn widened(array: &Array, shape: Shape, before: usize) -> Array {
    Array::from_fn(shape, |n, y, x, c| {
        let inside = (before..before + array.shape.c).contains(&c);
        if inside { array.at(n, y, x, c - before) } else { 1e3 + c as f64 }
    })
}
