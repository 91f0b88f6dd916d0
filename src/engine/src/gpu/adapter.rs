//! Listing adapters and choosing one.

use std::collections::BTreeSet;

use serde::Serialize;

use super::free::free_memory;
use super::memory::available_host_memory;
use super::{Switch, Switches};
use crate::{Error, Result};

/// What there is to know of an adapter, for people and for the planner. Sizes are bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct AdapterSummary {
    pub index: usize,
    pub name: String,
    pub backend: String,
    /// "discrete GPU", "integrated GPU", "virtual GPU", "software" or "other".
    pub kind: String,
    pub driver: String,
    /// True where the "GPU" is the processor itself.
    pub software: bool,
    /// Whether it is Mesa's software driver. Kernels for software adapters were made for it; another one may need all of a machine's
    /// memory to compile them.
    pub lavapipe: bool,
    /// The most one kernel can see of a buffer: bounds the largest tensor.
    pub max_binding_bytes: u64,
    pub max_buffer_bytes: u64,
    /// What of its own memory was free when it was listed, where the driver tells.
    pub free_bytes: Option<u64>,
    pub workgroup_memory_bytes: u32,
    pub max_invocations: u32,
    pub subgroup_min: u32,
    pub subgroup_max: u32,
    /// Whether the invocations of a subgroup can hand numbers round.
    pub subgroup_operations: bool,
    /// Whether shaders may use integers of 64 bits.
    pub int64: bool,
    pub f16: bool,
    pub timestamps: bool,
    /// Side of the square matrices of f16 that it multiplies with f32 sums, if it has matrix units.
    pub cooperative_matrix: Option<u32>,
    /// What it may have and is done without; see [`Switches`].
    pub without: BTreeSet<Switch>,
    /// A software adapter that is treated as a GPU, for tests.
    pub pretended: bool,
    /// Kernels (their variants) that ended an earlier program.
    pub refused: BTreeSet<String>,
}

impl AdapterSummary {
    /// The weakest GPU that WebGPU allows: to plan for one that nobody has at hand.
    pub fn weakest() -> Self {
        let limits = wgpu::Limits::default();
        Self {
            name: "the weakest GPU".to_owned(),
            backend: wgpu::Backend::Vulkan.to_str().to_owned(),
            kind: "discrete GPU".to_owned(),
            max_binding_bytes: limits.max_storage_buffer_binding_size,
            max_buffer_bytes: limits.max_buffer_size,
            workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
            max_invocations: limits.max_compute_invocations_per_workgroup,
            subgroup_min: 4,
            subgroup_max: 128,
            ..Self::default()
        }
    }

    /// The size of all subgroups, if they have one and it divides every workgroup.
    pub(super) fn subgroup_size(&self) -> Option<u32> {
        let one = self.subgroup_min == self.subgroup_max && self.subgroup_max.is_power_of_two();
        (one && self.subgroup_max <= 64).then_some(self.subgroup_max)
    }

    /// Bytes that a run can have: of the machine's memory where the adapter is the processor itself, else of the adapter's own. Without a
    /// limit where nobody tells.
    pub fn free_memory(&self) -> u64 {
        if self.software { available_host_memory() } else { self.free_bytes.unwrap_or(u64::MAX) }
    }

    /// Whether all subgroups have this size, and can hand numbers round.
    pub fn subgroups_of(&self, size: u32) -> bool {
        self.subgroup_operations && [self.subgroup_min, self.subgroup_max] == [size; 2]
    }
}

/// WebGPU's own words for the back ends that have compute shaders with storage buffers of useful size.
const BACKENDS: wgpu::Backends = wgpu::Backends::VULKAN.union(wgpu::Backends::METAL).union(wgpu::Backends::DX12);

/// How much of the memory that a driver lets a program have is taken at most, in percent.
const MEMORY_PERCENT: u8 = 97;

fn instance() -> wgpu::Instance {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
    descriptor.backends = BACKENDS;
    // Debug layers slow every call down and need packages a user does not have.
    descriptor.flags = wgpu::InstanceFlags::empty();
    // Where the driver tells what is free, buffers beyond it are refused, instead of other programs' being moved out of the device.
    descriptor.memory_budget_thresholds.for_resource_creation = Some(MEMORY_PERCENT);
    wgpu::Instance::new(descriptor)
}

fn enumerate(switches: &Switches) -> (Vec<AdapterSummary>, Vec<wgpu::Adapter>) {
    let adapters = pollster::block_on(instance().enumerate_adapters(BACKENDS)).into_iter().enumerate();
    adapters.map(|(index, adapter)| (summarise(index, &adapter, switches), adapter)).unzip()
}

/// What an adapter is, with what is switched off.
pub(super) fn summarise(index: usize, adapter: &wgpu::Adapter, switches: &Switches) -> AdapterSummary {
    let (mut info, limits, features) = (adapter.get_info(), switches.limits(adapter), switches.features(adapter));
    let is_cpu = info.device_type == wgpu::DeviceType::Cpu;
    let pretended = switches.as_gpu && is_cpu;
    if pretended {
        info.device_type = wgpu::DeviceType::DiscreteGpu;
    }
    let software = is_cpu && !pretended;
    let kind = match info.device_type {
        wgpu::DeviceType::DiscreteGpu => "discrete GPU",
        wgpu::DeviceType::IntegratedGpu => "integrated GPU",
        wgpu::DeviceType::VirtualGpu => "virtual GPU",
        wgpu::DeviceType::Cpu => "software",
        wgpu::DeviceType::Other => "other",
    };
    AdapterSummary {
        index,
        lavapipe: software && ["llvmpipe", "lavapipe"].iter().any(|name| info.driver.contains(name)),
        name: info.name,
        backend: info.backend.to_string(),
        kind: kind.to_owned(),
        driver: format!("{} {}", info.driver, info.driver_info).trim().to_owned(),
        software,
        max_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        free_bytes: free_memory(adapter),
        workgroup_memory_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations: limits.max_compute_invocations_per_workgroup,
        subgroup_min: info.subgroup_min_size,
        subgroup_max: info.subgroup_max_size,
        subgroup_operations: features.contains(wgpu::Features::SUBGROUP),
        int64: features.contains(wgpu::Features::SHADER_INT64),
        f16: features.contains(wgpu::Features::SHADER_F16),
        timestamps: features.contains(wgpu::Features::TIMESTAMP_QUERY),
        // Drivers list forms of matrices that they then refuse a device for, Mesa's software driver among them. Where the sums run on
        // the processor there is nothing to win by them.
        cooperative_matrix: (!software && features.contains(MATRIX_FEATURES))
            .then(|| adapter.cooperative_matrix_properties().iter().filter_map(side).max())
            .flatten(),
        without: switches.without.clone(),
        pretended,
        refused: BTreeSet::new(),
    }
}

/// What kernels with cooperative matrices use: their factors are f16, and subgroups divide the work by their numbers.
pub(super) const MATRIX_FEATURES: wgpu::Features =
    wgpu::Features::EXPERIMENTAL_COOPERATIVE_MATRIX.union(wgpu::Features::SHADER_F16).union(wgpu::Features::SUBGROUP);

/// The side of a form of cooperative matrices, if it is square and from f16 to f32. wgpu lists no sides but 8 and 16.
fn side(form: &wgpu::CooperativeMatrixProperties) -> Option<u32> {
    let square = form.m_size == form.n_size && form.n_size == form.k_size;
    let types = (form.ab_type, form.cr_type);
    (square && types == (wgpu::CooperativeScalarType::F16, wgpu::CooperativeScalarType::F32)).then_some(form.m_size)
}

/// All adapters of this machine, in the order of their indices, and the index that would be used.
///
/// # Errors
/// [`Error::Input`] if the environment switches off what there is not.
pub fn list() -> Result<(Vec<AdapterSummary>, Option<usize>)> {
    let (all, _) = enumerate(&Switches::from_environment()?);
    let best = best(&all);
    Ok((all, best))
}

/// The best real GPU, else a software adapter, Mesa's before others; the first of equals.
fn best(all: &[AdapterSummary]) -> Option<usize> {
    let rank = |a: &AdapterSummary| match a.kind.as_str() {
        "discrete GPU" => 0,
        "integrated GPU" => 1,
        "virtual GPU" => 2,
        "other" => 3,
        _ if a.lavapipe => 4,
        _ => 5,
    };
    all.iter().min_by_key(|a| (rank(a), a.index)).map(|a| a.index)
}

/// What to say where there is no adapter at all.
pub fn no_adapter() -> Error {
    Error::input(
        "no Vulkan, Metal or DX12 adapter on this machine; on Linux without a GPU install Mesa's software driver (Debian and \
         Ubuntu: apt install mesa-vulkan-drivers libvulkan1)",
    )
}

/// Finds the adapter that `wanted` names.
pub(super) fn choose(wanted: Option<&str>, switches: &Switches) -> Result<(wgpu::Adapter, AdapterSummary)> {
    let (mut summaries, mut adapters) = enumerate(switches);
    let index = pick(&summaries, wanted)?;
    Ok((adapters.swap_remove(index), summaries.swap_remove(index)))
}

fn pick(all: &[AdapterSummary], wanted: Option<&str>) -> Result<usize> {
    let default = best(all).ok_or_else(no_adapter)?;
    let Some(wanted) = wanted else { return Ok(default) };
    let (found, why) = match wanted.parse::<usize>() {
        Ok(index) => (all.get(index), "there is no such index"),
        Err(_) => {
            let matches = |a: &&AdapterSummary| a.name.to_lowercase().contains(&wanted.to_lowercase());
            (all.iter().find(matches), "no adapter has that in its name")
        }
    };
    found.map(|a| a.index).ok_or_else(|| {
        let choices = all.iter().map(|a| format!("{} {}", a.index, a.name)).collect::<Vec<_>>().join(", ");
        Error::input(format!("adapter {wanted}: {why}; there are: {choices}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapter(index: usize, name: &str, kind: &str) -> AdapterSummary {
        let software = kind == "software";
        AdapterSummary {
            index,
            name: name.into(),
            kind: kind.into(),
            software,
            lavapipe: software,
            ..AdapterSummary::weakest()
        }
    }

    #[test]
    fn a_real_gpu_comes_before_the_software_adapter() {
        let all = [
            adapter(0, "llvmpipe", "software"),
            adapter(1, "Arc", "integrated GPU"),
            adapter(2, "RTX", "discrete GPU"),
        ];
        assert_eq!(pick(&all, None).unwrap(), 2);
        assert_eq!(pick(&all[..2], None).unwrap(), 1);
        assert_eq!(pick(&all[..1], None).unwrap(), 0);
        let other = AdapterSummary { lavapipe: false, ..adapter(0, "SwiftShader", "software") };
        assert_eq!(pick(&[other, adapter(1, "llvmpipe", "software")], None).unwrap(), 1);
    }

    #[test]
    fn an_adapter_is_found_by_index_and_by_part_of_its_name() {
        let all = [adapter(0, "llvmpipe (LLVM 15)", "software"), adapter(1, "NVIDIA H200", "discrete GPU")];
        assert_eq!(pick(&all, Some("0")).unwrap(), 0);
        assert_eq!(pick(&all, Some("h200")).unwrap(), 1);
    }

    #[test]
    fn an_unknown_adapter_is_bad_input_that_lists_the_known_ones() {
        let all = [adapter(0, "llvmpipe", "software")];
        for wanted in ["7", "voodoo"] {
            let error = pick(&all, Some(wanted)).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(error.to_string().contains("llvmpipe"), "{error}");
        }
        assert_eq!(pick(&[], None).unwrap_err().exit_code(), 2);
    }
}
