//! What the weights answer for the validation and the test set: those of the last step, or the mean of several epochs'.

use std::path::Path;

use gatefold_engine::params::Arena;

use super::{Trainer, diverged};
use crate::Result;
use crate::data::Split;
use crate::score::metrics::Metrics;
use crate::score::predictions::Predictions;
use crate::score::temperature;
use crate::weights::Checkpoint;

/// What answers depend on.
const WEIGHTS: [Arena; 2] = [Arena::Parameters, Arena::State];

impl Trainer {
    /// In the epochs that count, puts the mean of their weights, or the average over all steps, on all ranks' devices; `last`, on the
    /// first one, has the weights themselves.
    pub(super) fn average(&mut self, last: Option<&Checkpoint>) -> Result<()> {
        if self.config.ema.is_some() {
            self.mean = self.ema()?;
            return self.agree(&WEIGHTS);
        }
        let Self { gpu, store, config, header, .. } = self;
        let Some(epochs) = config.average.filter(|epochs| header.epoch + epochs > config.epochs) else {
            (self.mean, header.averaged) = (None, 0);
            return Ok(());
        };
        // A run that was given more epochs begins a mean of its last ones.
        if header.averaged >= epochs {
            (self.mean, header.averaged) = (None, 0);
        }
        header.averaged += 1;
        if let Some(last) = last {
            let mean = last.mean_with(self.mean.take(), header.averaged);
            mean.apply(gpu, store, false)?;
            self.mean = Some(mean);
        }
        self.agree(&WEIGHTS)
    }

    /// What the current weights score on a split, and, on the first rank, their answers; `None` if it is empty. Each rank answers for a
    /// part of it. An answer does not depend on those that share its batch, so the score is that of a single process.
    fn score(&mut self, split: Split) -> Result<Option<(Metrics, Option<Predictions>)>> {
        let indices = self.dataset.manifest.indices(split);
        if indices.is_empty() {
            return Ok(None);
        }
        let part = self.ranks.part(indices.len(), self.inference.batch());
        let own = self.answers_of(split, &indices[part])?;
        let all = if self.ranks.is_alone() {
            Some(own)
        } else {
            let packed = self.ranks.gather(own.packed()).concat();
            let unpacked = || Predictions::unpacked(&packed, &self.dataset, &indices, &self.header.labels);
            self.ranks.is_first().then(unpacked).transpose()?
        };
        let metrics = all.as_ref().map(|all| all.metrics(&self.header.training_counts)).transpose()?;
        Ok(self.ranks.of_first(metrics)?.map(|metrics| (metrics, all)))
    }

    /// What the current weights answer for some covers of a split.
    pub(super) fn answers_of(&mut self, split: Split, indices: &[usize]) -> Result<Predictions> {
        // Not the method: the network is in use.
        let no_number = |_: &Path| diverged(&self.run, self.header.step, "an answer of the network");
        let (dataset, labels, network) = (&self.dataset, &self.header.labels, &mut self.inference);
        let kept = self.kept.as_ref().and_then(|kept| kept.val.as_ref()).filter(|_| split == Split::Val);
        match kept {
            Some(features) => Predictions::of_features(network, features, dataset, indices, labels, no_number),
            None => Predictions::of(network, dataset, indices, labels, no_number),
        }
    }

    /// The current weights' score on the validation set, and the temperature that it asks for; `None` if it is empty.
    pub(super) fn validate(&mut self) -> Result<Option<(Metrics, f64)>> {
        self.inference.set_temperature(1.0);
        let Some((metrics, predictions)) = self.score(Split::Val)? else { return Ok(None) };
        Ok(Some((metrics, self.ranks.of_first(predictions.as_ref().map_or(1.0, temperature))?)))
    }

    /// Scores the best checkpoint on the test set and writes down what came of it; `None` if the set is empty.
    pub(super) fn test(&mut self) -> Result<Option<Metrics>> {
        let (path, mut temperature) = (self.run.best(), 1.0);
        if self.ranks.is_first() && path.is_file() {
            let best = Checkpoint::read(&path)?;
            best.apply(&self.gpu, &self.store, false)?;
            temperature = best.header.as_ref().map_or(1.0, |header| header.temperature);
        }
        self.agree(&WEIGHTS)?;
        self.inference.set_temperature(self.ranks.of_first(temperature)?);
        let Some((metrics, predictions)) = self.score(Split::Test)? else { return Ok(None) };
        if let Some(predictions) = predictions {
            predictions.write(&self.run.predictions())?;
            self.run.write_json(&self.run.test(), &metrics)?;
        }
        Ok(Some(metrics))
    }
}
