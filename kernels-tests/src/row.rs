//! What a row of a test table says.

use std::sync::Arc;

use gatefold_engine::Result;
use gatefold_engine::gpu::Gpu;
use gatefold_engine::plan::Choice;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::array::Array;

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

/// One quantity that was compared: its name and its relative error.
pub struct Checked {
    pub what: String,
    pub error: f64,
}

type Custom = Box<dyn Fn(&Arc<Gpu>, Choice) -> Result<Vec<Checked>>>;

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
    /// For what works in place on the long-lived buffers: runs itself.
    Custom(Custom),
}

/// One line of an op's table.
pub struct Row {
    pub op: &'static str,
    pub name: String,
    /// Largest allowed `||out - ref|| / ||ref||`.
    pub tolerance: f64,
    /// Too large for a reference: timed by the bench only.
    pub bench: bool,
    /// Its launches are to be fused.
    pub fused: bool,
    pub kind: RowKind,
}

/// f32 sums of a few thousand products stay well below this against f64.
pub const TOLERANCE: f64 = 2e-6;

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
        Self { op, name: name.into(), tolerance: TOLERANCE, bench: false, fused: false, kind }
    }

    /// A row that runs itself.
    pub fn custom(
        op: &'static str,
        name: impl Into<String>,
        run: impl Fn(&Arc<Gpu>, Choice) -> Result<Vec<Checked>> + 'static,
    ) -> Self {
        let kind = RowKind::Custom(Box::new(run));
        Self { op, name: name.into(), tolerance: TOLERANCE, bench: false, fused: false, kind }
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

    #[must_use]
    pub fn tolerance(mut self, tolerance: f64) -> Self {
        self.tolerance = tolerance;
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
