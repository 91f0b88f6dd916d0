//! Manifests: what is read comes back as it was when it is written.
#![no_main]

mod file;

use gatefold::data::Manifest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    file::with_file("manifest.csv", bytes, |path| {
        let Ok(manifest) = Manifest::read(path) else { return };
        manifest.write(path).expect("written");
        let again = Manifest::read(path).expect("what was written can be read");
        assert!(again == manifest && again.hash() == manifest.hash());
    });
});
