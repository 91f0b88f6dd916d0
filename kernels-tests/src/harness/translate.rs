//! Kernels as the compilers of each back end get them: naga's SPIR-V for Vulkan, HLSL for DX12, MSL for Metal. Needs no adapter.
//!
//! What a back end cannot have is a list ([`Target::lacks`]); for all else a kernel that does not translate is a fault.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use gatefold_engine::gpu::{Kernel, compose, store_as_half, store_in_pairs};
use gatefold_engine::tape::Launch;
use gatefold_engine::{Error, Result};
use naga::back::{hlsl, msl, pipeline_constants, spv};
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};
use naga::{Module, ShaderStage};

/// What a kernel may need beyond WebGPU's core.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Need {
    F16,
    Int64,
    Subgroup,
    Matrix,
}

/// A language that a kernel is translated to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    SpirV,
    /// Of shader model 5.1: what Windows' own compiler (FXC) takes.
    Hlsl51,
    /// Of shader model 6.7: what `dxcompiler.dll` (DXC) takes.
    Hlsl67,
    Msl,
}

impl Target {
    pub const ALL: [Self; 4] = [Self::SpirV, Self::Hlsl51, Self::Hlsl67, Self::Msl];

    /// What no kernel there can have. Adapters of such a back end do not offer it, so another kernel is taken.
    pub fn lacks(self) -> &'static [Need] {
        match self {
            Self::SpirV | Self::Msl => &[],
            Self::Hlsl51 => &[Need::F16, Need::Int64, Need::Subgroup, Need::Matrix],
            Self::Hlsl67 => &[Need::Matrix],
        }
    }

    /// Of its files.
    pub fn ending(self) -> &'static str {
        match self {
            Self::SpirV => "spv",
            Self::Hlsl51 => "51.hlsl",
            Self::Hlsl67 => "67.hlsl",
            Self::Msl => "metal",
        }
    }
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Translated {
    /// Kernels in each language, checks on and off counted apart.
    pub counts: BTreeMap<Target, usize>,
    /// Kernels that a back end cannot have.
    pub left_out: BTreeMap<(Target, Need), usize>,
    pub faults: Vec<String>,
}

/// Translates each kernel of these launches once, with the checks and without, as it is and with numbers in pairs. The number of each
/// launch's operands that hold halves come with it. With a folder the texts are kept there, beside `index.tsv`.
///
/// # Errors
/// If the folder cannot be written.
pub fn translate(launches: &[(Launch, Vec<u32>)], keep: Option<&Path>) -> Result<Translated> {
    let mut kernels: BTreeMap<_, Kernel> = BTreeMap::new();
    for (launch, halves) in launches {
        // Where all subgroups have one size, kernels with matrices are told.
        let told = launch.kernels.iter().filter(|kernel| kernel.needs.cooperative.is_some());
        let told: Vec<Kernel> = told.map(|kernel| kernel.clone().def("SUBGROUP", 32)).collect();
        for kernel in launch.kernels.iter().chain(&told) {
            for pairs in [false, true] {
                let key = (kernel.shader, kernel.defs.clone(), halves.clone(), pairs);
                kernels.entry(key).or_insert_with(|| kernel.clone());
            }
        }
    }
    let (mut translated, mut index) = (Translated::default(), String::new());
    for (number, ((.., halves, pairs), kernel)) in kernels.iter().enumerate() {
        let mut name = kernel.variant();
        name += if *pairs { ", in pairs" } else { "" };
        let mut needs = vec![];
        needs.extend((!halves.is_empty()).then_some(Need::F16));
        needs.extend(kernel.needs.subgroup.map(|_| Need::Subgroup));
        needs.extend(kernel.needs.cooperative.map(|_| Need::Matrix));
        match module(kernel, halves, *pairs) {
            Ok((module, info, has_pairs)) => {
                needs.extend((*pairs && has_pairs).then_some(Need::Int64));
                for target in Target::ALL {
                    if let Some(need) = target.lacks().iter().find(|need| needs.contains(need)) {
                        *translated.left_out.entry((target, *need)).or_default() += 1;
                        continue;
                    }
                    for checked in [true, false] {
                        match write(target, &module, &info, checked, needs.contains(&Need::Matrix)) {
                            Ok(bytes) => {
                                *translated.counts.entry(target).or_default() += 1;
                                let file = format!("{number:04}{}.{}", if checked { "c" } else { "" }, target.ending());
                                let _ = writeln!(index, "{file}\t{name}\thalves {halves:?}\tneeds {needs:?}");
                                if let Some(folder) = keep {
                                    let path = folder.join(file);
                                    fs::write(&path, bytes)
                                        .map_err(|e| Error::run(format!("{}: {e}", path.display())))?;
                                }
                            }
                            Err(e) => translated.faults.push(format!("{name}, halves {halves:?}, to {target:?}: {e}")),
                        }
                    }
                }
            }
            Err(e) => translated.faults.push(format!("{name}, halves {halves:?}: {e}")),
        }
    }
    if let Some(folder) = keep {
        let path = folder.join("index.tsv");
        fs::write(&path, index).map_err(|e| Error::run(format!("{}: {e}", path.display())))?;
    }
    Ok(translated)
}

/// The module of a kernel with its constants set; whether it moves numbers in pairs.
fn module(kernel: &Kernel, halves: &[u32], pairs: bool) -> Result<(Module, ModuleInfo, bool), String> {
    let mut module = compose(kernel.shader, &kernel.defs).map_err(|e| e.to_string())?;
    store_as_half(&mut module, halves).map_err(|e| e.to_string())?;
    let validate = |module: &Module| {
        let checked = Validator::new(ValidationFlags::all(), Capabilities::all()).validate(module);
        checked.map_err(|e| e.emit_to_string(kernel.shader.source))
    };
    let before = module.types.len();
    if pairs {
        store_in_pairs(&mut module).map_err(|e| e.to_string())?;
    }
    let changed = module.types.len() != before;
    let info = validate(&module)?;
    let constants = kernel.constants.iter().map(|&(name, value)| (name.to_owned(), f64::from(value))).collect();
    let entry = Some((ShaderStage::Compute, "main"));
    let (module, info) =
        pipeline_constants::process_overrides(&module, &info, entry, &constants).map_err(|e| e.to_string())?;
    Ok((module.into_owned(), info.into_owned(), changed))
}

fn write(target: Target, module: &Module, info: &ModuleInfo, checked: bool, matrix: bool) -> Result<Vec<u8>, String> {
    let policy = if checked { BoundsCheckPolicy::Restrict } else { BoundsCheckPolicy::Unchecked };
    let bounds_check_policies = BoundsCheckPolicies {
        index: policy,
        buffer: policy,
        image_load: policy,
        binding_array: BoundsCheckPolicy::Unchecked,
    };
    let main = || (ShaderStage::Compute, "main".to_owned());
    match target {
        Target::SpirV => {
            let options = spv::Options {
                lang_version: if matrix { (1, 6) } else { (1, 3) },
                flags: spv::WriterFlags::empty(),
                bounds_check_policies,
                zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
                force_loop_bounding: checked,
                ..spv::Options::default()
            };
            let (shader_stage, entry_point) = main();
            let entry = spv::PipelineOptions { shader_stage, entry_point };
            let words = spv::write_vec(module, info, &options, Some(&entry)).map_err(|e| e.to_string())?;
            Ok(words.iter().flat_map(|word| word.to_le_bytes()).collect())
        }
        Target::Hlsl51 | Target::Hlsl67 => {
            let model = if target == Target::Hlsl51 { hlsl::ShaderModel::V5_1 } else { hlsl::ShaderModel::V6_7 };
            let options = hlsl::Options {
                shader_model: model,
                zero_initialize_workgroup_memory: false,
                // Where wgpu puts the number of workgroups, which HLSL does not know.
                special_constants_binding: Some(hlsl::BindTarget { space: 1, ..hlsl::BindTarget::default() }),
                restrict_indexing: checked,
                force_loop_bounding: checked,
                ..hlsl::Options::default()
            };
            let mut text = String::new();
            let entry = hlsl::PipelineOptions { entry_point: Some(main()) };
            let written = hlsl::Writer::new(&mut text, &options, &entry).write(module, info, None);
            let names = written.map_err(|e| e.to_string())?.entry_point_names;
            names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
            Ok(text.into_bytes())
        }
        Target::Msl => {
            let options = msl::Options {
                // Of macOS 11 and iOS 14; where cooperative matrices begin.
                lang_version: (2, 3),
                bounds_check_policies,
                // As the engine asks for it on Metal.
                zero_initialize_workgroup_memory: true,
                force_loop_bounding: checked,
                ..msl::Options::default()
            };
            let entry = msl::PipelineOptions { entry_point: Some(main()), ..msl::PipelineOptions::default() };
            let (text, written) = msl::write_string(module, info, &options, &entry).map_err(|e| e.to_string())?;
            written.entry_point_names.into_iter().collect::<Result<Vec<_>, _>>().map_err(|e| e.to_string())?;
            Ok(text.into_bytes())
        }
    }
}
