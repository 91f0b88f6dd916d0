//! The engine against PyTorch: `golden/prognet.safetensors`, made by `golden/prognet.py` and described in
//! `golden/README.md`.

use std::sync::{Arc, LazyLock};

use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::avg_pool::avg_pool;
use gatefold_engine::ops::batch_norm::{BatchNorm, batch_norm};
use gatefold_engine::ops::conv2d::conv2d;
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::flatten::flatten;
use gatefold_engine::ops::loss::Targets;
use gatefold_engine::ops::max_pool::max_pool;
use gatefold_engine::ops::optimizer::{Preparation, Segment};
use gatefold_engine::ops::relu::relu;
use gatefold_engine::ops::sigmoid_cross_entropy::sigmoid_cross_entropy;
use gatefold_engine::ops::softmax_cross_entropy::softmax_cross_entropy;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::{Arena, Init, Layout, ParameterSpec, ParameterStore, StateSpec, StepWords};
use gatefold_engine::plan::{Choice, Plan};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use kernels_tests::{assert_relative_norm_eq, tolerance};
use safetensors::{Dtype, SafeTensors};

const FILE: &[u8] = include_bytes!("../golden/prognet.safetensors");
static GOLDEN: LazyLock<SafeTensors<'static>> = LazyLock::new(|| SafeTensors::deserialize(FILE).unwrap());

/// A tensor's shape and numbers, in PyTorch's layout.
fn golden(name: &str) -> (Vec<usize>, Vec<f32>) {
    let view = GOLDEN.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    assert_eq!(view.dtype(), Dtype::F32, "{name}");
    let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (view.shape().to_vec(), values)
}

fn values(name: &str) -> Vec<f32> {
    golden(name).1
}

fn labels(name: &str) -> Vec<u32> {
    let view = GOLDEN.tensor(name).unwrap();
    assert_eq!(view.dtype(), Dtype::I32);
    view.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap()) as u32).collect()
}

/// From NCHW to NHWC, with zeros for channels that PyTorch does not have.
fn nhwc(name: &str, channels: usize) -> (Shape, Vec<f32>) {
    let (shape, disk) = golden(name);
    let [n, c, h, w] = shape[..] else { panic!("{name} has the shape {shape:?}") };
    let to = Shape::new(n, h, w, channels.max(c));
    let mut memory = vec![0.0; to.len()];
    for (place, &value) in disk.iter().enumerate() {
        let (plane, pixel) = (place / (h * w), place % (h * w));
        memory[(plane / c * h * w + pixel) * to.c + plane % c] = value;
    }
    (to, memory)
}

fn gpu() -> Arc<Gpu> {
    static GPU: LazyLock<Arc<Gpu>> = LazyLock::new(|| {
        Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).expect("an adapter to test on"))
    });
    Arc::clone(&GPU)
}

/// The network of the README, recorded with loss, gradients and one step of Adam.
struct Network {
    plan: Plan,
    store: ParameterStore,
    logits: Tensor,
    loss: Tensor,
    step: Tensor,
    options: Adam,
}

const FILTERS: [usize; 4] = [8, 8, 16, 16];
const HIDDEN: usize = 20;

impl Network {
    fn new(data: &str, outputs: usize, options: Adam, choice: Choice) -> Self {
        let mut tape = Tape::new();
        // RGB and a fourth channel of zeros, as the networks of the program have it.
        let (shape, pictures) = nhwc(&format!("{data}/input"), 4);
        let input = tape.input(shape);
        let logits = record(&mut tape, input, outputs);
        let targets = Targets::inputs(&mut tape, shape.n);
        let loss = if outputs == 1 {
            sigmoid_cross_entropy(&mut tape, logits, &targets, None, 0.0).unwrap()
        } else {
            let weights = values(&format!("{data}/class_weights"));
            softmax_cross_entropy(&mut tape, logits, &targets, Some(&weights), 0.1).unwrap()
        };
        let one = tape.constant(loss.loss.shape, vec![1.0_f32.to_bits()]);
        tape.backward(&[(loss.loss, one)]).unwrap();
        let all = Segment::all(&tape);
        adam(&mut tape, &[all], options, Preparation::default());
        let step = tape.step();
        tape.keep(logits);
        tape.keep(loss.loss);

        let gpu = gpu();
        let store = ParameterStore::new(&gpu, tape.spec(), true).unwrap();
        let plan = Plan::with_choice(&gpu, &tape, &store, &BufferPool::default(), choice).unwrap();
        plan.write(input, &pictures).unwrap();
        plan.write(targets.labels, &labels(&format!("{data}/labels"))).unwrap();
        plan.write(targets.weights, &vec![1.0_f32; shape.n]).unwrap();
        let mut network = Self { plan, store, logits, loss: loss.loss, step, options };
        network.load(data);
        network
    }

    fn load(&mut self, data: &str) {
        let mut words = vec![0.0; self.store.spec().parameter_words()];
        for (offset, spec) in &self.store.spec().parameters {
            let (shape, disk) = golden(&format!("{data}/param/{}", spec.name));
            assert_eq!(shape, spec.disk_shape(), "{}", spec.name);
            words[*offset..offset + spec.shape.len()].copy_from_slice(&spec.from_disk(&disk));
        }
        self.store.write(&gpu(), Arena::Parameters, &words).unwrap();
    }

    /// One step; returns logits and loss before it.
    fn step(&mut self, number: u32, decay: f32) -> (Vec<f32>, f32) {
        let [bias_correction1, bias_correction2] = self.options.bias_corrections(number);
        let words = StepWords {
            step: number,
            learning_rate: 1e-3,
            weight_decay: decay,
            bias_correction1,
            bias_correction2,
            ..StepWords::default()
        };
        self.plan.write(self.step, &[words]).unwrap();
        let results = self.plan.run().unwrap();
        (results.get(self.logits).unwrap(), results.get(self.loss).unwrap()[0])
    }

    /// Compares every parameter's part of a long-lived buffer with `<name>/<parameter>`.
    fn compare(&self, arena: Arena, name: &str) {
        let words = self.store.read(&gpu(), arena).unwrap();
        for (offset, spec) in &self.store.spec().parameters {
            let memory = &words[*offset..offset + spec.shape.len()];
            let what = format!("{name}/{}", spec.name);
            let (out, reference) = (spec.to_disk(memory), values(&what));
            assert_relative_norm_eq!(out, reference, max_relative = tolerance::PYTORCH_STEPS, "{what}");
            // What is not on disk, the weights of the fourth input channel, is and stays zero.
            assert_eq!(spec.from_disk(&spec.to_disk(memory)), memory, "{what}: padding");
        }
    }
}

fn record(tape: &mut Tape, pictures: Tensor, outputs: usize) -> Tensor {
    let parameter = |tape: &mut Tape, name: String, shape: Shape, layout: Layout| {
        tape.parameter(ParameterSpec { name, shape, layout, init: Init::Constant(0.0) })
    };
    let mut x = pictures;
    for (number, filters) in (1..).zip(FILTERS) {
        let cin = if number == 1 { 3 } else { x.shape.c };
        let shape = Shape::new(3, 3, x.shape.c, filters);
        let weight = parameter(tape, format!("conv{number}.weight"), shape, Layout::Conv { cin });
        let bias = parameter(tape, format!("conv{number}.bias"), Shape::vector(filters), Layout::Vector);
        x = conv2d(tape, x, weight, Some(bias), Window::square(3, 1, 1)).unwrap();
        x = relu(tape, x);
        x = max_pool(tape, x, Window::square(2, 2, 0)).unwrap();
    }
    let Shape { h, w, c, .. } = x.shape;
    x = flatten(tape, x);
    for (name, size, layout) in [("fc1", HIDDEN, Layout::DenseFlat { h, w, c }), ("fc2", outputs, Layout::Dense)] {
        let weight = parameter(tape, format!("{name}.weight"), Shape::new(1, 1, x.shape.c, size), layout);
        let bias = parameter(tape, format!("{name}.bias"), Shape::vector(size), Layout::Vector);
        x = dense(tape, x, weight, Some(bias)).unwrap();
        if name == "fc1" {
            x = relu(tape, x);
        }
    }
    x
}

/// Logits, loss and gradients with the first parameters, then nine more steps. `data` holds the batch and the first
/// parameters, `after` what came of them.
fn train(data: &str, after: &str, outputs: usize, decay: f32, choice: Choice) {
    let options = Adam { decoupled: after == "adamw", ..Adam::default() };
    let mut network = Network::new(data, outputs, options, choice);
    let mut losses = vec![];
    for number in 0..10 {
        let (logits, loss) = network.step(number, decay);
        losses.push(loss);
        if number == 0 {
            for (name, out) in [("logits", &logits[..]), ("loss", &[loss])] {
                let reference = values(&format!("{data}/{name}"));
                let max = tolerance::PYTORCH_STEPS;
                assert_relative_norm_eq!(out[..], reference[..], max_relative = max, "{data}/{name}");
            }
            // Decoupled decay is no part of the gradient, so `adamw` has the same ones.
            network.compare(Arena::Gradients, &format!("{data}/grad"));
        }
    }
    let reference = values(&format!("{after}/losses10"));
    assert_relative_norm_eq!(losses, reference, max_relative = tolerance::PYTORCH_STEPS, "{after}/losses10");
    network.compare(Arena::Parameters, &format!("{after}/adam10"));
}

/// Each number takes other kernels, where an op has several that run here.
const CHOICES: [Choice; 4] = [Choice::Rule, Choice::Number(0), Choice::Number(1), Choice::Number(2)];

#[test]
fn two_classes_train_as_in_pytorch() {
    CHOICES.into_iter().for_each(|choice| train("binary", "binary", 1, 0.0, choice));
}

#[test]
fn five_classes_train_as_in_pytorch_with_class_weights_and_label_smoothing() {
    CHOICES.into_iter().for_each(|choice| train("classes5", "classes5", 5, 0.0, choice));
}

#[test]
fn decoupled_weight_decay_is_pytorchs_adamw() {
    CHOICES.into_iter().for_each(|choice| train("classes5", "adamw", 5, 0.05, choice));
}

/// Runs what `record` makes of the input, and its gradient for the upstream one of the file.
fn one_op(
    input: &str,
    upstream: &str,
    record: impl Fn(&mut Tape, Tensor) -> Tensor,
    prepare: impl Fn(&ParameterStore),
) -> (Vec<f32>, Vec<f32>, ParameterStore) {
    let gpu = gpu();
    let mut tape = Tape::new();
    let (shape, x) = nhwc(input, 0);
    let source = tape.input(shape);
    tape.require_grad(source);
    let y = record(&mut tape, source);
    let (shape, dy) = nhwc(upstream, 0);
    let seed = tape.input(shape);
    tape.backward(&[(y, seed)]).unwrap();
    let dx = tape.grad(source).unwrap().expect("a gradient");
    tape.keep(y);
    tape.keep(dx);
    let store = ParameterStore::new(&gpu, tape.spec(), true).unwrap();
    prepare(&store);
    let mut plan = Plan::new(&gpu, &tape, &store, &BufferPool::default()).unwrap();
    plan.write(source, &x).unwrap();
    plan.write(seed, &dy).unwrap();
    plan.poison();
    let results = plan.run().unwrap();
    let (y, dx) = (results.get(y).unwrap(), results.get(dx).unwrap());
    (y, dx, store)
}

fn normalised(training: bool) -> (Vec<f32>, Vec<f32>, ParameterStore) {
    let record = |tape: &mut Tape, x: Tensor| {
        let shape = Shape::vector(x.shape.c);
        let mut parameter = |name: &str| {
            let spec = ParameterSpec { name: name.into(), shape, layout: Layout::Vector, init: Init::Constant(0.0) };
            tape.parameter(spec)
        };
        let (gamma, beta) = (parameter("weight"), parameter("bias"));
        let mut state = |name: &str| tape.state(StateSpec { name: name.into(), len: shape.c, init: 0.0 });
        let (running_mean, running_var) = (state("running_mean"), state("running_var"));
        let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
        batch_norm(tape, x, &norm, training).unwrap()
    };
    let prepare = |store: &ParameterStore| {
        let spec = store.spec();
        let (mut parameters, mut states) = (vec![0.0; spec.parameter_words()], vec![0.0; spec.state_words()]);
        for (offset, p) in &spec.parameters {
            parameters[*offset..offset + p.shape.len()].copy_from_slice(&values(&format!("batchnorm/{}", p.name)));
        }
        for (offset, s) in &spec.states {
            let name = format!("batchnorm/{}{}", s.name, if training { "" } else { "_after" });
            states[*offset..offset + s.len].copy_from_slice(&values(&name));
        }
        store.write(&gpu(), Arena::Parameters, &parameters).unwrap();
        store.write(&gpu(), Arena::State, &states).unwrap();
    };
    one_op("batchnorm/x", "batchnorm/upstream", record, prepare)
}

#[test]
fn batch_norm_in_training_is_pytorchs() {
    let (y, dx, store) = normalised(true);
    assert_relative_norm_eq!(y, nhwc("batchnorm/y", 0).1, max_relative = tolerance::PYTORCH_OP);
    assert_relative_norm_eq!(dx, nhwc("batchnorm/dx", 0).1, max_relative = tolerance::PYTORCH_OP);
    let gradients = store.read(&gpu(), Arena::Gradients).unwrap();
    for (offset, spec) in &store.spec().parameters {
        let out = &gradients[*offset..offset + spec.shape.len()];
        let reference = values(&format!("batchnorm/d{}", spec.name));
        assert_relative_norm_eq!(out[..], reference[..], max_relative = tolerance::PYTORCH_OP, "{}", spec.name);
    }
    let states = store.read(&gpu(), Arena::State).unwrap();
    for (offset, spec) in &store.spec().states {
        let out = &states[*offset..offset + spec.len];
        let reference = values(&format!("batchnorm/{}_after", spec.name));
        assert_relative_norm_eq!(out[..], reference[..], max_relative = tolerance::PYTORCH_OP, "{}", spec.name);
    }
}

#[test]
fn batch_norm_in_inference_is_pytorchs_and_leaves_its_statistics_alone() {
    // The file's `y_eval` comes after the training step, so it is of the statistics that the step left.
    let (y, _, store) = normalised(false);
    assert_relative_norm_eq!(y, nhwc("batchnorm/y_eval", 0).1, max_relative = tolerance::PYTORCH_OP);
    let states = store.read(&gpu(), Arena::State).unwrap();
    for (offset, spec) in &store.spec().states {
        assert_eq!(states[*offset..offset + spec.len], values(&format!("batchnorm/{}_after", spec.name)));
    }
}

#[test]
fn poolings_are_pytorchs() {
    let window = Window::square(3, 2, 1);
    for name in ["max", "avg_counted", "avg_uncounted"] {
        let record = |tape: &mut Tape, x: Tensor| match name {
            "max" => max_pool(tape, x, window).unwrap(),
            _ => avg_pool(tape, x, window, name == "avg_counted").unwrap(),
        };
        let (y, dx, _) = one_op("pool/x", "pool/upstream", record, |_| {});
        for (part, out) in [("y", y), ("dx", dx)] {
            let reference = nhwc(&format!("pool/{name}/{part}"), 0).1;
            assert_relative_norm_eq!(out, reference, max_relative = tolerance::PYTORCH_OP, "{name} {part}");
        }
    }
}
