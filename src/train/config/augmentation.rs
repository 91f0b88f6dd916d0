//! What the input op changes by chance.

use std::fmt;
use std::str::FromStr;

use gatefold_engine::ops::input::{MOST_CROP, MOST_DEGREES};
use serde::{Deserialize, Serialize};

use crate::Result;

/// Random changes of the pictures in training, written `flip,shift=0.1,colour=0.2,erase=0.25` and so on, or `none`.
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
    /// Show a part of each picture: up to this share of its area is cut off.
    pub crop: f32,
    /// Turn each picture by up to this many degrees.
    pub rotate: f32,
    /// Change each picture in two ways drawn from RandAugment's, so far (0 to 1).
    pub randaugment: f32,
    /// Mix pictures and labels of a batch, by shares from Beta(mixup, mixup).
    pub mixup: f32,
    /// Replace a rectangle by another picture's, labels by the area, which is from Beta(cutmix, cutmix).
    pub cutmix: f32,
}

/// The changes that have a number: name, what it is without one, the most it may be, and of what.
const NUMBERS: [(&str, f32, f32, &str); 8] = [
    ("shift", 0.1, 0.5, " of the side"),
    ("crop", 0.5, MOST_CROP, " of the area"),
    ("rotate", 10.0, MOST_DEGREES, " degrees"),
    ("randaugment", 0.3, 1.0, ""),
    ("colour", 0.2, 1.0, ""),
    ("erase", 0.25, 1.0, " of the pictures"),
    ("mixup", 0.2, 10.0, ""),
    ("cutmix", 1.0, 10.0, ""),
];

impl Augmentation {
    /// Whether pictures of a batch are mixed with others of it.
    pub fn mixes(&self) -> bool {
        self.mixup > 0.0 || self.cutmix > 0.0
    }

    /// The fields that [`NUMBERS`] names, in its order.
    fn numbers(&mut self) -> [&mut f32; 8] {
        let Self { flip: _, shift, colour, erase, crop, rotate, randaugment, mixup, cutmix } = self;
        [shift, crop, rotate, randaugment, colour, erase, mixup, cutmix]
    }
}

impl FromStr for Augmentation {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut augmentation = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty() && *part != "none") {
            let (name, value) = part.split_once('=').map_or((part, None), |(name, value)| (name, Some(value)));
            if name == "flip" && value.is_none() {
                augmentation.flip = true;
                continue;
            }
            let Some(place) = NUMBERS.iter().position(|(known, ..)| *known == name) else {
                let known = NUMBERS.map(|(known, ..)| known).join(", ");
                return Err(format!("{part}: must be flip, none, or one of {known}, with =NUMBER or without"));
            };
            let (_, default, most, of) = NUMBERS[place];
            *augmentation.numbers()[place] = match value {
                None => default,
                Some(text) => {
                    let number = text.parse::<f32>().ok().filter(|number| (0.0..=most).contains(number));
                    number.ok_or_else(|| format!("{name}={text}: must be from 0 to {most}{of}"))?
                }
            };
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
        let mut copy = *self;
        for ((name, ..), &mut number) in NUMBERS.iter().zip(copy.numbers()) {
            if number > 0.0 {
                parts.push(format!("{name}={number}"));
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
        for wrong in [
            "flip=1",
            "colour=1.5",
            "erase=-1",
            "erase=x",
            "rotate=90",
            "randaugment=2",
            "crop=1",
            "mixup=NaN",
            "cutmix=11",
        ] {
            assert!(wrong.parse::<Augmentation>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "none",
            "flip",
            "flip,shift=0.25",
            "shift=0.1,colour=0.2,erase=0.25",
            "crop=0.5,rotate=10,randaugment=0.3,mixup=0.2,cutmix=1",
        ] {
            assert_eq!(text.parse::<Augmentation>().unwrap().to_string(), text);
        }
        assert_eq!("colour,erase".parse::<Augmentation>().unwrap().to_string(), "colour=0.2,erase=0.25");
    }
}
