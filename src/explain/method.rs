//! Heat maps from a layer's activation `A` and the gradient `G = dy/dA` of a class's score `y`.
//!
//! `y` is the score before softmax or sigmoid: a saturated sigmoid has a gradient of exactly 0. Of two classes with one logit,
//! class 1 has the logit as its score and class 0 the negative logit. `k` counts channels, `p` cells of the map. What comes out
//! has no scale of its own; [`HeatMap::normalised`] divides by its maximum. If nothing is above 0 there is no positive
//! evidence, and no picture of it.

use std::fmt;
use std::str::FromStr;

use gatefold_engine::tensor::Shape;
use serde::{Deserialize, Serialize};

use super::HeatMap;
use crate::Result;

/// How a heat map is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// Channels weighted by their mean gradient.
    ///
    /// Selvaraju and others, 2017 ("Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization"):
    /// `ReLU(sum_k a_k A_k)` with `a_k` the mean of `G_k` over the cells.
    #[default]
    #[serde(rename = "grad-cam")]
    GradCam,
    /// Channels weighted by positive gradients, each cell's share by its curvature.
    ///
    /// Chattopadhay and others, 2018 ("Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep Convolutional
    /// Networks"): `ReLU(sum_k w_k A_k)`, `w_k = sum_p a_kp ReLU(G_kp)`, and where `G` is not 0
    /// `a_kp = G_kp^2 / (2 G_kp^2 + G_kp^3 sum_q A_kq)`. These are second and third derivatives of `exp(y)` in a network
    /// that is piecewise linear (equation 19); the common factor `exp(y)` is left out, since the map has no scale.
    #[serde(rename = "grad-cam++")]
    GradCamPlusPlus,
    /// Each cell by its own gradient.
    ///
    /// Draelos and Carin, 2020 ("Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional neural networks"):
    /// `ReLU(sum_k G_k A_k)`, cell by cell. Where the gradient is the same in all cells it is Grad-CAM.
    #[serde(rename = "hirescam")]
    HiResCam,
    /// Each cell by its own gradient where that is positive; also for layers near the picture.
    ///
    /// Jiang and others, 2021 ("LayerCAM: Exploring Hierarchical Class Activation Maps for Localization"):
    /// `ReLU(sum_k ReLU(G_k) A_k)`, cell by cell.
    #[serde(rename = "layercam")]
    LayerCam,
    /// Channels weighted by what the network says of the picture masked by them; one forward pass per channel.
    ///
    /// Wang and others, 2020 ("Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks"); see
    /// [`score_cam`](super::score_cam).
    #[serde(rename = "score-cam")]
    ScoreCam,
}

impl Method {
    pub const ALL: [Self; 5] = [Self::GradCam, Self::GradCamPlusPlus, Self::HiResCam, Self::LayerCam, Self::ScoreCam];

    /// The name on the command line and in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GradCam => "grad-cam",
            Self::GradCamPlusPlus => "grad-cam++",
            Self::HiResCam => "hirescam",
            Self::LayerCam => "layercam",
            Self::ScoreCam => "score-cam",
        }
    }

    /// How it is made, in a few words.
    #[must_use]
    pub const fn about(self) -> &'static str {
        match self {
            Self::GradCam => "Channels weighted by their mean gradient",
            Self::GradCamPlusPlus => "Channels weighted by positive gradients",
            Self::HiResCam => "Each cell by its own gradient",
            Self::LayerCam => "Each cell by its own gradient where that is positive",
            Self::ScoreCam => "Channels weighted by the answer to the picture masked by them; slow",
        }
    }

    /// The map of one picture from a layer's activation and gradient, both `h x w x c` of `shape`. `None` for Score-CAM, which
    /// needs the network itself.
    ///
    /// # Errors
    /// If the numbers do not make a map of this shape.
    pub fn of_gradient(self, activation: &[f32], gradient: &[f32], shape: Shape) -> Result<Option<HeatMap>> {
        let values = match self {
            Self::GradCam => weighted(activation, &mean_gradients(gradient, shape.c)),
            Self::GradCamPlusPlus => weighted(activation, &plus_plus(activation, gradient, shape.c)),
            Self::HiResCam => cell_by_cell(activation, gradient, shape.c, |g| g),
            Self::LayerCam => cell_by_cell(activation, gradient, shape.c, |g| g.max(0.0)),
            Self::ScoreCam => return Ok(None),
        };
        HeatMap::new(shape.w, shape.h, values).map(Some)
    }
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(Self::name).join(", ");
        let found = Self::ALL.into_iter().find(|method| method.name() == text);
        found.ok_or_else(|| format!("there is no such method; there are: {}", known()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// `ReLU(sum_k w_k A_k)`, a value for each cell.
pub(super) fn weighted(activation: &[f32], weights: &[f64]) -> Vec<f32> {
    let cell = |cell: &[f32]| cell.iter().zip(weights).map(|(&a, w)| f64::from(a) * w).sum::<f64>();
    activation.chunks(weights.len()).map(|values| cell(values).max(0.0) as f32).collect()
}

fn mean_gradients(gradient: &[f32], c: usize) -> Vec<f64> {
    let cells = (gradient.len() / c) as f64;
    sums(gradient, c).into_iter().map(|sum| sum / cells).collect()
}

/// Of each channel over the cells.
fn sums(values: &[f32], c: usize) -> Vec<f64> {
    let mut sums = vec![0.0; c];
    for cell in values.chunks(c) {
        sums.iter_mut().zip(cell).for_each(|(sum, &v)| *sum += f64::from(v));
    }
    sums
}

fn plus_plus(activation: &[f32], gradient: &[f32], c: usize) -> Vec<f64> {
    let (totals, mut weights) = (sums(activation, c), vec![0.0; c]);
    for cell in gradient.chunks(c) {
        for ((weight, total), &g) in weights.iter_mut().zip(&totals).zip(cell) {
            let g = f64::from(g);
            // g^2 is cancelled, so that a small gradient does not vanish; ReLU(g) is 0 for the rest.
            let denominator = 2.0 + g * total;
            if g > 0.0 && denominator != 0.0 {
                *weight += g / denominator;
            }
        }
    }
    weights
}

fn cell_by_cell(activation: &[f32], gradient: &[f32], c: usize, of: impl Fn(f64) -> f64) -> Vec<f32> {
    let sum =
        |(a, g): (&[f32], &[f32])| -> f64 { a.iter().zip(g).map(|(&a, &g)| f64::from(a) * of(f64::from(g))).sum() };
    activation.chunks(c).zip(gradient.chunks(c)).map(|cell| sum(cell).max(0.0) as f32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two cells, two channels, cell after cell.
    const A: [f32; 4] = [1.0, 1.0, 0.5, 4.0];
    const G: [f32; 4] = [1.0, -1.0, 3.0, -1.0];

    fn map(method: Method, a: &[f32], g: &[f32]) -> Vec<f32> {
        let shape = Shape::new(1, 1, a.len() / 2, 2);
        method.of_gradient(a, g, shape).unwrap().unwrap().values().to_vec()
    }

    #[test]
    fn the_formulas() {
        // Mean gradients 2 and -1.
        assert_eq!(map(Method::GradCam, &A, &G), [1.0, 0.0]);
        assert_eq!(map(Method::HiResCam, &A, &G), [0.0, 0.0]);
        assert_eq!(map(Method::LayerCam, &A, &G), [1.0, 1.5]);
        // Of the first channel, whose activations add up to 1.5: 1/(2 + 1.5) + 3/(2 + 4.5); of the second nothing.
        let weight = 1.0 / 3.5 + 3.0 / 6.5;
        for (got, expected) in map(Method::GradCamPlusPlus, &A, &G).iter().zip([weight, 0.5 * weight]) {
            assert!((f64::from(*got) - expected).abs() < 1e-7, "{got} {expected}");
        }
    }

    #[test]
    fn of_equal_gradients_hirescam_and_layercam_are_grad_cam() {
        let (a, g) = ([1.0, 2.0, 3.0, 0.0, 5.0, 1.0], [0.5, 0.25, 0.5, 0.25, 0.5, 0.25]);
        for method in [Method::HiResCam, Method::LayerCam] {
            assert_eq!(map(method, &a, &g), map(Method::GradCam, &a, &g));
        }
    }

    #[test]
    fn no_positive_evidence_is_an_empty_map() {
        for method in [Method::GradCam, Method::GradCamPlusPlus, Method::HiResCam, Method::LayerCam] {
            let shape = Shape::new(1, 1, 2, 1);
            let heat = method.of_gradient(&[1.0, 2.0], &[-1.0, -1.0], shape).unwrap().unwrap();
            assert!(heat.normalised().is_none(), "{method}");
        }
    }

    #[test]
    fn grad_cam_plus_plus_has_no_hole_where_its_denominator_is_zero() {
        // 2 + g * sum(A) is 0; a network without a ReLU before the layer can come to that.
        assert_eq!(map(Method::GradCamPlusPlus, &[-1.0, 1.0, -1.0, 1.0], &[1.0, 0.0, 1.0, 0.0]), [0.0, 0.0]);
    }
}
