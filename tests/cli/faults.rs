//! A device that fails in the middle: one line, exit code 1, and the run goes on from its last checkpoint. `make endure` does this at
//! every moment.

use std::fs;

use crate::common::*;

#[test]
fn a_lost_device_and_a_refused_buffer_end_with_a_line_and_leave_the_last_checkpoint() {
    let trained = three();
    for (fault, part) in [("lose:3", "device was lost"), ("lose:12", "device was lost"), ("refuse:9", "out of memory")]
    {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let arguments = train(&trained.data, &run, &["--epochs", "2", "--seed", "3"]);
        let output = command(&arguments).env("GATEFOLD_FAULT", fault).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let errors: Vec<&str> = said.lines().filter(|line| line.starts_with("error:")).collect();
        assert!(output.status.code() == Some(1) && errors.len() == 1 && errors[0].contains(part), "{fault}: {said}");
        if run.is_dir() {
            let resume = [&arguments[..], &["--resume"]].concat();
            good(&resume);
        } else {
            good(&arguments);
        }
        for name in ["best.safetensors", "last.safetensors", "test.json"] {
            assert!(fs::read(run.join(name)).unwrap() == fs::read(trained.run.join(name)).unwrap(), "{fault}: {name}");
        }
    }
    // What comes late is waited for.
    let output = command(&["eval", trained.run()]).env("GATEFOLD_FAULT", "late:1").output().unwrap();
    assert!(output.status.success());
    let output = command(&["eval", trained.run()]).env("GATEFOLD_FAULT", "lose").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}
