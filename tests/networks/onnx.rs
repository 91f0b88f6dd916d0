//! Exported networks in onnxruntime against the engine. It is a package of Python, which `.ci/setup-onnx.sh` puts into the target folder;
//! where neither that one nor the system's Python has it, these tests say that they are skipped.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use gatefold::data::Fit;
use gatefold::data::picture::fit::square;
use gatefold::explain::Explainer;
use gatefold::nets::forward::Taps;
use gatefold::nets::{Head, NETS};
use gatefold::score::model::{Model, forward, probabilities};
use gatefold::weights::onnx::Options;
use gatefold::weights::{Checkpoint, Header};
use gatefold_engine::gpu::BufferPool;
use gatefold_engine::params::{Arena, ParameterStore};
use image::RgbImage;
use kernels_tests::{RelativeNormEq, tolerance};
use serde_json::json;

use super::{gpu, header};

/// A network with its first weights, biases that are not 0 and running statistics that are not neutral.
fn model(header: Header) -> Model {
    let gpu = gpu();
    let spec = forward(&header, 1, Taps::None).unwrap().tape.spec().clone();
    let store = ParameterStore::new(&gpu, &spec, false).unwrap();
    let (mut parameters, mut states) = spec.initial(7);
    for (offset, p) in spec.parameters.iter().filter(|(_, p)| p.name.ends_with("bias")) {
        parameters[*offset..][..p.shape.len()].iter_mut().zip(0..).for_each(|(v, n)| *v += (n % 7) as f32 / 20.0);
    }
    for (offset, s) in &spec.states {
        let value =
            |n: usize| if s.name.ends_with("var") { 0.8 + (n % 5) as f32 / 10.0 } else { (n % 3) as f32 / 10.0 };
        states[*offset..][..s.len].iter_mut().zip(0..).for_each(|(v, n)| *v = value(n));
    }
    store.write(&gpu, Arena::Parameters, &parameters).unwrap();
    store.write(&gpu, Arena::State, &states).unwrap();
    Model { gpu, header, store, pool: BufferPool::default() }
}

fn logits(model: &Model, pictures: &[Vec<u8>]) -> Vec<f32> {
    let pictures = pictures.iter().map(Vec::as_slice);
    model.inference(pictures.len()).unwrap().logits(pictures, |_| {}).unwrap()
}

/// onnxruntime in a process of its own.
struct Runtime(Child);

/// What goes into a graph.
struct Input {
    /// As NumPy names it.
    dtype: &'static str,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

impl Runtime {
    /// Starts it; `None`, loudly, where it is not there.
    fn start(test: &str) -> Option<Self> {
        let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("../onnxruntime/bin/python");
        let has_it = |python: &PathBuf| {
            let asked = Command::new(python).args(["-c", "import numpy, onnxruntime"]).stderr(Stdio::null()).status();
            asked.is_ok_and(|status| status.success())
        };
        let Some(python) = [own, "python3".into()].into_iter().find(has_it) else {
            eprintln!("{test}: SKIPPED: there is no onnxruntime: .ci/setup-onnx.sh gets it");
            return None;
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/networks/answers.py");
        Some(Self(Command::new(python).arg(script).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()))
    }

    /// What it answers under these names.
    fn asked(&mut self, model: &Model, options: Options, input: &Input, outputs: &[&str]) -> Vec<Vec<f32>> {
        let folder = tempfile::tempdir().unwrap();
        let [file, values] = ["net.onnx", "input"].map(|name| folder.path().join(name));
        let checkpoint = Checkpoint::take(&model.gpu, &model.store, model.header.clone(), false).unwrap();
        checkpoint.export_onnx(&file, options).unwrap();
        std::fs::write(&values, &input.bytes).unwrap();
        let Input { dtype, shape, .. } = input;
        let line = json!({"model": file, "input": values, "dtype": dtype, "shape": shape, "outputs": outputs});
        writeln!(self.0.stdin.as_mut().unwrap(), "{line}").unwrap();
        // It answers each line with one, so nothing of the next answer can lie in the buffer.
        let mut answer = String::new();
        BufReader::new(self.0.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).expect("onnxruntime refused the graph")
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Without further lines it ends.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

fn pixels(width: usize, height: usize, number: usize) -> Vec<u8> {
    // Blocks, so that a picture scaled down is not grey all over.
    let value = |x: usize, y: usize, c: usize| {
        ((x / 5 * 37 + y / (3 + number) * 91 + c * 53 + number * 17) * 29 % 211 + x % 5 * 8) as u8
    };
    (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3)).collect()
}

/// Squares as the graph without preprocessing wants them.
fn normalised(header: &Header, pictures: &[Vec<u8>]) -> Input {
    let size = header.net.size;
    let value = |c: usize, v: u8| (f32::from(v) / 255.0 - header.mean[c]) / header.std[c];
    let planes = |pixels: &Vec<u8>| {
        (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).map(move |&v| value(c, v))).collect::<Vec<f32>>()
    };
    let values: Vec<f32> = pictures.iter().flat_map(planes).collect();
    let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Input { dtype: "float32", shape: vec![pictures.len(), 3, size, size], bytes }
}

#[track_caller]
fn assert_near(what: &str, out: &[f32], reference: &[f32], most: f64) {
    let off = out.relative_norm(reference);
    println!("{what}: off by {off:.1e}");
    assert!(out.len() == reference.len() && off <= most, "{what}: off by {off:.1e}");
}

/// Logits of a network, with batch-norms as they are and folded.
fn assert_logits(runtime: &mut Runtime, net: &str, size: usize, classes: usize, head: Head) {
    let mut header = header(net, size, classes);
    header.net.head = head.clone();
    header.temperature = 0.8;
    let model = model(header);
    // Of several pictures, as a single logit may be next to 0.
    let pictures: Vec<Vec<u8>> = (0..4).map(|number| pixels(size, size, number)).collect();
    let (expected, outputs) = (logits(&model, &pictures), model.header.net.outputs());
    assert_eq!(expected.len(), pictures.len() * outputs);
    for fold in [false, true] {
        let options = Options { fold, ..Options::default() };
        let input = normalised(&model.header, &pictures);
        let answers = runtime.asked(&model, options, &input, &["logits", "probabilities"]);
        let what = format!("{net}, {classes} classes, {head} head, {}", if fold { "folded" } else { "as it is" });
        assert_near(&format!("{what}: logits"), &answers[0], &expected, tolerance::ONNX);
        let expected = probabilities(&expected, outputs, model.header.temperature);
        assert_near(&format!("{what}: probabilities"), &answers[1], &expected, tolerance::ONNX);
    }
}

#[test]
fn every_network_answers_in_onnxruntime_as_here() {
    let Some(mut runtime) = Runtime::start("every_network_answers_in_onnxruntime_as_here") else { return };
    let mut assert_logits =
        |net: &str, size: usize, classes: usize, head: Head| assert_logits(&mut runtime, net, size, classes, head);
    // Their deeper relatives are made of the same parts.
    let relatives = ["resnet34", "resnet101", "wide_resnet50_2", "densenet201"];
    for net in NETS {
        if relatives.contains(&net.name) {
            assert_logits(net.name, net.smallest, 2, Head::Linear);
            continue;
        }
        let head = if net.torchvision { Head::Flatten } else { Head::Linear };
        assert_logits(net.name, net.smallest.max(32), 5, head);
        assert_logits(net.name, net.smallest.max(32), 2, Head::Linear);
    }
    assert_logits("resnet18", 32, 2, Head::Flatten);
    assert_logits("resnet18", 32, 5, Head::Linear);
    assert_logits("densenet121", 32, 3, "features.transition1,features.denseblock2".parse().unwrap());
}

#[test]
fn pictures_of_any_size_are_prepared_in_the_graph_as_here() {
    let Some(mut runtime) = Runtime::start("pictures_of_any_size_are_prepared_in_the_graph_as_here") else { return };
    for fit in [Fit::Crop, Fit::Pad, Fit::Bilinear, Fit::Bicubic] {
        for crop in [1.0, 0.875] {
            let mut header = header("small", 28, 3);
            (header.fit, header.crop) = (fit, crop);
            let model = model(header);
            for (width, height) in [(47, 31), (33, 91), (201, 199), (32, 32), (9, 7)] {
                let bytes = pixels(width, height, 0);
                let picture = RgbImage::from_raw(width as u32, height as u32, bytes.clone()).unwrap();
                let square = square(&picture, model.picture_size(), fit).into_raw();
                let expected = probabilities(&logits(&model, &[square]), 3, 1.0);
                let input = Input { dtype: "uint8", shape: vec![1, height, width, 3], bytes };
                let options = Options { preprocessing: true, ..Options::default() };
                let got = runtime.asked(&model, options, &input, &["probabilities"]).remove(0);
                let off = got.iter().zip(&expected).map(|(a, b)| f64::from((a - b).abs())).fold(0.0, f64::max);
                let what = format!("{fit}, crop {crop}, {width} x {height}");
                println!("{what}: off by {off:.1e}, {expected:?}");
                let most = |of: &[f32]| (0..3).max_by(|&a, &b| of[a].total_cmp(&of[b]));
                assert!(most(&got) == most(&expected) && off <= tolerance::PREPARED, "{what}: {got:?} {expected:?}");
            }
        }
    }
}

#[test]
fn the_graphs_heat_map_is_grad_cam() {
    let Some(mut runtime) = Runtime::start("the_graphs_heat_map_is_grad_cam") else { return };
    for (net, size, classes) in
        [("small", 48, 2), ("small", 48, 5), ("resnet18", 64, 5), ("densenet121", 64, 2), ("inception_v3", 107, 3)]
    {
        let model = model(header(net, size, classes));
        let pixels = vec![pixels(size, size, 0)];
        let options = Options { cam: true, ..Options::default() };
        let cam = runtime.asked(&model, options, &normalised(&model.header, &pixels), &["cam"]).remove(0);
        let mut explainer = Explainer::new(&model, None).unwrap();
        let cells = explainer.shape().h * explainer.shape().w;
        assert_eq!(cam.len(), classes * cells, "{net}");
        let mut compared = 0;
        for (class, ours) in cam.chunks(cells).enumerate() {
            let heat = explainer.explain(&pixels[0], Some(class)).unwrap().heat;
            let most = heat.values().iter().copied().fold(0.0, f32::max);
            if most == 0.0 {
                assert!(ours.iter().all(|&v| v == 0.0), "{net}, class {class}: nothing speaks for it");
                continue;
            }
            let expected: Vec<f32> = heat.values().iter().map(|v| v / most).collect();
            assert_near(&format!("{net}, class {class}"), ours, &expected, tolerance::ONNX_CAM);
            compared += 1;
        }
        assert!(compared > 0, "{net}: nothing speaks for any class");
    }
}
