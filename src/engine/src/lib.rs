//! A small autodiff tensor engine on hand-written WGSL kernels: any Vulkan, Metal or DX12 GPU, through wgpu.
//!
//! A network is recorded once, with its gradients and its optimiser, as one flat list of kernel launches. The list is planned
//! once, and then replayed for every step with one submission. Nothing is allocated after the plan is made, so memory is flat
//! and its peak is known before the first step. The same adapter, driver and version give the same bits.
//!
//! # The tape
//!
//! A [`Tape`](tape::Tape) records. An op, say [`relu`](ops::relu::relu), is a function of the tape and of tensors: it checks
//! shapes, makes its output, records one or more launches, and leaves a closure that records those of its gradient.
//! [`Tape::backward`](tape::Tape::backward) calls the closures in reverse, so gradients are ordinary launches on the same list,
//! and so are the gradient norm and [`adam`](ops::adam::adam). A [`Tensor`](tensor::Tensor) is a handle, an id and a
//! [`Shape`](tensor::Shape) in NHWC order; recording computes nothing.
//!
//! # Homes
//!
//! Where a value's elements lie is its home. Most values own storage that is reused once they are no longer needed; inputs are
//! written by the host, kept values can be read by it, and parameters lie side by side in long-lived buffers, the
//! [`Arena`](params::Arena)s: all parameters in one, their gradients in another, either Adam moment, and running statistics. A
//! value can be a slice, channels of another value, which makes [`concat`](ops::concat::concat) free of copies; or an alias, the
//! same words under another shape.
//!
//! # Launches
//!
//! A [`Launch`](tape::Launch) is one dispatch: its operands in binding order, the words of its uniform block, and the kernels
//! that can do it, preferred ones first. A [`Kernel`](gpu::Kernel) is a WGSL file with definitions, override constants and a
//! grid, and what it [needs](gpu::Requirements) of the adapter. The last kernel of a launch runs everywhere.
//!
//! # The plan
//!
//! [`Allocation`](plan::Allocation) is arithmetic: from the lifetimes of all values it finds their places, and says what will be needed.
//! [`Plan`](plan::Plan) makes the buffers, compiles the kernels, and replays: [`Plan::write`](plan::Plan::write) fills inputs,
//! [`Plan::run`](plan::Plan::run) runs the list and reads the kept values back. What changes from step to step, such as the
//! learning rate, is one small input ([`StepWords`](params::StepWords)), so a schedule needs no new plan.
//!
//! # An example
//!
//! ```
#![doc = include_str!("../examples/tiny.rs")]
//! ```
//!
//! `examples/cnn.rs` defines a small convolutional network of its own and trains it on pictures that it draws.

// The tests within the crate share a file with those outside.
#[cfg(test)]
extern crate self as gatefold_engine;

pub mod error;
pub mod file;
pub mod gpu;
pub mod ops;
pub mod panics;
pub mod params;
pub mod plan;
pub mod tape;
pub mod tensor;

pub use error::{Error, Result};
pub(crate) use gpu::shader;
