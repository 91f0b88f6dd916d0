//! A network's forward pass, from pixels to logits.

use gatefold_engine::ops::input::{self, Augment, InputOp};
use gatefold_engine::params::Spec;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use crate::Result;
use crate::nets::{self, Freeze, NetConfig};

/// Mean and standard deviation of each channel, on the scale of 0 to 1, that our own networks' pictures are normalised with.
pub const MEAN: [f32; 3] = [0.5; 3];
pub const STD: [f32; 3] = [0.25; 3];

/// A recorded forward pass.
pub struct Forward {
    pub tape: Tape,
    pub pixels: Tensor,
    pub logits: Tensor,
    /// With [`Taps::Features`].
    pub features: Option<Tensor>,
    /// With [`Taps::Held`], where the start can be held.
    pub held: Vec<Tensor>,
    pub default_layer: String,
}

/// Which layer's gradient a forward pass prepares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taps<'a> {
    None,
    /// The layer of this name.
    Layer(&'a str),
    /// No layer's; but what the trunk ends in is kept, its mean over the cells.
    Features,
    /// No layer's; but what a fine-tuning leaves alone is a phase of its own: see
    /// [`Tape::hold_frozen_start`](gatefold_engine::tape::Tape::hold_frozen_start).
    Held(&'a Freeze),
}

/// Parameters and running statistics of a network, in training (with what only training has) or in inference.
pub fn spec(net: &NetConfig, training: bool) -> Result<Spec> {
    let mut tape = Tape::new();
    // Of one picture a batch-norm over a map of one pixel could take no variance.
    let pictures = tape.input(Shape::new(2, net.size, net.size, 4));
    nets::record(&mut tape, pictures, net, training)?;
    Ok(tape.spec().clone())
}

/// Like [`spec`] in training, with a part of the network frozen, which leaves out what would have nothing to do.
pub fn spec_frozen(net: &NetConfig, freeze: Option<&Freeze>) -> Result<Spec> {
    let mut tape = Tape::new();
    let pictures = tape.input(Shape::new(2, net.size, net.size, 4));
    nets::record_for_training(&mut tape, pictures, net, freeze, false)?;
    Ok(tape.spec().clone())
}

/// Records the forward pass in inference mode, on the centre of pictures `picture` pixels wide and high. Parameters get no
/// gradient; a tapped layer does. Without one the tape is complete: its logits are kept and its launches fused.
pub fn recorded(
    net: &NetConfig,
    picture: usize,
    (mean, std): ([f32; 3], [f32; 3]),
    batch: usize,
    taps: Taps,
) -> Result<Forward> {
    let (size, mut tape) = ((net.size, net.size), Tape::new());
    tape.freeze();
    if let Taps::Layer(name) = taps {
        tape.tap(name);
    }
    let pixels = tape.input(Shape::vector(input::words(batch, picture, picture)));
    let op = InputOp { source: (picture, picture), size, mean, std, augment: Augment::default() };
    let pictures = input::input(&mut tape, pixels, batch, &op)?;
    let (recorded, features) = match taps {
        Taps::Features => {
            let (recorded, features) = nets::record_with_features(&mut tape, pictures, net)?;
            tape.keep(features);
            (recorded, Some(features))
        }
        Taps::Held(freeze) => (nets::record_after(&mut tape, pictures, net, freeze)?, None),
        _ => (nets::record(&mut tape, pictures, net, false)?, None),
    };
    let mut held = vec![];
    if !matches!(taps, Taps::Layer(_)) {
        tape.keep(recorded.logits);
        if matches!(taps, Taps::Held(_)) {
            held = tape.hold_frozen_start(batch);
        }
        tape.fuse();
    }
    Ok(Forward { tape, pixels, logits: recorded.logits, features, held, default_layer: recorded.default_layer })
}
