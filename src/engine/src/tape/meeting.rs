//! Numbers that several processes make together in the middle of a step: statistics of all their batches.
//!
//! At a meeting a plan stops, hands what its own process has to the host, and goes on with what the host puts in its place.

use super::Tape;
use crate::tensor::Tensor;

/// What the host combines.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Meeting {
    /// Mean and biased variance of each channel of a batch.
    Statistics { mean: Tensor, variance: Tensor },
    /// A sum over a batch.
    Sum(Tensor),
}

impl Meeting {
    pub(crate) fn tensors(self) -> Vec<Tensor> {
        match self {
            Self::Statistics { mean, variance } => vec![mean, variance],
            Self::Sum(sum) => vec![sum],
        }
    }
}

impl Tape {
    /// Batch-norms recorded from here on normalise by the statistics of so many processes' batches, which are of one size:
    /// [`Plan::submit_meeting`](crate::plan::Plan::submit_meeting) runs such a tape.
    pub fn share_batches(&mut self, processes: usize) {
        self.others = processes - 1;
    }

    /// Has the host combine what the launch before has written.
    pub(crate) fn meet(&mut self, meeting: Meeting) {
        meeting.tensors().into_iter().for_each(|tensor| self.keep(tensor));
        if let Some(launch) = self.launches.last_mut() {
            launch.meeting = Some(meeting);
        }
    }
}
