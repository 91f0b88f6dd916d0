//! The layouts of all networks: no two values that live at one time share storage, and slots are hardly more than what lives.

use gatefold::nets::forward::{Taps, recorded};
use gatefold::nets::{Freeze, NETS};
use gatefold::train::Config;
use gatefold::train::step::TrainingStep;
use gatefold_engine::plan::Allocation;
use gatefold_engine::tape::Tape;

use crate::lifetimes::check;

fn training_step(net: &str, size: usize, freeze: Option<Freeze>) -> Tape {
    let config = Config { net: net.into(), size, batch: 3, freeze, ..Config::default() };
    TrainingStep::record(&config, &config.net_config(5), config.batch).unwrap().tape
}

#[test]
fn values_that_live_at_one_time_never_share_a_word_in_any_network() {
    for net in NETS {
        for size in [net.smallest, 150] {
            let tape = training_step(net.name, size, None);
            check(&Allocation::new(&tape, true), &tape).unwrap();
        }
        let config = Config { net: net.name.into(), size: 150, ..Config::default() };
        let forward = recorded(&config.net_config(5), 150, (config.mean, config.std), 3, Taps::None).unwrap();
        check(&Allocation::new(&forward.tape, false), &forward.tape).unwrap();
    }
    let frozen = training_step("resnet18", 64, Some(Freeze::Trunk));
    check(&Allocation::new(&frozen, true), &frozen).unwrap();
}

#[test]
fn storage_is_reused_and_slots_are_hardly_more_than_what_lives_at_the_busiest_launch() {
    for net in NETS {
        let tape = training_step(net.name, 224, None);
        let layout = Allocation::new(&tape, true);
        let (slots, lives) = (layout.memory().slots, check(&layout, &tape).unwrap());
        let busiest = lives.busiest;
        assert!(slots >= busiest && 4 * slots <= 5 * busiest, "{}: {slots} bytes, {busiest} live at once", net.name);
    }
    let tape = training_step("prognet", 150, None);
    let layout = Allocation::new(&tape, true);
    let (slots, total) = (layout.memory().slots, check(&layout, &tape).unwrap().total);
    assert!(slots < total * 3 / 4, "{slots} of {total} bytes");
}

/// A GPU's reductions are cut into more parts than a processor's, and come to the same.
#[test]
fn reductions_are_cut_for_the_adapter() {
    let gpu = crate::gpu();
    let mut of_gpus = gpu.adapter().clone();
    of_gpus.software = false;
    let config = Config { net: "small".into(), size: 32, batch: 4, ..Config::default() };
    let net = config.net_config(5);
    let parts = |step: &TrainingStep| {
        let sums = step.tape.launches().iter().filter(|launch| launch.label().contains("sum_splits"));
        sums.map(|launch| launch.shape()).collect::<Vec<_>>()
    };
    let narrow = TrainingStep::record(&config, &net, 4).unwrap();
    let wide = TrainingStep::record_for(&of_gpus, &config, &net, 4).unwrap();
    assert_ne!(parts(&narrow), parts(&wide));
    let same = TrainingStep::record_for(gpu.adapter(), &config, &net, 4).unwrap();
    assert_eq!(parts(&narrow), parts(&same));
}
