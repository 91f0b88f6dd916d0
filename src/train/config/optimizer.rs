//! What makes a step of the gradients, and what it does where nothing else is said.

use serde::{Deserialize, Serialize};

/// Of [`Optimizer::Sgd`] where none is said.
pub const MOMENTUM: f32 = 0.9;

/// What makes a step of the gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Optimizer {
    /// With decoupled weight decay: AdamW.
    #[default]
    Adam,
    /// Gradient descent with Nesterov's momentum.
    Sgd,
}

impl Optimizer {
    /// The rate where none is said.
    pub fn usual_rate(self) -> f32 {
        match self {
            Self::Adam => 0.002,
            Self::Sgd => 0.05,
        }
    }

    /// The weight decay where none is said. It acts through the rate, so that of Adam would be far too much at the rate of SGD.
    pub fn usual_decay(self) -> f32 {
        match self {
            Self::Adam => 0.01,
            Self::Sgd => 0.0005,
        }
    }
}

/// What weight decay is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Decay {
    /// All parameters.
    #[default]
    All,
    /// Not biases, nor what batch-norms scale and shift by.
    Weights,
}
