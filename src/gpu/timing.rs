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

/// Times single compute passes.
pub struct Stopwatch {
    queries: Option<Queries>,
}

struct Queries {
    set: wgpu::QuerySet,
    resolved: wgpu::Buffer,
    nanoseconds_per_tick: f64,
}

const TWO_TICKS: u64 = 16;

impl Stopwatch {
    /// # Errors
    /// Out of memory.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        if !gpu.device.features().contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Ok(Self { queries: None });
        }
        let set = gpu.device.create_query_set(&wgpu::QuerySetDescriptor {
            label: Some("stopwatch"),
            ty: wgpu::QueryType::Timestamp,
            count: 2,
        });
        let usage = wgpu::BufferUsages::QUERY_RESOLVE | wgpu::BufferUsages::COPY_SRC;
        let resolved = gpu.buffer_for("timestamps", TWO_TICKS, usage)?;
        let nanoseconds_per_tick = f64::from(gpu.queue.get_timestamp_period());
        Ok(Self { queries: Some(Queries { set, resolved, nanoseconds_per_tick }) })
    }

    /// Runs what `encode` puts into a compute pass, waits for it, and says how long it took and by which clock.
    pub fn time(&self, gpu: &Gpu, encode: impl FnOnce(&mut wgpu::ComputePass)) -> Result<(Duration, Clock)> {
        gpu.wait()?;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        {
            let timestamp_writes = self.queries.as_ref().map(|queries| wgpu::ComputePassTimestampWrites {
                query_set: &queries.set,
                beginning_of_pass_write_index: Some(0),
                end_of_pass_write_index: Some(1),
            });
            let descriptor = wgpu::ComputePassDescriptor { label: Some("timed"), timestamp_writes };
            encode(&mut encoder.begin_compute_pass(&descriptor));
        }
        if let Some(queries) = &self.queries {
            encoder.resolve_query_set(&queries.set, 0..2, &queries.resolved, 0);
        }
        let start = Instant::now();
        gpu.queue.submit([encoder.finish()]);
        gpu.wait()?;
        let wall = start.elapsed();
        if let Some(queries) = &self.queries {
            let bytes = gpu.read_buffer(&queries.resolved, 0, TWO_TICKS)?;
            let ticks: Vec<u64> = bytemuck::pod_collect_to_vec(&bytes);
            // Some drivers offer timestamps and then always answer zero.
            if let [begin, end] = ticks[..]
                && end > begin
            {
                let nanoseconds = (end - begin) as f64 * queries.nanoseconds_per_tick;
                return Ok((Duration::from_nanos(nanoseconds as u64), Clock::Device));
            }
        }
        Ok((wall, Clock::Wall))
    }
}
