//! Finds the WGSL files: in the package's own `shaders/`, as it is published, else at the top of the repository. Gives the crate
//! their folder (`GATEFOLD_SHADER_FOLDER`) and their list (`shaders.rs`).

use std::path::{Path, PathBuf};
use std::{env, fs, io};

fn main() -> io::Result<()> {
    let variable = |name: &str| env::var_os(name).map(PathBuf::from).ok_or(io::ErrorKind::NotFound);
    let package = variable("CARGO_MANIFEST_DIR")?;
    // A symbolic link in the repository, which some checkouts on Windows make a text file.
    let own = package.join("shaders");
    let folder = if own.is_dir() { own } else { package.join("../../shaders") };
    let mut paths = vec![];
    list(&folder, "", &mut paths)?;
    paths.sort_unstable();
    let entries: String = paths.iter().map(|path| format!("    shader!({path:?}),\n")).collect();
    fs::write(variable("OUT_DIR")?.join("shaders.rs"), format!("&[\n{entries}]\n"))?;
    println!("cargo::rustc-env=GATEFOLD_SHADER_FOLDER={}", folder.display());
    println!("cargo::rerun-if-changed={}", folder.display());
    Ok(())
}

/// Paths below the folder, with forward slashes.
fn list(folder: &Path, prefix: &str, found: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{prefix}{name}");
        if path.is_dir() {
            list(&path, &format!("{name}/"), found)?;
        } else if name.ends_with(".wgsl") {
            found.push(name);
        }
    }
    Ok(())
}
