//! Frozen layers, two learning rates, clipped and accumulated gradients: what they cost and what they leave alone.

use gatefold::nets::densenet::DenseNet;
use gatefold::nets::inception::Inception;
use gatefold::nets::resnet::{Block, ResNet};
use gatefold::nets::{Build, Freeze, NETS, NetConfig, Recorded};
use gatefold::train::step::{Seed, TrainingStep};
use gatefold::train::{Augmentation, Config, Needs};
use gatefold_engine::ops::input::MixWords;
use gatefold_engine::ops::relu::relu;
use gatefold_engine::params::{ARENA_PIECE, Arena, Layout, ParameterStore};
use gatefold_engine::plan::{Plan, trains};
use gatefold_engine::tape::Tape;
use gatefold_engine::tensor::{Shape, Tensor};

use super::{BufferPool, Training, gpu, modest, parameter, store_of};

fn small() -> Config {
    Config { net: "small".into(), size: 32, batch: 4, ..Config::default() }
}

fn frozen(layer: &str) -> Config {
    Config { freeze: Some(Freeze::from(layer.to_owned())), ..small() }
}

fn needs(config: &Config) -> Needs {
    Needs::of(config, &config.net_config(5), &modest()).unwrap()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

#[test]
fn frozen_layers_stay_as_they_are_and_the_others_learn() {
    for layer in ["conv2", "trunk"] {
        let mut training = Training::new(&frozen(layer), 5);
        let [parameters, states] = [Arena::Parameters, Arena::State].map(|arena| training.read(arena));
        training.write(0..4);
        for step in 0..3 {
            training.step(step, 7);
        }
        let tape = &training.recorded.tape;
        let frozen_words = tape.frozen_words();
        for (offset, spec) in &tape.spec().parameters {
            let range = *offset..offset + spec.shape.len();
            let same = bits(&parameters[range.clone()]) == bits(&training.read(Arena::Parameters)[range]);
            assert_eq!(same, *offset < frozen_words, "--freeze {layer}: {}", spec.name);
        }
        for (offset, spec) in &tape.spec().states {
            let range = *offset..offset + spec.len;
            let same = bits(&states[range.clone()]) == bits(&training.read(Arena::State)[range]);
            let in_frozen = layer == "trunk" || spec.name.starts_with("bn1") || spec.name.starts_with("bn2");
            assert_eq!(same, in_frozen, "--freeze {layer}: {}", spec.name);
        }
        // Gradients and moments are there for the others only.
        let trained = tape.trained_words();
        assert!(trained > 0 && trained + frozen_words == tape.spec().parameter_words());
        for arena in [Arena::Gradients, Arena::Moment1, Arena::Moment2] {
            assert_eq!(training.read(arena).len(), trained);
        }
    }
}

#[test]
fn frozen_layers_cost_no_backward_pass_and_no_gradient_memory() {
    let (all, part, trunk) = (needs(&small()), needs(&frozen("conv2")), needs(&frozen("trunk")));
    assert_eq!((all.frozen_parameters, all.trained_parameters), (0, all.parameters));
    for (more, less) in [(&all, &part), (&part, &trunk)] {
        assert_eq!((more.parameters, less.parameters), (all.parameters, all.parameters));
        assert!(less.trained_parameters < more.trained_parameters);
        assert!(less.launches_per_step < more.launches_per_step && less.flops_per_step < more.flops_per_step);
        assert!(less.peak_bytes < more.peak_bytes && less.activation_bytes < more.activation_bytes);
        // Three numbers for each parameter less, up to what stands between parameters.
        let saved = more.parameter_bytes - less.parameter_bytes;
        let parameters = 12 * (more.trained_parameters - less.trained_parameters) as u64;
        assert!(saved >= parameters && saved < parameters + (8 << 10), "{saved} bytes for {parameters}");
    }
    // Of the trunk only the forward pass is left, and no statistics of batches.
    let config = frozen("trunk");
    let tape = TrainingStep::record(&config, &config.net_config(5), 4).unwrap().tape;
    let labels: Vec<String> = tape.launches().iter().map(gatefold_engine::tape::Launch::label).collect();
    for op in ["relu", "max_pool", "batch_norm"] {
        let passes: Vec<_> = labels.iter().filter(|label| label.starts_with(op)).collect();
        let forward = ["forward", "scale", "normalise"];
        assert!(passes.iter().all(|label| forward.iter().any(|pass| label.ends_with(pass))), "{passes:?}");
    }
    // The head is one dense layer, which is a convolution: nothing asks for its input's gradient.
    assert!(!labels.iter().any(|label| label == "conv2d grad_input"), "{labels:?}");
}

type Record = fn(&mut Build, Tensor, &NetConfig) -> gatefold_engine::Result<Recorded>;

/// All gradients of a narrow network with frozen statistics, and how many words of its parameters are frozen.
fn gradients(record: Record, size: usize, freeze: Option<&str>) -> (Vec<f32>, usize) {
    let mut tape = Tape::new();
    if freeze.is_some() {
        tape.freeze();
    }
    let pictures = tape.input(Shape::new(2, size, size, 4));
    let mut build = Build::new(&mut tape, pictures, true);
    (build.freeze, build.freeze_statistics) = (freeze.map(|layer| Freeze::from(layer.to_owned())), true);
    let net = small().net_config(5);
    let recorded = record(&mut build, pictures, &NetConfig { size, dropout: 0.0, ..net }).unwrap();
    let seed = tape.constant(recorded.logits.shape, (0..10).map(|i| (i as f32 - 4.5).to_bits()).collect());
    tape.backward(&[(recorded.logits, seed)]).unwrap();

    let store = ParameterStore::for_training(&gpu(), tape.spec(), tape.frozen_words()).unwrap();
    let (parameters, states) = tape.spec().initial(1);
    store.write(&gpu(), Arena::Parameters, &parameters).unwrap();
    store.write(&gpu(), Arena::State, &states).unwrap();
    let mut plan = Plan::new(&gpu(), &tape, &store, &BufferPool::default()).unwrap();
    let noise: Vec<f32> = (0..pictures.shape.len()).map(|i| (i as f32 * 0.7).sin()).collect();
    plan.write(pictures, &noise).unwrap();
    plan.poison();
    plan.run().unwrap();
    (store.read(&gpu(), Arena::Gradients).unwrap(), tape.frozen_words())
}

#[test]
fn what_is_not_frozen_gets_the_gradient_that_it_would_get_anyway() {
    let cases: [(Record, usize, &str); 4] = [
        (|b, x, c| ResNet { block: Block::Basic, layers: [1; 4], width: 8, wide: 1 }.record(b, x, c), 32, "layer2.0"),
        (
            |b, x, c| ResNet { block: Block::Bottleneck, layers: [1; 4], width: 8, wide: 1 }.record(b, x, c),
            32,
            "layer3.0",
        ),
        (
            |b, x, c| DenseNet { growth: 8, blocks: [2; 4], init_features: 8, bottleneck: 2 }.record(b, x, c),
            32,
            "features.denseblock2.denselayer1",
        ),
        (|b, x, c| Inception { divisor: 16 }.record(b, x, c), 75, "Mixed_6b"),
    ];
    for (record, size, layer) in cases {
        let ((whole, none), (part, frozen_words)) =
            (gradients(record, size, None), gradients(record, size, Some(layer)));
        assert!(none == 0 && frozen_words > 0 && whole.len() == frozen_words + part.len(), "{layer}");
        assert!(part.iter().any(|g| *g != 0.0) && part.iter().all(|g| g.is_finite()), "{layer}");
        assert!(bits(&whole[frozen_words..]) == bits(&part), "{layer}");
    }
}

#[test]
fn every_network_has_a_trunk_to_freeze_and_statistics_to_leave_alone() {
    for net in NETS {
        let config = Config { net: net.name.into(), size: 75, batch: 2, ..frozen("trunk") };
        let record = |config: &Config| TrainingStep::record(config, &config.net_config(5), 2).unwrap().tape;
        let tape = record(&config);
        let head = tape.spec().count_from(tape.frozen_words());
        assert!(head > 0 && head < tape.spec().parameter_count() / 2, "{}: {head} in the head", net.name);
        // The trunk's own rate has the same border.
        let config = Config { freeze: None, trunk_lr: 0.1, freeze_statistics: true, ..config };
        let tape_of_two = record(&config);
        let rates = tape_of_two.launches().iter().filter(|launch| launch.op == "adam").count();
        // Large arenas lie in several buffers, each with a launch of its own.
        let borders = (tape_of_two.spec().parameter_words() - 1) / ARENA_PIECE;
        assert_eq!((rates, tape_of_two.frozen_words()), (2 + borders, 0), "{}", net.name);
        for tape in [tape, tape_of_two] {
            // Batches would be looked at in these passes. (A norm in the head would do so; none of the heads has one.)
            let passes = ["statistics", "finish", "track"];
            let looked = tape.launches().iter().filter(|l| l.op == "batch_norm" && passes.contains(&l.pass)).count();
            assert_eq!(looked, 0, "{}", net.name);
        }
    }
}

#[test]
fn an_auxiliary_head_takes_part_in_accumulated_steps_with_its_own_weight() {
    let config = Config { net: "inception_v3".into(), size: 299, batch: 2, accumulate: 2, ..Config::default() };
    let step = TrainingStep::record(&config, &config.net_config(5), 2).unwrap();
    let parts: Vec<f32> = step.seeds.iter().map(|seed| seed.part).collect();
    assert_eq!(parts, [1.0, 0.4]);
}

#[test]
fn frozen_statistics_stay_while_scales_and_shifts_are_trained() {
    let mut training = Training::new(&Config { freeze_statistics: true, ..small() }, 5);
    let [parameters, states] = [Arena::Parameters, Arena::State].map(|arena| training.read(arena));
    training.write(0..4);
    training.step(0, 7);
    assert!(bits(&states) == bits(&training.read(Arena::State)));
    let after = training.read(Arena::Parameters);
    for (offset, spec) in &training.recorded.tape.spec().parameters {
        let range = *offset..offset + spec.shape.len();
        assert!(parameters[range.clone()] != after[range], "{} is not trained", spec.name);
    }
}

#[test]
fn a_frozen_parameter_cannot_follow_a_trained_one() {
    let mut tape = Tape::new();
    let weight = parameter(&mut tape, "a", Shape::vector(4), Layout::Vector);
    tape.freeze();
    parameter(&mut tape, "b", Shape::vector(4), Layout::Vector);
    let y = relu(&mut tape, weight);
    let seed = tape.input(y.shape);
    assert!(tape.backward(&[(y, seed)]).unwrap_err().to_string().contains("frozen"));
}

#[test]
fn a_plan_wants_a_store_that_trains_the_same_parameters() {
    let (all, part) = (Training::new(&small(), 5), Training::new(&frozen("conv2"), 5));
    assert!(trains(&all.recorded.tape));
    assert!(Plan::new(&gpu(), &all.recorded.tape, &part.store, &BufferPool::default()).is_err());
    assert!(Plan::new(&gpu(), &part.recorded.tape, &all.store, &BufferPool::default()).is_err());
}

/// How far each parameter of the trunk and of the head goes in a step.
fn way(config: &Config) -> (Vec<f32>, Vec<f32>) {
    let mut training = Training::new(config, 5);
    let before = training.read(Arena::Parameters);
    training.write(0..4);
    training.step(0, 7);
    let mut way: Vec<f32> = training.read(Arena::Parameters).iter().zip(before).map(|(a, b)| a - b).collect();
    let spec = training.recorded.tape.spec();
    let (head, _) = spec.parameters.iter().find(|(_, spec)| spec.name == "fc.weight").unwrap();
    let head = way.split_off(*head);
    (way, head)
}

fn norm(values: &[f32]) -> f64 {
    values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>().sqrt()
}

fn relative_error(values: &[f32], expected: &[f32]) -> f64 {
    assert_eq!(values.len(), expected.len());
    let difference: Vec<f32> = values.iter().zip(expected).map(|(a, b)| a - b).collect();
    norm(&difference) / norm(expected)
}

#[test]
fn the_trunk_goes_slower_by_its_factor_and_the_head_as_fast() {
    let ((trunk, head), (slow_trunk, same_head)) = (way(&small()), way(&Config { trunk_lr: 0.125, ..small() }));
    assert!(bits(&head) == bits(&same_head));
    let expected: Vec<f32> = trunk.iter().map(|v| 0.125 * v).collect();
    // The way is a small difference of large numbers.
    assert!(relative_error(&slow_trunk, &expected) < 1e-3);
}

#[test]
fn clipping_changes_the_step_and_not_the_norm_that_is_told() {
    let run = |clip: Option<f32>| {
        let mut training = Training::new(&Config { clip, ..small() }, 5);
        training.write(0..4);
        training.write_step(0, 7);
        let norm = training.phases(0..1);
        (norm, training.read(Arena::Moment1))
    };
    let ((norm, moment), (same_norm, clipped)) = (run(None), run(Some(0.01)));
    assert!(norm > 0.02 && norm.to_bits() == same_norm.to_bits(), "{norm} {same_norm}");
    let factor = 0.01 / (norm + 1e-6);
    let expected: Vec<f32> = moment.iter().map(|m| m * factor).collect();
    assert!(relative_error(&clipped, &expected) < 1e-6);
    // A norm below the limit leaves the gradient as it is.
    assert!(bits(&run(Some(2.0 * norm)).1) == bits(&moment));
}

/// Without what looks at a whole batch or draws random numbers.
fn plain(batch: usize, accumulate: usize) -> Config {
    let augment = Augmentation::default();
    Config { net: "prognet".into(), batch_norm: false, dropout: 0.0, augment, batch, accumulate, ..small() }
}

/// Where there is no room to keep what frozen layers make of covers, all phases run for each batch.
#[test]
fn a_frozen_start_that_is_not_kept_is_computed_in_each_step() {
    let nothing_changes = |shift: f32, accumulate: usize| Config {
        augment: Augmentation { shift, ..Augmentation::default() },
        accumulate,
        ..frozen("conv2")
    };
    // A shift of less than half a pixel moves nothing, and has nothing kept.
    let [held, plain] = [0.0, 0.001].map(|shift| {
        let mut training = Training::new(&nothing_changes(shift, 1), 5);
        training.write(0..4);
        let losses: Vec<f32> = (0..3).map(|step| training.step(step, 7)).collect();
        (training.recorded.held.len(), bits(&losses), bits(&training.read(Arena::Parameters)))
    });
    assert!(held.0 == 1 && plain.0 == 0 && held.1 == plain.1 && held.2 == plain.2);

    let runs = |shift: f32, accumulate: usize| {
        let step = Training::new(&nothing_changes(shift, accumulate), 5).recorded;
        [(false, false), (false, true), (true, false), (true, true)].map(|(kept, ends)| step.phases(kept, ends))
    };
    assert_eq!(runs(0.0, 2), [0..2, 0..3, 1..2, 1..3]);
    assert_eq!(runs(0.001, 2)[..2], [0..1, 0..2]);
    assert_eq!(runs(0.0, 1), [0..2, 0..2, 1..2, 1..2]);
}

#[test]
fn mixed_labels_give_the_mix_of_their_gradients() {
    let augment = Augmentation { mixup: 1.0, ..Augmentation::default() };
    let mut training = Training::new(&Config { augment, ..plain(4, 1) }, 5);
    training.write(0..4);
    training.write_step(0, 7);
    let recorded = &training.recorded;
    let mixed = recorded.mixed.unwrap();
    let seeds = [false, true].map(|of_partners| {
        let seed = recorded.seeds.iter().find(|seed| seed.of_partners == of_partners).unwrap();
        assert_eq!(seed.part, 1.0);
        seed.value
    });
    // The pictures are the same three times: half of each is its partner's. Only what the labels count changes.
    training.plan.write(mixed.mix.words, &[MixWords { share: 0.5, ..MixWords::default() }]).unwrap();
    training.plan.write(mixed.mix.partners, &[2_u32, 3, 0, 1]).unwrap();
    training.plan.write(mixed.labels, &[4_u32, 0, 1, 1]).unwrap();
    training.plan.write(mixed.weights, &[1.0_f32; 4]).unwrap();
    let mut gradient = |own: f32| {
        for (seed, share) in seeds.into_iter().zip([own, 1.0 - own]) {
            training.plan.write(seed, &[share]).unwrap();
        }
        training.store.write(&gpu(), Arena::Parameters, &training.recorded.tape.spec().initial(1).0).unwrap();
        training.phases(0..1);
        training.read(Arena::Gradients)
    };
    let [own, partners, between] = [1.0, 0.0, 0.75].map(&mut gradient);
    let expected: Vec<f32> = own.iter().zip(&partners).map(|(own, other)| 0.75 * own + 0.25 * other).collect();
    assert!(relative_error(&own, &partners) > 0.1);
    assert!(relative_error(&between, &expected) < 2e-6, "{:.1e}", relative_error(&between, &expected));
}

#[test]
fn two_batches_give_the_gradient_of_one_twice_as_large() {
    let mut whole = Training::new(&plain(8, 1), 5);
    whole.write(0..8);
    // Five pictures that count: four in the first batch, one in the second.
    let weights = [1.0_f32, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
    whole.plan.write(whole.recorded.weights, &weights).unwrap();
    whole.write_step(0, 7);
    let norm = whole.phases(0..1);

    let mut halves = Training::new(&plain(4, 2), 5);
    assert_eq!((whole.recorded.tape.phases().len(), halves.recorded.tape.phases().len()), (1, 2));
    halves.write_step(0, 7);
    let seed = match halves.recorded.seeds[..] {
        [Seed { value, part: 1.0, .. }] => value,
        ref seeds => panic!("{seeds:?}"),
    };
    // Twice, so that what the first step leaves behind would show.
    for round in 0..2 {
        if round == 1 {
            halves.store.write(&gpu(), Arena::Parameters, &halves.recorded.tape.spec().initial(1).0).unwrap();
            for moment in [Arena::Moment1, Arena::Moment2] {
                halves.store.write(&gpu(), moment, &vec![0.0; halves.recorded.tape.trained_words()]).unwrap();
            }
        }
        for half in 0..2 {
            halves.write(4 * half..4 * half + 4);
            halves.plan.write(halves.recorded.weights, &weights[4 * half..4 * half + 4]).unwrap();
            halves.plan.write(seed, &[[0.8_f32, 0.2][half]]).unwrap();
            halves.phases(0..1);
        }
        let error = relative_error(&halves.read(Arena::Gradients), &whole.read(Arena::Gradients));
        assert!(error < 2e-6, "round {round}: off by {error:.1e}");
        let half_norm = halves.phases(1..2);
        assert!((half_norm / norm - 1.0).abs() < 1e-6, "{half_norm} instead of {norm}");
        let error = relative_error(&halves.read(Arena::Moment1), &whole.read(Arena::Moment1));
        assert!(error < 2e-6, "round {round}: moments off by {error:.1e}");
        assert!(halves.read(Arena::Gradients).iter().all(|g| *g == 0.0), "not cleared for the next step");
    }
}

#[test]
fn an_accumulated_step_is_told_as_what_it_launches() {
    let (one, four) = (needs(&plain(4, 1)), needs(&plain(4, 4)));
    let config = plain(4, 4);
    let tape = TrainingStep::record(&config, &config.net_config(5), 4).unwrap().tape;
    let phases: Vec<usize> = tape.phases().into_iter().map(|phase| phase.len()).collect();
    assert_eq!(four.launches_per_step, 4 * phases[0] + phases[1]);
    // Norm and optimiser come once, and clearing comes on top.
    let of = |needs: &Needs, op: &str| needs.ops.iter().find(|o| o.op == op).map_or(0, |o| o.launches);
    assert_eq!((of(&one, "adam"), of(&four, "adam")), (1, 1));
    assert_eq!((of(&one, "fill"), of(&four, "fill")), (0, 1));
    assert_eq!(of(&four, "input"), 4 * of(&one, "input"));
    assert!(four.flops_per_step > 3 * one.flops_per_step && four.flops_per_step < 4 * one.flops_per_step);
    // It takes no more memory than one batch, but for a few words.
    assert!(four.peak_bytes < one.peak_bytes + (4 << 10), "{} {}", four.peak_bytes, one.peak_bytes);
}

#[test]
fn what_is_needed_adds_up_and_the_largest_tensors_have_names() {
    for config in [small(), frozen("conv3"), plain(4, 2)] {
        let needs = needs(&config);
        assert_eq!(needs.peak_bytes, needs.parameter_bytes + needs.activation_bytes + needs.input_bytes);
        assert_eq!(needs.launches_per_step, needs.ops.iter().map(|op| op.launches).sum::<usize>());
        assert_eq!(needs.flops_per_step, needs.ops.iter().map(|op| op.flops).sum::<u64>());
        let tensors = &needs.largest_tensors;
        assert_eq!((tensors.len(), tensors[0].bytes), (10, needs.largest_tensor_bytes));
        assert!(tensors.windows(2).all(|pair| pair[0].bytes >= pair[1].bytes));
        for tensor in tensors {
            assert_eq!(tensor.bytes, 4 * tensor.shape.iter().product::<usize>() as u64);
        }
    }
    let named = |config: &Config, what: &str| {
        let tensors = needs(config).largest_tensors;
        assert!(tensors.iter().any(|tensor| tensor.what == what), "no {what} in {tensors:?}");
    };
    for what in ["conv1", "gradient of conv1", "gradient of conv2d forward (conv1)"] {
        named(&Config { batch: 64, ..small() }, what);
    }
    for what in ["conv2d grad_weight (conv7)", "all parameters together"] {
        named(&plain(4, 2), what);
    }
}

#[test]
fn settings_that_leave_nothing_to_do_are_bad_input() {
    let refused = |config: Config| {
        let error = Needs::of(&config, &config.net_config(5), &modest()).unwrap_err();
        assert_eq!(error.exit_code(), 2, "{error}");
        error.to_string()
    };
    let unknown = refused(frozen("conv9"));
    assert!(
        unknown.starts_with("--freeze conv9: ") && unknown.contains("trunk, conv1, conv2, conv3, conv4"),
        "{unknown}"
    );
    let both = refused(Config { trunk_lr: 0.1, ..frozen("trunk") });
    assert!(both.starts_with("--trunk-lr 0.1: ") && both.contains("--freeze"), "{both}");
    let none = refused(Config { freeze_statistics: true, batch_norm: false, ..small() });
    assert!(none.starts_with("--freeze-statistics: small has no batch-norms"), "{none}");
}

#[test]
fn a_frozen_tape_without_a_training_part_is_as_before() {
    let mut tape = Tape::new();
    tape.freeze();
    parameter(&mut tape, "a", Shape::vector(4), Layout::Vector);
    assert_eq!((tape.frozen_words(), tape.trained_words()), (tape.spec().parameter_words(), 0));
    assert_eq!(store_of(&tape).frozen_words(), None);
}
