//! Kernels as wgpu hands them to a Vulkan driver, without checks.

use std::collections::HashMap;

use gatefold_engine::gpu::{Kernel, compose, store_as_half};
use gatefold_engine::{Error, Result};
use naga::back::{pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// Modules before their constants are put in, by file, definitions, and the bindings that hold halves: many kernels share one.
#[derive(Default)]
pub struct Modules {
    made: HashMap<Key, (Module, ModuleInfo)>,
}

type Key = (&'static str, Vec<(&'static str, u32)>, Vec<u32>);

impl Modules {
    /// The SPIR-V of a kernel; `halves` are the bindings that hold halves.
    ///
    /// # Errors
    /// [`Error::Run`] with naga's message: only a developer can meet it.
    pub fn spirv(&mut self, kernel: &Kernel, halves: &[u32]) -> Result<Vec<u32>> {
        let fault = |e: &dyn std::fmt::Display| Error::run(format!("{}: {e}", kernel.variant()));
        let key = (kernel.shader.path, kernel.defs.clone(), halves.to_vec());
        if !self.made.contains_key(&key) {
            let mut module = compose(kernel.shader, &kernel.defs)?;
            store_as_half(&mut module, halves)?;
            let checked = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(&module);
            let info = checked.map_err(|e| fault(&e))?;
            self.made.insert(key.clone(), (module, info));
        }
        let (module, info) = &self.made[&key];
        let constants = kernel.constants.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
        let entry = Some((ShaderStage::Compute, "main"));
        let (module, info) =
            pipeline_constants::process_overrides(module, info, entry, &constants).map_err(|e| fault(&e))?;
        let unchecked = BoundsCheckPolicies {
            index: BoundsCheckPolicy::Unchecked,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        };
        // As wgpu 30 has it for a driver of Vulkan 1.3, `ShaderRuntimeChecks::unchecked()`, and workgroup memory as it is.
        let options = spv::Options {
            lang_version: (1, 6),
            flags: spv::WriterFlags::LABEL_VARYINGS | spv::WriterFlags::FORCE_POINT_SIZE,
            bounds_check_policies: unchecked,
            zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
            force_loop_bounding: false,
            emit_int_div_checks: false,
            ..spv::Options::default()
        };
        let entry = spv::PipelineOptions { shader_stage: ShaderStage::Compute, entry_point: "main".to_owned() };
        spv::write_vec(&module, &info, &options, Some(&entry)).map_err(|e| fault(&e))
    }
}
