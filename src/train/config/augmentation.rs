//! What the input op changes by chance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Result;

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
    use super::Augmentation;

    #[test]
    fn unknown_changes_and_shifts_beyond_half_are_refused() {
        assert!("tilt".parse::<Augmentation>().is_err());
        assert!("shift=2".parse::<Augmentation>().is_err());
    }
}
