//! The planner's promises: no two living values share storage, and the peak is known before anything is allocated.

use std::collections::BTreeMap;

use super::*;
use crate::gpu::GpuOptions;
use crate::nets::{Freeze, NETS};
use crate::ops::add::add;
use crate::ops::concat::concat;
use crate::ops::relu::relu;
use crate::tape::Access;
use crate::train::Config;
use crate::train::model::{Taps, recorded};
use crate::train::step::TrainingStep;

fn training_step(net: &str, size: usize) -> Tape {
    let config = Config { net: net.into(), size, batch: 3, ..Config::default() };
    TrainingStep::record(&config, &config.net_config(5), config.batch).unwrap().tape
}

/// A branch, a concatenation whose parts become slices, and their gradients.
fn branches() -> Tape {
    let mut tape = Tape::new();
    let x = tape.input(Shape::new(2, 5, 5, 4));
    tape.require_grad(x);
    let (a, b) = (relu(&mut tape, x), relu(&mut tape, x));
    let both = concat(&mut tape, &[a, b]).unwrap();
    let sum = add(&mut tape, both, both).unwrap();
    let y = relu(&mut tape, sum);
    let seed = tape.input(y.shape);
    tape.backward(&[(y, seed)]).unwrap();
    tape
}

fn tapes() -> Vec<Tape> {
    let steps = NETS.iter().flat_map(|net| [training_step(net.name, net.smallest), training_step(net.name, 150)]);
    steps.chain([branches()]).collect()
}

/// First and last launch that touches each value with storage of its own, by looking at every launch anew.
fn lives(tape: &Tape) -> BTreeMap<usize, (usize, usize)> {
    let mut lives = BTreeMap::new();
    for (time, launch) in tape.launches().iter().enumerate() {
        for &(tensor, _) in launch.operands() {
            let root = tape.view(tensor).root;
            if tape.values[root].home == Home::Own {
                let life = lives.entry(root).or_insert((time, time));
                *life = (time.min(life.0), time.max(life.1));
            }
        }
    }
    lives
}

#[test]
fn values_that_live_at_one_time_never_share_a_word() {
    for tape in tapes() {
        let (layout, lives) = (Layout::new(&tape, true), lives(&tape));
        let places = &layout.slots.places;
        assert_eq!(places.len(), lives.len());
        for (root, life) in &lives {
            let (place, bytes) = (places[root], 4 * tape.values[*root].shape.len() as u64);
            assert!(place.offset + bytes <= layout.slots.sizes[place.slot], "value {root} outgrows its slot");
            for (other, theirs) in lives.range(root + 1..) {
                let (their_place, their_bytes) = (places[other], 4 * tape.values[*other].shape.len() as u64);
                let together = life.0 <= theirs.1 && theirs.0 <= life.1;
                let overlap = place.slot == their_place.slot
                    && place.offset < their_place.offset + their_bytes
                    && their_place.offset < place.offset + bytes;
                assert!(!together || !overlap, "values {root} and {other} share words of slot {}", place.slot);
            }
        }
        // A launch never reads and writes one buffer under two names.
        for launch in tape.launches() {
            let slots = |wanted: Access| {
                let operands = launch.operands().iter().filter(move |(_, access)| *access == wanted);
                operands.filter_map(|&(tensor, _)| places.get(&tape.view(tensor).root).map(|place| place.slot))
            };
            assert!(slots(Access::Read).all(|slot| !slots(Access::Write).any(|s| s == slot)), "{}", launch.label());
        }
    }
}

#[test]
fn storage_is_reused() {
    let tape = training_step("prognet", 150);
    let layout = Layout::new(&tape, true);
    let all: u64 = lives(&tape).keys().map(|&root| 4 * tape.values[root].shape.len() as u64).sum();
    assert!(layout.memory().slots < all * 3 / 4, "{} of {all} bytes", layout.memory().slots);
}

#[test]
fn slots_are_hardly_more_than_what_lives_at_the_busiest_launch() {
    for tape in NETS.iter().map(|net| training_step(net.name, 224)) {
        let (lives, slots) = (lives(&tape), Layout::new(&tape, true).memory().slots);
        let at = |time: usize| {
            let living = lives.iter().filter(|(_, (first, last))| (*first..=*last).contains(&time));
            living.map(|(&root, _)| 4 * tape.values[root].shape.len() as u64).sum::<u64>()
        };
        let least = (0..tape.launches().len()).map(at).max().unwrap();
        assert!(slots >= least && 4 * slots <= 5 * least, "{slots} bytes in slots, {least} live at one time");
    }
}

#[test]
fn what_validation_needs_beyond_the_training_plan_is_known_too() {
    let gpu = Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap();
    for freeze in [None, Some(Freeze::Trunk)] {
        let config = Config { net: "resnet18".into(), size: 32, batch: 2, freeze, ..Config::default() };
        let net = config.net_config(5);
        let training = Layout::new(&TrainingStep::record(&config, &net, 2).unwrap().tape, true);
        let validation = Layout::new(
            &recorded(&net, config.size, (config.mean, config.deviation), 2, Taps::None).unwrap().tape,
            false,
        );
        let pool = BufferPool::default();
        let first = pool.lease(&gpu, &training.slots.sizes).unwrap();
        let second = pool.lease(&gpu, &validation.slots.sizes).unwrap();
        let more: u64 = second.iter().filter(|buffer| !first.contains(buffer)).map(wgpu::Buffer::size).sum();
        let told = validation.slots_beyond(&training);
        assert!(more.abs_diff(told) <= 16 * second.len() as u64, "{more} bytes more, told {told}");
    }
}

#[test]
fn the_peak_is_known_before_anything_is_allocated() {
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap());
    for tape in [training_step("prognet", 32), branches()] {
        let told = Layout::new(&tape, true).memory();
        let store = ParameterStore::new(&gpu, tape.spec(), true).unwrap();
        let plan = Plan::new(&gpu, &tape, &store, &BufferPool::default()).unwrap();
        let bytes = |buffers: &mut dyn Iterator<Item = &wgpu::Buffer>| buffers.map(wgpu::Buffer::size).sum::<u64>();
        let slots = bytes(&mut plan.slots.iter());
        let fixed = bytes(&mut plan.host.values().chain(&plan.staging)) + BLOCK_BYTES * plan.launches() as u64;
        // Buffers are made in steps of 16 bytes.
        let rounding = 16 * (plan.slots.len() + plan.host.len() + plan.staging.len()) as u64;
        assert!(slots.abs_diff(told.slots) <= rounding, "{slots} bytes in slots, told {}", told.slots);
        assert!(fixed.abs_diff(told.fixed) <= rounding, "{fixed} fixed bytes, told {}", told.fixed);
    }
}
