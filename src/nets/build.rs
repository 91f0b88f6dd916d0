//! Layers: an op together with its named parameters.

use gatefold_engine::ops::add::add_relu;
use gatefold_engine::ops::avg_pool::avg_pool;
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm, batch_norm_relu};
use gatefold_engine::ops::concat::{Stack, concat};
use gatefold_engine::ops::conv2d::{conv2d, norm_relu_conv2d};
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::dropout::{drop_samples, dropout};
use gatefold_engine::ops::flatten::flatten;
use gatefold_engine::ops::global_avg_pool::global_avg_pool;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::{Init, Layout, ParameterSpec, StateSpec};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use super::Freeze;
use super::layers::{Layer, Op};
use crate::Result;

/// Channels of a picture on disk; in memory there is a fourth of zeros.
const RGB: usize = 3;

/// What of its running statistics a batch-norm replaces at each batch: PyTorch's default.
pub const MOMENTUM: f32 = 0.1;

/// Records layers on a tape.
pub struct Build<'a> {
    pub tape: &'a mut Tape,
    /// Batch statistics and dropout, or running statistics and none.
    pub training: bool,
    /// First values of convolutions.
    pub conv_start: fn(Fan) -> Start,
    /// First values of fully connected layers.
    pub dense_start: fn(Fan) -> Start,
    /// Words of parameters recorded before the head: the trunk's.
    pub trunk_words: Option<usize>,
    /// What the trunk ends in.
    pub map: Option<Tensor>,
    /// What the head stands on: the means of maps, or a map.
    pub features: Option<Tensor>,
    /// The layers that the head stands on, if not the trunk's last: behind them nothing is recorded.
    pub ends: Vec<String>,
    /// Where a tape that starts frozen thaws, or, in inference, what training leaves alone ends.
    pub freeze: Option<Freeze>,
    /// Batch-norms keep to their running statistics in training too.
    pub freeze_statistics: bool,
    /// What was recorded, in order.
    pub(super) layers: Vec<Layer>,
    /// Names and outputs of what [`Self::stage`] recorded.
    stages: Vec<(String, Tensor)>,
    /// What the network looks at. The convolution that reads it has weights for three channels on disk.
    pictures: Tensor,
}

impl<'a> Build<'a> {
    /// `pictures` is `n x size x size x 4`: RGB and a channel of zeros.
    pub fn new(tape: &'a mut Tape, pictures: Tensor, training: bool) -> Self {
        Self {
            tape,
            training,
            conv_start: pytorch,
            dense_start: pytorch,
            trunk_words: None,
            map: None,
            features: None,
            ends: vec![],
            freeze: None,
            freeze_statistics: false,
            layers: vec![],
            stages: vec![],
            pictures,
        }
    }

    /// Writes down what a layer computes, and gives its output.
    fn layer(&mut self, op: Op, inputs: &[Tensor], output: Tensor) -> Tensor {
        self.layers.push(Layer { op, inputs: inputs.to_vec(), output });
        output
    }

    fn parameter(&mut self, name: String, shape: Shape, layout: Layout, init: Init) -> Tensor {
        self.tape.parameter(ParameterSpec { name, shape, layout, init })
    }

    fn bias(&mut self, name: &str, channels: usize, init: Init) -> Tensor {
        self.parameter(format!("{name}.bias"), Shape::vector(channels), Layout::Vector, init)
    }

    /// Gives a layer's output its name, for heat maps and for freezing up to it.
    pub fn name(&mut self, name: &str, x: Tensor) {
        self.tape.name(name, x);
        if matches!(&self.freeze, Some(Freeze::Layer(last)) if last == name) {
            self.end_frozen_start();
        }
    }

    /// Records a part of the trunk that a head can stand on, and names its output; nothing if the network ends before it.
    ///
    /// # Errors
    /// Those of `record`.
    pub fn stage(
        &mut self,
        name: &str,
        x: Tensor,
        record: impl FnOnce(&mut Self, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        if self.has_ended() {
            return Ok(x);
        }
        let x = record(self, x)?;
        self.name(name, x);
        self.stages.push((name.to_owned(), x));
        Ok(x)
    }

    /// Whether the head has all the layers that it stands on.
    pub fn has_ended(&self) -> bool {
        !self.ends.is_empty() && self.ends.iter().all(|end| self.stages.iter().any(|(name, _)| name == end))
    }

    /// Names and maps of the stages so far.
    pub fn stages(&self) -> &[(String, Tensor)] {
        &self.stages
    }

    /// The name of the last stage.
    pub fn last_stage(&self) -> String {
        self.stages.last().map_or_else(String::new, |(name, _)| name.clone())
    }

    /// What follows is the head: the layers that depend on the number of classes. Everything before is the trunk, which ends in
    /// `map`; the head stands on `features`, which are made of it without parameters, so that what is kept of a frozen trunk is as
    /// small as can be.
    pub fn head(&mut self, map: Tensor, features: Tensor) {
        (self.map, self.features) = (Some(map), Some(features));
        self.trunk_words = Some(self.tape.spec().parameter_words());
        if self.freeze == Some(Freeze::Trunk) {
            self.end_frozen_start();
        }
    }

    /// What follows is trained; in inference all stays frozen.
    fn end_frozen_start(&mut self) {
        if self.training { self.tape.thaw() } else { self.tape.end_frozen_start() }
    }

    /// Whether a batch-norm takes its statistics from the batch, and moves the running ones. Frozen layers do not: they would
    /// change although nothing in them is trained.
    fn batch_statistics(&self) -> bool {
        self.training && !self.freeze_statistics && !self.tape.is_frozen()
    }

    /// A convolution with a bias.
    pub fn conv(&mut self, name: &str, x: Tensor, channels: usize, window: Window) -> Result<Tensor> {
        let (weight, start) = self.conv_weight(name, x, channels, window);
        let bias = self.bias(name, channels, start.bias);
        let y = conv2d(self.tape, x, weight, Some(bias), window)?;
        Ok(self.layer(Op::Conv { name: name.to_owned(), bias: true, window }, &[x], y))
    }

    /// A convolution without a bias, as a batch-norm wants it: that would take the bias away again.
    pub fn plain_conv(&mut self, name: &str, x: Tensor, channels: usize, window: Window) -> Result<Tensor> {
        let (weight, _) = self.conv_weight(name, x, channels, window);
        let y = conv2d(self.tape, x, weight, None, window)?;
        Ok(self.layer(Op::Conv { name: name.to_owned(), bias: false, window }, &[x], y))
    }

    fn conv_weight(&mut self, name: &str, x: Tensor, channels: usize, window: Window) -> (Tensor, Start) {
        let cin = if x == self.pictures { RGB } else { x.shape.c };
        let [kh, kw] = window.kernel;
        let start = (self.conv_start)(Fan { inputs: window.area() * cin, outputs: window.area() * channels });
        let shape = Shape::new(kh, kw, x.shape.c, channels);
        (self.parameter(format!("{name}.weight"), shape, Layout::Conv { cin }, start.weight), start)
    }

    /// What a batch-norm over `c` channels learns and remembers.
    fn norm(&mut self, name: &str, c: usize, eps: f32) -> BatchNorm {
        let vector = |build: &mut Self, part: &str, value: f32| {
            build.parameter(format!("{name}.{part}"), Shape::vector(c), Layout::Vector, Init::Constant(value))
        };
        let (gamma, beta) = (vector(self, "weight", 1.0), vector(self, "bias", 0.0));
        let mut state = |part: &str, init| self.tape.state(StateSpec { name: format!("{name}.{part}"), len: c, init });
        let (running_mean, running_var) = (state("running_mean", 0.0), state("running_var", 1.0));
        BatchNorm { gamma, beta, running_mean, running_var, eps, momentum: MOMENTUM }
    }

    /// Batch normalisation.
    pub fn batch_norm(&mut self, name: &str, x: Tensor, eps: f32) -> Result<Tensor> {
        let norm = self.norm(name, x.shape.c, eps);
        let training = self.batch_statistics();
        let y = batch_norm(self.tape, x, &norm, training)?;
        Ok(self.layer(Op::BatchNorm { name: name.to_owned(), eps, relu: false }, &[x], y))
    }

    /// Batch normalisation in a head, which is new: it takes its statistics from the batch in training, whatever is frozen.
    pub fn head_norm(&mut self, name: &str, x: Tensor, eps: f32) -> Result<Tensor> {
        let frozen = std::mem::replace(&mut self.freeze_statistics, false);
        let y = self.batch_norm(name, x, eps);
        self.freeze_statistics = frozen;
        y
    }

    /// Batch normalisation and ReLU.
    pub fn batch_norm_relu(&mut self, name: &str, x: Tensor, eps: f32) -> Result<Tensor> {
        let norm = self.norm(name, x.shape.c, eps);
        let training = self.batch_statistics();
        let y = batch_norm_relu(self.tape, x, &norm, training)?;
        Ok(self.layer(Op::BatchNorm { name: name.to_owned(), eps, relu: true }, &[x], y))
    }

    /// The end of a residual block: `relu(a + b)`.
    pub fn add_relu(&mut self, a: Tensor, b: Tensor) -> Result<Tensor> {
        let y = add_relu(self.tape, a, b)?;
        Ok(self.layer(Op::AddRelu, &[a, b], y))
    }

    pub fn relu(&mut self, x: Tensor) -> Tensor {
        let y = relu(self.tape, x);
        self.layer(Op::Relu, &[x], y)
    }

    pub fn max_pool(&mut self, x: Tensor, window: Window) -> Result<Tensor> {
        let y = max_pool(self.tape, x, window)?;
        Ok(self.layer(Op::MaxPool(window), &[x], y))
    }

    /// The mean of each window; zeros of the padding count.
    pub fn avg_pool(&mut self, x: Tensor, window: Window) -> Result<Tensor> {
        let y = avg_pool(self.tape, x, window, true)?;
        Ok(self.layer(Op::AvgPool(window), &[x], y))
    }

    pub fn global_avg_pool(&mut self, x: Tensor) -> Result<Tensor> {
        let y = global_avg_pool(self.tape, x)?;
        Ok(self.layer(Op::GlobalAvgPool, &[x], y))
    }

    pub fn flatten(&mut self, x: Tensor) -> Tensor {
        let y = flatten(self.tape, x);
        self.layer(Op::Flatten, &[x], y)
    }

    /// All of these side by side along the channels.
    pub fn concat(&mut self, parts: &[Tensor]) -> Result<Tensor> {
        let y = concat(self.tape, parts)?;
        Ok(self.layer(Op::Concat, parts, y))
    }

    /// What was put on a stack so far; `parts` says which values that were.
    pub fn so_far(&mut self, stack: &Stack, parts: &[Tensor]) -> Tensor {
        let y = stack.so_far(self.tape);
        self.layer(Op::Concat, parts, y)
    }

    /// Batch normalisation, ReLU and a 1x1 convolution without a bias, in this order. The normalised `x` never exists in memory.
    pub fn norm_relu_conv(
        &mut self,
        norm_name: &str,
        conv_name: &str,
        x: Tensor,
        channels: usize,
        eps: f32,
    ) -> Result<Tensor> {
        let window = Window::square(1, 1, 0);
        let norm = self.norm(norm_name, x.shape.c, eps);
        let (weight, _) = self.conv_weight(conv_name, x, channels, window);
        let training = self.batch_statistics();
        let y = norm_relu_conv2d(self.tape, x, &norm, weight, window, training)?;
        let op = Op::NormReluConv { norm: norm_name.to_owned(), eps, conv: conv_name.to_owned() };
        Ok(self.layer(op, &[x], y))
    }

    /// A fully connected layer with a bias. `flat` is the feature map that was flattened into `x`, if one was.
    pub fn dense(&mut self, name: &str, x: Tensor, outputs: usize, flat: Option<Shape>) -> Result<Tensor> {
        let inputs = x.shape.c;
        let start = (self.dense_start)(Fan { inputs, outputs });
        let layout = flat.map_or(Layout::Dense, |s| Layout::DenseFlat { h: s.h, w: s.w, c: s.c });
        let weight = self.parameter(format!("{name}.weight"), Shape::new(1, 1, inputs, outputs), layout, start.weight);
        let bias = self.bias(name, outputs, start.bias);
        let y = dense(self.tape, x, weight, Some(bias))?;
        Ok(self.layer(Op::Dense { name: name.to_owned() }, &[x], y))
    }

    /// Dropout in training, nothing otherwise.
    pub fn dropout(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        if self.training && rate > 0.0 { dropout(self.tape, x, rate) } else { Ok(x) }
    }

    /// The same of whole pictures.
    pub fn drop_samples(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        if self.training && rate > 0.0 { drop_samples(self.tape, x, rate) } else { Ok(x) }
    }
}

/// How many numbers a layer's weights take in for one of its outputs, and how many outputs one input feeds: channels times
/// the kernel's area.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fan {
    pub inputs: usize,
    pub outputs: usize,
}

/// How a layer's parameters start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    pub weight: Init,
    pub bias: Init,
}

/// As He and others (2015) have it for layers followed by a ReLU: normal, variance 2 / fan-in.
pub fn he(fan: Fan) -> Start {
    normal(2.0 / fan.inputs as f32)
}

/// The same by what goes out, which keeps the size of gradients instead of activations: normal, variance 2 / fan-out.
pub fn he_out(fan: Fan) -> Start {
    normal(2.0 / fan.outputs as f32)
}

fn normal(variance: f32) -> Start {
    Start { weight: Init::Normal { std: variance.sqrt() }, bias: Init::Constant(0.0) }
}

/// PyTorch's default for convolutions and linear layers: weight and bias uniform in ±1 / sqrt(fan-in).
pub fn pytorch(fan: Fan) -> Start {
    let init = Init::Uniform { bound: 1.0 / (fan.inputs as f32).sqrt() };
    Start { weight: init, bias: init }
}
