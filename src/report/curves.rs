//! How training went, as charts.

use maud::{Markup, html};

use super::chart::{Chart, Curve, Unit, gathered};
use super::run::Run;
use crate::Result;
use crate::score::metrics::Point;
use crate::train::EpochReport;

/// Points of a curve over steps; more are gathered in groups.
const POINTS: usize = 220;

/// One value of every epoch that has it.
pub fn over_epochs(run: &Run, value: fn(&EpochReport) -> Option<f64>) -> Vec<Point> {
    run.epochs.iter().filter_map(|epoch| Some((epoch.epoch as f64, value(epoch)?))).collect()
}

/// Batch loss, epoch loss, accuracy and learning rate of one run.
pub fn charts(run: &Run) -> Result<Markup> {
    let steps = |value: fn(&crate::train::StepReport) -> f64| -> Vec<Point> {
        run.steps.iter().map(|step| (step.step as f64, value(step))).collect()
    };
    let loss = gathered("training batches", &steps(|s| s.loss), POINTS);
    let caption = if loss.band.is_empty() {
        "Every optimiser step.".to_owned()
    } else {
        let size = run.steps.len().div_ceil(POINTS);
        format!("The line is the mean of {size} steps, the band their lowest and highest.")
    };
    let batch =
        Chart { title: "Loss of each batch".into(), caption, x: "step", curves: vec![loss], ..Chart::default() };

    let validated = run.epochs.iter().any(|epoch| epoch.val_loss.is_some());
    let pair = |training: fn(&EpochReport) -> Option<f64>, validation: fn(&EpochReport) -> Option<f64>| {
        let mut curves = vec![Curve::new("training", over_epochs(run, training))];
        if validated {
            curves.push(Curve::new("validation", over_epochs(run, validation)));
        }
        curves
    };
    let mut smoothing = String::new();
    if run.config.label_smoothing > 0.0 {
        smoothing = format!(
            "Training measures against labels smoothed by {}, with dropout and random changes; validation does not.",
            run.config.label_smoothing
        );
    } else if validated {
        smoothing = "Training measures with dropout and random changes of the pictures; validation does not.".into();
    }
    let epoch = Chart {
        title: "Loss of each epoch".into(),
        caption: smoothing,
        x: "epoch",
        curves: pair(|e| Some(e.train_loss), |e| e.val_loss),
        ..Chart::default()
    };

    let (first, last) =
        (run.epochs.first().map_or(1.0, |e| e.epoch as f64), run.epochs.last().map_or(1.0, |e| e.epoch as f64));
    let references = run.validation_majority().filter(|_| first < last).map(|share| {
        Curve::new(format!("always {} (validation)", most_frequent(run)), vec![(first, share), (last, share)])
    });
    let best = run.header.best.filter(|_| validated);
    let caption = best.map_or_else(
        || "There is no validation set, so the last epoch counts.".to_owned(),
        |best| format!("Epoch {} was best on the validation set; its weights are the ones scored here.", best.epoch),
    );
    let accuracy = Chart {
        title: "Accuracy".into(),
        caption,
        x: "epoch",
        units: [Unit::Number, Unit::Percent],
        curves: pair(|e| Some(e.train_accuracy), |e| e.val_accuracy),
        references: references.into_iter().collect(),
        ..Chart::default()
    };
    let rate = Chart {
        title: "Learning rate".into(),
        x: "step",
        curves: vec![Curve { band: vec![], ..gathered("rate", &steps(|s| s.lr), POINTS) }],
        ..Chart::default()
    };
    Ok(html! {
        div.figures { (batch.figure()?) (epoch.figure()?) (accuracy.figure()?) (rate.figure()?) }
    })
}

/// The training set's most frequent class.
fn most_frequent(run: &Run) -> &str {
    let counts = &run.header.training_counts;
    &run.header.labels[(1..counts.len()).fold(0, |most, c| if counts[c] > counts[most] { c } else { most })]
}
