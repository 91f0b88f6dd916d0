//! The networks, each a readable description on a [`Tape`], with PyTorch's parameter names.

mod build;
pub mod prognet;
pub mod small;

use serde::{Deserialize, Serialize};

pub use build::Build;

use crate::tape::Tape;
use crate::tensor::Tensor;
use crate::{Error, Result};

/// Which network, for how many classes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetConfig {
    /// The name that `--net` takes.
    pub net: String,
    /// Height and width of the pictures in pixels.
    pub size: usize,
    /// Two classes make one logit.
    pub classes: usize,
    /// Share of values that the dropout layers drop in training.
    pub dropout: f32,
    /// Whether the network has its batch-norm layers.
    pub batch_norm: bool,
}

impl NetConfig {
    /// Logits per picture: one for two classes, else one per class.
    pub fn outputs(&self) -> usize {
        if self.classes == 2 { 1 } else { self.classes }
    }
}

/// A recorded network.
pub struct Recorded {
    /// `n x 1 x 1 x outputs`.
    pub logits: Tensor,
    /// What the user should know, such as layers left out at this size.
    pub notes: Vec<String>,
    /// The layer that Grad-CAM looks at unless told otherwise.
    pub default_layer: String,
}

/// A network's entry: its name, its smallest input, and how it is recorded.
pub struct Net {
    pub name: &'static str,
    pub smallest: usize,
    record: fn(&mut Build, Tensor, &NetConfig) -> Result<Recorded>,
}

/// All networks. A new one adds its line here.
pub const NETS: &[Net] = &[
    Net { name: "prognet", smallest: 32, record: prognet::record },
    Net { name: "small", smallest: 16, record: small::record },
];

/// Looks a network up and checks that it takes pictures of this size.
pub fn find(config: &NetConfig) -> Result<&'static Net> {
    let Some(net) = NETS.iter().find(|net| net.name == config.net) else {
        let known: Vec<_> = NETS.iter().map(|net| net.name).collect();
        return Err(Error::input(format!(
            "--net {}: there is no such network; there are: {}",
            config.net,
            known.join(", ")
        )));
    };
    if config.size < net.smallest {
        let (name, smallest) = (net.name, net.smallest);
        return Err(Error::input(format!(
            "--size {}: {name} needs pictures of at least {smallest} pixels",
            config.size
        )));
    }
    Ok(net)
}

/// Records a network on pictures `n x size x size x 4` (RGB and a channel of zeros), for training or for inference.
///
/// # Errors
/// [`Error::Input`] if there is no such network or the pictures are too small for it.
pub fn record(tape: &mut Tape, pictures: Tensor, config: &NetConfig, training: bool) -> Result<Recorded> {
    let net = find(config)?;
    (net.record)(&mut Build::new(tape, training), pictures, config)
}
