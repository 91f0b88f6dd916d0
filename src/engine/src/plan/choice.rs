//! Which kernel each launch takes: a rule of thumb, or what the tuner found.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::uniform_block;
use crate::gpu::{AdapterSummary, Kernel, fingerprint};
use crate::tape::{Launch, Tape};
use crate::{Error, Result};

/// Which of a launch's kernels a plan takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Choice<'a> {
    /// The first one made for this type of adapter, else the first that runs.
    #[default]
    Rule,
    /// The one with this number, counted among those that run here; the last one where there are fewer. For tests.
    Number(usize),
    /// The one that was found fastest on this adapter; the rule's where nothing was found.
    Tuned(&'a Choices),
}

/// The kernels of a launch that can run on this adapter with this layout.
pub fn admissible<'a>(tape: &Tape, launch: &'a Launch, adapter: &AdapterSummary) -> Vec<&'a Kernel> {
    let aligned = launch.operands.iter().all(|&(tensor, _)| {
        let view = tape.view(tensor);
        (view.offset | view.stride | tensor.shape.c).is_multiple_of(4)
    });
    let half = launch.maps().all(|map| tape.is_half(map));
    let fits = |k: &&Kernel| (aligned || !k.needs.aligned) && (half || k.needs.cooperative.is_none());
    launch.kernels.iter().filter(fits).filter(|k| k.runs_on(adapter)).collect()
}

/// The kernel that a launch takes.
///
/// # Errors
/// [`Error::Run`] if none can run.
pub fn choose<'a>(tape: &Tape, launch: &'a Launch, adapter: &AdapterSummary, choice: Choice) -> Result<&'a Kernel> {
    let kernels = admissible(tape, launch, adapter);
    let preferred = |k: &&&Kernel| k.needs.software.is_none_or(|software| software == adapter.lavapipe);
    let rule = || kernels.iter().find(preferred).or(kernels.first());
    let found = match choice {
        Choice::Rule => rule(),
        Choice::Number(i) => kernels.get(i).or(kernels.last()),
        Choice::Tuned(choices) if choices.is_empty() => rule(),
        Choice::Tuned(choices) => {
            let variant = choices.kernels.get(&key(tape, launch));
            kernels.iter().find(|k| variant == Some(&k.variant())).or_else(rule)
        }
    };
    found.copied().ok_or_else(|| {
        let why =
            if adapter.refused.is_empty() { "" } else { "; those there are ended earlier starts, try another driver" };
        Error::run(format!("adapter {}: no kernel for {}{why}", adapter.name, launch.label()))
    })
}

/// What a choice depends on: the kernels with all their sources, constants and grids, and the shapes they work on. Launches with
/// the same key are the same work.
pub(super) fn key(tape: &Tape, launch: &Launch) -> String {
    let mut hash = blake3::Hasher::new();
    for kernel in &launch.kernels {
        hash.update(fingerprint(kernel.shader).as_bytes());
        hash.update(format!("{:?}{:?}{:?}", kernel.defs, kernel.constants, kernel.workgroups).as_bytes());
    }
    for (tensor, _) in &launch.operands {
        hash.update(format!("{}", tensor.shape).as_bytes());
    }
    for &(tensor, access) in &launch.operands {
        hash.update(format!("{access:?}{}", tape.is_half(tensor)).as_bytes());
    }
    hash.update(bytemuck::cast_slice(&uniform_block(tape, launch)));
    format!("{} {}", launch.label(), &hash.finalize().to_hex()[..24])
}

/// What the tuner found on one adapter with one driver. On disk it is a JSON file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choices {
    format: u32,
    /// Name, back end and driver.
    adapter: String,
    /// Launches (see [`key`]) and the variants they take.
    pub(super) kernels: BTreeMap<String, String>,
    /// Variants that gave wrong numbers, each for one launch: never tried again. (Those that ended a program are the adapter's:
    /// [`AdapterSummary::refused`].)
    refused: BTreeSet<String>,
}

const FORMAT: u32 = 1;

impl Choices {
    /// None yet.
    pub fn new(adapter: &AdapterSummary) -> Self {
        Self { format: FORMAT, adapter: adapter.identity(), kernels: BTreeMap::new(), refused: BTreeSet::new() }
    }

    /// Reads a file of choices; `Ok(None)` if there is none.
    ///
    /// # Errors
    /// Why the file is of no use here, as a clause: it is damaged, of another version, or of another adapter or driver.
    pub fn read(path: &Path, adapter: &AdapterSummary) -> Result<Option<Self>, String> {
        let bytes = match fs::read(path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(format!("cannot be read ({e})")),
        };
        let choices: Self = serde_json::from_slice(&bytes).map_err(|e| format!("is damaged ({e})"))?;
        if choices.format != FORMAT {
            return Err(format!("has format {} instead of {FORMAT}", choices.format));
        }
        if choices.adapter != adapter.identity() {
            return Err(format!("is of another adapter or driver ({})", choices.adapter));
        }
        Ok(Some(choices))
    }

    /// What a file of choices holds.
    ///
    /// # Errors
    /// [`Error::Run`] if they cannot be written as JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).map(|text| text + "\n").map_err(Error::run)
    }

    /// Never to be tried again for launches of this key.
    pub(super) fn refuse(&mut self, key: &str, variant: &str) {
        self.refused.insert(format!("{key}: {variant}"));
    }

    pub(super) fn is_refused(&self, key: &str, variant: &str) -> bool {
        self.refused.contains(&format!("{key}: {variant}"))
    }

    /// The choices among these that these tapes' launches take: what a run has to keep.
    #[must_use]
    pub fn of_tapes(&self, tapes: &[&Tape]) -> Self {
        let keys = tapes.iter().flat_map(|tape| tape.launches.iter().map(move |launch| key(tape, launch)));
        let keys: BTreeSet<String> = keys.collect();
        let kernels = self.kernels.iter().filter(|(key, _)| keys.contains(*key));
        let kernels = kernels.map(|(key, variant)| (key.clone(), variant.clone())).collect();
        Self { kernels, refused: BTreeSet::new(), ..self.clone() }
    }

    /// How many launches have a choice.
    pub fn len(&self) -> usize {
        self.kernels.len()
    }

    pub fn is_empty(&self) -> bool {
        self.kernels.is_empty()
    }
}
