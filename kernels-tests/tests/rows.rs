//! Every row of every op, on this machine's adapter: with the driver-side checks on, and as programs run the kernels.

use std::sync::Arc;

use gatefold_engine::gpu::{Gpu, GpuOptions};
use kernels_tests::{OPS, Verdict, check, rows};

#[test]
fn every_kernel_agrees_with_its_reference() {
    all_agree(true);
}

#[test]
fn every_kernel_agrees_with_its_reference_without_checks() {
    all_agree(false);
}

fn all_agree(checked: bool) {
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked }).expect("an adapter to test on"));
    let (mut cases, mut failures) = (0, vec![]);
    for row in rows().iter().filter(|row| !row.bench) {
        cases += 1;
        match check(&gpu, row) {
            Ok(finding) if finding.verdict == Verdict::Pass => {}
            Ok(finding) => failures.push(format!(
                "{}, {}: {} is off by {:.2e}, allowed {:.0e}",
                finding.op, finding.name, finding.worst.what, finding.worst.error, finding.tolerance
            )),
            Err(e) => failures.push(format!("{}, {}: {e}", row.op, row.name)),
        }
    }
    let (adapter, failed) = (&gpu.adapter().name, failures.len());
    assert!(failures.is_empty(), "{failed} of {cases} cases failed on {adapter}:\n{}", failures.join("\n"));
}

#[test]
fn every_op_has_rows_with_names_of_their_own() {
    let rows = rows();
    for op in OPS {
        let mut names: Vec<_> = rows.iter().filter(|row| row.op == *op).map(|row| &row.name).collect();
        assert!(rows.iter().any(|row| row.op == *op && !row.bench), "{op} has no row to test");
        names.sort_unstable();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]), "{op} has two rows of one name: {names:?}");
    }
    assert!(rows.iter().all(|row| OPS.contains(&row.op)));
}
