//! Weights files of Gatefold and of others, PyTorch's too: parsed, or refused in one line; what is read is finite.
#![no_main]

use gatefold::weights::{About, Checkpoint, Pictures};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    match Checkpoint::parse("fuzz", bytes) {
        Ok(mut checkpoint) => {
            assert!(checkpoint.is_finite());
            let about = About { net: Some("resnet18"), size: Some(64), labels: None, pictures: Pictures::default() };
            let _ = checkpoint.adopt(&about);
        }
        Err(e) => assert!(!e.to_string().contains('\n'), "{e}"),
    }
});
