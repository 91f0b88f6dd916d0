//! For programs whose panics are expected, and caught.

use std::panic;

use gatefold_engine::panics::is_caught;

/// From now on nothing is printed of a panic that is [caught](gatefold_engine::panics::caught).
pub fn hush_caught() {
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !is_caught() {
            usual(info);
        }
    }));
}
