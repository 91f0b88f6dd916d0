//! Panics: of a decoder on damaged bytes, which are caught, and of our own, which should not be.

use std::cell::Cell;
use std::panic::{self, AssertUnwindSafe, PanicHookInfo};

thread_local! {
    /// Whether a panic of this thread is expected and caught.
    static CAUGHT: Cell<bool> = const { Cell::new(false) };
}

/// What `work` gives; none if it panics, of which nothing is printed.
pub fn caught<T>(work: impl FnOnce() -> T) -> Option<T> {
    let before = CAUGHT.replace(true);
    let done = panic::catch_unwind(AssertUnwindSafe(work));
    CAUGHT.set(before);
    done.ok()
}

/// From now on a panic that is not [`caught`] says one line: what happened, in which version, and what to do about it. Whoever
/// asks for a trace of the stack (`RUST_BACKTRACE`) gets that instead.
pub fn say_in_one_line(say: fn(String)) {
    let trace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if CAUGHT.get() {
            return;
        }
        if trace { usual(info) } else { say(line(info)) }
    }));
}

fn line(info: &PanicHookInfo) -> String {
    let what = info.payload_as_str().unwrap_or("unknown");
    let what = what.split_whitespace().collect::<Vec<_>>().join(" ");
    let place = info.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    format!(
        "error: a fault in gatefold {} itself: {what}{place}; please report this line with the command that led to it",
        env!("CARGO_PKG_VERSION")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_caught_gives_none_and_the_rest_goes_on() {
        assert_eq!(caught(|| 7), Some(7));
        assert_eq!(caught(|| -> u8 { panic!("of a decoder") }), None);
        assert!(!CAUGHT.get());
        assert_eq!(caught(|| caught(|| -> u8 { panic!("inner") }).is_none() && CAUGHT.get()), Some(true));
    }
}
