//! Reads every kernel of `shaders/` in every variant that any row launches: it composes and validates, its bindings, overrides
//! and workgroup are what the op declares, and file, op and reference carry one name. (The root package's `tests/networks/`
//! does the same with what whole networks launch.)

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};

use gatefold_engine::gpu::{Gpu, GpuOptions};
use gatefold_engine::tape::Launch;
use kernels_tests::{OPS, Row, RowKind, Runner, rows, shaders, tapes};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every launch of every row, in every placement. Rows that run themselves are run for it.
static LAUNCHES: LazyLock<Vec<Launch>> = LazyLock::new(|| {
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).expect("an adapter to test on"));
    let launches = |row: &Row| match &row.kind {
        RowKind::Op { .. } => {
            let tapes = tapes(row).unwrap_or_else(|e| panic!("{}, {}: {e}", row.op, row.name));
            tapes.iter().flat_map(|tape| tape.launches().to_vec()).collect()
        }
        RowKind::Custom(run) => {
            let runner = Runner::new(&gpu, 0);
            run(&runner).unwrap_or_else(|e| panic!("{}, {}: {e}", row.op, row.name));
            runner.launches()
        }
    };
    rows().iter().flat_map(launches).collect()
});

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

/// An op's file has a public function of its name; other files of the folder help ops, and folders hold what an op is made of.
fn ops() -> BTreeSet<String> {
    let sources = fs::read_dir(root().join("src/engine/src/ops")).unwrap().map(|entry| entry.unwrap().path());
    let ops = sources.filter(|path| path.is_file()).filter_map(|path| {
        let name = path.file_stem()?.to_str()?.to_owned();
        fs::read_to_string(&path).unwrap().contains(&format!("pub fn {name}(")).then_some(name)
    });
    ops.collect()
}

/// What the tape itself launches: to set values, and to copy them.
fn primitives() -> BTreeSet<String> {
    let source = fs::read_to_string(root().join("src/engine/src/tape/primitives.rs")).unwrap();
    let named = source.split("Launch::new(\"").skip(1).filter_map(|rest| rest.split('"').next());
    named.map(ToOwned::to_owned).collect()
}

#[test]
fn every_file_is_launched() {
    let kernels = || LAUNCHES.iter().flat_map(|launch| &launch.kernels);
    let used: BTreeSet<&str> = kernels().map(|kernel| kernel.shader.path).collect();
    let files = files();
    let idle: Vec<_> =
        files.iter().filter(|path| !path.starts_with("shared/") && !used.contains(path.as_str())).collect();
    assert!(idle.is_empty(), "no row launches {idle:?}");
    assert!(used.iter().all(|path| files.contains(*path)));
    // What is shared is used too.
    let sources: String =
        kernels().map(|kernel| kernel.shader).collect::<BTreeSet<_>>().iter().map(|s| s.source).collect();
    for path in files.iter().filter_map(|path| path.strip_prefix("shared/")) {
        let import = format!("#import gatefold::{}", path.trim_end_matches(".wgsl"));
        assert!(sources.contains(&import), "no kernel imports shared/{path}");
    }
}

#[test]
fn file_op_and_reference_carry_one_name() {
    let known: BTreeSet<String> = ops().union(&primitives()).cloned().collect();
    let with_reference: BTreeSet<String> = OPS.iter().map(|op| (*op).to_owned()).collect();
    assert_eq!(known, with_reference, "ops and primitives of the engine, and references in kernels-tests/src/");
    for op in OPS {
        assert!(root().join(format!("kernels-tests/src/{op}.rs")).is_file(), "{op} has no file of its reference");
    }
    for launch in LAUNCHES.iter() {
        assert!(OPS.contains(&launch.op), "{} is of no op that has a reference", launch.label());
    }
    for name in files().iter().map(|path| name_of(path)).filter(|&name| name != "shared") {
        assert!(
            known.contains(name),
            "shaders/{name} has no src/engine/src/ops/{name}.rs and is no primitive of the tape"
        );
    }
}

#[test]
fn every_variant_is_valid_and_bound_as_its_op_declares() {
    let (variants, faults) = shaders::faults(&LAUNCHES);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(variants >= files().len() / 2, "only {variants} variants");
}

/// Software adapters run this form.
#[test]
fn every_kernel_that_moves_pairs_is_valid() {
    let (changed, faults) = shaders::faults_in_pairs(&LAUNCHES);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let (variants, _) = shaders::faults(&LAUNCHES);
    assert!(changed > variants / 2, "only {changed} of {variants} kernels");
}

#[test]
fn every_kernel_with_halves_is_valid() {
    let tapes: Vec<_> = rows().iter().flat_map(|row| tapes(row).expect(&row.name)).collect();
    let (kernels, faults) = shaders::faults_with_halves(&tapes);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(kernels > 40, "only {kernels} kernels");
}

/// A kernel that does not import the epilogue would leave it out without a word.
#[test]
fn every_kernel_with_an_epilogue_imports_it() {
    let (files, without) = shaders::without_epilogue(&LAUNCHES);
    assert!(files >= 6, "only {files} files");
    assert!(without.is_empty(), "{without:?}");
}

#[test]
fn the_last_kernel_of_every_launch_runs_everywhere() {
    let faults = shaders::without_plain_kernel(&LAUNCHES);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn convolutions_have_kernels_for_matrices_of_both_sides() {
    let mut found = BTreeSet::new();
    for kernel in LAUNCHES.iter().flat_map(|launch| &launch.kernels) {
        found.extend(kernel.needs.cooperative.map(|side| (kernel.shader.path, side)));
    }
    let passes = ["conv2d/forward_matrix.wgsl", "conv2d/grad_input_matrix.wgsl", "conv2d/grad_weight_matrix.wgsl"];
    assert_eq!(found, passes.into_iter().flat_map(|path| [(path, 8), (path, 16)]).collect());
}
