//! From a finished tape to something that runs: lifetimes -> buffers, once; replay, every step.
//!
//! [`Allocation`] is pure arithmetic: it knows the memory a tape needs before anything is allocated. [`Plan`] makes the buffers,
//! bind groups and pipelines, and replays the launches, in as many submissions as a driver's patience asks for.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::gpu::{AdapterSummary, BufferPool, Gpu, Kernel, Mapping, MemoryUse, Pipeline, mapping};
use crate::params::{Arena, ParameterStore};
use crate::tape::{Home, Launch, Meeting, Tape, Word};
use crate::tensor::Tensor;
use crate::{Error, Result};

mod allocation;
mod buckets;
mod choice;
mod marks;
mod meeting;
mod pace;
mod profile;
mod slots;
#[cfg(test)]
mod tests;
mod trial;
pub mod tune;

pub use allocation::{Allocation, mib};
pub use buckets::Bucket;
pub use choice::{Choice, Choices, admissible, choose};
use marks::Marks;
use pace::Pace;
pub use profile::LaunchTime;
pub use trial::{Content, Output, Prepared, Trial, distinct_launches};

/// Room for the uniform block of one launch. Blocks lie this far apart: the largest alignment an adapter may ask for.
const BLOCK_BYTES: u64 = 256;

/// One replayed launch.
struct Step {
    op: &'static str,
    pass: &'static str,
    shape: String,
    variant: String,
    flops: u64,
    bytes: u64,
    bind_group: wgpu::BindGroup,
    /// One, or several that do a part each.
    dispatches: Vec<Dispatch>,
    meeting: Option<Meeting>,
    /// Words of the parameters' gradients that it writes.
    gradients: Range<usize>,
}

struct Dispatch {
    pipeline: Arc<Pipeline>,
    workgroups: [u32; 3],
}

/// A tape that runs.
pub struct Plan {
    gpu: Arc<Gpu>,
    steps: Vec<Step>,
    phases: Vec<Range<usize>>,
    slots: Vec<wgpu::Buffer>,
    /// Buffer of each root that the host writes or reads.
    host: HashMap<usize, wgpu::Buffer>,
    /// Tensor id -> root, first word, stride.
    views: HashMap<usize, crate::tape::View>,
    /// In read-back order.
    results: Vec<Kept>,
    result_bytes: u64,
    staging: [wgpu::Buffer; 2],
    turn: usize,
    memory: MemoryUse,
    marks: Marks,
    pace: Mutex<Pace>,
}

/// A value that the host can read after a run.
struct Kept {
    root: usize,
    /// Its first byte in the read-back.
    offset: u64,
    bytes: u64,
    /// Its numbers have two bytes.
    half: bool,
}

/// A submitted run whose results have not been looked at yet. At most two may be under way, and each must be handed to
/// [`Plan::results`], which frees its read-back buffer.
pub struct Ticket {
    staging: usize,
    /// The last of so many.
    submission: wgpu::SubmissionIndex,
    submissions: usize,
    run: f32,
    cost: f64,
    submitted: Instant,
    mapped: Mapping,
}

/// What a run left in the kept values.
pub struct Results<'a> {
    plan: &'a Plan,
    bytes: Vec<u8>,
}

/// Which of a tape's launches run on an adapter, with the rule's kernels.
///
/// # Errors
/// If no kernel can run.
pub fn launches_needed(tape: &Tape, adapter: &AdapterSummary) -> Result<Vec<bool>> {
    Ok(taken(tape, adapter, Choice::Rule)?.iter().map(Option::is_some).collect())
}

/// The kernel that a plan takes for each launch of a tape; `None` for a launch that is left out because a kernel before it keeps
/// its statistics.
///
/// # Errors
/// If no kernel can run.
pub fn taken<'a>(tape: &'a Tape, adapter: &AdapterSummary, choice: Choice) -> Result<Vec<Option<&'a Kernel>>> {
    let mut kept = HashSet::new();
    let kernels = tape.launches.iter().map(|launch| {
        let kernel = choose(tape, launch, adapter, choice)?;
        let mut written = launch.writes().map(|tensor| tensor.id);
        if kernel.keeps_statistics {
            kept.extend(written);
            return Ok(Some(kernel));
        }
        let is_kept = launch.elidable && written.all(|id| kept.contains(&id));
        Ok((!is_kept).then_some(kernel))
    });
    kernels.collect()
}

impl Plan {
    /// Makes buffers, pipelines and bind groups.
    ///
    /// # Errors
    /// [`Error::Run`] if the memory is not there, a kernel does not compile, or a value has more elements than a `u32` counts.
    pub fn new(gpu: &Arc<Gpu>, tape: &Tape, store: &ParameterStore, pool: &BufferPool) -> Result<Self> {
        Self::with_choice(gpu, tape, store, pool, Choice::Rule)
    }

    /// Like [`Plan::new`], with a say in which kernels are taken.
    pub fn with_choice(
        gpu: &Arc<Gpu>,
        tape: &Tape,
        store: &ParameterStore,
        pool: &BufferPool,
        choice: Choice,
    ) -> Result<Self> {
        tape.check_sizes()?;
        if !store.spec().begins_with(tape.spec()) {
            return Err(Error::run("the plan's network has other parameters than the store"));
        }
        let trained = store.words(Arena::Gradients);
        if trains(tape) && store.frozen_words().is_some() && trained != tape.trained_words() {
            return Err(Error::run("the plan trains other parameters than the store"));
        }
        let allocation = Allocation::new(tape, trains(tape));
        // Before the device is asked, whose words are for programmers. What memory is free has changed since it was planned.
        if let Some(misfit) = allocation.misfit(gpu.adapter(), u64::MAX) {
            return Err(Error::Input(format!("{misfit}: make the inputs smaller, or fewer at a time")));
        }
        let slots = pool.lease(gpu, &allocation.slots.sizes)?;
        let places = allocation.slots.places.iter();
        let mut buffers: HashMap<usize, (wgpu::Buffer, u64)> =
            places.map(|(&root, place)| (root, (slots[place.slot].clone(), place.offset))).collect();
        let (mut host, mut results, mut result_bytes) = (HashMap::new(), vec![], 0);
        for (root, value) in tape.values.iter().enumerate() {
            if !matches!(value.home, Home::Input | Home::Result) {
                continue;
            }
            let bytes = value.bytes();
            let buffer = gpu.buffer("host-visible value", bytes)?;
            if let Some(words) = &value.initial {
                gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(words));
            }
            if value.home == Home::Result {
                results.push(Kept { root, offset: result_bytes, bytes, half: value.half });
                result_bytes += bytes;
            }
            host.insert(root, buffer.clone());
            buffers.insert(root, (buffer, 0));
        }
        let (steps, phases) = Self::steps(gpu, tape, store, &buffers, choice)?;
        let read_back = result_bytes.next_multiple_of(4) + marks::BYTES;
        let staging = [gpu.staging(read_back)?, gpu.staging(read_back)?];
        let (marks, pace) = (Marks::new(gpu)?, Mutex::new(Pace::new(gpu)));
        let views = (0..tape.values.len())
            .map(|id| (id, tape.view(tape.whole(id))))
            .filter(|(_, view)| host.contains_key(&view.root))
            .collect();
        let (gpu, memory) = (Arc::clone(gpu), allocation.memory());
        Ok(Self {
            gpu,
            steps,
            phases,
            slots,
            host,
            views,
            results,
            result_bytes,
            staging,
            turn: 0,
            memory,
            marks,
            pace,
        })
    }

    /// The launches that run, and those of each phase.
    fn steps(
        gpu: &Gpu,
        tape: &Tape,
        store: &ParameterStore,
        buffers: &HashMap<usize, (wgpu::Buffer, u64)>,
        choice: Choice,
    ) -> Result<(Vec<Step>, Vec<Range<usize>>)> {
        let taken = taken(tape, gpu.adapter(), choice)?;
        let before = |launch: usize| taken[..launch].iter().flatten().count();
        let phases = tape.phases().into_iter().map(|phase| before(phase.start)..before(phase.end)).collect();
        let launches = (0..).zip(&tape.launches).zip(taken);
        let kernels = launches.filter_map(|((i, launch), kernel)| Some((i, launch, kernel?)));
        let in_parts = |(i, launch, kernel)| (i, launch, kernel, pace::in_parts(gpu, tape, launch, kernel));
        let launched: Vec<(u64, &Launch, &Kernel, Vec<Kernel>)> = kernels.map(in_parts).collect();
        let parts = launched.iter().flat_map(|(_, launch, _, parts)| parts.iter().map(move |part| (*launch, part)));
        let wanted: Vec<_> = parts.map(|(launch, part)| (part, tape.bindings(launch, part))).collect();
        gpu.compile_all(&wanted)?;

        let uniforms = uniform_blocks(gpu, "uniform blocks", tape, &tape.launches)?;
        let mut steps = Vec::with_capacity(launched.len());
        for (i, launch, kernel, parts) in launched {
            let dispatches = parts.iter().map(|part| Dispatch::new(gpu, tape, launch, part));
            let dispatches = dispatches.collect::<Result<Vec<_>>>()?;
            let block = wgpu::BufferBinding {
                buffer: &uniforms,
                offset: i * BLOCK_BYTES,
                size: wgpu::BufferSize::new(BLOCK_BYTES),
            };
            let operands = launch.operands_of(kernel).iter();
            let bound = operands.map(|&(tensor, _)| binding_of(tape, store, buffers, tensor));
            let bound = bound.collect::<Result<Vec<_>>>()?;
            let resources = std::iter::once(block).chain(bound).map(wgpu::BindingResource::Buffer);
            let bind_group = gpu.bind(&launch.label(), &dispatches[0].pipeline, resources)?;
            let Launch { op, pass, flops, meeting, .. } = *launch;
            let (bytes, shape) = (tape.bytes_moved(launch), launch.shape());
            let (variant, gradients) = (kernel.variant(), buckets::gradients_of(tape, launch));
            steps.push(Step { op, pass, shape, variant, flops, bytes, bind_group, dispatches, meeting, gradients });
        }
        Ok((steps, phases))
    }

    /// Memory, launches and operations of one run.
    pub fn memory(&self) -> MemoryUse {
        self.memory
    }

    /// Kernel launches of one run.
    pub fn launches(&self) -> usize {
        self.steps.len()
    }

    /// Writes an input's first words. Takes effect before the next run.
    pub fn write<T: bytemuck::NoUninit>(&self, input: Tensor, data: &[T]) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(data);
        let buffer = self.host.get(&input.id).ok_or_else(|| Error::run("a write to a value that is no input"))?;
        if bytes.len() as u64 > buffer.size() || !bytes.len().is_multiple_of(4) {
            return Err(Error::run(format!("{} bytes for an input of {}", bytes.len(), input.shape)));
        }
        self.gpu.queue.write_buffer(buffer, 0, bytes);
        Ok(())
    }

    /// Reads an input back, in words as [`Plan::write`] takes them, after all that was submitted before. Kernels write inputs where a
    /// tape [holds](crate::tape::Tape::hold_frozen_start) what its start computes.
    ///
    /// # Errors
    /// If the device fails, or the value is no input.
    pub fn read(&self, input: Tensor) -> Result<Vec<u32>> {
        let buffer = self.host.get(&input.id).ok_or_else(|| Error::run("a read of a value that is no input"))?;
        self.gpu.read_buffer(buffer, 0, buffer.size())
    }

    /// Fills all reused storage and all kept results with NaN, so that a test sees what no kernel wrote.
    pub fn poison(&self) {
        let kept = self.results.iter().map(|kept| &self.host[&kept.root]);
        for buffer in self.slots.iter().chain(kept) {
            self.gpu.queue.write_buffer(buffer, 0, &vec![0xff; buffer.size() as usize]);
        }
    }

    /// Replays all launches, and starts copying the kept values back.
    pub fn submit(&mut self) -> Result<Ticket> {
        self.submit_phases(0..self.phases.len())
    }

    /// Like [`Plan::submit`] for some phases of the tape. Values that none of them writes come back as they are.
    ///
    /// # Panics
    /// If there are no such phases.
    pub fn submit_phases(&mut self, phases: Range<usize>) -> Result<Ticket> {
        self.submit_steps(self.steps_of(phases))
    }

    fn steps_of(&self, phases: Range<usize>) -> Range<usize> {
        let phases = &self.phases[phases];
        phases.first().map_or(0, |first| first.start)..phases.last().map_or(0, |last| last.end)
    }

    fn submit_steps(&mut self, steps: Range<usize>) -> Result<Ticket> {
        self.submit_stretches(&[steps], &mut |_| Ok(()))
    }

    /// Submits stretches of launches, one after the other, and calls `after` with the number of each when it has been.
    fn submit_stretches(
        &mut self,
        stretches: &[Range<usize>],
        after: &mut dyn FnMut(usize) -> Result<()>,
    ) -> Result<Ticket> {
        self.gpu.check()?;
        let (run, submitted, staging) = (self.marks.begin(&self.gpu), Instant::now(), self.turn);
        let costs = stretches.iter().map(|stretch| self.dispatches(stretch).map(|(_, _, cost)| cost).collect());
        let costs: Vec<Vec<f64>> = costs.collect();
        let cost = costs.iter().flatten().sum::<f64>();
        let (mut submissions, mut last) = (0, None);
        for (number, (stretch, costs)) in stretches.iter().zip(&costs).enumerate() {
            // One for each stretch, and the rest by what they cost.
            let rest = (marks::MOST_SUBMISSIONS - stretches.len()) as f64 * costs.iter().sum::<f64>() / cost.max(1.0);
            let portions = self.pace().portions(costs, 1 + rest as usize);
            let (mut dispatches, mut left) = (self.dispatches(stretch), portions.len());
            for portion in portions {
                let mut encoder = self.gpu.device.create_command_encoder(&Default::default());
                let mut pass = encoder.begin_compute_pass(&Default::default());
                for (dispatch, bind_group, _) in dispatches.by_ref().take(portion) {
                    dispatch.encode(bind_group, &mut pass);
                }
                self.marks.mark(submissions, &mut pass);
                drop(pass);
                (submissions, left) = (submissions + 1, left - 1);
                if left == 0 && number + 1 == stretches.len() {
                    let to = &self.staging[staging];
                    for &Kept { root, offset, bytes, .. } in &self.results {
                        encoder.copy_buffer_to_buffer(&self.host[&root], 0, to, offset, bytes);
                    }
                    self.marks.collect(submissions, &mut encoder, to, self.result_bytes.next_multiple_of(4));
                }
                last = Some(self.gpu.submit(encoder.finish()));
            }
            after(number)?;
        }
        let submission = last.ok_or_else(|| Error::run("a run of no submission"))?;
        self.turn = 1 - self.turn;
        let mapped = mapping(&self.staging[staging]);
        Ok(Ticket { staging, submission, submissions, run, cost, submitted, mapped })
    }

    fn dispatches(&self, steps: &Range<usize>) -> impl Iterator<Item = (&Dispatch, &wgpu::BindGroup, f64)> {
        self.steps[steps.clone()].iter().flat_map(Step::dispatches)
    }

    fn pace(&self) -> std::sync::MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for a submitted run and takes its kept values.
    pub fn results(&self, ticket: Ticket) -> Result<Results<'_>> {
        self.gpu.wait_for(Some(ticket.submission))?;
        self.gpu.mapped(&ticket.mapped)?;
        self.pace().done(ticket.cost, ticket.submitted);
        let staging = &self.staging[ticket.staging];
        let (bytes, missing) = match staging.slice(..).get_mapped_range() {
            Ok(view) => {
                let (results, marks) = view.split_at(self.result_bytes.next_multiple_of(4) as usize);
                (results.to_vec(), marks::missing(marks, ticket.submissions, ticket.run))
            }
            Err(e) => return Err(self.gpu.fault(e)),
        };
        staging.unmap();
        self.gpu.check()?;
        if missing > 0 {
            return Err(self.gpu.gave_up(missing, ticket.submissions));
        }
        Ok(Results { plan: self, bytes })
    }

    /// Runs once and waits.
    pub fn run(&mut self) -> Result<Results<'_>> {
        let ticket = self.submit()?;
        self.results(ticket)
    }
}

impl Step {
    /// Each with what it is bound to, and what it costs.
    fn dispatches(&self) -> impl Iterator<Item = (&Dispatch, &wgpu::BindGroup, f64)> {
        let cost = pace::cost(self.flops, self.bytes) / self.dispatches.len() as f64;
        self.dispatches.iter().map(move |dispatch| (dispatch, &self.bind_group, cost))
    }

    fn encode(&self, pass: &mut wgpu::ComputePass) {
        self.dispatches.iter().for_each(|dispatch| dispatch.encode(&self.bind_group, pass));
    }
}

impl Dispatch {
    fn new(gpu: &Gpu, tape: &Tape, launch: &Launch, kernel: &Kernel) -> Result<Self> {
        let pipeline = gpu.pipeline(kernel, &tape.bindings(launch, kernel))?;
        Ok(Self { pipeline, workgroups: kernel.workgroups })
    }

    fn encode(&self, bind_group: &wgpu::BindGroup, pass: &mut wgpu::ComputePass) {
        pass.set_pipeline(&self.pipeline.pipeline);
        pass.set_bind_group(0, bind_group, &[]);
        let [x, y, z] = self.workgroups;
        pass.dispatch_workgroups(x, y, z);
    }
}

/// The words of a launch's uniform block.
fn uniform_block(tape: &Tape, launch: &Launch) -> [u32; BLOCK_BYTES as usize / 4] {
    let mut block = [0; BLOCK_BYTES as usize / 4];
    for (word, &value) in block.iter_mut().zip(&launch.words) {
        *word = match value {
            Word::U32(value) => value,
            Word::F32(value) => value.to_bits(),
            Word::Offset(tensor) => tape.view(tensor).offset as u32,
            Word::Stride(tensor) => tape.view(tensor).stride as u32,
        };
    }
    block
}

/// A buffer with the uniform blocks of some launches.
fn uniform_blocks(gpu: &Gpu, label: &str, tape: &Tape, launches: &[Launch]) -> Result<wgpu::Buffer> {
    let words: Vec<u32> = launches.iter().flat_map(|launch| uniform_block(tape, launch)).collect();
    let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
    let buffer = gpu.buffer_for(label, 4 * words.len() as u64, usage)?;
    gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
    Ok(buffer)
}

/// The buffer range a kernel sees: the whole storage of a value, or just the parameter's own part of an arena.
fn binding_of<'a>(
    tape: &Tape,
    store: &'a ParameterStore,
    buffers: &'a HashMap<usize, (wgpu::Buffer, u64)>,
    tensor: Tensor,
) -> Result<wgpu::BufferBinding<'a>> {
    let view = tape.view(tensor);
    let value = &tape.values[view.root];
    let size = wgpu::BufferSize::new(value.bytes().next_multiple_of(16));
    match value.home {
        Home::Arena(arena, offset) => {
            Ok(wgpu::BufferBinding { buffer: store.buffer(arena)?, offset: 4 * offset as u64, size })
        }
        _ => {
            let (buffer, offset) = buffers.get(&view.root).ok_or_else(|| Error::run("a value without storage"))?;
            Ok(wgpu::BufferBinding { buffer, offset: *offset, size })
        }
    }
}

impl Results<'_> {
    /// The numbers of a kept value, dense, in NHWC order.
    ///
    /// # Errors
    /// If the value was not kept when the tape was recorded.
    pub fn get(&self, tensor: Tensor) -> Result<Vec<f32>> {
        let missing = || Error::run("a result that was not kept");
        let view = self.plan.views.get(&tensor.id).ok_or_else(missing)?;
        let mut kept = self.plan.results.iter();
        let &Kept { offset, bytes, half, .. } = kept.find(|kept| kept.root == view.root).ok_or_else(missing)?;
        let range = offset as usize..(offset + bytes) as usize;
        let words: Vec<f32> = if half {
            let halves: Vec<u16> = bytemuck::pod_collect_to_vec(&self.bytes[range]);
            halves.into_iter().map(|bits| half::f16::from_bits(bits).to_f32()).collect()
        } else {
            bytemuck::pod_collect_to_vec(&self.bytes[range])
        };
        let c = tensor.shape.c;
        let pixel = |p: usize| &words[p * view.stride + view.offset..][..c];
        Ok((0..tensor.shape.pixels()).flat_map(pixel).copied().collect())
    }
}

/// Floating-point operations of one run, a multiply-add counted as two.
pub fn flops(tape: &Tape) -> u64 {
    tape.launches.iter().map(|launch| launch.flops).sum()
}

/// Which arenas a tape touches beyond parameters and state: whether it needs a training store.
pub fn trains(tape: &Tape) -> bool {
    tape.values.iter().any(|v| matches!(v.home, Home::Arena(Arena::Gradients | Arena::Moment1 | Arena::Moment2, _)))
}
