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
    pub variant: String,
    pub flops: u64,
    pub bytes: u64,
    pub median: Duration,
    pub clock: Clock,
}

impl Plan {
    /// Times each launch by itself, in order: the median of some repeats.
    pub fn profile(&self, repeats: usize) -> Result<Vec<LaunchTime>> {
        let stopwatch = Stopwatch::new(&self.gpu)?;
        let mut times = Vec::with_capacity(self.steps.len());
        for step in &self.steps {
            let mut samples = vec![];
            let mut clock = Clock::Wall;
            for _ in 0..repeats.max(1) {
                let (time, by) = stopwatch.time(&self.gpu, |pass| step.encode(pass))?;
                samples.push(time);
                clock = by;
            }
            samples.sort_unstable();
            times.push(LaunchTime {
                op: step.op,
                pass: step.pass,
                variant: step.variant.clone(),
                flops: step.flops,
                bytes: step.bytes,
                median: samples[samples.len() / 2],
                clock,
            });
        }
        Ok(times)
    }
}
