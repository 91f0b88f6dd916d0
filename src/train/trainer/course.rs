//! What an epoch's batches have shown, and who is told.

use super::totals::{Group, Shown, Submitted, Totals};
use super::{Observer, StepReport, Trainer};
use crate::train::log::{Line, Log};
use crate::weights::Header;
use crate::{Error, Result};

/// An epoch under way.
pub(super) struct Course<'a> {
    group: Group,
    pub totals: Totals,
    /// Only the first rank writes one.
    log: Option<&'a mut Log>,
    pub observer: &'a mut dyn Observer,
    /// What this rank's batches of the step have shown, where several make it.
    pub own: Vec<Shown>,
    /// What the loss of the next step is multiplied by, where the numbers of this one are known already.
    pub next_factor: Option<f32>,
}

impl<'a> Course<'a> {
    pub fn new(log: Option<&'a mut Log>, observer: &'a mut dyn Observer) -> Self {
        Self { group: Group::default(), totals: Totals::default(), log, observer, own: vec![], next_factor: None }
    }

    pub fn line(&mut self, line: &Line) -> Result<()> {
        self.log.as_mut().map_or(Ok(()), |log| log.line(line))
    }

    /// What the loss of a step that begins now is multiplied by. A process by itself begins a step before it knows what came of the
    /// one before, and several ranks do as it does.
    pub fn factor(&self, header: &Header) -> f32 {
        self.next_factor.unwrap_or_else(|| factor(header))
    }
}

/// What the loss is multiplied by now.
pub(super) fn factor(header: &Header) -> f32 {
    header.loss_scale.map_or(1.0, |scale| scale.factor)
}

impl Trainer {
    /// Waits for a batch, and takes in what it shows.
    pub(super) fn look_at(&mut self, batch: Submitted, course: &mut Course) -> Result<()> {
        let Submitted { step, rate, ends, .. } = batch;
        let (shown, grad_norm) = self.shown(batch)?;
        // Before the last batch of a step the norm is that of the step before.
        self.take_in(shown, ends.then_some(grad_norm), step, rate, course)
    }

    /// Waits for a batch: what it shows, and the gradient's norm.
    pub(super) fn shown(&self, Submitted { ticket, share, own, .. }: Submitted) -> Result<(Shown, f64)> {
        let results = self.plan.results(ticket)?;
        let numbers = |value| Ok::<Vec<f64>, Error>(results.get(value)?.into_iter().map(f64::from).collect());
        let (mut stats, mut loss) = (numbers(self.step.stats)?, numbers(self.step.loss)?[0]);
        if let Some(mixed) = &self.step.mixed {
            let between = |own_labels: f64, partners: f64| own * own_labels + (1.0 - own) * partners;
            loss = between(loss, numbers(mixed.loss)?[0]);
            let of_partners = numbers(mixed.stats)?;
            stats.iter_mut().zip(of_partners).for_each(|(own, other)| *own = between(*own, other));
        }
        let shown = Shown { loss: share * loss, sum: stats[0], weight: stats[1], correct: stats[2] };
        Ok((shown, numbers(self.step.grad_norm)?[0]))
    }

    /// Takes in what a batch has shown; `grad_norm` comes with the last one of a step, which is then told.
    pub(super) fn take_in(
        &mut self,
        shown: Shown,
        grad_norm: Option<f64>,
        step: u64,
        rate: f32,
        course: &mut Course,
    ) -> Result<()> {
        let group = &mut course.group;
        group.loss += shown.loss;
        group.correct += shown.correct;
        group.weight += shown.weight;
        let loss = group.loss;
        // In mixed precision a step without a finite gradient was skipped, and the next ones try a smaller factor.
        let is_finite = grad_norm.is_none_or(f64::is_finite);
        let scale = self.header.loss_scale.as_mut().filter(|_| grad_norm.is_some());
        let skipped = scale.is_some_and(|scale| scale.after(is_finite) && !is_finite);
        if !loss.is_finite() || !(is_finite || skipped) {
            return Err(self.diverged(step, if loss.is_finite() { "the gradient" } else { "the loss" }));
        }
        course.totals.loss += shown.sum;
        course.totals.weight += shown.weight;
        course.totals.correct += shown.correct;
        let Some(grad_norm) = grad_norm else { return Ok(()) };
        let Group { correct, weight, .. } = std::mem::take(&mut course.group);
        let report = StepReport {
            step,
            epoch: self.header.epoch + 1,
            loss,
            accuracy: correct / weight.max(1e-12),
            grad_norm: Some(grad_norm).filter(|norm| norm.is_finite()),
            lr: f64::from(rate),
            loss_scale: self.header.loss_scale.map(|scale| scale.factor),
        };
        course.line(&Line::Step(report.clone()))?;
        course.observer.step(&report)
    }
}
