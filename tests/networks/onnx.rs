//! Exported networks in tract, an ONNX runtime that is not ours, against the engine. `tests/weights/onnx.py` does the same in
//! onnxruntime.

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
use tract_onnx::prelude::*;

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

/// What tract answers under these names.
fn asked(model: &Model, options: Options, input: Tensor, outputs: &[&str]) -> Vec<Vec<f32>> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("net.onnx");
    let checkpoint = Checkpoint::take(&model.gpu, &model.store, model.header.clone(), false).unwrap();
    checkpoint.export_onnx(&file, options).unwrap();
    let fact = InferenceFact::dt_shape(input.datum_type(), input.shape());
    let mut graph = onnx().model_for_path(&file).unwrap().with_input_fact(0, fact).unwrap();
    graph.select_outputs_by_name(outputs).unwrap();
    let plan = graph.into_typed().unwrap().into_decluttered().unwrap().into_runnable().unwrap();
    let answers = plan.run(tvec!(input.into())).unwrap();
    answers.iter().map(|answer| answer.to_plain_array_view::<f32>().unwrap().iter().copied().collect()).collect()
}

fn pixels(width: usize, height: usize, number: usize) -> Vec<u8> {
    // Blocks, so that a picture scaled down is not grey all over.
    let value = |x: usize, y: usize, c: usize| {
        ((x / 5 * 37 + y / (3 + number) * 91 + c * 53 + number * 17) * 29 % 211 + x % 5 * 8) as u8
    };
    (0..width * height * 3).map(|i| value(i / 3 % width, i / 3 / width, i % 3)).collect()
}

/// Squares as the graph without preprocessing wants them.
fn normalised(header: &Header, pictures: &[Vec<u8>]) -> Tensor {
    let size = header.net.size;
    let value = |c: usize, v: u8| (f32::from(v) / 255.0 - header.mean[c]) / header.std[c];
    let planes = |pixels: &Vec<u8>| {
        (0..3).flat_map(|c| pixels.iter().skip(c).step_by(3).map(move |&v| value(c, v))).collect::<Vec<f32>>()
    };
    let values: Vec<f32> = pictures.iter().flat_map(planes).collect();
    Tensor::from_shape(&[pictures.len(), 3, size, size], &values).unwrap()
}

#[track_caller]
fn assert_near(what: &str, out: &[f32], reference: &[f32], most: f64) {
    let off = out.relative_norm(reference);
    println!("{what}: off by {off:.1e}");
    assert!(out.len() == reference.len() && off <= most, "{what}: off by {off:.1e}");
}

/// Logits of a network, with batch-norms as they are and folded.
fn assert_logits(net: &str, size: usize, classes: usize, head: Head) {
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
        let answers = asked(&model, options, normalised(&model.header, &pictures), &["logits", "probabilities"]);
        let what = format!("{net}, {classes} classes, {head} head, {}", if fold { "folded" } else { "as it is" });
        assert_near(&format!("{what}: logits"), &answers[0], &expected, tolerance::ONNX);
        let expected = probabilities(&expected, outputs, model.header.temperature);
        assert_near(&format!("{what}: probabilities"), &answers[1], &expected, tolerance::ONNX);
    }
}

#[test]
fn every_network_answers_in_tract_as_here() {
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
                let input = Tensor::from_shape(&[1, height, width, 3], &bytes).unwrap();
                let options = Options { preprocessing: true, ..Options::default() };
                let got = asked(&model, options, input, &["probabilities"]).remove(0);
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
    for (net, size, classes) in
        [("small", 48, 2), ("small", 48, 5), ("resnet18", 64, 5), ("densenet121", 64, 2), ("inception_v3", 107, 3)]
    {
        let model = model(header(net, size, classes));
        let pixels = vec![pixels(size, size, 0)];
        let options = Options { cam: true, ..Options::default() };
        let cam = asked(&model, options, normalised(&model.header, &pixels), &["cam"]).remove(0);
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
