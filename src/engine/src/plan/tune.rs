//! Finds the fastest kernel of each launch on this adapter: each candidate is verified against the plain one before it is timed.
//!
//! A tuner that only times will sooner or later pick a wrong kernel, so numbers that differ put a candidate out for good. So does a
//! crash: what is about to be tried is written down first (`gpu/attempts.rs`), and the next start of a program does without
//! it everywhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::choice::{Choice, Choices, admissible, choose, key};
use super::{Output, Prepared, Trial};
use crate::gpu::{Attempt, Gpu, Kernel, Stopwatch};
use crate::tape::{Access, Launch, Tape};
use crate::tensor::Tensor;
use crate::{Error, Result};

/// What a tuner tells while it works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// Launches looked at, of so many.
    Progress { done: usize, of: usize },
    /// A candidate is out, and why.
    Refused { launch: String, variant: String, why: String },
}

/// What a tuner did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Launches whose candidates were timed.
    pub timed: usize,
    /// Launches that take the rule's kernel because time ran out.
    pub unreached: usize,
    /// Launches that were known already.
    pub known: usize,
}

/// Largest `||out - plain|| / ||plain||` of a candidate. Sums of thousands of f32 in another order differ by about 1e-6.
const TOLERANCE: f64 = 1e-5;

/// The same where outputs are kept in 16 bits, or the candidate rounds its factors to as many.
const HALF_TOLERANCE: f64 = 2e-3;

/// Timed runs of a candidate, after the one that is verified.
const RUNS: usize = 3;

/// Another kernel than the rule's must be faster by this factor: a choice should not hang on noise.
const MARGIN: f64 = 0.95;

/// Looks for the fastest kernels of a tape's launches: those with the most operations first, then those that move the most bytes.
pub struct Tuner<'a> {
    pub gpu: &'a Gpu,
    /// No launch is begun after this time.
    pub budget: Duration,
    pub listen: &'a mut dyn FnMut(Event),
}

impl Tuner<'_> {
    /// Adds a choice for each launch of the tape that has none yet. Launches that are not reached in time get the rule's kernel, so
    /// that a second run takes the same kernels as the first.
    ///
    /// # Errors
    /// [`Error::Run`] if the device is lost. What a candidate does wrong is no error.
    pub fn tune(&mut self, tape: &Tape, choices: &mut Choices) -> Result<Report> {
        let start = Instant::now();
        let mut report = Report::default();
        let mut open: HashMap<String, (usize, [u64; 2])> = HashMap::new();
        for (number, launch) in tape.launches.iter().enumerate() {
            if self.candidates(tape, launch).len() < 2 {
                continue;
            }
            let key = key(tape, launch);
            if choices.kernels.contains_key(&key) {
                report.known += 1;
                continue;
            }
            let (_, [flops, bytes]) = open.entry(key).or_insert((number, [0; 2]));
            *flops += launch.flops;
            *bytes += tape.bytes_moved(launch);
        }
        let mut open: Vec<_> = open.into_iter().collect();
        open.sort_by(|(a, (_, left)), (b, (_, right))| right.cmp(left).then_with(|| a.cmp(b)));
        let of = open.len();
        for (done, (key, (number, _))) in open.into_iter().enumerate() {
            (self.listen)(Event::Progress { done, of });
            let rule = choose(tape, &tape.launches[number], self.gpu.adapter(), Choice::Rule)?.variant();
            let variant = if start.elapsed() < self.budget {
                report.timed += 1;
                self.fastest(tape, number, &key, choices, &rule)?
            } else {
                report.unreached += 1;
                rule
            };
            choices.kernels.insert(key, variant);
        }
        Ok(report)
    }

    /// The kernels worth timing. The plain one only where there is but one other; on Mesa's software adapter those made for it.
    /// There, kernels with workgroup memory are slow, and drivers have crashed on them.
    fn candidates<'l>(&self, tape: &Tape, launch: &'l Launch) -> Vec<&'l Kernel> {
        let adapter = self.gpu.adapter();
        let mut kernels = admissible(tape, launch, adapter);
        let plain = kernels.pop();
        kernels.retain(|kernel| !adapter.lavapipe || kernel.needs.software != Some(false));
        if kernels.len() == 1 {
            kernels.extend(plain);
        }
        kernels
    }

    fn fastest(&mut self, tape: &Tape, number: usize, key: &str, choices: &mut Choices, rule: &str) -> Result<String> {
        // Where there is no memory for a trial there is none to find a better kernel with.
        let Ok(bench) = Bench::new(self.gpu, tape, number) else { return self.gpu.check().map(|()| rule.to_owned()) };
        let launch = &tape.launches[number];
        let half = launch.operands.iter().any(|&(t, access)| access == Access::Write && tape.is_half(t));
        let plain = admissible(tape, launch, self.gpu.adapter()).pop();
        let mut reference: Option<Written> = None;
        let mut times: Vec<(String, f64)> = vec![];
        for kernel in self.candidates(tape, launch) {
            let variant = kernel.variant();
            if choices.is_refused(key, &variant) {
                continue;
            }
            let reference = match &reference {
                Some(reference) => reference,
                None => {
                    let plain = plain.ok_or_else(|| Error::run(format!("no kernel for {}", launch.label())))?;
                    let attempt = Attempt::Kernel(plain.variant());
                    reference.insert(self.gpu.attempt(&attempt, || bench.run(&bench.trial.prepare(plain)?))?)
                }
            };
            let attempt = Attempt::Kernel(variant.clone());
            let half = half || kernel.rounds_factors();
            let tried = self.gpu.attempt(&attempt, || bench.try_kernel(kernel, reference, half));
            match tried {
                Ok(seconds) => times.push((variant, seconds)),
                Err(why) if self.gpu.check().is_err() => return Err(why),
                Err(why) => {
                    choices.refuse(key, &variant);
                    (self.listen)(Event::Refused { launch: launch.label(), variant, why: why.to_string() });
                }
            }
        }
        let by_rule = times.iter().find(|(variant, _)| variant == rule).map_or(f64::INFINITY, |(_, seconds)| *seconds);
        let best = times.into_iter().min_by(|a, b| a.1.total_cmp(&b.1));
        let best = best.filter(|(_, seconds)| *seconds < MARGIN * by_rule).map(|(variant, _)| variant);
        // If the rule's own kernel is refused and no other is left, the plain one is what remains.
        let remaining = plain.filter(|_| choices.is_refused(key, rule)).map(Kernel::variant);
        Ok(best.or(remaining).unwrap_or_else(|| rule.to_owned()))
    }
}

/// A launch on storage of its own, filled with random numbers.
struct Bench<'a> {
    trial: Trial<'a>,
    stopwatch: Stopwatch,
}

/// What the outputs of a launch hold after a kernel ran.
struct Written {
    numbers: Vec<f64>,
    indices: Vec<u32>,
}

/// What outputs hold before a kernel runs: a kernel that accumulates adds to it, one that forgets a place leaves it.
const BEFORE: f32 = 1.0;

impl<'a> Bench<'a> {
    fn new(gpu: &'a Gpu, tape: &'a Tape, number: usize) -> Result<Self> {
        let launch = &tape.launches[number];
        let fill = |operand: usize, whole: Tensor| match launch.operands[operand].1 {
            // 0 is an index everywhere.
            Access::Read if launch.indices.contains(&operand) => vec![0; whole.shape.len()],
            // A vector may be a variance, of which kernels take the root.
            Access::Read if whole.shape.pixels() == 1 => random(whole.shape.len(), operand as u32, 1.0),
            Access::Read => random(whole.shape.len(), operand as u32, 0.0),
            Access::Write => vec![BEFORE.to_bits(); whole.shape.len()],
        };
        Ok(Self { trial: Trial::new(gpu, tape, number, 0, &fill)?, stopwatch: Stopwatch::new(gpu)? })
    }

    /// Runs once and gives what the outputs then hold.
    fn run(&self, kernel: &Prepared) -> Result<Written> {
        let outputs = self.trial.outputs(&self.stopwatch, kernel)?;
        let numbers = outputs.iter().flat_map(|output| output.numbers().map(|[_, after]| after)).collect();
        Ok(Written { numbers, indices: outputs.iter().flat_map(Output::indices).copied().collect() })
    }

    /// Seconds of one run of a kernel whose results are right.
    fn try_kernel(&self, kernel: &Kernel, plain: &Written, half: bool) -> Result<f64> {
        let prepared = self.trial.prepare(kernel)?;
        let written = self.run(&prepared)?;
        if written.indices != plain.indices {
            return Err(Error::run("its indices differ from the plain kernel's"));
        }
        let error = distance(&written.numbers, &plain.numbers);
        let tolerance = if half { HALF_TOLERANCE } else { TOLERANCE };
        if error.is_nan() || error > tolerance {
            return Err(Error::run(format!("its numbers differ from the plain kernel's by {error:.1e}")));
        }
        let timing = self.trial.time(&self.stopwatch, &prepared, RUNS)?;
        Ok(timing.times.iter().min().map_or(f64::INFINITY, Duration::as_secs_f64))
    }
}

/// Numbers from half below to half above `mean`, as words. A block of them is repeated; its length is prime, so that no two
/// channels or lines are alike.
fn random(words: usize, seed: u32, mean: f32) -> Vec<u32> {
    const BLOCK: usize = 65_537;
    let mut state = seed.wrapping_mul(0x9e37_79b9) | 1;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (mean + (state >> 8) as f32 / 16_777_216.0 - 0.5).to_bits()
    };
    let block: Vec<u32> = (0..BLOCK.min(words)).map(|_| next()).collect();
    block.into_iter().cycle().take(words).collect()
}

/// `||a - b|| / ||b||`; NaN if an element is NaN.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    let apart: f64 = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum();
    let norm: f64 = b.iter().map(|b| b.powi(2)).sum();
    if norm == 0.0 { apart.sqrt() } else { (apart / norm).sqrt() }
}

#[cfg(test)]
mod tests;
