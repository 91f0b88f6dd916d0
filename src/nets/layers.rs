//! What a network computes, layer by layer, for those who write it down for other programs.

use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Tensor;

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
