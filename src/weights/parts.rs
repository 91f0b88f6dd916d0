//! Weights in one file, or in several that an index lists, as the Hugging Face Hub cuts large ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use super::Checkpoint;
use crate::read::read;
use crate::{Error, Result};

/// A file's bytes, or those of all parts that an index lists, in the order of their names.
pub struct Files(Vec<(String, Vec<u8>)>);

/// `model.safetensors.index.json` and `pytorch_model.bin.index.json`: which tensor lies in which file.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Files {
    /// `what` names the path in messages.
    ///
    /// # Errors
    /// [`Error::Input`] if a file cannot be read, or the path is one part of several.
    pub fn read(what: &str, path: &Path) -> Result<Self> {
        let read = |path: &Path| {
            let source = path.display().to_string();
            let unreadable =
                |e| Error::input(format!("{what} {source}: cannot be read ({e}); name a safetensors or .pth file"));
            let bytes = read(path).map_err(unreadable)?;
            Ok::<_, Error>((source, bytes))
        };
        let (source, bytes) = read(path)?;
        let Some(parts) = parts(&bytes) else {
            if is_part(path) {
                let text = "is one part of several; name the index that lies beside it (model.safetensors.index.json)";
                return Err(Error::input(format!("{what} {source}: {text}")));
            }
            return Ok(Self(vec![(source, bytes)]));
        };
        let beside = |name: &String| {
            // An index is somebody else's file: it names its neighbours and nothing more.
            if Path::new(name).file_name().is_none_or(|plain| plain != name.as_str()) {
                return Err(Error::input(format!(
                    "{what} {source}: it names a part {name:?}, which is no file beside it"
                )));
            }
            read(&path.with_file_name(name))
        };
        Ok(Self(parts.iter().map(beside).collect::<Result<_>>()?))
    }

    /// Of all bytes in their order.
    pub fn hash(&self) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        for (_, bytes) in &self.0 {
            hasher.update(bytes);
        }
        hasher.finalize()
    }

    /// # Errors
    /// As [`Checkpoint::parse`], and if two parts have a tensor of one name.
    pub fn parse(&self) -> Result<Checkpoint> {
        let mut parts = self.0.iter().map(|(source, bytes)| Checkpoint::parse(source, bytes));
        let Some(first) = parts.next() else { return Err(Error::input("an index that lists no file")) };
        let mut whole = first?;
        for part in parts {
            let part = part?;
            for (name, tensor) in part.tensors {
                if whole.tensors.insert(name.clone(), tensor).is_some() {
                    return Err(Error::input(format!("checkpoint {}: {name} is in another part too", part.source)));
                }
            }
        }
        Ok(whole)
    }
}

/// The files that an index names.
pub(super) fn parts(bytes: &[u8]) -> Option<BTreeSet<String>> {
    if bytes.first() != Some(&b'{') {
        return None;
    }
    let Index { weight_map } = serde_json::from_slice(bytes).ok()?;
    Some(weight_map.into_values().collect())
}

/// Whether a name ends as that of a part: `model-00001-of-00003.safetensors`.
fn is_part(path: &Path) -> bool {
    let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let mut words = name.rsplit('-');
    let (of, word, part) = (words.next(), words.next(), words.next());
    word == Some("of") && of.is_some_and(number) && part.is_some_and(number) && of != Some("00001")
}
