//! Tells a crash from a kill: only a crash comes as one of these signals, and marks the file that says what was being tried. Where
//! there are no signals nothing is marked.

use std::fs::File;

/// What is written behind the rest.
pub const MARK: u8 = b'!';

/// While this lives, a crash marks the file.
pub struct Watched;

pub fn watched(_file: &File) -> Watched {
    #[cfg(unix)]
    unix::watch(std::os::fd::AsRawFd::as_raw_fd(_file));
    Watched
}

impl Drop for Watched {
    fn drop(&mut self) {
        #[cfg(unix)]
        unix::watch(unix::NONE);
    }
}

#[cfg(unix)]
mod unix {
    use std::mem::MaybeUninit;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicI32, Ordering};

    use super::MARK;

    pub const NONE: i32 = -1;

    const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT];

    /// The file to mark.
    static FILE: AtomicI32 = AtomicI32::new(NONE);

    /// What the signals did before.
    static BEFORE: OnceLock<[libc::sigaction; SIGNALS.len()]> = OnceLock::new();

    pub fn watch(file: i32) {
        BEFORE.get_or_init(|| SIGNALS.map(install));
        FILE.store(file, Ordering::Relaxed);
    }

    fn install(signal: i32) -> libc::sigaction {
        let mut before = MaybeUninit::<libc::sigaction>::zeroed();
        // SAFETY: all zeros are a valid sigaction, and sigaction fills `before`; the handler calls nothing that a handler must not.
        unsafe {
            let mut now = MaybeUninit::<libc::sigaction>::zeroed().assume_init();
            now.sa_sigaction = mark as extern "C" fn(i32) as usize;
            // A full stack is one way to crash; a second one, in the handler, ends the program.
            now.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
            libc::sigaction(signal, &now, before.as_mut_ptr());
            before.assume_init()
        }
    }

    /// Marks the file, and lets the signal do what it did before.
    extern "C" fn mark(signal: i32) {
        // SAFETY: these three may be called in a handler, and `BEFORE` is only read.
        unsafe {
            let (mark, file) = (MARK, FILE.load(Ordering::Relaxed));
            if file != NONE {
                libc::write(file, (&raw const mark).cast(), 1);
            }
            let number = SIGNALS.iter().position(|&known| known == signal);
            if let Some(before) = number.and_then(|number| BEFORE.get()?.get(number)) {
                libc::sigaction(signal, before, std::ptr::null_mut());
            }
            libc::raise(signal);
        }
    }
}
