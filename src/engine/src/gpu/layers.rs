//! Vulkan layers that write to other people's terminals.

/// Keeps Mesa's device-select layer from complaining. It looks for a Wayland display, and libwayland then says on stderr that
/// `XDG_RUNTIME_DIR` is not set. Where it is not (desktops set it), a path that does not exist takes its place: that is quiet.
///
/// # Safety
/// No other thread may run yet: the environment belongs to the process.
pub unsafe fn quieten_layers() {
    #[cfg(target_os = "linux")]
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: the caller says that there is one thread.
        unsafe { std::env::set_var("XDG_RUNTIME_DIR", "/nonexistent") };
    }
}
