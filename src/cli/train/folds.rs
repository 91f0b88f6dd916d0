//! `gatefold train --folds`: the same run on each fold, and one score over all covers.

use std::path::Path;

use super::{Arguments, one_of_several, scores};
use crate::cli::console::{self, percent};
use crate::cli::interrupt;
use crate::train::Starter;
use crate::train::folds::{Folds, Score};
use crate::train::run::RunFolder;
use crate::{Error, Result};

/// `begun` is what an earlier call left, if this one goes on with it.
pub fn run(starter: &Starter, arguments: &Arguments, begun: Option<Folds>, data: &Path, out: &Path) -> Result<()> {
    let shown = out.display();
    let mut all = match (begun, arguments.folds) {
        (Some(begun), Some(wanted)) if wanted != begun.folds => {
            let there = begun.folds;
            return Err(Error::input(format!(
                "--folds {wanted}: {shown} was begun with {there}; leave the option out, or name another folder"
            )));
        }
        (Some(mut begun), _) => {
            begun.config = arguments.all_resumed(&begun.config)?;
            begun.go_on(starter, data, out)?
        }
        (None, _) if arguments.resume && !RunFolder::new(out).is_begun() => {
            return Err(Error::input(format!(
                "--resume: {shown} has no folds.json, so --folds did not begin there; leave out --resume"
            )));
        }
        (None, folds) => {
            let (config, weights) = (arguments.config()?, arguments.weights.as_deref());
            Folds::begin(starter, data, config, folds.unwrap_or_default(), weights, out)?
        }
    };
    interrupt::would_say(format!("interrupted; go on with: {}", arguments.go_on(data, out, 1)));
    all.train(starter, out, |root, trainer| one_of_several(root, trainer, arguments))?;
    if arguments.json {
        console::json(&all)?;
    } else {
        console::show(&text(&all, out));
    }
    Ok(())
}

/// The scores of all folds, and the one over all covers.
pub fn text(all: &Folds, out: &Path) -> String {
    let mut text = String::from("\n  fold  covers  accuracy  balanced  macro-F1    loss\n");
    for run in &all.runs {
        if let Some(m) = &run.test {
            text += &format!("{:>6}  {:>6}  {}\n", run.fold, m.n, scores(m));
        }
    }
    if let Some(Score { all, groups, accuracy_ci: [low, high], spread }) = &all.score {
        let std =
            format!("the folds' accuracies have a standard deviation of {:.1} points", 100.0 * spread.accuracy.std);
        text += &format!("\nall covers, each answered by the network that had not seen it ({std}):\n{}", all.text());
        if *groups < all.n {
            text += &format!(
                "\nThe covers are of {groups} groups that were kept whole; with those drawn again instead of covers the 95 % interval of \
                 the accuracy is {:.1} to {}.\n",
                100.0 * low,
                percent(*high)
            );
        }
    }
    text + &format!("\nruns: {}\n", console::shown(out.display()))
}
