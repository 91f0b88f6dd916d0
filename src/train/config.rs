//! What a training run is made of. A recipe is a TOML file with some of these fields; so is the `config.toml` of a run.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Schedule;
use crate::data::Fit;
use crate::nets::{self, Head, NetConfig};
use crate::{Error, Result};

/// All settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    pub net: String,
    /// Height and width of the network's input in pixels.
    pub size: usize,
    pub fit: Fit,
    /// Mean and deviation of red, green and blue on the scale of 0 to 1, which normalisation takes away. Weights that training
    /// starts from bring their own.
    pub mean: [f32; 3],
    pub deviation: [f32; 3],
    pub batch: usize,
    pub epochs: u64,
    /// Learning rate of Adam; the peak of a schedule.
    pub lr: f32,
    pub schedule: Schedule,
    /// Decoupled, as AdamW has it.
    pub weight_decay: f32,
    pub label_smoothing: f32,
    pub augment: Augmentation,
    /// Share that the dropout layers drop.
    pub dropout: f32,
    pub batch_norm: bool,
    /// What stands on the trunk of torchvision's networks.
    pub head: Head,
    /// Train, validation and test, in percent or as fractions; without it 70, 15, 15 or what a data set brings along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub split: Option<[f64; 3]>,
    pub group: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    pub seed: u64,
    /// Where a run came from; only in a run's own `config.toml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run: Option<Origin>,
}

/// Where a run came from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    pub data: PathBuf,
    pub adapter: String,
    pub version: String,
    pub labels: Vec<String>,
    pub parameters: usize,
    /// The file that the first weights came from; going on with the run does not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weights: Option<WeightsFile>,
}

/// A weights file as it was when a run started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WeightsFile {
    pub path: PathBuf,
    /// Of its bytes, in hexadecimal digits.
    pub blake3: String,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            net: "prognet".into(),
            size: 128,
            fit: Fit::Crop,
            // Values in [0, 1] become -2 to 2.
            mean: [0.5; 3],
            deviation: [0.25; 3],
            batch: 32,
            epochs: 24,
            lr: 0.002,
            schedule: Schedule::OneCycle,
            weight_decay: 0.01,
            label_smoothing: 0.0,
            augment: Augmentation { flip: true, shift: 0.1 },
            dropout: 0.2,
            batch_norm: true,
            head: Head::Linear,
            split: None,
            group: vec![],
            path: None,
            label: None,
            seed: 1,
            run: None,
        }
    }
}

/// Recipes that come with the program.
const RECIPES: &[(&str, &str)] = &[
    ("prog-rock", include_str!("../../datasets/recipes/prog-rock.toml")),
    ("shazzzam-resnet50", include_str!("../../datasets/recipes/shazzzam-resnet50.toml")),
    ("shazzzam-densenet169", include_str!("../../datasets/recipes/shazzzam-densenet169.toml")),
    ("shazzzam-inception3", include_str!("../../datasets/recipes/shazzzam-inception3.toml")),
];

impl Config {
    /// A built-in recipe by name, or one from a TOML file.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such recipe or a field is unknown or of the wrong type.
    pub fn recipe(name: &str) -> Result<Self> {
        let built_in = RECIPES.iter().find(|(known, _)| *known == name);
        let text = match built_in {
            Some((_, text)) => (*text).to_owned(),
            None => std::fs::read_to_string(name).map_err(|e| {
                let known: Vec<_> = RECIPES.iter().map(|(known, _)| *known).collect();
                let known = known.join(", ");
                Error::input(format!(
                    "--recipe {name}: no such file ({e}), and no built-in recipe (there are: {known})"
                ))
            })?,
        };
        Self::parse(&text, name)
    }

    /// Reads a run's `config.toml`.
    pub fn read(path: &Path) -> Result<Self> {
        let source = path.display().to_string();
        let text =
            std::fs::read_to_string(path).map_err(|e| Error::input(format!("{source}: cannot be read ({e})")))?;
        Self::parse(&text, &source)
    }

    fn parse(text: &str, source: &str) -> Result<Self> {
        toml::from_str(text).map_err(|e| {
            let text = e.to_string();
            Error::input(format!("recipe {source}: {}", text.split_whitespace().collect::<Vec<_>>().join(" ")))
        })
    }

    /// As TOML.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self).map_err(Error::run)
    }

    /// The network for `classes` classes.
    pub fn net_config(&self, classes: usize) -> NetConfig {
        let (net, size) = (self.net.clone(), self.size);
        NetConfig { net, size, classes, dropout: self.dropout, batch_norm: self.batch_norm, head: self.head }
    }

    /// Checks what can be checked before any picture is read.
    pub fn check(&self) -> Result<()> {
        nets::find(&self.net_config(2))?;
        let bad = |option: &str, value: &dyn fmt::Display, rule: &str| {
            Err(Error::input(format!("--{option} {value}: must be {rule}")))
        };
        if self.size > crate::data::pack::MAX_SIZE as usize {
            return bad("size", &self.size, &format!("at most {}", crate::data::pack::MAX_SIZE));
        }
        if self.batch == 0 || self.batch > 1 << 16 {
            return bad("batch", &self.batch, "from 1 to 65536");
        }
        if self.epochs == 0 {
            return bad("epochs", &self.epochs, "at least 1");
        }
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return bad("lr", &self.lr, "a number above 0");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("weight-decay", &self.weight_decay, "0 or above");
        }
        if !self.mean.iter().all(|v| v.is_finite()) || !self.deviation.iter().all(|v| v.is_finite() && *v > 0.0) {
            let Self { mean, deviation, .. } = self;
            let text =
                format!("recipe: mean {mean:?}, deviation {deviation:?}: must be numbers, and deviations above 0");
            return Err(Error::input(text));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return bad("label-smoothing", &self.label_smoothing, "from 0 to below 1");
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bad("dropout", &self.dropout, "from 0 to below 1");
        }
        if self.seed > u64::from(u32::MAX) {
            return bad("seed", &self.seed, "at most 4294967295");
        }
        Ok(())
    }
}

/// Random changes of the pictures in training, written `flip,shift=0.1` or `none`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Augmentation {
    /// Mirror half of the pictures.
    pub flip: bool,
    /// Move each picture by up to this share of its side, in both directions.
    pub shift: f32,
}

const DEFAULT_SHIFT: f32 = 0.1;

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut augmentation = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "none") {
            match part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value))) {
                ("flip", None) => augmentation.flip = true,
                ("shift", None) => augmentation.shift = DEFAULT_SHIFT,
                ("shift", Some(value)) => {
                    let share = value.parse::<f32>().ok().filter(|share| (0.0..=0.5).contains(share));
                    augmentation.shift = share.ok_or(format!("shift={value}: must be from 0 to 0.5 of the side"))?;
                }
                _ => return Err(format!("{part}: must be flip, shift, shift=SHARE or none")),
            }
        }
        Ok(augmentation)
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.flip, self.shift > 0.0) {
            (false, false) => f.write_str("none"),
            (true, false) => f.write_str("flip"),
            (false, true) => write!(f, "shift={}", self.shift),
            (true, true) => write!(f, "flip,shift={}", self.shift),
        }
    }
}

impl From<Augmentation> for String {
    fn from(augmentation: Augmentation) -> Self {
        augmentation.to_string()
    }
}

impl TryFrom<String> for Augmentation {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_survives_its_file() {
        let mut config = Config { split: Some([80.0, 0.0, 20.0]), group: vec!["artist".into()], ..Config::default() };
        config.augment = "shift=0.25".parse().unwrap();
        let text = config.to_toml().unwrap();
        assert_eq!(Config::parse(&text, "test").unwrap(), config, "{text}");
    }

    #[test]
    fn the_built_in_recipes_are_valid() {
        for (name, _) in RECIPES {
            Config::recipe(name).unwrap().check().unwrap();
        }
        let prog = Config::recipe("prog-rock").unwrap();
        assert_eq!((prog.size, prog.epochs, prog.split), (260, 50, Some([80.0, 0.0, 20.0])));
        for (name, net, size) in [
            ("shazzzam-resnet50", "resnet50", 224),
            ("shazzzam-densenet169", "densenet169", 224),
            ("shazzzam-inception3", "inception_v3", 299),
        ] {
            let recipe = Config::recipe(name).unwrap();
            assert_eq!((recipe.net.as_str(), recipe.size, recipe.head), (net, size, Head::Flatten));
            assert_eq!(
                (recipe.lr, recipe.schedule, recipe.split),
                (0.01, Schedule::Constant, Some([70.0, 15.0, 15.0]))
            );
        }
    }

    #[test]
    fn unknown_recipes_fields_and_values_are_bad_input() {
        assert_eq!(Config::recipe("no-such").unwrap_err().exit_code(), 2);
        assert!(Config::parse("epoch = 3", "test").unwrap_err().to_string().contains("epoch"));
        for wrong in [
            Config { size: 8, ..Config::default() },
            Config { batch: 0, ..Config::default() },
            Config { lr: f32::NAN, ..Config::default() },
            Config { label_smoothing: 1.0, ..Config::default() },
            Config { net: "vgg".into(), ..Config::default() },
        ] {
            assert_eq!(wrong.check().unwrap_err().exit_code(), 2, "{wrong:?}");
        }
        assert!("tilt".parse::<Augmentation>().is_err());
        assert!("shift=2".parse::<Augmentation>().is_err());
    }
}
