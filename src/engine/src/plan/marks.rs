//! Proof that a run came to its end. A driver may end a submission that takes too long and report it as done: Metal does
//! (<https://github.com/gfx-rs/wgpu/issues/9545>). So the last dispatch of every submission writes the run's number to a place of its
//! own, and whoever takes the results looks for it.

use super::{BLOCK_BYTES, Choice, Dispatch, choose, uniform_blocks};
use crate::Result;
use crate::gpu::Gpu;
use crate::tape::{GradDestination, Tape};
use crate::tensor::Shape;

/// Submissions of a run at most.
pub const MOST_SUBMISSIONS: usize = 32;

/// Bytes from one mark to the next: the largest alignment an adapter may ask for.
const APART: u64 = 256;

/// Bytes of all marks, in a buffer that is read back.
pub const BYTES: u64 = APART * MOST_SUBMISSIONS as u64;

/// What marks take on the device besides what is read back.
pub const FIXED: u64 = BYTES + BLOCK_BYTES + 16;

pub struct Marks {
    /// The run's number, as a float: small integers would be denormal ones.
    number: wgpu::Buffer,
    places: wgpu::Buffer,
    dispatch: Dispatch,
    bind_groups: Vec<wgpu::BindGroup>,
    run: u32,
}

impl Marks {
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let mut tape = Tape::new();
        let from = tape.input(Shape::vector(1));
        let to = tape.output(Shape::vector(1), &[]);
        tape.copy_into(from, GradDestination { tensor: to, accumulate: false });
        let launch = &tape.launches[0];
        let kernel = choose(&tape, launch, gpu.adapter(), Choice::Rule)?;
        let dispatch = Dispatch::new(gpu, &tape, launch, kernel)?;
        let block = uniform_blocks(gpu, "uniform block", &tape, &tape.launches)?;
        let (number, places) = (gpu.buffer("run", 4)?, gpu.buffer("marks", BYTES)?);
        let bind = |mark: usize| {
            let place =
                wgpu::BufferBinding { buffer: &places, offset: APART * mark as u64, size: wgpu::BufferSize::new(16) };
            let resources =
                [block.as_entire_binding(), number.as_entire_binding(), wgpu::BindingResource::Buffer(place)];
            gpu.bind("mark", &dispatch.pipeline, resources)
        };
        let bind_groups = (0..MOST_SUBMISSIONS).map(bind).collect::<Result<_>>()?;
        Ok(Self { number, places, dispatch, bind_groups, run: 0 })
    }

    /// Begins a run, and gives its number. Numbers come again, but not while an earlier run is looked at.
    pub fn begin(&mut self, gpu: &Gpu) -> f32 {
        self.run = self.run % (1 << 23) + 1;
        let run = self.run as f32;
        gpu.queue.write_buffer(&self.number, 0, &run.to_ne_bytes());
        run
    }

    /// Ends a submission.
    pub fn mark(&self, submission: usize, pass: &mut wgpu::ComputePass) {
        self.dispatch.encode(&self.bind_groups[submission], pass);
    }

    /// Copies the marks of so many submissions to where they are read.
    pub fn collect(&self, submissions: usize, encoder: &mut wgpu::CommandEncoder, to: &wgpu::Buffer, offset: u64) {
        encoder.copy_buffer_to_buffer(&self.places, 0, to, offset, APART * submissions as u64);
    }
}

/// How many of a run's submissions did not come to their end, by the marks that were read back.
pub fn missing(marks: &[u8], submissions: usize, run: f32) -> usize {
    let mark = |bytes: &[u8]| f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    marks.chunks(APART as usize).take(submissions).filter(|bytes| mark(bytes) != run).count()
}
