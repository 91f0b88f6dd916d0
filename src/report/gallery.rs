//! Test covers with where the network looked: the surest hits, the worst mistakes, and some of each cell of the confusion matrix.

mod choice;

use std::collections::{BTreeSet, HashMap};

use image::imageops::{FilterType, resize};
use maud::{Markup, html};

use self::choice::Choice;
use super::page;
use super::run::{Run, Test};
use super::words::{percent, short};
use crate::data::Split;
use crate::explain::gallery::seen;
use crate::explain::render::NO_EVIDENCE;
use crate::explain::{CANNOT_SHOW, Explainer};
use crate::score::metrics::Answer;
use crate::score::model::Model;
use crate::score::predictions::Answered;
use crate::{Error, Result};

/// Covers on a page unless told otherwise.
pub const USUAL: usize = 100;
/// Pixels on a side, and JPEG quality: two pictures of about 12 kB for each cover.
const SIDE: u32 = 224;
const QUALITY: u8 = 82;

/// Cells of the confusion matrix: a true class and an answer.
pub type Cells = BTreeSet<(usize, usize)>;

/// Where the page has the first cover of a cell.
pub fn anchor((label, answer): (usize, usize)) -> String {
    format!("cell-{label}-{answer}")
}

/// Draws the covers of one run.
pub struct Gallery<'a> {
    run: &'a Run,
    test: &'a Test,
    /// Makes the heat maps; `None` where there is no adapter.
    explainer: Option<Explainer>,
    /// Place in the pack, by the cover's hash.
    places: HashMap<String, usize>,
    /// Cells that were drawn already.
    cells: Cells,
    /// Answers of at least this probability are among the surer half.
    median: f32,
}

impl<'a> Gallery<'a> {
    /// # Errors
    /// [`Error::Run`] if the network cannot be planned.
    pub fn new(run: &'a Run, test: &'a Test, model: Option<&Model>) -> Result<Self> {
        let explainer = model.map(|model| Explainer::new(model, None)).transpose()?;
        let covers = &run.dataset.manifest.covers;
        let places =
            run.dataset.manifest.indices(Split::Test).into_iter().map(|i| (covers[i].hash.to_string(), i)).collect();
        let mut sure: Vec<f32> = test.predictions.covers.iter().map(|cover| cover.answer.confidence).collect();
        sure.sort_by(f32::total_cmp);
        let median = sure.get(sure.len() / 2).copied().unwrap_or(0.0);
        Ok(Self { run, test, explainer, places, cells: Cells::new(), median })
    }

    /// At most so many covers, and the cells of the matrix that they are of.
    ///
    /// # Errors
    /// [`Error::Run`] if a picture cannot be drawn.
    pub fn markup(mut self, most: usize) -> Result<(Markup, Cells)> {
        let (covers, classes) = (&self.test.predictions.covers, self.run.header.labels.len());
        let Choice { hits, mistakes, more, each } = Choice::new(covers, classes, most);
        let chosen: Vec<&Answered> = [&hits[..], &mistakes, &more].concat();
        let none = |right: bool| match right {
            _ if covers.iter().any(|cover| cover.answer.is_right() == right) => "",
            true => "None of the test covers was answered right.",
            false => "None of the test covers was answered wrong.",
        };
        let lists = [
            ("The surest hits", none(true), self.list(&hits)?),
            ("The worst mistakes", none(false), self.list(&mistakes)?),
            ("More of each cell of the confusion matrix", "", self.list(&more)?),
        ];
        let layer = self.explainer.as_ref().map(|e| e.layer().to_owned());
        let body = html! {
            p {
                "The most probable answers that were right, and those that were wrong, at most " (each) " of each true class before others fill "
                "up; then, in turn, the surest and the least sure of each cell of the confusion matrix. These are " (chosen.len()) " of " (covers.len()) " test covers. "
                @if let Some(layer) = &layer {
                    "On each cover lies its Grad-CAM at layer " code { (layer) } ", which shows when the cover is pointed at: the warmer, the more that place speaks for the "
                    "answer given; the line runs at half the maximum."
                } @else {
                    "There was no adapter to make heat maps on when this page was written."
                }
            }
            p.note { (CANNOT_SHOW) }
            (self.filters(&chosen))
            @for (title, none, list) in &lists {
                @if !(list.is_empty() && none.is_empty()) {
                    div.list {
                        h3 { (title) }
                        @if list.is_empty() { p { (none) } } @else { ul.gallery { @for item in list { (item) } } }
                    }
                }
            }
        };
        Ok((body, self.cells))
    }

    /// Which of the covers to show; the page's script makes it work, and shows it.
    fn filters(&self, chosen: &[&Answered]) -> Markup {
        let classes =
            |class: fn(&Answer) -> usize| chosen.iter().map(|cover| class(&cover.answer)).collect::<BTreeSet<_>>();
        let one = |name: &str, title: &str, options: &[(String, String)]| {
            html! {
                label { (title) " " select name=(name) { option value="" { "all" } @for (value, text) in options { option value=(value) { (text) } } } }
            }
        };
        let named = |classes: BTreeSet<usize>| -> Vec<(String, String)> {
            classes.into_iter().map(|class| (class.to_string(), short(&self.run.header.labels[class]))).collect()
        };
        let pair = |[yes, no]: [String; 2]| vec![("yes".to_owned(), yes), ("no".to_owned(), no)];
        let median = percent(f64::from(self.median));
        html! {
            form.filters hidden {
                (one("truth", "true class", &named(classes(|answer| answer.label))))
                (one("answer", "answered", &named(classes(|answer| answer.predicted))))
                (one("right", "right or wrong", &pair(["right", "wrong"].map(str::to_owned))))
                (one("sure", "how sure", &pair([format!("sure: {median} or more"), format!("unsure: below {median}")])))
                button type="reset" { "show all" }
                span.told aria-live="polite" {}
            }
        }
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
        let cover = resize(&seen(&self.run.header, bytes)?, SIDE, SIDE, FilterType::CatmullRom);
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
        let yes_no = |is: bool| if is { "yes" } else { "no" };
        let cell = (answered.answer.label, answered.answer.predicted);
        // The first of its cell is where links lead to.
        let id = self.cells.insert(cell).then(|| anchor(cell));
        let map = overlay.flatten().map(|map| page::jpeg(&map, QUALITY)).transpose()?;
        let told = if self.explainer.is_some() { NO_EVIDENCE } else { "no heat map" };
        Ok(html! {
            li id=[id] data-truth=(cell.0) data-answer=(cell.1) data-right=(yes_no(right)) data-sure=(yes_no(confidence >= self.median)) {
                div.over tabindex="0" {
                    (page::picture(&page::jpeg(&cover, QUALITY)?, &alt))
                    @match &map {
                        Some(map) => div.map { (page::picture(map, &format!("Where the network saw {answer}: {alt}"))) },
                        None => div.map.missing { (told) },
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
