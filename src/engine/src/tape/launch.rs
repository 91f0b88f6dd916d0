//! One kernel launch, as the tape records it.

use super::fuse::{Epilogue, Follow};
use super::meeting::Meeting;
use crate::gpu::Kernel;
use crate::tensor::Tensor;

/// How a kernel touches a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    Read,
    Write,
}

/// One number of a launch's uniform block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Word {
    U32(u32),
    F32(f32),
    /// First word of a tensor in its buffer; known when the plan is made.
    Offset(Tensor),
    /// Words from pixel to pixel.
    Stride(Tensor),
}

/// One kernel launch: operands in binding order (from binding 1 on), the uniform block (binding 0), and the kernels that
/// can do it, preferred ones first.
#[derive(Clone, Debug, Default)]
pub struct Launch {
    pub op: &'static str,
    /// "forward", "grad_input", "grad_weight", ...
    pub pass: &'static str,
    pub(crate) operands: Vec<(Tensor, Access)>,
    pub(crate) words: Vec<Word>,
    pub kernels: Vec<Kernel>,
    /// Floating-point operations, counting a multiply-add as two.
    pub flops: u64,
    /// Cheaper to run again than to keep what it wrote.
    pub(crate) cheap: bool,
    pub(crate) epilogue: Epilogue,
    /// What it does, if the launch before could do that as its epilogue.
    pub(crate) follow: Option<Follow>,
    /// Its result is the gradient of a map by its pooled maxima: that map, and the maxima.
    pub(crate) maxima: Option<[Tensor; 2]>,
    /// Its last two operands are statistics of its result, which only some of its kernels keep.
    pub(crate) statistics: bool,
    /// It makes statistics that the kernel of a launch before may have kept; then it is left out.
    pub(crate) elidable: bool,
    /// Which of its operands hold indices.
    pub(crate) indices: Vec<usize>,
    /// What it wrote is then combined with that of other processes.
    pub(crate) meeting: Option<Meeting>,
}

impl Launch {
    pub fn new(op: &'static str, pass: &'static str) -> Self {
        Self { op, pass, ..Self::default() }
    }

    /// The next binding: read only.
    #[must_use]
    pub fn read(mut self, tensor: Tensor) -> Self {
        self.operands.push((tensor, Access::Read));
        self
    }

    /// The next binding: read only, and its words are indices, such as labels. Where a kernel is tried on random numbers, they are 0.
    #[must_use]
    pub fn read_indices(mut self, tensor: Tensor) -> Self {
        self.indices.push(self.operands.len());
        self.read(tensor)
    }

    /// The next binding: written, and its words are indices, such as the argmax of a pooling. Where kernels are compared, they must
    /// be the same.
    #[must_use]
    pub fn write_indices(mut self, tensor: Tensor) -> Self {
        self.indices.push(self.operands.len());
        self.write(tensor)
    }

    /// The next binding: written, and readable by the kernel.
    #[must_use]
    pub fn write(mut self, tensor: Tensor) -> Self {
        self.operands.push((tensor, Access::Write));
        self
    }

    /// The next number of the uniform block.
    #[must_use]
    pub fn u32(mut self, value: usize) -> Self {
        self.words.push(Word::U32(value as u32));
        self
    }

    #[must_use]
    pub fn f32(mut self, value: f32) -> Self {
        self.words.push(Word::F32(value));
        self
    }

    /// The next two numbers of the uniform block: the tensor's first word and its pixel stride.
    #[must_use]
    pub fn view(mut self, tensor: Tensor) -> Self {
        self.words.extend([Word::Offset(tensor), Word::Stride(tensor)]);
        self
    }

    /// A way to run it. Add the preferred ones first; the last must run everywhere.
    #[must_use]
    pub fn kernel(mut self, kernel: Kernel) -> Self {
        self.kernels.push(kernel);
        self
    }

    /// Ways to run it, in the order of [`Launch::kernel`].
    #[must_use]
    pub fn candidates(mut self, kernels: Vec<Kernel>) -> Self {
        self.kernels.extend(kernels);
        self
    }

    #[must_use]
    pub fn flops(mut self, flops: usize) -> Self {
        self.flops = flops as u64;
        self
    }

    /// It is cheap: [`Tape::recompute`](super::Tape::recompute) may run it twice instead of keeping what it wrote.
    #[must_use]
    pub fn cheap(mut self) -> Self {
        self.cheap = true;
        self
    }

    /// Its kernels import `gatefold::epilogue`, with which they store the one value that they write: see
    /// [`Tape::fuse`](super::Tape::fuse).
    #[must_use]
    pub(crate) fn with_epilogue(mut self) -> Self {
        self.epilogue = Epilogue::Open;
        self
    }

    /// The launch that made what this one reads could do its work.
    #[must_use]
    pub(crate) fn follows(mut self, follow: Follow) -> Self {
        self.follow = Some(follow);
        self
    }

    /// Its result is the gradient of `x` by its maxima `y`. Where RECTIFIED is defined, as the number of `y`'s binding, its kernels pass
    /// on gradients of positive maxima only.
    #[must_use]
    pub(crate) fn of_maxima(mut self, x: Tensor, y: Tensor) -> Self {
        self.maxima = Some([x, y]);
        self
    }

    /// The tensors it touches and how, in binding order.
    pub fn operands(&self) -> &[(Tensor, Access)] {
        &self.operands
    }

    /// Whether some of its kernels can keep statistics of its result, and nothing follows yet.
    pub(crate) fn can_keep_statistics(&self) -> bool {
        self.epilogue == Epilogue::Open && self.kernels.iter().any(|kernel| kernel.can_keep_statistics)
    }

    /// Operands that all its kernels touch: those before the statistics.
    pub fn common_operands(&self) -> usize {
        self.operands.len() - if self.statistics { 2 } else { 0 }
    }

    /// What one of its kernels finds bound, in binding order.
    pub fn operands_of(&self, kernel: &Kernel) -> &[(Tensor, Access)] {
        if kernel.keeps_statistics { &self.operands } else { &self.operands[..self.common_operands()] }
    }

    /// What it touches so, in binding order.
    pub(crate) fn touched(&self, wanted: Access) -> impl Iterator<Item = Tensor> {
        self.operands.iter().filter(move |(_, access)| *access == wanted).map(|&(tensor, _)| tensor)
    }

    /// What it reads, in binding order.
    pub(crate) fn reads(&self) -> impl Iterator<Item = Tensor> {
        self.touched(Access::Read)
    }

    /// What it writes, in binding order.
    pub(crate) fn writes(&self) -> impl Iterator<Item = Tensor> {
        self.touched(Access::Write)
    }

    /// The value that it writes; `None` if it writes several.
    pub(crate) fn result(&self) -> Option<Tensor> {
        let mut written = self.writes();
        written.next().filter(|_| written.next().is_none())
    }

    /// Puts another value in place of one that it touches.
    pub(crate) fn replace(&mut self, old: Tensor, new: Tensor) {
        let words = self.words.iter_mut().filter_map(|word| match word {
            Word::Offset(tensor) | Word::Stride(tensor) => Some(tensor),
            Word::U32(_) | Word::F32(_) => None,
        });
        let tensors = self.operands.iter_mut().map(|(tensor, _)| tensor).chain(words);
        tensors.filter(|tensor| tensor.id == old.id).for_each(|tensor| *tensor = new);
    }

    /// The feature maps among them: those whose place and stride the kernels are told.
    pub fn maps(&self) -> impl Iterator<Item = Tensor> {
        self.words.iter().filter_map(|word| if let Word::Offset(map) = word { Some(*map) } else { None })
    }

    /// Numbers in its uniform block.
    pub fn block_words(&self) -> usize {
        self.words.len()
    }

    /// What it works on: the shapes that it reads and those that it writes, such as `4x56x56x64 3x3x64x64 -> 4x56x56x64`.
    /// Vectors (a bias, a mean) are left out beside larger operands, and neighbours of one shape are named once.
    pub fn shape(&self) -> String {
        let side = |wanted: Access| {
            let mut shapes: Vec<_> = self.touched(wanted).map(|tensor| tensor.shape).collect();
            if shapes.iter().any(|shape| shape.pixels() > 1) {
                shapes.retain(|shape| shape.pixels() > 1);
            }
            shapes.dedup();
            shapes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
        };
        format!("{} -> {}", side(Access::Read), side(Access::Write)).trim().to_owned()
    }

    /// "conv2d grad_input".
    pub fn label(&self) -> String {
        format!("{} {}", self.op, self.pass)
    }
}
