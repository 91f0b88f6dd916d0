//! Panics of others that are expected, and caught.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe};

thread_local! {
    /// Whether a panic of this thread is expected and caught.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives; none if it panics, of which a hook that asks [`is_caught`] prints nothing.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    done.ok()
}

/// Whether a panic of this thread, now, would be [`caught`].
pub fn is_caught() -> bool {
    CAUGHT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_caught_gives_none_and_the_rest_goes_on() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| -> u8 { panic!("of a decoder") }), None);
        assert!(!is_caught());
        assert_eq!(caught(|| caught(|| -> u8 { panic!("inner") }).is_none() && is_caught()), Some(true));
    }
}
