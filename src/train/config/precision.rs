//! How many bits numbers have.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// In which precision the training step keeps feature maps and their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// All in 32 bits.
    #[default]
    F32,
    /// 16 bits; sums, parameters, their gradients, statistics and the loss in 32. The loss scale adjusts itself
    /// ([`LossScale`](crate::weights::LossScale)). Validation is in 32 bits.
    Mixed,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::F32 => "f32",
            Self::Mixed => "mixed",
        })
    }
}

impl FromStr for Precision {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "f32" => Ok(Self::F32),
            "mixed" => Ok(Self::Mixed),
            _ => Err("must be f32 or mixed"),
        }
    }
}
