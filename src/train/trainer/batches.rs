//! What the device gets of a batch.

use std::sync::Arc;

use gatefold_engine::ops::adam::Adam;
use gatefold_engine::params::StepWords;

use super::shares::Draw;
use super::{Observer, Trainer};
use crate::Result;
use crate::data::{Epoch, Split};
use crate::score::Features;
use crate::score::features::room;
use crate::train::Config;
use crate::train::kept::{Fed, Kept, Pictures, Place};
use crate::train::mixing::Mixing;
use crate::train::step::{Mixed, Seed};

impl Trainer {
    /// Computes what the frozen layers make of all covers that are shown again and again; `None` if there is no room for it and nobody
    /// asked for it.
    pub(super) fn keep(&mut self, observer: &mut dyn Observer) -> Result<Option<Kept>> {
        let (dataset, views) = (Arc::clone(&self.dataset), self.config.kept_views().unwrap_or(1));
        let order = Epoch::in_order(&dataset, Split::Train, self.config.batch);
        let (batches, folder) = (order.batches(), self.run.root().to_owned());
        let shown = order.len() * views as usize;
        let others = dataset.manifest.indices(Split::Val).len();
        let (all, bytes) = (shown + others, self.step.held_bytes(shown as u64, others as u64));
        match room(bytes, &folder) {
            Err(e) if self.config.views.is_some() => return Err(e),
            Err(_) => {
                observer.kept(bytes, Place::Nowhere);
                return Ok(None);
            }
            Ok(()) => {}
        }
        let train = Features::take(&dataset, &order, views as usize, &folder, |view, number, batch| {
            let (labels, weights) = (&batch.labels, &batch.weights);
            let fed = Fed { pictures: Pictures::Pixels(&batch.pixels), labels, weights };
            let draw = Draw { batch: (view * batches + number) as u64, before: 0 };
            self.write_step(&fed, draw, 0.0, 1.0, 1.0)?;
            let ticket = self.plan.submit_phases(0..self.step.batch_phase())?;
            self.plan.results(ticket)?;
            observer.keeping(view * order.len() + ((number + 1) * order.batch_size()).min(order.len()), all);
            self.step.held.iter().map(|&held| self.plan.read(held)).collect()
        })?;
        let val = self.inference.keep(&dataset, Split::Val, &folder, |done| observer.keeping(shown + done, all))?;
        let (bytes, in_memory) = train.bytes();
        observer.kept(bytes, if in_memory { Place::Memory } else { Place::File });
        Ok(Some(Kept { train, views, val }))
    }

    /// Sends the numbers of a step, as [`Self::write_step`] does.
    pub(super) fn write_numbers(&self, draw: Draw, rate: f32, factor: f32) -> Result<()> {
        let [bias_correction1, bias_correction2] = Adam::default().bias_corrections(self.header.step as u32);
        let words = StepWords {
            step: draw.batch as u32,
            seed: self.config.seed as u32,
            learning_rate: rate,
            weight_decay: self.config.weight_decay,
            bias_correction1,
            bias_correction2,
            gradient_scale: 1.0 / factor,
            first: (draw.before * self.config.batch) as u32,
        };
        self.step.tape.step_input().map_or(Ok(()), |input| self.plan.write(input, &[words]))
    }

    /// Sends a batch, which is `share` of an optimiser step, and the numbers of that step. `factor` is what the loss is multiplied by. Returns how much the labels count, which is less
    /// than 1 where pictures are mixed.
    pub(super) fn write_step(&self, batch: &Fed, draw: Draw, rate: f32, share: f64, factor: f32) -> Result<f64> {
        self.write_numbers(draw, rate, factor)?;
        let own = match &self.step.mixed {
            Some(mixed) => self.write_mixed(mixed, batch, draw.batch)?,
            None => 1.0,
        };
        for &Seed { value, part, of_partners } in &self.step.seeds {
            let of_labels = if of_partners { 1.0 - own } else { own };
            self.plan.write(value, &[(f64::from(part) * share * f64::from(factor) * of_labels) as f32])?;
        }
        match batch.pictures {
            Pictures::Pixels(pixels) => self.plan.write(self.step.pixels, pixels)?,
            Pictures::Held(held) => {
                for (&to, words) in self.step.held.iter().zip(held) {
                    self.plan.write(to, words)?;
                }
            }
        }
        self.plan.write(self.step.labels, batch.labels)?;
        self.plan.write(self.step.weights, batch.weights)?;
        Ok(own)
    }

    /// Sends how a batch is mixed, and returns how much the samples' own labels count.
    fn write_mixed(&self, mixed: &Mixed, batch: &Fed, draw: u64) -> Result<f64> {
        let Config { augment, seed, .. } = &self.config;
        let Mixing { words, share, partners } = Mixing::draw(augment, self.step.net.size, batch.weights, *seed, draw);
        let of = |partner: &u32| *partner as usize;
        let labels: Vec<u32> = partners.iter().map(|partner| batch.labels[of(partner)]).collect();
        let weights: Vec<f32> = partners.iter().map(|partner| batch.weights[of(partner)]).collect();
        self.plan.write(mixed.mix.partners, &partners)?;
        self.plan.write(mixed.mix.words, &[words])?;
        self.plan.write(mixed.labels, &labels)?;
        self.plan.write(mixed.weights, &weights)?;
        Ok(share)
    }
}
