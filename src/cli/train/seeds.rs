//! `gatefold train --seeds`: the same run several times.

use std::collections::HashSet;
use std::path::Path;

use super::{Arguments, check, check_classes, resume, start, train};
use crate::cli::console::{self, percent};
use crate::cli::data::prepare_data;
use crate::cli::report;
use crate::data::Dataset;
use crate::train::run::{self, RunFolder};
use crate::train::seeds::{Finished, Seeds};
use crate::{Error, Result};

pub fn run(arguments: &Arguments, data: &Path, out: &Path) -> Result<()> {
    let mut all = if arguments.resume { resumed(arguments, data, out)? } else { new(arguments, data, out)? };
    let prepared = RunFolder::new(out).data();
    for (number, seed) in (1..).zip(all.seeds.clone()) {
        let root = Seeds::folder(out, seed);
        console::say(format!("\nseed {seed} ({number} of {})", all.seeds.len()));
        if let Some(finished) = all.finished(out, seed)? {
            console::say("is finished");
            all.add(finished);
            continue;
        }
        let (run, config) = (RunFolder::new(&root), all.config(seed));
        let trainer = if run.last().is_file() {
            resume(&prepared, config, &run, &arguments.gpu)?
        } else {
            start(&prepared, config, all.weights.as_deref(), &root, arguments.tuning.when(), &arguments.gpu)?
        };
        let gpu = trainer.gpu();
        let outcome = train(trainer, !arguments.no_tensorboard)?;
        report::after_training(&root, &gpu);
        all.add(Finished { seed, run: root, best: outcome.best, test: outcome.test });
        all.write(out)?;
    }
    all.write(out)?;
    if arguments.json {
        console::json(&all)?;
    } else {
        console::print(&text(&all, out))?;
    }
    report::after_seeds(&all.folders(out), &RunFolder::new(out).report(), &arguments.gpu);
    Ok(())
}

/// Checks the seeds and makes the data set that all runs share.
fn new(arguments: &Arguments, data: &Path, out: &Path) -> Result<Seeds> {
    let mut config = arguments.config()?;
    let seeds = checked(arguments)?;
    if !arguments.has_seed() {
        config.seed = seeds[0];
    }
    check_classes(arguments.classes, data, &config)?;
    run::check_new(&RunFolder::new(out))?;
    if Seeds::read(out)?.is_some() {
        let out = out.display();
        return Err(Error::input(format!(
            "--out {out}: holds runs already; add --resume to go on with them, or name another folder"
        )));
    }
    check(data, config.clone(), arguments.weights.as_deref(), &arguments.gpu)?;
    let run = RunFolder::new(out);
    run::create(&run)?;
    prepare_data(data, &config, &run.data())?;
    let data = std::path::absolute(data).unwrap_or_else(|_| data.to_owned());
    let all = Seeds { data, seeds, config, weights: arguments.weights.clone(), runs: vec![], spread: None };
    all.write(out)?;
    Ok(all)
}

/// Seeds that differ, at least two.
fn checked(arguments: &Arguments) -> Result<Vec<u64>> {
    let seeds = &arguments.seeds;
    let listed = seeds.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
    if seeds.iter().collect::<HashSet<_>>().len() < seeds.len() {
        return Err(Error::input(format!("--seeds {listed}: a seed is there twice; name each once")));
    }
    match seeds.as_slice() {
        [one] => {
            Err(Error::input(format!("--seeds {one}: one run has no deviation; name two or more, or say --seed {one}")))
        }
        _ if seeds.iter().any(|&seed| seed > u64::from(u32::MAX)) => {
            Err(Error::input(format!("--seeds {listed}: must be at most 4294967295")))
        }
        _ => Ok(seeds.clone()),
    }
}

/// What an earlier call began; there may be more epochs and more seeds.
fn resumed(arguments: &Arguments, data: &Path, out: &Path) -> Result<Seeds> {
    let Some(mut all) = Seeds::read(out)? else {
        let out = out.display();
        return Err(Error::input(format!(
            "--resume: {out} has no seeds.json, so --seeds did not begin there; leave out --resume"
        )));
    };
    all.config = arguments.resumed(&all.config)?;
    check_classes(arguments.classes, data, &all.config)?;
    let run = RunFolder::new(out);
    run::check_same_data(data, &all.config, &Dataset::open(&run.data())?, &run)?;
    if !arguments.seeds.is_empty() {
        let seeds = checked(arguments)?;
        if let Some(missing) = all.seeds.iter().find(|seed| !seeds.contains(seed)) {
            return Err(Error::input(format!(
                "--seeds: {missing} was among the seeds and is not named; name it, too, or leave --seeds out"
            )));
        }
        all.seeds = seeds;
    }
    Ok(all)
}

/// The scores of all seeds, and their mean and deviation.
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
        text +=
            &format!("  always \"{}\" has {}, chance {}\n", m.majority_label, percent(m.majority), percent(m.chance));
    }
    text + &format!("\nruns: {}\n", out.display())
}
