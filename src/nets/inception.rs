//! Inception-v3 (Szegedy and others, 2015) as torchvision has it. Its blocks send a map through branches of different depth and
//! join what comes out.

use gatefold_engine::ops::window::Window;
use gatefold_engine::params::Init;
use gatefold_engine::tensor::Tensor;

use super::build::{Build, Fan, Start, pytorch};
use super::{NetConfig, Recorded};
use crate::Result;

const EPS: f32 = 1e-3;

/// The auxiliary head pools 5x5 by steps of 3 and convolves 5x5: its map needs this many cells across, which 299 pixels give.
const AUXILIARY_CELLS: usize = 17;
const AUXILIARY_SIZE: usize = 299;

const POINT: Window = Window::square(1, 1, 0);
/// The same extents.
const SAME_3: Window = Window::square(3, 1, 1);
/// About half the extents.
const HALF_3: Window = Window::square(3, 2, 0);

/// `height x width` with as much padding as keeps the extents.
const fn same(height: usize, width: usize) -> Window {
    let (y, x) = (height / 2, width / 2);
    Window { kernel: [height, width], stride: [1; 2], padding: [y, y, x, x] }
}

/// An Inception-v3 whose layers are all narrower by a divisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inception {
    /// 1 for the published network; up to 16 all widths can be divided by powers of two.
    pub divisor: usize,
}

pub const INCEPTION_V3: Inception = Inception { divisor: 1 };

impl Inception {
    /// Records it on pictures `n x size x size x 4`. Weights start as torchvision's do: normal with std 0.1, in the
    /// auxiliary head's linear layer 0.001. (torchvision truncates at ±2, which is twenty deviations: nothing is ever cut
    /// off. It also means to start one convolution with 0.01, but sets that where its own loop does not look.)
    ///
    /// In training there is an auxiliary head where there is room for it. Its parameters come last. `config.dropout` drops
    /// before the linear layer; torchvision's default there is 0.5.
    ///
    /// # Errors
    /// If the pictures are too small for a layer.
    pub fn record(&self, build: &mut Build, pictures: Tensor, config: &NetConfig) -> Result<Recorded> {
        (build.conv_start, build.dense_start) = (std_0_1, std_0_1);
        build.ends = config.head.layers().to_vec();
        let mut net = Recorder { build, divisor: self.divisor };
        let mut x = net.conv("Conv2d_1a_3x3", pictures, 32, HALF_3)?;
        x = net.conv("Conv2d_2a_3x3", x, 32, Window::square(3, 1, 0))?;
        x = net.conv("Conv2d_2b_3x3", x, 64, SAME_3)?;
        x = net.half("maxpool1", x)?;
        x = net.conv("Conv2d_3b_1x1", x, 80, POINT)?;
        x = net.conv("Conv2d_4a_3x3", x, 192, Window::square(3, 1, 0))?;
        x = net.half("maxpool2", x)?;
        for (name, pooled) in [("Mixed_5b", 32), ("Mixed_5c", 64), ("Mixed_5d", 64)] {
            x = net.stage(name, x, |net, x| net.block_a(name, x, pooled))?;
        }
        x = net.stage("Mixed_6a", x, |net, x| net.block_b("Mixed_6a", x))?;
        for (name, inner) in [("Mixed_6b", 128), ("Mixed_6c", 160), ("Mixed_6d", 160), ("Mixed_6e", 192)] {
            x = net.stage(name, x, |net, x| net.block_c(name, x, inner))?;
        }
        // Also where it thaws just here.
        let (middle, frozen) = (x, net.build.tape.trained_words() == 0);
        x = net.stage("Mixed_7a", x, |net, x| net.block_d("Mixed_7a", x))?;
        for name in ["Mixed_7b", "Mixed_7c"] {
            x = net.stage(name, x, |net, x| net.block_e(name, x))?;
        }
        let whole = config.head.layers().is_empty();
        let logits = config.head.record(net.build, x, "fc", config.dropout, config.outputs())?;

        let (mut auxiliary, mut notes) = (None, vec![]);
        if net.build.training && whole {
            if frozen {
                // It exists to give early layers a gradient, and they take none.
                notes.push("the auxiliary head is left out: all that it hangs on is frozen".to_owned());
            } else if middle.shape.h >= AUXILIARY_CELLS {
                auxiliary = Some(net.auxiliary("AuxLogits", middle, config.outputs())?);
            } else {
                let size = config.size;
                notes.push(format!(
                    "at {size} pixels there is no room for the auxiliary head, which is left out (it needs {AUXILIARY_SIZE})"
                ));
            }
        }
        Ok(Recorded { logits, auxiliary, notes, default_layer: net.build.last_stage() })
    }
}

fn std_0_1(fan: Fan) -> Start {
    Start { weight: Init::Normal { std: 0.1 }, ..pytorch(fan) }
}

fn std_0_001(fan: Fan) -> Start {
    Start { weight: Init::Normal { std: 0.001 }, ..pytorch(fan) }
}

/// A convolution of a branch: name, channels, window.
type Conv<'a> = (&'a str, usize, Window);

struct Recorder<'a, 'b> {
    build: &'a mut Build<'b>,
    divisor: usize,
}

impl Recorder<'_, '_> {
    /// Convolution, batch-norm, ReLU; `channels` are those of the published network.
    fn basic(&mut self, name: &str, x: Tensor, channels: usize, window: Window) -> Result<Tensor> {
        let x = self.build.plain_conv(&format!("{name}.conv"), x, channels / self.divisor, window)?;
        self.build.batch_norm_relu(&format!("{name}.bn"), x, EPS)
    }

    /// [`Build::stage`], of which all but the stem is a block.
    fn stage(
        &mut self,
        name: &str,
        x: Tensor,
        block: impl FnOnce(&mut Recorder, Tensor) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let divisor = self.divisor;
        self.build.stage(name, x, |build, x| block(&mut Recorder { build, divisor }, x))
    }

    /// A layer of the stem.
    fn conv(&mut self, name: &str, x: Tensor, channels: usize, window: Window) -> Result<Tensor> {
        self.stage(name, x, |net, x| net.basic(name, x, channels, window))
    }

    fn half(&mut self, name: &str, x: Tensor) -> Result<Tensor> {
        self.stage(name, x, |net, x| net.build.max_pool(x, HALF_3))
    }

    fn branch(&mut self, block: &str, mut x: Tensor, layers: &[Conv]) -> Result<Tensor> {
        for &(layer, channels, window) in layers {
            x = self.basic(&format!("{block}.{layer}"), x, channels, window)?;
        }
        Ok(x)
    }

    /// The mean around each cell, where the zeros outside count, and a 1x1 convolution.
    fn pool_branch(&mut self, block: &str, x: Tensor, channels: usize) -> Result<Tensor> {
        let x = self.build.avg_pool(x, SAME_3)?;
        self.branch(block, x, &[("branch_pool", channels, POINT)])
    }

    fn block_a(&mut self, name: &str, x: Tensor, pooled: usize) -> Result<Tensor> {
        let single = self.branch(name, x, &[("branch1x1", 64, POINT)])?;
        let five = self.branch(name, x, &[("branch5x5_1", 48, POINT), ("branch5x5_2", 64, same(5, 5))])?;
        let three = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SAME_3), ("branch3x3dbl_3", 96, SAME_3)];
        let three = self.branch(name, x, &three)?;
        let pool = self.pool_branch(name, x, pooled)?;
        self.build.concat(&[single, five, three, pool])
    }

    fn block_b(&mut self, name: &str, x: Tensor) -> Result<Tensor> {
        let three = self.branch(name, x, &[("branch3x3", 384, HALF_3)])?;
        let double = [("branch3x3dbl_1", 64, POINT), ("branch3x3dbl_2", 96, SAME_3), ("branch3x3dbl_3", 96, HALF_3)];
        let double = self.branch(name, x, &double)?;
        let pool = self.build.max_pool(x, HALF_3)?;
        self.build.concat(&[three, double, pool])
    }

    /// 7x7 in two halves, once and twice; between them are `inner` channels.
    fn block_c(&mut self, name: &str, x: Tensor, inner: usize) -> Result<Tensor> {
        let single = self.branch(name, x, &[("branch1x1", 192, POINT)])?;
        let seven =
            [("branch7x7_1", inner, POINT), ("branch7x7_2", inner, same(1, 7)), ("branch7x7_3", 192, same(7, 1))];
        let seven = self.branch(name, x, &seven)?;
        let double = [
            ("branch7x7dbl_1", inner, POINT),
            ("branch7x7dbl_2", inner, same(7, 1)),
            ("branch7x7dbl_3", inner, same(1, 7)),
            ("branch7x7dbl_4", inner, same(7, 1)),
            ("branch7x7dbl_5", 192, same(1, 7)),
        ];
        let double = self.branch(name, x, &double)?;
        let pool = self.pool_branch(name, x, 192)?;
        self.build.concat(&[single, seven, double, pool])
    }

    fn block_d(&mut self, name: &str, x: Tensor) -> Result<Tensor> {
        let three = self.branch(name, x, &[("branch3x3_1", 192, POINT), ("branch3x3_2", 320, HALF_3)])?;
        let seven = [
            ("branch7x7x3_1", 192, POINT),
            ("branch7x7x3_2", 192, same(1, 7)),
            ("branch7x7x3_3", 192, same(7, 1)),
            ("branch7x7x3_4", 192, HALF_3),
        ];
        let seven = self.branch(name, x, &seven)?;
        let pool = self.build.max_pool(x, HALF_3)?;
        self.build.concat(&[three, seven, pool])
    }

    /// The halves of 3x3 stand side by side here.
    fn block_e(&mut self, name: &str, x: Tensor) -> Result<Tensor> {
        let single = self.branch(name, x, &[("branch1x1", 320, POINT)])?;
        let three = self.branch(name, x, &[("branch3x3_1", 384, POINT)])?;
        let wide = self.branch(name, three, &[("branch3x3_2a", 384, same(1, 3))])?;
        let high = self.branch(name, three, &[("branch3x3_2b", 384, same(3, 1))])?;
        let double = self.branch(name, x, &[("branch3x3dbl_1", 448, POINT), ("branch3x3dbl_2", 384, SAME_3)])?;
        let double_wide = self.branch(name, double, &[("branch3x3dbl_3a", 384, same(1, 3))])?;
        let double_high = self.branch(name, double, &[("branch3x3dbl_3b", 384, same(3, 1))])?;
        let pool = self.pool_branch(name, x, 192)?;
        self.build.concat(&[single, wide, high, double_wide, double_high, pool])
    }

    /// The auxiliary head's logits.
    fn auxiliary(&mut self, name: &str, x: Tensor, outputs: usize) -> Result<Tensor> {
        let x = self.build.avg_pool(x, Window::square(5, 3, 0))?;
        let x = self.branch(name, x, &[("conv0", 128, POINT), ("conv1", 768, Window::square(5, 1, 0))])?;
        let x = self.build.global_avg_pool(x)?;
        self.build.dense_start = std_0_001;
        self.build.dense(&format!("{name}.fc"), x, outputs, None)
    }
}
