//! Reads every kernel of `shaders/` in every variant that any op launches: it composes and validates, its bindings,
//! overrides and workgroup are what the op declares, and file, op and reference carry one name.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use gatefold_engine::gpu::{Kernel, Shader, compose, store_as_half, store_in_pairs};
use gatefold::nets::NETS;
use gatefold_engine::tape::{Access, Launch};
use gatefold::train::model::{Taps, recorded};
use gatefold::train::step::TrainingStep;
use gatefold::train::{Config, Precision};
use kernels_tests::{OPS, collect_kernels, rows};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, Module, Scalar, StorageAccess, TypeInner, VectorSize};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every launch that a row records, and those of whole training steps: rows of ops that work in place run themselves and
/// show no tape.
fn launches() -> Vec<Launch> {
    let mut launches: Vec<Launch> = rows().iter().flat_map(|row| collect_kernels(row).expect(&row.name)).collect();
    for (net, classes) in NETS.iter().flat_map(|net| [(net, 2), (net, 5)]) {
        // What the options of fine-tuning add comes with one of the two.
        let (accumulate, clip) = if classes == 2 { (1, None) } else { (2, Some(1.0)) };
        let config =
            Config { net: net.name.into(), size: net.smallest, batch: 2, accumulate, clip, ..Config::default() };
        let step = TrainingStep::record(&config, &config.net_config(classes), config.batch).expect(net.name);
        launches.extend(step.tape.launches().to_vec());
        let header = (config.mean, config.deviation);
        let inference = recorded(&config.net_config(classes), config.size, header, 2, Taps::None).expect(net.name);
        launches.extend(inference.tape.launches().to_vec());
    }
    launches
}

/// Paths below `shaders/` with forward slashes.
fn files() -> BTreeSet<String> {
    fn walk(folder: &Path, prefix: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = format!("{prefix}{}", path.file_name().unwrap().to_str().unwrap());
            if path.is_dir() {
                walk(&path, &format!("{name}/"), found);
            } else {
                assert!(name.ends_with(".wgsl"), "shaders/{name} is no WGSL file");
                found.insert(name);
            }
        }
    }
    let mut found = BTreeSet::new();
    walk(&root().join("shaders"), "", &mut found);
    found
}

/// `conv2d` of `conv2d/grad_bias.wgsl`, `relu` of `relu.wgsl`.
fn name_of(path: &str) -> &str {
    path.split('/').next().unwrap_or(path).trim_end_matches(".wgsl")
}

/// An op's file has a public function of its name; other files of `src/ops/` help ops, and folders hold what an op is made of.
fn ops() -> BTreeSet<String> {
    let sources = fs::read_dir(root().join("src/ops")).unwrap().map(|entry| entry.unwrap().path());
    let ops = sources.filter(|path| path.is_file()).filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        fs::read_to_string(&path).unwrap().contains(&format!("pub fn {name}(")).then_some(name)
    });
    ops.collect()
}

#[test]
fn every_file_is_launched() {
    let launches = launches();
    let used: BTreeSet<&str> = launches.iter().flat_map(|l| &l.kernels).map(|kernel| kernel.shader.path).collect();
    let files = files();
    let idle: Vec<_> =
        files.iter().filter(|path| !path.starts_with("shared/") && !used.contains(path.as_str())).collect();
    assert!(idle.is_empty(), "no row and no network launches {idle:?}");
    assert!(used.iter().all(|path| files.contains(*path)));
    // What is shared is used too.
    let sources: String = launches.iter().flat_map(|l| &l.kernels).map(|kernel| kernel.shader.source).collect();
    for path in files.iter().filter_map(|path| path.strip_prefix("shared/")) {
        let import = format!("#import gatefold::{}", path.trim_end_matches(".wgsl"));
        assert!(sources.contains(&import), "no kernel imports shared/{path}");
    }
}

#[test]
fn file_op_and_reference_carry_one_name() {
    let (ops, launches) = (ops(), launches());
    let with_reference: BTreeSet<String> = OPS.iter().map(|op| (*op).to_owned()).collect();
    assert_eq!(ops, with_reference, "ops in src/ops/ and references in kernels-tests/src/");
    for op in OPS {
        assert!(root().join(format!("kernels-tests/src/{op}.rs")).is_file(), "{op} has no file of its reference");
    }
    for launch in &launches {
        assert!(OPS.contains(&launch.op), "{} is of no op that has a reference", launch.label());
    }
    for name in files().iter().map(|path| name_of(path)).filter(|&name| name != "shared") {
        assert!(root().join(format!("src/ops/{name}.rs")).is_file(), "shaders/{name} has no src/ops/{name}.rs");
        assert!(OPS.contains(&name), "shaders/{name} has no reference and no rows");
    }
}

/// A kernel's file and definitions: one module each.
type Variant = (Shader, Vec<(&'static str, u32)>);

#[test]
fn every_variant_is_valid_and_bound_as_its_op_declares() {
    let launches = launches();
    let mut variants: BTreeMap<Variant, Vec<(&Launch, &Kernel)>> = BTreeMap::new();
    for launch in &launches {
        for kernel in &launch.kernels {
            variants.entry((kernel.shader, kernel.defs.clone())).or_default().push((launch, kernel));
        }
    }
    let mut faults = BTreeSet::new();
    for ((shader, defs), users) in &variants {
        let name = users[0].1.variant();
        let module = match compose(*shader, defs) {
            Ok(module) => module,
            Err(e) => {
                faults.insert(format!("{name}: {e}"));
                continue;
            }
        };
        // No capability beyond WebGPU's core but what it says it needs: such a kernel runs on every adapter.
        if let Err(e) = Validator::new(ValidationFlags::all(), capabilities(users[0].1)).validate(&module) {
            faults.insert(format!("{name}: {}", e.emit_to_string(shader.source)));
        }
        faults.extend(module_faults(&module).into_iter().map(|fault| format!("{name}: {fault}")));
        for (launch, kernel) in users {
            let of_launch = binding_faults(&module, launch, kernel).into_iter().chain(kernel_faults(&module, kernel));
            faults.extend(of_launch.map(|fault| format!("{name} in {}: {fault}", launch.label())));
        }
    }
    let all: Vec<_> = faults.into_iter().collect();
    assert!(all.is_empty(), "{} faults:\n{}", all.len(), all.join("\n"));
    assert!(variants.len() >= files().len() / 2, "only {} variants", variants.len());
}

/// Software adapters run this form.
#[test]
fn every_kernel_that_moves_pairs_is_valid() {
    let launches = launches();
    let kernels = launches.iter().flat_map(|launch| &launch.kernels);
    let variants: BTreeMap<_, _> = kernels.map(|kernel| ((kernel.shader, &kernel.defs), kernel)).collect();
    let mut changed = 0;
    for ((shader, defs), kernel) in &variants {
        let mut module = compose(*shader, defs).expect(shader.path);
        store_in_pairs(&mut module).expect(shader.path);
        let pairs = TypeInner::Vector { size: VectorSize::Bi, scalar: Scalar::U64 };
        changed += usize::from(module.types.iter().any(|(_, ty)| ty.inner == pairs));
        let checked =
            Validator::new(ValidationFlags::all(), capabilities(kernel) | Capabilities::SHADER_INT64).validate(&module);
        assert!(checked.is_ok(), "{}: {}", kernel.variant(), checked.unwrap_err().emit_to_string(shader.source));
    }
    assert!(changed > variants.len() / 2, "only {changed} of {} kernels", variants.len());
}

#[test]
fn every_kernel_of_a_step_in_mixed_precision_is_valid() {
    let mut seen = BTreeSet::new();
    for net in NETS {
        let precision = Precision::Mixed;
        let config = Config { net: net.name.into(), size: net.smallest, batch: 2, precision, ..Config::default() };
        let tape = TrainingStep::record(&config, &config.net_config(5), config.batch).expect(net.name).tape;
        for launch in tape.launches() {
            let operands = (1..).zip(launch.operands());
            let halves: Vec<u32> = operands.filter(|(_, (t, _))| tape.is_half(*t)).map(|(number, _)| number).collect();
            for kernel in &launch.kernels {
                if halves.is_empty() || !seen.insert((kernel.shader, kernel.defs.clone(), halves.clone())) {
                    continue;
                }
                let name = format!("{} with halves at {halves:?}", kernel.variant());
                let mut module = compose(kernel.shader, &kernel.defs).expect(&name);
                store_as_half(&mut module, &halves).expect(&name);
                // Nothing but 16-bit numbers is asked for besides.
                let capabilities = capabilities(kernel) | Capabilities::SHADER_FLOAT16;
                let checked = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
                assert!(checked.is_ok(), "{name}: {}", checked.unwrap_err().emit_to_string(kernel.shader.source));
                let faults = binding_faults(&module, launch, kernel);
                assert!(faults.is_empty(), "{name}: {faults:?}");
                // Software adapters move the rest in pairs.
                store_in_pairs(&mut module).expect(&name);
                let capabilities = capabilities | Capabilities::SHADER_INT64;
                let checked = Validator::new(ValidationFlags::all(), capabilities).validate(&module);
                assert!(
                    checked.is_ok(),
                    "{name}, in pairs: {}",
                    checked.unwrap_err().emit_to_string(kernel.shader.source)
                );
            }
        }
    }
    assert!(seen.len() > 40, "only {} kernels", seen.len());
}

/// What the adapter must have for a kernel beyond WebGPU's core.
fn capabilities(kernel: &Kernel) -> Capabilities {
    let matrices = Capabilities::COOPERATIVE_MATRIX | Capabilities::SHADER_FLOAT16 | Capabilities::SUBGROUP;
    let of_matrices = kernel.needs.cooperative.map_or(Capabilities::empty(), |_| matrices);
    of_matrices | kernel.needs.subgroup.map_or(Capabilities::empty(), |_| Capabilities::SUBGROUP)
}

/// A kernel that does not import the epilogue would leave it out without a word.
#[test]
fn every_kernel_with_an_epilogue_imports_it() {
    let launches = launches();
    let kernels = launches.iter().flat_map(|launch| &launch.kernels);
    let with_epilogue: BTreeSet<_> = kernels
        .filter(|kernel| kernel.defs.iter().any(|(name, _)| name.starts_with("THEN_")))
        .map(|k| k.shader)
        .collect();
    assert!(with_epilogue.len() >= 6, "only {} files", with_epilogue.len());
    for shader in with_epilogue {
        let source = shader.source;
        assert!(source.contains("#import gatefold::epilogue") && source.contains("epilogue::end_"), "{}", shader.path);
    }
}

#[test]
fn convolutions_have_kernels_for_matrices_of_both_sides() {
    let mut found = BTreeSet::new();
    for kernel in launches().iter().flat_map(|launch| &launch.kernels) {
        found.extend(kernel.needs.cooperative.map(|side| (kernel.shader.path, side)));
    }
    let passes = ["conv2d/forward_matrix.wgsl", "conv2d/grad_input_matrix.wgsl", "conv2d/grad_weight_matrix.wgsl"];
    assert_eq!(found, passes.into_iter().flat_map(|path| [(path, 8), (path, 16)]).collect());
}

/// One compute entry point called `main`, and no atomics on floats, whose order of addition would change from run to run.
fn module_faults(module: &Module) -> Vec<String> {
    let mut faults = vec![];
    let entries: Vec<_> = module.entry_points.iter().map(|entry| (entry.name.as_str(), entry.stage)).collect();
    if entries != [("main", naga::ShaderStage::Compute)] {
        faults.push(format!("entry points {entries:?} instead of one compute `main`"));
    }
    for (_, ty) in module.types.iter() {
        if let TypeInner::Atomic(scalar) = ty.inner
            && scalar.kind == naga::ScalarKind::Float
        {
            faults.push("a float atomic".to_owned());
        }
    }
    faults
}

/// Group 0 only: the uniform block at 0, then the operands in their order, read or written as the launch says.
fn binding_faults(module: &Module, launch: &Launch, kernel: &Kernel) -> Vec<String> {
    let mut faults = vec![];
    let mut found: BTreeMap<u32, AddressSpace> = BTreeMap::new();
    for (_, variable) in module.global_variables.iter() {
        let Some(binding) = &variable.binding else { continue };
        if binding.group != 0 || found.insert(binding.binding, variable.space).is_some() {
            faults.push(format!("group {} binding {}: another group, or twice", binding.group, binding.binding));
        }
        if binding.binding == 0 {
            let size = module.types[variable.ty].inner.size(module.to_ctx()) as usize;
            let block = 4 * launch.block_words();
            if size != block {
                faults.push(format!("the uniform block has {size} bytes, the launch fills {block}"));
            }
        }
    }
    let read = AddressSpace::Storage { access: StorageAccess::LOAD };
    let written = AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE };
    let operands = launch.operands_of(kernel).iter().map(|(_, access)| match access {
        Access::Read => read,
        Access::Write => written,
    });
    let declared: BTreeMap<u32, AddressSpace> =
        (0..).zip(std::iter::once(AddressSpace::Uniform).chain(operands)).collect();
    if found != declared {
        faults.push(format!("bindings are {found:?}, declared {declared:?}"));
    }
    faults
}

/// Every workgroup-memory use within what each adapter has unless the kernel says that it needs more.
const EVERYWHERE: u32 = 16 << 10;

fn kernel_faults(module: &Module, kernel: &Kernel) -> Vec<String> {
    let mut faults = vec![];
    let overrides: BTreeMap<&str, &naga::Override> =
        module.overrides.iter().filter_map(|(_, o)| Some((o.name.as_deref()?, o))).collect();
    let mut names = BTreeSet::new();
    for &(name, value) in &kernel.constants {
        if !names.insert(name) {
            faults.push(format!("{name} is set twice"));
        }
        match overrides.get(name).map(|o| module.types[o.ty].inner.scalar_kind()) {
            None => faults.push(format!("there is no override {name}")),
            Some(Some(naga::ScalarKind::Bool)) if !(0..=1).contains(&value) => {
                faults.push(format!("{name} = {value} for a bool"));
            }
            Some(Some(naga::ScalarKind::Uint)) if value < 0 => faults.push(format!("{name} = {value} for a u32")),
            Some(_) => {}
        }
    }
    for name in overrides.iter().filter(|(name, o)| o.init.is_none() && !names.contains(*name)).map(|(name, _)| name) {
        faults.push(format!("the override {name} has no default and is not set"));
    }
    let invocations: u32 = module.entry_points.iter().map(|entry| entry.workgroup_size.iter().product::<u32>()).sum();
    if invocations != kernel.needs.invocations {
        faults.push(format!("{invocations} invocations, declared {}", kernel.needs.invocations));
    }
    let shared = module.global_variables.iter().filter(|(_, v)| v.space == AddressSpace::WorkGroup);
    let memory: u32 = shared.map(|(_, v)| module.types[v.ty].inner.size(module.to_ctx())).sum();
    if memory > kernel.needs.workgroup_memory.max(EVERYWHERE) {
        faults.push(format!("{memory} bytes of workgroup memory, declared {}", kernel.needs.workgroup_memory));
    }
    faults
}

#[test]
fn the_last_kernel_of_every_launch_runs_everywhere() {
    for launch in launches() {
        let last = launch.kernels.last().expect("a launch has a kernel");
        let needs = last.needs;
        assert!(
            !needs.aligned
                && needs.cooperative.is_none()
                && needs.subgroup.is_none()
                && needs.workgroup_memory <= EVERYWHERE
                && needs.invocations <= 256,
            "{}: {} needs {needs:?}",
            launch.label(),
            last.variant()
        );
    }
}
