//! `gatefold train --seeds`: the same run several times.

use std::path::Path;

use super::{Arguments, one_of_several, scores};
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
    interrupt::would_say(format!("interrupted; go on with: {}", arguments.go_on(data, out, 1)));
    all.train(starter, out, |root, trainer| one_of_several(root, trainer, arguments))?;
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
        let none = || "there is no test set, so there is no score".to_owned();
        let scores = run.test.as_ref().map_or_else(none, scores);
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
