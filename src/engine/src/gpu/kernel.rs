//! A kernel (which file, with which constants, over which grid) and the cache of compiled ones.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::{AdapterSummary, Gpu, Shader, compose, store_as_half, store_in_pairs};
use crate::{Error, Result};

/// What a kernel asks of the adapter and of the tensors' layout; the planner passes over those that cannot run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Requirements {
    /// Every operand's channel offset and pixel stride must be a multiple of 4 (the kernel moves `vec4<f32>`).
    pub aligned: bool,
    /// Bytes of workgroup memory.
    pub workgroup_memory: u32,
    /// Invocations in a workgroup.
    pub invocations: u32,
    /// `Some(true)`: made for Mesa's software adapter, and for no other one; `Some(false)`: made for GPUs. Else only a preference.
    pub software: Option<bool>,
    /// Side of the cooperative matrices that it multiplies. It rounds all factors to f16, so it is only for launches whose maps are
    /// half.
    pub cooperative: Option<u32>,
    /// Invocations in every subgroup, which hand numbers round among themselves.
    pub subgroup: Option<u32>,
}

/// One way to compute a launch.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kernel {
    pub shader: Shader,
    /// Register-tile and workgroup sizes: replaced as `#{NAME}` before parsing, because neither can be an `override`
    /// (register arrays never; workgroup sizes because `naga_oil` 0.23 does not carry them through composition).
    pub defs: Vec<(&'static str, u32)>,
    /// Geometry: values of the WGSL `override` constants.
    pub constants: Vec<(&'static str, i32)>,
    pub workgroups: [u32; 3],
    pub needs: Requirements,
    /// Whether it can keep the statistics of what it stores: whether its file knows the definition THEN_STATISTICS.
    pub can_keep_statistics: bool,
    /// Whether it does.
    pub keeps_statistics: bool,
}

impl Kernel {
    /// A kernel of one invocation per item, 64 to a workgroup (the file must say `@workgroup_size(64)`).
    pub fn per_item(shader: Shader, items: usize) -> Self {
        Self {
            shader,
            defs: vec![],
            constants: vec![],
            workgroups: fold(items.div_ceil(64)),
            needs: Requirements { invocations: 64, ..Requirements::default() },
            can_keep_statistics: false,
            keeps_statistics: false,
        }
    }

    /// A kernel of one workgroup per item; of 64 invocations, if its needs say nothing else.
    pub fn per_group(shader: Shader, items: usize) -> Self {
        Self { workgroups: fold(items), ..Self::per_item(shader, 0) }
    }

    /// A kernel whose LANES invocations share an item: a workgroup, for GPUs, or one, for software adapters, where barriers are dear.
    pub fn in_lanes(shader: Shader, items: usize, lanes: u32) -> Self {
        let mut kernel = if lanes == 1 { Self::per_item(shader, items) } else { Self::per_group(shader, items) };
        (kernel.needs.software, kernel.needs.invocations) = (Some(lanes == 1), lanes.max(64));
        kernel.def("LANES", lanes)
    }

    #[must_use]
    pub fn constant(mut self, name: &'static str, value: impl Into<i64>) -> Self {
        // Geometry fits: `Tape` refuses tensors of more elements than a u32 counts, and an extent of half as many is negative here,
        // which naga refuses for an override of type u32.
        self.constants.push((name, value.into() as i32));
        self
    }

    #[must_use]
    pub fn def(mut self, name: &'static str, value: u32) -> Self {
        self.defs.push((name, value));
        self
    }

    #[must_use]
    pub fn aligned(mut self) -> Self {
        self.needs.aligned = true;
        self
    }

    /// The variant's name: the file without its ending, and what was defined.
    pub fn variant(&self) -> String {
        let mut name = self.shader.path.trim_end_matches(".wgsl").to_owned();
        for (key, value) in &self.defs {
            name += &format!(" {key}={value}");
        }
        name
    }

    /// Whether it rounds what it multiplies to `f16`. That moves a sum by as much as keeping the sum itself in 16 bits would.
    pub fn rounds_factors(&self) -> bool {
        self.needs.cooperative.is_some()
    }

    /// The same in so many dispatches (fewer where there are fewer workgroups), each with a part of the workgroups. A kernel that does
    /// not import `gatefold::grid` stays whole.
    pub fn parts(&self, count: u64) -> Vec<Self> {
        let total: u64 = self.workgroups.iter().map(|&extent| u64::from(extent)).product();
        if count < 2 || total < 2 || !self.shader.text().contains("#import gatefold::grid") {
            return vec![self.clone()];
        }
        let each = total.div_ceil(count);
        // A folded grid that is larger than its part would do some of the next one too.
        let each = if each > MOST_GROUPS as u64 { each.next_multiple_of(MOST_GROUPS as u64) } else { each };
        let part = |first: u64| {
            let workgroups = fold((total - first).min(each) as usize);
            Self { workgroups, ..self.clone() }.def("FIRST_GROUP", first as u32)
        };
        (0..total.div_ceil(each)).map(|number| part(number * each)).collect()
    }

    /// Its file knows the definition THEN_STATISTICS.
    #[must_use]
    pub fn with_statistics(mut self) -> Self {
        self.can_keep_statistics = true;
        self
    }

    /// Whether this adapter can run it at all.
    pub fn runs_on(&self, adapter: &AdapterSummary) -> bool {
        let made_for_another = adapter.software && !adapter.lavapipe && self.needs.software == Some(true);
        !made_for_another
            && (adapter.refused.is_empty() || !adapter.refused.contains(&self.variant()))
            && self.needs.workgroup_memory <= adapter.workgroup_memory_bytes
            && self.needs.invocations <= adapter.max_invocations
            && self.needs.cooperative.is_none_or(|side| adapter.cooperative_matrix == Some(side))
            && self.needs.subgroup.is_none_or(|size| adapter.subgroups_of(size))
    }
}

/// The most workgroups along an axis.
const MOST_GROUPS: usize = 65_535;

/// Spreads a linear count of workgroups over x, y and z, each at most 65,535. The grid may be larger than the count:
/// kernels compare `grid::linear_group` with what there is to do.
pub fn fold(groups: usize) -> [u32; 3] {
    let x = groups.clamp(1, MOST_GROUPS);
    let y = groups.div_ceil(x).clamp(1, MOST_GROUPS);
    let z = groups.div_ceil(x * y).clamp(1, MOST_GROUPS);
    [x as u32, y as u32, z as u32]
}

/// Quotients that `grid::quotient` may be asked for are below this. A quotient is off by three parts in 2^24 at most before it is
/// put right by one, so from 2^24 / 3 on it could stay wrong.
pub const QUOTIENTS: usize = 4_000_000;

/// What a kernel finds at a storage binding.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Binding {
    pub write: bool,
    /// `f16` instead of the `f32` that the file says.
    pub half: bool,
}

/// A compiled kernel.
pub struct Pipeline {
    pub(crate) pipeline: wgpu::ComputePipeline,
    pub(crate) layout: wgpu::BindGroupLayout,
}

/// File, definitions, and the bindings that hold halves.
type ModuleKey = (Shader, Vec<(&'static str, u32)>, Vec<u32>);
type Key = (ModuleKey, Vec<(&'static str, i32)>);

/// Compiled pipelines by kernel. Shader modules are shared by all pipelines of a file and its definitions.
#[derive(Default)]
pub(super) struct PipelineCache {
    pipelines: Mutex<HashMap<Key, Arc<Pipeline>>>,
    modules: Mutex<HashMap<ModuleKey, Arc<wgpu::ShaderModule>>>,
}

impl PipelineCache {
    /// `bindings[i]` is storage binding `i + 1`; binding 0 is the uniform block.
    pub(super) fn get(&self, gpu: &Gpu, kernel: &Kernel, bindings: &[Binding]) -> Result<Arc<Pipeline>> {
        let halves = (1..).zip(bindings).filter(|(_, binding)| binding.half).map(|(number, _)| number).collect();
        let mut defs = kernel.defs.clone();
        // Kernels with matrices divide the work by subgroups.
        let size = gpu.summary.subgroup_size().filter(|_| kernel.needs.cooperative.is_some());
        defs.extend(size.map(|size| ("SUBGROUP", size)));
        let key = ((kernel.shader, defs, halves), kernel.constants.clone());
        if let Some(found) = self.pipelines.lock().map_err(poisoned)?.get(&key) {
            return Ok(Arc::clone(found));
        }
        let module = self.module(gpu, &key.0)?;
        let label = kernel.variant();
        let made = gpu.guarded(&format!("kernel {label}"), || compile(gpu, kernel, bindings, &module, &label))?;
        let made = Arc::new(made);
        self.pipelines.lock().map_err(poisoned)?.insert(key, Arc::clone(&made));
        Ok(made)
    }

    /// How many kernels are compiled.
    pub(super) fn len(&self) -> usize {
        self.pipelines.lock().map_or(0, |pipelines| pipelines.len())
    }

    fn module(&self, gpu: &Gpu, key: &ModuleKey) -> Result<Arc<wgpu::ShaderModule>> {
        let mut modules = self.modules.lock().map_err(poisoned)?;
        if let Some(found) = modules.get(key) {
            return Ok(Arc::clone(found));
        }
        let (shader, defs, halves) = key;
        let mut naga = compose(*shader, defs)?;
        store_as_half(&mut naga, halves)?;
        if gpu.stores_in_pairs() {
            store_in_pairs(&mut naga)?;
        }
        let descriptor = wgpu::ShaderModuleDescriptor {
            label: Some(shader.path),
            source: wgpu::ShaderSource::Naga(std::borrow::Cow::Owned(naga)),
        };
        let module = gpu.guarded(&format!("shader {}", shader.path), || {
            if gpu.checked {
                gpu.device.create_shader_module(descriptor)
            } else {
                // SAFETY: the kernels are this crate's own; `kernels-tests` runs each of them with all checks on and
                // compares with a reference, every loop has a bound known at plan time, and no divisor is zero.
                unsafe { gpu.device.create_shader_module_trusted(descriptor, wgpu::ShaderRuntimeChecks::unchecked()) }
            }
        })?;
        let module = Arc::new(module);
        modules.insert(key.clone(), Arc::clone(&module));
        Ok(module)
    }
}

fn poisoned<T>(_: std::sync::PoisonError<T>) -> Error {
    Error::run("a thread died while it compiled a kernel")
}

fn compile(gpu: &Gpu, kernel: &Kernel, bindings: &[Binding], module: &wgpu::ShaderModule, label: &str) -> Pipeline {
    gpu.fail_compilation(label);
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    for (i, binding) in bindings.iter().enumerate() {
        entries.push(entry(i + 1, wgpu::BufferBindingType::Storage { read_only: !binding.write }));
    }
    let layout =
        gpu.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: Some(label), entries: &entries });
    let pipeline_layout = gpu.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(label),
        bind_group_layouts: &[Some(&layout)],
        ..Default::default()
    });
    let constants: Vec<_> = kernel.constants.iter().map(|&(name, value)| (name, f64::from(value))).collect();
    let pipeline = gpu.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(label),
        layout: Some(&pipeline_layout),
        module,
        entry_point: Some("main"),
        compilation_options: wgpu::PipelineCompilationOptions {
            constants: &constants,
            // Kernels write workgroup memory before they read it. On Metal it is set to zero all the same: that keeps its compiler
            // from mistaking references to it (https://github.com/gfx-rs/wgpu/issues/4500).
            zero_initialize_workgroup_memory: gpu.summary.backend == wgpu::Backend::Metal.to_str(),
        },
        cache: gpu.compiled.as_ref().map(|compiled| &compiled.cache),
    });
    Pipeline { pipeline, layout }
}

#[cfg(test)]
mod tests {
    use super::{Kernel, fold};
    use crate::shader;

    #[test]
    fn a_fold_covers_the_count_and_respects_the_limit() {
        for count in [0, 1, 64, 65_535, 65_536, 1 << 20, 5_000_000_000] {
            let [x, y, z] = fold(count).map(u64::from);
            assert!(x * y * z >= count as u64 && x.max(y).max(z) <= 65_535 && x.min(y).min(z) >= 1, "{count}");
        }
    }

    #[test]
    fn parts_cover_a_grid_and_do_not_overlap() {
        for (items, count) in [(64, 3), (6_400, 3), (64 * 65_535 * 5 + 1, 2), (64 * 100_000, 64), (64 * 1_000_000, 7)] {
            let whole = Kernel::per_item(shader!("fill.wgsl"), items);
            let groups = |kernel: &Kernel| kernel.workgroups.iter().map(|&w| u64::from(w)).product::<u64>();
            let (parts, mut next) = (whole.parts(count), 0);
            assert!(parts.len() as u64 <= count, "{items} in {count}");
            for (number, part) in parts.iter().enumerate() {
                let first = part.defs.iter().find(|(name, _)| *name == "FIRST_GROUP").map_or(0, |(_, first)| *first);
                assert_eq!(u64::from(first), next, "{items} in {count}");
                next += groups(part);
                assert!(next <= groups(&whole) || number + 1 == parts.len());
            }
            assert!(next >= groups(&whole));
        }
    }
}
