//! What wrappers put before all names (`module.` of DataParallel, `_orig_mod.` of `torch.compile`, `model.` of Lightning, `backbone.` and
//! whatever else), found by what makes most names fit the network.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::params::Spec;

use super::Checkpoint;
use super::compare::listed;

impl Checkpoint {
    /// Takes off the prefix under which most of a network's names lie, if that is not how they lie already, and leaves out what does
    /// not have it; [`Checkpoint::notes`] say so.
    pub fn unwrap(&mut self, spec: &Spec) {
        let parameters = spec.parameters.iter().map(|(_, parameter)| parameter.name.as_str());
        let wanted: BTreeSet<&str> =
            parameters.chain(spec.states.iter().map(|(_, state)| state.name.as_str())).collect();
        let mut fitting: BTreeMap<&str, usize> = BTreeMap::new();
        for name in self.tensors.keys() {
            for (prefix, _) in splits(name).filter(|(_, rest)| wanted.contains(rest)) {
                *fitting.entry(prefix).or_default() += 1;
            }
        }
        // Of two that fit as well, averaged weights are what their owner means to be used; else the shorter.
        let rank =
            |(prefix, count): &(&&str, &usize)| (**count, prefix.contains("ema"), std::cmp::Reverse(prefix.len()));
        let Some((prefix, _)) = fitting.iter().max_by_key(rank) else { return };
        let prefix = (*prefix).to_owned();
        if prefix.is_empty() {
            return;
        }
        let all = std::mem::take(&mut self.tensors);
        let mut strangers = vec![];
        for (name, tensor) in all {
            match name.strip_prefix(&prefix) {
                Some(rest) => drop(self.tensors.insert(rest.to_owned(), tensor)),
                None => strangers.push(name),
            }
        }
        self.notes.push(format!("the prefix {prefix} of its names is taken off"));
        if !strangers.is_empty() {
            self.notes.push(format!("left out, as they are not under {prefix}: {}", listed(&strangers)));
        }
    }
}

/// A name in two, after no part of it, after the first, and so on.
fn splits(name: &str) -> impl Iterator<Item = (&str, &str)> {
    let ends = name.match_indices('.').map(|(at, _)| at + 1);
    std::iter::once(0).chain(ends).map(|at| name.split_at(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::{NetConfig, forward};
    use crate::weights::Tensors;

    fn spec() -> Spec {
        let net = NetConfig { net: "resnet18".into(), size: 64, classes: 3, ..NetConfig::default() };
        forward::spec(&net, true).unwrap()
    }

    /// A file with all of a network's names behind each of these, and other names.
    fn file(spec: &Spec, prefixes: &[&str], others: &[&str]) -> Checkpoint {
        let parameters = spec.parameters.iter().map(|(_, p)| p.name.as_str());
        let names: Vec<&str> = parameters.chain(spec.states.iter().map(|(_, s)| s.name.as_str())).collect();
        let wrapped = prefixes.iter().flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")));
        let tensors =
            wrapped.chain(others.iter().map(|&name| name.to_owned())).map(|name| (name, (vec![1], vec![0.0])));
        holding(tensors.collect())
    }

    fn holding(tensors: Tensors) -> Checkpoint {
        Checkpoint { header: None, tensors, sealed: false, notes: vec![], source: "file".into() }
    }

    fn unwrapped(file: &mut Checkpoint) -> Vec<String> {
        file.unwrap(&spec());
        file.notes.clone()
    }

    #[test]
    fn the_prefix_that_makes_names_fit_goes() {
        let spec = spec();
        let plain = file(&spec, &[""], &[]);
        for prefix in
            ["module.", "model.", "_orig_mod.", "_orig_mod.module.", "backbone.", "encoder.", "net.", "a.b.c."]
        {
            let mut wrapped = file(&spec, &[prefix], &[]);
            assert_eq!(unwrapped(&mut wrapped), [format!("the prefix {prefix} of its names is taken off")]);
            assert!(wrapped.tensors == plain.tensors, "{prefix}");
        }
        let mut same = file(&spec, &[""], &["other.fc.weight"]);
        assert!(unwrapped(&mut same).is_empty() && same.tensors.len() == plain.tensors.len() + 1);
    }

    #[test]
    fn a_few_strangers_beside_it_are_left_out_by_name() {
        let spec = spec();
        let mut wrapped = file(&spec, &["backbone."], &["loss.weight", "prototypes"]);
        let notes = unwrapped(&mut wrapped);
        assert_eq!(notes[1], "left out, as they are not under backbone.: loss.weight, prototypes");
        assert!(wrapped.tensors == file(&spec, &[""], &[]).tensors);
        // Of two copies the averaged one.
        let mut twice = file(&spec, &["model.", "model_ema.module."], &[]);
        let notes = unwrapped(&mut twice);
        assert!(notes[0].contains("model_ema.module.") && notes[1].ends_with(" more"), "{notes:?}");
    }

    #[test]
    fn of_another_network_nothing_goes() {
        let mut other = holding(Tensors::from([("module.blocks.0.attn.qkv.weight".into(), (vec![1], vec![0.0]))]));
        assert!(unwrapped(&mut other).is_empty() && other.tensors.len() == 1);
    }
}
