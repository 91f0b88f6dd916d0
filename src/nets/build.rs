//! Layers: an op together with its named parameters.

use crate::Result;
use crate::ops::batch_norm::{BatchNorm, batch_norm};
use crate::ops::conv2d::conv2d;
use crate::ops::dense::dense;
use crate::ops::dropout::dropout;
use crate::ops::window::Window;
use crate::params::{Init, Layout, ParameterSpec, StateSpec};
use crate::tape::Tape;
use crate::tensor::{Shape, Tensor};

/// Channels of a picture on disk; in memory there is a fourth of zeros.
const RGB: usize = 3;

/// Records layers on a tape.
pub struct Build<'a> {
    pub tape: &'a mut Tape,
    /// Batch statistics and dropout, or running statistics and none.
    pub training: bool,
    /// First values of a layer with this fan-in.
    pub start: fn(usize) -> Start,
    /// Words of parameters recorded before the head: the trunk's.
    pub trunk_words: Option<usize>,
}

impl<'a> Build<'a> {
    pub fn new(tape: &'a mut Tape, training: bool) -> Self {
        Self { tape, training, start: pytorch, trunk_words: None }
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
    }

    /// What follows is the head: the layers that depend on the number of classes. Everything before is the trunk.
    pub fn head(&mut self) {
        self.trunk_words = Some(self.tape.spec().parameter_words());
    }

    /// A convolution with a bias. The first one reads pictures: RGB and a channel of zeros.
    pub fn conv(&mut self, name: &str, x: Tensor, channels: usize, window: Window, first: bool) -> Result<Tensor> {
        let cin = if first { RGB } else { x.shape.c };
        let [kh, kw] = window.kernel;
        let start = (self.start)(window.area() * cin);
        let shape = Shape::new(kh, kw, x.shape.c, channels);
        let weight = self.parameter(format!("{name}.weight"), shape, Layout::Conv { cin }, start.weight);
        let bias = self.bias(name, channels, start.bias);
        conv2d(self.tape, x, weight, Some(bias), window)
    }

    /// Batch normalisation, with PyTorch's defaults for momentum.
    pub fn batch_norm(&mut self, name: &str, x: Tensor, eps: f32) -> Result<Tensor> {
        let c = x.shape.c;
        let vector = |build: &mut Self, part: &str, value: f32| {
            build.parameter(format!("{name}.{part}"), Shape::vector(c), Layout::Vector, Init::Constant(value))
        };
        let (gamma, beta) = (vector(self, "weight", 1.0), vector(self, "bias", 0.0));
        let mut state = |part: &str, init| self.tape.state(StateSpec { name: format!("{name}.{part}"), len: c, init });
        let (running_mean, running_var) = (state("running_mean", 0.0), state("running_var", 1.0));
        let norm = BatchNorm { gamma, beta, running_mean, running_var, eps, momentum: 0.1 };
        batch_norm(self.tape, x, &norm, self.training)
    }

    /// A fully connected layer with a bias. `flat` is the feature map that was flattened into `x`, if one was.
    pub fn dense(&mut self, name: &str, x: Tensor, outputs: usize, flat: Option<Shape>) -> Result<Tensor> {
        let inputs = x.shape.c;
        let start = (self.start)(inputs);
        let layout = flat.map_or(Layout::Dense, |s| Layout::DenseFlat { h: s.h, w: s.w, c: s.c });
        let weight = self.parameter(format!("{name}.weight"), Shape::new(1, 1, inputs, outputs), layout, start.weight);
        let bias = self.bias(name, outputs, start.bias);
        dense(self.tape, x, weight, Some(bias))
    }

    /// Dropout in training, nothing otherwise.
    pub fn dropout(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        if self.training { dropout(self.tape, x, rate) } else { Ok(x) }
    }
}

/// How a layer's parameters start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Start {
    pub weight: Init,
    pub bias: Init,
}

/// As He and others (2015) have it for layers followed by a ReLU: normal, variance 2 / fan-in.
pub fn he(fan_in: usize) -> Start {
    Start { weight: Init::Normal { deviation: (2.0 / fan_in as f32).sqrt() }, bias: Init::Constant(0.0) }
}

/// PyTorch's default for convolutions and linear layers: weight and bias uniform in ±1 / sqrt(fan-in).
pub fn pytorch(fan_in: usize) -> Start {
    let init = Init::Uniform { bound: 1.0 / (fan_in as f32).sqrt() };
    Start { weight: init, bias: init }
}
