//! Several processes that mpirun has started together: the same numbers as one, and one end for all.
//!
//! Without mpirun, or in a build without the feature `mpi`, all but the first test say that they are skipped.

mod together;

use std::path::Path;
use std::process::Command;

/// The program, as each rank starts it.
const GATEFOLD: &str = env!("CARGO_BIN_EXE_gatefold");

/// Whether the program has MPI, and there is an mpirun to start it.
fn is_possible() -> bool {
    cfg!(feature = "mpi") && Command::new("mpirun").arg("--version").output().is_ok_and(|done| done.status.success())
}

/// Says loudly that a test is skipped.
fn skipped(test: &str) {
    assert!(std::env::var_os("GATEFOLD_MPI").is_none(), "{test}: there is no mpirun, or the program has no MPI");
    eprintln!("SKIPPED: {test}: needs mpirun, and --features mpi (.ci/setup-mpi.sh installs what that needs)");
}

#[cfg(not(feature = "mpi"))]
#[test]
fn a_build_without_mpi_that_mpirun_starts_says_so_once() {
    let run = |rank: &str| {
        let mut command = Command::new(GATEFOLD);
        command.args(["train", "covers", "--out", "run"]);
        command.env("OMPI_COMM_WORLD_SIZE", "2").env("OMPI_COMM_WORLD_RANK", rank);
        let done = command.output().unwrap();
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let (code, said) = run("0");
    assert!(code == Some(2) && said.lines().count() == 1, "{code:?} {said}");
    assert!(said.starts_with("error: started 2 times at once, and built without MPI"), "{said}");
    assert_eq!(run("1"), (Some(2), String::new()));
}

/// Draws covers of five classes.
fn draw(folder: &Path, per_class: &str) {
    let folder = folder.to_str().unwrap();
    let done =
        Command::new(GATEFOLD).args(["sample", folder, "--per-genre", per_class, "--size", "48"]).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}
