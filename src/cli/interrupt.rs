//! Ctrl-C, and other signals that ask the program to end: one line that says how to go on, no temporary files, and the exit code
//! that shells give such programs.

use std::ffi::c_int;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gatefold_engine::file::remove_temporary;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::{flag, low_level};

use super::console;
use crate::ranks::{self, Ended};
use crate::shown::shortened;

/// What is said of an interrupted command.
static LINE: Mutex<Option<String>> = Mutex::new(None);

/// How often is looked whether a signal came: seldom enough to cost nothing, often enough to seem at once.
const EVERY: Duration = Duration::from_millis(50);

/// How long a rank that says nothing outlives the signal.
const BEHIND: Duration = Duration::from_millis(400);

/// Exit codes of signals lie above this.
const CODES: c_int = 128;

#[cfg(unix)]
const SIGNALS: [c_int; 3] = [SIGINT, SIGTERM, signal_hook::consts::SIGHUP];
#[cfg(not(unix))]
const SIGNALS: [c_int; 2] = [SIGINT, SIGTERM];

/// From now on the line for an interrupted command is this one.
pub fn would_say(line: String) {
    if let Ok(mut kept) = LINE.lock() {
        *kept = Some(line);
    }
}

/// From now on a signal ends the program with a line, and a second one at once. Signals that the caller has set to be passed over,
/// as `nohup` does, are passed over.
pub fn watch() -> std::io::Result<()> {
    let (again, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    for signal in SIGNALS.into_iter().filter(|&signal| !is_ignored(signal)) {
        // In this order: the first signal finds `again` unset, and sets it for the second.
        flag::register_conditional_shutdown(signal, CODES + signal, Arc::clone(&again))?;
        flag::register(signal, Arc::clone(&again))?;
        flag::register_usize(signal, Arc::clone(&came), signal as usize)?;
    }
    let watch = move || loop {
        match came.load(Ordering::Relaxed) {
            0 => std::thread::sleep(EVERY),
            signal => end(signal as c_int),
        }
    };
    std::thread::Builder::new().name("signals".into()).spawn(watch)?;
    Ok(())
}

fn end(signal: c_int) -> ! {
    let code = match ranks::ended() {
        Ended::Said => {
            console::clear_bar();
            console::say(line());
            CODES + signal
        }
        Ended::Since(text) => {
            fault(&text, true);
            1
        }
        Ended::Quietly => {
            // Not before the one that speaks has seen who is gone.
            std::thread::sleep(BEHIND);
            1
        }
    };
    remove_temporary();
    // At once: libraries that tidy up behind threads that are still at work can crash.
    low_level::exit(code)
}

fn line() -> String {
    LINE.lock().ok().and_then(|line| line.clone()).unwrap_or_else(|| "interrupted; start it again".to_owned())
}

/// The line that all ranks end with. Of one that is `gone` the command line knows no remedy but to go on.
pub fn fault(text: &str, gone: bool) {
    console::clear_bar();
    let go_on = if gone { format!("; {}", line()) } else { String::new() };
    console::say_anyway(shortened(&format!("error: {text}{go_on}")));
    remove_temporary();
}

#[cfg(unix)]
fn is_ignored(signal: c_int) -> bool {
    // SAFETY: only asks what is set; all zeros is a valid value of the structure that the answer goes into.
    unsafe {
        let mut set: libc::sigaction = std::mem::zeroed();
        libc::sigaction(signal, std::ptr::null(), &raw mut set) == 0 && set.sa_sigaction == libc::SIG_IGN
    }
}

#[cfg(not(unix))]
fn is_ignored(_: c_int) -> bool {
    false
}
