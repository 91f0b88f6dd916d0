//! Our own side of a comparison: the same shapes by the same protocol. Prepare, wait, start the clock, run, wait, stop it.

use std::sync::Arc;
use std::time::Instant;

use gatefold::train::tuning::When;
use gatefold_engine::gpu::{BufferPool, Gpu, processor_time};
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm};
use gatefold_engine::ops::conv2d::conv2d;
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::ParameterStore;
use gatefold_engine::plan::Plan;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use gatefold_engine::{Error, Result};
use serde::Deserialize;

use super::{Line, OURS};
use crate::measure::median;
use crate::networks::session::{Load, Session};

/// One of `bench/peers/cases.json`, which all peers read.
#[derive(Deserialize)]
pub struct Case {
    pub name: String,
    op: String,
    batch: usize,
    #[serde(rename = "in")]
    inputs: usize,
    #[serde(default)]
    out: usize,
    #[serde(default)]
    size: usize,
    #[serde(default)]
    kernel: usize,
    #[serde(default)]
    stride: usize,
    #[serde(default)]
    padding: usize,
}

/// The cases with `only` in their name.
pub fn cases(only: Option<&str>) -> Result<Vec<Case>> {
    let mut cases: Vec<Case> =
        serde_json::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/peers/cases.json")))
            .map_err(|e| Error::run(format!("bench/peers/cases.json: {e}")))?;
    let names = cases.iter().map(|case| case.name.as_str()).collect::<Vec<_>>().join(", ");
    cases.retain(|case| only.is_none_or(|part| case.name.contains(part)));
    match (only, cases.is_empty()) {
        (Some(only), true) => {
            Err(Error::input(format!("--only {only}: no case has that in its name; there are: {names}")))
        }
        _ => Ok(cases),
    }
}

/// Times each pass of each case for about `seconds`.
pub fn ops(gpu: &Arc<Gpu>, cases: &[Case], seconds: f64) -> Result<Vec<Line>> {
    let mut lines = vec![];
    for case in cases {
        let products = case.op == "dense" || case.op == "conv2d";
        let all = [true; 2];
        let passes: &[(&str, [bool; 2], usize)] = if products {
            &[("forward", all, 0), ("grad_input", [true, false], 2), ("grad_weight", [false, true], 2)]
        } else {
            &[("forward", all, 0), ("backward", all, 2)]
        };
        for &(pass, wanted, phase) in passes {
            let (median_ms, cpu_ms) = time(gpu, case, wanted, phase, seconds)?;
            let (peer, name, pass) = (OURS.to_owned(), case.name.clone(), pass.to_owned());
            lines.push(Line { peer, name, pass, median_ms, cpu_ms, first_step_s: None });
        }
    }
    Ok(lines)
}

/// A case as a tape of three phases (forward, the gradient that flows in, backward), and what the host writes. `wanted` says
/// whether the gradients of the input and of the weights are.
fn record(case: &Case, wanted: [bool; 2]) -> Result<(Tape, Vec<Tensor>)> {
    let Case { batch, size, kernel, out, .. } = *case;
    // Pictures have a fourth channel of zeros.
    let channels = if case.op == "conv2d" { case.inputs.next_multiple_of(4) } else { case.inputs };
    let mut tape = Tape::new();
    let window = Window::square(kernel, case.stride, case.padding);
    let x = tape.input(if case.op == "dense" {
        Shape::matrix(batch, channels)
    } else {
        Shape::new(batch, size, size, channels)
    });
    let mut written = vec![x];
    if wanted[0] {
        tape.require_grad(x);
    }
    let mut weight = |tape: &mut Tape, shape: Shape| {
        let weight = tape.input(shape);
        if wanted[1] {
            tape.require_grad(weight);
        }
        written.push(weight);
        weight
    };
    let y = match case.op.as_str() {
        "dense" => {
            let weight = weight(&mut tape, Shape::new(1, 1, channels, out));
            dense(&mut tape, x, weight, None)?
        }
        "conv2d" => {
            let weight = weight(&mut tape, Shape::new(kernel, kernel, channels, out));
            conv2d(&mut tape, x, weight, None, window)?
        }
        "batch_norm" => {
            let [gamma, beta] = [(); 2].map(|()| weight(&mut tape, Shape::vector(channels)));
            let [running_mean, running_var] = [(); 2].map(|()| tape.input(Shape::vector(channels)));
            let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
            batch_norm(&mut tape, x, &norm, true)?
        }
        "max_pool" => max_pool(&mut tape, x, window)?,
        "relu" => relu(&mut tape, x),
        other => return Err(Error::run(format!("bench/peers/cases.json: there is no op {other}"))),
    };
    tape.end_phase();
    let upstream = tape.input(y.shape);
    written.push(upstream);
    let gradient = tape.grad_destination(y)?;
    tape.copy_into(upstream, gradient);
    tape.end_phase();
    tape.backward(&[])?;
    Ok((tape, written))
}

/// Median time and median processor time of a phase, in milliseconds.
fn time(gpu: &Arc<Gpu>, case: &Case, wanted: [bool; 2], phase: usize, seconds: f64) -> Result<(f64, Option<f64>)> {
    let (tape, written) = record(case, wanted)?;
    let store = ParameterStore::new(gpu, tape.spec(), false)?;
    let mut plan = Plan::new(gpu, &tape, &store, &BufferPool::default())?;
    let mut noise = 1_u32;
    for &input in &written {
        let values = (0..input.shape.len()).map(|_| {
            noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (noise >> 8) as f32 / (1 << 23) as f32 - 1.0
        });
        plan.write(input, &values.collect::<Vec<_>>())?;
    }
    let (mut wall, mut cpu) = (vec![], vec![]);
    for warm_up in [true, false] {
        let begin = Instant::now();
        loop {
            for before in 0..phase {
                let ticket = plan.submit_phases(before..before + 1)?;
                plan.results(ticket)?;
            }
            let (start, processor) = (Instant::now(), processor_time());
            let ticket = plan.submit_phases(phase..phase + 1)?;
            plan.results(ticket)?;
            if !warm_up {
                wall.push(start.elapsed().as_secs_f64() * 1e3);
                let spent = processor_time().zip(processor).map(|(now, then)| (now - then).as_secs_f64() * 1e3);
                cpu.extend(spent.filter(|_| gpu.adapter().software));
            }
            if warm_up || (wall.len() >= 3 && begin.elapsed().as_secs_f64() >= seconds) {
                break;
            }
        }
    }
    Ok((median(&wall), (!cpu.is_empty()).then(|| median(&cpu))))
}

/// Times `steps` training steps after the first.
pub fn step(gpu: &Arc<Gpu>, load: &Load, steps: usize) -> Result<Line> {
    let mut session = Session::new(gpu, load, When::OnGpus)?;
    let first_step_s = Some(session.first()?);
    session.run()?;
    let samples = (0..steps).map(|_| session.run()).collect::<Result<Vec<_>>>()?;
    session.settle()?;
    let wall: Vec<f64> = samples.iter().map(|s| s.wall * 1e3).collect();
    let cpu: Vec<f64> = samples.iter().filter_map(|s| s.cpu).map(|s| s * 1e3).collect();
    let cpu_ms = (gpu.adapter().software && !cpu.is_empty()).then(|| median(&cpu));
    let (peer, pass) = (OURS.to_owned(), "step".to_owned());
    Ok(Line { peer, name: load.name(), pass, median_ms: median(&wall), cpu_ms, first_step_s })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_records_both_passes() {
        for case in cases(None).unwrap() {
            for wanted in [[true, true], [true, false]] {
                let (tape, _) = record(&case, wanted).unwrap();
                let phases = tape.phases();
                assert_eq!(phases.len(), 3, "{}", case.name);
                assert!(phases.iter().all(|phase| !phase.is_empty()), "{}", case.name);
            }
        }
        assert_eq!(cases(Some("nothing of the kind")).err().unwrap().exit_code(), 2);
    }
}
