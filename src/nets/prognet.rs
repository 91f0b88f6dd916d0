//! ProgNet, the network that told progressive rock from the rest: seven times 3x3 convolution, ReLU and 2x2 max-pool, with
//! batch-norm and dropout taking turns after the blocks, then two dense layers.

use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Tensor;

use super::build::Build;
use super::{NetConfig, Recorded};
use crate::Result;

/// Filters of the seven convolutions.
pub const FILTERS: [usize; 7] = [32, 32, 64, 64, 128, 128, 128];
const HIDDEN: usize = 100;
const EPS: f32 = 1e-5;

/// A heat map needs some cells to point with: Grad-CAM looks at the deepest convolution with at least this many across.
const LEAST_CELLS: usize = 4;

pub(super) fn record(build: &mut Build, pictures: Tensor, config: &NetConfig) -> Result<Recorded> {
    let mut x = pictures;
    let (mut left_out, mut maps) = (vec![], vec![]);
    for (number, filters) in (1..).zip(FILTERS) {
        let name = format!("conv{number}");
        x = build.conv(&name, x, filters, Window::square(3, 1, 1))?;
        x = build.relu(x);
        build.name(&name, x);
        maps.push((name, x.shape.h));
        if x.shape.h >= 2 {
            x = build.max_pool(x, Window::square(2, 2, 0))?;
        } else {
            left_out.push(number.to_string());
        }
        if number % 2 == 0 {
            x = build.dropout(x, config.dropout)?;
        } else if config.batch_norm {
            x = build.batch_norm(&format!("bn{number}"), x, EPS)?;
        }
    }
    build.head(x, x);
    let map = x.shape;
    x = build.flatten(x);
    x = build.dense("fc1", x, HIDDEN, Some(map))?;
    x = build.relu(x);
    let outputs = config.outputs();
    let logits = build.dense("fc2", x, outputs, None)?;
    Ok(Recorded { logits, auxiliary: None, notes: notes(config.size, &left_out), default_layer: default_layer(&maps) })
}

fn notes(size: usize, left_out: &[String]) -> Vec<String> {
    if left_out.is_empty() {
        return vec![];
    }
    let blocks = left_out.join(" and ");
    vec![format!(
        "at {size} pixels the pooling of block {blocks} would leave nothing and is left out (seven poolings need 128)"
    )]
}

/// The last convolution, as the report had it, if its map has cells enough; else the deepest one that has.
fn default_layer(maps: &[(String, usize)]) -> String {
    let fine = maps.iter().rev().find(|(_, cells)| *cells >= LEAST_CELLS).or(maps.last());
    fine.map_or_else(String::new, |(name, _)| name.clone())
}

#[cfg(test)]
mod tests {
    use crate::nets::{NetConfig, record};
    use gatefold_engine::tape::Tape;
    use gatefold_engine::tensor::Shape;

    fn recorded(size: usize, classes: usize) -> (Tape, super::Recorded) {
        let mut tape = Tape::new();
        let pictures = tape.input(Shape::new(2, size, size, 4));
        let config = NetConfig { net: "prognet".into(), size, classes, dropout: 0.2, ..NetConfig::default() };
        let net = record(&mut tape, pictures, &config, true).unwrap();
        (tape, net)
    }

    #[test]
    fn at_260_pixels_it_is_the_published_network() {
        let (tape, net) = recorded(260, 2);
        assert!(net.notes.is_empty());
        assert_eq!(net.logits.shape, Shape::matrix(2, 1));
        assert_eq!(net.default_layer, "conv7");
        let (_, conv7) = tape.names().iter().find(|(name, _)| name == "conv7").unwrap();
        assert_eq!((conv7.shape.h, conv7.shape.w, conv7.shape.c), (4, 4, 128));
        // Convolutions, their biases, four batch-norms, and dense layers on 2x2x128.
        let convolutions = 3 * 32 + 32 * 32 + 32 * 64 + 64 * 64 + 64 * 128 + 2 * 128 * 128;
        let biases = 32 + 32 + 64 + 64 + 3 * 128;
        let norms = 2 * (32 + 64 + 128 + 128);
        let head = 2 * 2 * 128 * 100 + 100 + 100 + 1;
        assert_eq!(tape.spec().parameter_count(), 9 * convolutions + biases + norms + head);
    }

    #[test]
    fn small_pictures_lose_poolings_and_the_network_says_so() {
        let (_, net) = recorded(64, 5);
        assert_eq!(net.logits.shape, Shape::matrix(2, 5));
        assert!(net.notes[0].contains("block 7"), "{:?}", net.notes);
        assert!(recorded(128, 5).1.notes.is_empty());
        assert!(recorded(32, 5).1.notes[0].contains("6 and 7"));
    }

    #[test]
    fn too_small_pictures_and_unknown_networks_are_bad_input() {
        for (net, size) in [("prognet", 31), ("alexnet", 260)] {
            let mut tape = Tape::new();
            let pictures = tape.input(Shape::new(1, size, size, 4));
            let config = NetConfig { net: net.into(), size, classes: 2, ..NetConfig::default() };
            assert_eq!(record(&mut tape, pictures, &config, false).err().unwrap().exit_code(), 2);
        }
    }
}
