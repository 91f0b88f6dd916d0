//! The evidence: one motif per genre, drawn inside the unit circle (y downwards) in two inks.
//!
//! What distinguishes the genres is shape alone. Inks, place, size, lean and line weight come from outside.

mod country;
mod electronic;
mod folk;
mod jazz;
mod metal;

use tiny_skia::Color;

use super::dice::Dice;
use super::pen::Pen;

/// How any motif is to be drawn.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// The body of the motif; stands out from the background.
    pub main: Color,
    /// Details upon the body; stands out from it.
    pub detail: Color,
    /// Multiplies the width of lines: 0.8 to 1.25.
    pub weight: f32,
}

type Draw = fn(&mut Pen, &Style, &mut Dice);

/// The genres in the order of their folders, each with its motif.
pub(super) const GENRES: [(&str, Draw); 5] = [
    ("Country", country::draw),
    ("Electronic", electronic::draw),
    ("Folk", folk::draw),
    ("Jazz", jazz::draw),
    ("Metal", metal::draw),
];
