//! Tapes of any ops in any order: no two values that live at one time share storage, fused and recomputed or not.
#![no_main]

#[path = "../../engine/drawn.rs"]
mod drawn;

use gatefold_engine::plan::Allocation;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut tape = drawn::drawn(bytes).tape;
    Allocation::new(&tape, true).check(&tape).expect("as recorded");
    tape.fuse();
    Allocation::new(&tape, true).check(&tape).expect("fused");
    tape.recompute();
    Allocation::new(&tape, true).check(&tape).expect("recomputed");
});
