//! Every op of Gatefold against an f64 CPU reference, on your own adapter.
//!
//! One file per op, named like its kernels in `shaders/` and its code in `src/engine/src/ops/`: the reference, its gradient, and
//! the rows that test, gradcheck and bench it. [`check`] runs a row in every placement (dense, as channel slices with accumulating
//! gradients, in half precision) and with every kernel that can run on the adapter. [`tolerance`] says how near is near enough.

mod harness;
mod hush;
mod shader_folder;
pub mod tolerance;

pub use harness::*;
pub use hush::hush_caught;
pub use shader_folder::shaders_from_environment;

/// Declares the modules and the list of all rows: an op's one line here.
macro_rules! ops {
    ($($op:ident),* $(,)?) => {
        $(pub mod $op;)*

        /// The names of all ops that have a reference.
        pub const OPS: &[&str] = &[$(stringify!($op)),*];

        /// All rows of all ops, op by op.
        pub fn rows() -> Vec<Row> {
            let mut rows = vec![];
            $(rows.extend($op::rows());)*
            rows
        }
    };
}

ops! {
    adam,
    add,
    avg_pool,
    batch_norm,
    concat,
    conv2d,
    copy,
    dense,
    dropout,
    fill,
    flatten,
    global_avg_pool,
    grad_norm,
    input,
    loss,
    max_pool,
    relu,
    sgd,
    sigmoid_cross_entropy,
    softmax_cross_entropy,
}
