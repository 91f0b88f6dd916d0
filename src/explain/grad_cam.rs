//! Grad-CAM (Selvaraju and others, 2017): `alpha_k` is the mean over space of `dy_c / dA_k`, the map is
//! `ReLU(sum_k alpha_k A_k)`, and `y_c` is the class's score before softmax or sigmoid.
//!
//! The plan is the forward pass and the gradient of one logit back to the tapped layer: nothing before it, and nothing for
//! the parameters.

use super::HeatMap;
use crate::plan::Plan;
use crate::tensor::{Shape, Tensor};
use crate::train::model::{Forward, Model, Taps, forward, probabilities};
use crate::{Error, Result};

/// Makes heat maps of single pictures.
pub struct Explainer {
    plan: Plan,
    pixels: Tensor,
    /// Gradient that flows into the logits: which class, with which sign.
    seed: Tensor,
    logits: Tensor,
    activation: Tensor,
    /// `None` where the layer has no way to the logits.
    gradient: Tensor,
    layer: String,
}

/// A heat map and what it is of.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub layer: String,
    /// The class that was asked about, and the predicted one.
    pub class: usize,
    pub predicted: usize,
    /// The class's score before softmax; for one sigmoid plus or minus the logit.
    pub score: f32,
    pub probabilities: Vec<f32>,
    pub heat: HeatMap,
}

/// Names and shapes of the layers that can be asked about, in the order of the network.
pub fn layers(model: &Model) -> Result<Vec<(String, Shape)>> {
    let recorded = forward(&model.header, 1, Taps::None)?;
    Ok(recorded.tape.names().iter().map(|(name, tensor)| (name.clone(), tensor.shape)).collect())
}

impl Explainer {
    /// Plans the maps of one layer; `None` takes the network's default.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such layer.
    pub fn new(model: &Model, layer: Option<&str>) -> Result<Self> {
        let layer = match layer {
            Some(layer) => layer.to_owned(),
            None => forward(&model.header, 1, Taps::None)?.default_layer,
        };
        let Forward { mut tape, pixels, logits, .. } = forward(&model.header, 1, Taps::Layer(&layer))?;
        let Some(activation) = tape.named(&layer) else {
            let known: Vec<_> = tape.names().iter().map(|(name, _)| name.clone()).collect();
            return Err(Error::input(format!(
                "--layer {layer}: there is no such layer; there are: {}",
                known.join(", ")
            )));
        };
        let seed = tape.input(logits.shape);
        tape.backward(&[(logits, seed)])?;
        let missing = || Error::input(format!("--layer {layer}: the class scores do not depend on it"));
        let gradient = tape.grad(activation)?.ok_or_else(missing)?;
        [logits, activation, gradient].into_iter().for_each(|kept| tape.keep(kept));
        let plan = Plan::new(&model.gpu, &tape, &model.store, &model.pool)?;
        Ok(Self { plan, pixels, seed, logits, activation, gradient, layer })
    }

    /// The heat map of one picture (RGB bytes, size x size x 3) for a class, or for the predicted one.
    pub fn explain(&mut self, picture: &[u8], class: Option<usize>) -> Result<Explanation> {
        let mut bytes = picture.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.plan.write(self.pixels, &bytes)?;
        let outputs = self.logits.shape.c;
        let logits = self.plan.run()?.get(self.logits)?;
        let probabilities = probabilities(&logits, outputs);
        let predicted = crate::train::metrics::predicted(&probabilities);
        let class = class.unwrap_or(predicted);
        let mut seed = vec![0.0_f32; outputs];
        // Before the sigmoid: a saturated one has a gradient of exactly 0.
        let score = if outputs == 1 {
            seed[0] = if class == 1 { 1.0 } else { -1.0 };
            seed[0] * logits[0]
        } else {
            seed[class] = 1.0;
            logits[class]
        };
        self.plan.write(self.seed, &seed)?;
        let results = self.plan.run()?;
        let (activation, gradient) = (results.get(self.activation)?, results.get(self.gradient)?);
        let heat = grad_cam(&activation, &gradient, self.activation.shape)?;
        Ok(Explanation { layer: self.layer.clone(), class, predicted, score, probabilities, heat })
    }
}

/// The map of one picture from a layer's activation and gradient, both `h x w x c`.
pub fn grad_cam(activation: &[f32], gradient: &[f32], shape: Shape) -> Result<HeatMap> {
    let (c, pixels) = (shape.c, shape.h * shape.w);
    let mut alpha = vec![0.0_f64; c];
    for (place, &g) in gradient.iter().enumerate() {
        alpha[place % c] += f64::from(g) / pixels as f64;
    }
    let weighted = |cell: &[f32]| cell.iter().zip(&alpha).map(|(&a, alpha)| f64::from(a) * alpha).sum::<f64>();
    let values = activation.chunks(c).map(|cell| weighted(cell).max(0.0) as f32).collect();
    HeatMap::new(shape.w, shape.h, values)
}

#[cfg(test)]
mod tests {
    use super::grad_cam;
    use crate::tensor::Shape;

    #[test]
    fn the_map_is_the_rectified_sum_of_maps_weighted_by_their_mean_gradient() {
        // Two cells, two channels. alpha = (mean(1, 3), mean(-1, -1)) = (2, -1).
        let heat = grad_cam(&[1.0, 1.0, 0.5, 4.0], &[1.0, -1.0, 3.0, -1.0], Shape::new(1, 1, 2, 2)).unwrap();
        assert_eq!(heat.values(), [1.0, 0.0]);
    }

    #[test]
    fn no_positive_evidence_is_an_empty_map() {
        let heat = grad_cam(&[1.0, 2.0], &[-1.0, -1.0], Shape::new(1, 1, 2, 1)).unwrap();
        assert!(heat.normalised().is_none());
    }
}
