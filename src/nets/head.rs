//! What stands on a trunk, and turns its last map into logits.

use std::fmt;
use std::str::FromStr;

use gatefold_engine::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::build::{Build, pytorch};
use crate::Result;

/// Hidden units of the flatten head. Whoever published it names no number. At 224 pixels each unit costs 100,352 weights on
/// ResNet-50 (7x7x2048): 128 of them are half as many parameters as the trunk has, and eight times the largest label set of
/// this project.
const HIDDEN: usize = 128;

/// What `--head` takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Global average pooling and one linear layer, as torchvision has it.
    #[default]
    Linear,
    /// Flatten, a dense layer with ReLU, and a dense layer for the classes ("Shazzzam Cam"): each place of the map has weights of
    /// its own, so their number depends on the size of the pictures.
    Flatten,
}

impl Head {
    /// Records the head on the trunk's last map. `linear` is torchvision's name of the linear layer, before which `dropout`
    /// drops; the flatten head's layers are `head.fc1` and `head.fc2`.
    pub(super) fn record(
        self,
        build: &mut Build,
        map: Tensor,
        linear: &str,
        dropout: f32,
        outputs: usize,
    ) -> Result<Tensor> {
        build.head(map);
        match self {
            Self::Linear => {
                let x = build.global_avg_pool(map)?;
                let x = build.dropout(x, dropout)?;
                build.dense(linear, x, outputs, None)
            }
            Self::Flatten => {
                build.dense_start = pytorch;
                let x = build.flatten(map);
                let x = build.dense("head.fc1", x, HIDDEN, Some(map.shape))?;
                let x = build.relu(x);
                build.dense("head.fc2", x, outputs, None)
            }
        }
    }
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "linear" => Ok(Self::Linear),
            "flatten" => Ok(Self::Flatten),
            _ => Err("must be linear or flatten".into()),
        }
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Flatten => "flatten",
        })
    }
}
