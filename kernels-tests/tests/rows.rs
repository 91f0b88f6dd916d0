//! Every row of every op, on this machine's adapter, as programs run the kernels; and every kernel with the driver-side checks on.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::thread;

use gatefold_engine::gpu::{AdapterSummary, Gpu, GpuOptions};
use kernels_tests::{Coverage, EXEMPTIONS, Finding, OPS, Reference, State, Trait, Verdict, check, rows};

/// An adapter, with or without checks, and what rows found there.
struct Checked {
    adapter: AdapterSummary,
    findings: Vec<Finding>,
}

impl Checked {
    /// Of the rows that are `wanted`. Each thread takes the next one, and has a device of its own: drivers may compile a kernel where it
    /// first runs, on the one thread that does a device's work.
    fn of(checked: bool, wanted: impl Fn(usize) -> bool) -> Self {
        let rows = || rows().into_iter().filter(|row| !row.bench).collect::<Vec<_>>();
        let wanted: Vec<usize> = (0..rows().len()).filter(|&number| wanted(number)).collect();
        let next = AtomicUsize::new(0);
        let share = || {
            let rows = rows();
            let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked }).expect("an adapter to test on"));
            let mut findings = vec![];
            while let Some(&number) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                let row = &rows[number];
                let finding = check(&gpu, &Reference::new(row));
                findings.push((number, finding.unwrap_or_else(|e| panic!("{}, {}: {e}", row.op, row.name))));
            }
            (gpu.adapter().clone(), findings)
        };
        let shares: Vec<_> = thread::scope(|scope| {
            let threads = thread::available_parallelism().map_or(1, usize::from).min(4);
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
            threads.into_iter().map(|thread| thread.join().expect("what a thread says of its row is printed")).collect()
        });
        let adapter = shares[0].0.clone();
        let mut findings: Vec<_> = shares.into_iter().flat_map(|(_, findings)| findings).collect();
        findings.sort_by_key(|&(number, _)| number);
        Self { adapter, findings: findings.into_iter().map(|(_, finding)| finding).collect() }
    }
}

/// Every row, as programs run the kernels.
static PLAIN: LazyLock<Checked> = LazyLock::new(|| Checked::of(false, |_| true));

/// With the driver-side checks a kernel is the same but for its bounds, which it meets at odd sizes: so each kernel once, at an odd
/// size where a row has one.
static GUARDED: LazyLock<Checked> = LazyLock::new(|| {
    let met: BTreeSet<_> = PLAIN.findings.iter().flat_map(Finding::kernels).collect();
    let mut missing = met.clone();
    missing.retain(|(kernel, odd)| *odd || !met.contains(&(kernel.clone(), true)));
    let shows_more = |finding: &Finding| {
        let (before, shown) = (missing.len(), finding.kernels());
        missing.retain(|kernel| !shown.contains(kernel));
        missing.len() < before
    };
    let wanted: Vec<bool> = PLAIN.findings.iter().map(shows_more).collect();
    Checked::of(true, |number| wanted[number])
});

#[test]
fn every_kernel_agrees_with_its_reference() {
    all_agree(&PLAIN);
}

#[test]
fn every_kernel_agrees_with_its_reference_with_the_checks_of_drivers() {
    let kernels = |of: &Checked| of.findings.iter().flat_map(Finding::kernels).map(|(kernel, _)| kernel).collect();
    let [guarded, plain]: [BTreeSet<_>; 2] = [&GUARDED, &PLAIN].map(|of| kernels(of));
    assert_eq!(guarded, plain);
    assert!(GUARDED.findings.len() < PLAIN.findings.len());
    all_agree(&GUARDED);
}

fn all_agree(Checked { adapter, findings }: &Checked) {
    let failed = findings.iter().filter(|finding| finding.verdict() == Verdict::Failed);
    let lines: Vec<_> = failed
        .map(|finding| {
            let (worst, tolerance) = (finding.worst(), finding.tolerance);
            let (op, name) = (finding.op, &finding.name);
            format!("{op}, {name}: {} is off by {:.2e}, allowed {tolerance:.0e}", worst.what, worst.error)
        })
        .collect();
    let (adapter, failed, cases) = (&adapter.name, lines.len(), findings.len());
    assert!(lines.is_empty(), "{failed} of {cases} cases failed on {adapter}:\n{}", lines.join("\n"));
}

/// An op without a row for a trait either gets one, or a line with a reason among the exemptions.
#[test]
fn every_op_has_rows_for_every_trait_that_applies_to_it() {
    let Checked { adapter, findings } = &*PLAIN;
    let coverage = Coverage::of(findings, adapter);
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
