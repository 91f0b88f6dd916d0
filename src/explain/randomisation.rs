//! Does a heat map depend on what the network learned? Adebayo and others' cascading randomisation (2018, "Sanity Checks for
//! Saliency Maps"): layers get first values again, from the head down, and the map of the same class is compared with that
//! of the trained network. A map that stays the same shows the picture's edges and not the network's reasons.

mod strip;

use serde::{Deserialize, Serialize};

pub use strip::{StripRow, strip};

use super::{CANNOT_SHOW, Estimate, Explainer, Explanation, Method, Pictures, Question};
use crate::Result;
use crate::nets::forward::Taps;
use crate::score::model::{Model, forward};
use gatefold_engine::params::Arena;
use gatefold_engine::tape::{Layer, Tape};

/// The file of the numbers.
pub const NUMBERS: &str = "randomisation.json";
/// More stages than this are joined.
const MOST_STAGES: usize = 10;
/// Pictures in a strip.
pub const SHOWN: usize = 8;
/// A map passes if its mean similarity ends up below this.
pub const LOST: f64 = 0.5;

/// What the first values are drawn from. Far from what anyone trains with: those were the network's own first values, to which it
/// still bears a likeness.
pub const SEED: u64 = 0x5a17_ed00_c0de;

/// The file of a method's pictures.
#[must_use]
pub fn strip_of(method: Method) -> String {
    format!("randomisation.{method}.png")
}

/// `randomisation.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Randomisation {
    pub layer: String,
    /// The class that was asked about; `None` is the one that the trained network predicts for each picture.
    pub class: Option<String>,
    /// Where the pictures come from, such as "test set".
    pub source: String,
    /// How many pictures were looked at, and how many there were.
    pub pictures: usize,
    pub of: usize,
    /// What the first values were drawn from.
    pub seed: u64,
    pub methods: Vec<MethodStages>,
    /// What a heat map cannot show.
    pub cannot_show: String,
}

/// A method's maps as the layers are randomised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MethodStages {
    pub method: Method,
    /// Pictures in which the trained network has positive evidence; the others have nothing to lose.
    pub pictures: usize,
    /// From the head down; each stage randomises its layers and all after them.
    pub stages: Vec<Stage>,
    /// Whether the similarity is below [`LOST`] once all layers are randomised.
    pub passes: bool,
    /// A plain sentence.
    pub verdict: String,
}

/// One step of the cascade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stage {
    /// The layers that are randomised now.
    pub layers: String,
    /// Spearman's rank correlation with the trained network's map, cell by cell; 0 where a map is the same everywhere.
    pub similarity: Estimate,
    /// Pictures without positive evidence in this stage.
    pub without_evidence: usize,
}

/// The network's named layers that have parameters, from the head down; at most [`MOST_STAGES`], each with those before it that
/// go by no name of their own.
fn parts(tape: &Tape) -> Vec<Layer> {
    let mut layers = tape.layers();
    let head = layers.pop();
    // Where there are too many, those with the shorter names, which are whole blocks, stand for all.
    let dots = |name: &str| name.matches('.').count();
    for deepest in (0..=layers.iter().map(|layer| dots(&layer.name)).max().unwrap_or(0)).rev() {
        if layers.len() >= MOST_STAGES && layers.iter().any(|layer| dots(&layer.name) < deepest) {
            layers.retain(|layer| dots(&layer.name) < deepest);
        }
    }
    let (mut parts, mut start): (Vec<Layer>, [usize; 2]) = (vec![], [0, 0]);
    for Layer { name, parameters, states } in layers.into_iter().chain(head) {
        let (parameters, states) = (start[0]..parameters.end, start[1]..states.end);
        if !parameters.is_empty() {
            start = [parameters.end, states.end];
            parts.push(Layer { name, parameters, states });
        }
    }
    parts.reverse();
    let together = parts.len().div_ceil(MOST_STAGES).max(1);
    let joined = parts.chunks(together).map(|parts| {
        // Non-empty by `chunks`; the first lies nearest to the head.
        let (last, first) = (&parts[0], &parts[parts.len() - 1]);
        let name = if parts.len() == 1 { last.name.clone() } else { format!("{} to {}", last.name, first.name) };
        let parameters = first.parameters.start..last.parameters.end;
        Layer { name, parameters, states: first.states.start..last.states.end }
    });
    joined.collect()
}

/// Randomises the network's layers from the head down and compares each method's maps of pictures. Besides the numbers it gives, for each method and each of the first [`SHOWN`] pictures, the trained
/// network's map and that of every stage. The model has its own weights again afterwards.
///
/// # Errors
/// As [`Explainer::new`], or if a run fails.
pub fn randomise(
    model: &Model,
    question: &Question,
    pictures: &Pictures,
    seed: u64,
    progress: &dyn Fn(usize, usize),
) -> Result<(Randomisation, Vec<Vec<Vec<Explanation>>>)> {
    let trained = [Arena::Parameters, Arena::State].map(|arena| model.store.read(&model.gpu, arena));
    let [parameters, states] = trained;
    let (parameters, states) = (parameters?, states?);
    let done = cascade(model, question, pictures, seed, (parameters.clone(), states.clone()), progress);
    model.store.write(&model.gpu, Arena::Parameters, &parameters)?;
    model.store.write(&model.gpu, Arena::State, &states)?;
    done
}

fn cascade(
    model: &Model,
    question: &Question,
    pictures: &Pictures,
    seed: u64,
    (mut parameters, mut states): (Vec<f32>, Vec<f32>),
    progress: &dyn Fn(usize, usize),
) -> Result<(Randomisation, Vec<Vec<Vec<Explanation>>>)> {
    let mut explainer = Explainer::with_methods(model, question.methods, question.layer)?;
    let tape = forward(&model.header, 1, Taps::None)?.tape;
    let parts = parts(&tape);
    let (new_parameters, new_states) = model.store.spec().initial(seed);
    let count = pictures.pixels.len();
    let total = count * (parts.len() + 1);
    // For each method: picture by picture, the trained network's map and those of all stages.
    let mut explanations: Vec<Vec<Vec<Explanation>>> = vec![vec![vec![]; count]; question.methods.len()];
    for stage in 0..=parts.len() {
        if let Some(part) = stage.checked_sub(1).map(|stage| &parts[stage]) {
            parameters[part.parameters.clone()].copy_from_slice(&new_parameters[part.parameters.clone()]);
            states[part.states.clone()].copy_from_slice(&new_states[part.states.clone()]);
            model.store.write(&model.gpu, Arena::Parameters, &parameters)?;
            model.store.write(&model.gpu, Arena::State, &states)?;
        }
        for (number, picture) in pictures.pixels.iter().enumerate() {
            let class = explanations[0][number].first().map(|trained| trained.class).or(question.class);
            for (method, explanation) in explainer.explain_each(picture, class)?.into_iter().enumerate() {
                explanations[method][number].push(explanation);
            }
            progress(stage * count + number + 1, total);
        }
    }
    let methods = question.methods.iter().zip(&explanations).map(|(&method, of)| stages(method, &parts, of)).collect();
    explanations.iter_mut().for_each(|of| of.truncate(SHOWN));
    let randomisation = Randomisation {
        layer: explainer.layer().to_owned(),
        class: question.class.map(|class| model.header.labels[class].clone()),
        source: pictures.source.clone(),
        pictures: count,
        of: pictures.of,
        seed,
        methods,
        cannot_show: CANNOT_SHOW.to_owned(),
    };
    Ok((randomisation, explanations))
}

fn stages(method: Method, parts: &[Layer], explanations: &[Vec<Explanation>]) -> MethodStages {
    let with_evidence = || explanations.iter().filter(|of| of[0].heat.normalised().is_some());
    let stages: Vec<Stage> = parts
        .iter()
        .enumerate()
        .map(|(stage, part)| {
            let heats = || with_evidence().map(|of| (&of[0].heat, &of[stage + 1].heat));
            let similarities: Vec<f64> =
                heats().map(|(trained, now)| spearman(trained.values(), now.values()).unwrap_or(0.0)).collect();
            let without_evidence = heats().filter(|(_, now)| now.normalised().is_none()).count();
            Stage { layers: part.name.clone(), similarity: Estimate::of(&similarities), without_evidence }
        })
        .collect();
    let pictures = with_evidence().count();
    let last = stages.last().map_or(0.0, |stage| stage.similarity.mean);
    let passes = pictures > 0 && last < LOST;
    let verdict = match (pictures, passes) {
        (0, _) => format!("{method}: no picture has positive evidence, so there is nothing to lose."),
        (_, true) => format!(
            "{method} passes: with all layers randomised its maps keep a rank correlation of {last:.2} (below {LOST}), so they show \
             what the network learned."
        ),
        (_, false) => format!(
            "{method} fails: with all layers randomised its maps keep a rank correlation of {last:.2} (not below {LOST}), so they \
             show the picture more than what the network learned."
        ),
    };
    MethodStages { method, pictures, stages, passes, verdict }
}

/// Spearman's rank correlation, equal values sharing their mean rank; `None` if all of one side are equal.
#[must_use]
pub fn spearman(a: &[f32], b: &[f32]) -> Option<f64> {
    let (a, b) = (ranks(a), ranks(b));
    let mean = (a.len() as f64 - 1.0) / 2.0;
    let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - mean) * (b - mean)).sum::<f64>();
    let scale = (product(&a, &a) * product(&b, &b)).sqrt();
    (scale > 0.0).then(|| product(&a, &b) / scale)
}

fn ranks(values: &[f32]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut below) = (vec![0.0; values.len()], 0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let rank = below as f64 + (equal.len() as f64 - 1.0) / 2.0;
        equal.iter().for_each(|&place| ranks[place] = rank);
        below += equal.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{self, NETS, NetConfig};
    use gatefold_engine::tensor::Shape;

    #[test]
    fn ranks_correlate_whatever_the_scale() {
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[0.0, 10.0, 11.0]), Some(1.0));
        assert_eq!(spearman(&[1.0, 2.0, 3.0], &[5.0, 4.0, -1.0]), Some(-1.0));
        assert_eq!(spearman(&[1.0, 1.0], &[5.0, 4.0]), None);
        // Ranks 0.5 0.5 2 3 and 0 1 2 3: 4.5 / sqrt(4.5 * 5).
        let tied = spearman(&[0.0, 0.0, 1.0, 2.0], &[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert!((tied - 4.5 / 22.5_f64.sqrt()).abs() < 1e-12, "{tied}");
    }

    #[test]
    fn the_parts_are_all_of_a_network_from_the_head_down() {
        for net in NETS {
            let mut tape = Tape::new();
            let size = net.smallest.max(64);
            let pictures = tape.input(Shape::new(1, size, size, 4));
            let config = NetConfig { net: net.name.into(), size, classes: 5, ..NetConfig::default() };
            nets::record(&mut tape, pictures, &config, false).unwrap();
            let parts = parts(&tape);
            assert!((2..=MOST_STAGES).contains(&parts.len()), "{}: {parts:?}", net.name);
            assert!(parts[0].name.starts_with("head"), "{}: {parts:?}", net.name);
            let (mut word, mut state) = (tape.spec().parameter_words(), tape.spec().state_words());
            for part in &parts {
                assert_eq!((part.parameters.end, part.states.end), (word, state), "{}: {parts:?}", net.name);
                (word, state) = (part.parameters.start, part.states.start);
            }
            assert_eq!((word, state), (0, 0), "{}: {parts:?}", net.name);
        }
    }
}
