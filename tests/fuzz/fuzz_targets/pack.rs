//! Packs: opened and every picture read, or refused.
#![no_main]

mod file;

use gatefold::data::Pack;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    file::with_file("images.pack", bytes, |path| {
        let Ok(pack) = Pack::open(path) else { return };
        (0..pack.len()).for_each(|i| drop(pack.image(i)));
        let (bad, all) = pack.check();
        assert!(bad <= all);
    });
});
