//! Every row of every op, on this machine's adapter: with the driver-side checks on, and as programs run the kernels.

use std::sync::{Arc, LazyLock};
use std::thread;

use gatefold_engine::gpu::{Gpu, GpuOptions};
use kernels_tests::{Coverage, EXEMPTIONS, Finding, OPS, Reference, State, Trait, Verdict, check, rows};

/// An adapter, with and without checks, and what every row found there.
struct Checked {
    gpu: Arc<Gpu>,
    findings: Vec<Finding>,
}

/// On both, for all tests that look at them. Drivers compile a kernel on one core, so several threads share the rows.
static BOTH: LazyLock<[Checked; 2]> = LazyLock::new(|| {
    let gpus = [true, false]
        .map(|checked| Arc::new(Gpu::open(&GpuOptions { adapter: None, checked }).expect("an adapter to test on")));
    let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
    let share = |thread: usize| {
        let rows = rows().into_iter().filter(|row| !row.bench).skip(thread).step_by(threads);
        let both = rows.map(|row| {
            let reference = Reference::new(&row);
            gpus.each_ref()
                .map(|gpu| check(gpu, &reference).unwrap_or_else(|e| panic!("{}, {}: {e}", row.op, row.name)))
        });
        both.collect::<Vec<_>>()
    };
    let mut shares: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || share(thread).into_iter())).collect();
        threads.into_iter().map(|thread| thread.join().expect("what a thread says of its row is printed")).collect()
    });
    let mut findings = [vec![], vec![]];
    // In the order of the rows again.
    for thread in (0..threads).cycle() {
        let Some([checked, unchecked]) = shares[thread].next() else { break };
        findings[0].push(checked);
        findings[1].push(unchecked);
    }
    let mut findings = findings.into_iter();
    gpus.map(|gpu| Checked { gpu, findings: findings.next().unwrap_or_default() })
});

#[test]
fn every_kernel_agrees_with_its_reference() {
    all_agree(&BOTH[0]);
}

#[test]
fn every_kernel_agrees_with_its_reference_without_checks() {
    all_agree(&BOTH[1]);
}

fn all_agree(Checked { gpu, findings }: &Checked) {
    let failed = findings.iter().filter(|finding| finding.verdict() == Verdict::Failed);
    let lines: Vec<_> = failed
        .map(|finding| {
            let (worst, tolerance) = (finding.worst(), finding.tolerance);
            let (op, name) = (finding.op, &finding.name);
            format!("{op}, {name}: {} is off by {:.2e}, allowed {tolerance:.0e}", worst.what, worst.error)
        })
        .collect();
    let (adapter, failed, cases) = (&gpu.adapter().name, lines.len(), findings.len());
    assert!(lines.is_empty(), "{failed} of {cases} cases failed on {adapter}:\n{}", lines.join("\n"));
}

/// An op without a row for a trait either gets one, or a line with a reason among the exemptions.
#[test]
fn every_op_has_rows_for_every_trait_that_applies_to_it() {
    let Checked { gpu, findings } = &BOTH[0];
    let coverage = Coverage::of(findings, gpu.adapter());
    assert_eq!(coverage.iter().map(|coverage| coverage.op).collect::<Vec<_>>(), OPS);
    let mut faults = vec![];
    for Coverage { op, traits, .. } in &coverage {
        assert_eq!(traits.len(), Trait::ALL.len());
        for (of, state) in traits {
            if let State::No { missing } = state {
                faults.push(format!("{op} has no row for {of} {missing:?}"));
            }
            let exempt = EXEMPTIONS.iter().any(|exemption| (exemption.op, exemption.of) == (*op, *of));
            if exempt && !matches!(state, State::NotApplicable { .. }) {
                faults.push(format!("{op} is exempt from {of} and needs not be"));
            }
        }
    }
    for exemption in EXEMPTIONS {
        assert!(OPS.contains(&exemption.op) && !exemption.reason.is_empty(), "{}", exemption.op);
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
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
