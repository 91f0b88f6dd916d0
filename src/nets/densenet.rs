//! DenseNet-BC (Huang and others, 2016) as torchvision has it: in a block each layer reads the maps of all layers before it.

use gatefold_engine::ops::concat::Stack;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::Init;
use gatefold_engine::tensor::Tensor;

use super::build::{Build, Fan, Start, he, pytorch};
use super::{NetConfig, Recorded};
use crate::Result;

const EPS: f32 = 1e-5;

/// A DenseNet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenseNet {
    /// Channels that each layer adds.
    pub growth: usize,
    /// Layers of each block.
    pub blocks: [usize; 4],
    /// Channels of the first convolution.
    pub init_features: usize,
    /// A layer's 1x1 convolution makes this many times `growth` channels.
    pub bottleneck: usize,
}

pub const DENSENET121: DenseNet = DenseNet { growth: 32, blocks: [6, 12, 24, 16], init_features: 64, bottleneck: 4 };
pub const DENSENET169: DenseNet = DenseNet { blocks: [6, 12, 32, 32], ..DENSENET121 };
pub const DENSENET201: DenseNet = DenseNet { blocks: [6, 12, 48, 32], ..DENSENET121 };

impl DenseNet {
    /// Records it on pictures `n x size x size x 4`. Convolutions start as torchvision's do, by He's rule for the fan-in; the
    /// linear layer by PyTorch's default with biases of 0.
    ///
    /// # Errors
    /// If the pictures are too small for a layer.
    pub fn record(&self, build: &mut Build, pictures: Tensor, config: &NetConfig) -> Result<Recorded> {
        (build.conv_start, build.dense_start) = (he, without_bias);
        build.ends = config.head.layers().to_vec();
        let mut x = build.stage("features.relu0", pictures, |build, x| {
            let x = build.plain_conv("features.conv0", x, self.init_features, Window::square(7, 2, 3))?;
            build.batch_norm_relu("features.norm0", x, EPS)
        })?;
        x = build.stage("features.pool0", x, |build, x| build.max_pool(x, Window::square(3, 2, 1)))?;
        for (number, layers) in (1..).zip(self.blocks) {
            if number > 1 {
                let name = format!("features.transition{}", number - 1);
                x = build.stage(&name, x, |build, x| transition(build, &name, x))?;
            }
            let name = format!("features.denseblock{number}");
            x = build.stage(&name, x, |build, x| self.block(build, &name, x, layers))?;
        }
        x = build.stage("features", x, |build, x| build.batch_norm_relu("features.norm5", x, EPS))?;
        let logits = config.head.record(build, x, "classifier", 0.0, config.outputs())?;
        Ok(Recorded { logits, auxiliary: None, notes: vec![], default_layer: build.last_stage() })
    }

    /// `n x h x w x c` to `n x h x w x (c + layers * growth)`.
    fn block(&self, build: &mut Build, name: &str, x: Tensor, layers: usize) -> Result<Tensor> {
        let (mut stack, mut parts) = (Stack::new(build.tape, x, x.shape.c + layers * self.growth)?, vec![x]);
        for number in 1..=layers {
            let layer = format!("{name}.denselayer{number}");
            let part = |part: &str| format!("{layer}.{part}");
            let x = build.so_far(&stack, &parts);
            let y = build.norm_relu_conv(&part("norm1"), &part("conv1"), x, self.bottleneck * self.growth, EPS)?;
            let y = build.batch_norm_relu(&part("norm2"), y, EPS)?;
            let y = build.plain_conv(&part("conv2"), y, self.growth, Window::square(3, 1, 1))?;
            build.name(&layer, y);
            stack.push(build.tape, y)?;
            parts.push(y);
        }
        Ok(build.so_far(&stack, &parts))
    }
}

/// Half the channels, half the height and width.
fn transition(build: &mut Build, name: &str, x: Tensor) -> Result<Tensor> {
    let channels = x.shape.c / 2;
    let x = build.norm_relu_conv(&format!("{name}.norm"), &format!("{name}.conv"), x, channels, EPS)?;
    build.avg_pool(x, Window::square(2, 2, 0))
}

fn without_bias(fan: Fan) -> Start {
    Start { bias: Init::Constant(0.0), ..pytorch(fan) }
}
