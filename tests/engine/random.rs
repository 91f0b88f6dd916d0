//! Tapes that nobody thought of: the planner keeps its promises, and sharing storage changes no number.

use gatefold_engine::gpu::BufferPool;
use gatefold_engine::params::{Arena, ParameterStore};
use gatefold_engine::plan::{Allocation, Plan};
use gatefold_engine::tape::Tape;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{Rng, SeedableRng};

use super::drawn::{Drawn, drawn};
use super::gpu;

fn bytes(seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; 2 * (1 + seed as usize % 24)];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

#[test]
fn values_that_live_at_one_time_never_share_a_word_on_any_tape() {
    for seed in 0..1500 {
        let mut tape = drawn(&bytes(seed)).tape;
        let check = |tape: &Tape, how: &str| {
            crate::lifetimes::check(&Allocation::new(tape, true), tape)
                .unwrap_or_else(|e| panic!("seed {seed}, {how}: {e}"));
        };
        check(&tape, "as recorded");
        tape.fuse();
        check(&tape, "fused");
        tape.recompute();
        check(&tape, "recomputed");
    }
}

/// The output, and the gradients by parameter. With `apart` no two values share storage, as in an executor that does one op after
/// the other and keeps everything.
fn results(seed: u64, apart: bool) -> [Vec<u32>; 2] {
    let Drawn { mut tape, input, seed: upstream, values } = drawn(&bytes(seed));
    if apart {
        values.iter().filter(|value| **value != input).for_each(|&value| tape.keep(value));
        let written: Vec<_> =
            tape.launches().iter().flat_map(|launch| launch.operands().iter().map(|(tensor, _)| *tensor)).collect();
        written
            .into_iter()
            .filter(|tensor| *tensor != input && *tensor != upstream)
            .for_each(|tensor| tape.keep(tensor));
    } else {
        if values[0] != input {
            tape.keep(values[0]);
        }
        tape.fuse();
        tape.recompute();
    }
    let store = ParameterStore::new(&gpu(), tape.spec(), true).unwrap();
    store.initialise(&gpu(), 5).unwrap();
    let mut plan = Plan::new(&gpu(), &tape, &store, &BufferPool::default()).unwrap();
    plan.poison();
    let numbers = |count: usize| (0..count).map(|i| (i * 37 % 101) as f32 / 50.0 - 1.0).collect::<Vec<f32>>();
    plan.write(input, &numbers(input.shape.len())).unwrap();
    plan.write(upstream, &numbers(upstream.shape.len())).unwrap();
    let results = plan.run().unwrap();
    let output = if values[0] == input { vec![] } else { results.get(values[0]).unwrap() };
    let gradients =
        if store.words(Arena::Gradients) > 0 { store.read(&gpu(), Arena::Gradients).unwrap() } else { vec![] };
    [output, gradients].map(|values| values.into_iter().map(f32::to_bits).collect())
}

#[test]
fn sharing_storage_and_fusing_change_no_bit() {
    // On a GPU a compiler may contract what it sees at once.
    if !gpu().adapter().software {
        return;
    }
    for seed in 0..40 {
        assert!(results(seed, true) == results(seed, false), "seed {seed}: other bits");
    }
}
