//! The networks, each a readable description on a [`Tape`], with PyTorch's parameter names.

mod build;
pub mod densenet;
pub mod forward;
mod freeze;
pub mod graph;
mod head;
pub mod inception;
pub mod layers;
pub mod prognet;
pub mod resnet;
pub mod small;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use build::{Build, MOMENTUM};
pub use freeze::Freeze;
pub use head::Head;

use crate::hint::did_you_mean;
use crate::{Error, Result};
use gatefold_engine::ops::global_avg_pool::global_avg_pool;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Tensor;

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
    /// Share of pictures that the last residual branch drops in training; the ones before it drop fewer, in proportion.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub stochastic_depth: f32,
    /// Whether the network has its batch-norm layers.
    pub batch_norm: bool,
    /// What stands on the trunk. (Checkpoints from before there was a choice do not say.)
    #[serde(default)]
    pub head: Head,
}

/// Nothing is dropped, and there is nothing to train yet.
impl Default for NetConfig {
    fn default() -> Self {
        Self {
            net: String::new(),
            size: 0,
            classes: 0,
            dropout: 0.0,
            stochastic_depth: 0.0,
            batch_norm: true,
            head: Head::Linear,
        }
    }
}

fn is_zero(share: &f32) -> bool {
    *share == 0.0
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
    /// Logits of a second head that helps the trunk to learn, in training only and where the network has one.
    pub auxiliary: Option<Tensor>,
    /// What the user should know, such as layers left out at this size.
    pub notes: Vec<String>,
    /// The layer that Grad-CAM looks at unless told otherwise.
    pub default_layer: String,
}

/// A network's entry: its name, its smallest input, and how it is recorded.
pub struct Net {
    pub name: &'static str,
    pub smallest: usize,
    /// Whether it is one of torchvision's: its trunk carries either head, and its batch-norms belong to it.
    pub torchvision: bool,
    /// Whether it has residual branches, which [`NetConfig::stochastic_depth`] is about.
    pub residual: bool,
    record: RecordFn,
}

impl Net {
    const fn own(name: &'static str, smallest: usize, record: RecordFn) -> Self {
        Self { name, smallest, torchvision: false, residual: false, record }
    }

    const fn torchvision(name: &'static str, smallest: usize, record: RecordFn) -> Self {
        Self { name, smallest, torchvision: true, residual: false, record }
    }

    const fn resnet(name: &'static str, record: RecordFn) -> Self {
        Self { residual: true, ..Self::torchvision(name, 32, record) }
    }
}

type RecordFn = fn(&mut Build, Tensor, &NetConfig) -> Result<Recorded>;

/// All networks. A new one adds its line here.
pub const NETS: &[Net] = &[
    Net::own("prognet", 32, prognet::record),
    Net::own("small", 16, small::record),
    Net::resnet("resnet18", |build, x, config| resnet::RESNET18.record(build, x, config)),
    Net::resnet("resnet34", |build, x, config| resnet::RESNET34.record(build, x, config)),
    Net::resnet("resnet50", |build, x, config| resnet::RESNET50.record(build, x, config)),
    Net::resnet("resnet101", |build, x, config| resnet::RESNET101.record(build, x, config)),
    Net::resnet("wide_resnet50_2", |build, x, config| resnet::WIDE_RESNET50_2.record(build, x, config)),
    Net::torchvision("densenet121", 32, |build, x, config| densenet::DENSENET121.record(build, x, config)),
    Net::torchvision("densenet169", 32, |build, x, config| densenet::DENSENET169.record(build, x, config)),
    Net::torchvision("densenet201", 32, |build, x, config| densenet::DENSENET201.record(build, x, config)),
    Net::torchvision("inception_v3", 75, |build, x, config| inception::INCEPTION_V3.record(build, x, config)),
];

/// The names of all networks.
pub fn names() -> String {
    NETS.iter().map(|net| net.name).collect::<Vec<_>>().join(", ")
}

/// Looks a network up and checks that it takes pictures of this size, and the other settings.
pub fn find(config: &NetConfig) -> Result<&'static Net> {
    let names = |of: fn(&&Net) -> bool| NETS.iter().filter(of).map(|net| net.name).collect::<Vec<_>>().join(", ");
    let Some(net) = NETS.iter().find(|net| net.name == config.net) else {
        let (wanted, known) = (&config.net, self::names());
        let hint = did_you_mean(wanted, &NETS.iter().map(|net| net.name).collect::<Vec<_>>());
        return Err(Error::input(format!("--net {wanted}: there is no such network{hint}; there are: {known}")));
    };
    if config.head != Head::Linear && !net.torchvision {
        let (head, name, others) = (&config.head, net.name, names(|net| net.torchvision));
        return Err(Error::input(format!("--head {head}: {name} has its own head; these take it: {others}")));
    }
    if !config.batch_norm && net.torchvision {
        let name = net.name;
        return Err(Error::input(format!("batch_norm = false: {name} is not itself without batch-norm; leave it out")));
    }
    if config.stochastic_depth > 0.0 && !net.residual {
        let (share, name, others) = (config.stochastic_depth, net.name, names(|net| net.residual));
        return Err(Error::input(format!(
            "--stochastic-depth {share}: {name} has no residual branches; leave it out, or take one of {others}"
        )));
    }
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
    (net.record)(&mut Build::new(tape, pictures, training), pictures, config)
}

/// As [`record`] for inference; the tape knows where the layers end that `freeze` leaves alone.
///
/// # Errors
/// As there.
pub fn record_after(tape: &mut Tape, pictures: Tensor, config: &NetConfig, freeze: &Freeze) -> Result<Recorded> {
    let net = find(config)?;
    let mut build = Build::new(tape, pictures, false);
    build.freeze = Some(freeze.clone());
    (net.record)(&mut build, pictures, config)
}

/// As [`record`] for inference, with what the network has seen in each picture, before it is asked for classes: what a linear head
/// stands on, or the mean over the cells of the map that the trunk ends in.
///
/// # Errors
/// As there.
pub fn record_with_features(tape: &mut Tape, pictures: Tensor, config: &NetConfig) -> Result<(Recorded, Tensor)> {
    let net = find(config)?;
    let mut build = Build::new(tape, pictures, false);
    let recorded = (net.record)(&mut build, pictures, config)?;
    let (Some(map), Some(features)) = (build.map, build.features) else {
        return Err(Error::run(format!("{}: has no trunk", net.name)));
    };
    let features = if features == map { global_avg_pool(tape, map)? } else { features };
    Ok((recorded, features))
}

/// Records a network for training, frozen from its start up to where `freeze` says, and gives the words of its trunk's
/// parameters too. Batch-norms of frozen layers keep to their running statistics; with `freeze_statistics` all do.
///
/// # Errors
/// As [`record`]; [`Error::Input`] if there is no such layer or nothing would be left to train.
pub fn record_for_training(
    tape: &mut Tape,
    pictures: Tensor,
    config: &NetConfig,
    freeze: Option<&Freeze>,
    freeze_statistics: bool,
) -> Result<(Recorded, usize)> {
    let net = find(config)?;
    if freeze.is_some() {
        tape.freeze();
    }
    let mut build = Build::new(tape, pictures, true);
    (build.freeze, build.freeze_statistics) = (freeze.cloned(), freeze_statistics);
    let recorded = (net.record)(&mut build, pictures, config)?;
    let trunk_words = build.trunk_words.unwrap_or(0);
    if let Some(freeze) = freeze {
        freeze.check(tape)?;
    }
    if freeze_statistics && tape.spec().states.is_empty() {
        let (net, what) = (net.name, "has no batch-norms whose statistics could be frozen; leave it out");
        return Err(Error::input(format!("--freeze-statistics: {net} {what}")));
    }
    Ok((recorded, trunk_words))
}
