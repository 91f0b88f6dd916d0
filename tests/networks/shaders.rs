//! Every kernel that whole networks launch, in training, in inference and in mixed precision: what `kernels-tests/tests/shaders.rs`
//! asks of the kernels that rows launch.

use gatefold::nets::NETS;
use gatefold::nets::forward::{Taps, recorded};
use gatefold::train::step::TrainingStep;
use gatefold::train::{Config, Precision};
use gatefold_engine::tape::{Launch, Tape};
use kernels_tests::translate::{Target, translate};
use kernels_tests::{OPS, shaders};

/// Those of every network's training step and inference.
fn launches() -> Vec<Launch> {
    let mut launches = vec![];
    for (net, classes) in NETS.iter().flat_map(|net| [(net, 2), (net, 5)]) {
        // What the options of fine-tuning add comes with one of the two.
        let (accumulate, clip) = if classes == 2 { (1, None) } else { (2, Some(1.0)) };
        let config =
            Config { net: net.name.into(), size: net.smallest, batch: 2, accumulate, clip, ..Config::default() };
        let step = TrainingStep::record(&config, &config.net_config(classes), config.batch).expect(net.name);
        launches.extend(step.tape.launches().to_vec());
        let header = (config.mean, config.std);
        let inference = recorded(&config.net_config(classes), config.size, header, 2, Taps::None).expect(net.name);
        launches.extend(inference.tape.launches().to_vec());
    }
    launches
}

#[test]
fn every_kernel_of_every_network_is_valid_and_bound_as_its_op_declares() {
    let launches = launches();
    for launch in &launches {
        assert!(OPS.contains(&launch.op), "{} is of no op that has a reference", launch.label());
    }
    let (variants, mut faults) = shaders::faults(&launches);
    faults.extend(shaders::faults_in_pairs(&launches).1);
    faults.extend(shaders::without_plain_kernel(&launches));
    let without_epilogue = shaders::without_epilogue(&launches).1;
    faults.extend(without_epilogue.into_iter().map(|path| format!("{path} does not import its epilogue")));
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(variants > 40, "only {variants} variants");
}

#[test]
fn every_kernel_of_a_step_in_mixed_precision_is_valid() {
    let step = |net: &str, size: usize| {
        let precision = Precision::Mixed;
        let config = Config { net: net.into(), size, batch: 2, precision, ..Config::default() };
        TrainingStep::record(&config, &config.net_config(5), config.batch).expect(net).tape
    };
    let tapes: Vec<Tape> = NETS.iter().map(|net| step(net.name, net.smallest)).collect();
    let (kernels, faults) = shaders::faults_with_halves(&tapes);
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(kernels > 40, "only {kernels} kernels");
}

#[test]
fn every_kernel_of_every_network_translates_to_what_every_back_end_compiles() {
    let mut all: Vec<(Launch, Vec<u32>)> = launches().into_iter().map(|launch| (launch, vec![])).collect();
    for net in NETS {
        let config = Config {
            net: net.name.into(),
            size: net.smallest,
            batch: 2,
            precision: Precision::Mixed,
            ..Config::default()
        };
        let tape = TrainingStep::record(&config, &config.net_config(5), config.batch).expect(net.name).tape;
        for launch in tape.launches() {
            let operands = (1..).zip(launch.operands());
            let halves = operands.filter(|(_, (t, _))| tape.is_half(*t)).map(|(number, _)| number).collect();
            all.push((launch.clone(), halves));
        }
    }
    let translated = translate(&all, None).unwrap();
    let faults = &translated.faults;
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    assert!(translated.counts[&Target::Msl] > 400, "{:?}", translated.counts);
}
