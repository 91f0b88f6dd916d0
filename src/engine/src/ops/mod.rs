//! The ops. One file each: what it computes, its shape check, its forward and its backward launches. The kernels are in the
//! file of the same name in `shaders/`, the f64 reference and the test rows in the one in `kernels-tests/src/`.

pub mod adam;
pub mod add;
pub mod avg_pool;
pub mod batch_norm;
pub mod concat;
pub mod conv2d;
pub mod copy;
pub mod dense;
pub mod dropout;
pub mod flatten;
pub mod global_avg_pool;
pub mod grad_norm;
pub mod input;
pub mod loss;
pub mod max_pool;
pub mod optimizer;
pub mod relu;
pub mod sgd;
pub mod sigmoid_cross_entropy;
pub mod softmax_cross_entropy;
pub mod window;
