//! Weights files of other programs and our own: in, out, and what is refused.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use gatefold::nets::NetConfig;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::common::*;

pub type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

/// A network's first weights under PyTorch's names, the head with `rows` rows.
pub fn drawn(net: &str, rows: usize) -> Tensors {
    // One logit is two classes to us; a row more is drawn and cut off.
    let classes = rows.max(3);
    let net = NetConfig { net: net.into(), size: 32, classes, ..NetConfig::default() };
    let spec = gatefold::nets::forward::spec(&net, false).unwrap();
    let (parameters, states) = spec.initial(11);
    let mut tensors = Tensors::new();
    for (offset, p) in &spec.parameters {
        let (mut shape, mut values) = (p.disk_shape(), p.to_disk(&parameters[*offset..offset + p.shape.len()]));
        if p.name.starts_with("fc.") {
            values.truncate(values.len() / classes * rows);
            shape[0] = rows;
        }
        tensors.insert(p.name.clone(), (shape, values));
    }
    for (offset, s) in &spec.states {
        tensors.insert(s.name.clone(), (vec![s.len], states[*offset..offset + s.len].to_vec()));
    }
    tensors
}

/// Writes tensors as other programs do: no header of ours.
pub fn save(folder: &Path, name: &str, tensors: &Tensors, prefix: &str) -> PathBuf {
    let views: Vec<_> = tensors
        .iter()
        .map(|(name, (shape, values))| {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).unwrap();
            (format!("{prefix}{name}"), view)
        })
        .collect();
    let metadata = HashMap::from([("format".to_owned(), "pt".to_owned())]);
    let file = folder.join(name);
    fs::write(&file, safetensors::serialize(views, Some(metadata)).unwrap()).unwrap();
    file
}

/// Tensors and our header of a file.
fn load(file: &Path) -> (Tensors, serde_json::Value) {
    let bytes = fs::read(file).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let header = serde_json::from_str(&metadata.metadata().as_ref().unwrap()["gatefold"]).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = tensors.iter().filter(|(_, view)| view.dtype() == Dtype::F32);
    let floats = floats
        .map(|(name, view)| (name.to_owned(), (view.shape().to_vec(), bytemuck::pod_collect_to_vec(view.data()))));
    (floats.collect(), header)
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn near(value: &serde_json::Value, wanted: &[f64]) -> bool {
    numbers(value).iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-6)
}

fn path(folder: &tempfile::TempDir, name: &str) -> String {
    text(&folder.path().join(name)).to_owned()
}

#[test]
fn torchvisions_weights_come_in_go_out_and_come_in_again() {
    let folder = tempfile::tempdir().unwrap();
    let weights = save(folder.path(), "theirs.safetensors", &drawn("resnet18", 4), "module.");
    let image = three().image("Jazz/00.png");
    let labels = path(&folder, "labels.txt");
    fs::write(&labels, "Folk\nJazz\nMetal\nNew Age\n").unwrap();
    let about = ["--net", "resnet18", "--size", "32"];
    let plain = good(&[&["predict", "--weights", text(&weights), &image, "--json"], &about[..]].concat()).json();
    assert_eq!(plain[0]["labels"], serde_json::json!(["0", "1", "2", "3"]));
    let about = [&about[..], &["--labels", &labels]].concat();
    let named = good(&[&["predict", "--weights", text(&weights), &image, "--json"], &about[..]].concat()).json();
    assert_eq!(named[0]["labels"], serde_json::json!(["Folk", "Jazz", "Metal", "New Age"]));
    assert_eq!(named[0]["logits"], plain[0]["logits"]);

    let (out, again) = (path(&folder, "out.safetensors"), path(&folder, "again.safetensors"));
    let done = good(&[&["export", text(&weights), "--out", &out, "--json"], &about[..]].concat()).json();
    has_keys(&done, &["path", "net", "classes", "tensors", "parameters", "bytes"]);
    assert_eq!((&done["net"], &done["classes"], &done["tensors"]), (&"resnet18".into(), &4.into(), &122.into()));
    // 11,689,512 with torchvision's thousand classes, and 513 to a class.
    assert_eq!(done["parameters"], 11_689_512 - 996 * 513);
    assert_eq!(done["bytes"], fs::metadata(&out).unwrap().len());
    let (tensors, header) = load(Path::new(&out));
    assert!(tensors == drawn("resnet18", 4), "the numbers changed");
    assert!(near(&header["mean"], &[0.485, 0.456, 0.406]) && near(&header["std"], &[0.229, 0.224, 0.225]));
    // Of 32 / 0.875 pixels, rounded down, 32 are seen.
    assert!((header["crop"].as_f64().unwrap() - 32.0 / 36.0).abs() < 1e-6);
    let bytes = fs::read(&out).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let count = file.tensor("layer4.1.bn2.num_batches_tracked").unwrap();
    assert_eq!((count.dtype(), count.shape()), (Dtype::I64, &[][..]));

    // The exported file says it all by itself.
    assert_eq!(good(&["predict", "--weights", &out, &image, "--json"]).json(), named);
    good(&["export", &out, "--out", &again]);
    assert!(fs::read(&again).unwrap() == bytes, "exported again, it is another file");
    refused(&["export", &out, "--out", &again], &["again.safetensors", "is there already", "--force"]);
    good(&["export", &out, "--out", &again, "--force"]);
}

#[test]
fn a_run_is_exported_without_its_optimiser_and_serves_as_before() {
    let trained = three();
    let folder = tempfile::tempdir().unwrap();
    let (out, again) = (path(&folder, "out.safetensors"), path(&folder, "again.safetensors"));
    let said = good(&["export", trained.run(), "--out", &out]).stdout;
    assert!(said.contains("prognet, 3 classes") && said.contains(&out), "{said}");
    let (tensors, header) = load(Path::new(&out));
    assert!(tensors == load(&trained.run.join("best.safetensors")).0);
    assert_eq!((&header["crop"], &header["labels"]), (&1.0.into(), &serde_json::json!(["Folk", "Jazz", "Metal"])));
    good(&["export", &out, "--out", &again]);
    assert!(fs::read(&again).unwrap() == fs::read(&out).unwrap());
    // `last` has the optimiser's state, which PyTorch's modules would not take.
    let last = trained.run.join("last.safetensors");
    good(&["export", text(&last), "--out", &again, "--force"]);
    assert!(load(Path::new(&again)).0.keys().all(|name| !name.starts_with("optimizer.")));
    let data = text(&trained.data);
    let by_run = good(&["eval", trained.run(), data, "--split", "all", "--json"]).json();
    assert_eq!(good(&["eval", "--weights", &out, data, "--split", "all", "--json"]).json(), by_run);
    refused(&["export", &path(&folder, "nowhere"), "--out", &path(&folder, "x")], &["nowhere", "does not exist"]);
}

#[test]
fn everything_that_does_not_fit_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let (data, run) = (&three().data, folder.path().join("run"));
    let mut tensors = drawn("resnet18", 3);
    tensors.remove("layer1.0.bn1.running_mean");
    tensors.insert("layer5.0.conv1.weight".into(), (vec![1], vec![0.0]));
    tensors.get_mut("conv1.weight").unwrap().0 = vec![64, 3, 49];
    let weights = save(folder.path(), "odd.safetensors", &tensors, "");
    let parts = [
        "odd.safetensors",
        "missing: layer1.0.bn1.running_mean;",
        "unexpected: layer5.0.conv1.weight;",
        "conv1.weight is [64, 3, 49] instead of [64, 3, 7, 7]",
    ];
    let (weights, image) = (text(&weights), three().image("Jazz/00.png"));
    refused(&["predict", "--weights", weights, "--net", "resnet18", "--size", "32", &image], &parts);
    let arguments = train(data, &run, &["--net", "resnet18", "--weights", weights]);
    assert!(!refused(&arguments, &parts).stderr.contains("decod") && !run.exists());
    // Of a network of another kind the first few.
    let parts = ["missing: Conv2d_1a_3x3.bn.bias, ", " and 462 more; unexpected: bn1.bias, ", " and 92 more"];
    let arguments = ["export", weights, "--net", "inception_v3", "--out", &path(&folder, "out")];
    refused(&arguments, &parts);
    refused(&["predict", "--weights", weights, &image], &["nothing of its network", "--net NAME", "resnet18"]);
    refused(&["predict", "--weights", weights, "--net", "resnet18", "--size", "16", &image], &["--size 16", "32"]);
    refused(&["predict", three().run(), "--size", "64", &image], &["--size", "need --weights"]);
}

#[test]
fn look_alikes_and_other_formats_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = three().image("Jazz/00.png");
    let mut tensors = drawn("resnet18", 3);
    tensors.insert("layer1.0.conv1.bias".into(), (vec![64], vec![0.0; 64]));
    let keras = save(folder.path(), "keras.safetensors", &tensors, "");
    let run = folder.path().join("run");
    let parts = ["keras.safetensors", "layer1.0.conv1.bias", "Keras' ResNet-50", "take torchvision's"];
    refused(&["predict", "--weights", text(&keras), "--net", "resnet18", &image], &parts);
    refused(&train(&three().data, &run, &["--net", "resnet18", "--weights", text(&keras)]), &parts);
    let pickle = path(&folder, "resnet18.pth");
    fs::write(&pickle, b"PK\x03\x04 and a pickle").unwrap();
    let parts = ["resnet18.pth", "cut off or damaged"];
    refused(&["predict", "--weights", &pickle, "--net", "resnet18", &image], &parts);
    refused(&train(&three().data, &run, &["--net", "resnet18", "--weights", &pickle]), &parts);
    assert!(!run.exists());
}

/// Writes tensors as `torch.save` did before 1.6: four pickles, the storages' names, and their numbers.
fn save_pth(folder: &Path, name: &str, tensors: &Tensors, prefix: &str) -> PathBuf {
    let text = |text: &str| [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat();
    let number = |number: usize| [b"J", &(number as u32).to_le_bytes()[..]].concat();
    let tuple =
        |numbers: &[usize]| [&b"("[..], &numbers.iter().flat_map(|&n| number(n)).collect::<Vec<_>>(), b"t"].concat();
    let mut state = b"\x80\x02}".to_vec();
    let (mut names, mut data) = (b"\x80\x02](".to_vec(), vec![]);
    for (place, (name, (shape, values))) in tensors.iter().enumerate() {
        let key = text(&place.to_string());
        let strides: Vec<usize> = (0..shape.len()).map(|axis| shape[axis + 1..].iter().product()).collect();
        state.extend(text(&format!("{prefix}{name}")));
        state.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        state.extend(
            [text("storage"), b"ctorch\nFloatStorage\n".to_vec(), key.clone(), text("cpu"), number(values.len())]
                .concat(),
        );
        // No view of another storage; offset, shape, strides; no gradient, no hooks.
        state.extend([b"NtQ".to_vec(), number(0), tuple(shape), tuple(&strides), b"\x89NtRs".to_vec()].concat());
        names.extend(&key);
        data.extend((values.len() as u64).to_le_bytes());
        data.extend(bytemuck::cast_slice::<f32, u8>(values));
    }
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let file = folder.join(name);
    fs::write(&file, [&magic[..], b"\x80\x02M\xe9\x03.", b"\x80\x02}.", &state, b".", &names, b"e.", &data].concat())
        .unwrap();
    file
}

#[test]
fn pytorchs_own_files_and_files_in_parts_answer_as_safetensors_do() {
    let folder = tempfile::tempdir().unwrap();
    let (tensors, image) = (drawn("small", 3), three().image("Jazz/00.png"));
    let about = ["--net", "small", "--size", "32", &image, "--json"];
    let plain = save(folder.path(), "plain.safetensors", &tensors, "");
    let expected = good(&[&["predict", "--weights", text(&plain)], &about[..]].concat()).json();
    let pth = save_pth(folder.path(), "small.pth", &tensors, "_orig_mod.module.");
    let done = good(&[&["predict", "--weights", text(&pth)], &about[..]].concat());
    assert_eq!(done.json(), expected);
    assert!(
        done.stderr.contains("small.pth: the prefix _orig_mod.module. of its names is taken off"),
        "{}",
        done.stderr
    );
    // No file of ours, so no older version wrote it.
    assert!(!done.stderr.contains("without a hash"), "{}", done.stderr);
    let run = folder.path().join("run");
    let done = good(&still(&three().data, &run, &pth));
    assert!(done.stderr.contains("the prefix _orig_mod.module."), "{}", done.stderr);

    // As the Hugging Face Hub cuts large files.
    let (first, second): (Tensors, Tensors) =
        tensors.clone().into_iter().partition(|(name, _)| name.starts_with("conv"));
    let parts = [("model-00001-of-00002.safetensors", &first), ("model-00002-of-00002.safetensors", &second)];
    let mut map = serde_json::Map::new();
    for (file, tensors) in parts {
        save(folder.path(), file, tensors, "backbone.");
        map.extend(tensors.keys().map(|name| (format!("backbone.{name}"), file.into())));
    }
    let index = path(&folder, "model.safetensors.index.json");
    fs::write(&index, serde_json::json!({"metadata": {}, "weight_map": map}).to_string()).unwrap();
    assert_eq!(good(&[&["predict", "--weights", &index], &about[..]].concat()).json(), expected);
    let part = path(&folder, parts[1].0);
    refused(&[&["predict", "--weights", &part], &about[..]].concat(), &["one part of several", "index.json"]);
    fs::write(&index, r#"{"weight_map": {"conv1.weight": "../plain.safetensors"}}"#).unwrap();
    refused(&[&["predict", "--weights", &index], &about[..]].concat(), &["../plain.safetensors", "no file beside it"]);
}

#[test]
fn weights_without_a_head_are_called_that_and_have_layers() {
    let folder = tempfile::tempdir().unwrap();
    let mut tensors = drawn("small", 3);
    tensors.retain(|name, _| !name.starts_with("fc"));
    let trunk = save(folder.path(), "trunk.safetensors", &tensors, "");
    let image = three().image("Jazz/00.png");
    let predict = ["predict", "--weights", text(&trunk), "--net", "small", "--size", "32", &image];
    let done = refused(&predict, &["trunk.safetensors has no head (fc", "gatefold train DATA --weights"]);
    assert!(!done.stderr.contains("another network"));
    let list = ["explain", "--weights", text(&trunk), "--net", "small", "--size", "32", "--layer", "list"];
    assert!(good(&list).stdout.starts_with("conv1 32x32 cells"));
    let run = folder.path().join("run");
    assert!(good(&still(&three().data, &run, &trunk)).stderr.contains("not in the file, started anew"));
}

/// `train --weights` that changes no weight: the rate is far below what an f32 can add.
fn still<'a>(data: &'a Path, run: &'a Path, weights: &'a Path) -> Vec<&'a str> {
    let more = ["--net", "small", "--epochs", "1", "--lr", "1e-30", "--weight-decay", "0", "--weights", text(weights)];
    train(data, run, &more)
}

#[test]
fn training_takes_over_the_trunk_and_says_what_it_starts_anew() {
    let folder = tempfile::tempdir().unwrap();
    let theirs = drawn("small", 5);
    let weights = save(folder.path(), "five.safetensors", &theirs, "model.");
    let run = folder.path().join("run");
    let done = good(&still(&three().data, &run, &weights));
    let note = "fc is for 5 classes, the data has 3: left out and started anew";
    assert!(done.stderr.contains("note: ") && done.stderr.contains(note), "{}", done.stderr);
    let (ours, _) = load(&run.join("best.safetensors"));
    for (name, values) in theirs.iter().filter(|(name, _)| !name.contains("running") && !name.starts_with("fc.")) {
        // A bias of 0 is the one thing that so low a rate can move.
        let close = ours[name].1.iter().zip(&values.1).all(|(a, b)| (a - b).abs() < 1e-20);
        assert!(ours[name].0 == values.0 && close, "{name} changed");
    }
    assert_eq!(ours["fc.weight"].0, [3, 64]);
    let config = fs::read_to_string(run.join("config.toml")).unwrap();
    let hash = blake3::hash(&fs::read(&weights).unwrap()).to_hex().to_string();
    assert!(config.contains("five.safetensors") && config.contains(&hash), "{config}");
    // Going on needs the file no more, and refuses another beginning.
    fs::remove_file(&weights).unwrap();
    let data = text(&three().data);
    good(&["train", data, "--out", text(&run), "--resume", "--epochs", "2"]);
    refused(&["train", data, "--out", text(&run), "--resume", "--weights", "x"], &["--weights", "--resume"]);

    // A head that fits is taken over too; two rows for two classes are one logit too many.
    let three_rows = save(folder.path(), "three.safetensors", &drawn("small", 3), "");
    let run = folder.path().join("run3");
    let done = good(&still(&three().data, &run, &three_rows));
    assert!(!done.stderr.contains("anew"), "{}", done.stderr);
    assert!(load(&run.join("best.safetensors")).0["fc.weight"] == drawn("small", 3)["fc.weight"]);
    let two_rows = save(folder.path(), "two.safetensors", &drawn("small", 2), "");
    let run = folder.path().join("run2");
    let done = good(&still(&two().data, &run, &two_rows));
    assert!(done.stderr.contains("two classes make one logit here: left out"), "{}", done.stderr);
    let (run, ours) = (folder.path().join("run1"), three().run.join("best.safetensors"));
    let arguments = train(&two().data, &run, &["--weights", text(&ours)]);
    refused(&[&arguments[..], &["--net", "small"]].concat(), &["of another network, prognet", "--net prognet"]);
}

#[test]
fn two_rows_are_folded_into_one_logit_of_the_same_probabilities() {
    let folder = tempfile::tempdir().unwrap();
    let (mut one, two) = (drawn("small", 1), drawn("small", 2));
    for name in ["fc.weight", "fc.bias"] {
        let (first, second) = two[name].1.split_at(two[name].1.len() / 2);
        one.get_mut(name).unwrap().1 = second.iter().zip(first).map(|(b, a)| b - a).collect();
    }
    let image = three().image("Jazz/00.png");
    let predict = |tensors, name| {
        let weights = save(folder.path(), name, tensors, "");
        good(&["predict", "--weights", text(&weights), "--net", "small", "--size", "32", &image, "--json"])
    };
    let (one, two) = (predict(&one, "one.safetensors"), predict(&two, "two.safetensors"));
    assert!(two.stderr.contains("two classes make one logit here") && !one.stderr.contains("logit"));
    assert_eq!(one.json(), two.json());
    assert_eq!(numbers(&one.json()[0]["logits"]).len(), 1);
}

#[test]
fn normalisation_belongs_to_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    let weights = save(folder.path(), "small.safetensors", &drawn("small", 3), "");
    // timm keeps this beside its weights.
    let cfg = r#"{"architecture": "small", "pretrained_cfg":
        {"mean": [0.25, 0.5, 0.75], "std": [0.5, 0.25, 0.125], "crop_pct": 0.8, "input_size": [3, 32, 32],
        "interpolation": "bilinear"}}"#;
    fs::write(folder.path().join("config.json"), cfg).unwrap();
    let (timms, ours) = (path(&folder, "timm.safetensors"), path(&folder, "ours.safetensors"));
    good(&["export", text(&weights), "--net", "small", "--out", &timms]);
    let (_, header) = load(Path::new(&timms));
    assert!(near(&header["mean"], &[0.25, 0.5, 0.75]) && near(&header["std"], &[0.5, 0.25, 0.125]));
    assert!((header["crop"].as_f64().unwrap() - 0.8).abs() < 1e-6);
    assert_eq!(header["fit"], "bilinear");
    // What is said goes before what the file says, and a filter that is not known is no other one.
    let said = ["--mean", "0.1,0.2,0.3", "--std", "1,2,3", "--interpolation", "bicubic", "--crop-pct", "0.5"];
    good(&[&["export", text(&weights), "--net", "small", "--out", &ours], &said[..]].concat());
    let (_, header) = load(Path::new(&ours));
    assert!(near(&header["mean"], &[0.1, 0.2, 0.3]) && near(&header["std"], &[1.0, 2.0, 3.0]));
    assert_eq!((&header["fit"], header["crop"].as_f64()), (&"bicubic".into(), Some(0.5)));
    fs::write(folder.path().join("config.json"), cfg.replace("bilinear", "hamming")).unwrap();
    let export = ["export", text(&weights), "--net", "small", "--force", "--out", &ours];
    refused(&export, &["config.json", "\"hamming\"", "add --fit"]);
    for (option, value, part) in
        [("--mean", "1,2", "three numbers"), ("--std", "1,0,1", "above 0"), ("--crop-pct", "2", "0.05")]
    {
        refused(&[&export[..], &[option, value]].concat(), &[option, part]);
    }
    fs::remove_file(folder.path().join("config.json")).unwrap();
    good(&["export", text(&weights), "--net", "small", "--size", "32", "--force", "--out", &ours]);
    assert!(near(&load(Path::new(&ours)).1["mean"], &[0.5; 3]));

    // The same 40 pixels: one sees all of them, the other the central 32. A picture of one colour, normalised otherwise, gives
    // other logits.
    let grey = path(&folder, "grey.png");
    image::RgbImage::from_pixel(40, 40, image::Rgb([90, 140, 60])).save(&grey).unwrap();
    let logits = |file: &str| good(&["predict", "--weights", file, &grey, "--json"]).json()[0]["logits"].clone();
    assert_ne!(logits(&timms), logits(&ours));

    // A new run takes normalisation and filter over, and keeps them when it goes on; it sees the whole square.
    let run = folder.path().join("run");
    good(&still(&three().data, &run, Path::new(&timms)));
    for epochs in ["1", "2"] {
        let data = text(&three().data);
        good(&["train", data, "--out", text(&run), "--resume", "--epochs", epochs]);
        let (_, header) = load(&run.join("last.safetensors"));
        assert!(near(&header["mean"], &[0.25, 0.5, 0.75]) && near(&header["std"], &[0.5, 0.25, 0.125]));
        assert_eq!(header["fit"], "bilinear");
        assert_eq!((&header["crop"], &header["epoch"]), (&1.0.into(), &epochs.parse::<u64>().unwrap().into()));
    }
}

#[test]
fn only_the_centre_counts_where_the_weights_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let weights = save(folder.path(), "small.safetensors", &drawn("small", 3), "");
    let cfg = r#"{"architecture": "small", "pretrained_cfg": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25],
        "crop_pct": 0.8, "input_size": [3, 32, 32]}}"#;
    fs::write(folder.path().join("config.json"), cfg).unwrap();
    // 40 x 40 pixels, of which the central 32 x 32 are seen.
    let (framed, bare) = (path(&folder, "framed.png"), path(&folder, "bare.png"));
    let cover = picture(1, 0);
    let centre = image::imageops::crop_imm(&cover, 4, 4, 32, 32).to_image();
    let mut white = image::RgbImage::from_pixel(40, 40, image::Rgb([255; 3]));
    image::imageops::replace(&mut white, &centre, 4, 4);
    white.save(&framed).unwrap();
    centre.save(&bare).unwrap();
    let cover = three().image("Jazz/00.png");
    let file = path(&folder, "out.safetensors");
    good(&["export", text(&weights), "--net", "small", "--out", &file]);
    let logits = |image: &str| good(&["predict", "--weights", &file, image, "--json"]).json()[0]["logits"].clone();
    assert_eq!(logits(&framed), logits(&cover));
    assert_ne!(logits(&framed), logits(&bare));

    let maps = folder.path().join("maps");
    let records = good(&["explain", "--weights", &file, &framed, "--out", text(&maps), "--json"]).json();
    assert_eq!(records[0]["resolution"], serde_json::json!([4, 4]));
    image::open(maps.join("contact-sheet.png")).unwrap();
    let layers = good(&["explain", "--weights", &file, "--layer", "list"]).stdout;
    assert!(layers.starts_with("conv1 32x32 cells"), "{layers}");

    let labels = path(&folder, "labels.txt");
    fs::write(&labels, "Folk\nJazz\nMetal\n").unwrap();
    let data = text(&three().data);
    let arguments = ["eval", "--weights", &file, data, "--labels", &labels, "--json"];
    refused(&arguments, &["--split all"]);
    let done = good(&[&arguments[..], &["--split", "all"]].concat());
    assert_eq!((done.json()["n"].as_u64(), done.json()["majority"].as_f64()), (Some(36), Some(1.0 / 3.0)));
    assert!(done.stderr.contains("do not tell what they were trained on"), "{}", done.stderr);
    for (lines, parts) in [("Folk\nJazz\n", ["2 lines", "3 classes"]), ("Folk\nJazz\nFolk\n", ["line 3", "repeats"])] {
        fs::write(&labels, lines).unwrap();
        refused(&[&arguments[..], &["--split", "all"]].concat(), &parts);
    }
}
