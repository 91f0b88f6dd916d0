//! Single kernels: the rows of `kernels-tests` that are marked for the bench.

use clap::Args;
use gatefold::gpu::BufferPool;
use gatefold::params::ParameterStore;
use gatefold::plan::{Choice, Plan, admissible, trains};
use gatefold::{Error, Result};
use kernels_tests::{Row, RowKind};
use serde::Serialize;

use crate::{Common, json};

/// Time single kernels, forward and backward
#[derive(Args)]
pub struct Arguments {
    /// Only this op
    #[arg(long)]
    op: Option<String>,
    /// Every kernel that runs here, not just the one that training would take
    #[arg(long)]
    all: bool,
    /// Timed runs of each kernel, of which the median counts
    #[arg(long, default_value_t = 9)]
    repeats: usize,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Timing {
    op: String,
    pass: String,
    shape: String,
    variant: String,
    median_ms: f64,
    /// 0 for kernels that only move numbers.
    gflops: f64,
    /// Every operand once.
    gbytes_per_s: f64,
    /// Not measured yet.
    roofline_share: Option<f64>,
    clock: String,
}

pub fn run(arguments: &Arguments) -> Result<()> {
    let wanted = |row: &Row| row.bench && arguments.op.as_deref().is_none_or(|op| op == row.op);
    let rows: Vec<Row> = kernels_tests::rows().into_iter().filter(wanted).collect();
    if rows.is_empty() {
        let known = kernels_tests::OPS.join(", ");
        return Err(Error::input(format!("--op: nothing to time; the ops are: {known}")));
    }
    let gpu = arguments.common.open()?;
    let mut timings: Vec<Timing> = vec![];
    for row in &rows {
        let tape = match &row.kind {
            RowKind::Op { .. } => kernels_tests::record_row(row)?,
            RowKind::Custom(_) => continue,
        };
        let store = ParameterStore::new(&gpu, tape.spec(), trains(&tape))?;
        let most =
            tape.launches().iter().map(|launch| admissible(&tape, launch, gpu.adapter()).len()).max().unwrap_or(1);
        let choices =
            if arguments.all { (0..most).map(Choice::Number).collect::<Vec<_>>() } else { vec![Choice::Rule] };
        for choice in choices {
            let mut plan = Plan::with_choice(&gpu, &tape, &store, &BufferPool::default(), choice)?;
            kernels_tests::fill_inputs(row, &plan)?;
            plan.run()?;
            // The copy that brings the upstream gradient in is the harness, not the op.
            let of_row = |op: &str| op != "concat" || row.op == "concat";
            for time in plan.profile(arguments.repeats)?.into_iter().filter(|t| of_row(t.op)) {
                let seconds = time.median.as_secs_f64().max(1e-9);
                let timing = Timing {
                    op: row.op.to_owned(),
                    pass: time.pass.to_owned(),
                    shape: row.name.clone(),
                    variant: time.variant,
                    median_ms: seconds * 1e3,
                    gflops: time.flops as f64 / seconds / 1e9,
                    gbytes_per_s: time.bytes as f64 / seconds / 1e9,
                    roofline_share: None,
                    clock: format!("{:?}", time.clock),
                };
                let known = timings.iter().any(|t| {
                    (&t.op, &t.pass, &t.shape, &t.variant) == (&timing.op, &timing.pass, &timing.shape, &timing.variant)
                });
                if !known {
                    show(&timing, arguments.common.json);
                    timings.push(timing);
                }
            }
        }
    }
    if arguments.common.json { json(&timings) } else { Ok(()) }
}

fn show(timing: &Timing, as_json: bool) {
    if !as_json {
        let Timing { op, pass, shape, variant, median_ms, gflops, gbytes_per_s, .. } = timing;
        println!(
            "{op:<22} {pass:<12} {shape:<26} {variant:<36} {median_ms:>9.3} ms {gflops:>8.1} GFLOP/s {gbytes_per_s:>7.2} GB/s"
        );
    }
}
