//! Wall clock and processor time.

use std::time::{Duration, Instant};

use burn::tensor::Device;

/// Processor time of all threads so far.
pub fn processor_time() -> Option<Duration> {
    #[cfg(unix)]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
        Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
    }
    #[cfg(not(unix))]
    None
}

/// Times in seconds.
pub struct Times {
    pub wall: Vec<f64>,
    pub cpu: Vec<f64>,
}

impl Times {
    pub fn median(mut values: Vec<f64>) -> Option<f64> {
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    }
}

/// Runs `prepare` outside of the clock and `run` inside, after a warm-up in which Burn tunes, for about `seconds`.
pub fn time<T, R>(device: &Device, seconds: f64, mut prepare: impl FnMut() -> T, mut run: impl FnMut(T) -> R) -> Times {
    let mut times = Times { wall: vec![], cpu: vec![] };
    let sync = || device.sync().expect("the device works");
    for warm_up in [true, true, false] {
        let begin = Instant::now();
        loop {
            let prepared = prepare();
            sync();
            let (start, processor) = (Instant::now(), processor_time());
            let result = run(prepared);
            sync();
            if !warm_up {
                times.wall.push(start.elapsed().as_secs_f64());
                times.cpu.extend(processor_time().zip(processor).map(|(now, then)| (now - then).as_secs_f64()));
            }
            drop(result);
            if warm_up || (times.wall.len() >= 3 && begin.elapsed().as_secs_f64() >= seconds) {
                break;
            }
        }
    }
    times
}
