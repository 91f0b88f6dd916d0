//! A whole network as a list of layers.

use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use super::build::Build;
use super::layers::Layer;
use super::{NetConfig, find};
use crate::Result;

/// A whole network.
pub struct Graph {
    /// In the order of computation.
    pub layers: Vec<Layer>,
    /// The pictures: RGB, normalised. (The engine's fourth channel is 0.)
    pub pictures: Tensor,
    pub logits: Tensor,
    /// The map that the trunk ends in.
    pub map: Option<Tensor>,
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
        Ok(Self { layers, pictures, logits: recorded.logits, map })
    }
}
