//! `config.json` as timm keeps it beside weights, so that it and the Hub know what they are of: read and written.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::Header;
use crate::data::Fit;
use crate::nets::graph::Graph;
use crate::nets::layers::{Layer, Op};
use crate::nets::{Head, NETS, NetConfig, find, names};
use crate::read::read_text;
use crate::{Error, Result};

/// Where it lies for a file of weights.
pub fn beside(file: &Path) -> PathBuf {
    file.with_file_name("config.json")
}

/// What the file beside others' weights says, as far as it concerns us.
#[derive(Deserialize)]
pub struct Beside {
    architecture: Option<String>,
    /// Classes of another program, which writes a file of the same name.
    #[serde(default)]
    architectures: Vec<String>,
    pub pretrained_cfg: Option<Preprocessing>,
    /// Of weights for other classes than ImageNet's.
    #[serde(default)]
    label_names: Vec<String>,
}

/// How pictures are made.
#[derive(Deserialize)]
pub struct Preprocessing {
    pub mean: [f32; 3],
    pub std: [f32; 3],
    #[serde(default = "super::whole")]
    pub crop_pct: f32,
    /// Channels, height, width.
    pub input_size: Option<[usize; 3]>,
    pub interpolation: Option<String>,
}

impl Beside {
    /// `None` where there is none that can be read.
    fn read(file: &Path) -> Option<Self> {
        serde_json::from_str(&read_text(&beside(file)).ok()?).ok()
    }

    /// Beside weights of this network; `None` also if it is of another one.
    pub fn of(net: &str, file: &Path) -> Option<Self> {
        Self::read(file).filter(|beside| beside.architecture.as_deref() == Some(net))
    }

    /// The names of so many classes, if there are as many, and each once.
    pub fn labels(self, classes: usize) -> Option<Vec<String>> {
        let mut seen = HashSet::new();
        let named = self.label_names.iter().all(|label| !label.is_empty() && seen.insert(label));
        (named && self.label_names.len() == classes).then_some(self.label_names)
    }
}

/// The network that the file beside weights names; `None` where it names none.
///
/// # Errors
/// [`Error::Input`] if it is none of ours.
pub fn net_beside(file: &Path) -> Result<Option<String>> {
    let named = Beside::read(file).and_then(|of| of.architecture.or_else(|| of.architectures.into_iter().next()));
    match named {
        Some(name) if !NETS.iter().any(|net| net.name == name) => {
            let (beside, known) = (beside(file).display().to_string(), names());
            Err(Error::input(format!(
                "{beside}: the weights are of {name}, which is none of the networks here ({known}); take others, or say --net if it is one"
            )))
        }
        named => Ok(named),
    }
}

/// What the whole file says.
#[derive(Clone, Debug, Serialize)]
pub struct Config<'a> {
    pub architecture: &'a str,
    /// Rows of the head: one for two classes.
    pub num_classes: usize,
    pub num_features: usize,
    pub global_pool: &'static str,
    /// Class names; two where the head has one row.
    pub label_names: &'a [String],
    pub pretrained_cfg: Pretrained,
}

/// What it says of the weights.
#[derive(Clone, Debug, Serialize)]
pub struct Pretrained {
    pub tag: &'static str,
    pub custom_load: bool,
    pub input_size: [usize; 3],
    pub fixed_input_size: bool,
    pub interpolation: &'static str,
    pub crop_pct: f64,
    pub crop_mode: &'static str,
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub num_classes: usize,
    /// Rows and columns of the map that the trunk ends in.
    pub pool_size: [usize; 2],
    pub first_conv: String,
    pub classifier: String,
}

/// Whether timm, and torchvision, have this very network.
///
/// # Errors
/// [`Error::Input`] if there is no such network here.
pub fn has(net: &NetConfig) -> Result<bool> {
    Ok(find(net)?.torchvision && net.head == Head::Linear)
}

/// How timm names the filter, and how it makes squares; and whether that is just what we do.
pub fn squares(fit: Fit) -> (&'static str, &'static str, bool) {
    match fit {
        // It resizes first and cuts then, which differs in roundings alone.
        Fit::Crop => ("bicubic", "center", true),
        // It fills with the mean.
        Fit::Pad => ("bicubic", "border", false),
        Fit::Bilinear | Fit::Bicubic | Fit::Lanczos => (fit.name(), "center", true),
    }
}

impl<'a> Config<'a> {
    /// What timm should know of a checkpoint.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such network.
    pub fn of(header: &'a Header) -> Result<Self> {
        let graph = Graph::of(&header.net)?;
        let missing = || Error::run(format!("{}: has no trunk and head", header.net.net));
        let map = graph.map.ok_or_else(missing)?.shape;
        let first_conv = graph.layers.iter().find_map(|layer| match &layer.op {
            Op::Conv { name, .. } => Some(name.clone()),
            _ => None,
        });
        let Some(Layer { op: Op::Dense { name: classifier }, .. }) = graph.layers.last() else { return Err(missing()) };
        let pooled = !graph.layers.iter().any(|layer| layer.op == Op::Flatten);
        let (interpolation, crop_mode, _) = squares(header.fit);
        let (size, num_classes) = (header.net.size, header.net.outputs());
        Ok(Self {
            architecture: &header.net.net,
            num_classes,
            num_features: map.c,
            global_pool: if pooled { "avg" } else { "" },
            label_names: &header.labels,
            pretrained_cfg: Pretrained {
                tag: "gatefold",
                custom_load: false,
                input_size: [3, size, size],
                fixed_input_size: !pooled,
                interpolation,
                crop_pct: crop_pct(size, header.picture_size()),
                crop_mode,
                mean: header.mean,
                std: header.std,
                num_classes,
                pool_size: [map.h, map.w],
                first_conv: first_conv.ok_or_else(missing)?,
                classifier: classifier.clone(),
            },
        })
    }
}

/// The share of which timm makes just this size: it divides and rounds down.
fn crop_pct(size: usize, picture: usize) -> f64 {
    let share = size as f64 / picture as f64;
    if (size as f64 / share).floor() < picture as f64 { share.next_down() } else { share }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timm_gets_the_size_back_that_pictures_were_made_in() {
        for size in 16..600 {
            for picture in size..2 * size {
                let share = crop_pct(size, picture);
                assert_eq!((size as f64 / share).floor() as usize, picture, "{size} of {picture}");
            }
        }
        assert_eq!([crop_pct(224, 256), crop_pct(64, 64)], [0.875, 1.0]);
    }
}
