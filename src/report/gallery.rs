//! Test covers with where the network looked: the surest hits, and the worst mistakes.

use std::collections::HashMap;

use image::RgbImage;
use image::imageops::{FilterType, crop_imm, resize};
use maud::{Markup, html};

use super::page;
use super::run::{Run, Test};
use super::words::short;
use crate::data::Split;
use crate::explain::render::NO_EVIDENCE;
use crate::explain::{CANNOT_SHOW, Explainer};
use crate::score::metrics::Answer;
use crate::score::model::Model;
use crate::score::predictions::Answered;
use crate::{Error, Result};

/// Covers in each of the two lists.
const SHOWN: usize = 12;
/// Pixels on a side, and JPEG quality: 48 pictures of about 12 kB.
const SIDE: u32 = 224;
const QUALITY: u8 = 82;

/// Draws the covers of one run.
pub struct Gallery<'a> {
    run: &'a Run,
    test: &'a Test,
    /// Makes the heat maps; `None` where there is no adapter.
    explainer: Option<Explainer>,
    /// Place in the pack, by the cover's hash.
    places: HashMap<String, usize>,
}

impl<'a> Gallery<'a> {
    /// # Errors
    /// [`Error::Run`] if the network cannot be planned.
    pub fn new(run: &'a Run, test: &'a Test, model: Option<&Model>) -> Result<Self> {
        let explainer = model.map(|model| Explainer::new(model, None)).transpose()?;
        let covers = &run.dataset.manifest.covers;
        let places =
            run.dataset.manifest.indices(Split::Test).into_iter().map(|i| (covers[i].hash.to_string(), i)).collect();
        Ok(Self { run, test, explainer, places })
    }

    /// Both lists.
    ///
    /// # Errors
    /// [`Error::Run`] if a picture cannot be drawn.
    pub fn markup(mut self) -> Result<Markup> {
        let covers = &self.test.predictions.covers;
        let sure = |cover: &&Answered| cover.answer.confidence;
        let (mut hits, mut mistakes): (Vec<_>, Vec<_>) = covers.iter().partition(|cover| cover.answer.is_right());
        for list in [&mut hits, &mut mistakes] {
            list.sort_by(|a, b| sure(b).total_cmp(&sure(a)).then_with(|| a.hash.cmp(&b.hash)));
        }
        let classes = self.run.header.labels.len();
        let (hits, mistakes) = (
            varied(&hits, classes, |cover| cover.answer.label),
            varied(&mistakes, classes, |cover| cover.answer.label),
        );
        let lists = [
            ("The surest hits", "None of the test covers was answered right.", self.list(&hits)?),
            ("The worst mistakes", "None of the test covers was answered wrong.", self.list(&mistakes)?),
        ];
        let (most, layer) = (per_class(classes), self.explainer.as_ref().map(|e| e.layer().to_owned()));
        Ok(html! {
            p {
                "The most probable answers that were right, and those that were wrong, at most " (most) " of each true class before others fill up. "
                @if let Some(layer) = &layer {
                    "Beside each cover lies its Grad-CAM at layer " code { (layer) } ": the warmer, the more that place speaks for the answer given; the line "
                    "runs at half the maximum."
                } @else {
                    "There was no adapter to make heat maps on when this page was written."
                }
            }
            p.note { (CANNOT_SHOW) }
            @for (title, none, list) in &lists {
                h3 { (title) }
                @if list.is_empty() { p { (none) } } @else { ul.gallery { @for item in list { (item) } } }
            }
        })
    }

    fn list(&mut self, covers: &[&Answered]) -> Result<Vec<Markup>> {
        covers.iter().map(|cover| self.item(cover)).collect()
    }

    fn item(&mut self, answered: &Answered) -> Result<Markup> {
        let labels = &self.run.header.labels;
        let place = self.places.get(answered.hash.as_str()).copied();
        let place =
            place.ok_or_else(|| Error::run(format!("{}: is not in the run's data", answered.path.display())))?;
        let bytes = self.run.dataset.pack.image(place)?;
        let (square, size) = (self.run.header.picture_size() as u32, self.run.header.net.size as u32);
        let cover = RgbImage::from_raw(square, square, bytes.to_vec())
            .ok_or_else(|| Error::run("a picture of another size"))?;
        // What the network sees of it.
        let edge = (square - size) / 2;
        let cover = resize(&*crop_imm(&cover, edge, edge, size, size), SIDE, SIDE, FilterType::CatmullRom);
        let Answer { label, predicted: answer, confidence, truth, .. } = answered.answer;
        let overlay = match &mut self.explainer {
            Some(explainer) => Some(explainer.explain(bytes, Some(answer))?.heat.overlay(&cover)),
            None => None,
        };
        let right = answer == label;
        let (probability, of_truth) = (format!("{:.1} %", 100.0 * confidence), format!("{:.1} %", 100.0 * truth));
        let (truth, answer) = (short(&labels[label]), short(&labels[answer]));
        let name = answered.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let alt = if right {
            format!("{truth}, answered right with {probability}")
        } else {
            format!("{truth}, answered {answer} with {probability}")
        };
        Ok(html! {
            li {
                div.pair {
                    (page::picture(&page::jpeg(&cover, QUALITY)?, &alt))
                    @match &overlay {
                        Some(Some(overlay)) => (page::picture(&page::jpeg(overlay, QUALITY)?, &format!("Where the network saw {answer}: {alt}"))),
                        Some(None) => div.missing { (NO_EVIDENCE) },
                        None => div.missing { "no heat map" },
                    }
                }
                div.words {
                    @if right {
                        b.hit { (truth) } " " span { (probability) }
                    } @else {
                        b.miss { (answer) } " " span { (probability) } br;
                        span { "is " } b { (truth) } " " span { (of_truth) }
                    }
                    span.name title=(name) { (name) }
                }
            }
        })
    }
}

/// How many covers of one class a list shows before others fill it up.
fn per_class(classes: usize) -> usize {
    SHOWN.div_ceil(classes.max(1)).max(2)
}

/// The first of a sorted list, no more than a few of each class as long as there are others; still sorted.
fn varied<'a, T>(sorted: &[&'a T], classes: usize, class: impl Fn(&T) -> usize) -> Vec<&'a T> {
    let (mut taken, mut counts) = (vec![], vec![0; classes]);
    for (place, item) in sorted.iter().enumerate() {
        let count = &mut counts[class(item)];
        if *count < per_class(classes) {
            *count += 1;
            taken.push(place);
        }
    }
    taken.truncate(SHOWN);
    let rest: Vec<usize> = (0..sorted.len()).filter(|place| !taken.contains(place)).take(SHOWN - taken.len()).collect();
    taken.extend(rest);
    taken.sort_unstable();
    taken.into_iter().map(|place| sorted[place]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_all_classes_before_more_of_one() {
        let items: Vec<(usize, usize)> = (0..40).map(|i| (i, usize::from(i >= 30))).collect();
        let sorted: Vec<&(usize, usize)> = items.iter().collect();
        let shown = varied(&sorted, 2, |item| item.1);
        assert_eq!(shown.len(), SHOWN);
        assert_eq!(shown.iter().filter(|item| item.1 == 1).count(), 6);
        // Others fill up where a class has too few.
        let shown = varied(&sorted[..31], 2, |item| item.1);
        let places: Vec<usize> = shown.iter().map(|item| item.0).collect();
        assert_eq!(places, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 30]);
        assert!(varied(&sorted[..0], 2, |item| item.1).is_empty());
    }
}
