//! Several runs side by side.

use std::collections::{BTreeMap, HashMap, HashSet};

use maud::{Markup, html};
use serde::Serialize;

use super::chart::{Chart, Curve, Unit};
use super::classes;
use super::curves::over_epochs;
use super::page::{self, Cell, Page, Section, Tone};
use super::run::{Run, Test};
use super::scores::scale;
use super::words::{duration, list, network, p_value, percent, short, thousands};
use crate::Result;
use crate::score::metrics::{McNemar, holm};
use crate::score::predictions::Answered;
use crate::train::EpochReport;
use crate::train::seeds::Spread;

/// Two runs on the test covers that both have.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Pair {
    /// Their places in the list of runs.
    pub runs: [usize; 2],
    /// Covers that are in both test sets.
    pub shared: usize,
    /// Their accuracies on those.
    pub accuracies: [f64; 2],
    #[serde(flatten)]
    pub test: McNemar,
    /// `p` after Holm's correction over all pairs.
    pub p_holm: f64,
}

/// The page for several runs.
///
/// # Errors
/// [`crate::Error::Run`] if something cannot be drawn.
pub fn page(runs: &[Run]) -> Result<Page> {
    let runs: Vec<&Run> = runs.iter().collect();
    let names = names(&runs);
    let pairs = pairs(&runs);
    let mut sections = vec![Section::new("scores", "Scores", scores(&runs, &names))];
    if let Some(spread) = spread(&runs) {
        sections.push(Section::new("seeds", "What the seed alone changes", seeds(&spread, runs.len())));
    }
    sections.push(Section::new("differences", "Is one better than another?", differences(&runs, &names, &pairs)));
    sections.push(Section::new("training", "How training went", curves(&runs, &names)?));
    sections.push(Section::new("classes", "Class by class", classes::side_by_side(&runs, &names)));
    sections.push(Section::new("settings", "What was done differently", settings(&runs, &names)?));
    let title = match runs.len() {
        0..=3 => list(&names),
        n => format!("{n} runs side by side"),
    };
    Ok(Page { kicker: "Runs side by side", title, lead: lead(&runs, &names, &pairs), sections, style: "", script: "" })
}

/// Names that tell the runs apart: the folders', with the one above where two are called the same.
pub fn names(runs: &[&Run]) -> Vec<String> {
    let same = |name: &str| runs.iter().filter(|run| run.name == name).count() > 1;
    let parent = |run: &Run| {
        let whole = std::path::absolute(run.folder.root()).ok()?;
        Some(whole.parent()?.file_name()?.to_string_lossy().into_owned())
    };
    let long = |run: &&Run| match parent(run) {
        Some(parent) if same(&run.name) => format!("{parent}/{}", run.name),
        _ => run.name.clone(),
    };
    let names: Vec<String> = runs.iter().map(long).collect();
    let twice = |place: usize| names.iter().filter(|name| **name == names[place]).count() > 1;
    (0..names.len()).map(|i| if twice(i) { format!("{} ({})", names[i], i + 1) } else { names[i].clone() }).collect()
}

/// Whether all runs have a test set, and the same one.
fn one_test_set(runs: &[&Run]) -> bool {
    let set = |run: &Run| -> Option<HashSet<String>> {
        Some(run.test.as_ref()?.predictions.covers.iter().map(|cover| cover.hash.clone()).collect())
    };
    let first = runs.first().and_then(|run| set(run));
    first.is_some() && runs.iter().all(|run| set(run) == first)
}

/// McNemar's test of all pairs that share test covers. Answers are compared by the class's name.
pub fn pairs(runs: &[&Run]) -> Vec<Pair> {
    let right = |run: &Run, cover: &Answered| (run.header.labels[cover.answer.label].clone(), cover.answer.is_right());
    let by_hash = |run: &Run| -> HashMap<String, (String, bool)> {
        let covers = run.test.iter().flat_map(|test| &test.predictions.covers);
        covers.map(|cover| (cover.hash.clone(), right(run, cover))).collect()
    };
    let mut pairs = vec![];
    for second in 1..runs.len() {
        for first in 0..second {
            let theirs = by_hash(runs[second]);
            let covers = runs[first].test.iter().flat_map(|test| &test.predictions.covers);
            let (a, b): (Vec<bool>, Vec<bool>) = covers
                .filter_map(|cover| {
                    let (label, other) = theirs.get(&cover.hash)?;
                    let (mine, answered) = right(runs[first], cover);
                    // A cover that the two data sets label differently says nothing of the networks.
                    (mine == *label).then_some((answered, *other))
                })
                .unzip();
            if a.is_empty() {
                continue;
            }
            let accuracy = |right: &[bool]| right.iter().filter(|&&right| right).count() as f64 / right.len() as f64;
            let (test, accuracies) = (McNemar::new(&a, &b), [accuracy(&a), accuracy(&b)]);
            pairs.push(Pair { runs: [first, second], shared: a.len(), accuracies, test, p_holm: test.p });
        }
    }
    let corrected = holm(&pairs.iter().map(|pair| pair.test.p).collect::<Vec<_>>());
    pairs.iter_mut().zip(corrected).for_each(|(pair, p)| pair.p_holm = p);
    pairs
}

fn lead(runs: &[&Run], names: &[String], pairs: &[Pair]) -> Markup {
    let tested = runs.iter().zip(names).filter_map(|(run, name)| Some((run.test.as_ref()?, name)));
    let Some((best, name)) = tested.max_by(|a, b| a.0.metrics.accuracy.total_cmp(&b.0.metrics.accuracy)) else {
        return html! { p { "None of these runs has a test set, so none has a score." } };
    };
    let told = if !one_test_set(runs) {
        "Their test sets differ, so their scores do not compare directly; what follows says what does."
    } else if pairs.iter().any(|pair| pair.p_holm < 0.05) {
        "Some of the differences are more than chance."
    } else {
        "On these covers no difference between them is more than chance would make."
    };
    html! {
        p {
            strong { (name) } " answers most test covers right: " strong { (percent(best.metrics.accuracy)) } " of " (best.metrics.n) ", where always answering “"
            (short(&best.metrics.majority_label)) "” has " (percent(best.metrics.majority)) ". " (told)
        }
    }
}

fn scores(runs: &[&Run], names: &[String]) -> Markup {
    let two = runs.iter().any(|run| run.header.labels.len() == 2);
    let interval = |[low, high]: [f64; 2]| format!("{:.1} – {:.1} %", 100.0 * low, 100.0 * high);
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .zip(names)
        .map(|(run, name)| {
            let number = |value: Option<f64>, cell: fn(f64) -> Cell| value.map_or(Cell::Missing, cell);
            let of = |score: fn(&Test) -> f64| run.test.as_ref().map(score);
            let decimal = |value: f64| Cell::decimal(value, 3);
            let ci = run.test.as_ref().map(|test| test.metrics.accuracy_ci);
            let mut cells = vec![
                Cell::Head(name.clone()),
                Cell::Text(network(&run.config.net)),
                number(of(|t| t.metrics.accuracy), Cell::percent),
                ci.map_or(Cell::Missing, |ci| Cell::Number(interval(ci), ci[0])),
                Cell::Markup(html! { @if let Some(test) = &run.test { div.inline { (scale(test.metrics.accuracy, Some(test.metrics.accuracy_ci))) } } }),
                number(of(|t| t.metrics.majority), Cell::percent),
                number(of(|t| t.metrics.balanced_accuracy), Cell::percent),
                number(of(|t| t.metrics.macro_f1), decimal),
                number(of(|t| t.metrics.loss), decimal),
                number(of(|t| t.calibration.ece), decimal),
            ];
            if two {
                cells.push(number(run.test.as_ref().and_then(|t| t.metrics.roc_auc), decimal));
            }
            cells.push(run.test.as_ref().map_or(Cell::Missing, |test| Cell::count(test.metrics.n as u64)));
            cells
        })
        .collect();
    let mut head = vec![
        "run",
        "network",
        "accuracy",
        "95 % interval",
        "0 to 1",
        "majority",
        "balanced",
        "macro-F1",
        "loss",
        "ECE",
    ];
    if two {
        head.push("ROC-AUC");
    }
    head.push("covers");
    page::table("Each run's best epoch on its own test set.", &head, &rows)
}

/// The spread of scores over runs that differ in nothing but the seed.
pub fn spread(runs: &[&Run]) -> Option<Spread> {
    let settings = |run: &Run| {
        let mut config = run.config.clone();
        config.seed = 0;
        config
    };
    let seeds: HashSet<u64> = runs.iter().map(|run| run.config.seed).collect();
    let alike = runs.windows(2).all(|pair| settings(pair[0]) == settings(pair[1]));
    let data = runs.windows(2).all(|pair| pair[0].origin.data == pair[1].origin.data);
    let tests: Option<Vec<_>> = runs.iter().map(|run| run.test.as_ref().map(|test| &test.metrics)).collect();
    (alike && data && seeds.len() == runs.len()).then(|| Spread::of(&tests?)).flatten()
}

fn seeds(spread: &Spread, runs: usize) -> Markup {
    let rows: Vec<Vec<Cell>> = spread
        .scores()
        .iter()
        .map(|(name, score, percent)| {
            let cell = |value: f64| if *percent { Cell::percent(value) } else { Cell::decimal(value, 3) };
            let std = if *percent { format!("{:.1} points", 100.0 * score.std) } else { format!("{:.3}", score.std) };
            vec![
                Cell::Head((*name).to_owned()),
                cell(score.mean),
                Cell::Number(std, score.std),
                cell(score.lowest),
                cell(score.highest),
            ]
        })
        .collect();
    html! {
        p { "These " (runs) " runs have the same data and settings; only the seed differs, which draws the first weights, the order of the covers, their random changes "
            "and dropout. A difference between two other runs that is not larger than this means nothing." }
        (page::table("", &["score", "mean", "standard deviation", "lowest", "highest"], &rows))
    }
}

fn differences(runs: &[&Run], names: &[String], pairs: &[Pair]) -> Markup {
    let rows: Vec<Vec<Cell>> = pairs
        .iter()
        .map(|pair| {
            let [first, second] = pair.runs.map(|run| &names[run]);
            let [a, b] = pair.accuracies;
            let better = match (pair.p_holm < 0.05, a > b) {
                (false, _) => "cannot be told apart".to_owned(),
                (true, true) => format!("{first} is better"),
                (true, false) => format!("{second} is better"),
            };
            vec![
                Cell::Head(format!("{first} – {second}")),
                Cell::count(pair.shared as u64),
                Cell::Number(format!("{} – {}", percent(a), percent(b)), a - b),
                Cell::count(pair.test.only_first),
                Cell::count(pair.test.only_second),
                Cell::Number(p_value(pair.test.p), pair.test.p),
                Cell::Number(p_value(pair.p_holm), pair.p_holm),
                Cell::Text(better),
            ]
        })
        .collect();
    let head = [
        "runs",
        "shared covers",
        "accuracy on them",
        "only first right",
        "only second right",
        "p",
        "p, Holm",
        "at 5 %",
    ];
    let sizes: Vec<String> = runs
        .iter()
        .zip(names)
        .map(|(run, name)| format!("{name} has {}", run.test.as_ref().map_or(0, |test| test.metrics.n)))
        .collect();
    html! {
        p { "McNemar’s exact test looks at the covers that just one of two networks answers right. If neither is better, they fall evenly on both, "
            "and p is how often chance alone makes them as uneven as this or more; Holm’s correction allows for all pairs together." }
        @if !one_test_set(runs) {
            (page::verdict(Tone::Unsure, "The test sets differ", &html! {
                "Covers of each test set: " (list(&sizes)) ". Pairs are compared on the covers that both test sets have with the same label; pairs without any are left out. "
                "A cover in one run’s test set may have been in the other’s training set; only shared test covers are free of that."
            }))
        }
        @if rows.is_empty() { p { "No two of these runs share a test cover, so nothing can be compared on the same covers." } } @else { (page::table("", &head, &rows)) }
    }
}

fn curves(runs: &[&Run], names: &[String]) -> Result<Markup> {
    let chart = |title: &str, unit: Unit, value: fn(&EpochReport) -> Option<f64>| {
        let curves: Vec<Curve> =
            runs.iter().zip(names).map(|(run, name)| Curve::new(name.clone(), over_epochs(run, value))).collect();
        Chart { title: title.to_owned(), x: "epoch", units: [Unit::Number, unit], curves, ..Chart::default() }.figure()
    };
    Ok(html! {
        div.figures {
            (chart("Accuracy on the validation set", Unit::Percent, |e| e.val_accuracy)?)
            (chart("Loss on the validation set", Unit::Number, |e| e.val_loss)?)
            (chart("Accuracy in training", Unit::Percent, |e| Some(e.train_accuracy))?)
            (chart("Loss in training", Unit::Number, |e| Some(e.train_loss))?)
        }
    })
}

/// The settings in which the runs differ, and what each needed.
fn settings(runs: &[&Run], names: &[String]) -> Result<Markup> {
    let mut fields: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut set = |name: &str, place: usize, value: String| {
        fields.entry(name.to_owned()).or_insert_with(|| vec!["–".to_owned(); runs.len()])[place] = value;
    };
    for (place, run) in runs.iter().enumerate() {
        let table = toml::Table::try_from(&run.config).map_err(crate::Error::run)?;
        for (name, value) in &table {
            set(name, place, crate::train::config::shown(value));
        }
        set("adapter", place, run.origin.adapter.clone());
        set("data", place, run.origin.data.display().to_string());
        set("gatefold", place, run.origin.version.clone());
    }
    let differing = fields.iter().filter(|(_, values)| values.iter().any(|value| *value != values[0]));
    let rows: Vec<Vec<Cell>> = differing
        .map(|(name, values)| {
            [Cell::Head(name.replace('_', " "))].into_iter().chain(values.iter().cloned().map(Cell::Text)).collect()
        })
        .collect();
    let fact = |name: &str, value: &dyn Fn(&Run) -> String| -> Vec<Cell> {
        [Cell::Head(name.to_owned())].into_iter().chain(runs.iter().map(|run| Cell::Text(value(run)))).collect()
    };
    let needs = vec![
        fact("parameters", &|run| thousands(run.origin.parameters as u64)),
        fact("epochs done", &|run| run.epochs.last().map_or(0, |e| e.epoch).to_string()),
        fact("best epoch", &|run| run.header.best.map_or_else(|| "–".to_owned(), |best| best.epoch.to_string())),
        fact("images/s", &|run| run.images_per_second().map_or_else(|| "–".to_owned(), |speed| format!("{speed:.1}"))),
        fact("training took", &|run| duration(run.seconds())),
        fact("peak memory", &|run| run.origin.peak_bytes.map_or_else(|| "–".to_owned(), gatefold_engine::plan::mib)),
    ];
    let head: Vec<&str> = [""].into_iter().chain(names.iter().map(String::as_str)).collect();
    Ok(html! {
        @if rows.is_empty() { p { "All settings are the same." } } @else { (page::table("Settings that differ; all others are the same.", &head, &rows)) }
        (page::table("What each needed.", &head, &needs))
        h3 { "The same runs again" }
        @for run in runs { (page::command(&run.command())) }
    })
}
