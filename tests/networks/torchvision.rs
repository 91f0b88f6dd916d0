//! The networks against torchvision: `networks.safetensors` and `torchvision-names.txt`, made by `networks.py`.
//!
//! The committed file holds small variants, which the same descriptions record. Files of the networks as they are, made by
//! `networks.py --full NET`, are compared where they exist.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use gatefold::nets::densenet::{DENSENET121, DENSENET169, DENSENET201, DenseNet};
use gatefold::nets::inception::{INCEPTION_V3, Inception};
use gatefold::nets::resnet::{Block, RESNET18, RESNET34, RESNET50, RESNET101, ResNet, WIDE_RESNET50_2};
use gatefold::nets::{self, Build, Head, NetConfig, Recorded};
use gatefold::train::step::AUXILIARY_WEIGHT;
use gatefold_engine::gpu::BufferPool;
use gatefold_engine::ops::adam::{Adam, adam};
use gatefold_engine::ops::loss::Targets;
use gatefold_engine::ops::optimizer::{Preparation, Segment};
use gatefold_engine::ops::sigmoid_cross_entropy::sigmoid_cross_entropy;
use gatefold_engine::ops::softmax_cross_entropy::softmax_cross_entropy;
use gatefold_engine::params::{Arena, ParameterStore, StepWords};
use gatefold_engine::plan::{Choice, Plan};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};
use kernels_tests::RelativeNormEq;
use kernels_tests::tolerance::{self, OfNetwork};
use safetensors::SafeTensors;

use super::stream::{self, Stream};
use super::{golden, gpu};

type RecordFn = fn(&mut Build, Tensor, &NetConfig) -> gatefold_engine::Result<Recorded>;

/// A case of the file, and the description that must agree with it.
struct Case {
    name: &'static str,
    /// Flattened, not averaged.
    flatten: bool,
    record: RecordFn,
    /// As published, not a small variant.
    full: bool,
    /// So deep that ten steps are not the same in any two f32 engines.
    deep: bool,
}

const SMALL_DENSENET: DenseNet = DenseNet { growth: 8, blocks: [2, 3, 2, 2], init_features: 16, bottleneck: 4 };

const RESNET_BASIC: Case = small("resnet_basic", false, |build, x, config| {
    ResNet { block: Block::Basic, layers: [1; 4], width: 6, wide: 1 }.record(build, x, config)
});
const RESNET_BOTTLENECK: Case = small("resnet_bottleneck", false, |build, x, config| {
    ResNet { block: Block::Bottleneck, layers: [1, 2, 1, 1], width: 4, wide: 1 }.record(build, x, config)
});
const DENSENET: Case = small("densenet", false, |build, x, config| SMALL_DENSENET.record(build, x, config));
const DENSENET_FLATTEN: Case = small("densenet_flatten", true, |build, x, config| {
    DenseNet { growth: 6, init_features: 5, ..SMALL_DENSENET }.record(build, x, config)
});
const INCEPTION: Case = Case {
    deep: true,
    ..small("inception", false, |build, x, config| Inception { divisor: 16 }.record(build, x, config))
};
const INCEPTION_AUX: Case = Case { name: "inception_aux", ..INCEPTION };

const fn small(name: &'static str, flatten: bool, record: RecordFn) -> Case {
    Case { name, flatten, record, full: false, deep: false }
}

const fn full(name: &'static str, record: RecordFn) -> Case {
    Case { name, flatten: false, record, full: true, deep: true }
}

/// The bytes of a file and what they hold.
struct Truth<'a> {
    tensors: SafeTensors<'a>,
    case: &'a str,
    seed: i32,
    size: usize,
    batch: usize,
    outputs: usize,
    steps: u32,
    rate: f32,
}

impl<'a> Truth<'a> {
    fn new(bytes: &'a [u8], case: &'a str) -> Self {
        let tensors = SafeTensors::deserialize(bytes).unwrap();
        let setup = tensors.tensor(&format!("{case}/setup")).unwrap_or_else(|e| panic!("{case}: {e}"));
        let setup: Vec<i32> = setup.data().chunks_exact(4).map(|b| i32::from_le_bytes(b.try_into().unwrap())).collect();
        let [seed, size, batch, outputs, steps] = setup[..] else { panic!("{case}: setup has other numbers") };
        let [size, batch, outputs] = [size, batch, outputs].map(|v| v as usize);
        let mut truth = Self { tensors, case, seed, size, batch, outputs, steps: steps as u32, rate: 0.0 };
        truth.rate = truth.get("rate").1[0];
        truth
    }

    fn get(&self, name: &str) -> (Vec<usize>, Vec<f32>) {
        let view = self.tensors.tensor(&format!("{}/{name}", self.case)).unwrap_or_else(|e| panic!("{name}: {e}"));
        let values = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
        (view.shape().to_vec(), values)
    }

    fn pictures(&self) -> Vec<f32> {
        let (size, cells) = (self.size, 6);
        let [coarse, fine] = ["coarse", "fine"].map(|part| Stream::new(self.seed, part));
        let mut pictures = Vec::with_capacity(self.batch * size * size * 4);
        for n in 0..self.batch {
            for (y, x) in (0..size * size).map(|pixel| (pixel / size, pixel % size)) {
                for plane in 3 * n..3 * n + 3 {
                    let cell = (plane * cells + y * cells / size) * cells + x * cells / size;
                    let pixel = (plane * size + y) * size + x;
                    pictures.push(coarse.signed(cell) + 0.5 * fine.signed(pixel));
                }
                pictures.push(0.0);
            }
        }
        pictures
    }

    /// Fills the long-lived buffers.
    fn load(&self, store: &ParameterStore) {
        let [parameters, states] = stream::weights(self.seed, store.spec());
        store.write(&gpu(), Arena::Parameters, &parameters).unwrap();
        store.write(&gpu(), Arena::State, &states).unwrap();
    }
}

/// The errors of all tensors by kind.
#[derive(Default)]
struct Errors {
    kinds: BTreeMap<&'static str, Vec<(f64, String)>>,
}

impl Errors {
    fn add(&mut self, kind: &'static str, name: &str, out: &[f32], reference: &[f32]) {
        assert_eq!(out.len(), reference.len(), "{name}");
        self.kinds.entry(kind).or_default().push((out.relative_norm(reference), name.to_owned()));
    }

    fn check(mut self, case: &Case, truth: &Truth, choice: Choice) {
        let mut report =
            format!("{} at {} px, {choice:?}: median and worst tensor of each kind", truth.case, truth.size);
        let mut good = true;
        for (kind, errors) in &mut self.kinds {
            errors.sort_by(|a, b| a.0.total_cmp(&b.0));
            let OfNetwork { median, worst } = match *kind {
                "change" if case.deep => tolerance::DEEP_NETWORK_STEPS,
                "losses" | "change" => tolerance::NETWORK_STEPS,
                "grad" if case.full => tolerance::FULL_NETWORK,
                _ => tolerance::NETWORK,
            };
            let pytorch = truth.get(&format!("f32/{kind}")).1;
            report += &format!("\n  {kind:11}");
            for (rank, pytorch, floor) in
                [(errors.len() / 2, pytorch[0], median), (errors.len() - 1, pytorch[1], worst)]
            {
                let (error, name) = &errors[rank];
                let allowed = floor.max(tolerance::TIMES_PYTORCH * f64::from(pytorch));
                good &= *error <= allowed;
                report += &format!("  {error:.1e} (PyTorch {pytorch:.1e}, allowed {allowed:.0e}) {name}");
            }
        }
        eprintln!("{report}");
        assert!(good, "{report}");
    }
}

/// A recorded network on the pictures of the file.
fn recorded(case: &Case, truth: &Truth, training: bool) -> (Tape, Tensor, Recorded) {
    let mut tape = Tape::new();
    let pictures = tape.input(Shape::new(truth.batch, truth.size, truth.size, 4));
    let config = NetConfig {
        net: case.name.into(),
        size: truth.size,
        classes: truth.outputs.max(2),
        head: if case.flatten { Head::Flatten } else { Head::Linear },
        ..NetConfig::default()
    };
    let net = (case.record)(&mut Build::new(&mut tape, pictures, training), pictures, &config).unwrap();
    (tape, pictures, net)
}

fn inference(case: &Case, truth: &Truth, choice: Choice, errors: &mut Errors) {
    let (mut tape, pictures, net) = recorded(case, truth, false);
    tape.keep(net.logits);
    let store = ParameterStore::new(&gpu(), tape.spec(), false).unwrap();
    truth.load(&store);
    let mut plan = Plan::with_choice(&gpu(), &tape, &store, &BufferPool::default(), choice).unwrap();
    plan.write(pictures, &truth.pictures()).unwrap();
    let logits = plan.run().unwrap().get(net.logits).unwrap();
    errors.add("eval_logits", "eval_logits", &logits, &truth.get("eval_logits").1);
}

/// Everything about the first step, and where the rest of the steps lead.
fn training(case: &Case, truth: &Truth, choice: Choice, errors: &mut Errors) {
    let (mut tape, pictures, net) = recorded(case, truth, true);
    let targets = Targets::inputs(&mut tape, truth.batch);
    let mut losses = vec![];
    for (logits, weight) in [(Some(net.logits), 1.0), (net.auxiliary, AUXILIARY_WEIGHT)] {
        let Some(logits) = logits else { continue };
        let loss = match truth.outputs {
            1 => sigmoid_cross_entropy(&mut tape, logits, &targets, None, 0.0),
            _ => softmax_cross_entropy(&mut tape, logits, &targets, None, 0.0),
        };
        tape.keep(logits);
        losses.push((loss.unwrap().loss, tape.constant(Shape::vector(1), vec![f32::to_bits(weight)])));
    }
    tape.backward(&losses).unwrap();
    let (all, options) = (Segment::all(&tape), Adam::default());
    adam(&mut tape, &[all], options, Preparation::default());
    let (step, loss) = (tape.step(), losses[0].0);
    tape.keep(loss);

    let store = ParameterStore::new(&gpu(), tape.spec(), true).unwrap();
    truth.load(&store);
    let mut plan = Plan::with_choice(&gpu(), &tape, &store, &BufferPool::default(), choice).unwrap();
    plan.write(pictures, &truth.pictures()).unwrap();
    let labels: Vec<u32> = (0..truth.batch).map(|n| (n % truth.outputs.max(2)) as u32).collect();
    plan.write(targets.labels, &labels).unwrap();
    plan.write(targets.weights, &vec![1.0_f32; truth.batch]).unwrap();

    let mut trace = vec![];
    for number in 0..truth.steps {
        let [bias_correction1, bias_correction2] = options.bias_corrections(number);
        let words = StepWords {
            step: number,
            learning_rate: truth.rate,
            bias_correction1,
            bias_correction2,
            ..StepWords::default()
        };
        plan.write(step, &[words]).unwrap();
        let results = plan.run().unwrap();
        trace.push(results.get(loss).unwrap()[0]);
        if number == 0 {
            errors.add("logits", "logits", &results.get(net.logits).unwrap(), &truth.get("logits").1);
            if let Some(auxiliary) = net.auxiliary {
                let (out, reference) = (results.get(auxiliary).unwrap(), truth.get("auxiliary").1);
                errors.add("auxiliary", "auxiliary", &out, &reference);
            }
            compare_parameters(truth, &store, Arena::Gradients, "grad", errors);
            let states = store.read(&gpu(), Arena::State).unwrap();
            for (offset, spec) in &store.spec().states {
                let out = &states[*offset..offset + spec.len];
                errors.add("state", &spec.name, out, &truth.get(&format!("state/{}", spec.name)).1);
            }
        }
    }
    errors.add("losses", "losses", &trace, &truth.get("losses").1);
    compare_parameters(truth, &store, Arena::Parameters, "change", errors);
}

fn compare_parameters(truth: &Truth, store: &ParameterStore, arena: Arena, kind: &'static str, errors: &mut Errors) {
    let words = store.read(&gpu(), arena).unwrap();
    for (offset, spec) in &store.spec().parameters {
        let memory = &words[*offset..offset + spec.shape.len()];
        let (shape, reference) = truth.get(&format!("{kind}/{}", spec.name));
        assert_eq!(shape, spec.disk_shape(), "{}", spec.name);
        let mut out = spec.to_disk(memory);
        if arena == Arena::Parameters {
            let before = stream::value(truth.seed, &spec.name, &shape);
            out.iter_mut().zip(before).for_each(|(after, before)| *after -= before);
        }
        errors.add(kind, &spec.name, &out, &reference);
    }
}

/// Everything PyTorch has, we have too.
fn check_names(case: &Case, truth: &Truth) {
    let (tape, ..) = recorded(case, truth, true);
    let prefix = format!("{}/grad/", case.name);
    let gradients = truth.tensors.names().iter().filter(|name| name.starts_with(&prefix)).count();
    assert_eq!(gradients, tape.spec().parameters.len(), "{}", case.name);
}

fn compare(case: &Case, bytes: &[u8], choices: &[Choice]) {
    let truth = Truth::new(bytes, case.name);
    check_names(case, &truth);
    for &choice in choices {
        let mut errors = Errors::default();
        inference(case, &truth, choice, &mut errors);
        training(case, &truth, choice, &mut errors);
        errors.check(case, &truth, choice);
    }
}

const SMALL: &[u8] = golden!("networks.safetensors");
/// Each number takes other kernels, where an op has several that run here.
const CHOICES: [Choice; 3] = [Choice::Rule, Choice::Number(0), Choice::Number(2)];

#[test]
fn a_resnet_of_basic_blocks_is_torchvisions() {
    compare(&RESNET_BASIC, SMALL, &[Choice::Rule]);
}

#[test]
fn a_resnet_of_bottlenecks_is_torchvisions() {
    compare(&RESNET_BOTTLENECK, SMALL, &CHOICES);
}

#[test]
fn a_densenet_is_torchvisions() {
    compare(&DENSENET, SMALL, &[Choice::Rule]);
}

#[test]
fn a_densenet_with_odd_channels_and_a_flatten_head_is_pytorchs() {
    compare(&DENSENET_FLATTEN, SMALL, &CHOICES);
}

#[test]
fn an_inception_on_its_smallest_pictures_is_torchvisions() {
    compare(&INCEPTION, SMALL, &[Choice::Rule]);
}

#[test]
fn an_inception_with_its_auxiliary_head_is_torchvisions() {
    compare(&INCEPTION_AUX, SMALL, &[Choice::Rule]);
}

/// Compares with the file of the whole network, if somebody made it.
fn compare_full(case: &Case) {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels-tests/golden/full");
    let folder = std::env::var_os("GATEFOLD_GOLDEN_FULL").map_or_else(default, PathBuf::from);
    let path = folder.join(format!("{}.safetensors", case.name));
    match std::fs::read(&path) {
        Ok(bytes) => compare(case, &bytes, &[Choice::Rule]),
        Err(e) => {
            let (net, path) = (case.name, path.display());
            // Straight to stderr: the test harness hides what a test that passes says with the macros.
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: {net} at full width is not compared with torchvision: {path}: {e}; make it with \
                 `python kernels-tests/golden/networks.py --full {net}`"
            );
        }
    }
}

/// A test for each network at full width.
macro_rules! full_networks {
    ($($test:ident: $name:literal $network:ident;)*) => {$(
        #[test]
        fn $test() {
            compare_full(&full($name, |build, x, config| $network.record(build, x, config)));
        }
    )*};
}

full_networks! {
    resnet18_is_torchvisions: "resnet18" RESNET18;
    resnet34_is_torchvisions: "resnet34" RESNET34;
    resnet50_is_torchvisions: "resnet50" RESNET50;
    resnet101_is_torchvisions: "resnet101" RESNET101;
    wide_resnet50_2_is_torchvisions: "wide_resnet50_2" WIDE_RESNET50_2;
    densenet121_is_torchvisions: "densenet121" DENSENET121;
    densenet169_is_torchvisions: "densenet169" DENSENET169;
    densenet201_is_torchvisions: "densenet201" DENSENET201;
    inception_v3_is_torchvisions: "inception_v3" INCEPTION_V3;
}

#[test]
fn names_and_shapes_are_those_of_torchvisions_state_dicts() {
    let mut wanted: BTreeMap<&str, BTreeMap<String, String>> = BTreeMap::new();
    let mut net = "";
    for line in std::str::from_utf8(golden!("torchvision-names.txt")).unwrap().lines() {
        match line.split_once(' ').unwrap() {
            ("#", name) => net = name,
            (name, shape) => drop(wanted.entry(net).or_default().insert(name.into(), shape.into())),
        }
    }
    let torchvisions: Vec<_> = nets::NETS.iter().filter(|net| net.torchvision).map(|net| net.name).collect();
    assert_eq!(wanted.len(), torchvisions.len());
    for net in torchvisions {
        // At 299 pixels Inception has its auxiliary head.
        let config = NetConfig { net: net.into(), size: 299, classes: 1000, ..NetConfig::default() };
        let mut tape = Tape::new();
        let pictures = tape.input(Shape::new(2, 299, 299, 4));
        nets::record(&mut tape, pictures, &config, true).unwrap();
        let joined = |shape: Vec<usize>| shape.iter().map(ToString::to_string).collect::<Vec<_>>().join("x");
        let parameters = tape.spec().parameters.iter().map(|(_, p)| (p.name.clone(), joined(p.disk_shape())));
        let states = tape.spec().states.iter().map(|(_, s)| (s.name.clone(), s.len.to_string()));
        assert_eq!(parameters.chain(states).collect::<BTreeMap<_, _>>(), wanted[net], "{net}");
    }
}
