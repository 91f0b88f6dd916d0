//! Going on with a run: which of its settings may change, and what that does to the learning rate.

use crate::file::write_atomically;
use crate::train::run::RunFolder;
use crate::train::{Config, LearningRate, Schedule};
use crate::{Error, Result};

/// What a resumed run is asked to do otherwise than its `config.toml` says.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// Restart the schedule, over the epochs that are left.
    pub restart_schedule: bool,
    /// Go on with this many ranks; with others than before the batch may change, too. `None`: with as many as before.
    pub ranks: Option<usize>,
}

/// The settings that a run goes on with after `done` epochs: `stored`, but that there may be more epochs, and then another schedule
/// and rate. `wanted` is `stored` with the options of this call.
///
/// # Errors
/// [`Error::Input`] if `wanted` says otherwise in anything else.
pub fn settings(stored: &Config, wanted: &Config, wish: Wish, done: u64) -> Result<Config> {
    if wanted.epochs < stored.epochs {
        return Err(Error::input(format!(
            "--epochs {}: the run was made for {}; name at least as many",
            wanted.epochs, stored.epochs
        )));
    }
    if wish.restart_schedule && wanted.epochs <= done {
        return Err(Error::input(format!(
            "--restart-schedule: all {done} epochs of the run are done; name more with --epochs"
        )));
    }
    // With more epochs the rate changes anyway; else what differs is taken for a slip.
    let free = wanted.epochs > stored.epochs || wish.restart_schedule;
    let other = wanted.schedule != stored.schedule;
    // A rate belongs to the course that it was given for.
    let restarted = free && (other || wish.restart_schedule);
    let mut wanted = wanted.clone();
    if restarted && other {
        // What belongs to the schedule that the run had is not asked for again.
        let kept = (wanted.step_every, wanted.step_factor) == (stored.step_every, stored.step_factor);
        if wanted.schedule != Schedule::Step && kept {
            (wanted.step_every, wanted.step_factor) = (None, None);
        }
        if wanted.schedule == Schedule::OneCycle && wanted.warmup == stored.warmup {
            wanted.warmup = 0;
        }
    }
    let mut config = Config { epochs: wanted.epochs, ..stored.clone() };
    if wish.ranks.is_some_and(|ranks| ranks != ranks_of(stored)) {
        (config.batch, config.accumulate) = (wanted.batch, wanted.accumulate);
    }
    if restarted {
        let Config { schedule, lr, warmup, step_every, step_factor, .. } = wanted;
        config = Config { schedule, lr, warmup, step_every, step_factor, ..config };
    }
    if wanted != config {
        let more = match (free, restarted) {
            (_, true) => "",
            (true, false) => "; --lr may change with --schedule or --restart-schedule",
            (false, false) => "; --schedule, and with it --lr, may change where --epochs is raised",
        };
        return Err(Error::input(format!(
            "--resume: other options than in the run's config.toml; leave them out, or start a new run{more}"
        )));
    }
    if wish.restart_schedule {
        config.schedule_from = done;
    }
    config.check()?;
    Ok(config)
}

/// The ranks that a run was trained by.
fn ranks_of(config: &Config) -> usize {
    config.run.as_ref().and_then(|run| run.ranks).unwrap_or(1)
}

/// What another number of ranks does, in a line; none if it is the same.
pub fn ranks_note(before: &Config, after: &Config) -> Option<String> {
    let (then, now) = (ranks_of(before), after.ranks);
    let covers = |config: &Config, ranks: usize| config.batch * config.accumulate * ranks;
    let (was, is) = (covers(before, then), covers(after, now));
    let ranks = |count: usize| if count == 1 { "1 rank".to_owned() } else { format!("{count} ranks") };
    let what = if was == is {
        format!("its optimiser steps have {is} covers as before")
    } else {
        let same =
            was.checked_div(now * after.accumulate).filter(|&batch| batch > 0 && batch * now * after.accumulate == was);
        let same = same.map_or(String::new(), |batch| format!("; --batch {batch} would keep it"));
        format!(
            "its optimiser steps have {is} covers instead of {was}, and an epoch as many fewer or more of them{same}"
        )
    };
    (then != now).then(|| format!("the run was trained by {} and goes on with {now}: {what}", ranks(then)))
}

/// What becomes of the learning rate, in a line; none if nothing that is left to do changes it.
pub fn rate_note(before: &LearningRate, after: &LearningRate, steps: u64) -> Option<String> {
    let left = || steps..after.steps().max(steps);
    // Within the steps that were planned, a rate that stays tells that nothing has changed.
    if before == after || left().all(|step| before.at(step) == after.at(step)) {
        return None;
    }
    let last = steps.checked_sub(1).map(|step| shown(before.at(step)));
    let last = last.map_or(String::new(), |rate| format!("from {rate} "));
    let (per, done) = (after.steps_per_epoch.max(1), steps / after.steps_per_epoch.max(1));
    let name = |rate: &LearningRate| {
        let began = rate.start / per;
        let from = if began > 0 { format!(", begun after epoch {began}") } else { String::new() };
        format!("{} of {} epochs{from}", rate.schedule.name(), rate.epochs.saturating_sub(began))
    };
    let how = match (before.schedule, after.schedule) {
        (a, b) if a == b && after.start > before.start => format!("a fresh {}", name(after)),
        (a, b) if a == b => format!("{} instead of {}, {done} epochs of it done", name(after), before.epochs),
        _ => format!("{} instead of {}", name(after), before.schedule.name()),
    };
    let offered = if after.schedule == Schedule::Constant || after.start > before.start {
        ""
    } else {
        "; for another course add --schedule constant (with --lr RATE), or --restart-schedule"
    };
    Some(format!(
        "the learning rate goes {last}to {} with the next step: {how}; the last step's will be {}{offered}",
        shown(after.at(steps)),
        shown(after.at(after.steps().max(1) - 1))
    ))
}

/// A rate with three digits that count.
fn shown(rate: f32) -> String {
    if rate == 0.0 || (1e-4..1e4).contains(&rate) {
        let digits = format!("{rate:.6}");
        return digits.trim_end_matches('0').trim_end_matches('.').to_owned();
    }
    format!("{rate:.2e}")
}

/// Writes the settings that a run goes on with, so that the next `--resume` finds them.
pub fn keep(run: &RunFolder, config: &Config) -> Result<()> {
    let text = config.to_toml()?;
    write_atomically(&run.config(), |file| std::io::Write::write_all(file, text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored() -> Config {
        Config { epochs: 10, lr: 0.1, schedule: Schedule::Cosine, ..Config::default() }
    }

    #[test]
    fn other_ranks_may_have_another_batch_and_are_told_what_a_step_is() {
        use crate::train::config::Origin;
        let of = |ranks| Config { run: Some(Origin { ranks, ..Origin::default() }), batch: 8, ..Config::default() };
        let (stored, wanted) = (of(Some(2)), Config { batch: 4, ..of(Some(2)) });
        let wish = |ranks| Wish { ranks: Some(ranks), ..Wish::default() };
        assert_eq!(settings(&stored, &wanted, wish(4), 0).unwrap().batch, 4);
        assert!(settings(&stored, &wanted, wish(2), 0).is_err());
        assert!(settings(&stored, &wanted, Wish::default(), 0).is_err());
        let note = |before: &Config, after: &Config, ranks| ranks_note(before, &Config { ranks, ..after.clone() });
        assert_eq!(note(&stored, &stored, 2), None);
        let said = note(&stored, &wanted, 4).unwrap();
        assert!(said.contains("by 2 ranks and goes on with 4") && said.contains("16 covers as before"), "{said}");
        let said = note(&of(None), &of(None), 2).unwrap();
        assert!(said.contains("1 rank and") && said.contains("16 covers instead of 8"), "{said}");
        assert!(said.contains("--batch 4 would keep it"), "{said}");
    }

    #[test]
    fn more_epochs_may_bring_another_schedule_and_else_nothing_may_change() {
        let (stored, none) = (stored(), Wish::default());
        assert_eq!(settings(&stored, &stored, none, 4).unwrap(), stored);
        let more = Config { epochs: 20, ..stored.clone() };
        assert_eq!(settings(&stored, &more, none, 10).unwrap(), more);
        let constant = Config { schedule: Schedule::Constant, lr: 0.01, ..more.clone() };
        assert_eq!(settings(&stored, &constant, none, 10).unwrap(), constant);
        let restart = Wish { restart_schedule: true, ..Wish::default() };
        assert_eq!(settings(&stored, &more, restart, 7).unwrap(), Config { schedule_from: 7, ..more.clone() });
        // From steps to another schedule: what only steps have goes.
        let steps = Config { schedule: Schedule::Step, step_every: Some(3), ..stored.clone() };
        let wanted = Config { epochs: 20, schedule: Schedule::Constant, ..steps.clone() };
        assert_eq!(settings(&steps, &wanted, none, 10).unwrap().step_every, None);
        for (wanted, wish, part) in [
            (Config { epochs: 9, ..stored.clone() }, none, "made for 10"),
            (Config { schedule: Schedule::Constant, ..stored.clone() }, none, "where --epochs is raised"),
            (Config { batch: 9, ..more.clone() }, none, "other options"),
            (Config { warmup: 3, ..more.clone() }, none, "other options"),
            (Config { step_factor: Some(0.5), ..more.clone() }, none, "other options"),
            (Config { lr: 0.5, ..more.clone() }, none, "--lr may change with --schedule or --restart-schedule"),
            (Config { seed: 9, ..stored.clone() }, none, "other options"),
            (stored.clone(), restart, "name more with --epochs"),
            (Config { schedule: Schedule::Step, ..more }, none, "--step-every"),
        ] {
            let said = settings(&stored, &wanted, wish, 10).unwrap_err().to_string();
            assert!(said.contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn the_note_says_from_which_rate_to_which() {
        let rates = |config: &Config| config.learning_rate(5);
        let note = |after: Config| rate_note(&rates(&stored()), &rates(&after), 50);
        assert_eq!(note(stored()), None);
        let longer = note(Config { epochs: 20, ..stored() }).unwrap();
        assert!(
            longer.contains(
                "goes from 9.87e-5 to 0.05 with the next step: cosine of 20 epochs instead of 10, 10 epochs of it done"
            ),
            "{longer}"
        );
        assert!(longer.contains("--schedule constant") && longer.contains("--restart-schedule"), "{longer}");
        let constant = note(Config { epochs: 20, schedule: Schedule::Constant, lr: 0.01, ..stored() }).unwrap();
        assert!(constant.contains("to 0.01 with the next step: constant of 20 epochs instead of cosine"), "{constant}");
        assert!(!constant.contains("--restart"), "{constant}");
        let fresh = note(Config { epochs: 20, schedule_from: 10, ..stored() }).unwrap();
        assert!(
            fresh.contains("to 0.1 with the next step: a fresh cosine of 10 epochs, begun after epoch 10"),
            "{fresh}"
        );
        // A constant rate stays what it is, however many epochs there are.
        let flat = Config { schedule: Schedule::Constant, ..stored() };
        assert_eq!(rate_note(&rates(&flat), &rates(&Config { epochs: 99, ..flat.clone() }), 50), None);
    }
}
