//! Recipes: read and checked, or refused in one line; what is read comes back from its own TOML.
#![no_main]

mod file;

use gatefold::train::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    file::with_file("recipe.toml", bytes, |path| match Config::read(path) {
        Ok(config) => {
            let _ = config.check();
            let text = config.to_toml().expect("TOML");
            std::fs::write(path, &text).expect("a file");
            // NaN is unequal to itself, so the texts are compared.
            let again = Config::read(path).expect("its own TOML can be read");
            assert_eq!(again.to_toml().expect("TOML"), text);
        }
        Err(e) => assert!(!e.to_string().contains('\n'), "{e}"),
    });
});
