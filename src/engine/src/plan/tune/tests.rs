//! A tuner that is handed wrong kernels, damaged files and no time.

use std::collections::HashSet;
use std::fs;
use std::sync::{Arc, OnceLock};

use super::*;
use crate::gpu::{AdapterSummary, BufferPool, GpuOptions};
use crate::ops::batch_norm::{BatchNorm, batch_norm};
use crate::ops::conv2d::conv2d;
use crate::ops::copy::copy;
use crate::ops::flatten::flatten;
use crate::ops::loss::Targets;
use crate::ops::max_pool::max_pool;
use crate::ops::relu::relu;
use crate::ops::softmax_cross_entropy::softmax_cross_entropy;
use crate::ops::window::Window;
use crate::params::ParameterStore;
use crate::plan::Plan;
use crate::shader;
use crate::tensor::{Shape, Tensor};

fn gpu() -> Arc<Gpu> {
    static GPU: OnceLock<Arc<Gpu>> = OnceLock::new();
    Arc::clone(GPU.get_or_init(|| Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap())))
}

/// A 3x3 convolution and its result.
fn convolution() -> (Tape, Tensor, [Tensor; 2]) {
    let mut tape = Tape::new();
    let x = tape.input(Shape::new(2, 9, 11, 8));
    let weight = tape.input(Shape::new(3, 3, 8, 12));
    let y = conv2d(&mut tape, x, weight, None, Window::square(3, 1, 1)).unwrap();
    tape.keep(y);
    (tape, y, [x, weight])
}

/// Puts a kernel in front that compiles, is fast, and computes something else: one that writes only every other number.
fn plant_a_wrong_kernel(tape: &mut Tape) -> String {
    let launch = tape.launches.iter_mut().find(|launch| launch.op == "conv2d").unwrap();
    let plain = launch.kernels.last().unwrap().clone();
    let mut wrong = plain.clone().def("WRONG", 1);
    wrong.constants.iter_mut().find(|(name, _)| *name == "PAD_LEFT").unwrap().1 += 1;
    wrong.needs.software = Some(gpu().adapter().lavapipe);
    assert_eq!(wrong.shader, shader!("conv2d/forward_plain.wgsl"));
    let variant = wrong.variant();
    launch.kernels.insert(0, wrong);
    variant
}

fn tune(tape: &Tape, choices: &mut Choices, budget: Duration) -> (Report, Vec<Event>) {
    let mut events = vec![];
    let mut listen = |event| events.push(event);
    let gpu = gpu();
    let report = Tuner { gpu: &gpu, budget, listen: &mut listen }.tune(tape, choices).unwrap();
    (report, events)
}

fn only_choice(choices: &Choices, tape: &Tape) -> String {
    choices.kernels[&key(tape, &tape.launches[0])].clone()
}

const PLENTY: Duration = Duration::from_secs(600);

#[test]
fn a_wrong_kernel_is_refused_said_once_and_never_taken() {
    let (mut tape, y, inputs) = convolution();
    let wrong = plant_a_wrong_kernel(&mut tape);
    let mut choices = Choices::new(gpu().adapter());
    let (report, events) = tune(&tape, &mut choices, PLENTY);
    assert_eq!(report, Report { timed: 1, unreached: 0, known: 0 });
    let refused: Vec<_> = events.iter().filter(|event| matches!(event, Event::Refused { .. })).collect();
    assert!(
        matches!(refused[..], [Event::Refused { variant, why, .. }] if *variant == wrong && why.contains("differ"))
    );
    assert_ne!(only_choice(&choices, &tape), wrong);

    // The rule alone would take it; with the choices the numbers are those of the tape without it.
    let store = ParameterStore::new(&gpu(), tape.spec(), false).unwrap();
    let run = |tape: &Tape, choice: Choice| {
        let mut plan = Plan::with_choice(&gpu(), tape, &store, &BufferPool::default(), choice).unwrap();
        for input in inputs {
            let numbers: Vec<f32> = (0..input.shape.len()).map(|i| ((i * 37) % 101) as f32 / 50.0 - 1.0).collect();
            plan.write(input, &numbers).unwrap();
        }
        plan.run().unwrap().get(y).unwrap()
    };
    let right = run(&convolution().0, Choice::Number(usize::MAX));
    let wide = |numbers: &[f32]| numbers.iter().map(|&v| f64::from(v)).collect::<Vec<_>>();
    let apart = |numbers: Vec<f32>| distance(&wide(&numbers), &wide(&right));
    assert!(apart(run(&tape, Choice::Rule)) > 0.1);
    assert!(apart(run(&tape, Choice::Tuned(&choices))) < 1e-6);

    // A second time nothing is tried.
    let before = choices.clone();
    let (report, events) = tune(&tape, &mut choices, PLENTY);
    assert_eq!((report, events.len()), (Report { timed: 0, unreached: 0, known: 1 }, 0));
    assert_eq!(choices, before);
}

#[test]
fn without_time_the_rule_holds_and_is_kept() {
    let (tape, ..) = convolution();
    let mut choices = Choices::new(gpu().adapter());
    let (report, _) = tune(&tape, &mut choices, Duration::ZERO);
    assert_eq!(report, Report { timed: 0, unreached: 1, known: 0 });
    let rule = choose(&tape, &tape.launches[0], gpu().adapter(), Choice::Rule).unwrap().variant();
    assert_eq!(only_choice(&choices, &tape), rule);
    // What a run keeps is what its tape takes.
    assert_eq!(choices.of_tapes(&[&tape]), choices);
    assert!(choices.of_tapes(&[]).is_empty());
}

#[test]
fn what_ended_a_program_is_not_offered_in_any_shape() {
    let adapter = gpu();
    let adapter = adapter.adapter();
    let (tape, ..) = convolution();
    let taken = |adapter: &AdapterSummary| choose(&tape, &tape.launches[0], adapter, Choice::Rule).map(Kernel::variant);
    let mut without = adapter.clone();
    let all = admissible(&tape, &tape.launches[0], adapter).len();
    for left in (1..all).rev() {
        without.refused.insert(taken(&without).unwrap());
        assert_eq!(admissible(&tape, &tape.launches[0], &without).len(), left);
        assert!(!without.refused.contains(&taken(&without).unwrap()));
    }
    without.refused.insert(taken(&without).unwrap());
    assert!(taken(&without).unwrap_err().to_string().contains("ended earlier starts"));
}

#[test]
fn files_come_back_and_bad_ones_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(gpu().adapter().cache_name("tune", "json"));
    let (adapter, (tape, ..)) = (gpu(), convolution());
    let adapter = adapter.adapter();
    assert_eq!(Choices::read(&file, adapter), Ok(None));
    let mut choices = Choices::new(adapter);
    tune(&tape, &mut choices, Duration::ZERO);
    fs::write(&file, choices.to_json().unwrap()).unwrap();
    assert_eq!(Choices::read(&file, adapter), Ok(Some(choices)));

    let text = fs::read_to_string(&file).unwrap();
    let newer = adapter.driver.clone() + " and newer";
    let other = AdapterSummary { driver: newer, ..adapter.clone() };
    assert!(Choices::read(&file, &other).unwrap_err().contains("another adapter or driver"));
    assert_ne!(other.cache_name("tune", "json"), adapter.cache_name("tune", "json"));
    fs::write(&file, &text[..text.len() / 2]).unwrap();
    assert!(Choices::read(&file, adapter).unwrap_err().contains("damaged"));
    fs::write(&file, text.replace("\"format\": 1", "\"format\": 7")).unwrap();
    assert!(Choices::read(&file, adapter).unwrap_err().contains("format 7"));
}

#[test]
fn rounding_the_weights_is_tolerated_and_seen() {
    let Some(side) = gpu().adapter().cooperative_matrix else { return };
    let mut tape = Tape::new();
    tape.keep_halves(true);
    let whole = tape.input(Shape::new(2, 9, 11, 8));
    let x = copy(&mut tape, whole);
    let weight = tape.input(Shape::new(3, 3, 8, 12));
    let y = conv2d(&mut tape, x, weight, None, Window::square(3, 1, 1)).unwrap();
    let number = tape.launches.iter().position(|launch| launch.op == "conv2d").unwrap();
    let offered = |tape: &Tape| {
        let kernels = admissible(tape, &tape.launches[number], gpu().adapter());
        kernels.iter().any(|kernel| kernel.needs.cooperative.is_some())
    };
    assert!(offered(&tape));
    // Where the sums are kept in full, nothing but the weights is rounded, and nobody may choose it.
    tape.keep_full(y);
    assert!(!offered(&tape));
    let launch = &tape.launches[number];
    let matrix = launch.kernels.iter().find(|kernel| kernel.needs.cooperative == Some(side)).unwrap();
    let gpu = gpu();
    let bench = Bench::new(&gpu, &tape, number).unwrap();
    let run = |kernel: &Kernel| bench.run(&bench.trial.prepare(kernel).unwrap()).unwrap();
    let plain = run(launch.kernels.last().unwrap());
    let error = distance(&run(matrix).numbers, &plain.numbers);
    assert!(error > 10.0 * TOLERANCE && 4.0 * error < HALF_TOLERANCE, "{error}");
    assert!(bench.try_kernel(matrix, &plain, false).is_err() && bench.try_kernel(matrix, &plain, true).is_ok());
}

#[test]
fn every_launch_with_several_kernels_is_tuned() {
    let mut tape = Tape::new();
    let x = tape.input(Shape::new(2, 8, 8, 8));
    tape.require_grad(x);
    // Its kernels take the root of a variance, which must not be negative.
    let vector = |tape: &mut Tape| tape.input(Shape::vector(8));
    let [gamma, beta, running_mean, running_var] = [(); 4].map(|()| vector(&mut tape));
    let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
    let y = batch_norm(&mut tape, x, &norm, true).unwrap();
    let y = relu(&mut tape, y);
    // Its argmax are bytes up to 255, four to a word: as floats, some would be NaN.
    let wide = tape.input(Shape::new(2, 40, 40, 8));
    tape.require_grad(wide);
    let pooled = max_pool(&mut tape, wide, Window::square(16, 1, 0)).unwrap();
    let y = max_pool(&mut tape, y, Window::square(2, 2, 0)).unwrap();
    let logits = flatten(&mut tape, y);
    let targets = Targets::inputs(&mut tape, 2);
    let loss = softmax_cross_entropy(&mut tape, logits, &targets, None, 0.0).unwrap().loss;
    let one = tape.constant(loss.shape, vec![1_f32.to_bits()]);
    let upstream = tape.input(pooled.shape);
    tape.backward(&[(loss, one), (pooled, upstream)]).unwrap();
    let mut choices = Choices::new(gpu().adapter());
    let (report, events) = tune(&tape, &mut choices, PLENTY);
    assert!(events.iter().all(|event| matches!(event, Event::Progress { .. })), "{events:?}");
    // Kernels for GPUs are not tried on software adapters.
    let gpu = gpu();
    let able = |kernel: &&Kernel| !gpu.adapter().lavapipe || kernel.needs.software != Some(false);
    let candidates = |launch: &&Launch| admissible(&tape, launch, gpu.adapter()).into_iter().filter(able).count();
    let several: Vec<&Launch> = tape.launches.iter().filter(|launch| candidates(launch) > 1).collect();
    assert!(several.iter().all(|launch| launch.kernels.len() > 1) && several.len() >= 4, "{}", several.len());
    let keys: HashSet<String> = several.iter().map(|launch| key(&tape, launch)).collect();
    assert!(keys.iter().all(|key| choices.kernels.contains_key(key)));
    assert_eq!((report.timed, report.unreached), (keys.len(), 0));
}
