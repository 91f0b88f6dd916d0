//! Batch statistics that several launches share.

use crate::tensor::Tensor;

/// Mean and biased variance of each channel.
#[derive(Clone, Copy)]
pub(crate) struct Statistics {
    pub mean: Tensor,
    pub variance: Tensor,
}

/// Batch statistics of a value that grows (see [`Stack`](crate::ops::concat::Stack)): those of channels that are there already
/// are the same for all who normalise it later, so each is computed once.
pub(crate) struct SharedStatistics {
    pub by: Statistics,
    /// Channels whose statistics have been recorded.
    pub done: usize,
}
