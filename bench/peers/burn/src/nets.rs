//! ProgNet and ResNet-50 as Burn writes them, trained with Adam.

use std::time::Instant;

use burn::module::Module;
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::pool::{MaxPool2d, MaxPool2dConfig};
use burn::nn::{BatchNorm, BatchNormConfig, Dropout, DropoutConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Distribution, Int, Tensor};
use serde_json::{Value, json};

use crate::clock::{Times, processor_time};

fn convolution(inputs: usize, outputs: usize, kernel: usize, stride: usize, bias: bool, device: &Device) -> Conv2d {
    let padding = kernel / 2;
    Conv2dConfig::new([inputs, outputs], [kernel; 2])
        .with_stride([stride; 2])
        .with_padding(PaddingConfig2d::Explicit(padding, padding, padding, padding))
        .with_bias(bias)
        .init(device)
}

/// Seven times convolution, ReLU and pooling, with batch-norm and dropout taking turns; two dense layers.
#[derive(Module, Debug)]
struct ProgNet {
    convolutions: Vec<Conv2d>,
    norms: Vec<BatchNorm>,
    pool: MaxPool2d,
    dropout: Dropout,
    fc1: Linear,
    fc2: Linear,
}

const FILTERS: [usize; 7] = [32, 32, 64, 64, 128, 128, 128];

impl ProgNet {
    fn new(size: usize, classes: usize, device: &Device) -> Self {
        let inputs = [3].into_iter().chain(FILTERS);
        let cells = (size >> FILTERS.len()).max(1);
        Self {
            convolutions: inputs.zip(FILTERS).map(|(i, o)| convolution(i, o, 3, 1, true, device)).collect(),
            norms: FILTERS.iter().step_by(2).map(|&o| BatchNormConfig::new(o).init(device)).collect(),
            pool: MaxPool2dConfig::new([2; 2]).with_strides([2; 2]).init(),
            dropout: DropoutConfig::new(0.2).init(),
            fc1: LinearConfig::new(cells * cells * 128, 100).init(device),
            fc2: LinearConfig::new(100, classes).init(device),
        }
    }

    fn forward(&self, mut x: Tensor<4>) -> Tensor<2> {
        for (number, convolution) in self.convolutions.iter().enumerate() {
            x = relu(convolution.forward(x));
            if x.dims()[2] >= 2 {
                x = self.pool.forward(x);
            }
            x = if number % 2 == 0 { self.norms[number / 2].forward(x) } else { self.dropout.forward(x) };
        }
        self.fc2.forward(relu(self.fc1.forward(x.flatten(1, 3))))
    }
}

#[derive(Module, Debug)]
struct Normed {
    convolution: Conv2d,
    norm: BatchNorm,
}

impl Normed {
    fn new(inputs: usize, outputs: usize, kernel: usize, stride: usize, device: &Device) -> Self {
        let convolution = convolution(inputs, outputs, kernel, stride, false, device);
        Self { convolution, norm: BatchNormConfig::new(outputs).init(device) }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.norm.forward(self.convolution.forward(x))
    }
}

#[derive(Module, Debug)]
struct Bottleneck {
    first: Normed,
    second: Normed,
    third: Normed,
    downsample: Option<Normed>,
}

impl Bottleneck {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.first.forward(x.clone()));
        let y = self.third.forward(relu(self.second.forward(y)));
        let skipped = match &self.downsample {
            Some(downsample) => downsample.forward(x),
            None => x,
        };
        relu(y + skipped)
    }
}

/// ResNet-50 v1.5: the stride is the 3x3's.
#[derive(Module, Debug)]
struct ResNet50 {
    stem: Normed,
    pool: MaxPool2d,
    blocks: Vec<Bottleneck>,
    fc: Linear,
}

impl ResNet50 {
    fn new(classes: usize, device: &Device) -> Self {
        let (mut blocks, mut inputs) = (vec![], 64);
        for (layer, (count, width)) in [(3, 64), (4, 128), (6, 256), (3, 512)].into_iter().enumerate() {
            for number in 0..count {
                let stride = if number == 0 && layer > 0 { 2 } else { 1 };
                let downsample = (number == 0).then(|| Normed::new(inputs, 4 * width, 1, stride, device));
                blocks.push(Bottleneck {
                    first: Normed::new(inputs, width, 1, 1, device),
                    second: Normed::new(width, width, 3, stride, device),
                    third: Normed::new(width, 4 * width, 1, 1, device),
                    downsample,
                });
                inputs = 4 * width;
            }
        }
        let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
        Self {
            stem: Normed::new(3, 64, 7, 2, device),
            pool: MaxPool2dConfig::new([3; 2]).with_strides([2; 2]).with_padding(padding).init(),
            blocks,
            fc: LinearConfig::new(2048, classes).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let mut x = self.pool.forward(relu(self.stem.forward(x)));
        for block in &self.blocks {
            x = block.forward(x);
        }
        let pooled: Tensor<4> = x.mean_dim(2).mean_dim(3);
        self.fc.forward(pooled.flatten(1, 3))
    }
}

pub fn run(
    device: &Device,
    net: &str,
    batch: usize,
    size: usize,
    classes: usize,
    steps: usize,
) -> Result<Value, String> {
    let start = Instant::now();
    let settings = Settings { device, batch, size, classes, steps, start };
    let (times, first_step_s) = match net {
        "prognet" => train(&settings, ProgNet::new(size, classes, device), ProgNet::forward),
        "resnet50" => train(&settings, ResNet50::new(classes, device), ResNet50::forward),
        _ => return Err(format!("{net}: there is no such network here; there are: prognet, resnet50")),
    };
    let (cpu, step) = (Times::median(times.cpu), Times::median(times.wall).unwrap_or(f64::INFINITY));
    Ok(json!({
        "peer": "burn 0.22.1, WGSL",
        "network": net,
        "batch": batch,
        "size": size,
        "precision": "f32",
        "images_per_second": batch as f64 / step,
        "step_ms": step * 1e3,
        "cpu_ms_per_step": cpu.map(|cpu| cpu * 1e3),
        "first_step_s": first_step_s,
        "steps": steps,
    }))
}

struct Settings<'a> {
    device: &'a Device,
    batch: usize,
    size: usize,
    classes: usize,
    steps: usize,
    start: Instant,
}

fn train<M: Module>(settings: &Settings, mut model: M, forward: fn(&M, Tensor<4>) -> Tensor<2>) -> (Times, f64) {
    let Settings { device, batch, size, classes, steps, start } = *settings;
    let mut adam = AdamConfig::new().init();
    let cross_entropy = CrossEntropyLossConfig::new().init(device);
    let x: Tensor<4> = Tensor::random([batch, 3, size, size], Distribution::Uniform(-2.0, 2.0), device);
    let labels: Vec<i32> = (0..batch).map(|i| (i % classes) as i32).collect();
    let labels = Tensor::<1, Int>::from_ints(labels.as_slice(), device);
    let (mut times, mut first_step_s) = (Times { wall: vec![], cpu: vec![] }, 0.0);
    for number in 0..=steps {
        let (begin, processor) = (Instant::now(), processor_time());
        let loss = cross_entropy.forward(forward(&model, x.clone()), labels.clone());
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = adam.step(1e-3, model, gradients);
        let loss: f32 = loss.into_scalar();
        device.sync().expect("the device works");
        if number == 0 {
            first_step_s = start.elapsed().as_secs_f64();
            eprintln!("first step after {first_step_s:.1} s, loss {loss}");
        } else {
            times.wall.push(begin.elapsed().as_secs_f64());
            times.cpu.extend(processor_time().zip(processor).map(|(now, then)| (now - then).as_secs_f64()));
            eprintln!("step {number}: {:.2} s, loss {loss}", begin.elapsed().as_secs_f64());
        }
    }
    (times, first_step_s)
}
