//! Every tolerance of the kernels' and the networks' tests and of the bench, and why it is what it is. Rows and tests name
//! them; no other file holds one.
//!
//! Unless a line says otherwise a tolerance bounds `||out - reference|| / ||reference||`, see
//! [`RelativeNormEq`](crate::RelativeNormEq).

/// A row in f32 against f64: sums of a few thousand products stay well below it, and a wrong term is off by 1e-3 and more.
pub const F32: f64 = 2e-6;

/// A row with its maps in half precision: a few roundings to 11 bits, each of which is good to 5e-4, and sums of their errors
/// where the numbers themselves cancel.
pub const HALF: f64 = 4e-3;

/// A row in which a parameter's gradient is one sum, which may cancel: with one channel there is no second one to outweigh it.
pub const ONE_SUM: f64 = 1e-5;

/// Numbers of about 1000 that differ by about 1: the mean is only as good as an f32 of that size, and half a unit in its last
/// place is 3e-5 of what the numbers differ by.
pub const LARGE_MEAN: f64 = 1e-4;

/// Counts of random draws, in standard deviations: five hardly ever happen (once in 1.7 million).
pub const STANDARD_DEVIATIONS: f64 = 5.0;

/// A row of such counts, which are measured in units of [`STANDARD_DEVIATIONS`].
pub const ONE_UNIT: f64 = 1.0;

/// A reference's gradient against central differences in f64, number by number, over the root mean square of the gradient. The
/// differences are good to about 1e-8; a wrong term is off by 1e-2 and more.
pub const FINITE_DIFFERENCES: f64 = 1e-5;

/// Two kernels of one launch, by the norm of what the plain one changed: sums of a few thousand products in another order.
pub const OTHER_KERNEL: f64 = 1e-4;

/// The same where results are kept in half precision or factors are rounded to it: to one side or to the other.
pub const OTHER_KERNEL_HALF: f64 = 2e-3;

/// One operation against PyTorch in f64, a few dozen sums: no step magnifies anything.
pub const PYTORCH_OP: f64 = 2e-6;

/// Ten steps of a small network against PyTorch in f64. PyTorch's own f32 stays within 2e-6 of these numbers (the order of its
/// sums is another, too), and ten steps of Adam magnify what separates two f32 engines: where a gradient is near zero, Adam
/// divides the difference by a number as small. Five times PyTorch's distance leaves room for any adapter's order of sums and
/// its fused multiply-adds; a wrong term anywhere is off by 1e-3 and more.
pub const PYTORCH_STEPS: f64 = 1e-5;

/// A heat map against the library pytorch-grad-cam in f64: a whole network forward and part of it backward.
pub const HEAT_MAP: f64 = 2e-5;

/// Score-CAM's weights are a softmax, which magnifies what an f32 engine is off by in the scores.
pub const SCORE_CAM: f64 = 2e-4;

/// The library's own Grad-CAM++ and Score-CAM, which differ from ours on purpose (`golden/README.md` says in what): near
/// enough that the maps show the same.
pub const ON_PURPOSE: f64 = 0.12;

/// An exported network in another runtime in f32, logits and probabilities: another order of sums, and batch-norms folded into weights.
pub const ONNX: f64 = 1e-5;

/// Its heat maps: what cancels in the weighted sum of the trunk's channels.
pub const ONNX_CAM: f64 = 1e-4;

/// Probabilities from pictures that the exported graph has resized itself: some pixels are rounded to the other side.
pub const PREPARED: f64 = 1e-3;

/// ROAD's filled pixels, number by number: the library solves the same equations with another solver, to about 1e-4.
pub const FILLED: f32 = 1e-3;

/// How far a network's tensors of one kind may be from torchvision in f64: in the median over the kind, and the worst of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OfNetwork {
    pub median: f64,
    pub worst: f64,
}

/// A network is allowed this many times the distance of PyTorch's own f32 run (the golden file says how far that is), where that
/// is more than the kind's own tolerance. An engine with another order of sums is off by noise of the same size, but not by the
/// same noise. PyTorch is off by 1e-5 and more where batch-norms leave little of a gradient: what scales a layer that feeds
/// batch-norms nearly cancels out. A wrong term is off by 1e-2 and more.
pub const TIMES_PYTORCH: f64 = 10.0;

/// Logits, gradients and statistics of a network's first step.
pub const NETWORK: OfNetwork = OfNetwork { median: 1e-5, worst: 1e-5 };

/// Losses and the change of parameters in ten steps of Adam, which turns the noise of small gradients into steps of full length.
pub const NETWORK_STEPS: OfNetwork = OfNetwork { median: 1e-4, worst: 1e-3 };

/// The change of a deep network's parameters. Some of its many ReLUs and max-pools come so near to a change of side on the way
/// that rounding decides. One that changes shows in the gradients of its channel and, in the next steps, everywhere.
pub const DEEP_NETWORK_STEPS: OfNetwork = OfNetwork { median: 5e-2, worst: 3e-1 };

/// Gradients at full width, where this may happen in the first step already. One change near the end of the network, whose maps
/// are small, shows in all gradients before it; where there is none, the median is below that of [`NETWORK`].
pub const FULL_NETWORK: OfNetwork = OfNetwork { median: 2e-2, worst: 1e-1 };
