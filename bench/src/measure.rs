//! Timing one kernel: a warm-up, then as many runs as fit into the time.

use std::time::Duration;

use gatefold_engine::Result;
use gatefold_engine::gpu::{Clock, Gpu, Stopwatch, cache_folder};
use gatefold_engine::plan::{Choices, Prepared, Trial};

/// How long a kernel takes, in seconds.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    pub median: f64,
    pub best: f64,
    /// Processor time of all threads for one run: the best of the submissions' means. `None` on GPUs, where it says nothing.
    pub cpu: Option<f64>,
    pub runs: usize,
    pub clock: Clock,
}

/// Submissions among which the runs are divided.
const ROUNDS: usize = 3;

/// Runs `kernel` once to warm up, then for about `seconds`, at least `ROUNDS` times.
pub fn measure(gpu: &Gpu, stopwatch: &Stopwatch, trial: &Trial, kernel: &Prepared, seconds: f64) -> Result<Measured> {
    let first = trial.time(stopwatch, kernel, 1)?;
    let once = first.median().as_secs_f64().max(1e-7);
    let runs = (seconds / ROUNDS as f64 / once).clamp(1.0, Stopwatch::PASSES as f64) as usize;
    let (mut times, mut cpu, mut clock): (Vec<Duration>, _, _) = (vec![], None::<f64>, first.clock);
    for _ in 0..ROUNDS {
        let timing = trial.time(stopwatch, kernel, runs)?;
        if let Some(processor) = timing.processor.filter(|_| gpu.adapter().software) {
            let seconds = processor.as_secs_f64();
            cpu = Some(cpu.map_or(seconds, |best| best.min(seconds)));
        }
        clock = timing.clock;
        times.extend(timing.times);
    }
    times.sort_unstable();
    let at = |i: usize| times.get(i).map_or(f64::INFINITY, |t| t.as_secs_f64().max(1e-9));
    Ok(Measured { median: at(times.len() / 2), best: at(0), cpu, runs: times.len(), clock })
}

/// What is known of this adapter's kernels, as training finds it.
pub fn known_choices(gpu: &Gpu) -> Choices {
    let file = cache_folder().map(|folder| folder.join(gpu.adapter().cache_name("tune", "json")));
    let known = file.and_then(|file| Choices::read(&file, gpu.adapter()).ok().flatten());
    known.unwrap_or_else(|| Choices::new(gpu.adapter()))
}

/// The middle one, or the mean of the two in the middle; 0 if there is none.
#[cfg(feature = "networks")]
pub fn median(values: &[f64]) -> f64 {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => 0.0,
        n => f64::midpoint(values[(n - 1) / 2], values[n / 2]),
    }
}

#[cfg(all(test, feature = "networks"))]
mod tests {
    use super::median;

    #[test]
    fn the_median_lies_in_the_middle() {
        let none: [f64; 0] = [];
        assert_eq!([median(&none), median(&[7.0]), median(&[4.0, 1.0])], [0.0, 7.0, 2.5]);
        assert_eq!([median(&[9.0, 1.0, 4.0]), median(&[9.0, 1.0, 4.0, 6.0])], [4.0, 5.0]);
    }
}
