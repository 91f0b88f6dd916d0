//! An exponential moving average of the weights over the steps (Polyak and Juditsky 1992; Tarvainen and Valpola 2017): what the last
//! few hundred steps agree on, without their noise. The host keeps it, of every eighth step: that is the same average but for a part
//! of its last steps, and the device neither stores it nor waits for it.

use gatefold_engine::gpu::Download;
use gatefold_engine::params::Arena;

use super::Trainer;
use crate::Result;
use crate::weights::Checkpoint;

/// Steps from one that counts to the next.
const EVERY: u64 = 8;

/// What is averaged: trained parameters, and running statistics.
#[derive(Default)]
pub(super) struct Ema {
    parameters: Vec<f32>,
    state: Vec<f32>,
    /// The weights of a step on their way to the host.
    under_way: Option<(u64, [Option<Download>; 2])>,
}

/// How much of the average stays after the step that counts from 1. The first steps count more: else the average would remember the
/// first weights, which are random.
fn stays(decay: f32, step: u64) -> f64 {
    let step = step as f64;
    f64::from(decay).min((1.0 + step) / (10.0 + step)).powi(EVERY as i32)
}

fn follow(average: &mut Vec<f32>, weights: Vec<f32>, stays: f64) {
    if average.is_empty() {
        *average = weights;
        return;
    }
    for (average, weight) in average.iter_mut().zip(weights) {
        *average = (stays * f64::from(*average) + (1.0 - stays) * f64::from(weight)) as f32;
    }
}

impl Trainer {
    /// The first trained word of the parameters.
    fn first_trained(&self) -> usize {
        self.store.frozen_words().unwrap_or(0)
    }

    /// Where a run goes on, takes over the average of its last checkpoint.
    pub(super) fn resume_ema(&mut self) -> Result<()> {
        let (Some(_), Some(mean)) = (self.config.ema, &self.mean) else { return Ok(()) };
        let (gpu, store) = (&self.gpu, &self.store);
        let arenas = [Arena::Parameters, Arena::State];
        let own = arenas.map(|arena| store.read(gpu, arena));
        mean.apply(gpu, store, false)?;
        self.ema.parameters = store.read(gpu, Arena::Parameters)?.split_off(self.first_trained());
        self.ema.state = store.read(gpu, Arena::State)?;
        arenas.into_iter().zip(own).try_for_each(|(arena, own)| store.write(gpu, arena, &own?))
    }

    /// After a step was handed to the device: takes its weights along if it is one that counts. Those of the one before have arrived.
    pub(super) fn average_step(&mut self) -> Result<()> {
        if self.config.ema.is_none() || !self.header.step.is_multiple_of(EVERY) || !self.ranks.is_first() {
            return Ok(());
        }
        self.take_arrived()?;
        let (gpu, store, first) = (&self.gpu, &self.store, self.first_trained());
        let download = |arena, first: usize| {
            let words = first..store.words(arena);
            (!words.is_empty()).then(|| store.download(gpu, arena, words)).transpose()
        };
        let both = [download(Arena::Parameters, first)?, download(Arena::State, 0)?];
        self.ema.under_way = Some((self.header.step, both));
        Ok(())
    }

    fn take_arrived(&mut self) -> Result<()> {
        let (Some((step, [parameters, state])), Some(decay)) = (self.ema.under_way.take(), self.config.ema) else {
            return Ok(());
        };
        let stays = stays(decay, step);
        let arrived = |download: Option<Download>| {
            download.map_or(Ok(vec![]), |download| self.store.downloaded(&self.gpu, download, vec![]))
        };
        let (parameters, state) = (arrived(parameters)?, arrived(state)?);
        follow(&mut self.ema.parameters, parameters, stays);
        follow(&mut self.ema.state, state, stays);
        Ok(())
    }

    /// Puts the average on the device, and gives it; `None` before the first step that counts.
    pub(super) fn ema(&mut self) -> Result<Option<Checkpoint>> {
        self.take_arrived()?;
        if self.ema.parameters.is_empty() {
            return Ok(None);
        }
        self.store.write_from(&self.gpu, Arena::Parameters, self.first_trained(), &self.ema.parameters)?;
        self.store.write(&self.gpu, Arena::State, &self.ema.state)?;
        Ok(Some(Checkpoint::take(&self.gpu, &self.store, self.header.clone(), false)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_follows_the_weights_and_forgets_the_first_ones() {
        let mut average = vec![];
        follow(&mut average, vec![100.0, -4.0], stays(0.99, EVERY));
        assert_eq!(average, [100.0, -4.0]);
        let (mut expected, mut step) = (100.0_f64, EVERY);
        for _ in 0..200 {
            step += EVERY;
            let warm = (1.0 + step as f64) / (10.0 + step as f64);
            let stays = if warm < 0.99 { warm.powi(8) } else { 0.99_f64.powi(8) };
            expected = stays * expected + (1.0 - stays) * 2.0;
            follow(&mut average, vec![2.0, -4.0], super::stays(0.99, step));
        }
        assert!((f64::from(average[0]) - expected).abs() < 1e-4 && average[1] == -4.0, "{average:?}, {expected}");
        assert!((expected - 2.0).abs() < 0.01, "{expected}");
        // With a long memory, the first weights would have a part of 0.999^8 each time without the rule for the first steps.
        assert!(stays(0.999, 8) < 0.01 && stays(0.999, 100_000) > 0.99);
    }
}
