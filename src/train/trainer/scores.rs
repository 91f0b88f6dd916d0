//! What the weights of a training answer for the covers of a set, and how good that is.

use std::path::Path;

use super::{Trainer, diverged};
use crate::Result;
use crate::data::Split;
use crate::score::metrics::Metrics;
use crate::score::predictions::Predictions;
use crate::score::temperature;
use crate::weights::Checkpoint;

impl Trainer {
    /// In the epochs that count, puts the mean of their weights on the device; `last` has the weights themselves.
    pub(super) fn average(&mut self, last: &Checkpoint) -> Result<()> {
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
        let mean = last.mean_with(self.mean.take(), header.averaged);
        mean.apply(gpu, store, false)?;
        self.mean = Some(mean);
        Ok(())
    }

    /// What the current weights answer for a split; `None` if the split is empty.
    fn predictions(&mut self, split: Split) -> Result<Option<Predictions>> {
        let indices = self.dataset.manifest.indices(split);
        if indices.is_empty() {
            return Ok(None);
        }
        self.answers_of(split, &indices).map(Some)
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
        let Some(predictions) = self.predictions(Split::Val)? else { return Ok(None) };
        Ok(Some((predictions.metrics(&self.header.training_counts)?, temperature(&predictions))))
    }

    /// Scores the best checkpoint on the test set and writes down what came of it; `None` if the set is empty.
    pub(super) fn test(&mut self) -> Result<Option<Metrics>> {
        let path = self.run.best();
        if path.is_file() {
            let best = Checkpoint::read(&path)?;
            best.apply(&self.gpu, &self.store, false)?;
            self.inference.set_temperature(best.header.as_ref().map_or(1.0, |header| header.temperature));
        }
        let Some(predictions) = self.predictions(Split::Test)? else { return Ok(None) };
        let metrics = predictions.metrics(&self.header.training_counts)?;
        predictions.write(&self.run.predictions())?;
        self.run.write_json(&self.run.test(), &metrics)?;
        Ok(Some(metrics))
    }
}
