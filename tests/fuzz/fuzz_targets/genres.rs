//! Genres as people write them, and tables that sort them.
#![no_main]

mod file;

use std::sync::LazyLock;

use gatefold::data::source::GenreTable;
use libfuzzer_sys::fuzz_target;

static BUILT_IN: LazyLock<GenreTable> = LazyLock::new(|| GenreTable::read(None).expect("the built-in table"));

fuzz_target!(|text: &str| {
    let (table, tags) = text.split_once('\u{1}').unwrap_or(("", text));
    let tags: Vec<String> = tags.split('\u{2}').map(str::to_owned).collect();
    file::with_file("genres.toml", table.as_bytes(), |path| {
        let _ = BUILT_IN.class_of(&tags);
        if let Ok(table) = GenreTable::read(Some(path)) {
            let _ = table.class_of(&tags);
        }
    });
});
