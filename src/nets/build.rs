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
}

impl<'a> Build<'a> {
    pub fn new(tape: &'a mut Tape, training: bool) -> Self {
        Self { tape, training }
    }

    fn parameter(&mut self, name: String, shape: Shape, layout: Layout, init: Init) -> Tensor {
        self.tape.parameter(ParameterSpec { name, shape, layout, init })
    }

    fn bias(&mut self, name: &str, channels: usize) -> Tensor {
        self.parameter(format!("{name}.bias"), Shape::vector(channels), Layout::Vector, Init::Constant(0.0))
    }

    /// A convolution with a bias. Weights start as He and others (2015) have it: normal, variance 2 / fan-in.
    pub fn conv(&mut self, name: &str, x: Tensor, channels: usize, window: Window, first: bool) -> Result<Tensor> {
        let cin = if first { RGB } else { x.shape.c };
        let [kh, kw] = window.kernel;
        let deviation = (2.0 / (window.area() * cin) as f32).sqrt();
        let shape = Shape::new(kh, kw, x.shape.c, channels);
        let weight = self.parameter(format!("{name}.weight"), shape, Layout::Conv { cin }, Init::Normal { deviation });
        let bias = self.bias(name, channels);
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
    pub fn dense(&mut self, name: &str, x: Tensor, outputs: usize, flat: Option<Shape>, init: Init) -> Result<Tensor> {
        let inputs = x.shape.c;
        let layout = flat.map_or(Layout::Dense, |s| Layout::DenseFlat { h: s.h, w: s.w, c: s.c });
        let weight = self.parameter(format!("{name}.weight"), Shape::new(1, 1, inputs, outputs), layout, init);
        let bias = self.bias(name, outputs);
        dense(self.tape, x, weight, Some(bias))
    }

    /// Dropout in training, nothing otherwise.
    pub fn dropout(&mut self, x: Tensor, rate: f32) -> Result<Tensor> {
        if self.training { dropout(self.tape, x, rate) } else { Ok(x) }
    }
}

/// He's bound for a uniform start: variance 2 / fan-in.
pub fn he_uniform(inputs: usize) -> Init {
    Init::Uniform { bound: (6.0 / inputs as f32).sqrt() }
}

/// Glorot's bound for layers without a ReLU behind them: variance 2 / (fan-in + fan-out).
pub fn glorot_uniform(inputs: usize, outputs: usize) -> Init {
    Init::Uniform { bound: (6.0 / (inputs + outputs) as f32).sqrt() }
}
