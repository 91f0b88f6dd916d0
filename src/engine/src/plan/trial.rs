//! One launch without its network: on storage of its own, with any of its kernels, to be timed and to be compared.

use std::collections::HashMap;

use super::{Dispatch, admissible, pace, uniform_block, uniform_blocks};
use crate::gpu::{AdapterSummary, Gpu, Kernel, Stopwatch, Timing};
use crate::tape::{Access, Tape};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// The launches of a tape that differ in what they do: the number of the first of its kind, and how many of the kind there are.
pub fn distinct_launches(tape: &Tape, adapter: &AdapterSummary) -> Vec<(usize, usize)> {
    let mut kinds: HashMap<_, usize> = HashMap::new();
    let mut found: Vec<(usize, usize)> = vec![];
    for (number, launch) in tape.launches.iter().enumerate() {
        let shapes: Vec<_> = launch.operands.iter().map(|(tensor, _)| tensor.shape).collect();
        let kernels = admissible(tape, launch, adapter);
        let key = (launch.op, launch.pass, shapes, uniform_block(tape, launch), kernels);
        let kind = *kinds.entry(key).or_insert(found.len());
        match found.get_mut(kind) {
            Some((_, count)) => *count += 1,
            None => found.push((number, 1)),
        }
    }
    found
}

/// One launch of a tape on storage of its own.
///
/// What it reads lies there several times, and each run takes the next copy, so that a cache cannot keep it from run to run.
/// What it writes lies there once: runs then wait for each other, as they do in a plan.
pub struct Trial<'a> {
    gpu: &'a Gpu,
    tape: &'a Tape,
    number: usize,
    block: wgpu::Buffer,
    /// By root, for each copy of what is read.
    copies: Vec<HashMap<usize, wgpu::Buffer>>,
    /// First contents of what is written, by root, and what the words are.
    first: HashMap<usize, (Vec<u32>, Content)>,
}

/// A kernel that is ready to run in a [`Trial`].
pub struct Prepared {
    bind_groups: Vec<wgpu::BindGroup>,
    dispatches: Vec<Dispatch>,
}

/// Copies of what is read are no more than this, however small they are.
const MOST_COPIES: u64 = 16;

impl<'a> Trial<'a> {
    /// Storage for launch `number` of the tape. `fill` makes the words of an operand's storage, from its number (in binding
    /// order) and the shape of what it is or is a slice of. What is read is copied until there are `rotate` bytes.
    ///
    /// # Errors
    /// If there is no such launch, or its storage does not fit into memory.
    pub fn new(
        gpu: &'a Gpu,
        tape: &'a Tape,
        number: usize,
        rotate: u64,
        fill: &dyn Fn(usize, Tensor) -> Vec<u32>,
    ) -> Result<Self> {
        let launch = tape.launches.get(number).ok_or_else(|| Error::run(format!("the tape has no launch {number}")))?;
        let block = uniform_blocks(gpu, "uniform block", tape, std::slice::from_ref(launch))?;
        let (mut once, mut first, mut read) = (HashMap::new(), HashMap::new(), vec![]);
        for (operand, &(tensor, access)) in launch.operands.iter().enumerate() {
            let root = tape.root(tensor);
            if once.contains_key(&root) {
                continue;
            }
            let whole = tape.whole(root);
            let words = fill(operand, whole);
            let words = if tape.is_half(whole) { halves(&words) } else { words };
            let buffer = gpu.buffer("trial", tape.values[root].bytes())?;
            gpu.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(&words));
            once.insert(root, buffer);
            match access {
                Access::Read => read.push(root),
                // What only some kernels write tells nothing about the others.
                Access::Write if operand >= launch.common_operands() => {}
                Access::Write => {
                    let content = match (launch.indices.contains(&operand), tape.is_half(whole)) {
                        (true, _) => Content::Indices,
                        (false, true) => Content::F16,
                        (false, false) => Content::F32,
                    };
                    first.insert(root, (words, content));
                }
            }
        }
        let bytes: u64 = read.iter().map(|root| once[root].size()).sum();
        let copies = if read.is_empty() { 1 } else { rotate.div_ceil(bytes.max(1)).clamp(1, MOST_COPIES) };
        let mut sets = vec![once];
        for _ in 1..copies {
            let mut set = sets[0].clone();
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for root in &read {
                let from = &sets[0][root];
                let buffer = gpu.buffer("trial", from.size())?;
                encoder.copy_buffer_to_buffer(from, 0, &buffer, 0, from.size());
                set.insert(*root, buffer);
            }
            gpu.submit(encoder.finish());
            sets.push(set);
        }
        gpu.wait()?;
        Ok(Self { gpu, tape, number, block, copies: sets, first })
    }

    /// Compiles a kernel and binds it to the storage.
    ///
    /// # Errors
    /// If the kernel does not compile.
    pub fn prepare(&self, kernel: &Kernel) -> Result<Prepared> {
        let launch = &self.tape.launches[self.number];
        let parts = pace::in_parts(self.gpu, self.tape, launch, kernel);
        let dispatches = parts.iter().map(|part| Dispatch::new(self.gpu, self.tape, launch, part));
        let dispatches = dispatches.collect::<Result<Vec<_>>>()?;
        let bind = |set: &HashMap<usize, wgpu::Buffer>| {
            let operands = launch.operands_of(kernel).iter();
            let buffers = operands.map(|&(tensor, _)| &set[&self.tape.root(tensor)]);
            let resources = std::iter::once(&self.block).chain(buffers).map(wgpu::Buffer::as_entire_binding);
            self.gpu.bind(&launch.label(), &dispatches[0].pipeline, resources)
        };
        let bind_groups = self.copies.iter().map(bind).collect::<Result<_>>()?;
        Ok(Prepared { bind_groups, dispatches })
    }

    /// Runs a prepared kernel `runs` times (1 to [`Stopwatch::PASSES`]), each on the next copy of its inputs.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn time(&self, stopwatch: &Stopwatch, kernel: &Prepared, runs: usize) -> Result<Timing> {
        let launch = &self.tape.launches[self.number];
        let bind_group = |run: usize| &kernel.bind_groups[run % kernel.bind_groups.len()];
        if pace::cost(launch.flops, self.tape.bytes_moved(launch)) * runs as f64 <= pace::DISPATCH {
            return stopwatch.time(self.gpu, runs, |run, pass| {
                kernel.dispatches.iter().for_each(|dispatch| dispatch.encode(bind_group(run), pass));
            });
        }
        // Together they would take longer than a driver may wait.
        let run = |run: usize| {
            let mut whole: Option<Timing> = None;
            for dispatch in &kernel.dispatches {
                let part = stopwatch.time(self.gpu, 1, |_, pass| dispatch.encode(bind_group(run), pass))?;
                whole = Some(match whole {
                    Some(before) => before.then(&part),
                    None => part,
                });
            }
            whole.ok_or_else(|| Error::run("a kernel without a dispatch"))
        };
        let all = (0..runs.max(1)).map(run).collect::<Result<Vec<_>>>()?;
        Ok(Timing::of_runs(&all))
    }

    /// Puts back what was there before the first run, runs the kernel once, and reads what it wrote: for each storage that
    /// the launch writes, the words before and after.
    ///
    /// # Errors
    /// If the device was lost.
    pub fn outputs(&self, stopwatch: &Stopwatch, kernel: &Prepared) -> Result<Vec<Output<'_>>> {
        for (root, (words, _)) in &self.first {
            self.gpu.queue.write_buffer(&self.copies[0][root], 0, bytemuck::cast_slice(words));
        }
        self.time(stopwatch, kernel, 1)?;
        let mut roots: Vec<_> = self.first.keys().collect();
        roots.sort_unstable();
        let read = |root: &usize| {
            let (before, content) = &self.first[root];
            let after = self.gpu.read_buffer(&self.copies[0][root], 0, 4 * before.len() as u64)?;
            Ok(Output { before, after, content: *content })
        };
        roots.into_iter().map(read).collect()
    }
}

/// Numbers in 32 bits as numbers in 16, two to a word.
fn halves(words: &[u32]) -> Vec<u32> {
    let half = |&word: &u32| u32::from(half::f16::from_f32(f32::from_bits(word)).to_bits());
    words.chunks(2).map(|pair| half(&pair[0]) | pair.get(1).map_or(0, half) << 16).collect()
}

/// What a launch did to one of its storages, as raw words.
pub struct Output<'a> {
    pub before: &'a [u32],
    pub after: Vec<u32>,
    pub content: Content,
}

/// What the words of a storage are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A number each.
    F32,
    /// Two numbers each, in half precision.
    F16,
    /// Indices, in whatever packing: right or wrong, never nearly right.
    Indices,
}

impl Output<'_> {
    /// The numbers before and after, pairwise; none if it holds indices.
    pub fn numbers(&self) -> impl Iterator<Item = [f64; 2]> {
        let parts: &[u32] = match self.content {
            Content::F32 => &[0],
            Content::F16 => &[0, 16],
            Content::Indices => &[],
        };
        let half = self.content == Content::F16;
        let number = move |word: u32, shift: u32| match half {
            true => half::f16::from_bits((word >> shift) as u16).to_f64(),
            false => f64::from(f32::from_bits(word)),
        };
        let words = self.before.iter().zip(&self.after);
        words.flat_map(move |(&before, &after)| {
            parts.iter().map(move |&part| [number(before, part), number(after, part)])
        })
    }

    /// The words after, if they are indices; else none.
    pub fn indices(&self) -> &[u32] {
        if self.content == Content::Indices { &self.after } else { &[] }
    }
}
