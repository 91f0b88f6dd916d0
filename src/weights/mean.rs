//! The mean of the weights of several epochs: stochastic weight averaging (Izmailov and others 2018). It lies in a wider valley of the
//! loss than each of them. The running statistics are averaged as well, instead of a further pass over the covers.

use super::{Checkpoint, MEAN, is_optimisers};

impl Checkpoint {
    /// The mean of the weights here and of those of `count - 1` epochs before, which `before` is the mean of.
    #[must_use]
    pub fn mean_with(&self, before: Option<Self>, count: u64) -> Self {
        let weights = self.tensors.iter().filter(|(name, _)| !is_optimisers(name));
        let weights = weights.map(|(name, tensor)| (name.clone(), tensor.clone())).collect();
        let Some(mut mean) = before else { return Self { tensors: weights, ..self.without_tensors() } };
        let share = 1.0 / count as f64;
        for (name, (_, values)) in weights {
            let Some((_, means)) = mean.tensors.get_mut(&name) else { continue };
            for (mean, value) in means.iter_mut().zip(values) {
                *mean = (f64::from(*mean) + share * (f64::from(value) - f64::from(*mean))) as f32;
            }
        }
        mean
    }

    /// Keeps a mean beside the weights, as a part of the optimiser's state.
    pub fn keep_mean(&mut self, mean: &Self) {
        let named = mean.tensors.iter().map(|(name, tensor)| (format!("{MEAN}{name}"), tensor.clone()));
        self.tensors.extend(named);
    }

    /// The mean that [`Self::keep_mean`] kept.
    pub fn kept_mean(&self) -> Option<Self> {
        let kept = self.tensors.iter().filter_map(|(name, tensor)| Some((name.strip_prefix(MEAN)?, tensor)));
        let tensors: super::Tensors = kept.map(|(name, tensor)| (name.to_owned(), tensor.clone())).collect();
        (!tensors.is_empty()).then(|| Self { tensors, ..self.without_tensors() })
    }

    fn without_tensors(&self) -> Self {
        let Self { header, sealed, source, .. } = self;
        Self {
            header: header.clone(),
            tensors: super::Tensors::new(),
            sealed: *sealed,
            notes: vec![],
            source: source.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint(values: &[f32]) -> Checkpoint {
        let tensor = |values: &[f32]| (vec![values.len()], values.to_vec());
        let tensors =
            [("a", values), ("optimizer.exp_avg.a", &[7.0][..])].map(|(name, v)| (name.to_owned(), tensor(v)));
        Checkpoint { header: None, tensors: tensors.into(), sealed: true, notes: vec![], source: "drawn".into() }
    }

    #[test]
    fn it_is_the_mean_of_all_and_comes_back_from_a_file() {
        let epochs = [[1.0, -2.0], [3.0, 0.5], [8.0, 3.0]];
        let mut mean = None;
        for (place, epoch) in epochs.iter().enumerate() {
            let mut last = checkpoint(epoch);
            let this = last.mean_with(mean.take(), place as u64 + 1);
            last.keep_mean(&this);
            mean = last.kept_mean();
            assert_eq!(mean.as_ref().unwrap().tensors, this.tensors);
            // The weights themselves stay.
            assert_eq!(last.tensors["a"].1, epoch);
        }
        let mean = mean.unwrap();
        assert_eq!(mean.tensors.keys().collect::<Vec<_>>(), ["a"]);
        for (found, expected) in mean.tensors["a"].1.iter().zip([4.0_f32, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert!(checkpoint(&[1.0]).kept_mean().is_none());
    }
}
