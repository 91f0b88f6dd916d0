//! What a row of a test table says.

use gatefold_engine::Result;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use serde::Serialize;

use super::{Array, RelativeNormEq, Runner};
use crate::tolerance;

/// One input of a row that takes part in differentiation.
#[derive(Clone, Debug)]
pub struct Input {
    pub shape: Shape,
    /// Whether it may come as a channel slice of something wider (feature maps may, parameters may not).
    pub sliceable: bool,
}

impl Input {
    pub fn map(shape: Shape) -> Self {
        Self { shape, sliceable: true }
    }

    pub fn parameter(shape: Shape) -> Self {
        Self { shape, sliceable: false }
    }
}

type Record = Box<dyn Fn(&mut Tape, &[Tensor]) -> Result<Vec<Tensor>>>;
type Forward = Box<dyn Fn(&[Array]) -> Vec<Array>>;
type Backward = Box<dyn Fn(&[Array], &Array) -> Vec<Array>>;
type State = Box<dyn Fn(&[Array]) -> Vec<f64>>;

/// One quantity that was compared: its name and how far it is from what it should be, in the unit of the row's tolerance.
#[derive(Clone, Debug, Serialize)]
pub struct Checked {
    pub what: String,
    /// Infinite where numbers are missing, NaN or infinite; null in JSON then.
    pub error: f64,
}

impl Checked {
    /// A tensor, by [`RelativeNormEq`].
    pub fn norm(what: impl Into<String>, out: &[f32], reference: &[f64]) -> Self {
        Self { what: what.into(), error: out.relative_norm(reference) }
    }

    /// Things that must not be there, counted: one is too many.
    pub fn count(what: impl Into<String>, count: usize) -> Self {
        Self { what: what.into(), error: count as f64 }
    }

    /// A count of random draws, so many standard deviations from what is expected. The row's tolerance is
    /// [`tolerance::ONE_UNIT`].
    pub fn deviations(what: impl Into<String>, deviations: f64) -> Self {
        Self { what: what.into(), error: deviations.abs() / tolerance::STANDARD_DEVIATIONS }
    }
}

type Custom = Box<dyn Fn(&Runner) -> Result<Vec<Checked>>>;

/// How a row is run.
pub enum RowKind {
    /// The usual: record, run, compare outputs and gradients.
    Op {
        inputs: Vec<Input>,
        /// Records the op and returns its outputs; gradients flow into the first.
        record: Record,
        /// Outputs from inputs.
        forward: Forward,
        /// Gradients of all inputs from the inputs and the first output's gradient; `None` for an op without one.
        backward: Option<Backward>,
        /// Running statistics after one run, in the order of their recording.
        state: Option<State>,
        /// Whether the outputs may become channel slices.
        sliceable: bool,
    },
    /// For what works in place on the long-lived buffers, or on given numbers: runs itself, by plans of the [`Runner`].
    Custom(Custom),
}

/// One line of an op's table.
pub struct Row {
    pub op: &'static str,
    pub name: String,
    /// The largest error allowed, one of [`tolerance`].
    pub tolerance: f64,
    /// The most kernels it is run with.
    pub kernels: usize,
    /// Too large for a reference: timed by the bench only.
    pub bench: bool,
    /// Its launches are to be fused.
    pub fused: bool,
    pub kind: RowKind,
}

impl Row {
    /// An op with outputs and gradients.
    pub fn new(
        op: &'static str,
        name: impl Into<String>,
        inputs: Vec<Input>,
        record: impl Fn(&mut Tape, &[Tensor]) -> Result<Vec<Tensor>> + 'static,
        forward: impl Fn(&[Array]) -> Vec<Array> + 'static,
    ) -> Self {
        let (record, forward) = (Box::new(record), Box::new(forward));
        let kind = RowKind::Op { inputs, record, forward, backward: None, state: None, sliceable: true };
        Self::of(op, name.into(), kind)
    }

    fn of(op: &'static str, name: String, kind: RowKind) -> Self {
        Self { op, name, tolerance: tolerance::F32, kernels: usize::MAX, bench: false, fused: false, kind }
    }

    /// A row that runs itself.
    pub fn custom(
        op: &'static str,
        name: impl Into<String>,
        run: impl Fn(&Runner) -> Result<Vec<Checked>> + 'static,
    ) -> Self {
        Self::of(op, name.into(), RowKind::Custom(Box::new(run)))
    }

    /// The gradient of the reference.
    #[must_use]
    pub fn backward(mut self, f: impl Fn(&[Array], &Array) -> Vec<Array> + 'static) -> Self {
        if let RowKind::Op { backward, .. } = &mut self.kind {
            *backward = Some(Box::new(f));
        }
        self
    }

    /// What the running statistics must be after one run.
    #[must_use]
    pub fn state(mut self, f: impl Fn(&[Array]) -> Vec<f64> + 'static) -> Self {
        if let RowKind::Op { state, .. } = &mut self.kind {
            *state = Some(Box::new(f));
        }
        self
    }

    /// The outputs stay dense.
    #[must_use]
    pub fn dense(mut self) -> Self {
        if let RowKind::Op { sliceable, .. } = &mut self.kind {
            *sliceable = false;
        }
        self
    }

    /// One of [`tolerance`], where [`tolerance::F32`] is not the right one.
    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
        self
    }

    /// Runs with the preferred kernel only: it is too large to be run with each.
    #[must_use]
    pub fn one_kernel(mut self) -> Self {
        self.kernels = 1;
        self
    }

    /// Its launches are fused, as a network's are ([`Tape::fuse`]). With dense tensors there must be some that can be.
    #[must_use]
    pub fn fused(mut self) -> Self {
        self.fused = true;
        self
    }

    /// For the bench only.
    #[must_use]
    pub fn bench(mut self) -> Self {
        self.bench = true;
        self
    }
}
