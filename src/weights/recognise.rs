//! Which network a file of weights is of, by the names and shapes in it.

use gatefold_engine::params::Spec;

use super::Checkpoint;
use super::compare::is_head;
use crate::Result;
use crate::nets::{NETS, NetConfig, forward};

/// A size that all networks take; trunks have the same weights at any.
const SIZE: usize = 299;

impl Checkpoint {
    /// The network that it says it is of, or whose whole trunk lies in it, perhaps under a wrapper's prefix; of two, the larger one.
    ///
    /// # Errors
    /// None that a file could be to blame for.
    pub fn network(&self) -> Result<Option<String>> {
        if let Some(header) = &self.header {
            return Ok(Some(header.net.net.clone()));
        }
        let mut found: Option<(usize, &str)> = None;
        for net in NETS {
            let config = NetConfig { net: net.name.into(), size: SIZE, classes: 1000, ..NetConfig::default() };
            let layers = trunk(&forward::spec(&config, false)?);
            if self.has_all(&layers) && found.is_none_or(|(most, _)| layers.len() > most) {
                found = Some((layers.len(), net.name));
            }
        }
        Ok(found.map(|(_, name)| name.to_owned()))
    }

    /// Whether all of these are there, under one prefix.
    fn has_all(&self, layers: &[(String, Vec<usize>)]) -> bool {
        let Some((first, _)) = layers.first() else { return false };
        let prefixes = self.tensors.keys().filter_map(|name| name.strip_suffix(first.as_str()));
        prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.')).any(|prefix| {
            let fits = |(name, shape): &(String, Vec<usize>)| {
                self.tensors.get(&format!("{prefix}{name}")).is_some_and(|(found, _)| found == shape)
            };
            layers.iter().all(fits)
        })
    }
}

/// Names and shapes of all but the head.
fn trunk(spec: &Spec) -> Vec<(String, Vec<usize>)> {
    let parameters = spec.parameters.iter().map(|(_, p)| (p.name.clone(), p.disk_shape()));
    let states = spec.states.iter().map(|(_, state)| (state.name.clone(), vec![state.len]));
    parameters.chain(states).filter(|(name, _)| !is_head(name)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A file with these layers under a prefix, and a stranger.
    fn file(net: &str, prefix: &str) -> Checkpoint {
        let config = NetConfig { net: net.into(), size: SIZE, classes: 7, ..NetConfig::default() };
        let layers = trunk(&forward::spec(&config, false).unwrap());
        let mut tensors: BTreeMap<_, _> = layers
            .into_iter()
            .map(|(name, shape)| {
                let len = shape.iter().product();
                (format!("{prefix}{name}"), (shape, vec![0.0; len]))
            })
            .collect();
        tensors.insert("ema_decay".to_owned(), (vec![], vec![0.5]));
        Checkpoint { header: None, tensors, source: "test".into(), sealed: false, notes: vec![] }
    }

    #[test]
    fn each_network_is_known_by_its_trunk() {
        for net in NETS {
            for prefix in ["", "model.backbone."] {
                assert_eq!(file(net.name, prefix).network().unwrap().as_deref(), Some(net.name), "{prefix}");
            }
        }
        let mut damaged = file("resnet18", "");
        damaged.tensors.remove("layer4.1.conv2.weight").unwrap();
        assert_eq!(damaged.network().unwrap(), None);
    }
}
