//! The seal of a checkpoint: a hash over its header and all its tensors. A disk or a copy can change bytes without a word, and a
//! network with a changed weight answers on.
//!
//! It stands in front of the header's JSON, `{"blake3":"…",` and then the rest, over which it is taken with the tensors.

use blake3::Hash;
use safetensors::tensor::TensorView;

use crate::data::set::hash::Parts;

const KEY: &str = "{\"blake3\":\"";

/// A header's JSON, which is an object with members, with the seal in front.
pub(super) fn sealed<'v>(header: &str, tensors: impl Iterator<Item = (&'v str, &'v TensorView<'v>)>) -> String {
    let rest = header.strip_prefix('{').unwrap_or(header);
    format!("{KEY}{}\",{rest}", hash(rest, tensors).to_hex())
}

/// Whether the seal of a header's JSON fits it and the tensors; none if it has none.
pub(super) fn is_whole<'v>(header: &str, tensors: impl Iterator<Item = (&'v str, &'v TensorView<'v>)>) -> Option<bool> {
    let (hex, rest) = header.strip_prefix(KEY)?.split_once("\",")?;
    Some(Hash::from_hex(hex).is_ok_and(|wanted| wanted == hash(rest, tensors)))
}

/// Over the text, then over name, type, shape and bytes of each tensor in the order of their names.
fn hash<'v>(rest: &str, tensors: impl Iterator<Item = (&'v str, &'v TensorView<'v>)>) -> Hash {
    let mut tensors: Vec<_> = tensors.collect();
    tensors.sort_unstable_by_key(|(name, _)| *name);
    let mut parts = Parts::default();
    parts.add(rest.as_bytes());
    for (name, view) in tensors {
        parts.add(format!("{name} {:?} {:?}", view.dtype(), view.shape()).as_bytes());
        parts.add(view.data());
    }
    parts.hash()
}
