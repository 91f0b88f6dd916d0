//! Epilogues change no number, and save launches and memory.

use gatefold::nets::{self, NETS, NetConfig};
use gatefold::train::Config;
use gatefold::train::step::TrainingStep;
use gatefold_engine::gpu::BufferPool;
use gatefold_engine::params::{Arena, ParameterStore};
use gatefold_engine::plan::{Allocation, Choice, Plan, launches_needed, taken, trains};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use super::gpu;
use super::training::Training;

/// The same operations in the same order. A GPU's compiler may still contract a product and a sum where it sees both at once, so
/// that only a software adapter, which does not, owes the same bits.
fn assert_same(name: &str, apart: &[f32], fused: &[f32]) {
    if gpu().adapter().software {
        let bits = |values: &[f32]| values.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert!(bits(apart) == bits(fused), "{name}: other bits");
    } else {
        let size = apart.iter().map(|v| v.abs()).fold(0.0, f32::max);
        let off = apart.iter().zip(fused).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off <= 1e-4 * size, "{name}: off by {off} of {size}");
    }
}

/// The same but for the order of sums.
fn assert_close(name: &str, apart: &[f32], fused: &[f32]) {
    let norm = |values: &mut dyn Iterator<Item = f32>| values.map(|v| f64::from(v).powi(2)).sum::<f64>().sqrt();
    let off = norm(&mut apart.iter().zip(fused).map(|(a, b)| a - b));
    let size = norm(&mut apart.iter().copied());
    assert!(off <= 1e-3 * size, "{name}: off by {off} of {size}");
}

#[test]
fn a_fused_training_step_is_the_step_of_single_launches() {
    for (net, accumulate) in [("prognet", 1), ("prognet", 2), ("resnet18", 1), ("resnet50", 1)] {
        let size = NETS.iter().find(|known| known.name == net).unwrap().smallest;
        let config = Config { net: net.into(), size, batch: 2, dropout: 0.3, accumulate, ..Config::default() };
        let net_config = config.net_config(3);
        let apart = TrainingStep::record_keeping(&config, &net_config, 2).unwrap();
        let mut fused = TrainingStep::record_keeping(&config, &net_config, 2).unwrap();
        let saved = fused.tape.fuse();
        let run = |step: &TrainingStep| {
            launches_needed(&step.tape, gpu().adapter()).unwrap().into_iter().filter(|needed| *needed).count()
        };
        // `saved` counts the statistics of all maps whose kernel could keep them. On adapters without subgroups of 8, or in mixed
        // precision on a GPU, some kernels keep none, and the launch that makes them stays.
        let taken = taken(&fused.tape, gpu().adapter(), Choice::Rule).unwrap();
        let keeps_none = fused.tape.launches().iter().zip(taken).filter(|(launch, kernel)| {
            launch.kernels.iter().any(|k| k.keeps_statistics) && kernel.is_some_and(|k| !k.keeps_statistics)
        });
        assert_eq!(run(&fused) + saved, run(&apart) + keeps_none.count(), "{net}");
        assert_eq!(fused.tape.phases().len(), accumulate.min(2));
        assert!(saved > 0, "{net}: nothing is fused");
        let slots = [&apart, &fused].map(|step| Allocation::new(&step.tape, true).memory().slots);
        // The packing of what lives may come out a little worse by chance.
        assert!(slots[1] <= slots[0] + slots[0] / 100, "{net}: {slots:?} bytes");

        // Keeping statistics adds up in another order. The last kernels keep none.
        let choice = if net == "prognet" { Choice::Rule } else { Choice::Number(usize::MAX) };
        let [apart, fused] = [apart, fused].map(|step| {
            let mut training = Training::with_choice(step, &config, choice);
            training.write(0..2);
            let losses: Vec<f32> = (1..3).map(|step| training.step(step, 7)).collect();
            let words = [Arena::Parameters, Arena::State, Arena::Gradients].map(|arena| training.read(arena));
            [vec![losses], words.to_vec()].concat()
        });
        for (apart, fused) in apart.iter().zip(&fused) {
            assert_same(net, apart, fused);
        }
    }
}

/// Losses and running statistics of one step. Gradients are for the rows of `kernels-tests`: of two pictures, a network this deep
/// multiplies what another order of sums leaves.
#[test]
fn statistics_that_convolutions_keep_are_those_of_the_launches() {
    for net in ["resnet18", "resnet50", "densenet121"] {
        let config = Config { net: net.into(), size: 64, batch: 2, ..Config::default() };
        let net_config = config.net_config(3);
        let apart = TrainingStep::record_keeping(&config, &net_config, 2).unwrap();
        let mut fused = TrainingStep::record_keeping(&config, &net_config, 2).unwrap();
        fused.tape.fuse();
        let needed = launches_needed(&fused.tape, gpu().adapter()).unwrap();
        let left_out = fused.tape.launches().iter().zip(&needed).filter(|(_, needed)| !**needed);
        let keeps = left_out.map(|(launch, _)| launch.label()).any(|label| label == "batch_norm statistics");
        // The kernels for software adapters with other subgroups keep none.
        assert_eq!(keeps, !gpu().adapter().software || gpu().adapter().subgroups_of(8), "{net}");
        let [apart, fused] = [apart, fused].map(|step| {
            let mut training = Training::of(step, &config);
            training.write(0..2);
            [vec![training.step(1, 7)], training.read(Arena::State)]
        });
        for (apart, fused) in apart.iter().zip(&fused) {
            assert_close(net, apart, fused);
        }
    }
}

/// A network's forward pass in inference with its logits kept.
fn inference(net: &NetConfig) -> (Tape, Tensor, Tensor) {
    let mut tape = Tape::new();
    tape.freeze();
    let pictures = tape.input(Shape::new(2, net.size, net.size, 4));
    let logits = nets::record(&mut tape, pictures, net, false).unwrap().logits;
    tape.keep(logits);
    (tape, pictures, logits)
}

fn logits(tape: &Tape, pictures: Tensor, logits: Tensor) -> Vec<f32> {
    let store = ParameterStore::new(&gpu(), tape.spec(), trains(tape)).unwrap();
    let (parameters, states) = tape.spec().initial(1);
    store.write(&gpu(), Arena::Parameters, &parameters).unwrap();
    // Statistics that do something.
    let states: Vec<f32> = (0..).zip(&states).map(|(i, v)| v + 0.01 * (i % 7) as f32).collect();
    if !states.is_empty() {
        store.write(&gpu(), Arena::State, &states).unwrap();
    }
    let mut plan = Plan::new(&gpu(), tape, &store, &BufferPool::default()).unwrap();
    let picture: Vec<f32> = (0..pictures.shape.len()).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect();
    plan.write(pictures, &picture).unwrap();
    plan.poison();
    plan.run().unwrap().get(logits).unwrap()
}

#[test]
fn fused_inference_gives_the_logits_of_single_launches() {
    for net in NETS {
        let net_config = Config { net: net.name.into(), size: net.smallest, ..Config::default() }.net_config(3);
        let (apart, pictures, out) = inference(&net_config);
        let expected = logits(&apart, pictures, out);
        assert!(expected.iter().all(|v| v.is_finite() && *v != 0.0), "{}: {expected:?}", net.name);
        let (mut fused, pictures, out) = inference(&net_config);
        let saved = fused.fuse();
        assert!(saved > 0, "{}: nothing is fused", net.name);
        assert_same(net.name, &expected, &logits(&fused, pictures, out));
        if net.name == "resnet50" {
            // No batch-norm is left but for the scales: all have become ends of their convolutions, and so have the sums.
            let passes: Vec<_> = fused.launches().iter().map(|launch| (launch.op, launch.pass)).collect();
            assert!(!passes.contains(&("batch_norm", "normalise")) && !passes.iter().any(|(op, _)| *op == "add"));
        }
    }
}

#[test]
fn what_others_read_stays_as_it_is() {
    let net = Config { net: "resnet18".into(), size: 32, ..Config::default() }.net_config(3);
    let (mut all, _, _) = inference(&net);
    let saved = all.fuse();
    let (mut tape, _, _) = inference(&net);
    // The map between a convolution and its batch-norm is wanted.
    let between = tape.launches().iter().find(|launch| launch.op == "conv2d").unwrap().operands().last().unwrap().0;
    tape.keep(between);
    assert_eq!(tape.fuse(), saved - 1);
    assert!(tape.launches().iter().any(|launch| launch.operands().iter().any(|(tensor, _)| *tensor == between)));
}
