//! Headers of pictures: EXIF, JPEG tables, sizes; and the whole picture, with the bounds that every one has.
#![no_main]

mod file;

use gatefold::audit::facts::FileFacts;
use gatefold::data::picture;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    file::with_file("cover.jpg", bytes, |path| {
        let facts = FileFacts::read(path);
        let _ = picture::fault(bytes);
        // Only small ones are decoded here, so that there are many.
        if facts.is_some_and(|facts| facts.width < 300 && facts.height < 300) {
            let _ = picture::decode_caught(bytes);
        }
    });
});
