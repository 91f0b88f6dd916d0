//! `gatefold train --seeds`: the same run several times.

use std::path::Path;

use super::{Arguments, train};
use crate::cli::console::{self, percent};
use crate::cli::{interrupt, report};
use crate::train::Starter;
use crate::train::run::RunFolder;
use crate::train::seeds::Seeds;
use crate::{Error, Result};

/// `begun` is what an earlier call left, if this one goes on with it.
pub fn run(starter: &Starter, arguments: &Arguments, begun: Option<Seeds>, data: &Path, out: &Path) -> Result<()> {
    let seeds = &arguments.seeds;
    let mut all = match begun {
        Some(begun) => {
            let config = arguments.all_resumed(&begun.config)?;
            begun.go_on(starter, data, config, seeds, out)?
        }
        None if arguments.resume && !RunFolder::new(out).is_begun() => {
            let out = out.display();
            return Err(Error::input(format!(
                "--resume: {out} has no seeds.json, so --seeds did not begin there; leave out --resume"
            )));
        }
        None => {
            let mut config = arguments.config()?;
            if !arguments.has_seed() {
                config.seed = seeds[0];
            }
            Seeds::begin(starter, data, (config, seeds.clone()), arguments.weights.as_deref(), out)?
        }
    };
    interrupt::would_say(format!("interrupted; go on with: {}", arguments.go_on(data, out)));
    all.train(starter, out, |root, trainer| {
        let gpu = trainer.gpu();
        let outcome = train(trainer, !arguments.no_tensorboard, None)?;
        report::after_training(root, &gpu);
        Ok(outcome)
    })?;
    if arguments.json {
        console::json(&all)?;
    } else {
        console::show(&text(&all, out));
    }
    report::after_seeds(&all.folders(out), &RunFolder::new(out).report(), &arguments.gpu);
    Ok(())
}

/// The scores of all seeds, with mean and standard deviation.
fn text(all: &Seeds, out: &Path) -> String {
    let mut text = String::from("\n  seed  accuracy  balanced  macro-F1    loss\n");
    for run in &all.runs {
        let scores = run.test.as_ref().map_or_else(
            || "there is no test set, so there is no score".to_owned(),
            |m| {
                format!(
                    "{:>8}  {:>8}  {:>8.3}  {:>6.3}",
                    percent(m.accuracy),
                    percent(m.balanced_accuracy),
                    m.macro_f1,
                    m.loss
                )
            },
        );
        text += &format!("{:>6}  {scores}\n", run.seed);
    }
    if let Some(spread) = &all.spread {
        text += "\nmean and standard deviation:\n";
        for (name, score, in_percent) in spread.scores() {
            text += &if in_percent {
                format!("  {name:<18} {} ± {:.1} points\n", percent(score.mean), 100.0 * score.std)
            } else {
                format!("  {name:<18} {:.3} ± {:.3}\n", score.mean, score.std)
            };
        }
    }
    if let Some(m) = all.runs.iter().find_map(|run| run.test.as_ref()) {
        text += &format!(
            "  always \"{}\" has {}, chance {}\n",
            console::shown(&m.majority_label),
            percent(m.majority),
            percent(m.chance)
        );
    }
    text + &format!("\nruns: {}\n", console::shown(out.display()))
}
