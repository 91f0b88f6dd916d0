//! Taking pixels away and putting them back.

use image::{RgbImage, imageops};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::impute::impute;
use super::{BLOB, Comparison, Faithfulness, MapScores, Measure, RANDOM, verdict};
use crate::explain::scorer::{CHANNELS, Scorer, normalised};
use crate::explain::{CANNOT_SHOW, Estimate, Explainer, HeatMap, Pictures, Question};
use crate::score::model::{Model, probabilities};
use crate::{Error, Result};

/// Steps from nothing to everything deleted or inserted.
const STEPS: usize = 20;
/// What ROAD takes away, in percent.
const PERCENTAGES: [u32; 9] = [10, 20, 30, 40, 50, 60, 70, 80, 90];
/// Deviation of what is added to imputed pixels, in units of the normalised picture, as its authors have it.
const NOISE: f32 = 0.01;
/// How blurred the picture is that pixels are inserted into: a deviation of 10 pixels at 224 (Fong and Vedaldi, 2017).
const BLUR: f32 = 10.0 / 224.0;
/// Deviation of the blob, as a share of the picture's side.
const BLOB_DEVIATION: f32 = 0.25;
/// Random maps and noise.
const SEED: u64 = 1;
/// Forward passes that run together.
const TOGETHER: usize = 16;

/// Probabilities of the class: a value for each share or percentage.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Curves {
    pub deletion: Vec<f64>,
    pub insertion: Vec<f64>,
    /// ROAD, the hottest pixels taken away.
    pub most_relevant_first: Vec<f64>,
    /// ROAD, the coldest pixels taken away.
    pub least_relevant_first: Vec<f64>,
}

impl Curves {
    fn score(&self, measure: Measure) -> f64 {
        // Trapezoids over equal steps.
        let area = |curve: &[f64]| {
            curve.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0).sum::<f64>() / (curve.len() - 1) as f64
        };
        match measure {
            Measure::Deletion => area(&self.deletion),
            Measure::Insertion => area(&self.insertion),
            Measure::Road => {
                let pairs = self.least_relevant_first.iter().zip(&self.most_relevant_first);
                pairs.map(|(least, most)| (least - most) / 2.0).sum::<f64>() / self.most_relevant_first.len() as f64
            }
        }
    }

    fn each(&mut self) -> [&mut Vec<f64>; 4] {
        let Self { deletion, insertion, most_relevant_first, least_relevant_first } = self;
        [deletion, insertion, most_relevant_first, least_relevant_first]
    }

    fn mean(of: &[&Self]) -> Self {
        let mut mean = Self::default();
        for curves in of {
            let mut curves = (*curves).clone();
            for (sum, values) in mean.each().into_iter().zip(curves.each()) {
                sum.resize(values.len(), 0.0);
                sum.iter_mut().zip(values).for_each(|(sum, v)| *sum += *v / of.len() as f64);
            }
        }
        mean
    }
}

/// Measures the methods' maps of pictures. `progress` hears how many pictures of how many are done.
///
/// # Errors
/// As [`Explainer::new`], or if a run fails.
pub fn measure(
    model: &Model,
    question: &Question,
    pictures: &Pictures,
    progress: &dyn Fn(usize, usize),
) -> Result<Faithfulness> {
    let mut explainer = Explainer::with_methods(model, question.methods, question.layer)?;
    let mut scorer = Scorer::new(model, TOGETHER)?;
    let names: Vec<&str> = question.methods.iter().map(|method| method.name()).chain([RANDOM, BLOB]).collect();
    // For each picture, the curves of each map that there is.
    let mut curves: Vec<Vec<Option<Curves>>> = vec![];
    for (number, picture) in pictures.pixels.iter().enumerate() {
        let mut maps = vec![];
        let mut class = 0;
        for explanation in explainer.explain_each(picture, question.class)? {
            class = explanation.class;
            maps.push(explanation.heat);
        }
        let shape = explainer.shape();
        let random = random_map(shape.w, shape.h, number)?;
        maps.extend([random.clone(), blob(model.size() as usize)?]);
        let size = model.size();
        let ties = random.upsampled(size, size).ok_or_else(|| Error::run("a random map without a value"))?;
        let orders: Vec<Option<Vec<u32>>> =
            maps.iter().map(|map| map.upsampled(size, size).map(|heat| order(&heat, &ties))).collect();
        let views = Views::new(model, picture, number)?;
        curves.push(views.curves(model, &mut scorer, &orders, class)?);
        progress(number + 1, pictures.pixels.len());
    }
    Ok(summary(&explainer, model, (question, pictures), &names, &curves))
}

/// Pixels by their heat, the hottest first; `ties` decide between equal ones, and then the place.
fn order(heat: &[f32], ties: &[f32]) -> Vec<u32> {
    let mut order: Vec<u32> = (0..heat.len() as u32).collect();
    let key = |pixel: u32| (heat[pixel as usize], ties[pixel as usize]);
    order.sort_by(|&a, &b| {
        let ((heat_a, tie_a), (heat_b, tie_b)) = (key(a), key(b));
        heat_b.total_cmp(&heat_a).then(tie_b.total_cmp(&tie_a))
    });
    order
}

fn random(number: usize, stream: u64) -> ChaCha8Rng {
    let mut random = ChaCha8Rng::seed_from_u64(SEED);
    random.set_stream(((number as u64) << 16) + stream);
    random
}

/// As many cells as the layer has: single random pixels would be a noise that disturbs a network more than any hole.
fn random_map(width: usize, height: usize, number: usize) -> Result<HeatMap> {
    let mut random = random(number, 0);
    HeatMap::new(width, height, (0..width * height).map(|_| random.random::<f32>()).collect())
}

fn blob(size: usize) -> Result<HeatMap> {
    let (centre, width) = ((size as f32 - 1.0) / 2.0, BLOB_DEVIATION * size as f32);
    let value = |place: usize| {
        let (x, y) = ((place % size) as f32 - centre, (place / size) as f32 - centre);
        (-(x * x + y * y) / (2.0 * width * width)).exp()
    };
    HeatMap::new(size, size, (0..size * size).map(value).collect())
}

#[derive(Clone, Copy)]
enum Change {
    Deletion,
    Insertion,
    MostRelevant,
    LeastRelevant,
}

/// A changed picture: by which map, what, and how many pixels.
#[derive(Clone, Copy)]
struct Job {
    map: usize,
    change: Change,
    pixels: usize,
}

/// One picture, as it is and blurred.
struct Views {
    whole: Vec<f32>,
    blurred: Vec<f32>,
    number: usize,
    size: usize,
}

impl Views {
    fn new(model: &Model, picture: &[u8], number: usize) -> Result<Self> {
        let square = model.picture_size();
        let image = RgbImage::from_raw(square, square, picture.to_vec());
        let image = image.ok_or_else(|| Error::run("a picture of another size"))?;
        let blurred = imageops::blur(&image, BLUR * model.size() as f32);
        let [whole, blurred] = [picture, blurred.as_raw()].map(|bytes| normalised(&model.header, bytes));
        Ok(Self { whole: whole?, blurred: blurred?, number, size: model.size() as usize })
    }

    fn draw(&self, job: Job, order: &[u32], place: &mut [f32]) {
        let (hottest, rest) = order.split_at(job.pixels);
        place.copy_from_slice(if matches!(job.change, Change::Insertion) { &self.blurred } else { &self.whole });
        let pixel = |p: u32| p as usize * CHANNELS..(p as usize + 1) * CHANNELS;
        match job.change {
            Change::Deletion => hottest.iter().for_each(|&p| place[pixel(p)].fill(0.0)),
            Change::Insertion => hottest.iter().for_each(|&p| place[pixel(p)].copy_from_slice(&self.whole[pixel(p)])),
            Change::MostRelevant => self.take_away(job, hottest, place),
            // Its jobs count the pixels that stay.
            Change::LeastRelevant => self.take_away(job, rest, place),
        }
    }

    fn take_away(&self, job: Job, pixels: &[u32], place: &mut [f32]) {
        let mut missing = vec![false; self.size * self.size];
        pixels.iter().for_each(|&p| missing[p as usize] = true);
        impute(place, &missing, self.size, self.size);
        let stream = 1 + (job.map * 4 + job.change as usize) as u64 * 128 + (job.pixels * 100 / missing.len()) as u64;
        let mut random = random(self.number, stream);
        for (pixel, _) in place.chunks_exact_mut(CHANNELS).zip(&missing).filter(|(_, missing)| **missing) {
            pixel[..3].iter_mut().for_each(|v| *v += NOISE * normal(&mut random));
        }
    }

    /// The curves of each map that there is.
    fn curves(
        &self,
        model: &Model,
        scorer: &mut Scorer,
        orders: &[Option<Vec<u32>>],
        class: usize,
    ) -> Result<Vec<Option<Curves>>> {
        let all = self.size * self.size;
        let mut jobs = vec![];
        for map in (0..orders.len()).filter(|&map| orders[map].is_some()) {
            for change in [Change::Deletion, Change::Insertion] {
                jobs.extend((1..STEPS).map(|step| Job { map, change, pixels: all * step / STEPS }));
            }
            for change in [Change::MostRelevant, Change::LeastRelevant] {
                jobs.extend(PERCENTAGES.iter().map(|&percent| {
                    let taken = all * percent as usize / 100;
                    let pixels = if matches!(change, Change::MostRelevant) { taken } else { all - taken };
                    Job { map, change, pixels }
                }));
            }
        }
        // The ends of the curves are the same for all maps.
        let ends = jobs.len();
        let logits = scorer.logits(ends + 3, &|i, place| match (jobs.get(i), i - i.min(ends)) {
            (Some(job), _) => {
                if let Some(order) = &orders[job.map] {
                    self.draw(*job, order, place);
                }
            }
            (None, 0) => place.copy_from_slice(&self.whole),
            (None, 1) => place.copy_from_slice(&self.blurred),
            (None, _) => place.fill(0.0),
        })?;
        let (outputs, classes) = (model.header.net.outputs(), model.header.labels.len());
        let rows = probabilities(&logits, outputs, model.header.temperature);
        let values: Vec<f64> = rows.chunks(classes).map(|row| f64::from(row[class])).collect();
        let (mut next, whole) = (values[..ends].iter().copied(), values[ends]);
        let (blurred, empty) = (values[ends + 1], values[ends + 2]);
        let mut take = |n: usize| next.by_ref().take(n).collect::<Vec<_>>();
        let curves = orders.iter().map(|order| {
            order.as_ref().map(|_| Curves {
                deletion: [vec![whole], take(STEPS - 1), vec![empty]].concat(),
                insertion: [vec![blurred], take(STEPS - 1), vec![whole]].concat(),
                most_relevant_first: take(PERCENTAGES.len()),
                least_relevant_first: take(PERCENTAGES.len()),
            })
        });
        Ok(curves.collect())
    }
}

/// Box and Muller's transform.
fn normal(random: &mut ChaCha8Rng) -> f32 {
    let (u, v): (f32, f32) = (random.random(), random.random());
    (-2.0 * (1.0 - u).ln()).sqrt() * (std::f32::consts::TAU * v).cos()
}

fn summary(
    explainer: &Explainer,
    model: &Model,
    (question, pictures): (&Question, &Pictures),
    names: &[&str],
    curves: &[Vec<Option<Curves>>],
) -> Faithfulness {
    // Means of different pictures could not be compared.
    let common: Vec<Vec<&Curves>> =
        curves.iter().filter_map(|maps| maps.iter().map(Option::as_ref).collect()).collect();
    let column = |map: usize| common.iter().map(move |maps| maps[map]);
    let estimate =
        |of: &dyn Fn(&[&Curves]) -> f64| Estimate::of(&common.iter().map(|maps| of(maps)).collect::<Vec<_>>());
    let maps: Vec<MapScores> = names
        .iter()
        .enumerate()
        .map(|(map, name)| {
            let pictures = curves.iter().filter(|maps| maps[map].is_some()).count();
            let [deletion, insertion, road] = Measure::ALL.map(|measure| estimate(&|maps| maps[map].score(measure)));
            let curves = Curves::mean(&column(map).collect::<Vec<_>>());
            MapScores { name: (*name).to_owned(), pictures, deletion, insertion, road, curves }
        })
        .collect();
    let mut comparisons = vec![];
    for (map, method) in question.methods.iter().enumerate() {
        for other in question.methods.len()..names.len() {
            for measure in Measure::ALL {
                let sign = if measure == Measure::Deletion { -1.0 } else { 1.0 };
                let advantage = estimate(&|maps| sign * (maps[map].score(measure) - maps[other].score(measure)));
                let (method, against) = (method.name().to_owned(), names[other].to_owned());
                comparisons.push(Comparison { method, against, measure, advantage, beats: advantage.is_positive() });
            }
        }
    }
    let judged = maps.iter().take(question.methods.len());
    let verdicts = judged.map(|scores| verdict(&scores.name, common.len(), &comparisons)).collect();
    Faithfulness {
        layer: explainer.layer().to_owned(),
        class: question.class.map(|class| model.header.labels[class].clone()),
        source: pictures.source.clone(),
        pictures: curves.len(),
        of: pictures.of,
        compared: common.len(),
        fractions: (0..=STEPS).map(|step| step as f64 / STEPS as f64).collect(),
        percentages: PERCENTAGES.to_vec(),
        maps,
        comparisons,
        verdicts,
        cannot_show: CANNOT_SHOW.to_owned(),
    }
}
