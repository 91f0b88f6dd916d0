//! Bad input and bad usage: one clear line, exit code 2, nothing destroyed.

use std::fs;
use std::path::Path;

use crate::common::*;

fn folder(classes: &[(&str, usize)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    draw(dir.path(), classes);
    dir
}

/// Training on this is refused, leaves no run behind, and touches no picture.
#[track_caller]
fn no_training(data: &Path, more: &[&str], parts: &[&str]) {
    let out = tempfile::tempdir().unwrap();
    let run = out.path().join("run");
    let before = if data.is_dir() { files(data) } else { files(data.parent().unwrap()) };
    let done = refused(&train(data, &run, more), parts);
    assert!(!run.join("config.toml").exists() && !done.stderr.contains("epoch 1"));
    assert!(!run.exists() || files(&run).is_empty(), "{:?} are left", files(&run).keys());
    assert_eq!(before, if data.is_dir() { files(data) } else { files(data.parent().unwrap()) });
}

#[test]
fn folders_that_hold_no_data_set() {
    let empty = tempfile::tempdir().unwrap();
    no_training(empty.path(), &[], &[text(empty.path()), "no pictures", "one sub-folder per class"]);
    no_training(folder(&[("Folk", 6)]).path(), &[], &["only one class, `Folk`", "at least two"]);
    no_training(folder(&[("Folk", 6), ("Jazz", 2)]).path(), &[], &["class `Jazz`", "2", "3 sets"]);
    let gone = empty.path().join("gone");
    refused(&train(&gone, &empty.path().join("run"), &[]), &[text(&gone), "cannot be read"]);
}

#[test]
fn tables_that_do_not_fit() {
    let dir = folder(&TWO);
    let table = dir.path().join("covers.csv");
    let rows: String = TWO.iter().flat_map(|(c, n)| (0..*n).map(move |i| format!("{c}/{i:02}.png,{c}\n"))).collect();
    fs::write(&table, format!("path,style\n{rows}")).unwrap();
    no_training(&table, &["--label", "genre"], &["covers.csv", "no column `genre`", "`path`, `style`", "--label"]);
    no_training(&table, &["--label", "style", "--group", "artist"], &["no column `artist`", "--group"]);
    // Most files are missing: the table is not understood. A few: they are left out and listed.
    let gone = "Folk/none.png,Folk\n../gone.png,Jazz\n/no/such.png,Jazz\n";
    fs::write(&table, format!("path,style\n{gone}Folk/00.png,Folk\nJazz/00.png,Jazz\n")).unwrap();
    let parts = ["3 of 5", "none.png (line 2: there is no such file)", "gone.png", "/no/such.png", "--images"];
    no_training(&table, &["--label", "style"], &parts);
    fs::write(&table, format!("path,style\n{rows}{gone}")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let done = good(&train(&table, &out.path().join("run"), &["--label", "style", "--epochs", "1"]));
    for part in ["left out 3 of 27 files", "none.png: line 26: there is no such file", "/no/such.png: line 28"] {
        assert!(done.stderr.contains(part), "`{part}` is missing in: {}", done.stderr);
    }
    // Paths with `..` and absolute ones are followed where they exist.
    let absolute = text(&dir.path().join("Jazz/00.png")).to_owned();
    let rest: String = rows.lines().filter(|l| !l.ends_with("00.png,Jazz")).map(|l| format!("Jazz/../{l}\n")).collect();
    fs::write(&table, format!("path,style\n{rest}{absolute},Jazz\n")).unwrap();
    let out = dir.path().join("run");
    good(&train(&table, &out, &["--label", "style", "--epochs", "1"]));
}

#[test]
fn bad_pictures_are_listed_and_skipped_and_more_than_half_stop_the_run() {
    let dir = folder(&THREE);
    fs::write(dir.path().join("Jazz/notes.jpg"), "This is a text about a cover.").unwrap();
    let whole = fs::read(dir.path().join("Folk/03.png")).unwrap();
    fs::write(dir.path().join("Folk/cut.png"), &whole[..whole.len() / 2]).unwrap();
    let out = tempfile::tempdir().unwrap();
    let done = good(&train(dir.path(), &out.path().join("run"), &["--epochs", "1"]));
    for part in ["skipped 2 pictures", "notes.jpg: not a picture", "cut.png: "] {
        assert!(done.stderr.contains(part), "`{part}` is missing in: {}", done.stderr);
    }
    for class in ["Folk", "Jazz"] {
        (0..12).for_each(|i| fs::write(dir.path().join(format!("{class}/{i:02}.png")), "no picture").unwrap());
    }
    no_training(dir.path(), &[], &["26 of 38", "more than half", "not a picture"]);
}

#[test]
fn options_that_make_no_sense() {
    let dir = folder(&TWO);
    let cases: &[(&[&str], &[&str])] = &[
        (&["--lr", "0"], &["--lr 0", "above 0"]),
        (&["--lr", "nan"], &["--lr", "above 0"]),
        (&["--batch", "0"], &["--batch 0", "from 1"]),
        (&["--epochs", "0"], &["--epochs 0", "from 1 to 1000000"]),
        (&["--epochs", "18446744073709551615"], &["--epochs 18446744073709551615", "from 1 to 1000000"]),
        (&["--seed", "-1"], &["--seed -1", "from 0 to 4294967295"]),
        (&["--seeds", "1,-2"], &["--seeds -2", "from 0 to 4294967295"]),
        (&["--lr", "-1"], &["--lr -1", "above 0"]),
        (&["--dropout", "-1"], &["--dropout -1", "from 0 to below 1"]),
        (&["--weight-decay", "-0.1"], &["--weight-decay -0.1", "0 or above"]),
        (&["--label-smoothing", "-1"], &["--label-smoothing -1", "below 1"]),
        (&["--clip", "-1"], &["--clip -1", "above 0"]),
        (&["--trunk-lr", "-1"], &["--trunk-lr -1", "above 0"]),
        (&["--schedule", "step", "--step-every", "2", "--step-factor", "-1"], &["--step-factor -1", "above 0"]),
        (&["--split", "-70,15,15"], &["-70,15,15"]),
        (&["--adapter", "-1"], &["--adapter -1"]),
        (&["--schedule", "cosine", "--warmup", "4000000"], &["--warmup 4000000", "steps; name fewer"]),
        (&["--size", "8"], &["--size 8", "at least 32"]),
        (&["--dropout", "1"], &["--dropout 1", "below 1"]),
        (&["--label-smoothing", "1"], &["--label-smoothing 1", "below 1"]),
        (&["--weight-decay", "inf"], &["--weight-decay", "0 or above"]),
        (&["--net", "alexnet"], &["--net alexnet", "there are: prognet"]),
        (&["--recipe", "no-such"], &["--recipe no-such", "prog-rock"]),
        (&["--adapter", "voodoo"], &["--adapter voodoo", "there are: 0 "]),
        (&["--adapter", "99"], &["--adapter 99", "no such index"]),
        (&["--split", "70"], &["70"]),
        (&["--split", "0,50,50"], &["split 0,50,50"]),
        (&["--augment", "tilt"], &["tilt", "--augment"]),
        (&["--schedule", "zigzag"], &["zigzag", "--schedule"]),
        (&["--lr", "fast"], &["fast", "--lr"]),
    ];
    for &(more, parts) in cases {
        let out = tempfile::tempdir().unwrap();
        let run = out.path().join("run");
        // Not twice the same option, which would be another error.
        let small = SMALL.chunks(2).filter(|pair| !more.contains(&pair[0])).flatten().copied();
        let base = ["train", text(dir.path()), "--out", text(&run)];
        let arguments: Vec<&str> = base.into_iter().chain(small).chain(more.iter().copied()).collect();
        refused(&arguments, parts);
        assert!(!run.exists(), "{more:?} leaves a folder");
    }
    refused(&["train", text(dir.path())], &["required arguments", "--out"]);
    refused(&["trian"], &["trian", "did you mean 'train'?"]);
    let run = dir.path().join("run");
    let base = ["train", text(dir.path()), "--out", text(&run)];
    let also = |more: &[&'static str]| [&base[..], more].concat();
    refused(&also(&["--epoch", "3"]), &["--epoch", "did you mean '--epochs'?"]);
    refused(&also(&["--net", "resnet5"]), &["--net resnet5", "did you mean resnet50?"]);
}

#[test]
fn a_batch_that_cannot_fit_is_refused_with_one_that_does() {
    let dir = folder(&TWO);
    // More than the adapter binds, and more than a kernel can count.
    for (size, batch) in [("128", "20000"), ("1024", "65536")] {
        let net = ["--net", "prognet", "--epochs", "1"];
        let base =
            [&["train", text(dir.path()), "--dry-run", "--json"], &net[..], &["--size", size, "--batch"]].concat();
        let line = format!("--batch {batch} at --size {size}: ");
        let done = gatefold(&[&base[..], &[batch]].concat());
        assert_eq!((done.code, done.errors().len()), (2, 1), "{}", done.stderr);
        for part in [&line, "GiB", "try --batch "] {
            assert!(done.errors()[0].contains(part), "`{part}` is missing in {}", done.stderr);
        }
        // What can be recorded at all is told before it is refused.
        if size == "128" {
            assert_eq!((&done.json()["fits"], &done.json()["batch"]), (&false.into(), &20_000.into()));
        }
        let advice = done.errors()[0].rsplit("try --batch ").next().unwrap().to_owned();
        let fits: usize = advice.parse().unwrap();
        assert!(fits >= 1 && fits < batch.parse().unwrap());
        // Half of it, since memory that was free a moment ago may be in use now.
        good(&[&base[..], &[&(fits / 2).max(1).to_string()]].concat());
    }
}

#[test]
fn runs_layers_classes_and_pictures_that_are_not_there() {
    let trained = three();
    let (run, image) = (trained.run(), trained.image("Jazz/00.png"));
    let out = tempfile::tempdir().unwrap();
    let maps = text(&out.path().join("maps")).to_owned();
    let nowhere = text(&out.path().join("nowhere")).to_owned();
    refused(&["eval", &nowhere], &["nowhere", "does not exist", "train --out"]);
    refused(&["eval", text(out.path())], &["no config.toml", "is no run"]);
    refused(&["predict", &nowhere, &image], &["nowhere", "does not exist"]);
    refused(&["predict", run], &["no picture"]);
    refused(&["predict", run, "none.png"], &["none.png", "cannot be read"]);
    refused(&["explain", run, &image, "--out", &maps, "--layer", "conv9"], &["--layer conv9", "conv1, conv2"]);
    refused(&["explain", run, &image, "--out", &maps, "--class", "Polka"], &["--class Polka", "Folk, Jazz, Metal"]);
    refused(&["explain", run, &image], &["--out"]);
    refused(&["explain", run, "--out", &maps], &["no picture"]);
    assert!(!Path::new(&maps).exists());
    refused(&["eval", run, text(&trained.data)], &["--split all"]);
    refused(&["eval", run, "--map", "a=b"], &["--map", "DATA"]);
    refused(&["eval", run, text(&trained.data), "--split", "all", "--map", "Polka=Folk"], &["Polka", "no such class"]);
    let other = folder(&[("Folk", 3), ("Polka", 3)]);
    let parts = ["class Polka is unknown", "Folk, Jazz, Metal", "--map \"Polka=NAME\""];
    refused(&["eval", run, text(other.path()), "--split", "all"], &parts);
    refused(&["sample", text(&trained.data)], &[text(&trained.data)]);
}

/// A planar, tiled TIFF of 40 x 40 pixels whose side is no multiple of the tile's: valid, and too much for the decoder.
fn planar_tiff() -> Vec<u8> {
    let (side, tile, tiles) = (40u32, 16u32, 27u32);
    let (sizes_at, offsets_at) = (8 + 2 + 12 * 11 + 4, 8 + 2 + 12 * 11 + 4 + 6);
    let (counts_at, data_at) = (offsets_at + 4 * tiles, offsets_at + 8 * tiles);
    let entries: [(u16, u16, u32, u32); 11] = [
        (256, 3, 1, side),
        (257, 3, 1, side),
        (258, 3, 3, sizes_at),
        (259, 3, 1, 1),
        (262, 3, 1, 2),
        (277, 3, 1, 3),
        (284, 3, 1, 2),
        (322, 3, 1, tile),
        (323, 3, 1, tile),
        (324, 4, tiles, offsets_at),
        (325, 4, tiles, counts_at),
    ];
    let mut out = b"II*\0\x08\0\0\0\x0b\0".to_vec();
    for (tag, kind, count, value) in entries {
        out.extend([tag.to_le_bytes(), kind.to_le_bytes()].concat());
        out.extend([count.to_le_bytes(), value.to_le_bytes()].concat());
    }
    out.extend([0, 0, 0, 0, 8, 0, 8, 0, 8, 0]);
    (0..tiles).for_each(|i| out.extend((data_at + i * tile * tile).to_le_bytes()));
    (0..tiles).for_each(|_| out.extend((tile * tile).to_le_bytes()));
    out.resize(out.len() + (tiles * tile * tile) as usize, 60);
    out
}

#[test]
fn a_decoder_that_gives_up_leaves_one_line_and_the_rest_goes_on() {
    let dir = folder(&TWO);
    fs::write(dir.path().join("Folk/planar.tif"), planar_tiff()).unwrap();
    let out = tempfile::tempdir().unwrap();
    let done = good(&["import", text(dir.path()), "--out", text(&out.path().join("set"))]);
    assert!(done.stderr.contains("planar.tif: "), "{}", done.stderr);
    assert!(!done.stderr.contains("fault in gatefold") && !done.stderr.contains("src/"), "{}", done.stderr);
}

#[cfg(unix)]
#[test]
fn a_pipe_is_no_source() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("covers.csv");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    refused(&["import", text(&pipe), "--dry-run"], &["covers.csv: neither a file nor a folder"]);
}

/// What stands where a file should: every reader refuses it in one line, and none waits for it.
#[cfg(unix)]
#[test]
fn what_is_no_file_is_refused_by_every_reader() {
    let trained = three();
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe.toml");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let (run, data, image) = (trained.run(), text(&trained.data), trained.image("Jazz/00.png"));
    let weights = text(&trained.run.join("best.safetensors")).to_owned();
    let out = text(&dir.path().join("out")).to_owned();
    draw(dir.path(), &[("Folk", 1)]);
    fs::write(dir.path().join("Folk/a.mp3"), "ID3").unwrap();
    let devices = if cfg!(target_os = "linux") { &["/dev/zero"][..] } else { &[] };
    for (path, what) in devices
        .iter()
        .map(|path| (*path, "a pipe, a device or a socket, not a file"))
        .chain([(text(&pipe), "a pipe, a device or a socket, not a file"), (text(dir.path()), "a folder, not a file")])
    {
        refused(&["predict", "--weights", path, &image], &[path, what]);
        refused(&["eval", "--weights", path, data, "--split", "all"], &[path, what]);
        refused(&["train", data, "--out", &out, "--weights", path], &["--weights", path, what]);
        refused(&["train", data, "--out", &out, "--recipe", path], &["--recipe", path, what]);
        refused(&["predict", "--weights", &weights, "--labels", path, &image], &["--labels", path, what]);
        refused(&["import", text(dir.path()), "--out", &out, "--genres", path], &[path]);
        // A folder is gone through.
        if what.contains("pipe") {
            refused(&["predict", run, path], &[path, "not a file"]);
            refused(&["train", path, "--out", &out], &[path, "neither a file nor a folder"]);
            refused(&["export", path, "--out", &out], &[path, "is no folder"]);
        }
    }
    assert!(!Path::new(&out).exists());
}

#[test]
fn very_long_values_leave_one_short_line() {
    let trained = three();
    let digits = "9".repeat(900);
    let line = |arguments: &[&str]| refused(arguments, &[]).errors()[0].to_owned();
    for option in ["--epochs", "--seed", "--batch", "--lr", "--split", "--min-covers", "--augment"] {
        let said = line(&["train", "covers", "--out", "run", option, &digits]);
        assert!(said.len() < 400, "{option}: {said}");
    }
    let path = format!("{}/{}", "a".repeat(200), "b/".repeat(2500));
    let run = trained.run();
    refused(&["predict", run, &path], &["cannot be read"]);
    refused(&["eval", &path], &["does not exist"]);
    for arguments in [["import", run, "--out", &path], ["train", run, "--out", &path], ["audit", run, "--out", &path]] {
        refused(&arguments, &[]);
    }
    refused(&["eval", run, "--adapter", ""], &["--adapter: is empty"]);
}

#[test]
fn pictures_too_large_for_the_adapter_are_refused_with_its_limit() {
    let dir = folder(&TWO);
    let run = dir.path().join("run");
    good(&[
        "train",
        text(dir.path()),
        "--out",
        text(&run),
        "--net",
        "small",
        "--size",
        "32",
        "--epochs",
        "1",
        "--no-tune",
    ]);
    let (weights, image) = (run.join("best.safetensors"), dir.path().join("Folk/00.png"));
    let done = gatefold(&["predict", "--weights", text(&weights), "--size", "2048", text(&image)]);
    // An adapter may have room for it.
    if done.code != 0 {
        let [error] = done.errors()[..] else { panic!("{}", done.stderr) };
        assert!(
            done.code == 2 && error.contains("largest tensor") && error.contains("make the inputs smaller"),
            "{error}"
        );
        assert!(!error.contains("Validation") && !error.contains("wgpu"), "{error}");
    }
}
