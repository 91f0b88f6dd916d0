//! Does what a heat map marks matter to the network? Pixels are taken away, or put back, in the order of the map, and the
//! probability of the class is watched.
//!
//! - **Deletion** (Petsiuk and others, 2018, "RISE: Randomized Input Sampling for Explanation of Black-box Models"): the hottest
//!   pixels first become the mean colour; the area under the curve is small where the map is right.
//! - **Insertion** (the same): the hottest pixels first are put into a blurred picture; the area is large where the map is right.
//! - **ROAD** (Rong and others, 2022, "A Consistent and Efficient Evaluation Strategy for Attribution Methods"): 10 to 90 % of the
//!   pixels, the hottest or the coldest, are replaced by what their neighbours suggest ([`impute`]), so that the shape of
//!   the hole tells nothing. The score is the mean over the percentages of (coldest taken away - hottest taken away) / 2.
//!
//! A number alone says little: covers have their evidence in the middle anyway, and any hole disturbs a network. So each is
//! held against two maps that know nothing of the network: random cells, as many as the layer has, and a blob in the centre.
//! Where a map is the same for many pixels (most are 0), the random map orders them, for all alike.

mod chart;
mod impute;
mod measure;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use chart::chart;
pub use impute::impute;
pub use measure::{Curves, measure};

use super::Estimate;

/// The file of the numbers, and that of the curves.
pub const NUMBERS: &str = "faithfulness.json";
pub const CHART: &str = "faithfulness.svg";

/// With fewer pictures there is no verdict.
pub const LEAST: usize = 5;

/// The two maps that know nothing of the network.
pub const RANDOM: &str = "random";
pub const BLOB: &str = "blob";

/// `faithfulness.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Faithfulness {
    pub layer: String,
    /// The class that was asked about; `None` is the predicted one of each picture.
    pub class: Option<String>,
    /// Where the pictures come from, such as "test set".
    pub source: String,
    /// How many pictures were measured, and how many there were.
    pub pictures: usize,
    pub of: usize,
    /// Pictures in which every method has positive evidence: what all means, curves and comparisons are over.
    pub compared: usize,
    /// Shares of the pixels that are deleted or inserted, from 0 to 1: the horizontal axis of those curves.
    pub fractions: Vec<f64>,
    /// Percentages of the pixels that ROAD takes away.
    pub percentages: Vec<u32>,
    /// The methods' maps, then the random map and the blob.
    pub maps: Vec<MapScores>,
    /// Each method against each of the two, by each measure.
    pub comparisons: Vec<Comparison>,
    /// A plain sentence for each method.
    pub verdicts: Vec<String>,
    /// What a heat map cannot show.
    pub cannot_show: String,
}

/// How a kind of map did, in the mean over pictures.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MapScores {
    /// A method's name, [`RANDOM`] or [`BLOB`].
    pub name: String,
    /// Pictures with positive evidence; the others have no map.
    pub pictures: usize,
    /// Area under the curve, 0 to 1: less is better.
    pub deletion: Estimate,
    /// Area under the curve, 0 to 1: more is better.
    pub insertion: Estimate,
    /// -0.5 to 0.5: more is better.
    pub road: Estimate,
    /// Mean probabilities of the class.
    pub curves: Curves,
}

/// What a map is judged by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    Deletion,
    Insertion,
    Road,
}

impl Measure {
    pub const ALL: [Self; 3] = [Self::Deletion, Self::Insertion, Self::Road];

    /// As people write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Deletion => "deletion",
            Self::Insertion => "insertion",
            Self::Road => "ROAD",
        }
    }
}

/// A method against a map that knows nothing of the network, picture by picture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    pub method: String,
    /// [`RANDOM`] or [`BLOB`].
    pub against: String,
    pub measure: Measure,
    /// By how much the method is better, in the mean over pictures; for deletion how much smaller.
    pub advantage: Estimate,
    /// Whether the whole interval is above 0.
    pub beats: bool,
}

/// Whether a method's map beats the other two, in one sentence.
#[must_use]
pub fn verdict(method: &str, pictures: usize, comparisons: &[Comparison]) -> String {
    if pictures < LEAST {
        return format!(
            "{method}: {pictures} pictures with positive evidence are too few to tell anything; there must be {LEAST}."
        );
    }
    let beaten = |against: &str| -> Vec<&str> {
        let of = comparisons.iter().filter(|c| c.method == method && c.against == against && c.beats);
        of.map(|c| c.measure.name()).collect()
    };
    let by = |measures: &[&str]| match measures {
        [a, b, c] => format!("{a}, {b} and {c}"),
        _ => measures.join(" and "),
    };
    let (random, blob) = (beaten(RANDOM), beaten(BLOB));
    let over = format!("Over {pictures} pictures, {method}");
    match (&random[..], &blob[..]) {
        ([], []) => format!(
            "{over} is not shown to beat a random map or a centred blob by any measure: do not rely on it here."
        ),
        ([], _) => format!("{over} beats a centred blob by {}, but is not shown to beat a random map.", by(&blob)),
        (_, []) => format!(
            "{over} beats a random map by {}, but is not shown to beat a centred blob: it says little more than \"the middle\".",
            by(&random)
        ),
        ([_, _, _], [_, _, _]) => {
            format!("{over} beats both a random map and a centred blob by {}: what it marks matters.", by(&random))
        }
        _ => format!(
            "{over} beats a random map by {} and a centred blob by {}; no more is shown.",
            by(&random),
            by(&blob)
        ),
    }
}
