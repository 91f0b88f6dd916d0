//! Runs a row: every placement, every kernel, outputs and gradients, against the reference; and the reference's gradient
//! against finite differences.

use std::sync::Arc;

use gatefold_engine::gpu::{BufferPool, Gpu};
use gatefold_engine::params::{Arena, ParameterStore, StepWords};
use gatefold_engine::plan::{Choice, Plan, admissible};
use gatefold_engine::tape::{Launch, Tape};
use gatefold_engine::tensor::{Shape, Tensor};
use gatefold_engine::{Error, Result, ops};

use crate::array::{Array, relative_error};
use crate::row::{Checked, Input, Row, RowKind};

/// The step that all rows run at, for ops with random numbers or schedules.
pub const STEP: StepWords = StepWords {
    step: 3,
    seed: 7,
    learning_rate: 0.01,
    weight_decay: 0.0,
    bias_correction1: 0.343_9,
    bias_correction2: 0.003_994_004,
    gradient_scale: 0.25,
    reserved: 0,
};

/// How a row's tensors lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Placement {
    /// Each tensor by itself.
    Dense,
    /// Inputs are channel slices `before` channels into something wider, the output becomes a slice, and the inputs have a
    /// second consumer, so that gradients must be added up.
    Sliced { before: usize },
    /// As dense, with feature maps, output and their gradients in half precision.
    Half,
}

/// The result of one row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail,
}

/// What a row showed.
pub struct Finding {
    pub op: &'static str,
    pub name: String,
    /// Placements times kernels.
    pub runs: usize,
    pub worst: Checked,
    pub tolerance: f64,
    pub verdict: Verdict,
}

/// Runs a row on an adapter.
///
/// # Errors
/// If the device fails; a wrong result is no error but a [`Verdict::Fail`].
pub fn check(gpu: &Arc<Gpu>, row: &Row) -> Result<Finding> {
    let mut worst = Checked { what: "nothing compared".into(), error: f64::NEG_INFINITY };
    let mut runs = 0;
    let mut note = |mut checked: Checked, context: &str| {
        if checked.error.is_nan() {
            checked.error = f64::INFINITY;
        }
        if checked.error > worst.error {
            worst = Checked { what: format!("{}{context}", checked.what), ..checked };
        }
    };
    match &row.kind {
        RowKind::Custom(run) => {
            for number in 0..MOST_KERNELS {
                for checked in run(gpu, Choice::Number(number))? {
                    note(checked, "");
                }
                runs += 1;
            }
        }
        RowKind::Op { inputs, forward, backward, .. } => {
            let arrays: Vec<_> = (0..).zip(inputs).map(|(i, input)| Array::random(input.shape, seed(row, i))).collect();
            if let Some(backward) = backward {
                // Scaled so that one tolerance serves: finite differences of f64 are good to about 1e-8.
                let error = gradcheck(&arrays, forward, backward, seed(row, 99));
                note(Checked { what: "gradcheck of the reference".into(), error: error * row.tolerance / 1e-5 }, "");
            }
            let mut placements = vec![Placement::Dense];
            if inputs.iter().any(|input| input.sliceable) {
                placements.extend([Placement::Sliced { before: 4 }, Placement::Sliced { before: 3 }]);
                placements.extend(gpu.adapter().f16.then_some(Placement::Half));
            }
            for placement in placements {
                let kernels = kernels_of(gpu, row, placement)?;
                for number in 0..kernels {
                    for mut checked in run_op(gpu, row, &arrays, placement, Choice::Number(number))? {
                        if placement == Placement::Half {
                            checked.error *= row.tolerance / HALF_TOLERANCE;
                        }
                        note(checked, &format!(" ({placement:?}, kernel {number})"));
                    }
                    runs += 1;
                }
            }
        }
    }
    let verdict = if worst.error >= 0.0 && worst.error <= row.tolerance { Verdict::Pass } else { Verdict::Fail };
    Ok(Finding { op: row.op, name: row.name.clone(), runs, worst, tolerance: row.tolerance, verdict })
}

/// For rows in half precision, by the same measure: a few roundings to 11 bits, each of which is good to 5e-4, and sums of their
/// errors where the numbers themselves cancel.
const HALF_TOLERANCE: f64 = 4e-3;

/// Custom rows don't tell how many kernels they have; later numbers repeat the last one.
const MOST_KERNELS: usize = 3;

/// Every launch of every tape that a row records, for the test that reads the shaders.
pub fn collect_kernels(row: &Row) -> Result<Vec<Launch>> {
    let RowKind::Op { .. } = row.kind else { return Ok(vec![]) };
    let mut launches = vec![];
    for placement in [Placement::Dense, Placement::Sliced { before: 4 }] {
        launches.extend(record(row, placement)?.tape.launches().to_vec());
    }
    Ok(launches)
}

/// The tape of a row with dense tensors: op and gradient.
pub fn record_row(row: &Row) -> Result<Tape> {
    Ok(record(row, Placement::Dense)?.tape)
}

/// Random numbers into all inputs of a row recorded by [`record_row`].
pub fn fill_inputs(row: &Row, plan: &Plan) -> Result<()> {
    let recording = record(row, Placement::Dense)?;
    for (i, &input) in (0..).zip(recording.written.iter().chain(&recording.seed)) {
        plan.write(input, &Array::random(input.shape, seed(row, i)).to_f32())?;
    }
    match recording.tape.step_input() {
        Some(step) => plan.write(step, &[STEP]),
        None => Ok(()),
    }
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

const AFTER: usize = 5;

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
        Placement::Sliced { before } if input.sliceable => input.shape.with_c(before + input.shape.c + AFTER),
        _ => input.shape,
    }
}

/// The most kernels that any launch of the row can choose from.
fn kernels_of(gpu: &Gpu, row: &Row, placement: Placement) -> Result<usize> {
    let tape = record(row, placement)?.tape;
    let counts = tape.launches().iter().map(|launch| admissible(&tape, launch, gpu.adapter()).len());
    Ok(counts.max().unwrap_or(1).max(1))
}

fn run_op(gpu: &Arc<Gpu>, row: &Row, arrays: &[Array], placement: Placement, choice: Choice) -> Result<Vec<Checked>> {
    let RowKind::Op { inputs, forward, backward, state, .. } = &row.kind else { unreachable!("only for ops") };
    let recording = record(row, placement)?;
    let tape = &recording.tape;
    let store = ParameterStore::new(gpu, tape.spec(), gatefold_engine::plan::trains(tape))?;
    let (parameters, states) = tape.spec().initial(1);
    if !parameters.is_empty() {
        store.write(gpu, Arena::Parameters, &parameters)?;
    }
    let mut plan = Plan::with_choice(gpu, tape, &store, &BufferPool::default(), choice)?;
    for ((input, array), &wide) in inputs.iter().zip(arrays).zip(&recording.written) {
        let before = (wide.shape != input.shape).then_some(match placement {
            Placement::Sliced { before } => before,
            Placement::Dense | Placement::Half => 0,
        });
        plan.write(wide, &widened(array, wide.shape, before.unwrap_or(0)).to_f32())?;
    }
    let upstream = recording.seed.map(|seed| Array::random(seed.shape, self::seed(row, 1000)));
    if let (Some(seed), Some(upstream)) = (recording.seed, &upstream) {
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
    let mut compare = |what: String, out: &[f32], reference: &[f64]| {
        checked.push(Checked { what, error: relative_error(out, reference) });
    };
    // What the kernels see of a feature map in half precision is already rounded.
    let rounded: Vec<Array> = arrays
        .iter()
        .zip(inputs)
        .map(|(array, input)| match placement {
            Placement::Half if input.sliceable => array.map(|v| half::f16::from_f64(v).to_f64()),
            _ => array.clone(),
        })
        .collect();
    let arrays = &rounded[..];
    let expected = forward(arrays);
    for (i, (out, reference)) in values.iter().zip(&expected).enumerate() {
        compare(format!("output {i}"), out, &reference.data);
    }
    if let (Some(backward), Some(upstream)) = (backward, &upstream) {
        let mut out = values[recording.outputs.len()..].iter();
        for (i, (reference, gradient)) in backward(arrays, upstream).iter().zip(&recording.gradients).enumerate() {
            // The second consumer sends ones.
            let extra = if matches!(placement, Placement::Sliced { .. }) { 1.0 } else { 0.0 };
            let reference = reference.map(|v| v + extra);
            match gradient.and_then(|_| out.next()) {
                Some(out) => compare(format!("gradient {i}"), out, &reference.data),
                None => compare(format!("gradient {i} is missing"), &[], &reference.data),
            }
        }
    }
    if let Some(state) = state {
        let memory = store.read(gpu, Arena::State)?;
        let states = &tape.spec().states;
        let dense: Vec<f32> = states.iter().flat_map(|(offset, s)| memory[*offset..offset + s.len].to_vec()).collect();
        compare("running statistics".into(), &dense, &state(arrays));
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

/// Largest disagreement of the reference's gradient with central differences over some numbers of each input, relative
/// to the gradient's size.
fn gradcheck(
    arrays: &[Array],
    forward: &dyn Fn(&[Array]) -> Vec<Array>,
    backward: &dyn Fn(&[Array], &Array) -> Vec<Array>,
    seed: u64,
) -> f64 {
    const EPSILON: f64 = 1e-6;
    const PROBES: usize = 24;
    let upstream = Array::random(forward(arrays)[0].shape, seed);
    let gradients = backward(arrays, &upstream);
    let mut worst = 0.0_f64;
    for (i, gradient) in gradients.iter().enumerate() {
        let scale = (gradient.dot(gradient) / gradient.data.len().max(1) as f64).sqrt().max(1e-3);
        let stride = gradient.data.len().div_ceil(PROBES).max(1);
        for place in (0..gradient.data.len()).step_by(stride) {
            let mut moved = arrays.to_vec();
            let mut loss_at = |delta: f64| {
                moved[i].data[place] = arrays[i].data[place] + delta;
                forward(&moved)[0].dot(&upstream)
            };
            let numeric = (loss_at(EPSILON) - loss_at(-EPSILON)) / (2.0 * EPSILON);
            worst = worst.max((numeric - gradient.data[place]).abs() / scale);
        }
    }
    worst
}

/// A seed from the row's name, so that a new row does not change the others' numbers.
fn seed(row: &Row, salt: u64) -> u64 {
    let bytes = row.op.bytes().chain(row.name.bytes());
    bytes.fold(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15), |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
