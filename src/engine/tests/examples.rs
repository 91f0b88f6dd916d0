//! The examples run, and what they train gets better. `cargo test` builds them.

use std::process::Command;

/// The losses that an example prints.
fn losses(example: &str) -> Vec<f64> {
    let test = std::env::current_exe().unwrap();
    let program = test.parent().unwrap().with_file_name("examples").join(example);
    let program = program.with_extension(std::env::consts::EXE_EXTENSION);
    assert!(program.is_file(), "{} is not built: cargo build --release --examples", program.display());
    let output = Command::new(program).output().unwrap();
    let (said, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "{example}: {said}{stderr}");
    let numbers = said.lines().filter_map(|line| line.split_once("loss ")?.1.trim().parse().ok());
    numbers.collect()
}

#[test]
fn the_tiny_example_learns_four_points() {
    let losses = losses("tiny");
    assert!(losses.len() == 5 && losses.windows(2).all(|pair| pair[1] < pair[0]), "{losses:?}");
    assert!((losses[0] - std::f64::consts::LN_2).abs() < 1e-3, "{losses:?}");
}

#[test]
fn the_small_network_learns_drawn_pictures() {
    let losses = losses("cnn");
    assert!(losses.len() >= 5 && losses[losses.len() - 1] < losses[0] / 2.0, "{losses:?}");
}
