//! Parameters live together: one buffer for all of them, one for their gradients, one for each of Adam's moments, and one
//! for running statistics. Adam is then one launch, the gradient's norm one reduction, saving them one read-back.

use std::ops::Range;

use crate::gpu::{Download, Gpu};
use crate::tensor::Shape;
use crate::{Error, Result};

/// Parameters start at multiples of this many words, so that each can be bound by itself (256 bytes).
const ALIGN: usize = 64;

/// Long-lived buffers that all plans of a network share. Offsets are words of four bytes. Gradients and moments exist for the
/// trained parameters only, which come after the frozen ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Arena {
    Parameters,
    Gradients,
    /// Adam's mean of gradients.
    Moment1,
    /// Adam's mean of squared gradients.
    Moment2,
    /// Running statistics.
    State,
}

/// How a parameter starts out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// The same everywhere.
    Constant(f32),
    /// Uniform in ±`bound`.
    Uniform { bound: f32 },
    /// Normal with mean 0.
    Normal { std: f32 },
}

/// How a parameter is laid out on disk, where names and layouts are PyTorch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// A vector: the same on both sides.
    Vector,
    /// In memory `kh x kw x cin x cout` (`n, h, w, c` of the shape); on disk OIHW with `cin` input channels, which can be
    /// fewer than in memory (the first layer reads RGB padded to 4: the rest is and stays zero).
    Conv { cin: usize },
    /// In memory `in x out` (`w, c`); on disk `out x in`.
    Dense,
    /// Dense after a flatten: the inputs come as `h x w x c` in memory and as `c x h x w` on disk.
    DenseFlat { h: usize, w: usize, c: usize },
}

/// A learned tensor, before it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct ParameterSpec {
    pub name: String,
    pub shape: Shape,
    pub layout: Layout,
    pub init: Init,
}

/// A vector of running statistics, before it exists.
#[derive(Clone, Debug, PartialEq)]
pub struct StateSpec {
    pub name: String,
    pub len: usize,
    pub init: f32,
}

/// All parameters and running statistics of a network, with their places (words) in the long-lived buffers.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec {
    pub parameters: Vec<(usize, ParameterSpec)>,
    pub states: Vec<(usize, StateSpec)>,
    parameter_words: usize,
    state_words: usize,
}

impl Spec {
    pub(crate) fn add_parameter(&mut self, spec: ParameterSpec) -> usize {
        let offset = self.parameter_words;
        self.parameter_words = (offset + spec.shape.len()).next_multiple_of(ALIGN);
        self.parameters.push((offset, spec));
        offset
    }

    pub(crate) fn add_state(&mut self, spec: StateSpec) -> usize {
        let offset = self.state_words;
        self.state_words = (offset + spec.len).next_multiple_of(ALIGN);
        self.states.push((offset, spec));
        offset
    }

    /// Words in the buffer of all parameters, gaps included.
    pub fn parameter_words(&self) -> usize {
        self.parameter_words
    }

    pub fn state_words(&self) -> usize {
        self.state_words
    }

    /// Whether the parameters and statistics of `other` are the first ones here. What only training has, such as an auxiliary
    /// head, comes after what inference needs.
    pub fn begins_with(&self, other: &Self) -> bool {
        self.parameters.starts_with(&other.parameters) && self.states.starts_with(&other.states)
    }

    /// Learned numbers, as PyTorch would count them.
    pub fn parameter_count(&self) -> usize {
        self.count_from(0)
    }

    /// Learned numbers in the parameters from this word on.
    pub fn count_from(&self, word: usize) -> usize {
        let parameters = self.parameters.iter().filter(|(offset, _)| *offset >= word);
        parameters.map(|(_, p)| p.disk_len()).sum()
    }

    /// Bytes of all long-lived buffers, with gradients and moments of `trained` words of the parameters.
    pub fn bytes(&self, trained: usize) -> u64 {
        4 * (self.parameter_words + 3 * trained + self.state_words) as u64
    }

    /// First values of all parameters, drawn from `seed`, and of the running statistics, as laid out in the buffers.
    pub fn initial(&self, seed: u64) -> (Vec<f32>, Vec<f32>) {
        use rand::{RngExt, SeedableRng};
        let mut parameters = vec![0.0; self.parameter_words];
        for (index, (offset, spec)) in self.parameters.iter().enumerate() {
            // A stream of its own for each: a layer more or less leaves the others' values alone.
            let mut random = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
            random.set_stream(index as u64);
            let disk: Vec<f32> = (0..spec.disk_len())
                .map(|_| match spec.init {
                    Init::Constant(value) => value,
                    Init::Uniform { bound } => bound * (2.0 * random.random::<f32>() - 1.0),
                    Init::Normal { std } => std * normal(random.random(), random.random()),
                })
                .collect();
            let memory = spec.from_disk(&disk);
            parameters[*offset..offset + memory.len()].copy_from_slice(&memory);
        }
        let mut states = vec![0.0; self.state_words];
        for (offset, spec) in &self.states {
            states[*offset..offset + spec.len].fill(spec.init);
        }
        (parameters, states)
    }
}

/// Box and Muller's transform of two uniform numbers in [0, 1).
fn normal(u: f32, v: f32) -> f32 {
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

impl ParameterSpec {
    /// The shape in PyTorch's file.
    pub fn disk_shape(&self) -> Vec<usize> {
        let Shape { n, h, w, c } = self.shape;
        match self.layout {
            Layout::Vector => vec![self.shape.len()],
            Layout::Conv { cin } => vec![c, cin, n, h],
            Layout::Dense | Layout::DenseFlat { .. } => vec![c, w],
        }
    }

    fn disk_len(&self) -> usize {
        self.disk_shape().iter().product()
    }

    /// For each number on disk its place in memory.
    fn places(&self) -> Vec<usize> {
        let Shape { n: kh, h: kw, w: rows, c: cout } = self.shape;
        // Pixels that an output sees, and the channels of each in memory and on disk.
        let (pixels, in_memory, on_disk) = match self.layout {
            Layout::Vector => return (0..self.shape.len()).collect(),
            Layout::Conv { cin } => (kh * kw, rows, cin),
            Layout::Dense => (1, rows, rows),
            Layout::DenseFlat { h, w, c } => (h * w, c, c),
        };
        let mut places = Vec::with_capacity(self.disk_len());
        for o in 0..cout {
            for channel in 0..on_disk {
                places.extend((0..pixels).map(|pixel| (pixel * in_memory + channel) * cout + o));
            }
        }
        places
    }

    /// From PyTorch's layout to the one in memory.
    pub fn from_disk(&self, disk: &[f32]) -> Vec<f32> {
        let mut memory = vec![0.0; self.shape.len()];
        for (place, &value) in self.places().into_iter().zip(disk) {
            memory[place] = value;
        }
        memory
    }

    /// From the layout in memory to PyTorch's.
    pub fn to_disk(&self, memory: &[f32]) -> Vec<f32> {
        self.places().into_iter().map(|place| memory[place]).collect()
    }
}

/// Words of the step input.
pub const STEP_WORDS: usize = 8;

/// The numbers that change from step to step, as kernels read them (`struct Step` in the kernels that use it).
#[derive(Clone, Copy, Debug, Default, PartialEq, bytemuck::Pod, bytemuck::Zeroable)]
#[repr(C)]
pub struct StepWords {
    /// Counts from 0; with the seed and an op's stream it decides every random number.
    pub step: u32,
    pub seed: u32,
    pub learning_rate: f32,
    pub weight_decay: f32,
    /// `1 - beta1^t` with `t = step + 1`, computed in f64.
    pub bias_correction1: f32,
    /// `1 - beta2^t`.
    pub bias_correction2: f32,
    /// What gradients are multiplied by before they are used: one over the loss's factor. Only where the loss has one.
    pub gradient_scale: f32,
    /// Pictures of a larger batch that lie before this one's: what is drawn goes by a picture's place there.
    pub first: u32,
}

/// The long-lived buffers of a network.
pub struct ParameterStore {
    pub(crate) spec: Spec,
    parameters: wgpu::Buffer,
    state: wgpu::Buffer,
    training: Option<Training>,
}

/// What training adds.
struct Training {
    /// Words of the parameters that are constants.
    frozen: usize,
    /// Gradients and both moments of those that are trained.
    buffers: [wgpu::Buffer; 3],
}

impl ParameterStore {
    /// Makes zeroed buffers; with gradients and moments of all parameters if the network is trained.
    ///
    /// # Errors
    /// Out of memory.
    pub fn new(gpu: &Gpu, spec: &Spec, training: bool) -> Result<Self> {
        Self::make(gpu, spec, training.then_some(0))
    }

    /// Makes zeroed buffers for training with the first `frozen_words` words of the parameters frozen: they have neither
    /// gradients nor moments. A tape knows both, as [`Tape::spec`](crate::tape::Tape::spec) and
    /// [`Tape::frozen_words`](crate::tape::Tape::frozen_words).
    ///
    /// # Errors
    /// Out of memory.
    pub fn for_training(gpu: &Gpu, spec: &Spec, frozen_words: usize) -> Result<Self> {
        Self::make(gpu, spec, Some(frozen_words))
    }

    /// With gradients and moments of what is behind the `frozen` words, if that is told.
    fn make(gpu: &Gpu, spec: &Spec, frozen: Option<usize>) -> Result<Self> {
        let buffer = |label: &str, words: usize| gpu.buffer(label, 4 * words as u64);
        let train = |frozen: usize| {
            let trained = |label: &str| buffer(label, spec.parameter_words - frozen);
            let buffers = [trained("gradients")?, trained("moment 1")?, trained("moment 2")?];
            Ok(Training { frozen, buffers })
        };
        Ok(Self {
            spec: spec.clone(),
            parameters: buffer("parameters", spec.parameter_words)?,
            state: buffer("running statistics", spec.state_words)?,
            training: frozen.map(train).transpose()?,
        })
    }

    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Words of the parameters that have no gradients and moments here; `None` if none has.
    pub fn frozen_words(&self) -> Option<usize> {
        self.training.as_ref().map(|training| training.frozen)
    }

    /// The word of the parameters at which a buffer of parameters, gradients or a moment begins.
    fn first_word(&self, arena: Arena) -> usize {
        if arena == Arena::Parameters { 0 } else { self.frozen_words().unwrap_or(self.spec.parameter_words) }
    }

    /// Words in a long-lived buffer, gaps included.
    pub fn words(&self, arena: Arena) -> usize {
        match arena {
            Arena::State => self.spec.state_words,
            Arena::Parameters => self.spec.parameter_words,
            _ => self.spec.parameter_words - self.first_word(arena),
        }
    }

    /// The parameters that have a place in their own long-lived buffer, or in that of gradients or of a moment, with that place.
    pub fn places(&self, arena: Arena) -> impl Iterator<Item = (usize, &ParameterSpec)> {
        let first = self.first_word(arena);
        let parameters = self.spec.parameters.iter();
        parameters.filter_map(move |(offset, spec)| Some((offset.checked_sub(first)?, spec)))
    }

    pub(crate) fn buffer(&self, arena: Arena) -> Result<&wgpu::Buffer> {
        let training = || {
            let training = self.training.as_ref().map(|training| &training.buffers);
            training.ok_or_else(|| Error::run("this network was loaded without an optimiser"))
        };
        Ok(match arena {
            Arena::Parameters => &self.parameters,
            Arena::State => &self.state,
            Arena::Gradients => &training()?[0],
            Arena::Moment1 => &training()?[1],
            Arena::Moment2 => &training()?[2],
        })
    }

    /// Writes first values, drawn from `seed`, to all parameters and running statistics.
    ///
    /// # Errors
    /// As [`ParameterStore::write`].
    pub fn initialise(&self, gpu: &Gpu, seed: u64) -> Result<()> {
        let (parameters, states) = self.spec.initial(seed);
        self.write(gpu, Arena::Parameters, &parameters)?;
        self.write(gpu, Arena::State, &states)
    }

    /// Replaces a whole long-lived buffer. `words` is laid out as [`Spec`] says; a network may have none of a kind.
    pub fn write(&self, gpu: &Gpu, arena: Arena, words: &[f32]) -> Result<()> {
        self.write_from(gpu, arena, 0, words)
    }

    /// Replaces words of a long-lived buffer, from this one on.
    pub fn write_from(&self, gpu: &Gpu, arena: Arena, first: usize, words: &[f32]) -> Result<()> {
        if !words.is_empty() {
            gpu.queue.write_buffer(self.buffer(arena)?, 4 * first as u64, bytemuck::cast_slice(words));
        }
        Ok(())
    }

    /// Begins to copy words of a long-lived buffer to the host, after all that was submitted before, and waits for nothing.
    ///
    /// # Errors
    /// Out of memory, or a device that is lost.
    pub fn download(&self, gpu: &Gpu, arena: Arena, words: Range<usize>) -> Result<Download> {
        gpu.download(self.buffer(arena)?, 4 * words.start as u64, 4 * words.len() as u64)
    }

    /// Waits for words that are copied to the host, which take the place of others: fresh memory of megabytes costs as much as the copy.
    /// What was submitted later may still run.
    ///
    /// # Errors
    /// If the device fails.
    pub fn downloaded(&self, gpu: &Gpu, download: Download, words: Vec<f32>) -> Result<Vec<f32>> {
        gpu.downloaded(download, words)
    }

    /// Reads a whole long-lived buffer back.
    pub fn read(&self, gpu: &Gpu, arena: Arena) -> Result<Vec<f32>> {
        match self.words(arena) {
            0 => Ok(vec![]),
            words => self.downloaded(gpu, self.download(gpu, arena, 0..words)?, vec![]),
        }
    }
}

/// Parameters and gradients can outgrow one binding; optimiser launches then come in pieces of at most this many words
/// (128 MiB, which every adapter binds).
pub const ARENA_PIECE: usize = 32 << 20;

/// The pieces of a long-lived buffer: first word and length.
pub fn arena_pieces(words: usize) -> impl Iterator<Item = (usize, usize)> {
    (0..words).step_by(ARENA_PIECE).map(move |start| (start, ARENA_PIECE.min(words - start)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(shape: Shape, layout: Layout) -> ParameterSpec {
        ParameterSpec { name: "w".into(), shape, layout, init: Init::Constant(0.0) }
    }

    #[test]
    fn layouts_go_to_disk_and_back() {
        for spec in [
            spec(Shape::vector(5), Layout::Vector),
            spec(Shape::new(3, 2, 4, 6), Layout::Conv { cin: 4 }),
            spec(Shape::new(1, 1, 12, 5), Layout::Dense),
            spec(Shape::new(1, 1, 12, 5), Layout::DenseFlat { h: 2, w: 3, c: 2 }),
        ] {
            let memory: Vec<f32> = (0..spec.shape.len()).map(|i| i as f32).collect();
            assert_eq!(spec.from_disk(&spec.to_disk(&memory)), memory, "{spec:?}");
        }
    }

    #[test]
    fn padded_input_channels_stay_off_the_disk() {
        let spec = spec(Shape::new(1, 1, 4, 2), Layout::Conv { cin: 3 });
        assert_eq!(spec.disk_shape(), [2, 3, 1, 1]);
        // Disk is [out][in]; memory [in][out] with a zero fourth input.
        assert_eq!(spec.from_disk(&[1., 2., 3., 4., 5., 6.]), [1., 4., 2., 5., 3., 6., 0., 0.]);
    }

    #[test]
    fn a_flattened_dense_layer_reads_channels_first_on_disk() {
        // One output, 1x2 pixels of 2 channels: disk order c0p0 c0p1 c1p0 c1p1, memory order p0c0 p0c1 p1c0 p1c1.
        let spec = spec(Shape::new(1, 1, 4, 1), Layout::DenseFlat { h: 1, w: 2, c: 2 });
        assert_eq!(spec.from_disk(&[1., 2., 3., 4.]), [1., 3., 2., 4.]);
    }

    #[test]
    fn first_values_depend_on_the_seed_and_nothing_else() {
        let mut all = Spec::default();
        let init = Init::Normal { std: 0.5 };
        all.add_parameter(ParameterSpec { init, ..spec(Shape::vector(1000), Layout::Vector) });
        let (a, _) = all.initial(1);
        assert_eq!(a, all.initial(1).0);
        assert_ne!(a, all.initial(2).0);
        let mean = a[..1000].iter().sum::<f32>() / 1000.0;
        let variance = a[..1000].iter().map(|v| (v - mean).powi(2)).sum::<f32>() / 1000.0;
        assert!(mean.abs() < 0.05 && (variance - 0.25).abs() < 0.04, "{mean} {variance}");
    }
}
