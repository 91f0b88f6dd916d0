//! Tables of covers: read, or refused as what their owner can mend. (A column's name may have a line break; it is escaped where it is
//! printed.)
#![no_main]

mod file;

use gatefold::data::source::{self, Columns};
use gatefold_engine::Error;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let (ending, bytes) = bytes.split_first().map_or((0, bytes), |(first, rest)| (*first, rest));
    let name = if ending % 2 == 0 { "covers.csv" } else { "covers.tsv" };
    file::with_file(name, bytes, |path| {
        if let Err(e) = source::read(path, &Columns::default()) {
            assert!(matches!(e, Error::Input(_)), "{e}");
        }
    });
});
