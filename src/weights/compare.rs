//! Does a file fit a network? Names and shapes, before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use gatefold_engine::params::Spec;

use super::{Checkpoint, MOMENT1, MOMENT2, is_optimisers};
use crate::{Error, Result};

/// First parts of the names of layers that follow the trunk. A new run may start them anew.
const HEADS: [&str; 6] = ["AuxLogits", "classifier", "fc", "fc1", "fc2", "head"];

/// Inception's auxiliary head, which inference has no use for.
const AUXILIARY: &str = "AuxLogits";

/// Names beyond this many are counted, not listed.
const LISTED: usize = 8;

/// Layers of a network's head that a file has no fitting values for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LeftOut {
    pub layers: BTreeSet<String>,
    /// The same in words, a line each.
    pub notes: Vec<String>,
}

impl LeftOut {
    /// Whether the tensor of this name is left out.
    pub(super) fn holds(&self, name: &str) -> bool {
        self.layers.contains(layer(name))
    }
}

/// In what a file differs from a network, by name.
#[derive(Default)]
struct Differences {
    missing: Vec<String>,
    unexpected: Vec<String>,
    /// Name, shape in the file, shape in the network.
    reshaped: Vec<(String, Vec<usize>, Vec<usize>)>,
}

impl Checkpoint {
    /// Holds names and shapes against a network's; with `trained` the optimiser's state too, for the parameters from that word
    /// on.
    ///
    /// # Errors
    /// [`Error::Input`] that lists what is missing, unexpected or of another shape.
    pub fn compare(&self, spec: &Spec, trained: Option<usize>) -> Result<()> {
        self.differences(spec, trained).refuse(&self.source)
    }

    /// Holds names and shapes against those of a network that is to be trained for `classes` classes. Its head may differ.
    ///
    /// # Errors
    /// [`Error::Input`] that lists what of the trunk is missing, unexpected or of another shape.
    pub fn compare_trunk(&self, spec: &Spec, classes: usize) -> Result<LeftOut> {
        let Differences { missing, unexpected, reshaped } = self.differences(spec, None);
        let (head_missing, missing) = missing.into_iter().partition::<Vec<_>, _>(|name| is_head(name));
        let (head_unexpected, unexpected) = unexpected.into_iter().partition::<Vec<_>, _>(|name| is_head(name));
        let (head_reshaped, reshaped) = reshaped.into_iter().partition::<Vec<_>, _>(|(name, ..)| is_head(name));
        Differences { missing, unexpected, reshaped }.refuse(&self.source)?;

        let mut out = LeftOut::default();
        for (name, found, wanted) in head_reshaped {
            if out.layers.insert(layer(&name).to_owned()) {
                let why = other_shape(layer(&name), &found, &wanted, classes);
                out.notes.push(format!("{why}: left out and started anew"));
            }
        }
        let absent: BTreeSet<&str> = head_missing.iter().map(|name| layer(name)).collect();
        let absent: Vec<&str> = absent.into_iter().filter(|name| out.layers.insert((*name).to_owned())).collect();
        if !absent.is_empty() {
            out.notes.push(format!("{}: not in the file, started anew", listed(&absent)));
        }
        let unused: BTreeSet<&str> = head_unexpected.iter().map(|name| layer(name)).collect();
        if !unused.is_empty() {
            let unused: Vec<&str> = unused.into_iter().collect();
            out.notes.push(format!("{}: not in this network, left out", listed(&unused)));
        }
        Ok(out)
    }

    /// Leaves out what the `whole` network has behind the layers that a head stands on, with which it ends; [`Checkpoint::notes`] says
    /// so.
    pub fn cut(&mut self, spec: &Spec, whole: &Spec) {
        let (wanted, all) = (names(spec), names(whole));
        let behind: Vec<&str> = all.difference(&wanted).copied().filter(|name| !is_head(name)).collect();
        let before = self.tensors.len();
        behind.iter().for_each(|name| drop(self.tensors.remove(*name)));
        if self.tensors.len() < before {
            let blocks: BTreeSet<&str> = behind.iter().map(|name| block(name, &wanted)).collect();
            let blocks: Vec<&str> = blocks.into_iter().collect();
            self.notes.push(format!("left out, as they lie behind the layers of --head: {}", listed(&blocks)));
        }
    }

    fn differences(&self, spec: &Spec, trained: Option<usize>) -> Differences {
        let mut wanted: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (offset, p) in &spec.parameters {
            wanted.insert(p.name.clone(), p.disk_shape());
            if trained.is_some_and(|first| *offset >= first) {
                wanted.insert(format!("{MOMENT1}{}", p.name), p.disk_shape());
                wanted.insert(format!("{MOMENT2}{}", p.name), p.disk_shape());
            }
        }
        wanted.extend(spec.states.iter().map(|(_, s)| (s.name.clone(), vec![s.len])));
        let known = |name: &str| wanted.contains_key(name) || is_optimisers(name) || is_auxiliary(name);
        Differences {
            missing: wanted.keys().filter(|name| !self.tensors.contains_key(*name)).cloned().collect(),
            unexpected: self.tensors.keys().filter(|name| !known(name)).cloned().collect(),
            reshaped: wanted
                .iter()
                .filter_map(|(name, shape)| {
                    let (found, _) = self.tensors.get(name)?;
                    (found != shape).then(|| (name.clone(), found.clone(), shape.clone()))
                })
                .collect(),
        }
    }

    /// Whether the file has Inception's auxiliary head.
    pub fn has_auxiliary(&self) -> bool {
        self.tensors.keys().any(|name| is_auxiliary(name))
    }

    /// Leaves Inception's auxiliary head out, which only training needs.
    pub fn drop_auxiliary(&mut self) {
        self.tensors.retain(|name, _| !is_auxiliary(name));
    }
}

impl Differences {
    fn refuse(self, source: &str) -> Result<()> {
        let Self { missing, unexpected, reshaped } = &self;
        // (A run's own checkpoint may lack nothing but the auxiliary one, which has no answer.)
        let only_heads = missing.iter().all(|name| is_head(name)) && missing.iter().any(|name| !is_auxiliary(name));
        if only_heads && unexpected.is_empty() && reshaped.is_empty() {
            let heads: BTreeSet<&str> = missing.iter().map(|name| layer(name)).collect();
            let heads: Vec<&str> = heads.into_iter().collect();
            return Err(Error::input(format!(
                "checkpoint {source} has no head ({} is not in it), so it answers nothing: train one for your classes with gatefold train \
                 DATA --weights {source} --out RUN",
                listed(&heads)
            )));
        }
        let shapes =
            self.reshaped.iter().map(|(name, found, wanted)| format!("{name} is {found:?} instead of {wanted:?}"));
        let lists = [("missing", self.missing), ("unexpected", self.unexpected), ("shapes", shapes.collect())];
        let complaints: Vec<String> = lists
            .iter()
            .filter(|(_, names)| !names.is_empty())
            .map(|(what, names)| format!("{what}: {}", listed(names)))
            .collect();
        if complaints.is_empty() {
            return Ok(());
        }
        Err(Error::input(format!("checkpoint {source} is of another network: {}", complaints.join("; "))))
    }
}

/// Why a head's layer does not fit, in words where it is the number of classes.
fn other_shape(layer: &str, found: &[usize], wanted: &[usize], classes: usize) -> String {
    let outputs = if classes == 2 { 1 } else { classes };
    if wanted.first() != Some(&outputs) || found.len() != wanted.len() || found[1..] != wanted[1..] {
        return format!("{layer} is {found:?} instead of {wanted:?}");
    }
    match (found[0], classes) {
        (2, 2) => format!("{layer} has a row for each of 2 classes, and two classes make one logit here"),
        (1, _) => format!("{layer} is for 2 classes (one logit), the data has {classes}"),
        (rows, 2) => format!("{layer} is for {rows} classes, the data has 2 (one logit)"),
        (rows, _) => format!("{layer} is for {rows} classes, the data has {classes}"),
    }
}

/// "a, b, c and 5 more".
pub(super) fn listed(names: &[impl AsRef<str>]) -> String {
    let shown: Vec<&str> = names.iter().take(LISTED).map(AsRef::as_ref).collect();
    let more = if names.len() > LISTED { format!(" and {} more", names.len() - LISTED) } else { String::new() };
    shown.join(", ") + &more
}

/// Of all that a network learns and remembers.
fn names(spec: &Spec) -> BTreeSet<&str> {
    let parameters = spec.parameters.iter().map(|(_, parameter)| parameter.name.as_str());
    parameters.chain(spec.states.iter().map(|(_, state)| state.name.as_str())).collect()
}

/// As many of the first parts of a name as none of `others` begins with: `layer3.1` beside `layer3.0`.
fn block<'a>(name: &'a str, others: &BTreeSet<&str>) -> &'a str {
    let ends = name.match_indices('.').map(|(at, _)| at + 1);
    let apart = |end: &usize| !others.iter().any(|other| other.starts_with(&name[..*end]));
    ends.into_iter().find(apart).map_or(name, |end| &name[..end - 1])
}

/// A tensor's layer: its name without the last part.
pub(super) fn layer(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(layer, _)| layer)
}

pub(super) fn is_head(name: &str) -> bool {
    HEADS.contains(&name.split('.').next().unwrap_or_default())
}

fn is_auxiliary(name: &str) -> bool {
    name.split('.').next() == Some(AUXILIARY)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nets::forward;
    use crate::nets::{Head, NetConfig};

    fn spec(net: &str, size: usize, classes: usize, head: Head, training: bool) -> Spec {
        let net = NetConfig { net: net.into(), size, classes, head, ..NetConfig::default() };
        forward::spec(&net, training).unwrap()
    }

    /// A file with just what a network has.
    fn file(spec: &Spec) -> Checkpoint {
        let parameters = spec.parameters.iter().map(|(_, p)| (p.name.clone(), p.disk_shape()));
        let states = spec.states.iter().map(|(_, s)| (s.name.clone(), vec![s.len]));
        let tensors = parameters.chain(states).map(|(name, shape)| (name, (shape, vec![]))).collect();
        Checkpoint { header: None, tensors, sealed: false, notes: vec![], source: "file".into() }
    }

    #[test]
    fn inceptions_auxiliary_head_may_be_there_or_not() {
        let inference = spec("inception_v3", 299, 10, Head::Linear, false);
        let training = spec("inception_v3", 299, 10, Head::Linear, true);
        assert_eq!((inference.parameters.len(), training.parameters.len()), (94 * 3 + 2, 96 * 3 + 2 * 2));
        let (with, without) = (file(&training), file(&inference));
        assert!(with.has_auxiliary() && !without.has_auxiliary());
        with.compare(&inference, None).unwrap();
        without.compare(&inference, None).unwrap();
        // A checkpoint to go on with must have it; weights to start from need not.
        assert!(without.compare(&training, None).unwrap_err().to_string().contains("missing: AuxLogits.conv0.bn.bias"));
        assert_eq!(with.compare_trunk(&training, 10).unwrap(), LeftOut::default());
        let left_out = without.compare_trunk(&training, 10).unwrap();
        let said = "AuxLogits.conv0.bn, AuxLogits.conv0.conv, AuxLogits.conv1.bn, AuxLogits.conv1.conv, AuxLogits.fc: not in \
                    the file, started anew";
        assert_eq!((left_out.layers.len(), &left_out.notes[..]), (5, &[said.to_owned()][..]));
        // Both heads count classes.
        let notes = file(&training).compare_trunk(&spec("inception_v3", 299, 3, Head::Linear, true), 3).unwrap().notes;
        let anew = |layer| format!("{layer} is for 10 classes, the data has 3: left out and started anew");
        assert_eq!(notes, [anew("AuxLogits.fc"), anew("fc")]);
    }

    #[test]
    fn a_head_of_another_kind_is_left_out_and_a_trunk_of_another_kind_is_not() {
        let flatten = spec("resnet18", 64, 3, Head::Flatten, true);
        let linear = file(&spec("resnet18", 64, 3, Head::Linear, true));
        let LeftOut { layers, notes } = linear.compare_trunk(&flatten, 3).unwrap();
        assert_eq!(layers.into_iter().collect::<Vec<_>>(), ["head.fc1", "head.fc2"]);
        assert!(
            notes[0].contains("head.fc1, head.fc2: not in the file") && notes[1].contains("fc: not in this network")
        );
        // The flatten head's first layer depends on the size.
        let larger = spec("resnet18", 96, 3, Head::Flatten, true);
        let left_out = file(&flatten).compare_trunk(&larger, 3).unwrap();
        assert_eq!(left_out.notes, ["head.fc1 is [128, 2048] instead of [128, 4608]: left out and started anew"]);
        assert!(left_out.holds("head.fc1.bias") && !left_out.holds("head.fc2.bias"));

        let mut cut = file(&flatten);
        cut.tensors.remove("layer4.1.bn2.running_var");
        let said = cut.compare_trunk(&flatten, 3).unwrap_err().to_string();
        assert!(said.ends_with("is of another network: missing: layer4.1.bn2.running_var"), "{said}");
        assert_eq!(
            linear.compare_trunk(&spec("densenet121", 64, 3, Head::Linear, true), 3).unwrap_err().exit_code(),
            2
        );
    }

    #[test]
    fn what_lies_behind_a_head_is_left_out() {
        let layers = Head::Layers(vec!["layer2.1".into()]);
        let (whole, cut) = (spec("resnet18", 64, 3, Head::Linear, true), spec("resnet18", 64, 3, layers, true));
        let mut file = file(&whole);
        assert!(file.compare_trunk(&cut, 3).unwrap_err().to_string().contains("unexpected: layer3.0.bn1.bias"));
        file.cut(&cut, &whole);
        let said = "left out, as they lie behind the layers of --head: layer3, layer4";
        assert_eq!(file.notes, [said]);
        let left_out = file.compare_trunk(&cut, 3).unwrap();
        assert_eq!(
            left_out.notes,
            ["head.fc, head.norm: not in the file, started anew", "fc: not in this network, left out"]
        );
        // A stranger stays one.
        file.tensors.insert("layer9.weight".into(), (vec![1], vec![0.0]));
        file.cut(&cut, &whole);
        assert!(file.compare_trunk(&cut, 3).unwrap_err().to_string().contains("unexpected: layer9.weight"));
        let others = BTreeSet::from(["layer3.0.conv1.weight"]);
        assert_eq!(block("layer3.1.conv1.weight", &others), "layer3.1");
    }

    #[test]
    fn class_counts_are_told_in_words() {
        let why = |rows, classes: usize| {
            let outputs = if classes == 2 { 1 } else { classes };
            other_shape("fc", &[rows, 64], &[outputs, 64], classes)
        };
        assert_eq!(why(1000, 15), "fc is for 1000 classes, the data has 15");
        assert_eq!(why(1, 15), "fc is for 2 classes (one logit), the data has 15");
        assert_eq!(why(1000, 2), "fc is for 1000 classes, the data has 2 (one logit)");
        assert_eq!(why(2, 2), "fc has a row for each of 2 classes, and two classes make one logit here");
        assert_eq!(other_shape("fc", &[5, 64], &[5, 32], 5), "fc is [5, 64] instead of [5, 32]");
    }
}
