//! A small network of our own: four times 3x3 convolution, batch-norm, ReLU and 2x2 max-pool, then global average pooling and
//! one linear layer. It trains in a minute or two without a GPU, and because of its end Grad-CAM is exactly CAM.

use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Tensor;

use super::build::{Build, he};
use super::{NetConfig, Recorded};
use crate::Result;

const FILTERS: [usize; 4] = [16, 32, 64, 64];
const EPS: f32 = 1e-5;

pub(super) fn record(build: &mut Build, pictures: Tensor, config: &NetConfig) -> Result<Recorded> {
    (build.conv_start, build.dense_start) = (he, he);
    let mut x = pictures;
    for (number, filters) in (1..).zip(FILTERS) {
        x = build.conv(&format!("conv{number}"), x, filters, Window::square(3, 1, 1))?;
        x = if config.batch_norm { build.batch_norm_relu(&format!("bn{number}"), x, EPS)? } else { build.relu(x) };
        build.name(&format!("conv{number}"), x);
        // The last map keeps its cells: they are what a heat map is made of.
        if number < FILTERS.len() {
            x = build.max_pool(x, Window::square(2, 2, 0))?;
        }
    }
    let means = build.global_avg_pool(x)?;
    build.head(x, means);
    let x = build.dropout(means, config.dropout)?;
    let outputs = config.outputs();
    let logits = build.dense("fc", x, outputs, None)?;
    Ok(Recorded { logits, auxiliary: None, notes: vec![], default_layer: format!("conv{}", FILTERS.len()) })
}
