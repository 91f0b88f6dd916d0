//! Single ops, forward and backward. Gradients are asked for one by one, so that each pass can be timed by itself.

use std::path::Path;

use burn::nn::{BatchNorm, BatchNormConfig, PaddingConfig2d, pool::MaxPool2d, pool::MaxPool2dConfig};
use burn::tensor::activation::relu;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;
use burn::tensor::{Device, Distribution, Tensor};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::clock::{Times, time};

#[derive(Deserialize)]
struct Case {
    name: String,
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

#[derive(Serialize)]
struct Line {
    name: String,
    pass: &'static str,
    median_ms: f64,
    best_ms: f64,
    cpu_ms: Option<f64>,
    runs: usize,
}

pub fn run(device: &Device, path: &Path, only: Option<&str>, seconds: f64) -> Result<Value, String> {
    let text = std::fs::read_to_string(path).map_err(|e| format!("{}: {e}; name it with --cases", path.display()))?;
    let cases: Vec<Case> = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
    let mut lines: Vec<Line> = vec![];
    for case in cases.iter().filter(|case| only.is_none_or(|part| case.name.contains(part))) {
        let mut note = |pass: &'static str, times: Times| {
            let best = times.wall.iter().copied().fold(f64::INFINITY, f64::min);
            let (runs, cpu) = (times.wall.len(), Times::median(times.cpu));
            let median = Times::median(times.wall).unwrap_or(f64::INFINITY);
            eprintln!("{} {pass}: {:.2} ms", case.name, median * 1e3);
            lines.push(Line {
                name: case.name.clone(),
                pass,
                median_ms: median * 1e3,
                best_ms: best * 1e3,
                cpu_ms: cpu.map(|cpu| cpu * 1e3),
                runs,
            });
        };
        match case.op.as_str() {
            "dense" => {
                let x = noise([case.batch, case.inputs], device);
                let weight = noise([case.inputs, case.out], device);
                products(device, seconds, &mut note, x, weight, |x, weight| x.matmul(weight));
            }
            "conv2d" => {
                let x = noise([case.batch, case.inputs, case.size, case.size], device);
                let weight = noise([case.out, case.inputs, case.kernel, case.kernel], device);
                let options = || ConvOptions::new([case.stride; 2], [case.padding; 2], [1; 2], 1);
                products(device, seconds, &mut note, x, weight, |x, weight| conv2d(x, weight, None, options()));
            }
            "batch_norm" => {
                let norm: BatchNorm = BatchNormConfig::new(case.inputs).init(device);
                maps(device, seconds, &mut note, case, |x| norm.forward(x));
            }
            "max_pool" => {
                let padding = PaddingConfig2d::Explicit(case.padding, case.padding, case.padding, case.padding);
                let pool: MaxPool2d = MaxPool2dConfig::new([case.kernel; 2])
                    .with_strides([case.stride; 2])
                    .with_padding(padding)
                    .init();
                maps(device, seconds, &mut note, case, |x| pool.forward(x));
            }
            "relu" => maps(device, seconds, &mut note, case, relu),
            other => return Err(format!("{}: there is no op {other}", path.display())),
        }
    }
    Ok(json!({ "peer": "burn 0.22.1, WGSL", "ops": lines }))
}

fn noise<const D: usize>(shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), device)
}

/// A new leaf of the graph with these numbers, whose gradient is wanted.
fn leaf<const D: usize>(tensor: &Tensor<D>) -> Tensor<D> {
    tensor.clone().detach().require_grad()
}

/// Products of `x` with a weight: forward, and each gradient by itself.
fn products<const D: usize>(
    device: &Device,
    seconds: f64,
    note: &mut dyn FnMut(&'static str, Times),
    x: Tensor<D>,
    weight: Tensor<D>,
    forward: impl Fn(Tensor<D>, Tensor<D>) -> Tensor<D>,
) {
    let both = || (leaf(&x), leaf(&weight));
    note("forward", time(device, seconds, both, |(x, weight)| forward(x, weight)));
    let only_x = || {
        let x = leaf(&x);
        (forward(x.clone(), weight.clone()), x)
    };
    note("grad_input", time(device, seconds, only_x, |(y, x)| x.grad(&y.backward())));
    let only_weight = || {
        let weight = leaf(&weight);
        (forward(x.clone(), weight.clone()), weight)
    };
    note("grad_weight", time(device, seconds, only_weight, |(y, weight)| weight.grad(&y.backward())));
}

/// Ops from map to map: forward, and all gradients.
fn maps(
    device: &Device,
    seconds: f64,
    note: &mut dyn FnMut(&'static str, Times),
    case: &Case,
    forward: impl Fn(Tensor<4>) -> Tensor<4>,
) {
    let x: Tensor<4> = noise([case.batch, case.inputs, case.size, case.size], device);
    note("forward", time(device, seconds, || leaf(&x), &forward));
    let prepared = || {
        let x = leaf(&x);
        (forward(x.clone()), x)
    };
    note(
        "backward",
        time(device, seconds, prepared, |(y, x)| {
            let gradients = y.backward();
            (x.grad(&gradients), gradients)
        }),
    );
}
