//! **Gatefold** teaches a GPU, any GPU, to read album covers.
//!
//! The engine ([`gatefold_engine`]) runs hand-written WGSL kernels through wgpu. A network ([`nets`]) is
//! recorded once, with its gradients and its optimiser, as one flat list of kernel launches, and replayed each step.
//! `ARCHITECTURE.md` tells how the parts fit together.

pub mod audit;
pub mod check;
mod claim;
pub mod cli;
pub mod data;
pub mod explain;
pub mod file;
mod font;
mod hint;
pub mod labels;
pub mod nets;
mod panics;
pub mod ranks;
mod read;
pub mod report;
pub mod sample;
pub mod score;
pub mod serve;
mod shown;
pub mod train;
pub mod weights;

pub use gatefold_engine::{Error, Result};
