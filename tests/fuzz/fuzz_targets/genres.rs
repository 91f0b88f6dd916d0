//! Genres as people write them, and tables that sort them.
#![no_main]

mod file;

use gatefold::data::source::GenreTable;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (table, tags) = text.split_once('\u{1}').unwrap_or(("", text));
    let tags: Vec<String> = tags.split('\u{2}').map(str::to_owned).collect();
    file::with_file("genres.toml", table.as_bytes(), |path| {
        for table in [GenreTable::read(None), GenreTable::read(Some(path))].into_iter().flatten() {
            let _ = table.class_of(&tags);
        }
    });
});
