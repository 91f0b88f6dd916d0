//! Kernels from WGSL files on disk, for whoever writes them: no change of one costs a compilation.

use std::env;
use std::path::Path;

use gatefold_engine::{Result, gpu};

/// Where the environment variable `GATEFOLD_SHADERS` names a folder, kernels are read from there instead of those built into the
/// program, and a line on stderr says so. To be called before anything else.
///
/// # Errors
/// If the folder is no whole copy of `shaders/`.
pub fn shaders_from_environment() -> Result<()> {
    let Some(folder) = env::var_os("GATEFOLD_SHADERS").filter(|folder| !folder.is_empty()) else { return Ok(()) };
    gpu::shaders_from(Path::new(&folder))?;
    eprintln!("shaders: those of {}, not the built-in ones (GATEFOLD_SHADERS)", folder.display());
    Ok(())
}
