//! What is done without: features and limits that an adapter has, and that the environment or an earlier fault takes away.
//!
//! `GATEFOLD_WITHOUT=matrix,f16` takes features away from every adapter, for drivers that crash on them and for tests of what is done
//! in their place. For tests alone, `GATEFOLD_PRETEND=gpu` takes the kernels for GPUs, and the tuner, on a software adapter, and
//! `slow` cuts all work into the small portions of a slow device.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

const WITHOUT: &str = "GATEFOLD_WITHOUT";
const PRETEND: &str = "GATEFOLD_PRETEND";

/// Something that an adapter may have and that nothing needs. In the order in which it is suspected of a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Switch {
    /// Cooperative matrices: the matrix units of a GPU.
    Matrix,
    /// Numbers of 16 bits, and with them mixed precision.
    F16,
    /// Integers of 64 bits, as which software adapters move numbers.
    Int64,
    /// Numbers handed round in a subgroup.
    Subgroup,
    /// The device's own clock.
    Timestamps,
    /// Compiled kernels on disk.
    PipelineCache,
    /// Whatever is beyond WebGPU's default limits.
    LargeLimits,
}

impl Switch {
    pub const ALL: [Self; 7] = [
        Self::Matrix,
        Self::F16,
        Self::Int64,
        Self::Subgroup,
        Self::Timestamps,
        Self::PipelineCache,
        Self::LargeLimits,
    ];

    /// Its name in `GATEFOLD_WITHOUT` and in messages.
    pub fn name(self) -> &'static str {
        self.name_and_feature().0
    }

    fn name_and_feature(self) -> (&'static str, wgpu::Features) {
        match self {
            Self::Matrix => ("matrix", wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX),
            Self::F16 => ("f16", wgpu::Features::SHADER_F16),
            Self::Int64 => ("int64", wgpu::Features::SHADER_INT64),
            Self::Subgroup => ("subgroup", wgpu::Features::SUBGROUP),
            Self::Timestamps => ("timestamps", wgpu::Features::TIMESTAMP_QUERY),
            Self::PipelineCache => ("pipeline-cache", wgpu::Features::PIPELINE_CACHE),
            Self::LargeLimits => ("large-limits", wgpu::Features::empty()),
        }
    }
}

/// What is switched off, and what is pretended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switches {
    pub without: BTreeSet<Switch>,
    /// A software adapter is treated as a GPU.
    pub as_gpu: bool,
    /// Any adapter is treated as one that is slow.
    pub slow: bool,
}

impl Switches {
    /// # Errors
    /// [`Error::Input`] if the environment names what there is not.
    pub fn from_environment() -> Result<Self> {
        let value = |name| std::env::var(name).unwrap_or_default();
        Self::parse(&value(WITHOUT), &value(PRETEND))
    }

    fn parse(without: &str, pretend: &str) -> Result<Self> {
        let words = without.split(',').map(str::trim).filter(|word| !word.is_empty());
        let switch = |word: &str| Switch::ALL.into_iter().find(|switch| switch.name() == word);
        let names = || Switch::ALL.map(Switch::name).join(", ");
        let known = |word| {
            switch(word).ok_or_else(|| Error::input(format!("{WITHOUT}={without}: `{word}` is none of {}", names())))
        };
        let mut switches = Self { without: words.map(known).collect::<Result<_>>()?, ..Self::default() };
        for word in pretend.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "gpu" => switches.as_gpu = true,
                "slow" => switches.slow = true,
                _ => return Err(Error::input(format!("{PRETEND}={pretend}: `{word}` is none of gpu, slow"))),
            }
        }
        Ok(switches)
    }

    /// The same, without more.
    #[must_use]
    pub fn and_without(mut self, more: impl IntoIterator<Item = Switch>) -> Self {
        self.without.extend(more);
        self
    }

    /// What an adapter has of the features that the engine can use.
    pub(super) fn features(&self, adapter: &wgpu::Adapter) -> wgpu::Features {
        let wanted = Switch::ALL.into_iter().filter(|switch| !self.without.contains(switch));
        let features = wanted.map(|switch| switch.name_and_feature().1);
        adapter.features() & features.fold(wgpu::Features::empty(), wgpu::Features::union)
    }

    pub(super) fn limits(&self, adapter: &wgpu::Adapter) -> wgpu::Limits {
        let limits = adapter.limits();
        if self.without.contains(&Switch::LargeLimits) {
            wgpu::Limits::default().or_worse_values_from(&limits)
        } else {
            limits
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_is_read_and_an_unknown_one_refused() {
        let read = |without, pretend| Switches::parse(without, pretend);
        assert_eq!(read("", "").unwrap(), Switches::default());
        let some = read(" matrix,large-limits, ", "gpu").unwrap();
        let without = BTreeSet::from([Switch::Matrix, Switch::LargeLimits]);
        assert_eq!(some, Switches { without, as_gpu: true, slow: false });
        for (without, pretend, told) in [("matrix,f61", "", "`f61`"), ("", "cpu", "cpu")] {
            let error = read(without, pretend).unwrap_err();
            assert!(error.exit_code() == 2 && error.to_string().contains(told), "{error}");
        }
        assert!(Switch::ALL.is_sorted());
    }
}
