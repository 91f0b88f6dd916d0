//! What of the settings is left open.

use super::Config;

/// Which settings neither an option nor a recipe says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Open {
    pub net: bool,
    pub size: bool,
    pub batch: bool,
    /// Neither a number nor a time.
    pub epochs: bool,
    /// To be found by [trial](crate::train::Trainer::try_rates) before the first step.
    pub lr: bool,
    /// How weights to start from are trained further: which head, which layers, at which rates, on which changes of the pictures.
    pub tuning: bool,
}

impl Open {
    /// Nothing was said. (A rate is tried only where that is asked for.)
    pub const ALL: Self = Self { net: true, size: true, batch: true, epochs: true, lr: false, tuning: true };

    /// Whether there is something to choose, with weights to start from or without.
    pub fn any(self, weights: bool) -> bool {
        self.net || self.size || self.epochs || (weights && self.tuning)
    }

    /// `config` with what it leaves open as an earlier call with the same options chose it, with weights to start from or without.
    pub fn as_chosen(config: &Config, weights: bool, before: &Config) -> Config {
        let (open, mut config) = (config.open, Config { open: Self::default(), ..config.clone() });
        if open.net {
            config.net.clone_from(&before.net);
        }
        if open.size {
            config.size = before.size;
        }
        if open.batch {
            config.batch = before.batch;
        }
        if open.epochs {
            config.epochs = before.epochs;
        }
        if weights && open.tuning {
            return Self::tuned_as(config, before);
        }
        config
    }

    /// `config` with what [`Self::tuning`] is about as `other` has it.
    pub fn tuned_as(config: Config, other: &Config) -> Config {
        Config {
            head: other.head.clone(),
            freeze: other.freeze.clone(),
            freeze_statistics: other.freeze_statistics,
            views: other.views,
            augment: other.augment,
            lr: other.lr,
            trunk_lr: other.trunk_lr,
            weight_decay: other.weight_decay,
            label_smoothing: other.label_smoothing,
            dropout: other.dropout,
            stochastic_depth: other.stochastic_depth,
            ..config
        }
    }
}
