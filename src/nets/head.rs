//! What stands on a trunk, and turns its maps into logits.

use std::fmt;
use std::str::FromStr;

use gatefold_engine::tensor::Tensor;
use serde::{Deserialize, Serialize};

use super::build::{Build, pytorch};
use crate::hint::did_you_mean;
use crate::{Error, Result};

/// Hidden units of the flatten head. Whoever published it names no number. At 224 pixels each unit costs 100,352 weights on
/// ResNet-50 (7x7x2048): 128 of them are half as many parameters as the trunk has, and eight times the largest label set of
/// this project.
const HIDDEN: usize = 128;

const EPS: f32 = 1e-5;

/// What `--head` takes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Head {
    /// Global average pooling and one linear layer, as torchvision has it.
    #[default]
    Linear,
    /// Flatten, a dense layer with ReLU, and a dense layer for the classes ("Shazzzam Cam"): each place of the map has weights of
    /// its own, so their number depends on the size of the pictures.
    Flatten,
    /// Batch-norm and one linear layer on the means of the maps of these layers, side by side; the network ends behind the last of them. What
    /// weights have learned for other pictures is more general in earlier layers (Yosinski and others, 2014), and a linear layer
    /// picks of several what serves (Head2Toe: Evci and others, 2022).
    Layers(Vec<String>),
}

impl Head {
    /// The layers that it names.
    pub fn layers(&self) -> &[String] {
        if let Self::Layers(names) = self { names } else { &[] }
    }

    /// The stages of torchvision's networks on which a linear layer learns most from a few thousand covers: from the middle to the
    /// end, a few of each width.
    pub fn usual(net: &str) -> Option<Self> {
        let layers: &[&str] = match net {
            "resnet18" => &["layer2.1", "layer3.0", "layer3.1", "layer4.0", "layer4.1"],
            "resnet34" | "resnet50" | "wide_resnet50_2" => {
                &["layer2.3", "layer3.2", "layer3.5", "layer4.0", "layer4.1", "layer4.2"]
            }
            "resnet101" => &["layer2.3", "layer3.11", "layer3.22", "layer4.0", "layer4.1", "layer4.2"],
            "densenet121" | "densenet169" | "densenet201" => &[
                "features.denseblock2",
                "features.transition2",
                "features.denseblock3",
                "features.transition3",
                "features",
            ],
            "inception_v3" => &["Mixed_5d", "Mixed_6a", "Mixed_6c", "Mixed_6e", "Mixed_7a", "Mixed_7b"],
            _ => return None,
        };
        Some(Self::Layers(layers.iter().map(|&name| name.to_owned()).collect()))
    }

    /// Records the head on the trunk's last map, or on the maps that it names. `linear` is torchvision's name of the linear layer,
    /// before which `dropout` drops; the layers of the others are `head.fc1` and `head.fc2`, and `head.norm` and `head.fc`.
    pub(super) fn record(
        &self,
        build: &mut Build,
        map: Tensor,
        linear: &str,
        dropout: f32,
        outputs: usize,
    ) -> Result<Tensor> {
        match self {
            Self::Linear => {
                let x = build.global_avg_pool(map)?;
                build.head(map, x);
                let x = build.dropout(x, dropout)?;
                build.dense(linear, x, outputs, None)
            }
            Self::Flatten => {
                build.head(map, map);
                build.dense_start = pytorch;
                let x = build.flatten(map);
                let x = build.dense("head.fc1", x, HIDDEN, Some(map.shape))?;
                let x = build.relu(x);
                build.dense("head.fc2", x, outputs, None)
            }
            Self::Layers(names) => {
                let maps = names.iter().map(|name| stage(build, name)).collect::<Result<Vec<_>>>()?;
                let means = maps.into_iter().map(|map| build.global_avg_pool(map)).collect::<Result<Vec<_>>>()?;
                let x = if let [x] = means[..] { x } else { build.concat(&means)? };
                build.head(map, x);
                build.dense_start = pytorch;
                // Layers differ in size, and a rate and a decay are to mean the same for all.
                let x = build.head_norm("head.norm", x, EPS)?;
                let x = build.dropout(x, dropout)?;
                build.dense("head.fc", x, outputs, None)
            }
        }
    }
}

/// The map of a stage of the trunk.
fn stage(build: &Build, name: &str) -> Result<Tensor> {
    let stages = build.stages();
    let found = stages.iter().find(|(known, _)| known == name);
    found.map(|(_, map)| *map).ok_or_else(|| {
        let known = ["linear", "flatten"].into_iter().chain(stages.iter().map(|(known, _)| known.as_str()));
        let known: Vec<&str> = known.collect();
        let (hint, known) = (did_you_mean(name, &known), known.join(", "));
        Error::input(format!("--head {name}: there is neither such a head nor such a layer{hint}; there are: {known}"))
    })
}

impl FromStr for Head {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "linear" => Ok(Self::Linear),
            "flatten" => Ok(Self::Flatten),
            layers => {
                let names: Vec<String> = layers.split(',').map(|name| name.trim().to_owned()).collect();
                let twice = (1..names.len()).any(|at| names[..at].contains(&names[at]));
                if twice || names.iter().any(|name| name.is_empty()) {
                    return Err("must be linear, flatten, or names of layers with commas between, each once".into());
                }
                Ok(Self::Layers(names))
            }
        }
    }
}

impl TryFrom<String> for Head {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Head> for String {
    fn from(head: Head) -> Self {
        head.to_string()
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Linear => "linear",
            Self::Flatten => "flatten",
            Self::Layers(names) => return f.write_str(&names.join(",")),
        })
    }
}
