//! Where a plan's time goes.

use std::time::Duration;

use super::Plan;
use crate::Result;
use crate::gpu::{Clock, Stopwatch};

/// How long one launch takes.
#[derive(Clone, Debug)]
pub struct LaunchTime {
    pub op: &'static str,
    pub pass: &'static str,
    /// What it works on, as [`Launch::shape`](crate::tape::Launch::shape) puts it.
    pub shape: String,
    pub variant: String,
    pub flops: u64,
    pub bytes: u64,
    pub median: Duration,
    /// Processor time of one run, the mean of all repeats; see [`processor_time`](crate::gpu::processor_time).
    pub processor: Option<Duration>,
    pub clock: Clock,
}

impl Plan {
    /// Times each launch by itself, in order: the median of some repeats (at most [`Stopwatch::PASSES`]).
    pub fn profile(&self, repeats: usize) -> Result<Vec<LaunchTime>> {
        let stopwatch = Stopwatch::new(&self.gpu)?;
        let mut times = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let timing = stopwatch.time(&self.gpu, repeats, |_, pass| step.encode(pass))?;
            times.push(LaunchTime {
                op: step.op,
                pass: step.pass,
                shape: step.shape.clone(),
                variant: step.variant.clone(),
                flops: step.flops,
                bytes: step.bytes,
                median: timing.median(),
                processor: timing.processor,
                clock: timing.clock,
            });
        }
        Ok(times)
    }
}
