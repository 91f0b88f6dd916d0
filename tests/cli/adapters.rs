//! Adapters and drivers that we do not have: what they cannot do is switched off, what they do wrong is asked for.

use std::fs;
use std::path::Path;
use std::process::Output;

use crate::common::*;

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// With variables of the environment.
fn with(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(arguments).envs(variables.iter().copied()).output().unwrap()
}

#[test]
fn what_is_switched_off_is_shown_and_an_unknown_name_refused() {
    let off = |without| with(&["devices", "--json"], &[("GATEFOLD_WITHOUT", without)]);
    let adapter = |output: Output| {
        let devices: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        devices["adapters"][0].clone()
    };
    let less = adapter(off("f16,subgroup,int64,timestamps,large-limits"));
    assert_eq!(less["without"], serde_json::json!(["f16", "int64", "subgroup", "timestamps", "large-limits"]));
    for feature in ["f16", "subgroup_operations", "int64", "timestamps"] {
        assert_eq!(less[feature], false, "{feature}");
    }
    assert!(less["max_invocations"].as_u64() <= Some(256) && less["max_binding_bytes"].as_u64() <= Some(128 << 20));
    let text = String::from_utf8(with(&["devices"], &[("GATEFOLD_WITHOUT", "f16")]).stdout).unwrap();
    assert!(text.contains("done without         f16 (GATEFOLD_WITHOUT)"), "{text}");
    let pretended = adapter(with(&["devices", "--json"], &[("GATEFOLD_PRETEND", "gpu")]));
    assert!(pretended["software"] == false && pretended["pretended"] == true);
    for (name, value, told) in
        [("GATEFOLD_WITHOUT", "f61", "large-limits"), ("GATEFOLD_PRETEND", "cpu", "none of gpu, slow")]
    {
        let output = with(&["devices"], &[(name, value)]);
        assert!(output.status.code() == Some(2) && said(&output).contains(told), "{}", said(&output));
    }
    let data = three();
    let mixed = with(
        &train(&data.data, &data.run.with_file_name("mixed"), &["--precision", "mixed"]),
        &[("GATEFOLD_WITHOUT", "f16")],
    );
    assert!(mixed.status.code() == Some(2) && said(&mixed).contains("16-bit numbers"), "{}", said(&mixed));
}

/// The weakest adapter that there may be learns the same.
#[test]
fn a_weak_adapter_and_one_that_plays_a_gpu_train_as_well() {
    let trained = three();
    let weakest = "matrix,f16,int64,subgroup,timestamps,pipeline-cache,large-limits";
    let score = |run: &Path| -> f64 {
        let text = fs::read_to_string(run.join("test.json")).unwrap();
        serde_json::from_str::<serde_json::Value>(&text).unwrap()["loss"].as_f64().unwrap()
    };
    for variables in [[("GATEFOLD_WITHOUT", weakest)], [("GATEFOLD_PRETEND", "gpu")]] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let output = with(&train(&trained.data, &run, &["--epochs", "2", "--seed", "3", "--no-tune"]), &variables);
        assert!(output.status.success(), "{variables:?}: {}", said(&output));
        approx::assert_relative_eq!(score(&run), score(&trained.run), max_relative = 0.02);
    }
}

/// Work in many small portions is the same work: the same bits.
#[test]
fn a_slow_device_gets_its_work_in_portions_and_computes_the_same() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let output = with(&train(&trained.data, &run, &["--epochs", "2", "--seed", "3"]), &[("GATEFOLD_PRETEND", "slow")]);
    assert!(output.status.success(), "{}", said(&output));
    for name in ["best.safetensors", "last.safetensors", "test.json"] {
        assert!(fs::read(run.join(name)).unwrap() == fs::read(trained.run.join(name)).unwrap(), "{name}");
    }
}

/// Metal reports a submission that its watchdog ended as done.
#[test]
fn work_that_was_given_up_in_silence_is_noticed() {
    let trained = three();
    // A step, and what is read back for a checkpoint.
    for number in [3, 20] {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("run");
        let arguments = train(&trained.data, &run, &["--epochs", "2", "--seed", "3"]);
        let fault = format!("abort:{number}");
        let output = with(&arguments, &[("GATEFOLD_FAULT", &fault)]);
        let (code, text) = (output.status.code(), said(&output));
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error:")).collect();
        assert!(code == Some(1) && errors.len() == 1, "{fault}: {text}");
        let told = ["given up without a word", "--accumulate", "--resume"];
        assert!(told.iter().all(|part| errors[0].contains(part)), "{fault}: {text}");
        good(&[&arguments[..], &["--resume"]].concat());
        assert!(
            fs::read(run.join("last.safetensors")).unwrap() == fs::read(trained.run.join("last.safetensors")).unwrap()
        );
    }
}

#[test]
fn a_driver_that_refuses_a_device_is_asked_for_less() {
    let trained = three();
    let image = trained.image("Folk/00.png");
    let predict = ["predict", trained.run(), &image];
    let plain = with(&predict, &[]);
    let output = with(&predict, &[("GATEFOLD_FAULT", "device:1")]);
    let text = said(&output);
    assert!(output.status.success() && output.stdout == plain.stdout, "{text}");
    assert!(text.contains("the driver refused a device") && text.contains("it is used without matrix"), "{text}");
}

/// Kernels that end the program, as drivers' compilers do: the next start does without them, and says how to have them again.
#[test]
fn a_kernel_that_ends_the_program_ends_it_once() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let image = trained.image("Folk/00.png");
    let predict = |fault: &str| {
        with(
            &["predict", trained.run(), &image],
            &[("GATEFOLD_CACHE", cache.to_str().unwrap()), ("GATEFOLD_FAULT", fault)],
        )
    };
    let crash = "crash:conv2d/subgroup";
    // Kernels are compiled side by side, so nobody knows which one it was. After a crash each is compiled by itself, and so the next
    // one is known.
    for part in ["", "compiled one after the other"] {
        let output = predict(crash);
        assert!(output.status.code().is_none() && said(&output).contains(part), "{}", said(&output));
        assert!(!part.is_empty() || !said(&output).contains("note: adapter"), "{}", said(&output));
    }
    for _ in 0..8 {
        let next = predict(crash);
        if next.status.success() {
            assert!(said(&next).contains("is not used; to try again, delete "), "{}", said(&next));
            // The rest of its life it does without.
            let later = predict(crash);
            assert!(
                later.status.success() && said(&later).contains("done without, since earlier starts"),
                "{}",
                said(&later)
            );
            let refused = fs::read_dir(&cache).unwrap().flatten().map(|entry| entry.path());
            let refused: Vec<_> = refused.filter(|path| path.to_string_lossy().contains("refused-")).collect();
            assert_eq!(refused.len(), 1);
            fs::remove_file(&refused[0]).unwrap();
            assert!(predict("late:999").stderr == with(&["predict", trained.run(), &image], &[]).stderr);
            return;
        }
        assert!(next.status.code().is_none() && said(&next).contains("is not used"), "{}", said(&next));
    }
    panic!("it never came through");
}

/// As NVIDIA's compiler does with what it cannot compile: the device is gone, the program is not.
#[test]
fn a_kernel_that_loses_the_device_is_done_without() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().join("cache");
    let image = trained.image("Folk/00.png");
    let predict = || {
        let fault = [("GATEFOLD_CACHE", cache.to_str().unwrap()), ("GATEFOLD_FAULT", "compile:conv2d/subgroup")];
        with(&["predict", trained.run(), &image], &fault)
    };
    let mut then = "start again: kernels will be compiled one after the other";
    for _ in 0..8 {
        let output = predict();
        let text = said(&output);
        if output.status.success() {
            assert!(
                then.ends_with("will not be used") && text.contains("done without, since earlier starts"),
                "{text}"
            );
            return;
        }
        let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error:")).collect();
        assert!(output.status.code() == Some(1) && errors.len() == 1 && errors[0].contains(then), "{text}");
        if errors[0].contains("start again: kernel conv2d/subgroup") {
            then = "will not be used";
        } else {
            assert!(then.starts_with("start again: kernels"), "{text}");
            then = "start again: kernel conv2d/subgroup";
        }
    }
    panic!("it never came through");
}

/// The tuner tries kernels one by one: one crash each, and none of what it found is lost.
#[test]
fn the_tuner_is_ended_once_by_each_kernel_in_all_shapes() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    let (cache, run) = (folder.path().join("cache"), folder.path().join("run"));
    let arguments = train(&trained.data, &run, &["--epochs", "1", "--tune"]);
    let start = || {
        with(
            &arguments,
            &[("GATEFOLD_CACHE", cache.to_str().unwrap()), ("GATEFOLD_FAULT", "crash:conv2d/grad_weight_registers")],
        )
    };
    let first = start();
    assert_eq!(first.status.code(), None, "{}", said(&first));
    let second = with(&[&arguments[..], &["--resume"]].concat(), &[("GATEFOLD_CACHE", cache.to_str().unwrap())]);
    let text = said(&second);
    assert!(second.status.success(), "{text}");
    assert!(text.contains("kernel conv2d/grad_weight_registers") && text.contains("is not used"), "{text}");
}
