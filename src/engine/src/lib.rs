//! The engine of Gatefold: a tape records ops as kernel launches, a plan replays them on a GPU through wgpu.

pub mod error;
pub mod file;
pub mod gpu;
pub mod ops;
pub mod params;
pub mod plan;
pub mod tape;
pub mod tensor;

pub use error::{Error, Result};
pub(crate) use gpu::shader;
