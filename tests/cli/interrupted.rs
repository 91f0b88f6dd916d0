//! Ctrl-C and requests to end: one line, the exit code of the signal, nothing half-written left.
#![cfg(unix)]

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::common::*;

/// The program, with signals as a terminal gives them, whatever the caller of this test has set.
fn start(arguments: &[&str]) -> Child {
    let mut command = command(arguments);
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let usual = || {
        for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
            // SAFETY: sets what is done with a signal, which is allowed after a fork.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        Ok(())
    };
    // SAFETY: `usual` allocates nothing and takes no lock.
    unsafe { command.pre_exec(usual) };
    command.spawn().unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

/// Sends the signal once a line of stderr begins with `begin`; gives the exit code and what was said after it.
fn interrupt(mut child: Child, name: &str, begin: &str) -> (Option<i32>, String) {
    let mut said = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.starts_with(begin) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "it ended without: {begin}");
    }
    signal(&child, name);
    let mut rest = String::new();
    said.read_to_string(&mut rest).unwrap();
    (child.wait().unwrap().code(), rest)
}

/// Hidden files and folders below a folder, but the mark of a folder of ours.
fn hidden(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.starts_with('.') && name != ".gatefold").collect()
}

#[test]
fn training_that_is_interrupted_says_how_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("the covers"), dir.path().join("run"));
    draw(&data, &TWO);
    let long = train(&data, &run, &["--net", "small", "--epochs", "100000", "--schedule", "constant"]);
    let (code, said) = interrupt(start(&long), "-INT", "epoch 1/");
    let last = said.lines().last().unwrap_or_default();
    assert_eq!(code, Some(130), "{said}");
    assert!(last.starts_with("interrupted after epoch "), "{said}");
    let command = format!("; go on with: gatefold train '{}' --out {} --resume", text(&data), text(&run));
    assert!(last.ends_with(&command), "{last}");
    assert_eq!(hidden(&run), [""; 0]);
    // The epoch that was named is there.
    let number: u64 = last["interrupted after epoch ".len()..].split(';').next().unwrap().parse().unwrap();
    let go_on = ["train", text(&data), "--out", text(&run), "--resume"];
    let (code, said) = interrupt(start(&go_on), "-TERM", "resuming after epoch ");
    assert_eq!(code, Some(143), "{said}");
    let again = said.lines().last().unwrap_or_default();
    let begin = format!("interrupted after epoch {number}; go on with: gatefold train");
    assert!(again.starts_with(&begin) || again.starts_with("interrupted"), "{again}, not {begin}");
    assert_eq!(hidden(&run), [""; 0]);
}

#[test]
fn a_hangup_leaves_nothing_temporary_and_nohup_keeps_working() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("covers"), dir.path().join("audit"));
    draw(&data, &[("Folk", 40), ("Jazz", 40)]);
    let (code, said) = interrupt(start(&["audit", text(&data), "--out", text(&out)]), "-HUP", "adapter: ");
    assert_eq!((code, said.lines().last()), (Some(129), Some("interrupted; start it again")), "{said}");
    assert_eq!(hidden(&out), [""; 0]);
    // What the caller passes over is passed over.
    let run = dir.path().join("run");
    let mut ignoring = command(&train(&data, &run, &["--net", "small", "--epochs", "2"]));
    // SAFETY: as above.
    unsafe {
        ignoring.pre_exec(|| {
            libc::signal(libc::SIGHUP, libc::SIG_IGN);
            Ok(())
        })
    };
    let child = ignoring.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (code, said) = interrupt(child, "-HUP", "adapter: ");
    assert_eq!(code, Some(0), "{said}");
}

#[test]
fn an_import_that_is_interrupted_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (data, set) = (dir.path().join("covers"), dir.path().join("set"));
    draw(&data, &[("Folk", 3), ("Jazz", 3)]);
    // Large ones, so that there is time.
    for class in ["Folk", "Jazz"] {
        for i in 0..16u32 {
            let noise =
                |x: u32, y: u32| image::Rgb([(x * y) as u8, (x ^ y) as u8, (x.wrapping_mul(i * i + 7) >> 3) as u8]);
            image::RgbImage::from_fn(600, 600, noise).save(data.join(class).join(format!("large-{i}.png"))).unwrap();
        }
    }
    let import = ["import", text(&data), "--out", text(&set)];
    let mut child = start(&import);
    while !set.join(".import").exists() && child.try_wait().unwrap().is_none() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    signal(&child, "-TERM");
    let mut said = String::new();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(143), "{said}");
    assert_eq!(said.lines().last(), Some("interrupted; start the same import again: it goes on where it was"));
    good(&import);
    assert_eq!(hidden(&set), [""; 0]);
}
