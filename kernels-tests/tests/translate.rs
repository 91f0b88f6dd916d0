//! Every kernel of every row in the language of every back end, and what is taken where a back end cannot have it.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use gatefold_engine::gpu::AdapterSummary;
use gatefold_engine::plan::{Choice, choose};
use gatefold_engine::tape::{Launch, Tape};
use kernels_tests::translate::{Need, Target, translate};
use kernels_tests::{rows, tapes};

fn all_tapes() -> Vec<Tape> {
    rows().iter().flat_map(|row| tapes(row).expect(&row.name)).collect()
}

fn launches(tapes: &[Tape]) -> Vec<(Launch, Vec<u32>)> {
    let of_tape = |tape: &Tape| {
        let halves = |launch: &Launch| {
            let operands = (1..).zip(launch.operands());
            operands.filter(|(_, (tensor, _))| tape.is_half(*tensor)).map(|(number, _)| number).collect()
        };
        tape.launches().iter().map(|launch| (launch.clone(), halves(launch))).collect::<Vec<_>>()
    };
    tapes.iter().flat_map(of_tape).collect()
}

#[test]
fn every_kernel_translates_to_what_every_back_end_compiles() {
    let temporary = tempfile::tempdir().unwrap();
    // `make translate` wants to keep them.
    let kept = std::env::var_os("GATEFOLD_TRANSLATED").map(std::path::PathBuf::from);
    let folder = kept.as_deref().unwrap_or(temporary.path());
    fs::create_dir_all(folder).unwrap();
    let translated = translate(&launches(&all_tapes()), Some(folder)).unwrap();
    let faults = &translated.faults;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    let count = |target| translated.counts[&target];
    // What a back end lacks is the only difference.
    assert!(count(Target::SpirV) > 700 && count(Target::SpirV) == count(Target::Msl), "{:?}", translated.counts);
    for target in [Target::Hlsl51, Target::Hlsl67] {
        let left_out: usize =
            translated.left_out.iter().filter(|((of, _), _)| *of == target).map(|(_, count)| count).sum();
        assert_eq!(count(target) + 2 * left_out, count(Target::SpirV), "{target:?}");
    }
    let lacking: BTreeSet<Need> = translated.left_out.keys().map(|(_, need)| *need).collect();
    assert_eq!(lacking, [Need::F16, Need::Int64, Need::Subgroup, Need::Matrix].into());
    validate(folder);
}

/// A file of each shader through `spirv-val`, where it is installed; `make translate` takes all.
fn validate(folder: &std::path::Path) {
    let version = Command::new("spirv-val").arg("--version").output();
    if !version.is_ok_and(|output| output.status.success()) {
        return;
    }
    let index = fs::read_to_string(folder.join("index.tsv")).unwrap();
    let mut seen = BTreeSet::new();
    for line in index.lines() {
        let fields: Vec<&str> = line.split('\t').collect();
        let shader = fields[1].split([' ', ',']).next().unwrap();
        // Versions of before 2024 know no cooperative matrices.
        if !fields[0].ends_with("c.spv") || fields[3].contains("Matrix") || !seen.insert(shader) {
            continue;
        }
        let output = Command::new("spirv-val").args(["--target-env", "vulkan1.1"]).arg(folder.join(fields[0])).output();
        let output = output.unwrap();
        let text = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        // Newer versions refuse the layout that naga gives arrays in workgroup memory: https://github.com/gfx-rs/wgpu/issues/7696
        assert!(output.status.success() || text.contains("ArrayStride"), "{line}: {text}");
    }
    assert!(seen.len() > 35, "only {} shaders", seen.len());
}

#[test]
fn where_something_is_missing_a_kernel_that_does_without_it_is_taken() {
    let weakest = AdapterSummary::weakest();
    let with_subgroups = AdapterSummary { subgroup_operations: true, ..weakest.clone() };
    let of_eight = AdapterSummary { subgroup_min: 8, subgroup_max: 8, ..with_subgroups.clone() };
    let other_software = AdapterSummary { software: true, ..of_eight.clone() };
    let with_matrices = AdapterSummary { cooperative_matrix: Some(16), f16: true, ..of_eight.clone() };
    let mut found = BTreeSet::new();
    for tape in all_tapes() {
        for launch in tape.launches() {
            for adapter in [&weakest, &with_subgroups, &of_eight, &other_software, &with_matrices] {
                let kernel = choose(&tape, launch, adapter, Choice::Rule).unwrap();
                assert!(kernel.runs_on(adapter), "{}", kernel.variant());
                let needs = kernel.needs;
                assert!(needs.cooperative.is_none_or(|side| adapter.cooperative_matrix == Some(side)));
                assert!(needs.subgroup.is_none() || (adapter.subgroup_operations && adapter.subgroup_max == 8));
                // Kernels for Mesa's software adapter took all of a machine's memory on another one.
                assert!(!adapter.software || needs.software != Some(true), "{}", kernel.variant());
                found.extend(needs.cooperative.map(|_| "matrix"));
                found.extend((adapter.software && needs.workgroup_memory > 0).then_some("tiled"));
            }
        }
    }
    assert_eq!(found, BTreeSet::from(["matrix", "tiled"]));
}
