//! The tape records a network as a flat list of kernel launches; the reverse pass appends the gradient's launches.
//!
//! An op is a function that takes the tape and tensors, checks shapes, records its forward launch and leaves a closure
//! that records its backward launches (`ops/`, one file per op). Nothing runs here and nothing is allocated: where a
//! value lives may still change, because [`concat`](crate::ops::concat) turns its parts into channel slices after they
//! were recorded. [`crate::plan`] makes buffers and bind groups of the finished list.

mod fuse;
mod gradients;
mod hold;
mod launch;
mod layers;
mod meeting;
mod primitives;
mod recompute;
mod statistics;
#[cfg(test)]
mod tests;
mod widths;

use std::collections::HashMap;
use std::ops::Range;

pub(crate) use fuse::{Follow, STATISTICS};
pub use gradients::GradDestination;
pub(crate) use launch::Word;
pub use launch::{Access, Launch};
pub use layers::Layer;
pub use meeting::Meeting;
pub(crate) use statistics::{SharedStatistics, Statistics};

use crate::gpu::{Binding, Kernel};
use crate::params::{Arena, ParameterSpec, Spec, StateSpec};
use crate::tensor::{Shape, Tensor};
use crate::{Error, Result};

/// Where a value's numbers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Home {
    /// Storage of its own, reused as soon as nobody needs the value.
    Own,
    /// Storage of its own that the host writes before a run.
    Input,
    /// Storage of its own that the host can read after a run.
    Result,
    /// A part of a long-lived buffer, from this word on.
    Arena(Arena, usize),
    /// Channels from `channel` on of another value.
    Slice { of: usize, channel: usize },
    /// The same words as another value, with another shape.
    Alias { of: usize },
}

impl Home {
    /// The value that a slice or an alias is a part of.
    pub fn part_of(self) -> Option<usize> {
        match self {
            Self::Slice { of, .. } | Self::Alias { of } => Some(of),
            _ => None,
        }
    }
}

pub(crate) struct Value {
    pub shape: Shape,
    pub home: Home,
    requires_grad: bool,
    /// An alias counts on this value's words being dense, so it can't become a slice.
    dense: bool,
    /// Numbers of two bytes instead of four. Counts for a root; a slice or an alias is what its root is.
    pub half: bool,
    /// First contents of an input.
    pub initial: Option<Vec<u32>>,
}

impl Value {
    /// Bytes of storage, in whole words.
    pub fn bytes(&self) -> u64 {
        let len = self.shape.len() as u64;
        if self.half { (2 * len).next_multiple_of(4) } else { 4 * len }
    }
}

/// A value's storage: the value that owns the buffer, the first word, and the words from pixel to pixel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub root: usize,
    pub offset: usize,
    pub stride: usize,
}

/// Most storage bindings of a launch: what every adapter has.
const MOST_OPERANDS: usize = 8;

type Backward = Box<dyn FnOnce(&mut Tape) -> Result<()>>;

/// A recording. See the module's text.
#[derive(Default)]
pub struct Tape {
    pub(crate) values: Vec<Value>,
    pub(crate) launches: Vec<Launch>,
    backward: Vec<Backward>,
    /// Gradient value of a value.
    gradients: HashMap<usize, usize>,
    /// Channels of a root's gradient that hold numbers already, as disjoint intervals.
    written: HashMap<usize, Vec<(usize, usize)>>,
    spec: Spec,
    frozen: bool,
    /// Word of the first trained parameter.
    first_trained: Option<usize>,
    /// A frozen parameter came after a trained one.
    mixed: bool,
    /// Launches of the frozen start.
    frozen_start: Option<usize>,
    /// Outputs of ops are kept in half precision.
    halves: bool,
    /// Parameters' gradients are added to what their buffer holds.
    accumulates: bool,
    /// Where phases end in the list of launches; the last one ends with the list.
    phases: Vec<usize>,
    names: Vec<(String, Tensor)>,
    /// Values that never exist because their producer goes on with them at once, and what it stores instead; see [`Tape::fuse`].
    pub(crate) absorbed: HashMap<usize, usize>,
    taps: Vec<String>,
    step: Option<Tensor>,
    streams: u32,
    /// Processes beside this one whose batches batch-norms normalise together with this one's.
    pub(crate) others: usize,
    /// Reductions are cut into as many parts as a GPU keeps busy; see [`Tape::split_for`].
    pub(crate) wide: bool,
    /// The first value of more elements than kernels can count.
    too_large: Option<Shape>,
    /// Batch statistics of values that grow, by root.
    pub(crate) shared_statistics: HashMap<usize, SharedStatistics>,
}

impl Tape {
    pub fn new() -> Self {
        Self::default()
    }

    /// Parameters recorded from here on are constants: no gradient, no gradient memory. Frozen parameters come first, so that
    /// those that are trained lie together; [`Tape::backward`] refuses another order.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Parameters recorded from here on are trained.
    pub fn thaw(&mut self) {
        self.end_frozen_start();
        self.frozen = false;
    }

    /// Whether a parameter recorded now would be a constant.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Words of the parameters that are constants. Those that are trained follow, and their gradients and moments lie that
    /// many words nearer to the start of their own buffers.
    pub fn frozen_words(&self) -> usize {
        self.first_trained.unwrap_or(self.spec.parameter_words())
    }

    /// Words of the parameters that are trained, and so of their gradients.
    pub fn trained_words(&self) -> usize {
        self.spec.parameter_words() - self.frozen_words()
    }

    /// Gradients of parameters are from now on added to what their buffer holds, which the caller clears.
    pub fn accumulate_parameter_gradients(&mut self) {
        self.accumulates = true;
    }

    /// Ends a phase: the host can run phases apart, and one of them several times, with
    /// [`Plan::submit_phases`](crate::plan::Plan::submit_phases). Only inputs, kept results and long-lived buffers carry numbers
    /// from one run of a phase to the next.
    pub fn end_phase(&mut self) {
        self.phases.push(self.launches.len());
    }

    /// The launches of each phase, as ranges of [`Tape::launches`]. There is at least one.
    pub fn phases(&self) -> Vec<Range<usize>> {
        let ends = || self.phases.iter().copied().chain([self.launches.len()]);
        std::iter::once(0).chain(ends()).zip(ends()).map(|(start, end)| start..end).collect()
    }

    /// Outputs of ops recorded from here on, and their gradients, are kept in half precision (`f16`), or no more. Whatever else there
    /// is stays in full: parameters, their gradients, statistics, what sums are made of. Kernels compute in `f32` either way.
    pub fn keep_halves(&mut self, halves: bool) {
        self.halves = halves;
    }

    /// Keeps a value in full precision after all, and its gradient, which must not have been recorded yet.
    pub fn keep_full(&mut self, tensor: Tensor) {
        let root = self.root(tensor);
        self.values[root].half = false;
    }

    /// Whether a value is kept in half precision.
    pub fn is_half(&self, tensor: Tensor) -> bool {
        self.values[self.root(tensor)].half
    }

    /// Bytes of a value's numbers.
    pub fn bytes(&self, tensor: Tensor) -> u64 {
        (if self.is_half(tensor) { 2 } else { 4 }) * tensor.shape.len() as u64
    }

    /// Whether a value is a channel slice: its storage has other channels beside its own.
    pub fn is_slice(&self, tensor: Tensor) -> bool {
        let view = self.view(tensor);
        view.offset != 0 || view.stride != tensor.shape.c
    }

    /// Bytes of all operands of a launch, each counted once.
    pub fn bytes_moved(&self, launch: &Launch) -> u64 {
        let new = |i: &usize| launch.operands[..*i].iter().all(|(tensor, _)| *tensor != launch.operands[*i].0);
        let operands = (0..launch.operands.len()).filter(new).map(|i| launch.operands[i].0);
        operands.map(|tensor| self.bytes(tensor)).sum()
    }

    /// What a kernel of a launch finds at its storage bindings.
    pub(crate) fn bindings(&self, launch: &Launch, kernel: &Kernel) -> Vec<Binding> {
        let binding = |&(tensor, access)| Binding { write: access == Access::Write, half: self.is_half(tensor) };
        launch.operands_of(kernel).iter().map(binding).collect()
    }

    fn value(&mut self, shape: Shape, home: Home, requires_grad: bool) -> Tensor {
        if !countable(shape) {
            self.too_large.get_or_insert(shape);
        }
        self.values.push(Value { shape, home, requires_grad, dense: false, half: false, initial: None });
        Tensor { id: self.values.len() - 1, shape }
    }

    /// Ops record values of any shape, so that it can be told what they would need; here it shows whether kernels can work on all of
    /// them, which count elements in 32 bits.
    ///
    /// # Errors
    /// [`Error::Run`] with the shape of the first value that has more elements.
    pub(crate) fn check_sizes(&self) -> Result<()> {
        let Some(shape) = self.too_large else { return Ok(()) };
        Err(Error::run(format!("a tensor of {shape} has more than {} elements", u32::MAX)))
    }

    /// A value that the host writes with [`Plan::write`](crate::plan::Plan::write); zero until then.
    pub fn input(&mut self, shape: Shape) -> Tensor {
        self.value(shape, Home::Input, false)
    }

    /// An input with first contents.
    pub fn constant(&mut self, shape: Shape, words: Vec<u32>) -> Tensor {
        let tensor = self.input(shape);
        self.values[tensor.id].initial = Some(words);
        tensor
    }

    /// The output of an op: needs a gradient if one of `inputs` does.
    pub fn output(&mut self, shape: Shape, inputs: &[Tensor]) -> Tensor {
        let requires_grad = inputs.iter().any(|&x| self.requires_grad(x));
        let output = self.value(shape, Home::Own, requires_grad);
        self.values[output.id].half = self.halves;
        output
    }

    /// Working memory of the shape and the precision of another value.
    pub fn scratch_like(&mut self, other: Tensor) -> Tensor {
        let half = self.is_half(other);
        let scratch = self.scratch(other.shape);
        self.values[scratch.id].half = half;
        scratch
    }

    /// Working memory of an op.
    pub fn scratch(&mut self, shape: Shape) -> Tensor {
        self.value(shape, Home::Own, false)
    }

    /// Channels `channel..channel + c` of a value.
    pub fn slice(&mut self, of: Tensor, channel: usize, c: usize) -> Tensor {
        debug_assert!(channel + c <= of.shape.c);
        let requires_grad = self.requires_grad(of);
        self.value(of.shape.with_c(c), Home::Slice { of: of.id, channel }, requires_grad)
    }

    /// The same words under another shape; `None` if the value is a slice, whose words are not dense.
    pub fn alias(&mut self, of: Tensor, shape: Shape) -> Option<Tensor> {
        if shape.len() != of.shape.len() || self.is_slice(of) {
            return None;
        }
        self.values[of.id].dense = true;
        let requires_grad = self.requires_grad(of);
        Some(self.value(shape, Home::Alias { of: of.id }, requires_grad))
    }

    /// A learned tensor. All parameters lie in one buffer.
    pub fn parameter(&mut self, spec: ParameterSpec) -> Tensor {
        let (shape, trained) = (spec.shape, !self.frozen);
        let offset = self.spec.add_parameter(spec);
        if trained {
            self.first_trained.get_or_insert(offset);
        } else {
            self.mixed |= self.first_trained.is_some();
        }
        self.value(shape, Home::Arena(Arena::Parameters, offset), trained)
    }

    /// A vector that training updates without gradients, such as running statistics.
    pub fn state(&mut self, spec: StateSpec) -> Tensor {
        let shape = Shape::vector(spec.len);
        let offset = self.spec.add_state(spec);
        self.value(shape, Home::Arena(Arena::State, offset), false)
    }

    /// Words `offset..offset + len` of a long-lived buffer.
    pub fn arena(&mut self, arena: Arena, offset: usize, len: usize) -> Tensor {
        self.value(Shape::vector(len), Home::Arena(arena, offset), false)
    }

    /// Names, shapes and places of all parameters and running statistics.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The numbers that change from step to step (see [`crate::params::StepWords`]); made on first use.
    pub fn step(&mut self) -> Tensor {
        if let Some(step) = self.step {
            return step;
        }
        let step = self.input(Shape::vector(crate::params::STEP_WORDS));
        self.step = Some(step);
        step
    }

    /// The step input, if an op asked for it.
    pub fn step_input(&self) -> Option<Tensor> {
        self.step
    }

    /// A number of its own for each op that draws random numbers.
    pub fn random_stream(&mut self) -> usize {
        self.streams += 1;
        self.streams as usize
    }

    /// Wants the gradient of the value that will get this name, even if nothing before it is learned.
    pub fn tap(&mut self, name: &str) {
        self.taps.push(name.to_owned());
    }

    /// Gives a value a name, for taps.
    pub fn name(&mut self, name: &str, tensor: Tensor) {
        if self.taps.iter().any(|tap| tap == name) {
            self.require_grad(tensor);
        }
        self.names.push((name.to_owned(), tensor));
    }

    /// The value of that name.
    pub fn named(&self, name: &str) -> Option<Tensor> {
        self.names.iter().find(|(known, _)| known == name).map(|&(_, tensor)| tensor)
    }

    /// All named values in the order of their recording.
    pub fn names(&self) -> &[(String, Tensor)] {
        &self.names
    }

    /// Makes the reverse pass compute this value's gradient even if nothing before it is learned.
    pub fn require_grad(&mut self, tensor: Tensor) {
        self.values[tensor.id].requires_grad = true;
    }

    pub fn requires_grad(&self, tensor: Tensor) -> bool {
        self.values[tensor.id].requires_grad
    }

    /// Keeps a value readable after each run.
    pub fn keep(&mut self, tensor: Tensor) {
        let root = self.root(tensor);
        if self.values[root].home == Home::Own {
            self.values[root].home = Home::Result;
        }
    }

    pub fn launch(&mut self, mut launch: Launch) {
        // Kernels that move four channels at a time do not exist for a launch whose channels do not come in fours: their constants
        // would say that there are none.
        let in_fours = launch.operands.iter().all(|(tensor, _)| tensor.shape.c.is_multiple_of(4));
        launch.kernels.retain(|kernel| in_fours || !kernel.needs.aligned);
        debug_assert!(!launch.kernels.is_empty() && launch.operands.len() <= MOST_OPERANDS, "{}", launch.label());
        self.launches.push(launch);
    }

    /// The launches so far, in order.
    pub fn launches(&self) -> &[Launch] {
        &self.launches
    }

    /// All values that exist and are no part of another.
    pub fn roots(&self) -> impl Iterator<Item = Tensor> {
        let is_root = |id: &usize| self.values[*id].home.part_of().is_none() && !self.absorbed.contains_key(id);
        (0..self.values.len()).filter(is_root).map(|id| self.whole(id))
    }

    /// Leaves the backward half of an op; dropped if none of its inputs needs a gradient.
    pub fn on_backward(&mut self, inputs: &[Tensor], record: impl FnOnce(&mut Tape) -> Result<()> + 'static) {
        if inputs.iter().any(|&x| self.requires_grad(x)) {
            self.backward.push(Box::new(record));
        }
    }

    /// Appends the gradients of everything `outputs` depends on. Each output comes with the gradient that flows into it
    /// (ones for a loss, a one-hot row for one class's logit), as an input or constant of the same shape.
    ///
    /// # Errors
    /// If an op cannot record its backward pass, or a frozen parameter follows a trained one.
    pub fn backward(&mut self, outputs: &[(Tensor, Tensor)]) -> Result<()> {
        if self.mixed {
            return Err(Error::run("a parameter was frozen after one that is trained"));
        }
        for &(output, seed) in outputs {
            if output.shape != seed.shape {
                return Err(Error::run(format!("a gradient of shape {} for a value of {}", seed.shape, output.shape)));
            }
            if self.requires_grad(output) {
                let to = self.grad_destination(output)?;
                self.copy_into(seed, to);
            }
        }
        for record in std::mem::take(&mut self.backward).into_iter().rev() {
            record(self)?;
        }
        Ok(())
    }

    /// Where a value's numbers are.
    pub fn home(&self, tensor: Tensor) -> Home {
        self.values[tensor.id].home
    }

    pub(crate) fn view(&self, tensor: Tensor) -> View {
        let value = &self.values[tensor.id];
        match value.home {
            Home::Slice { of, channel } => {
                let view = self.view(self.whole(of));
                View { offset: view.offset + channel, ..view }
            }
            Home::Alias { of } => View { stride: value.shape.c, ..self.view(self.whole(of)) },
            _ => View { root: tensor.id, offset: 0, stride: value.shape.c },
        }
    }

    /// The value that owns a value's storage.
    pub fn root(&self, tensor: Tensor) -> usize {
        self.view(tensor).root
    }

    /// The value of this number, all of it.
    pub fn whole(&self, id: usize) -> Tensor {
        Tensor { id, shape: self.values[id].shape }
    }

    /// Whether two values lie in one buffer.
    pub(crate) fn share_storage(&self, a: Tensor, b: Tensor) -> bool {
        self.root(a) == self.root(b)
    }

    /// Makes `part` a slice of `whole`, if nothing forbids it: storage of its own that nobody relies on being dense, and
    /// no launch that would then read and write one buffer (wgpu tracks buffers as a whole).
    pub(crate) fn alias_into(&mut self, part: Tensor, whole: Tensor, channel: usize) -> bool {
        let value = &self.values[part.id];
        if value.home != Home::Own || value.dense {
            return false;
        }
        let merged = [part.id, whole.id];
        let conflict = self.launches.iter().any(|launch| {
            let touches = |access| launch.touched(access).any(|t| merged.contains(&self.root(t)));
            touches(Access::Read) && touches(Access::Write)
        });
        if !conflict {
            self.values[part.id].home = Home::Slice { of: whole.id, channel };
        }
        !conflict
    }
}

/// Whether kernels can count the elements of a shape.
fn countable(shape: Shape) -> bool {
    let len = [shape.h, shape.w, shape.c].into_iter().try_fold(shape.n, usize::checked_mul);
    len.is_some_and(|len| u32::try_from(len).is_ok())
}
