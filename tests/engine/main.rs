//! The engine's promises: what does not fit is refused with numbers and a way out, taps, kept values, the same bits again.
//! `planning.rs` holds the networks' layouts to the planner's promises.

use std::sync::{Arc, LazyLock};

use gatefold::nets::densenet::DenseNet;
use gatefold::nets::{Build, NetConfig};
use gatefold::train::step::TrainingStep;
use gatefold_engine::Error;
use gatefold_engine::gpu::{AdapterSummary, BufferPool, Gpu, GpuOptions};
use gatefold_engine::ops::conv2d::conv2d;
use gatefold_engine::ops::dense::dense;
use gatefold_engine::ops::flatten::flatten;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::ops::window::Window;
use gatefold_engine::params::{Arena, Init, Layout, ParameterSpec, ParameterStore};
use gatefold_engine::plan::{self, Allocation, Plan};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

mod drawn;
mod fine_tuning;
mod fuse;
#[path = "../../src/engine/tests/common/lifetimes.rs"]
mod lifetimes;
mod mixed;
mod planning;
mod random;
mod recompute;
mod training;
use gatefold::train::{Config, Needs};
use training::Training;

fn gpu() -> Arc<Gpu> {
    static GPU: LazyLock<Arc<Gpu>> = LazyLock::new(|| {
        Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).expect("an adapter to test on"))
    });
    Arc::clone(&GPU)
}

/// A GPU with the limits that WebGPU promises everywhere.
fn modest() -> AdapterSummary {
    AdapterSummary {
        name: "Modest GPU".into(),
        subgroup_min: 32,
        subgroup_max: 32,
        subgroup_operations: true,
        int64: true,
        ..AdapterSummary::weakest()
    }
}

#[test]
fn what_does_not_fit_is_refused_with_numbers_and_a_batch_that_does() {
    let adapter = modest();
    for (size, batch, classes) in [(128, 4096, 5), (260, 512, 2), (1024, 65_536, 5)] {
        let config = Config { size, batch, ..Config::default() };
        let net = config.net_config(classes);
        let error = Needs::of(&config, &net, &adapter).unwrap_err();
        assert!(matches!(error, Error::Input(_)), "{error}");
        let said = error.to_string();
        assert!(said.starts_with(&format!("--batch {batch} at --size {size}: ")) && !said.contains('\n'), "{said}");
        if batch < 65_536 {
            for part in ["needs ", "GiB, largest tensor ", "Modest GPU binds at most 128.0 MiB: "] {
                assert!(said.contains(part), "`{part}` is missing in: {said}");
            }
        }
        let advice = said.rsplit("try --batch ").next().unwrap();
        let fits: usize = advice.parse().unwrap_or_else(|e| panic!("{e}: {said}"));
        let of = |batch: usize| Needs::of(&Config { batch, ..config.clone() }, &net, &adapter);
        let needs = of(fits).unwrap();
        assert!(needs.largest_tensor_bytes <= adapter.max_binding_bytes && needs.batch == fits);
        // It is the largest one.
        assert!(of(fits + 1).is_err());
    }
}

#[test]
fn a_gpu_whose_driver_tells_what_is_free_is_held_to_it() {
    let adapter = AdapterSummary { free_bytes: Some(100 << 20), ..modest() };
    let config = Config { size: 64, batch: 128, ..Config::default() };
    let net = config.net_config(3);
    Needs::of(&config, &net, &modest()).unwrap();
    let said = Needs::of(&config, &net, &adapter).unwrap_err().to_string();
    assert!(said.contains("and 100.0 MiB of the adapter's memory are free: try --batch "), "{said}");
    // Validation's own inputs come on top.
    let batch = said.rsplit(' ').next().unwrap().parse().unwrap();
    assert!(Needs::of(&Config { batch, ..config }, &net, &adapter).unwrap().peak_bytes <= 110 << 20);
}

#[test]
fn where_no_batch_fits_the_size_is_to_blame() {
    let adapter = AdapterSummary { max_binding_bytes: 1 << 20, ..modest() };
    let config = Config { size: 260, ..Config::default() };
    let said = Needs::of(&config, &config.net_config(3), &adapter).unwrap_err().to_string();
    assert!(said.contains("even one picture") && said.ends_with("try a smaller --size"), "{said}");
}

#[test]
fn one_picture_without_a_variance_is_bad_input() {
    // Seven poolings leave one pixel, which the last batch-norm cannot normalise by itself.
    let config = Config { size: 128, batch: 1, ..Config::default() };
    let error = Needs::of(&config, &config.net_config(3), &modest()).unwrap_err();
    assert!(matches!(error, Error::Input(_)) && error.to_string().ends_with("try --batch 2"), "{error}");
}

#[test]
fn an_unknown_network_stays_an_unknown_network_at_any_batch() {
    let config = Config { net: "alexnet".into(), batch: 65_536, size: 1024, ..Config::default() };
    let said = Needs::of(&config, &config.net_config(3), &modest()).unwrap_err().to_string();
    assert!(said.starts_with("--net alexnet"), "{said}");
}

#[test]
fn a_plan_takes_what_the_dry_run_told() {
    let config = Config { size: 32, batch: 4, ..Config::default() };
    let net = config.net_config(5);
    let needs = Needs::of(&config, &net, gpu().adapter()).unwrap();
    let step = TrainingStep::record(&config, &net, config.batch).unwrap();
    let store = ParameterStore::new(&gpu(), step.tape.spec(), true).unwrap();
    let plan = Plan::new(&gpu(), &step.tape, &store, &BufferPool::default()).unwrap();
    assert_eq!(plan.launches(), needs.launches_per_step);
    assert_eq!(plan::flops(&step.tape), needs.flops_per_step);
    assert_eq!(plan.memory().largest_tensor, needs.largest_tensor_bytes);
    let parameters = step.tape.spec().bytes(step.tape.trained_words());
    let peak = plan.memory().slots + plan.memory().fixed + parameters;
    // Validation's own inputs and results come on top.
    assert!(needs.peak_bytes >= peak && needs.peak_bytes < peak + (1 << 20), "{} for {peak}", needs.peak_bytes);
}

fn parameter(tape: &mut Tape, name: &str, shape: Shape, layout: Layout) -> Tensor {
    let init = Init::Uniform { bound: 1.0 };
    tape.parameter(ParameterSpec { name: name.into(), shape, layout, init })
}

/// A convolution, a ReLU called "map", and a dense layer on it.
fn small(tape: &mut Tape) -> (Tensor, Tensor, Tensor) {
    let x = tape.input(Shape::new(1, 2, 2, 4));
    let kernel = parameter(tape, "conv.weight", Shape::new(1, 1, 4, 4), Layout::Conv { cin: 4 });
    let convolved = conv2d(tape, x, kernel, None, Window::square(1, 1, 0)).unwrap();
    let map = relu(tape, convolved);
    tape.name("map", map);
    let flat = flatten(tape, map);
    let weight = parameter(tape, "fc.weight", Shape::new(1, 1, 16, 2), Layout::DenseFlat { h: 2, w: 2, c: 4 });
    let logits = dense(tape, flat, weight, None).unwrap();
    (x, map, logits)
}

fn store_of(tape: &Tape) -> ParameterStore {
    let store = ParameterStore::new(&gpu(), tape.spec(), plan::trains(tape)).unwrap();
    store.write(&gpu(), Arena::Parameters, &tape.spec().initial(5).0).unwrap();
    store
}

#[test]
fn a_tap_has_a_gradient_though_nothing_before_it_is_learned() {
    let mut tape = Tape::new();
    tape.freeze();
    tape.tap("map");
    let (x, map, logits) = small(&mut tape);
    assert_eq!(tape.named("map"), Some(map));
    let seed = tape.input(logits.shape);
    let before = tape.launches().len();
    tape.backward(&[(logits, seed)]).unwrap();
    let gradient = tape.grad(map).unwrap().expect("a gradient");
    assert!(tape.grad(x).unwrap().is_none(), "the pictures' gradient was computed");
    // Nothing goes behind the tap, and nothing to the weights.
    assert!(tape.launches()[before..].iter().all(|launch| launch.op != "relu" && launch.pass != "grad_weight"));
    assert!(!plan::trains(&tape));
    [map, gradient].into_iter().for_each(|kept| tape.keep(kept));

    let store = store_of(&tape);
    let mut plan = Plan::new(&gpu(), &tape, &store, &BufferPool::default()).unwrap();
    plan.write(x, &[1.0_f32; 16]).unwrap();
    plan.write(seed, &[0.0_f32, 1.0]).unwrap();
    plan.poison();
    let results = plan.run().unwrap();
    // The gradient of logit 1 is the second column of the dense layer's matrix.
    let words = tape.spec().initial(5).0;
    let (offset, spec) = &tape.spec().parameters[1];
    let column: Vec<f32> = words[*offset..offset + spec.shape.len()].iter().skip(1).step_by(2).copied().collect();
    assert_eq!(results.get(gradient).unwrap(), column);
    assert!(results.get(map).unwrap().iter().all(|v| *v >= 0.0));
}

#[test]
fn without_a_tap_a_frozen_network_has_no_gradient() {
    let mut tape = Tape::new();
    tape.freeze();
    let (_, map, logits) = small(&mut tape);
    let seed = tape.input(logits.shape);
    let before = tape.launches().len();
    tape.backward(&[(logits, seed)]).unwrap();
    assert_eq!(tape.launches().len(), before);
    assert!(tape.grad(map).unwrap().is_none());
}

#[test]
fn a_gradient_of_another_shape_is_refused() {
    let mut tape = Tape::new();
    let (_, _, logits) = small(&mut tape);
    let seed = tape.input(Shape::matrix(1, 3));
    assert!(tape.backward(&[(logits, seed)]).is_err());
}

#[test]
fn only_kept_values_can_be_read_and_only_inputs_written() {
    let mut tape = Tape::new();
    let (x, map, logits) = small(&mut tape);
    tape.keep(logits);
    let store = store_of(&tape);
    let mut plan = Plan::new(&gpu(), &tape, &store, &BufferPool::default()).unwrap();
    assert!(plan.write(map, &[0.0_f32; 16]).is_err());
    assert!(plan.write(x, &[0.0_f32; 17]).is_err(), "more than the input holds");
    plan.write(x, &[1.0_f32; 16]).unwrap();
    let results = plan.run().unwrap();
    assert_eq!(results.get(logits).unwrap().len(), 2);
    for unkept in [map, x] {
        let error = results.get(unkept).unwrap_err();
        assert!(error.to_string().contains("not kept"), "{error}");
    }
}

#[test]
fn a_plan_wants_the_store_of_its_own_network() {
    let (mut tape, mut other) = (Tape::new(), Tape::new());
    small(&mut tape);
    parameter(&mut other, "p", Shape::vector(3), Layout::Vector);
    let store = store_of(&other);
    assert!(Plan::new(&gpu(), &tape, &store, &BufferPool::default()).is_err());
}

/// Parameters, statistics and losses after three steps on made-up pictures.
fn trained(classes: usize, seed: u32) -> [Vec<u32>; 3] {
    let mut training = Training::new(&Config { size: 32, batch: 4, ..Config::default() }, classes);
    training.write(0..4);
    let losses: Vec<f32> = (0..3).map(|step| training.step(step, seed)).collect();
    let [parameters, states] = [Arena::Parameters, Arena::State].map(|arena| training.read(arena));
    assert!(losses.iter().chain(&parameters).all(|v| v.is_finite()));
    [parameters, states, losses].map(|values| values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn two_runs_give_the_same_bits_and_another_seed_others() {
    for classes in [2, 5] {
        let first = trained(classes, 7);
        assert!(first == trained(classes, 7), "{classes} classes: a second run differs");
        // Dropout and augmentation draw from the seed.
        assert!(first[2] != trained(classes, 8)[2]);
    }
}

/// The training pass of a narrow DenseNet whose third block has `layers` layers.
fn densenet(layers: usize) -> Tape {
    let mut tape = Tape::new();
    let pictures = tape.input(Shape::new(4, 64, 64, 4));
    let net = DenseNet { growth: 8, blocks: [1, 1, layers, 1], init_features: 16, bottleneck: 4 };
    let (classes, dropout, batch_norm) = (5, 0.0, true);
    let config = NetConfig { net: "test".into(), size: 64, classes, dropout, batch_norm, ..NetConfig::default() };
    let mut build = Build::new(&mut tape, pictures, true);
    let logits = net.record(&mut build, pictures, &config).unwrap().logits;
    let seed = tape.input(logits.shape);
    tape.backward(&[(logits, seed)]).unwrap();
    tape
}

/// Channels of `batch_norm`'s first look at its input, summed over the whole pass.
fn channels_looked_at(tape: &Tape) -> usize {
    let statistics = tape.launches().iter().filter(|launch| launch.label() == "batch_norm statistics");
    statistics.map(|launch| launch.operands()[0].0.shape.c).sum()
}

#[test]
fn a_dense_block_copies_nothing_and_takes_each_slices_statistics_once() {
    let tape = densenet(12);
    // The one copy hands the seed to the logits.
    let copies = tape.launches().iter().filter(|launch| launch.op == "copy").count();
    assert_eq!(copies, 1);
    // The stem, then per block its input and what each layer adds, then each layer's 32 channels in between.
    let (growth, layers) = (8, 1 + 1 + 12 + 1);
    let inputs = 16 + (16 + growth) / 2 + (12 + growth) / 2 + (10 + 12 * growth) / 2;
    assert_eq!(channels_looked_at(&tape), 16 + inputs + layers * growth + layers * 4 * growth);
}

#[test]
fn densenets_memory_grows_with_its_depth_and_not_with_its_square() {
    let slots = |layers: usize| Allocation::new(&densenet(layers), true).memory().slots as f64;
    let (first, second) = (slots(40) - slots(20), slots(80) - slots(40));
    // Twice the layers more, twice the memory more; with normalised concatenations it would be four times.
    assert!(second < 2.2 * first, "{first} bytes for 20 layers more, {second} for 40");
}
