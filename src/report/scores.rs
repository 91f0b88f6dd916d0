//! What the test set says: scores beside baselines, and how far probabilities can be trusted.

use maud::{Markup, html};

use super::chart::{Chart, Curve, Unit};
use super::page::{self, Tone};
use super::run::Test;
use super::words::short;
use crate::Result;
use crate::score::Metrics;
use crate::score::metrics::{Curves, Verdict};

/// The verdict against the majority baseline.
pub fn verdict(metrics: &Metrics) -> Markup {
    let (tone, headline) = match metrics.verdict() {
        Verdict::Better => (Tone::Good, "Better than guessing the most frequent class"),
        Verdict::Undecided => (Tone::Unsure, "Not clearly better than guessing the most frequent class"),
        Verdict::NotBetter => (Tone::Bad, "Not better than guessing the most frequent class"),
    };
    page::verdict(tone, headline, &html! { (metrics.verdict_text()) })
}

/// A score, its interval if it has one, and a place for both on a scale from 0 to 1.
struct Row {
    name: String,
    note: String,
    value: f64,
    interval: Option<[f64; 2]>,
    percent: bool,
    baseline: bool,
}

/// All scores with their 95 % intervals, beside what guessing reaches.
pub fn table(test: &Test) -> Markup {
    let (m, i) = (&test.metrics, &test.intervals);
    let row = |name: &str, note: &str, value: f64, interval: Option<[f64; 2]>, percent: bool| Row {
        name: name.to_owned(),
        note: note.to_owned(),
        value,
        interval,
        percent,
        baseline: interval.is_none(),
    };
    let mut rows = vec![
        row("Accuracy", "share of covers answered right", m.accuracy, Some(m.accuracy_ci), true),
        row(&format!("always “{}”", short(&m.majority_label)), "the majority baseline", m.majority, None, true),
        row("stratified guessing", "classes as often as in training", m.stratified, None, true),
        row("chance", &format!("{} classes, evenly", m.labels.len()), m.chance, None, true),
        row("Balanced accuracy", "mean recall of the classes", m.balanced_accuracy, Some(i.balanced_accuracy), true),
        row("Macro-F1", "mean F1 of the classes", m.macro_f1, Some(i.macro_f1), false),
    ];
    if let Some(auc) = m.roc_auc {
        rows.push(row("ROC-AUC", "0.5 is guessing", auc, i.roc_auc, false));
    }
    let number =
        |value: f64, percent: bool| if percent { format!("{:.1} %", 100.0 * value) } else { format!("{value:.3}") };
    html! {
        div.scroll {
            table.wide.scores {
                caption { (m.n) " test covers. Accuracy has Wilson's interval, the others that of a bootstrap of 1,000 draws." }
                thead { tr { th scope="col" { "score" } th.number scope="col" { "value" } th.number scope="col" { "95 % interval" } th.scale scope="col" { "0 to 1" } } }
                tbody {
                    @for row in &rows {
                        tr.baseline[row.baseline] {
                            th scope="row" { (row.name) small { (row.note) } }
                            td.number { (number(row.value, row.percent)) }
                            td.number {
                                @if let Some([low, high]) = row.interval { (number(low, row.percent)) " – " (number(high, row.percent)) }
                            }
                            td.scale { (scale(row.value, row.interval)) }
                        }
                    }
                    tr {
                        th scope="row" { "Loss" small { "mean negative log-likelihood; guessing evenly has " (format!("{:.3}", (m.labels.len() as f64).ln())) } }
                        td.number { (format!("{:.3}", m.loss)) }
                        td.number { (format!("{:.3} – {:.3}", i.loss[0], i.loss[1])) }
                        td.scale {}
                    }
                }
            }
        }
    }
}

/// A value as a dot on a line from 0 to 1, its interval as a bar.
pub fn scale(value: f64, interval: Option<[f64; 2]>) -> Markup {
    let percent = |share: f64| format!("{:.2}%", 100.0 * share.clamp(0.0, 1.0));
    html! {
        div.track aria-hidden="true" {
            @if let Some([low, high]) = interval {
                i.bar style={ "left:" (percent(low)) ";width:" (percent(high - low)) } {}
            }
            i.dot style={ "left:" (percent(value)) } {}
        }
    }
}

/// The reliability diagram, and for two classes ROC and precision against recall.
pub fn curves(test: &Test) -> Result<Markup> {
    let calibration = &test.calibration;
    let bins = calibration.bins.len() as f64;
    let (left, right) = (|i: usize| i as f64 / bins + 0.008, |i: usize| (i as f64 + 1.0) / bins - 0.008);
    let filled = || calibration.bins.iter().enumerate().filter(|(_, bin)| bin.count > 0);
    let most = calibration.bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
    let gap = calibration.bins.iter().map(|bin| bin.count as f64 * (bin.confidence - bin.accuracy)).sum::<f64>();
    let leaning = if gap > 0.0 { "surer than it should be" } else { "less sure than it could be" };
    let reliability = Chart {
        title: format!("Reliability, ECE {:.3}", calibration.ece),
        caption: format!(
            "Bars: the share that is right among answers of about that probability. Dots: their mean probability, larger where \
             there are more covers. On the diagonal probabilities can be taken at their word; below it the network is too sure. \
             On the whole it is {leaning}. ECE is the mean distance."
        ),
        x: "probability of the answer",
        units: [Unit::Percent, Unit::Percent],
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, 1.0]),
        references: vec![Curve::new("as sure as right", vec![(0.0, 0.0), (1.0, 1.0)])],
        bars: filled().map(|(i, bin)| (left(i), right(i), bin.accuracy)).collect(),
        dots: filled()
            .map(|(_, bin)| ((bin.confidence, bin.accuracy), 2.5 + 4.0 * (bin.count as f64 / most).sqrt()))
            .collect(),
        ..Chart::default()
    };
    let covers = test.metrics.n as f64;
    let sureness = Chart {
        title: "How sure it is".into(),
        caption: "The share of answers given with about that probability.".into(),
        x: "probability of the answer",
        units: [Unit::Percent, Unit::Percent],
        x_range: Some([0.0, 1.0]),
        y_range: Some([0.0, (1.1 * most / covers).min(1.0)]),
        bars: filled().map(|(i, bin)| (left(i), right(i), bin.count as f64 / covers)).collect(),
        ..Chart::default()
    };
    let mut figures = vec![reliability.figure()?, sureness.figure()?];
    if let Some((is, scores)) = test.second_class()
        && let Some(second) = Curves::new(&is, &scores)
    {
        let labels: Vec<String> = test.predictions.labels.iter().map(|label| short(label)).collect();
        let area = test.metrics.roc_auc.unwrap_or(0.5);
        let interval = test
            .intervals
            .roc_auc
            .map_or(String::new(), |[low, high]| format!(" (95 % interval {low:.3} to {high:.3})"));
        let roc = Chart {
            title: format!("ROC, area {area:.3}"),
            caption: format!(
                "“{}” against “{}” at every threshold. Area {area:.3}{interval}; guessing has 0.5.",
                labels[1], labels[0]
            ),
            x: "false-positive rate",
            units: [Unit::Percent, Unit::Percent],
            x_range: Some([0.0, 1.0]),
            y_range: Some([0.0, 1.0]),
            curves: vec![Curve::new("true-positive rate", second.roc.clone())],
            references: vec![Curve::new("guessing", vec![(0.0, 0.0), (1.0, 1.0)])],
            ..Chart::default()
        };
        figures.push(roc.figure()?);
        let not: Vec<bool> = is.iter().map(|is| !is).collect();
        let other: Vec<f32> = scores.iter().map(|p| 1.0 - p).collect();
        let first = Curves::new(&not, &other);
        let of = |label: &String, curves: &Curves| {
            Curve::new(format!("{label}, area {:.3}", curves.average_precision), curves.precision_recall.clone())
        };
        let mut curves = vec![of(&labels[1], &second)];
        curves.extend(first.map(|first| of(&labels[0], &first)));
        let share = |class: usize| if class == 1 { second.prevalence } else { 1.0 - second.prevalence };
        let both = Chart {
            title: "Precision against recall".into(),
            caption: format!(
                "The areas are average precisions. Guessing has each class' share: {:.3} for “{}”, {:.3} for “{}”.",
                share(1),
                labels[1],
                share(0),
                labels[0]
            ),
            x: "recall",
            units: [Unit::Percent, Unit::Percent],
            x_range: Some([0.0, 1.0]),
            y_range: Some([0.0, 1.0]),
            curves,
            references: vec![
                Curve::new("", vec![(0.0, share(1)), (1.0, share(1))]),
                Curve::new("guessing", vec![(0.0, share(0)), (1.0, share(0))]),
            ],
            ..Chart::default()
        };
        figures.push(both.figure()?);
    }
    Ok(html! { div.figures { @for figure in &figures { (figure) } } })
}
