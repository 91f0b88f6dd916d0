//! Heat maps of single pictures, by any of the methods.
//!
//! The plan is the forward pass and the gradient of one logit back to the tapped layer: nothing before it, and nothing for
//! the parameters. All methods share it.

use gatefold_engine::plan::Plan;
use gatefold_engine::tensor::{Shape, Tensor};

use super::score_cam::score_cam;
use super::scorer::{self, Scorer, normalised};
use super::{HeatMap, Method};
use crate::hint::did_you_mean;
use crate::nets::forward::{Forward, Taps};
use crate::score::model::{Model, forward, probabilities};
use crate::weights::Header;
use crate::{Error, Result};

/// Forward passes of Score-CAM that run together.
const TOGETHER: usize = 16;

/// Makes heat maps of single pictures.
pub struct Explainer {
    methods: Vec<Method>,
    header: Header,
    plan: Plan,
    pixels: Tensor,
    /// Gradient that flows into the logits: which class, with which sign.
    seed: Tensor,
    logits: Tensor,
    activation: Tensor,
    gradient: Tensor,
    layer: String,
    /// For Score-CAM.
    scorer: Option<Scorer>,
}

/// A heat map and what it is of.
#[derive(Clone, Debug)]
pub struct Explanation {
    pub method: Method,
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
pub fn layers(header: &Header) -> Result<Vec<(String, Shape)>> {
    Ok(shapes(&forward(header, 1, Taps::None)?))
}

fn shapes(recorded: &Forward) -> Vec<(String, Shape)> {
    recorded.tape.names().iter().map(|(name, tensor)| (name.clone(), tensor.shape)).collect()
}

fn is_one_cell(shape: Shape) -> bool {
    shape.h * shape.w == 1
}

/// The layer to look at: the one that was asked for, or the network's usual one; where that is a single cell at this size of
/// picture, the deepest one that is not.
///
/// # Errors
/// [`Error::Input`] if there is no such layer, or its map is a single cell.
pub fn choose_layer(model: &Model, wanted: Option<&str>) -> Result<String> {
    let recorded = forward(&model.header, 1, Taps::None)?;
    let (layers, size) = (shapes(&recorded), model.size());
    let deepest = layers.iter().rev().find(|(_, shape)| !is_one_cell(*shape)).map(|(name, _)| name.as_str());
    let name = wanted.unwrap_or(&recorded.default_layer);
    let Some((_, shape)) = layers.iter().find(|(known, _)| known == name) else {
        let known: Vec<_> = layers.iter().map(|(name, _)| name.as_str()).collect();
        let hint = did_you_mean(name, &known);
        return Err(Error::input(format!(
            "--layer {name}: there is no such layer{hint}; there are: {}",
            known.join(", ")
        )));
    };
    match (is_one_cell(*shape), wanted, deepest) {
        (false, ..) => Ok(name.to_owned()),
        (true, None, Some(deepest)) => Ok(deepest.to_owned()),
        (true, _, deepest) => {
            let remedy = deepest.map_or_else(|| "use larger pictures".to_owned(), |name| format!("take {name}"));
            Err(Error::input(format!(
                "--layer {name}: its map is a single cell at {size} pixels, which can point nowhere; {remedy}, or see --layer list"
            )))
        }
    }
}

impl Explainer {
    /// Plans Grad-CAM of one layer; `None` takes the network's default.
    ///
    /// # Errors
    /// [`Error::Input`] if there is no such layer, or its map is a single cell.
    pub fn new(model: &Model, layer: Option<&str>) -> Result<Self> {
        Self::with_methods(model, &[Method::GradCam], layer)
    }

    /// Plans the maps of several methods of one layer.
    ///
    /// # Errors
    /// As [`Explainer::new`].
    pub fn with_methods(model: &Model, methods: &[Method], layer: Option<&str>) -> Result<Self> {
        let layer = choose_layer(model, layer)?;
        let Forward { mut tape, pixels, logits, .. } = forward(&model.header, 1, Taps::Layer(&layer))?;
        let missing = || Error::input(format!("--layer {layer}: the class scores do not depend on it"));
        let activation = tape.named(&layer).ok_or_else(missing)?;
        let seed = tape.input(logits.shape);
        tape.backward(&[(logits, seed)])?;
        let gradient = tape.grad(activation)?.ok_or_else(missing)?;
        [logits, activation, gradient].into_iter().for_each(|kept| tape.keep(kept));
        tape.fuse();
        let plan = Plan::new(&model.gpu, &tape, &model.store, &model.pool)?;
        let scores = methods.contains(&Method::ScoreCam);
        let scorer = scores.then(|| Scorer::new(model, TOGETHER)).transpose()?;
        let (methods, header) = (methods.to_vec(), model.header.clone());
        Ok(Self { methods, header, plan, pixels, seed, logits, activation, gradient, layer, scorer })
    }

    /// The layer that is looked at.
    pub fn layer(&self) -> &str {
        &self.layer
    }

    /// Cells and channels of its map.
    pub fn shape(&self) -> Shape {
        self.activation.shape
    }

    /// The heat map of one picture (RGB bytes, the model's picture size squared x 3) by the first method, for a class or for the
    /// predicted one.
    pub fn explain(&mut self, picture: &[u8], class: Option<usize>) -> Result<Explanation> {
        let first = self.explain_each(picture, class)?.into_iter().next();
        first.ok_or_else(|| Error::run("no method to explain by"))
    }

    /// The heat maps of one picture by all methods, in their order.
    pub fn explain_each(&mut self, picture: &[u8], class: Option<usize>) -> Result<Vec<Explanation>> {
        let methods = self.methods.clone();
        self.explain_by(&methods, picture, class, &|| true)
    }

    /// As [`Self::explain_each`] for some of the methods; those of gradients need not have been planned. `go_on` is asked between the
    /// batches of a Score-CAM, which may take minutes.
    ///
    /// # Errors
    /// [`Error::Run`] if a run fails, or is not to go on.
    pub fn explain_by(
        &mut self,
        methods: &[Method],
        picture: &[u8],
        class: Option<usize>,
        go_on: &dyn Fn() -> bool,
    ) -> Result<Vec<Explanation>> {
        let mut bytes = picture.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        self.plan.write(self.pixels, &bytes)?;
        let outputs = self.logits.shape.c;
        let class = match class {
            Some(class) => class,
            None => {
                let logits = self.plan.run()?.get(self.logits)?;
                crate::score::metrics::predicted(&probabilities(&logits, outputs, self.header.temperature))
            }
        };
        let mut seed = vec![0.0_f32; outputs];
        // Before the sigmoid: a saturated one has a gradient of exactly 0.
        let (place, value) = if outputs == 1 { (0, scorer::sign(class)) } else { (class, 1.0) };
        seed[place] = value;
        self.plan.write(self.seed, &seed)?;
        let results = self.plan.run()?;
        let logits = results.get(self.logits)?;
        let (activation, gradient) = (results.get(self.activation)?, results.get(self.gradient)?);
        let probabilities = probabilities(&logits, outputs, self.header.temperature);
        let predicted = crate::score::metrics::predicted(&probabilities);
        let mut explanations = vec![];
        for &method in methods {
            let heat = match (method.of_gradient(&activation, &gradient, self.activation.shape)?, &mut self.scorer) {
                (Some(heat), _) => heat,
                (None, Some(scorer)) => {
                    let picture = normalised(&self.header, picture)?;
                    let size = self.header.net.size;
                    score_cam(&activation, self.activation.shape, &picture, size, &mut |count, draw| {
                        let logits = scorer.logits_while(count, draw, go_on)?;
                        Ok(logits.chunks(outputs).map(|row| scorer::score(row, class)).collect())
                    })?
                }
                (None, None) => return Err(Error::run(format!("{method}: was not planned"))),
            };
            let (layer, probabilities) = (self.layer.clone(), probabilities.clone());
            let score = scorer::score(&logits, class);
            explanations.push(Explanation { method, layer, class, predicted, score, probabilities, heat });
        }
        Ok(explanations)
    }
}
