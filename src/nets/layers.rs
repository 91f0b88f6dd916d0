//! What a network computes, layer by layer, for those who write it down for other programs.

use gatefold_engine::ops::window::Window;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use super::build::Build;
use super::{NetConfig, find};
use crate::Result;

/// A layer of the forward pass in inference: what it computes, of which values.
#[derive(Clone, Debug)]
pub struct Layer {
    pub op: Op,
    pub inputs: Vec<Tensor>,
    pub output: Tensor,
}

/// Names are those of PyTorch's parameters: `{name}.weight` and so on.
#[derive(Clone, Debug, PartialEq)]
pub enum Op {
    Conv {
        name: String,
        bias: bool,
        window: Window,
    },
    BatchNorm {
        name: String,
        eps: f32,
        relu: bool,
    },
    /// Batch-norm, ReLU, and a 1x1 convolution without a bias.
    NormReluConv {
        norm: String,
        eps: f32,
        conv: String,
    },
    Relu,
    /// The sum of two, then ReLU.
    AddRelu,
    MaxPool(Window),
    /// Zeros of the padding count.
    AvgPool(Window),
    GlobalAvgPool,
    /// To a row per picture; PyTorch's order is channel, row, column.
    Flatten,
    Dense {
        name: String,
    },
    /// Along the channels.
    Concat,
}

/// A whole network.
pub struct Graph {
    /// In the order of computation.
    pub layers: Vec<Layer>,
    /// The pictures: RGB, normalised. (The engine's fourth channel is 0.)
    pub pictures: Tensor,
    pub logits: Tensor,
    /// The map that the trunk ends in.
    pub map: Option<Tensor>,
    /// The values that have a name.
    pub named: Vec<(String, Tensor)>,
    pub default_layer: String,
}

impl Graph {
    /// The layers of a network in inference.
    ///
    /// # Errors
    /// [`Error::Input`](crate::Error::Input) if there is no such network or its pictures are too small.
    pub fn of(config: &NetConfig) -> Result<Self> {
        let mut tape = Tape::new();
        let pictures = tape.input(Shape::new(1, config.size, config.size, 4));
        let net = find(config)?;
        let mut build = Build::new(&mut tape, pictures, false);
        let recorded = (net.record)(&mut build, pictures, config)?;
        let (layers, map) = (std::mem::take(&mut build.layers), build.map);
        let (logits, default_layer) = (recorded.logits, recorded.default_layer);
        Ok(Self { layers, pictures, logits, map, named: tape.names().to_vec(), default_layer })
    }
}
