// Logistic regression: is the sum of two numbers above one? Recorded once, replayed for every step.
use std::sync::Arc;

use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::loss::Targets;
use gatefold_engine::ops::optimizer::{Preparation, Segment};
use gatefold_engine::ops::sigmoid_cross_entropy::sigmoid_cross_entropy;
use gatefold_engine::params::{Init, Layout, ParameterSpec, ParameterStore, StepWords};
use gatefold_engine::plan::Plan;
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::Shape;

fn main() -> gatefold_engine::Result<()> {
    let mut tape = Tape::new();
    let x = tape.input(Shape::matrix(4, 2));
    let parameter =
        |name: &str, shape, layout| ParameterSpec { name: name.into(), shape, layout, init: Init::Constant(0.0) };
    let weight = tape.parameter(parameter("weight", Shape::new(1, 1, 2, 1), Layout::Dense));
    let bias = tape.parameter(parameter("bias", Shape::vector(1), Layout::Vector));
    let logits = dense(&mut tape, x, weight, Some(bias))?;
    let targets = Targets::inputs(&mut tape, 4);
    let loss = sigmoid_cross_entropy(&mut tape, logits, &targets, None, 0.0)?.loss;
    let one = tape.constant(loss.shape, vec![1_f32.to_bits()]);
    tape.backward(&[(loss, one)])?;
    let (all, optimiser) = (Segment::all(&tape), Adam::default());
    adam(&mut tape, &[all], optimiser, Preparation::default());
    tape.keep(loss);

    let gpu = Arc::new(Gpu::open(&GpuOptions::default())?);
    let store = ParameterStore::for_training(&gpu, tape.spec(), tape.frozen_words())?;
    store.initialise(&gpu, 1)?;
    let mut plan = Plan::new(&gpu, &tape, &store, &BufferPool::default())?;
    plan.write(x, &[0.0_f32, 0.2, 0.9, 0.8, 0.3, 0.1, 0.7, 0.6])?;
    plan.write(targets.labels, &[0_u32, 1, 0, 1])?;
    plan.write(targets.weights, &[1_f32; 4])?;
    for step in 0..=100 {
        let [bias_correction1, bias_correction2] = optimiser.bias_corrections(step);
        let words = StepWords { step, learning_rate: 0.1, bias_correction1, bias_correction2, ..StepWords::default() };
        plan.write(tape.step(), &[words])?;
        let loss = plan.run()?.get(loss)?[0];
        if step % 25 == 0 {
            println!("step {step:>3}  loss {loss:.4}");
        }
    }
    Ok(())
}
