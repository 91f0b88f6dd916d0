//! The graphics processor: which adapter, its limits, its buffers, pipelines and submissions.
//!
//! What opens, compiles and waits is here; plans and parameters hold buffers of their own.

mod adapter;
mod attempts;
mod compiled;
mod crash;
mod device;
mod faults;
mod free;
mod kernel;
mod layers;
mod memory;
mod shader;
mod storage;
mod switches;
mod timing;

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use adapter::{AdapterSummary, list, no_adapter};
pub(crate) use attempts::Attempt;
pub use compiled::cache_folder;
pub use kernel::{Binding, Kernel, Pipeline, QUOTIENTS, Requirements, fold};
pub use layers::quieten_layers;
pub use memory::{BufferPool, Download, MemoryUse};
pub(crate) use memory::{Mapping, mapping, take_fitting};
pub(crate) use shader::shader;
pub use shader::{Shader, compose, fingerprint, shaders_from};
pub use storage::{store_as_half, store_in_pairs};
pub use switches::{Switch, Switches};
pub use timing::{Clock, Stopwatch, Timing, processor_time, thread_time};

use crate::{Error, Result};

/// How to open an adapter.
#[derive(Clone, Debug, Default)]
pub struct GpuOptions {
    /// An index as [`list`] gives it, or a part of an adapter's name; `None` takes the best real GPU,
    /// else the software adapter.
    pub adapter: Option<String>,
    /// Keep the driver-side bounds, loop and division checks in the kernels, and move numbers as their files say instead of in pairs
    /// (slower; tests have it on).
    pub checked: bool,
}

/// An open adapter: device, queue, what it can do, and the pipelines compiled so far.
pub struct Gpu {
    pub(crate) device: wgpu::Device,
    pub(crate) queue: wgpu::Queue,
    summary: AdapterSummary,
    checked: bool,
    pipelines: kernel::PipelineCache,
    /// Compiled kernels on disk, where the driver can and somebody asked.
    compiled: Option<compiled::Compiled>,
    /// Held by whoever submits or waits. Of two threads that poll a device at once, one may find the queue emptied by the other,
    /// which wgpu-core 30 takes for a fault of its own and panics.
    turn: Mutex<()>,
    /// The first error wgpu reported outside an error scope, or the reason the device was lost.
    failure: Arc<Mutex<Option<String>>>,
    faults: faults::Faults,
    attempts: attempts::Attempts,
    notes: Vec<String>,
    /// Whether work is cut as for a slow device, whatever it takes.
    pub(crate) slow: bool,
    /// Holds [`memory::MARK`].
    mark: wgpu::Buffer,
}

/// A submission that has not finished after this long is given up (a driver's own watchdog acts within seconds;
/// software adapters have none).
const PATIENCE: Duration = Duration::from_secs(900);

/// How what is said where memory ends begins.
const OUT_OF_MEMORY: &str = "out of memory";

/// For results that are there already.
const HANDOVER: Duration = Duration::from_secs(60);

impl Gpu {
    /// Opens an adapter with all of its own limits and the features the engine can use.
    ///
    /// # Errors
    /// [`Error::Input`] if no adapter matches, [`Error::Run`] if the driver refuses the device.
    pub fn open(options: &GpuOptions) -> Result<Self> {
        Self::open_cached(options, None)
    }

    /// Like [`Gpu::open`]; compiled kernels are kept in files of a folder, where the driver hands them out.
    ///
    /// # Errors
    /// As [`Gpu::open`]. A folder that is of no use is none: then nothing is kept.
    pub fn open_cached(options: &GpuOptions, cache: Option<&Path>) -> Result<Self> {
        let faults = faults::Faults::wanted()?;
        let switches = Switches::from_environment()?;
        let (adapter, summary) = adapter::choose(options.adapter.as_deref(), &switches)?;
        let attempts = attempts::Attempts::read(cache, &summary);
        let refused = attempts.refused();
        let switches = switches.and_without(refused.switches);
        let mut notes: Vec<String> =
            attempts.notes.iter().map(|note| format!("adapter {}: {note}", summary.name)).collect();
        let opened = device::open(&adapter, summary.index, &switches, &attempts, &faults)?;
        notes.extend(opened.note);
        if opened.summary.software && !opened.summary.lavapipe {
            let text = "a software driver that no kernel was made for; expect minutes for what Mesa's (package mesa-vulkan-drivers) \
                        does in seconds";
            notes.push(format!("adapter {}: {text}", opened.summary.name));
        }
        let (device, queue) = opened.device;
        let summary = AdapterSummary { refused: refused.kernels, ..opened.summary };

        let failure = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&failure);
        device.on_uncaptured_error(Arc::new(move |e: wgpu::Error| keep_first(&slot, describe(&e))));
        let slot = Arc::clone(&failure);
        device.set_device_lost_callback(move |reason, text| {
            if !matches!(reason, wgpu::DeviceLostReason::Destroyed) {
                keep_first(
                    &slot,
                    format!("the device was lost ({reason:?}: {text}); start again from what was saved last"),
                );
            }
        });
        let mark = device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("mark"),
            size: memory::MARK.len() as u64,
            usage: wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        queue.write_buffer(&mark, 0, &memory::MARK);
        let compiled = cache.and_then(|folder| compiled::Compiled::open(&device, &summary, folder));
        Ok(Self {
            device,
            queue,
            summary,
            checked: options.checked,
            pipelines: kernel::PipelineCache::default(),
            compiled,
            turn: Mutex::new(()),
            failure,
            faults,
            attempts,
            notes,
            slow: switches.slow,
            mark,
        })
    }

    /// The adapter in words and numbers.
    pub fn adapter(&self) -> &AdapterSummary {
        &self.summary
    }

    /// What the user should know of how it was opened, a sentence each.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether kernels move [`vec2<u64>`](store_in_pairs) where their files say `vec4<f32>`.
    fn stores_in_pairs(&self) -> bool {
        self.summary.lavapipe && self.summary.int64 && !self.checked
    }

    /// Compiles a kernel for these storage bindings, or finds it compiled.
    pub fn pipeline(&self, kernel: &Kernel, bindings: &[Binding]) -> Result<Arc<Pipeline>> {
        self.pipelines.get(self, kernel, bindings)
    }

    /// Compiles many kernels side by side on all cores, each once.
    pub fn compile_all(&self, kernels: &[(&Kernel, Vec<Binding>)]) -> Result<()> {
        use rayon::prelude::*;
        let mut seen = HashSet::new();
        let mut kernels: Vec<&(&Kernel, Vec<Binding>)> = kernels.iter().collect();
        kernels.retain(|(kernel, bindings)| seen.insert((kernel.shader, &kernel.defs, &kernel.constants, bindings)));
        let known = self.pipelines.len();
        let compile = |(kernel, bindings): &&(&Kernel, Vec<Binding>)| {
            let made = self.pipelines.get(self, kernel, bindings).map(drop);
            let refused = |e| self.failed(&Attempt::Kernel(kernel.variant()), e);
            made.map_err(|e| if self.check().is_ok() { refused(e) } else { e })
        };
        // What is new in drivers crashes them first, so such kernels are tried one by one.
        let one_by_one = self.attempts.refused().one_by_one();
        let (single, many): (Vec<_>, Vec<_>) =
            kernels.into_iter().partition(|(kernel, _)| one_by_one || kernel.needs.cooperative.is_some());
        for kernel in &single {
            self.attempt(&Attempt::Kernel(kernel.0.variant()), || compile(kernel))?;
        }
        self.attempt(&Attempt::Kernels, || many.par_iter().try_for_each(compile))?;
        self.attempts.compiled();
        if let Some(compiled) = self.compiled.as_ref().filter(|_| self.pipelines.len() > known) {
            // Without the file the next start takes longer, and that is all.
            let _ = compiled.save();
        }
        Ok(())
    }

    /// Does what may end the program or the device; then the next start knows.
    pub(crate) fn attempt<T>(&self, attempt: &Attempt, work: impl FnOnce() -> Result<T>) -> Result<T> {
        let done = self.attempts.during(attempt, work);
        // An error alone is for the caller to judge.
        done.map_err(|e| if self.check().is_err() { self.failed(attempt, e) } else { e })
    }

    /// Has the next start do without what failed, and adds to the error what that means.
    fn failed(&self, attempt: &Attempt, error: Error) -> Error {
        let text = error.to_string();
        // What only a full memory kept out is not to blame.
        let then = if text.contains(OUT_OF_MEMORY) { None } else { self.attempts.failed(attempt) };
        then.map_or(error, |then| Error::run(format!("{text}; {then}")))
    }

    /// Fails if the device was lost or an earlier call went wrong.
    pub fn check(&self) -> Result<()> {
        match self.failure.lock() {
            Ok(slot) => slot.as_ref().map_or(Ok(()), |text| Err(self.fault(text))),
            Err(_) => Err(self.fault("a thread died while it reported a device error")),
        }
    }

    /// Waits until all submitted work is done.
    pub fn wait(&self) -> Result<()> {
        self.wait_for(None)
    }

    /// The answer to a mapping whose submission has been waited for. Where threads share a device, the one that polls hands out
    /// the answers of all, so ours can come a moment after the wait.
    pub(crate) fn mapped(&self, answer: &Mapping) -> Result<()> {
        match answer.recv_timeout(HANDOVER) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(e)) => Err(self.fault(format!("cannot read results back ({e})"))),
            Err(_) => Err(self.fault("the device did not hand its results over")),
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        // There is nothing behind it that a panic could have left half done.
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Binds resources to a pipeline, from binding 0 on.
    pub(crate) fn bind<'a>(
        &self,
        label: &str,
        pipeline: &Pipeline,
        resources: impl IntoIterator<Item = wgpu::BindingResource<'a>>,
    ) -> Result<wgpu::BindGroup> {
        let entries = (0..).zip(resources).map(|(binding, resource)| wgpu::BindGroupEntry { binding, resource });
        let entries: Vec<_> = entries.collect();
        let descriptor = wgpu::BindGroupDescriptor { label: Some(label), layout: &pipeline.layout, entries: &entries };
        self.guarded(label, || self.device.create_bind_group(&descriptor))
    }

    /// Submits commands.
    pub(crate) fn submit(&self, commands: wgpu::CommandBuffer) -> wgpu::SubmissionIndex {
        let commands = self.fail_submission().then_some(commands);
        let _turn = self.turn();
        self.queue.submit(commands)
    }

    /// Waits for one submission, or for all there are.
    pub(crate) fn wait_for(&self, submission: Option<wgpu::SubmissionIndex>) -> Result<()> {
        let start = Instant::now();
        loop {
            let poll =
                wgpu::PollType::Wait { submission_index: submission.clone(), timeout: Some(Duration::from_secs(5)) };
            let turn = self.turn();
            let answer = self.device.poll(poll);
            drop(turn);
            self.check()?;
            match answer {
                Ok(_) => return Ok(()),
                Err(wgpu::PollError::Timeout) if start.elapsed() < PATIENCE => {}
                Err(e) => return Err(self.fault(e)),
            }
        }
    }

    /// Runs `work` and turns what wgpu reports meanwhile (out of memory, validation) into an error.
    pub(crate) fn guarded<T>(&self, what: &str, work: impl FnOnce() -> T) -> Result<T> {
        let memory = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let internal = self.device.push_error_scope(wgpu::ErrorFilter::Internal);
        let validation = self.device.push_error_scope(wgpu::ErrorFilter::Validation);
        let value = work();
        // Scopes close in the reverse order of their opening.
        let faults = [validation, internal, memory].map(|scope| pollster::block_on(scope.pop()));
        match faults.into_iter().flatten().next() {
            Some(e) => Err(self.fault(format!("{what}: {}", describe(&e)))),
            None => self.check().map(|()| value),
        }
    }

    /// What to say where the device did not do all of its work, and did not say so.
    pub(crate) fn gave_up(&self, missing: usize, of: usize) -> Error {
        Error::Unfinished(format!(
            "adapter {}: {missing} of {of} submissions were given up without a word, as drivers do with what takes too long; \
             compute less at a time, and go on from what was saved last",
            self.summary.name
        ))
    }

    pub(crate) fn fault(&self, text: impl std::fmt::Display) -> Error {
        Error::run(format!("adapter {}: {text}", self.summary.name))
    }
}

/// Keeps the first of several failures, from which the others follow.
fn keep_first(slot: &Mutex<Option<String>>, text: String) {
    if let Ok(mut slot) = slot.lock() {
        slot.get_or_insert(text);
    }
}

fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => format!("{OUT_OF_MEMORY}; try a smaller batch or smaller inputs"),
        wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
            let text = description.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{text}; a fault of gatefold or of the driver: please report this line")
        }
    }
}
