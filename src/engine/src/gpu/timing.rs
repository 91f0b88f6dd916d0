//! How long work takes on the device: timestamp queries, with the wall clock where they are missing or read zero.

use std::time::{Duration, Instant};

use super::Gpu;
use crate::Result;

/// Which clock a time was taken with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clock {
    /// Timestamps of the device itself.
    Device,
    /// The host's clock around submission and completion: includes the submission's own cost.
    Wall,
}

/// Processor time of this process so far, all threads together; `None` where the system does not tell. Where the adapter is
/// the processor itself this is what work costs, whatever else the machine does meanwhile.
pub fn processor_time() -> Option<Duration> {
    #[cfg(unix)]
    return clock(rustix::time::ClockId::ProcessCPUTime);
    #[cfg(not(unix))]
    None
}

/// Processor time of the calling thread so far; `None` where the system does not tell.
pub fn thread_time() -> Option<Duration> {
    #[cfg(unix)]
    return clock(rustix::time::ClockId::ThreadCPUTime);
    #[cfg(not(unix))]
    None
}

#[cfg(unix)]
fn clock(id: rustix::time::ClockId) -> Option<Duration> {
    let time = rustix::time::clock_gettime(id);
    Some(Duration::new(time.tv_sec.try_into().ok()?, time.tv_nsec.try_into().ok()?))
}

/// What [`Stopwatch::time`] measured.
#[derive(Clone, Debug)]
pub struct Timing {
    /// One for each pass, in order. By the wall clock all passes take the same.
    pub times: Vec<Duration>,
    pub clock: Clock,
    /// Processor time of one pass, the mean of all; see [`processor_time`].
    pub processor: Option<Duration>,
}

impl Timing {
    /// This and what ran after it, as one.
    pub(crate) fn then(&self, next: &Self) -> Self {
        Self {
            times: self.times.iter().zip(&next.times).map(|(a, b)| *a + *b).collect(),
            clock: if self.clock == next.clock { self.clock } else { Clock::Wall },
            processor: self.processor.zip(next.processor).map(|(a, b)| a + b),
        }
    }

    /// Several runs as the passes of one.
    pub(crate) fn of_runs(runs: &[Self]) -> Self {
        let sum = runs.iter().map(|run| run.processor).sum::<Option<Duration>>();
        Self {
            times: runs.iter().flat_map(|run| run.times.iter().copied()).collect(),
            clock: if runs.iter().all(|run| run.clock == Clock::Device) { Clock::Device } else { Clock::Wall },
            processor: sum.map(|sum| sum / runs.len().max(1) as u32),
        }
    }

    /// The middle one of the times; zero if nothing was timed.
    pub fn median(&self) -> Duration {
        let mut times = self.times.clone();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default()
    }
}

/// Times compute passes.
pub struct Stopwatch {
    queries: Option<Queries>,
}

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    nanoseconds_per_tick: f64,
}

const TICK: u64 = 8;

impl Stopwatch {
    /// The most passes of one submission.
    pub const PASSES: usize = 64;

    /// # Errors
    /// Out of memory.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Self { queries: None });
        }
        let count = 2 * Self::PASSES as u32;
        let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("stopwatch"),
            ty: wgpu::QueryType::Timestamp,
            count,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = gpu.buffer_for("timestamps", u64::from(count) * TICK, usage)?;
        let nanoseconds_per_tick = f64::from(gpu.queue.get_timestamp_period());
        Ok(Self { queries: Some(Queries { set, resolved, nanoseconds_per_tick }) })
    }

    /// Runs `passes` compute passes (1 to [`Stopwatch::PASSES`]) in one submission, each with what `encode` puts into it,
    /// waits for them, and says how long each took.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn time(
        &self,
        gpu: &Gpu,
        passes: usize,
        mut encode: impl FnMut(usize, &mut wgpu::ComputePass),
    ) -> Result<Timing> {
        let passes = passes.clamp(1, Self::PASSES);
        gpu.wait()?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        for number in 0..passes {
            let timestamp_writes = self.queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
                query_set: &queries.set,
                beginning_of_pass_write_index: Some(2 * number as u32),
                end_of_pass_write_index: Some(2 * number as u32 + 1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("timed"), timestamp_writes };
            encode(number, &mut encoder.begin_compute_pass(&descriptor));
        }
        if let Some(queries) = &self.queries {
            encoder.resolve_query_set(&queries.set, 0..2 * passes as u32, &queries.resolved, 0);
        }
        let commands = encoder.finish();
        let (start, processor) = (Instant::now(), processor_time());
        gpu.submit(commands);
        gpu.wait()?;
        let wall = start.elapsed() / passes as u32;
        let processor = processor_time().zip(processor).map(|(now, then)| now.saturating_sub(then) / passes as u32);
        let (times, clock) = match self.ticks(gpu, passes)? {
            Some(times) => (times, Clock::Device),
            None => (vec![wall; passes], Clock::Wall),
        };
        Ok(Timing { times, clock, processor })
    }

    /// What the device's clock says; `None` where it says nothing of use.
    fn ticks(&self, gpu: &Gpu, passes: usize) -> Result<Option<Vec<Duration>>> {
        let Some(queries) = &self.queries else { return Ok(None) };
        let ticks: Vec<u64> = gpu.read_buffer(&queries.resolved, 0, 2 * passes as u64 * TICK)?;
        let times = ticks.chunks_exact(2).map(|ends| {
            // Some drivers offer timestamps and then always answer zero.
            let ticks = ends[1].checked_sub(ends[0]).filter(|&ticks| ticks > 0)?;
            Some(Duration::from_nanos((ticks as f64 * queries.nanoseconds_per_tick) as u64))
        });
        Ok(times.collect())
    }
}
