//! Which layers a fine-tuning leaves as they are.

use std::fmt;

use gatefold_engine::tape::Tape;
use serde::{Deserialize, Serialize};

use crate::hint::did_you_mean;
use crate::{Error, Result};

/// The layers whose parameters are not trained: always the first ones, in the order of recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Freeze {
    /// All before the head.
    Trunk,
    /// All up to the layer of this name, and that one.
    Layer(String),
}

impl Freeze {
    /// Checks a recorded network: the layer exists, and something is left to train.
    pub(super) fn check(&self, tape: &Tape) -> Result<()> {
        if let Self::Layer(name) = self
            && tape.named(name).is_none()
        {
            let known: Vec<_> =
                ["trunk"].into_iter().chain(tape.names().iter().map(|(name, _)| name.as_str())).collect();
            let (hint, known) = (did_you_mean(name, &known), known.join(", "));
            return Err(Error::input(format!("--freeze {name}: there is no such layer{hint}; there are: {known}")));
        }
        if tape.trained_words() == 0 {
            return Err(Error::input(format!("--freeze {self}: leaves nothing to train; name an earlier layer")));
        }
        Ok(())
    }
}

impl fmt::Display for Freeze {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Trunk => "trunk",
            Self::Layer(name) => name,
        })
    }
}

impl From<String> for Freeze {
    fn from(name: String) -> Self {
        if name == "trunk" { Self::Trunk } else { Self::Layer(name) }
    }
}

impl From<Freeze> for String {
    fn from(freeze: Freeze) -> Self {
        freeze.to_string()
    }
}
