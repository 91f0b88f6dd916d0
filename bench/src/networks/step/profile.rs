//! Where a step's time goes: each launch timed by itself.

use std::collections::BTreeMap;

use gatefold_engine::Result;
use gatefold_engine::plan::Plan;
use serde::Serialize;

use crate::networks::traffic::{self, Traffic};
use crate::roofline::Ceilings;

/// Time by kind of launch, and the most expensive launches, longest first.
#[derive(Serialize)]
pub struct Profile {
    ceilings: Ceilings,
    /// All launches together.
    total_ms: f64,
    kinds: Vec<Kind>,
    /// By kind of launch.
    traffic: BTreeMap<String, Traffic>,
    dearest: Vec<Dear>,
}

#[derive(Default, Serialize)]
struct Kind {
    kind: String,
    launches: usize,
    ms: f64,
    cpu_ms: Option<f64>,
    gflops: f64,
    /// The shortest time that the ceilings allow, over the time.
    roofline_share: f64,
    #[serde(skip)]
    flops: u64,
    #[serde(skip)]
    floor_ms: f64,
}

#[derive(Serialize)]
struct Dear {
    op: &'static str,
    pass: &'static str,
    shape: String,
    variant: String,
    ms: f64,
    cpu_ms: Option<f64>,
    gflops: f64,
    roofline_share: f64,
}

const REPEATS: usize = 3;
const DEAREST: usize = 10;

impl Profile {
    pub fn new(plan: &Plan, ceilings: &Ceilings, traffic: BTreeMap<String, Traffic>) -> Result<Self> {
        let mut times = plan.profile(REPEATS)?;
        let mut kinds: BTreeMap<(&str, &str), Kind> = BTreeMap::new();
        let mut total_ms = 0.0;
        let software = ceilings.gflops_per_cpu_s.is_some();
        for time in &mut times {
            time.processor = time.processor.filter(|_| software);
            let ms = time.median.as_secs_f64() * 1e3;
            total_ms += ms;
            let kind = kinds.entry((time.op, time.pass)).or_default();
            kind.launches += 1;
            kind.ms += ms;
            kind.flops += time.flops;
            kind.floor_ms += ceilings.floor(time.flops, time.bytes) * 1e3;
            kind.cpu_ms = time.processor.map(|cpu| kind.cpu_ms.unwrap_or(0.0) + cpu.as_secs_f64() * 1e3);
        }
        let named = |((op, pass), kind): (_, Kind)| Kind {
            kind: format!("{op} {pass}"),
            gflops: kind.flops as f64 / kind.ms.max(1e-6) / 1e6,
            roofline_share: kind.floor_ms / kind.ms.max(1e-6),
            ..kind
        };
        let mut kinds: Vec<_> = kinds.into_iter().map(named).collect();
        kinds.sort_by(|a, b| b.ms.total_cmp(&a.ms));
        times.sort_by_key(|time| std::cmp::Reverse(time.median));
        times.truncate(DEAREST);
        let dear = |time: gatefold_engine::plan::LaunchTime| {
            let seconds = time.median.as_secs_f64().max(1e-9);
            Dear {
                op: time.op,
                pass: time.pass,
                shape: time.shape,
                variant: time.variant,
                ms: seconds * 1e3,
                cpu_ms: time.processor.map(|cpu| cpu.as_secs_f64() * 1e3),
                gflops: time.flops as f64 / seconds / 1e9,
                roofline_share: ceilings.floor(time.flops, time.bytes) / seconds,
            }
        };
        let dearest = times.into_iter().map(dear).collect();
        Ok(Self { ceilings: *ceilings, total_ms, kinds, traffic, dearest })
    }

    pub fn show(&self) {
        println!("by kind:");
        for kind in &self.kinds {
            let Kind { kind, launches, ms, gflops, roofline_share, .. } = kind;
            let (part, share) = (100.0 * ms / self.total_ms, 100.0 * roofline_share);
            println!(
                "  {kind:<34} {launches:>4} launches {ms:>9.2} ms {part:>5.1} % {gflops:>8.1} GFLOP/s {share:>5.1} % of \
                 the roofline"
            );
        }
        traffic::show(&self.traffic);
        println!("the ten most expensive:");
        for dear in &self.dearest {
            let Dear { op, pass, shape, variant, ms, gflops, roofline_share, .. } = dear;
            let share = 100.0 * roofline_share;
            println!("  {op} {pass} {shape}");
            println!("    {variant:<48} {ms:>9.2} ms {gflops:>8.1} GFLOP/s {share:>5.1} % of the roofline");
        }
    }
}
