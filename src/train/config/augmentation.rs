//! What the input op changes by chance.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Result;

/// Random changes of the pictures in training, written `flip,shift=0.1,colour=0.2,erase=0.25` or `none`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Augmentation {
    /// Mirror half of the pictures.
    pub flip: bool,
    /// Move each picture by up to this share of its side, in both directions.
    pub shift: f32,
    /// Change brightness, contrast and saturation by factors of up to this much more or less than 1.
    pub colour: f32,
    /// Share of the pictures that lose a rectangle.
    pub erase: f32,
}

const DEFAULT_SHIFT: f32 = 0.1;
const DEFAULT_COLOUR: f32 = 0.2;
const DEFAULT_ERASE: f32 = 0.25;

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut augmentation = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "none") {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            let share = |default: f32, most: f32, of: &str| match value {
                None => Ok(default),
                Some(text) => {
                    let share = text.parse::<f32>().ok().filter(|share| (0.0..=most).contains(share));
                    share.ok_or_else(|| format!("{name}={text}: must be from 0 to {most}{of}"))
                }
            };
            match name {
                "flip" if value.is_none() => augmentation.flip = true,
                "shift" => augmentation.shift = share(DEFAULT_SHIFT, 0.5, " of the side")?,
                "colour" => augmentation.colour = share(DEFAULT_COLOUR, 1.0, "")?,
                "erase" => augmentation.erase = share(DEFAULT_ERASE, 1.0, " of the pictures")?,
                _ => return Err(format!("{part}: must be flip, shift, colour, erase (=SHARE) or none")),
            }
        }
        Ok(augmentation)
    }
}

impl fmt::Display for Augmentation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        if self.flip {
            parts.push("flip".to_owned());
        }
        for (name, share) in [("shift", self.shift), ("colour", self.colour), ("erase", self.erase)] {
            if share > 0.0 {
                parts.push(format!("{name}={share}"));
            }
        }
        f.write_str(if parts.is_empty() { "none".into() } else { parts.join(",") }.as_str())
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
        for wrong in ["flip=1", "colour=1.5", "erase=-1", "erase=x"] {
            assert!(wrong.parse::<Augmentation>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in ["none", "flip", "flip,shift=0.25", "shift=0.1,colour=0.2,erase=0.25"] {
            assert_eq!(text.parse::<Augmentation>().unwrap().to_string(), text);
        }
        assert_eq!("colour,erase".parse::<Augmentation>().unwrap().to_string(), "colour=0.2,erase=0.25");
    }
}
