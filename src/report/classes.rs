//! Class by class. A page stays readable and small for any number of classes: of many it shows the ones that say the most, and
//! names the file that has the rest.

use std::collections::{BTreeSet, HashMap, HashSet};

use maud::{Markup, html};

use super::gallery::{Cells, anchor};
use super::page::{self, Cell};
use super::run::Run;
use super::words::{short, thousands};
use crate::data::Split;
use crate::score::Metrics;
use crate::score::metrics::{ClassScore, Mistake, wilson};

/// The matrix has at most so many classes.
const IN_MATRIX: usize = 30;
/// So many wrong answers are listed where the matrix is not whole.
const MISTAKES: usize = 100;
/// A table with a row for each class has at most so many.
pub const ROWS: usize = 200;

/// The confusion matrix, each row shaded by its shares; of many classes that of the most confused ones, and a table of the most
/// frequent wrong answers. What the page has covers of, `cells`, links to them.
pub fn confusion(metrics: &Metrics, cells: &Cells) -> Markup {
    let (mistakes, classes) = (metrics.mistakes(), metrics.labels.len());
    if classes <= IN_MATRIX {
        return matrix(metrics, &mistakes, &(0..classes).collect::<Vec<_>>(), cells);
    }
    if mistakes.is_empty() {
        return html! { p { "None of the " (metrics.n) " test covers was answered wrong." } };
    }
    let shown = most_confused(&mistakes);
    html! {
        p {
            "A matrix of all " (thousands(classes as u64)) " classes would not be readable. This one is of the " (shown.len()) " classes of the most "
            "frequent wrong answers; “others” are answers that have no column here."
        }
        (matrix(metrics, &mistakes, &shown, cells))
        (listed(metrics, &mistakes, cells))
    }
}

/// The classes of the most frequent wrong answers, as many as the matrix holds, in their own order.
fn most_confused(mistakes: &[Mistake]) -> Vec<usize> {
    let mut shown = BTreeSet::new();
    for mistake in mistakes {
        let both = BTreeSet::from([mistake.label, mistake.predicted]);
        if shown.union(&both).count() > IN_MATRIX {
            break;
        }
        shown.extend(both);
    }
    shown.into_iter().collect()
}

/// The matrix of the classes `shown`.
fn matrix(metrics: &Metrics, mistakes: &[Mistake], shown: &[usize], cells: &Cells) -> Markup {
    let names: Vec<String> = shown.iter().map(|&class| short(&metrics.labels[class])).collect();
    let totals: Vec<u64> = shown.iter().map(|&class| metrics.per_class[class].support).collect();
    let places: HashMap<usize, usize> = shown.iter().copied().zip(0..).collect();
    let mut counts = vec![vec![0; shown.len()]; shown.len()];
    for mistake in mistakes {
        if let (Some(&row), Some(&column)) = (places.get(&mistake.label), places.get(&mistake.predicted)) {
            counts[row][column] = mistake.count;
        }
    }
    shown.iter().enumerate().for_each(|(place, &class)| counts[place][place] = metrics.right(class));
    let whole = shown.len() == metrics.labels.len();
    html! {
        p.note {
            "Rows are true classes, columns answers. Shades are shares of the row; bold cells are right."
            @if !cells.is_empty() { " A click on a number shows covers of its cell." }
        }
        div.scroll {
            table.matrix {
                thead {
                    tr {
                        th {}
                        @for name in &names { th scope="col" { (name) } }
                        @if !whole { th.number scope="col" { "others" } }
                        th.number scope="col" { "covers" }
                    }
                }
                tbody {
                    @for (truth, row) in counts.iter().enumerate() {
                        tr {
                            th scope="row" { (names[truth]) }
                            @for (answer, &count) in row.iter().enumerate() {
                                @let share = count as f64 / totals[truth].max(1) as f64;
                                td.right[truth == answer] .deep[share > 0.5] style={ "--v:" (format!("{share:.3}")) }
                                    title=(format!("{} of {} {} ({:.1} %) answered {}", count, totals[truth], names[truth], 100.0 * share, names[answer])) {
                                    (linked(&html! { (count) }, (shown[truth], shown[answer]), count, cells))
                                }
                            }
                            @if !whole { td.total { (totals[truth].saturating_sub(row.iter().sum())) } }
                            td.total { (totals[truth]) }
                        }
                    }
                }
            }
        }
    }
}

/// The text as a link to the covers of a cell, which has so many, if the page has any.
fn linked(text: &Markup, cell: (usize, usize), count: u64, cells: &Cells) -> Markup {
    if !cells.contains(&cell) {
        return text.clone();
    }
    html! { a href={ "#" (anchor(cell)) } data-truth=(cell.0) data-answer=(cell.1) data-count=(count) { (text) } }
}

/// The most frequent wrong answers.
fn listed(metrics: &Metrics, mistakes: &[Mistake], cells: &Cells) -> Markup {
    let rows: Vec<Vec<Cell>> = mistakes
        .iter()
        .take(MISTAKES)
        .map(|mistake| {
            let support = metrics.per_class[mistake.label].support;
            vec![
                Cell::Head(short(&metrics.labels[mistake.label])),
                Cell::Markup(linked(
                    &html! { (short(&metrics.labels[mistake.predicted])) },
                    (mistake.label, mistake.predicted),
                    mistake.count,
                    cells,
                )),
                Cell::count(mistake.count),
                Cell::percent(mistake.count as f64 / support.max(1) as f64),
            ]
        })
        .collect();
    let more = match mistakes.len() {
        0..=MISTAKES => String::new(),
        n => format!(
            " The first {MISTAKES} of {} kinds; test-predictions.csv in the run folder has the answer for every cover.",
            thousands(n as u64)
        ),
    };
    let head = ["true class", "answered", "covers", "share of the class"];
    page::table(&format!("The most frequent wrong answers.{more}"), &head, &rows)
}

/// Precision, recall with its interval, F1 and support of each class; of many classes of the worst and the best.
pub fn scores(metrics: &Metrics) -> Markup {
    let caption = "Precision: of the covers answered so, the share that is so. Recall: of the covers that are so, the share answered so.";
    let all = metrics.per_class.len();
    let table = |caption: &str, classes: &[usize]| {
        let rows: Vec<Vec<Cell>> = classes.iter().map(|&class| row(metrics, class)).collect();
        let head = ["class", "precision", "recall", "95 % interval of recall", "F1", "support"];
        page::table(caption, &head, &rows)
    };
    if all <= ROWS {
        return table(caption, &(0..all).collect::<Vec<_>>());
    }
    let mut occurring: Vec<usize> = (0..all).filter(|&class| metrics.per_class[class].support > 0).collect();
    let rest = format!(
        "{} of {} classes have test covers; test.json in the run folder has each class’ score, at per_class.",
        thousands(occurring.len() as u64),
        thousands(all as u64)
    );
    let score = |class: usize| &metrics.per_class[class];
    occurring.sort_by(|&a, &b| {
        let by = |of: fn(&ClassScore) -> f64| of(score(a)).total_cmp(&of(score(b)));
        by(|class| class.f1).then(by(|class| class.recall)).then(a.cmp(&b))
    });
    if occurring.len() <= ROWS {
        return html! { p { (rest) } (table(&format!("From the lowest F1 to the highest. {caption}"), &occurring)) };
    }
    let worst = &occurring[..ROWS / 2];
    let best: Vec<usize> = occurring.iter().rev().take(ROWS / 2).copied().collect();
    html! {
        p { (rest) }
        (table(&format!("The {} classes with the lowest F1. {caption}", worst.len()), worst))
        (table(&format!("The {} classes with the highest F1.", best.len()), &best))
    }
}

fn row(metrics: &Metrics, class: usize) -> Vec<Cell> {
    let score = &metrics.per_class[class];
    let [low, high] = wilson(metrics.right(class), score.support);
    vec![
        Cell::Head(short(&score.label)),
        Cell::percent(score.precision),
        Cell::percent(score.recall),
        Cell::Number(format!("{:.1} – {:.1} %", 100.0 * low, 100.0 * high), score.recall),
        Cell::decimal(score.f1, 3),
        Cell::count(score.support),
    ]
}

/// How many covers each class has in each set; of many classes the largest and the smallest.
pub fn covers(names: &[String], counts: &[Vec<usize>; Split::ALL.len()]) -> Markup {
    let all = |class: usize| counts.iter().map(|counts| counts[class]).sum::<usize>();
    let row = |class: usize| -> Vec<Cell> {
        let cells = counts.iter().map(|counts| Cell::count(counts[class] as u64));
        let head = [Cell::Head(short(&names[class]))];
        head.into_iter().chain(cells).chain([Cell::count(all(class) as u64)]).collect()
    };
    let mut order: Vec<usize> = (0..names.len()).collect();
    let mut caption = "Covers of each class in each set.".to_owned();
    if order.len() > ROWS {
        order.sort_by_key(|&class| (std::cmp::Reverse(all(class)), class));
        order.drain(ROWS / 2..names.len() - ROWS / 2);
        caption += &format!(
            " The {} largest and the {} smallest of {} classes; data/manifest.csv in the run folder has every cover.",
            ROWS / 2,
            ROWS / 2,
            thousands(names.len() as u64)
        );
    }
    let rows: Vec<Vec<Cell>> = order.into_iter().map(row).collect();
    page::table(&caption, &["class", "training", "validation", "test", "all"], &rows)
}

/// Recall and F1 of each class for several runs; of many classes those in which the runs differ the most.
pub fn side_by_side(runs: &[&Run], names: &[String]) -> Markup {
    let metrics: Vec<Option<&Metrics>> = runs.iter().map(|run| run.test.as_ref().map(|test| &test.metrics)).collect();
    let labels: Vec<&[String]> = runs.iter().map(|run| run.header.labels.as_slice()).collect();
    compared(&metrics, &labels, names)
}

/// `labels` are each run's classes; `names` are the runs'.
fn compared(metrics: &[Option<&Metrics>], labels: &[&[String]], names: &[String]) -> Markup {
    let mut seen = HashSet::new();
    let mut labels: Vec<&String> = labels.iter().copied().flatten().filter(|&label| seen.insert(label)).collect();
    let scores: Vec<HashMap<&str, &ClassScore>> = metrics
        .iter()
        .map(|of| of.iter().flat_map(|of| &of.per_class).map(|score| (score.label.as_str(), score)).collect())
        .collect();
    let mut note = String::new();
    if labels.len() > ROWS {
        let apart = |label: &String| {
            let recalls = || scores.iter().filter_map(|of| of.get(label.as_str())).map(|score| score.recall);
            recalls().fold(0.0, f64::max) - recalls().fold(1.0, f64::min)
        };
        note = format!(
            " The {ROWS} of {} classes in which the runs’ recalls differ the most; test.json in each run folder has all.",
            thousands(labels.len() as u64)
        );
        labels.sort_by(|a, b| apart(b).total_cmp(&apart(a)));
        labels.truncate(ROWS);
    }
    let head: Vec<&str> = ["class"].into_iter().chain(names.iter().map(String::as_str)).collect();
    let table = |caption: &str, value: fn(&ClassScore) -> f64, cell: fn(f64) -> Cell| {
        let rows: Vec<Vec<Cell>> = labels
            .iter()
            .map(|&label| {
                let cells =
                    scores.iter().map(|of| of.get(label.as_str()).map_or(Cell::Missing, |score| cell(value(score))));
                [Cell::Head(short(label))].into_iter().chain(cells).collect()
            })
            .collect();
        page::table(&format!("{caption}{note}"), &head, &rows)
    };
    html! {
        (table("Recall: of the covers that are so, the share answered so.", |score| score.recall, Cell::percent))
        (table("F1: the harmonic mean of precision and recall.", |score| score.f1, |value| Cell::decimal(value, 3)))
    }
}

#[cfg(test)]
mod tests;
