//! Lines for people and for programs, beside those of an earlier run.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

use gatefold_engine::gpu::Kernel;
use gatefold_engine::tape::Launch;
use gatefold_engine::{Error, Result};
use serde::{Deserialize, Serialize};

use super::driver::Compiled;
use super::machine::Code;
use super::model::{Card, Time};
use crate::networks::traffic::{self, Traffic};

/// Which network's step.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Step {
    pub network: String,
    pub precision: String,
}

/// What the compiler made of a kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub vgprs: u64,
    pub sgprs: u64,
    pub spilled: u64,
    /// Bytes of workgroup memory.
    pub lds_bytes: u64,
    pub wave: u32,
    pub waves_per_simd: u64,
    /// The compiler's own estimates, in cycles.
    pub latency: u64,
    pub inverse_throughput: u64,
    /// Multiply-adds and products of matrices among the innermost loop's vector instructions.
    pub multiply_add_share: f64,
    pub code: Code,
    #[serde(flatten)]
    pub time: Time,
}

impl Figures {
    pub fn new(compiled: &Compiled, code: Code, time: Time) -> Self {
        let figure = |name: &str| compiled.statistics.get(name).copied().unwrap_or_default();
        Self {
            vgprs: figure("VGPRs"),
            sgprs: figure("SGPRs"),
            spilled: figure("Spilled VGPRs") + figure("Spilled SGPRs"),
            lds_bytes: figure("LDS size"),
            wave: compiled.wave,
            waves_per_simd: figure("Subgroups per SIMD"),
            latency: figure("Latency"),
            inverse_throughput: figure("Inverse Throughput"),
            multiply_add_share: code.innermost.share(),
            code,
            time,
        }
    }
}

/// A launch with one of its kernels.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    #[serde(flatten)]
    step: Step,
    op: String,
    pass: String,
    shape: String,
    variant: String,
    /// Launches of this kind in the step.
    count: usize,
    /// Whether training would take it.
    chosen: bool,
    flops: u64,
    #[serde(flatten)]
    figures: Figures,
}

impl Line {
    pub fn new(step: Step, launch: &Launch, kernel: &Kernel, count: usize, chosen: bool, figures: Figures) -> Self {
        let (op, pass, shape) = (launch.op.to_owned(), launch.pass.to_owned(), launch.shape());
        Self { step, op, pass, shape, variant: kernel.variant(), count, chosen, flops: launch.flops, figures }
    }

    /// The same work: the chosen kernels of two builds are compared whatever their names.
    fn key(&self) -> (Step, String) {
        let variant = if self.chosen { "" } else { &self.variant };
        (self.step.clone(), format!("{} {} {} {} {variant}", self.op, self.pass, self.shape, self.flops))
    }
}

/// All launches of a step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Total {
    launches: usize,
    #[serde(flatten)]
    time: Time,
    /// Operations of those launches that have some counted: the convolutions.
    flops: u64,
    /// What these would reach of the card's multiply-adds in f32.
    peak_share: f64,
    /// Kernels that spill registers.
    spilling: usize,
    #[serde(skip)]
    products_ms: f64,
}

#[derive(Serialize)]
struct TotalLine<'a> {
    #[serde(flatten)]
    step: &'a Step,
    card: &'a str,
    compiler: &'a str,
    #[serde(flatten)]
    total: &'a Total,
    traffic: Option<&'a BTreeMap<String, Traffic>>,
}

/// Sums up; only what training would take counts.
fn totals<'a>(lines: impl Iterator<Item = &'a Line>, card: &Card) -> BTreeMap<Step, Total> {
    let mut found: BTreeMap<Step, Total> = BTreeMap::new();
    for line in lines.filter(|line| line.chosen) {
        let (total, count) = (found.entry(line.step.clone()).or_default(), line.count as f64);
        total.launches += line.count;
        total.time.modelled_ms += count * line.figures.time.modelled_ms;
        total.time.roofline_ms += count * line.figures.time.roofline_ms;
        total.spilling += usize::from(line.figures.spilled > 0);
        if line.flops > 0 {
            total.flops += line.count as u64 * line.flops;
            total.products_ms += count * line.figures.time.modelled_ms;
        }
    }
    for total in found.values_mut() {
        total.peak_share = total.flops as f64 / card.flops() / (total.products_ms / 1e3).max(1e-12);
    }
    found
}

/// An earlier run's lines. Launches that look the same, such as one that adds to its result and one that does not, keep their order.
pub struct Earlier {
    lines: HashMap<(Step, String), Vec<Line>>,
}

impl Earlier {
    /// Reads what `--json` printed.
    ///
    /// # Errors
    /// [`Error::Input`] if the file cannot be read or holds something else.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).map_err(|e| Error::input(format!("--against {}: {e}", path.display())))?;
        Self::parse(&text).ok_or_else(|| {
            Error::input(format!("--against {}: it has no lines that `bench isa --json` printed", path.display()))
        })
    }

    /// The lines of launches; those of steps are computed again. `None` where there are none.
    fn parse(text: &str) -> Option<Self> {
        let mut lines: HashMap<_, Vec<Line>> = HashMap::new();
        for line in text.lines().filter_map(|line| serde_json::from_str::<Line>(line).ok()) {
            lines.entry(line.key()).or_default().push(line);
        }
        (!lines.is_empty()).then_some(Self { lines })
    }
}

/// Prints as it goes.
pub struct Report {
    card: Card,
    compiler: String,
    earlier: Option<Earlier>,
    json: bool,
    lines: Vec<Line>,
    /// Of each step, by kind of launch.
    traffic: BTreeMap<Step, BTreeMap<String, Traffic>>,
}

impl Report {
    pub fn new(card: Card, compiler: &str, earlier: Option<Earlier>, json: bool) -> Self {
        Self { card, compiler: compiler.to_owned(), earlier, json, lines: vec![], traffic: BTreeMap::new() }
    }

    pub fn line(&mut self, line: Line) -> Result<()> {
        if self.json {
            println!("{}", serde_json::to_string(&line).map_err(Error::run)?);
        } else {
            let number = self.lines.iter().filter(|other| other.key() == line.key()).count();
            let before = self.earlier.as_ref().and_then(|earlier| earlier.lines.get(&line.key())?.get(number));
            let Line { step, op, pass, shape, variant, count, .. } = &line;
            println!("{} {} {op} {pass} {shape}, {count} times: {variant}", step.network, step.precision);
            if let Some(before) = before {
                println!("  before  {}", told(&before.figures));
            }
            println!("  {}{}", if before.is_some() { "now     " } else { "" }, told(&line.figures));
        }
        self.lines.push(line);
        Ok(())
    }

    pub fn traffic(&mut self, step: Step, kinds: BTreeMap<String, Traffic>) {
        self.traffic.insert(step, kinds);
    }

    /// The steps.
    pub fn end(&self, kernels: usize) -> Result<()> {
        let before = self.earlier.as_ref().map(|earlier| totals(earlier.lines.values().flatten(), &self.card));
        for (step, total) in &totals(self.lines.iter(), &self.card) {
            if self.json {
                let traffic = self.traffic.get(step);
                let line = TotalLine { step, card: self.card.name, compiler: &self.compiler, total, traffic };
                println!("{}", serde_json::to_string(&line).map_err(Error::run)?);
                continue;
            }
            println!("{} {} on {}: {}", step.network, step.precision, self.card.name, said(total));
            if let Some(before) = before.as_ref().and_then(|before| before.get(step)) {
                println!("  before: {}", said(before));
            }
            self.traffic.get(step).into_iter().for_each(traffic::show);
        }
        eprintln!("{kernels} kernels compiled");
        Ok(())
    }
}

fn told(figures: &Figures) -> String {
    let Figures { vgprs, sgprs, spilled, lds_bytes, wave, waves_per_simd, latency, inverse_throughput, .. } = figures;
    let (inner, around, Time { modelled_ms, roofline_ms }) =
        (&figures.code.innermost, &figures.code.around, figures.time);
    let products = inner.multiply_adds + inner.matrix;
    let each = |count: u32| f64::from(count) / f64::from(products.max(1));
    let innermost = if products == 0 {
        String::new()
    } else {
        format!(
            "; loop: {products} of {} vector ({:.1} %), {:.3} lds and {:.3} global reads each; {} barriers around",
            inner.vector,
            100.0 * figures.multiply_add_share,
            each(inner.workgroup_reads),
            each(inner.global_reads),
            around.barriers
        )
    };
    format!(
        "{modelled_ms:.3} ms (roofline {roofline_ms:.3}); {vgprs} vgpr {sgprs} sgpr, {spilled} spilled, {lds_bytes} B lds, \
         {waves_per_simd} waves of {wave}, {} instructions, latency {latency}, inverse throughput {inverse_throughput}{innermost}",
        figures.code.whole.instructions
    )
}

fn said(total: &Total) -> String {
    format!(
        "{} launches, {:.2} ms modelled (roofline {:.2}), convolutions at {:.1} % of the peak, {} kernels spill",
        total.launches,
        total.time.modelled_ms,
        total.time.roofline_ms,
        100.0 * total.peak_share,
        total.spilling
    )
}

#[cfg(test)]
mod tests {
    use super::super::model::CARDS;
    use super::*;

    fn line(shape: &str, count: usize, chosen: bool, ms: f64) -> Line {
        let compiled = Compiled { statistics: [("VGPRs".to_owned(), 96)].into(), wave: 64, assembly: String::new() };
        let time = Time { modelled_ms: ms, roofline_ms: ms / 2.0 };
        Line {
            step: Step { network: "resnet50".to_owned(), precision: "f32".to_owned() },
            op: "conv2d".to_owned(),
            pass: "forward".to_owned(),
            shape: shape.to_owned(),
            variant: format!("conv2d/{ms}"),
            count,
            chosen,
            flops: (CARDS[0].flops() / 1e3) as u64,
            figures: Figures::new(&compiled, Code::default(), time),
        }
    }

    #[test]
    fn a_step_is_the_sum_of_what_training_takes() {
        let lines = [line("a", 3, true, 2.0), line("a", 3, false, 9.0), line("b", 1, true, 4.0)];
        let total = totals(lines.iter(), &CARDS[0]).into_values().next().unwrap();
        assert_eq!((total.launches, total.time.modelled_ms, total.time.roofline_ms), (4, 10.0, 5.0));
        // Four launches of a millisecond of the peak, in ten.
        assert!((total.peak_share - 0.4).abs() < 1e-6, "{}", total.peak_share);
    }

    #[test]
    fn an_earlier_run_is_found_again_by_its_work_whatever_kernel_it_took() {
        let json = |ms| serde_json::to_string(&line("a", 3, true, ms)).unwrap();
        let earlier = Earlier::parse(&format!("{}\n{}\n{{\"launches\":4}}\n", json(2.0), json(3.0))).unwrap();
        let found = &earlier.lines[&line("a", 3, true, 1.0).key()];
        let times: Vec<f64> = found.iter().map(|line| line.figures.time.modelled_ms).collect();
        assert_eq!((found[0].figures.vgprs, times), (96, vec![2.0, 3.0]));
        assert!(!earlier.lines.contains_key(&line("a", 3, false, 1.0).key()));
        assert!(Earlier::parse("{\"launches\":4}\n").is_none());
    }
}
