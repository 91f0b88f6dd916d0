//! ResNet (He and others, 2015) as torchvision has it: "v1.5", where the 3x3 convolution of a bottleneck has the stride.

use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Tensor;

use super::build::{Build, he_out};
use super::{NetConfig, Recorded};
use crate::Result;

const EPS: f32 = 1e-5;

/// What is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Two 3x3 convolutions.
    Basic,
    /// A 1x1 convolution to a quarter of the channels (a half, if the network is twice as wide), a 3x3 one, and a 1x1 one back.
    Bottleneck,
}

/// A ResNet. Stage `s` (from 0) has `layers[s]` blocks, and its 3x3 convolutions have `wide * (width << s)` channels; `wide` is 1 but for
/// the wide ones (Zagoruyko and Komodakis, 2016), which torchvision has with bottlenecks only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResNet {
    pub block: Block,
    pub layers: [usize; 4],
    pub width: usize,
    pub wide: usize,
}

pub const RESNET18: ResNet = ResNet { block: Block::Basic, layers: [2, 2, 2, 2], width: 64, wide: 1 };
pub const RESNET34: ResNet = ResNet { layers: [3, 4, 6, 3], ..RESNET18 };
pub const RESNET50: ResNet = ResNet { block: Block::Bottleneck, ..RESNET34 };
pub const RESNET101: ResNet = ResNet { layers: [3, 4, 23, 3], ..RESNET50 };
pub const WIDE_RESNET50_2: ResNet = ResNet { wide: 2, ..RESNET50 };

impl ResNet {
    /// Records it on pictures `n x size x size x 4`. Convolutions start as torchvision's do, by He's rule for the fan-out; the
    /// linear layer by PyTorch's default.
    ///
    /// # Errors
    /// If the pictures are too small for a layer.
    pub fn record(&self, build: &mut Build, pictures: Tensor, config: &NetConfig) -> Result<Recorded> {
        build.conv_start = he_out;
        build.ends = config.head.layers().to_vec();
        let mut x = build.stage("relu", pictures, |build, x| {
            let x = build.plain_conv("conv1", x, self.width, Window::square(7, 2, 3))?;
            build.batch_norm_relu("bn1", x, EPS)
        })?;
        x = build.stage("maxpool", x, |build, x| build.max_pool(x, Window::square(3, 2, 1)))?;
        let (mut block, all) = (0, self.layers.iter().sum::<usize>());
        for (stage, blocks) in (0..).zip(self.layers) {
            for number in 0..blocks {
                let stride = if stage > 0 && number == 0 { 2 } else { 1 };
                let name = format!("layer{}.{number}", stage + 1);
                block += 1;
                // Huang and others' linear rule: early layers matter to all that follow.
                let dropped = config.stochastic_depth * block as f32 / all as f32;
                x = build.stage(&name, x, |build, x| {
                    self.block.record(build, &name, x, [self.width << stage, self.wide, stride], dropped)
                })?;
            }
        }
        let logits = config.head.record(build, x, "fc", 0.0, config.outputs())?;
        Ok(Recorded { logits, auxiliary: None, notes: vec![], default_layer: build.last_stage() })
    }
}

impl Block {
    /// `relu(convolutions(x) + x)`. Where the extents change, a 1x1 convolution brings `x` along. In training the convolutions are
    /// `dropped` for so many of the pictures.
    fn record(
        self,
        build: &mut Build,
        name: &str,
        x: Tensor,
        [width, wide, stride]: [usize; 3],
        dropped: f32,
    ) -> Result<Tensor> {
        let layer = |part: &str| format!("{name}.{part}");
        let point = |stride: usize| Window::square(1, stride, 0);
        let square = |stride: usize| Window::square(3, stride, 1);
        let mut y = match self {
            Self::Basic => {
                let y = build.plain_conv(&layer("conv1"), x, width, square(stride))?;
                let y = build.batch_norm_relu(&layer("bn1"), y, EPS)?;
                let y = build.plain_conv(&layer("conv2"), y, width, square(1))?;
                build.batch_norm(&layer("bn2"), y, EPS)?
            }
            Self::Bottleneck => {
                let y = build.plain_conv(&layer("conv1"), x, wide * width, point(1))?;
                let y = build.batch_norm_relu(&layer("bn1"), y, EPS)?;
                let y = build.plain_conv(&layer("conv2"), y, wide * width, square(stride))?;
                let y = build.batch_norm_relu(&layer("bn2"), y, EPS)?;
                let y = build.plain_conv(&layer("conv3"), y, 4 * width, point(1))?;
                build.batch_norm(&layer("bn3"), y, EPS)?
            }
        };
        y = build.drop_samples(y, dropped)?;
        let mut shortcut = x;
        if stride != 1 || x.shape.c != y.shape.c {
            shortcut = build.plain_conv(&layer("downsample.0"), x, y.shape.c, point(stride))?;
            shortcut = build.batch_norm(&layer("downsample.1"), shortcut, EPS)?;
        }
        y = build.add_relu(y, shortcut)?;
        Ok(y)
    }
}
