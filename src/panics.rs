//! Panics of our own, which should not be. Those of a decoder on damaged bytes are [`caught`].

use std::panic::{self, PanicHookInfo};

pub use gatefold_engine::panics::caught;
use gatefold_engine::panics::is_caught;

/// From now on a panic that is not [`caught`] says one line: what happened, in which version, and what to do about it. Whoever
/// asks for a trace of the stack (`RUST_BACKTRACE`) gets that instead.
pub fn say_in_one_line(say: fn(String)) {
    let trace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let usual = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if is_caught() {
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
