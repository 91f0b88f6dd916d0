//! **Gatefold** teaches a GPU, any GPU, to read album covers.
//!
//! The engine ([`tape`], [`plan`], [`ops`], [`gpu`]) runs hand-written WGSL kernels through wgpu. A network ([`nets`]) is
//! recorded once, with its gradients and its optimiser, as one flat list of kernel launches, and replayed each step.
//! `ARCHITECTURE.md` tells how the parts fit together.

pub mod audit;
pub mod cli;
pub mod data;
pub mod error;
pub mod explain;
pub mod gpu;
pub mod nets;
pub mod ops;
pub mod params;
pub mod plan;
pub mod report;
pub mod tape;
pub mod tensor;
pub mod train;
pub mod weights;

pub use error::{Error, Result};
