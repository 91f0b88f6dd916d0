//! Work in portions that a driver lets pass. Drivers end what takes longer than about two seconds, so a run is cut into several
//! submissions, and a launch that is too large for one into several dispatches. They are the same invocations in the same order, so
//! nothing else changes.

use std::time::{Duration, Instant};

use crate::gpu::{Gpu, Kernel};
use crate::tape::{Launch, Tape};

/// What a launch costs: operations, or what a device does in the time that moving its bytes takes.
pub fn cost(flops: u64, bytes: u64) -> f64 {
    /// Operations that a device does while it moves a byte: 10 to 20 on most.
    const PER_BYTE: f64 = 16.0;
    (flops as f64).max(PER_BYTE * bytes as f64)
}

/// The most that one dispatch may cost: a third of a second at 200 GFLOP/s.
pub const DISPATCH: f64 = 64e9;

/// A kernel without tiles reaches about this part of what the others do.
const PLAIN: f64 = 0.125;

/// The most that one submission may cost as long as nothing was measured.
const SUBMISSION: f64 = 16e9;

/// Seconds that a submission should take: short enough for a screen that the same device draws.
const SECONDS: f64 = 0.1;

/// The most dispatches of a launch.
const MOST_PARTS: u64 = 64;

/// A launch's kernel as it is dispatched: whole, or in parts where that would be too much at a time.
pub fn in_parts(gpu: &Gpu, tape: &Tape, launch: &Launch, kernel: &Kernel) -> Vec<Kernel> {
    /// Where a slow device is pretended: enough to see what it does, few enough to compile.
    const PRETENDED: u64 = 3;
    let has_tiles = kernel.needs.workgroup_memory > 0 || kernel.needs.software.is_some();
    let cost = cost(launch.flops, tape.bytes_moved(launch));
    let plain = !has_tiles && launch.flops as f64 >= cost;
    let most = if plain { PLAIN * DISPATCH } else { DISPATCH };
    kernel.parts(if gpu.slow { PRETENDED } else { ((cost / most).ceil() as u64).clamp(1, MOST_PARTS) })
}

/// How much goes into a submission, from what the last ones took.
#[derive(Debug)]
pub struct Pace {
    submission: f64,
    last_done: Instant,
}

impl Pace {
    pub fn new(gpu: &Gpu) -> Self {
        Self { submission: if gpu.slow { 0.0 } else { SUBMISSION }, last_done: Instant::now() }
    }

    /// How many of these dispatches go into each submission, of which there are `most` at most.
    pub fn portions(&self, costs: &[f64], most: usize) -> Vec<usize> {
        let total: f64 = costs.iter().sum();
        let budget = self.submission.max(total / most as f64);
        let (mut portions, mut count, mut spent) = (vec![], 0, 0.0);
        for cost in costs {
            if count > 0 && spent + cost > budget && portions.len() + 1 < most {
                portions.push(std::mem::take(&mut count));
                spent = 0.0;
            }
            count += 1;
            spent += cost;
        }
        portions.push(count);
        portions
    }

    /// A run of this cost is done that was submitted then.
    pub fn done(&mut self, cost: f64, submitted: Instant) {
        let now = Instant::now();
        let seconds = now.duration_since(submitted.max(self.last_done)).max(Duration::from_micros(10)).as_secs_f64();
        self.last_done = now;
        if self.submission > 0.0 {
            self.submission = SECONDS * cost / seconds;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(submission: f64) -> Pace {
        Pace { submission, last_done: Instant::now() }
    }

    #[test]
    fn portions_hold_all_and_cost_no_more_than_they_may() {
        let costs: Vec<f64> = (0..100).map(|i| f64::from(i * 37 % 11)).collect();
        for (submission, most) in [(0.0, 1000), (0.0, 7), (20.0, 64), (1e9, 64), (10.0, 1)] {
            let portions = pace(submission).portions(&costs, most);
            assert!(portions.iter().sum::<usize>() == costs.len() && portions.len() <= most, "{portions:?}");
            let mut rest = &costs[..];
            let last = portions.len() - 1;
            for (number, &count) in portions.iter().enumerate() {
                let (portion, others) = rest.split_at(count);
                rest = others;
                // The last one takes what is left where there may be no more of them.
                let may = submission.max(costs.iter().sum::<f64>() / most as f64);
                assert!(count == 1 || portion.iter().sum::<f64>() <= may || (number == last && last + 1 == most));
            }
        }
        assert_eq!(pace(1.0).portions(&[], 8), [0]);
    }

    #[test]
    fn a_slower_device_gets_less_at_a_time() {
        let mut pace = pace(SUBMISSION);
        let submitted = Instant::now().checked_sub(Duration::from_secs(2)).unwrap();
        pace.last_done = submitted;
        pace.done(4e9, submitted);
        assert!((1e8..2.1e8).contains(&pace.submission), "{}", pace.submission);
    }
}
