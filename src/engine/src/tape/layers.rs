//! Layers: which words of the parameters belong to which name.

use std::ops::Range;

use super::{Home, Tape};
use crate::params::Arena;

/// What was recorded after the name before, up to this one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layer {
    pub name: String,
    /// Its words in the buffer of all parameters.
    pub parameters: Range<usize>,
    /// Its words in the buffer of running statistics.
    pub states: Range<usize>,
}

impl Tape {
    /// The named layers in the order of recording. What comes after the last name is the layer "head". Layers may be empty;
    /// together they are all parameters and running statistics.
    pub fn layers(&self) -> Vec<Layer> {
        // A block's output may be older than what is recorded into it; what counts is where its name stands.
        let mut ends: Vec<(&str, usize)> = vec![];
        for (name, tensor) in self.names() {
            let end = ends.last().map_or(0, |(_, before)| *before).max(tensor.id + 1);
            ends.push((name, end));
        }
        ends.push(("head", self.values.len()));
        let (mut parameters, mut states) = (0, 0);
        let layers = ends.into_iter().map(|(name, end)| {
            let parameters_end = self.first_word(Arena::Parameters, end).unwrap_or(self.spec().parameter_words());
            let states_end = self.first_word(Arena::State, end).unwrap_or(self.spec().state_words());
            let layer =
                Layer { name: name.to_owned(), parameters: parameters..parameters_end, states: states..states_end };
            (parameters, states) = (parameters_end, states_end);
            layer
        });
        layers.collect()
    }

    /// The first word of an arena that belongs to a value with this number or a later one.
    fn first_word(&self, arena: Arena, from: usize) -> Option<usize> {
        let words = self.values[from..].iter().filter_map(|value| match value.home {
            Home::Arena(of, word) if of == arena => Some(word),
            _ => None,
        });
        words.min()
    }
}
