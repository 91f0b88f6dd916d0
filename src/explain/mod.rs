//! Where in the picture the network looked, and whether the heat map that says so can be believed.
//!
//! [`Method`] has the formulas, [`Explainer`] makes maps of pictures, [`gallery`] writes them. [`faithfulness`] asks whether
//! what a map marks matters to the network, [`randomisation`] whether the map depends on what the network learned.

pub mod colormap;
mod estimate;
mod explainer;
pub mod faithfulness;
pub mod gallery;
mod method;
pub mod randomisation;
pub mod render;
pub mod score_cam;
mod scorer;

pub use estimate::Estimate;
pub use explainer::{Explainer, Explanation, choose_layer, layers};
pub use faithfulness::Faithfulness;
pub use method::Method;
pub use randomisation::Randomisation;
pub use render::HeatMap;
pub use scorer::{Scorer, normalised};

/// What is asked.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub methods: &'a [Method],
    /// `None` takes the network's usual one.
    pub layer: Option<&'a str>,
    /// `None` takes each picture's predicted class.
    pub class: Option<usize>,
}

/// Pictures to test heat maps on: RGB bytes, the model's picture size squared x 3 each.
#[derive(Clone)]
pub struct Pictures<'a> {
    pub pixels: Vec<&'a [u8]>,
    /// Where they come from, such as "test set", and how many there were.
    pub source: String,
    pub of: usize,
}

/// Said wherever a heat map is shown.
pub const CANNOT_SHOW: &str = "A heat map says where evidence lies, not what it is. Traces that lie everywhere, such as blur, \
                               resizing or compression, do not show in it: that is what `gatefold audit` is for.";
