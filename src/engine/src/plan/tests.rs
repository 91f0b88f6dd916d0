//! The planner's promises: no two living values share storage, and the peak is known before anything is allocated.

#[path = "../../tests/common/lifetimes.rs"]
mod lifetimes;

use self::lifetimes::check;
use super::*;
use crate::gpu::GpuOptions;
use crate::ops::add::add;
use crate::ops::batch_norm::{BatchNorm, batch_norm_relu};
use crate::ops::concat::concat;
use crate::ops::conv2d::conv2d;
use crate::ops::dropout::dropout;
use crate::ops::max_pool::max_pool;
use crate::ops::relu::relu;
use crate::ops::window::Window;
use crate::params::{Init, Layout, ParameterSpec, StateSpec};
use crate::tensor::Shape;

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

/// Some convolutions with batch-norm, pooling and dropout, from `n` pictures; with gradients, or the forward pass alone.
fn convolutions(n: usize, training: bool) -> Tape {
    let mut tape = Tape::new();
    let mut x = tape.input(Shape::new(n, 32, 32, 4));
    for (layer, channels) in [8, 16, 32].into_iter().enumerate() {
        let name = |part: &str| format!("{layer}.{part}");
        let init = Init::Normal { std: 0.1 };
        let (shape, layout) = (Shape::new(3, 3, x.shape.c, channels), Layout::Conv { cin: x.shape.c });
        let weight = tape.parameter(ParameterSpec { name: name("weight"), shape, layout, init });
        let [gamma, beta] = ["gamma", "beta"].map(|part| {
            let (shape, init) = (Shape::vector(channels), Init::Constant(1.0));
            tape.parameter(ParameterSpec { name: name(part), shape, layout: Layout::Vector, init })
        });
        let [running_mean, running_var] =
            ["mean", "var"].map(|part| tape.state(StateSpec { name: name(part), len: channels, init: 0.0 }));
        let norm = BatchNorm { gamma, beta, running_mean, running_var, eps: 1e-5, momentum: 0.1 };
        let y = conv2d(&mut tape, x, weight, None, Window::square(3, 1, 1)).unwrap();
        let y = batch_norm_relu(&mut tape, y, &norm, training).unwrap();
        let y = max_pool(&mut tape, y, Window::square(2, 2, 0)).unwrap();
        x = if training { dropout(&mut tape, y, 0.2).unwrap() } else { y };
    }
    if training {
        let seed = tape.input(x.shape);
        tape.backward(&[(x, seed)]).unwrap();
    }
    tape.fuse();
    tape
}

#[test]
fn values_that_live_at_one_time_never_share_a_word() {
    for tape in [branches(), convolutions(3, true), convolutions(5, false)] {
        check(&Allocation::new(&tape, true), &tape).unwrap();
    }
}

#[test]
fn a_layout_of_another_tape_is_found_out() {
    let (tape, other) = (convolutions(3, true), branches());
    assert!(check(&Allocation::new(&other, true), &tape).is_err());
    let mut layout = Allocation::new(&tape, true);
    // All in one place.
    let place = *layout.slots.places.values().find(|place| place.slot == 0).unwrap();
    layout.slots.places.values_mut().for_each(|other| *other = place);
    let said = check(&layout, &tape).unwrap_err().to_string();
    assert!(said.contains("share words") || said.contains("outgrows"), "{said}");
}

#[test]
fn storage_is_reused() {
    for tape in [convolutions(3, true), convolutions(5, false)] {
        let layout = Allocation::new(&tape, true);
        let (slots, lives) = (layout.memory().slots, check(&layout, &tape).unwrap());
        assert!(slots < lives.total * 3 / 4, "{slots} of {} bytes", lives.total);
        assert!(slots >= lives.busiest, "{slots} bytes, {} live at one time", lives.busiest);
    }
}

#[test]
fn what_a_second_plan_needs_beyond_the_first_is_known_too() {
    let gpu = Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap();
    for pictures in [1, 2, 20] {
        let [training, validation] = [(2, true), (pictures, false)].map(|(n, training)| {
            let tape = convolutions(n, training);
            Allocation::new(&tape, training)
        });
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
    for tape in [convolutions(3, true), branches()] {
        let told = Allocation::new(&tape, true).memory();
        let store = ParameterStore::new(&gpu, tape.spec(), true).unwrap();
        let plan = Plan::new(&gpu, &tape, &store, &BufferPool::default()).unwrap();
        let bytes = |buffers: &mut dyn Iterator<Item = &wgpu::Buffer>| buffers.map(wgpu::Buffer::size).sum::<u64>();
        let slots = bytes(&mut plan.slots.iter());
        let fixed = bytes(&mut plan.host.values().chain(&plan.staging));
        let fixed = fixed + BLOCK_BYTES * tape.launches().len() as u64 + marks::FIXED;
        // Buffers are made in steps of 16 bytes.
        let rounding = 16 * (plan.slots.len() + plan.host.len() + plan.staging.len()) as u64;
        assert!(slots.abs_diff(told.slots) <= rounding, "{slots} bytes in slots, told {}", told.slots);
        assert!(fixed.abs_diff(told.fixed) <= rounding, "{fixed} fixed bytes, told {}", told.fixed);
        // The device is this test's alone.
        if let Some(reserved) = gpu.reserved_bytes() {
            assert!(reserved <= MemoryUse::reserved(told.peak()), "{reserved} bytes of the driver");
        }
    }
}
