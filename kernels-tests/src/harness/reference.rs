//! A row's numbers and what its reference makes of them: the same in every placement, with every kernel and on every adapter, so they
//! are computed once. And the reference's gradient against finite differences.

use std::cell::OnceCell;

use super::{Array, Row, RowKind};

/// Inputs drawn for a row, and what belongs to them.
pub struct Reference<'a> {
    row: &'a Row,
    arrays: Vec<Array>,
    upstream: OnceCell<Option<Array>>,
    exact: OnceCell<Expected>,
    /// Of feature maps that are rounded to half precision.
    rounded: OnceCell<Expected>,
    gradcheck: OnceCell<Option<f64>>,
}

/// What an op has to make of its inputs.
#[derive(Default)]
pub(super) struct Expected {
    pub outputs: Vec<Array>,
    pub gradients: Vec<Array>,
    /// Running statistics after one run.
    pub state: Option<Vec<f64>>,
}

impl<'a> Reference<'a> {
    pub fn new(row: &'a Row) -> Self {
        let inputs = if let RowKind::Op { inputs, .. } = &row.kind { &inputs[..] } else { &[] };
        let arrays = (0..).zip(inputs).map(|(i, input)| Array::random(input.shape, seed(row, i))).collect();
        let (upstream, gradcheck) = (OnceCell::new(), OnceCell::new());
        Self { row, arrays, upstream, exact: OnceCell::new(), rounded: OnceCell::new(), gradcheck }
    }

    pub(super) fn row(&self) -> &'a Row {
        self.row
    }

    pub(super) fn arrays(&self) -> &[Array] {
        &self.arrays
    }

    /// The gradient that flows into the first output; `None` for an op without gradients.
    pub(super) fn upstream(&self) -> Option<&Array> {
        let drawn = || {
            let RowKind::Op { backward, forward, .. } = &self.row.kind else { return None };
            backward.as_ref().map(|_| Array::random(forward(&self.arrays)[0].shape, seed(self.row, 1000)))
        };
        self.upstream.get_or_init(drawn).as_ref()
    }

    /// With `halves` of inputs as kernels see them in half precision.
    pub(super) fn expected(&self, halves: bool) -> &Expected {
        let computed = || {
            let RowKind::Op { inputs, forward, backward, state, .. } = &self.row.kind else {
                return Expected::default();
            };
            let pairs = self.arrays.iter().zip(inputs);
            let rounded = pairs.map(|(array, input)| match halves && input.sliceable {
                true => array.map(|v| half::f16::from_f64(v).to_f64()),
                false => array.clone(),
            });
            let arrays: Vec<_> = rounded.collect();
            let gradients = backward.as_ref().zip(self.upstream());
            Expected {
                outputs: forward(&arrays),
                gradients: gradients.map_or_else(Vec::new, |(backward, upstream)| backward(&arrays, upstream)),
                state: state.as_ref().map(|state| state(&arrays)),
            }
        };
        if halves { &self.rounded } else { &self.exact }.get_or_init(computed)
    }

    /// How far the reference's gradient is from finite differences of the reference; `None` for an op without gradients.
    pub(super) fn gradcheck(&self) -> Option<f64> {
        *self.gradcheck.get_or_init(|| {
            let RowKind::Op { backward, forward, .. } = &self.row.kind else { return None };
            backward.as_ref().map(|backward| gradcheck(&self.arrays, forward, backward, seed(self.row, 99)))
        })
    }
}

/// Largest disagreement of the reference's gradient with central differences over some numbers of each input, relative
/// to the gradient's size. Infinite where a number is NaN.
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
            let error = (numeric - gradient.data[place]).abs() / scale;
            worst = if error.is_nan() { f64::INFINITY } else { worst.max(error) };
        }
    }
    worst
}

/// A seed from the row's name, so that a new row does not change the others' numbers.
fn seed(row: &Row, salt: u64) -> u64 {
    let bytes = row.op.bytes().chain(row.name.bytes());
    bytes.fold(salt.wrapping_mul(0x9e37_79b9_7f4a_7c15), |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3))
}
