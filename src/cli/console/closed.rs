//! Whether stdout was closed (`>&-`) before the program started.
//!
//! Rust's runtime puts `/dev/null` in the place of a closed stdout, so that what is printed is lost without an error. So it is
//! looked at before `main`, where the runtime has done nothing yet.

use std::sync::atomic::{AtomicBool, Ordering};

static CLOSED: AtomicBool = AtomicBool::new(false);

/// Whether what is printed reaches nobody, since stdout was closed from the start. Known on Linux and macOS.
pub fn at_start() -> bool {
    CLOSED.load(Ordering::Relaxed)
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
extern "C" fn look() {
    // SAFETY: asks for the flags of a file descriptor, open or not.
    let closed = unsafe { libc::fcntl(libc::STDOUT_FILENO, libc::F_GETFD) } == -1;
    CLOSED.store(closed, Ordering::Relaxed);
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
#[used]
// SAFETY: both loaders call what stands here as C functions, before `main`.
#[cfg_attr(target_os = "linux", unsafe(link_section = ".init_array"))]
#[cfg_attr(target_os = "macos", unsafe(link_section = "__DATA,__mod_init_func"))]
static LOOK: extern "C" fn() = look;
