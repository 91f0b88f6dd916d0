//! A small convolutional network of its own, trained on pictures that this program draws: discs, crosses and stripes.
//!
//!     cargo run --release -p gatefold-engine --example cnn

use std::sync::Arc;

use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm_relu};
use gatefold_engine::ops::conv2d::conv2d;
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::global_avg_pool::global_avg_pool;
use gatefold_engine::ops::loss::Targets;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::optimizer::{Preparation, Segment};
use gatefold_engine::ops::softmax_cross_entropy::softmax_cross_entropy;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::{Init, Layout, ParameterSpec, ParameterStore, StateSpec, StepWords};
use gatefold_engine::plan::{Allocation, Plan, mib};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use gatefold_engine::{Error, Result};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SIZE: usize = 32;
const BATCH: usize = 24;
const STEPS: u32 = 60;
const SHAPES: [&str; 3] = ["disc", "cross", "stripes"];

/// A learned tensor.
fn parameter(tape: &mut Tape, name: String, shape: Shape, layout: Layout, init: Init) -> Tensor {
    tape.parameter(ParameterSpec { name, shape, layout, init })
}

/// A 3x3 convolution, batch-norm, a ReLU, and a pooling that halves the map.
fn block(tape: &mut Tape, x: Tensor, name: &str, channels: usize) -> Result<Tensor> {
    let cin = x.shape.c;
    let init = Init::Normal { std: (2.0 / (9 * cin) as f32).sqrt() };
    let shape = Shape::new(3, 3, cin, channels);
    let weight = parameter(tape, format!("{name}.conv.weight"), shape, Layout::Conv { cin }, init);
    let vector = |tape: &mut Tape, part: &str, value| {
        let init = Init::Constant(value);
        parameter(tape, format!("{name}.norm.{part}"), Shape::vector(channels), Layout::Vector, init)
    };
    let (gamma, beta) = (vector(tape, "weight", 1.0), vector(tape, "bias", 0.0));
    let state = |tape: &mut Tape, part: &str, init| {
        tape.state(StateSpec { name: format!("{name}.norm.{part}"), len: channels, init })
    };
    let (running_mean, running_var) = (state(tape, "running_mean", 0.0), state(tape, "running_var", 1.0));
    let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
    let x = conv2d(tape, x, weight, None, Window::square(3, 1, 1))?;
    let x = batch_norm_relu(tape, x, &norm, true)?;
    max_pool(tape, x, Window::square(2, 2, 0))
}

/// One grey picture with a little noise, white on black.
fn draw(class: usize, random: &mut ChaCha8Rng) -> Vec<f32> {
    let [x0, y0] = [(); 2].map(|()| random.random_range(10.0..22.0_f32));
    let radius = random.random_range(5.0..9.0_f32);
    let pixels = (0..SIZE * SIZE).map(|i| {
        let (x, y) = ((i % SIZE) as f32 - x0, (i / SIZE) as f32 - y0);
        let near = x.abs().max(y.abs()) < radius;
        let lit = match class {
            0 => x.hypot(y) < radius,
            1 => near && x.abs().min(y.abs()) < 2.0,
            _ => near && (x / 2.5).floor().rem_euclid(2.0) < 1.0,
        };
        f32::from(u8::from(lit)) + random.random_range(-0.3..0.3_f32)
    });
    pixels.collect()
}

fn main() -> Result<()> {
    // Record the network, its gradients and its optimiser.
    let mut tape = Tape::new();
    let pictures = tape.input(Shape::new(BATCH, SIZE, SIZE, 1));
    let x = block(&mut tape, pictures, "0", 16)?;
    let x = block(&mut tape, x, "1", 32)?;
    let x = global_avg_pool(&mut tape, x)?;
    let init = Init::Uniform { bound: 0.1 };
    let weight = parameter(&mut tape, "head.weight".into(), Shape::new(1, 1, 32, SHAPES.len()), Layout::Dense, init);
    let logits = dense(&mut tape, x, weight, None)?;
    let targets = Targets::inputs(&mut tape, BATCH);
    let loss = softmax_cross_entropy(&mut tape, logits, &targets, None, 0.0)?.loss;
    let one = tape.constant(loss.shape, vec![1_f32.to_bits()]);
    tape.backward(&[(loss, one)])?;
    let (segments, optimiser) = ([Segment::all(&tape)], Adam::default());
    adam(&mut tape, &segments, optimiser, Preparation::default());
    tape.keep(loss);
    // Launches end with what follows them, where they can.
    tape.fuse();

    // What it needs is known before anything is allocated.
    let memory = Allocation::new(&tape, true).memory();
    println!(
        "{} launches, {} parameters, {}",
        tape.launches().len(),
        tape.spec().parameter_count(),
        mib(memory.peak())
    );
    let gpu = Arc::new(Gpu::open(&GpuOptions::default())?);
    println!("on {}", gpu.adapter().name);
    let store = ParameterStore::for_training(&gpu, tape.spec(), tape.frozen_words())?;
    store.initialise(&gpu, 1)?;
    let mut plan = Plan::new(&gpu, &tape, &store, &BufferPool::default())?;
    plan.write(targets.weights, &[1_f32; BATCH])?;

    let mut random = ChaCha8Rng::seed_from_u64(1);
    let mut losses = vec![];
    for step in 0..STEPS {
        let labels: Vec<usize> = (0..BATCH).map(|i| i % SHAPES.len()).collect();
        let drawn: Vec<f32> = labels.iter().flat_map(|&class| draw(class, &mut random)).collect();
        plan.write(pictures, &drawn)?;
        plan.write(targets.labels, &labels.iter().map(|&class| class as u32).collect::<Vec<_>>())?;
        let [bias_correction1, bias_correction2] = optimiser.bias_corrections(step);
        let words = StepWords { step, learning_rate: 0.01, bias_correction1, bias_correction2, ..StepWords::default() };
        plan.write(tape.step(), &[words])?;
        losses.push(plan.run()?.get(loss)?[0]);
        if step % 10 == 0 || step + 1 == STEPS {
            println!("step {step:>3}  loss {:.4}", losses[losses.len() - 1]);
        }
    }
    if losses[losses.len() - 1] < losses[0] / 2.0 {
        Ok(())
    } else {
        Err(Error::run(format!("the loss did not fall: {losses:?}")))
    }
}
