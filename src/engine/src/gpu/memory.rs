//! Buffers: making them with out-of-memory as an error, sharing them between plans, reading them back.

use std::sync::{Mutex, mpsc};

use bytemuck::Pod;

use super::Gpu;
use crate::{Error, Result};

/// What a plan takes, in bytes. Known before anything is allocated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct MemoryUse {
    /// Activations, gradients and scratch, after reuse by liveness.
    pub slots: u64,
    /// Inputs, kept results and uniform blocks.
    pub fixed: u64,
    /// Parameters, their gradients, both Adam moments and running statistics.
    pub parameters: u64,
    pub largest_tensor: u64,
}

impl MemoryUse {
    /// What is taken of the driver, at most, where this is used: memory comes in blocks of up to 256 MiB for the device and 128 MiB for
    /// what the host sees, and the last of each is not full. (wgpu 30, with `MemoryHints::Performance`.)
    pub fn reserved(used: u64) -> u64 {
        used + (384 << 20)
    }

    /// Everything together: the peak, because nothing is allocated later.
    pub fn peak(&self) -> u64 {
        self.slots + self.fixed + self.parameters
    }
}

/// Memory that programs can still get on this machine, in bytes: the limit of a software adapter. Where the system does
/// not tell, there is no limit to check against.
pub fn available_host_memory() -> u64 {
    sysinfo::System::new().map_or(u64::MAX, |mut system| {
        system.refresh_memory();
        system.available_memory()
    })
}

/// Buffers that several plans use one after the other (training and validation steps never overlap).
#[derive(Default)]
pub struct BufferPool {
    buffers: Mutex<Vec<wgpu::Buffer>>,
}

/// Takes the first of `free`, which is sorted by size, that holds `bytes`: the smallest that does.
pub(crate) fn take_fitting<T>(free: &mut Vec<T>, bytes: u64, size: impl Fn(&T) -> u64) -> Option<T> {
    free.iter().position(|slot| size(slot) >= bytes).map(|i| free.remove(i))
}

impl BufferPool {
    /// Hands out one buffer per size, all different, reusing what earlier plans made. `sizes` in bytes, largest first.
    pub(crate) fn lease(&self, gpu: &Gpu, sizes: &[u64]) -> Result<Vec<wgpu::Buffer>> {
        let mut pool = self.buffers.lock().map_err(|_| Error::run("a thread died while it held the buffer pool"))?;
        let mut free = pool.clone();
        free.sort_by_key(wgpu::Buffer::size);
        let mut leased = Vec::with_capacity(sizes.len());
        for &size in sizes {
            leased.push(match take_fitting(&mut free, size, wgpu::Buffer::size) {
                Some(buffer) => buffer,
                None => {
                    let buffer = gpu.buffer("slot", size)?;
                    pool.push(buffer.clone());
                    buffer
                }
            });
        }
        Ok(leased)
    }
}

/// Bytes on their way to the host.
pub struct Download {
    staging: wgpu::Buffer,
    bytes: u64,
    mapping: Mapping,
    submission: wgpu::SubmissionIndex,
}

/// What is copied behind whatever is read back. New buffers are zero.
pub(super) const MARK: [u8; 4] = *b"done";

impl Gpu {
    /// A zeroed storage buffer that can be copied to and from.
    pub(crate) fn buffer(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.buffer_for(label, bytes, usage)
    }

    pub(crate) fn buffer_for(&self, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        // Bindings and copies count in words of four bytes; an empty buffer cannot be bound.
        let size = bytes.next_multiple_of(16).max(16);
        let descriptor = wgpu::BufferDescriptor { label: Some(label), size, usage, mapped_at_creation: false };
        let what = format!("a buffer of {size} bytes for {label}");
        self.refuse_buffer(&what)?;
        self.guarded(&what, || self.device.create_buffer(&descriptor))
    }

    /// Copies `bytes` bytes from `offset` of a buffer to the host, after all that was submitted before.
    pub(crate) fn read_buffer<T: Pod>(&self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<Vec<T>> {
        self.downloaded(self.download(buffer, offset, bytes)?, vec![])
    }

    /// Begins to copy, and waits for nothing.
    pub(crate) fn download(&self, buffer: &wgpu::Buffer, offset: u64, bytes: u64) -> Result<Download> {
        let staging = self.staging(bytes + MARK.len() as u64)?;
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encoder.copy_buffer_to_buffer(buffer, offset, &staging, 0, bytes);
        // Last of all, to tell that it was not given up in silence; see `plan::marks`.
        encoder.copy_buffer_to_buffer(&self.mark, 0, &staging, bytes, MARK.len() as u64);
        let submission = self.submit(encoder.finish());
        let mapping = mapping(&staging);
        Ok(Download { staging, bytes, mapping, submission })
    }

    /// Waits for what was copied, which takes the place of `words`. What was submitted later may still run.
    ///
    /// # Errors
    /// If the device fails.
    pub(crate) fn downloaded<T: Pod>(&self, download: Download, mut words: Vec<T>) -> Result<Vec<T>> {
        let Download { staging, bytes, mapping, submission } = download;
        self.wait_for(Some(submission))?;
        self.mapped(&mapping)?;
        let view = staging.slice(..).get_mapped_range().map_err(|e| self.fault(e))?;
        let (copy, mark) = view.split_at(bytes as usize);
        words.resize(copy.len() / size_of::<T>(), T::zeroed());
        bytemuck::cast_slice_mut(&mut words).copy_from_slice(copy);
        if mark.starts_with(&MARK) { Ok(words) } else { Err(self.gave_up(1, 1)) }
    }

    /// Bytes that the device's buffers take now, as its allocator counts them; `None` where it does not tell.
    pub fn allocated_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_allocated_bytes)
    }

    /// Bytes that the device's allocator holds of the driver now, used or not; `None` where it does not tell.
    pub fn reserved_bytes(&self) -> Option<u64> {
        self.device.generate_allocator_report().map(|report| report.total_reserved_bytes)
    }

    /// A buffer that the host can read.
    pub(crate) fn staging(&self, bytes: u64) -> Result<wgpu::Buffer> {
        self.buffer_for("read-back", bytes, wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::MAP_READ)
    }
}

/// The answer to the wish to read a staging buffer; see [`Gpu::mapped`].
pub(crate) type Mapping = mpsc::Receiver<Result<(), wgpu::BufferAsyncError>>;

/// Asks for a staging buffer to be readable once all that was submitted before is done.
pub(crate) fn mapping(staging: &wgpu::Buffer) -> Mapping {
    let (sender, receiver) = mpsc::channel();
    staging.slice(..).map_async(wgpu::MapMode::Read, move |result| {
        // The receiver may be gone after an error elsewhere; then nobody waits for this.
        let _ = sender.send(result);
    });
    receiver
}
