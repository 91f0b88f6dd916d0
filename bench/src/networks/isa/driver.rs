//! Mesa's RADV as a compiler: it opens a device that is not there, compiles for it, and tells what came of it. Nothing runs.

use std::collections::{BTreeMap, HashMap};
use std::ffi::CStr;

use ash::{ext, khr, vk};
use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::{Error, Result};

/// What RADV made of a kernel.
#[derive(Clone, Debug)]
pub struct Compiled {
    /// The compiler's figures, by its own names.
    pub statistics: BTreeMap<String, u64>,
    /// Invocations in a wave.
    pub wave: u32,
    /// Machine code as text.
    pub assembly: String,
}

/// A device of one family of GPUs.
pub struct Driver {
    device: ash::Device,
    executables: khr::pipeline_executable_properties::Device,
    /// By number of storage bindings.
    layouts: HashMap<usize, vk::PipelineLayout>,
    /// What the engine would see.
    pub summary: AdapterSummary,
    // Keep the libraries loaded.
    instance: ash::Instance,
    _entry: ash::Entry,
}

/// Why there is no such device, and what helps.
fn missing(family: &str, why: impl std::fmt::Display) -> Error {
    Error::input(format!(
        "no RADV, Mesa's Vulkan driver for AMD, that compiles for {family} ({why}); on Debian and Ubuntu install \
         mesa-vulkan-drivers and libvulkan1; Mesa 25 knows navi31: .ci/newer-mesa.sh starts a command with it"
    ))
}

/// The driver reads this variable when it looks for devices. Where it does not know the family it says so and aborts the process:
/// then the remedy is told on the way out.
fn force(family: &str) {
    // SAFETY: `bench` has started no thread yet that could read variables meanwhile.
    unsafe { std::env::set_var("RADV_FORCE_FAMILY", family) };
    #[cfg(unix)]
    // SAFETY: the handler does nothing but write and end the process, which a handler may do.
    unsafe {
        libc::signal(libc::SIGABRT, aborted as *const () as libc::sighandler_t);
    }
}

#[cfg(unix)]
extern "C" fn aborted(_: libc::c_int) {
    const TEXT: &str =
        "error: this RADV does not know the family; Mesa 25 does: .ci/newer-mesa.sh starts a command with it\n";
    // SAFETY: the text is as long as it says.
    unsafe {
        libc::write(2, TEXT.as_ptr().cast(), TEXT.len());
        libc::_exit(2);
    }
}

/// From here on an abort is one of ours again.
fn found() {
    #[cfg(unix)]
    // SAFETY: it only puts back what was there before.
    unsafe {
        libc::signal(libc::SIGABRT, libc::SIG_DFL);
    }
}

impl Driver {
    /// Opens a device of this family, such as `navi21`.
    ///
    /// # Errors
    /// [`Error::Input`] with the remedy where the driver is missing or does not know the family.
    pub fn open(family: &str) -> Result<Self> {
        force(family);
        // SAFETY: a Vulkan loader is made to be loaded, and lives as long as what is made through it.
        let entry = unsafe { ash::Entry::load() }.map_err(|e| missing(family, e))?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let create = vk::InstanceCreateInfo::default().application_info(&application);
        // SAFETY: the structures live through the call.
        let instance = unsafe { entry.create_instance(&create, None) }.map_err(|e| missing(family, e))?;
        // SAFETY: the instance is alive.
        let all = unsafe { instance.enumerate_physical_devices() };
        found();
        let all = all.map_err(|e| missing(family, e))?;
        let of_radv = |physical: &vk::PhysicalDevice| {
            let mut driver = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut driver);
            // SAFETY: the handle is the instance's, the structures are of the version that was asked for.
            unsafe { instance.get_physical_device_properties2(*physical, &mut properties) };
            driver.driver_id == vk::DriverId::MESA_RADV
        };
        let physical = all.into_iter().find(of_radv).ok_or_else(|| missing(family, "it is not installed"))?;
        Self::of(family, entry, instance, physical)
    }

    fn of(family: &str, entry: ash::Entry, instance: ash::Instance, physical: vk::PhysicalDevice) -> Result<Self> {
        // SAFETY: the handle is the instance's.
        let listed = unsafe { instance.enumerate_device_extension_properties(physical) }.map_err(Error::run)?;
        let has = |name: &CStr| listed.iter().any(|extension| extension.extension_name_as_c_str() == Ok(name));
        if !has(khr::pipeline_executable_properties::NAME) {
            return Err(missing(family, "this one does not tell what it compiled"));
        }
        let wanted = [khr::pipeline_executable_properties::NAME, ext::robustness2::NAME, khr::cooperative_matrix::NAME];
        let names: Vec<_> = wanted.into_iter().filter(|name| has(name)).map(CStr::as_ptr).collect();
        let matrices = has(khr::cooperative_matrix::NAME);

        // All that it can do is turned on, as wgpu does with what kernels use; so are the checks of buffers' bounds in hardware.
        let mut executable = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default();
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default();
        let mut matrix = vk::PhysicalDeviceCooperativeMatrixFeaturesKHR::default();
        let (mut v11, mut v12, mut v13) = (
            vk::PhysicalDeviceVulkan11Features::default(),
            vk::PhysicalDeviceVulkan12Features::default(),
            vk::PhysicalDeviceVulkan13Features::default(),
        );
        let mut features = vk::PhysicalDeviceFeatures2::default()
            .push_next(&mut executable)
            .push_next(&mut v11)
            .push_next(&mut v12)
            .push_next(&mut v13);
        if has(ext::robustness2::NAME) {
            features = features.push_next(&mut robust);
        }
        if matrices {
            features = features.push_next(&mut matrix);
        }
        // SAFETY: the chain lives through the call.
        unsafe { instance.get_physical_device_features2(physical, &mut features) };
        let (int64, priorities) = (features.features.shader_int64 != 0, [1.0]);
        let queues = [vk::DeviceQueueCreateInfo::default().queue_priorities(&priorities)];
        let create = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&names)
            .push_next(&mut features);
        // SAFETY: the chain lives through the call.
        let device = unsafe { instance.create_device(physical, &create, None) }.map_err(|e| missing(family, e))?;
        let executables = khr::pipeline_executable_properties::Device::new(&instance, &device);

        let (mut waves, mut driver) =
            (vk::PhysicalDeviceVulkan13Properties::default(), vk::PhysicalDeviceDriverProperties::default());
        let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut waves).push_next(&mut driver);
        // SAFETY: the chain lives through the call.
        unsafe { instance.get_physical_device_properties2(physical, &mut properties) };
        let (limits, name) = (properties.properties.limits, properties.properties.device_name);
        let text = |of: &[std::ffi::c_char]| {
            let bytes: Vec<u8> = of.iter().map(|&c| c as u8).take_while(|&byte| byte != 0).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let summary = AdapterSummary {
            name: text(&name),
            driver: format!("{} {}", text(&driver.driver_name), text(&driver.driver_info)).trim().to_owned(),
            max_binding_bytes: u64::from(limits.max_storage_buffer_range),
            max_buffer_bytes: u64::from(limits.max_storage_buffer_range),
            workgroup_memory_bytes: limits.max_compute_shared_memory_size,
            max_invocations: limits.max_compute_work_group_invocations,
            subgroup_min: waves.min_subgroup_size,
            subgroup_max: waves.max_subgroup_size,
            subgroup_operations: true,
            int64,
            f16: v12.shader_float16 != 0 && v11.storage_buffer16_bit_access != 0,
            timestamps: true,
            // RADV lists no square form of f16 and f32 but this one.
            cooperative_matrix: (matrices && matrix.cooperative_matrix != 0).then_some(16),
            ..AdapterSummary::weakest()
        };
        Ok(Self { device, executables, layouts: HashMap::new(), summary, instance, _entry: entry })
    }

    /// A layout as wgpu makes it of a kernel's bindings: the uniform block, and so many storage buffers.
    fn layout(&mut self, storage: usize) -> Result<vk::PipelineLayout> {
        if let Some(&layout) = self.layouts.get(&storage) {
            return Ok(layout);
        }
        let binding = |number: usize| {
            let buffer =
                if number == 0 { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
            vk::DescriptorSetLayoutBinding::default()
                .binding(number as u32)
                .descriptor_type(buffer)
                .descriptor_count(1)
                .stage_flags(vk::ShaderStageFlags::COMPUTE)
        };
        let bindings: Vec<_> = (0..=storage).map(binding).collect();
        let set = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
        // SAFETY: the structures live through the calls; the layouts live as long as the process.
        let layout = unsafe {
            let sets = [self.device.create_descriptor_set_layout(&set, None).map_err(Error::run)?];
            let create = vk::PipelineLayoutCreateInfo::default().set_layouts(&sets);
            self.device.create_pipeline_layout(&create, None).map_err(Error::run)?
        };
        self.layouts.insert(storage, layout);
        Ok(layout)
    }

    /// Compiles SPIR-V with the entry point `main`.
    ///
    /// # Errors
    /// [`Error::Run`] if the driver refuses it.
    pub fn compile(&mut self, spirv: &[u32], storage: usize) -> Result<Compiled> {
        let layout = self.layout(storage)?;
        let create = vk::ShaderModuleCreateInfo::default().code(spirv);
        // SAFETY: naga validated the module; what is made here is destroyed here.
        unsafe {
            let module = self.device.create_shader_module(&create, None).map_err(Error::run)?;
            let stage = vk::PipelineShaderStageCreateInfo::default()
                .flags(vk::PipelineShaderStageCreateFlags::ALLOW_VARYING_SUBGROUP_SIZE)
                .stage(vk::ShaderStageFlags::COMPUTE)
                .module(module)
                .name(c"main");
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let create = vk::ComputePipelineCreateInfo::default().flags(flags).stage(stage).layout(layout);
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &[create], None);
            let compiled = made.map_err(|(_, e)| Error::run(e)).and_then(|made| {
                let told = self.told(made[0]);
                self.device.destroy_pipeline(made[0], None);
                told
            });
            self.device.destroy_shader_module(module, None);
            compiled
        }
    }

    /// # Safety
    /// The pipeline must be alive.
    unsafe fn told(&self, pipeline: vk::Pipeline) -> Result<Compiled> {
        let of = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        let info = vk::PipelineInfoKHR::default().pipeline(pipeline);
        // SAFETY: the caller's; a compute pipeline has one executable, number 0.
        let (properties, statistics) = unsafe {
            let properties = self.executables.get_pipeline_executable_properties(&info).map_err(Error::run)?;
            (properties, self.executables.get_pipeline_executable_statistics(&of).map_err(Error::run)?)
        };
        let named = |statistic: &vk::PipelineExecutableStatisticKHR| {
            let name = statistic.name_as_c_str().map(CStr::to_string_lossy).unwrap_or_default().into_owned();
            // SAFETY: all of RADV's are of this format.
            (name, unsafe { statistic.value.u64 })
        };
        // SAFETY: as above.
        let assembly = unsafe { self.assembly(&of)? };
        let wave = properties.first().map_or(64, |executable| executable.subgroup_size);
        Ok(Compiled { statistics: statistics.iter().map(named).collect(), wave, assembly })
    }

    /// # Safety
    /// The pipeline must be alive.
    unsafe fn assembly(&self, of: &vk::PipelineExecutableInfoKHR<'_>) -> Result<String> {
        // ash asks for sizes alone; texts have to be asked for once more.
        // SAFETY: the caller's.
        let mut sizes =
            unsafe { self.executables.get_pipeline_executable_internal_representations(of) }.map_err(Error::run)?;
        let mut texts: Vec<Vec<u8>> = sizes.iter().map(|text| vec![0; text.data_size]).collect();
        for (size, text) in sizes.iter_mut().zip(&mut texts) {
            size.p_data = text.as_mut_ptr().cast();
        }
        let mut count = sizes.len() as u32;
        let ask = self.executables.fp().get_pipeline_executable_internal_representations_khr;
        // SAFETY: each text has as many bytes as the driver asked for.
        unsafe { ask(self.device.handle(), of, &raw mut count, sizes.as_mut_ptr()) }.result().map_err(Error::run)?;
        let named = sizes.iter().zip(texts).find(|(of, _)| of.name_as_c_str() == Ok(c"Assembly"));
        let (_, text) = named.ok_or_else(|| Error::run("RADV gave no machine code"))?;
        Ok(String::from_utf8_lossy(&text).trim_end_matches('\0').to_owned())
    }
}

impl Drop for Driver {
    fn drop(&mut self) {
        // SAFETY: nothing of them is in use, and they are not used again.
        unsafe {
            self.device.destroy_device(None);
            self.instance.destroy_instance(None);
        }
    }
}
