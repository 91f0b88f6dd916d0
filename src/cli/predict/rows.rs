//! Answers as rows: a table for people, CSV, JSON.

use std::path::Path;

use serde::Serialize;

use crate::cli::console::{self, percent};
use crate::data::{About, Item};
use crate::score::metrics::predicted;
use crate::score::stream::Answer;
use crate::shown::{for_spreadsheet, path_text};
use crate::{Error, Result};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Table,
    Json,
    JsonLines,
    Csv { raw: bool },
}

/// What is shown of each answer.
pub struct Shown<'a> {
    pub labels: &'a [String],
    /// Logits of each answer.
    pub outputs: usize,
    pub format: Format,
    pub top: Option<usize>,
    pub logits: bool,
    /// Below this probability there is no label.
    pub confidence: Option<f32>,
    /// Whether something is known of the pictures.
    pub about: bool,
}

/// A picture and its answer, or why there is none.
pub struct Row {
    pub item: Item,
    pub answer: std::result::Result<Answer, String>,
}

/// Prints rows as they come. Those without an answer are held back until one has an answer, since without any there is nothing to
/// print but an error.
pub struct Rows<'a> {
    shown: Shown<'a>,
    held: Vec<Row>,
    /// Rows that were printed; none before the first one.
    printed: Option<usize>,
}

/// Rows that are held back at most.
const HELD: usize = 64;

/// How many classes a line of the table has, unless told otherwise.
const IN_TABLE: usize = 3;

impl<'a> Rows<'a> {
    pub fn new(shown: Shown<'a>) -> Self {
        Self { shown, held: Vec::new(), printed: None }
    }

    pub fn add(&mut self, row: Row) -> Result<()> {
        if self.printed.is_none() {
            if row.answer.is_err() && self.held.len() < HELD {
                self.held.push(row);
                return Ok(());
            }
            self.begin()?;
        }
        self.print(&row)
    }

    /// Prints what stands before the first row, and the rows that were held back.
    fn begin(&mut self) -> Result<()> {
        match self.shown.format {
            Format::Table | Format::JsonLines => {}
            Format::Json => console::print("["),
            Format::Csv { .. } => console::print(&line(self.shown.columns())?),
        }
        self.printed = Some(0);
        std::mem::take(&mut self.held).iter().try_for_each(|row| self.print(row))
    }

    /// Prints what stands after the last row; nothing at all if there was `nothing` to print and nothing was.
    pub fn finish(mut self, nothing: bool) -> Result<()> {
        if self.printed.is_none() {
            if nothing {
                return Ok(());
            }
            self.begin()?;
        }
        if self.shown.format == Format::Json {
            console::print("\n]\n");
        }
        Ok(())
    }

    fn print(&mut self, row: &Row) -> Result<()> {
        let shown = &self.shown;
        let Some(before) = &mut self.printed else { return Ok(()) };
        match shown.format {
            Format::Table => console::show(&shown.text(row)),
            Format::JsonLines => {
                let json = serde_json::to_string(&shown.prediction(row)).map_err(Error::run)?;
                console::print(&format!("{json}\n"));
            }
            Format::Json => {
                let json = serde_json::to_string_pretty(&shown.prediction(row)).map_err(Error::run)?;
                let comma = if *before > 0 { "," } else { "" };
                // Line breaks in names are escaped, so these are all between fields.
                console::print(&format!("{comma}\n  {}", json.replace('\n', "\n  ")));
            }
            Format::Csv { raw } => console::print(&line(shown.cells(row, raw))?),
        }
        *before += 1;
        Ok(())
    }
}

/// A row as JSON.
#[derive(Serialize)]
struct Prediction<'a> {
    #[serde(serialize_with = "crate::shown::path")]
    path: &'a Path,
    label: Option<&'a str>,
    probability: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unsure: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top: Option<Vec<Share<'a>>>,
    /// In the order of `labels`.
    #[serde(skip_serializing_if = "Option::is_none")]
    probabilities: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logits: Option<&'a [f32]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<&'a [String]>,
    #[serde(flatten)]
    known: Option<Known<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
}

#[derive(Serialize)]
struct Share<'a> {
    label: &'a str,
    probability: f32,
}

/// What is known of a picture beside its path.
#[derive(Serialize)]
struct Known<'a> {
    artist: &'a str,
    album: &'a str,
    genre: &'a str,
    /// The network's label that the genre means.
    genre_label: Option<&'a str>,
    /// Whether the network says another one; null where there is none, or no answer.
    disagrees: Option<bool>,
}

impl Shown<'_> {
    /// Classes and their probabilities, the most probable first.
    fn best<'s>(&'s self, answer: &Answer, most: usize) -> Vec<Share<'s>> {
        let mut order: Vec<usize> = (0..answer.probabilities.len()).collect();
        order.sort_by(|&a, &b| answer.probabilities[b].total_cmp(&answer.probabilities[a]));
        let share = |&i: &usize| Share { label: &self.labels[i], probability: answer.probabilities[i] };
        order.iter().take(most).map(share).collect()
    }

    /// The label that an answer is, its probability, and whether that is enough.
    fn label(&self, answer: &Answer) -> (usize, f32, bool) {
        let best = predicted(&answer.probabilities);
        let probability = answer.probabilities[best];
        (best, probability, self.confidence.is_none_or(|least| probability >= least))
    }

    fn known<'s>(&'s self, row: &'s Row) -> Option<Known<'s>> {
        static NOTHING: About = About {
            artist: String::new(),
            album: String::new(),
            genre: String::new(),
            label: None,
            tracks: Vec::new(),
        };
        let about = row.item.about.as_deref().unwrap_or(&NOTHING);
        let answered = row.answer.as_ref().ok().map(|answer| self.label(answer));
        let sure = answered.filter(|(.., sure)| *sure).map(|(best, ..)| best);
        self.about.then(|| Known {
            artist: &about.artist,
            album: &about.album,
            genre: &about.genre,
            genre_label: about.label.map(|label| self.labels[label].as_str()),
            disagrees: sure.zip(about.label).map(|(said, meant)| said != meant),
        })
    }

    fn prediction<'s>(&'s self, row: &'s Row) -> Prediction<'s> {
        let answer = row.answer.as_ref().ok();
        let label = answer.map(|answer| self.label(answer));
        let all = answer.filter(|_| self.top.is_none());
        Prediction {
            path: &row.item.path,
            label: label.filter(|(.., sure)| *sure).map(|(best, ..)| self.labels[best].as_str()),
            probability: label.map(|(_, probability, _)| probability),
            unsure: self.confidence.and(label).map(|(.., sure)| !sure),
            top: answer.zip(self.top).map(|(answer, most)| self.best(answer, most)),
            probabilities: all.map(|answer| &answer.probabilities[..]),
            logits: answer.map(|answer| &answer.logits[..]),
            labels: all.map(|_| self.labels),
            known: self.known(row),
            error: row.answer.as_ref().err().map(String::as_str),
        }
    }

    /// How many of the most probable classes have columns of their own.
    fn top_columns(&self) -> Option<usize> {
        self.top.map(|most| most.min(self.labels.len()))
    }

    fn columns(&self) -> Vec<String> {
        let mut columns = ["path", "label", "probability"].map(str::to_owned).to_vec();
        match self.top_columns() {
            None => columns.extend(self.labels.iter().map(|label| format!("p({label})"))),
            Some(most) => columns.extend((1..=most).flat_map(|i| [format!("class_{i}"), format!("probability_{i}")])),
        }
        if self.logits {
            columns.extend((0..self.outputs).map(|i| format!("logit {i}")));
        }
        if self.about {
            columns.extend(["artist", "album", "genre", "genre_label", "disagrees"].map(str::to_owned));
        }
        columns.push("error".to_owned());
        columns
    }

    fn cells(&self, row: &Row, raw: bool) -> Vec<String> {
        let name = |text: &str| if raw { text.to_owned() } else { for_spreadsheet(text) };
        let mut cells = vec![name(&path_text(&row.item.path))];
        let numbers = |numbers: &[f32]| numbers.iter().map(f32::to_string).collect::<Vec<_>>();
        match &row.answer {
            Ok(answer) => {
                let (best, probability, sure) = self.label(answer);
                cells.extend([if sure { name(&self.labels[best]) } else { String::new() }, probability.to_string()]);
                match self.top_columns() {
                    None => cells.extend(numbers(&answer.probabilities)),
                    Some(most) => {
                        let best = self.best(answer, most).into_iter();
                        cells.extend(best.flat_map(|share| [name(share.label), share.probability.to_string()]));
                    }
                }
                if self.logits {
                    cells.extend(numbers(&answer.logits));
                }
            }
            Err(_) => {
                let logits = if self.logits { self.outputs } else { 0 };
                let classes = self.top_columns().map_or(self.labels.len(), |most| 2 * most);
                cells.extend(std::iter::repeat_n(String::new(), 2 + classes + logits));
            }
        }
        if let Some(Known { artist, album, genre, genre_label, disagrees }) = self.known(row) {
            let disagrees = disagrees.map_or(String::new(), |disagrees| disagrees.to_string());
            cells.extend([artist, album, genre, genre_label.unwrap_or_default()].map(name));
            cells.push(disagrees);
        }
        cells.push(row.answer.as_ref().err().map_or(String::new(), |reason| name(reason)));
        cells
    }

    fn text(&self, row: &Row) -> String {
        let path = console::shown(path_text(&row.item.path));
        let known = self.known(row).map(|known| known_text(&known)).unwrap_or_default();
        let answer = match &row.answer {
            Err(reason) => return format!("{path}: error: {}{known}\n", console::shown(reason)),
            Ok(answer) => answer,
        };
        let best = self.best(answer, self.top.unwrap_or(IN_TABLE)).into_iter();
        let best: Vec<String> = best
            .map(|share| format!("{} {}", console::shown(share.label), percent(f64::from(share.probability))))
            .collect();
        let (.., sure) = self.label(answer);
        let best = if sure { best.join(", ") } else { format!("unsure ({})", best.join(", ")) };
        let mut text = format!("{path}: {best}{known}");
        if self.logits {
            let logits: Vec<String> = answer.logits.iter().map(|v| format!("{v:.4}")).collect();
            text += &format!(" [logits {}]", logits.join(" "));
        }
        text + "\n"
    }
}

/// ` [Miles Davis, Kind of Blue; genre Jazz, which disagrees]`
fn known_text(known: &Known) -> String {
    let names: Vec<&str> = [known.artist, known.album].into_iter().filter(|name| !name.is_empty()).collect();
    let genre = match (known.genre, known.disagrees) {
        ("", _) => String::new(),
        (genre, Some(true)) => format!("genre {genre}, which disagrees"),
        (genre, _) => format!("genre {genre}"),
    };
    let parts: Vec<String> = [names.join(", "), genre].into_iter().filter(|part| !part.is_empty()).collect();
    if parts.is_empty() { String::new() } else { format!(" [{}]", console::shown(parts.join("; "))) }
}

/// One line of CSV.
fn line(cells: Vec<String>) -> Result<String> {
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(cells).map_err(Error::run)?;
    let bytes = writer.into_inner().map_err(Error::run)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
