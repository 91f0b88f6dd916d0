//! What is wrong with settings, said before any picture is read.

use std::fmt;
use std::ops::RangeInclusive;

use super::{Augmentation, ClassWeights, Config, MOMENTUM, Optimizer, bounds};
use crate::train::Schedule;
use crate::{Error, Result, nets};

impl Config {
    /// Checks what can be checked before any picture is read.
    pub fn check(&self) -> Result<()> {
        let net = nets::find(&self.net_config(2))?;
        if let Some(start) = self.start_size.filter(|&start| start < net.smallest) {
            let (name, smallest) = (net.name, net.smallest);
            return bad("start-size", &start, &format!("larger: {name} needs pictures of at least {smallest} pixels"));
        }
        if self.size > crate::data::picture::fit::MAX_SIZE as usize {
            return bad("size", &self.size, &format!("at most {}", crate::data::picture::fit::MAX_SIZE));
        }
        within("batch", self.batch as u64, &bounds::BATCH)?;
        within("epochs", self.epochs, &bounds::EPOCHS)?;
        if !(self.lr.is_finite() && self.lr > 0.0) {
            return bad("lr", &self.lr, "a finite number above 0");
        }
        if !(self.weight_decay.is_finite() && self.weight_decay >= 0.0) {
            return bad("weight-decay", &self.weight_decay, "a finite number, 0 or above");
        }
        if !self.mean.iter().all(|v| v.is_finite()) || !self.std.iter().all(|v| v.is_finite() && *v > 0.0) {
            let Self { mean, std, .. } = self;
            let text = format!("recipe: mean {mean:?}, std {std:?}: must be numbers, and std above 0");
            return Err(Error::input(text));
        }
        if !(0.0..1.0).contains(&self.label_smoothing) {
            return bad("label-smoothing", &self.label_smoothing, "from 0 to below 1");
        }
        if self.balance && self.class_weights != ClassWeights::None {
            return Err(Error::input(
                "--balance and --class-weights auto both make up for rare classes: choose one of them",
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return bad("dropout", &self.dropout, "from 0 to below 1");
        }
        if !(0.0..1.0).contains(&self.stochastic_depth) {
            return bad("stochastic-depth", &self.stochastic_depth, "from 0 to below 1");
        }
        within("seed", self.seed, &bounds::SEED)?;
        self.check_optimiser()?;
        self.check_schedule()
    }

    fn check_optimiser(&self) -> Result<()> {
        within("accumulate", self.accumulate as u64, &bounds::ACCUMULATE)?;
        if !(self.trunk_lr.is_finite() && self.trunk_lr > 0.0) {
            return bad(
                "trunk-lr",
                &self.trunk_lr,
                "a finite number above 0; to leave the trunk as it is say --freeze trunk",
            );
        }
        if let Some(views) = self.views {
            within("views", views, &bounds::VIEWS)?;
            let wrong = |what: &str| Err(Error::input(format!("--views {views}: {what}")));
            if self.freeze.is_none() {
                return wrong(
                    "keeps what frozen layers make of covers, and none is frozen; say --freeze trunk, or leave it out",
                );
            }
            if self.start_size.is_some() {
                return wrong(
                    "with --start-size what they make of covers changes within the run; leave one of them out",
                );
            }
            if self.augment.mixes() {
                return wrong(
                    "mixup and cutmix mix covers anew in each step; take them out of --augment, or leave it out",
                );
            }
            if views > 1 && self.augment == Augmentation::default() {
                return wrong("--augment none changes no cover, so all views are the same; leave it out");
            }
        }
        if !(0.0..1.0).contains(&self.momentum) {
            return bad("momentum", &self.momentum, "from 0 to below 1");
        }
        if self.optimizer == Optimizer::Adam && self.momentum != MOMENTUM {
            let what = "Adam has moments of its own; leave it out, or add --optimizer sgd";
            return Err(Error::input(format!("--momentum {}: {what}", self.momentum)));
        }
        if let Some(clip) = self.clip.filter(|clip| !(clip.is_finite() && *clip > 0.0)) {
            return bad("clip", &clip, "a finite number above 0");
        }
        Ok(())
    }

    fn check_schedule(&self) -> Result<()> {
        if let Some(minutes) = self.minutes.filter(|minutes| !(minutes.is_finite() && (0.1..=1e6).contains(minutes))) {
            return bad("minutes", &minutes, "from 0.1 to 1000000");
        }
        within("warmup", self.warmup, &bounds::WARMUP)?;
        if let Some(patience) = self.patience {
            within("patience", patience, &bounds::EPOCHS)?;
        }
        if let Some(average) = self.average {
            within("average", average, &bounds::EPOCHS)?;
        }
        if let Some(ema) = self.ema {
            if !(0.0..1.0).contains(&ema) {
                return bad("ema", &ema, "from 0 to below 1, such as 0.99");
            }
            if let Some(average) = self.average {
                let what = "both score an average of the weights: choose one of them";
                return Err(Error::input(format!("--ema {ema} and --average {average}: {what}")));
            }
        }
        if let Some(every) = self.step_every {
            within("step-every", every, &bounds::EPOCHS)?;
        }
        if self.warmup > 0 && self.schedule == Schedule::OneCycle {
            let what =
                "the one-cycle schedule warms up by itself; leave it out, or add --schedule constant, cosine or step";
            return Err(Error::input(format!("--warmup {}: {what}", self.warmup)));
        }
        if self.schedule_from > 0 && self.schedule_from >= self.epochs {
            return bad("schedule-from", &self.schedule_from, "below --epochs; leave it out of a recipe");
        }
        let step = self.schedule == Schedule::Step;
        match (self.step_every, self.step_factor) {
            (None, _) if step => return Err(Error::input("--schedule step: add --step-every EPOCHS")),
            (Some(every), _) if !step => return of_step("step-every", &every),
            (_, Some(factor)) if !step => return of_step("step-factor", &factor),
            (_, Some(factor)) if !(factor > 0.0 && factor <= 1.0) => {
                return bad("step-factor", &factor, "above 0 and at most 1");
            }
            _ => {}
        }
        match (self.patience, self.split) {
            (Some(patience), Some([_, 0.0, _])) => Err(no_validation(patience)),
            _ => Ok(()),
        }
    }
}

fn bad(option: &str, value: &dyn fmt::Display, rule: &str) -> Result<()> {
    Err(Error::input(format!("--{option} {value}: must be {rule}")))
}

fn within(option: &str, value: u64, range: &RangeInclusive<u64>) -> Result<()> {
    if range.contains(&value) { Ok(()) } else { bad(option, &value, &bounds::in_words(range)) }
}

/// A warm-up that lasts as long as the `steps` of a whole run, or longer, is no warm-up. `has`: "has", or "has at most".
pub fn warmup_within(warmup: u64, has: &str, steps: u64) -> Result<()> {
    if warmup > 0 && warmup >= steps {
        return Err(Error::input(format!("--warmup {warmup}: the whole run {has} {steps} steps; name fewer")));
    }
    Ok(())
}

fn of_step(option: &str, value: &dyn fmt::Display) -> Result<()> {
    Err(Error::input(format!("--{option} {value}: is for the step schedule; leave it out, or add --schedule step")))
}

/// Early stopping without what it goes by.
pub fn no_validation(patience: u64) -> Error {
    Error::input(format!(
        "--patience {patience}: needs a validation set, and there is none; leave it out, or give one with --split"
    ))
}
