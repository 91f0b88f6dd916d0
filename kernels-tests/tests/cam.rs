//! Heat maps against the library pytorch-grad-cam, on shared weights and pictures: `golden/cam.safetensors`, made by
//! `golden/cam.py` and described in `golden/README.md`.

mod stream;

use std::sync::{Arc, LazyLock};

use gatefold::explain::{Explainer, HeatMap, Method, faithfulness};
use gatefold::nets::forward::Taps;
use gatefold::nets::{Head, NetConfig};
use gatefold::score::model::{Model, forward};
use gatefold::weights::{FORMAT, Header};
use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::params::{Arena, ParameterStore};
use safetensors::SafeTensors;
use stream::Stream;

/// Largest `||out - reference|| / ||reference||` of a map. The library was run in float64. Score-CAM's weights are a softmax,
/// which magnifies what an f32 engine is off by in the scores.
const TOLERANCE: f64 = 2e-5;
const SCORES: f64 = 2e-4;

/// How far the library's own Grad-CAM++ and Score-CAM may be from ours: they differ on purpose (README.md says in what).
const PLUS_PLUS_AS_IT_IS: f64 = 0.12;
const SCORE_CAM_AS_IT_IS: f64 = 0.12;

static GOLDEN: LazyLock<SafeTensors<'static>> =
    LazyLock::new(|| SafeTensors::deserialize(include_bytes!("../golden/cam.safetensors")).unwrap());

fn golden(name: &str) -> Vec<f32> {
    let view = GOLDEN.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn distance(out: &[f32], reference: &[f32]) -> f64 {
    assert_eq!(out.len(), reference.len());
    let square = |values: &mut dyn Iterator<Item = f64>| values.map(|v| v * v).sum::<f64>();
    let difference = square(&mut out.iter().zip(reference).map(|(&o, &r)| f64::from(o) - f64::from(r)));
    let norm = square(&mut reference.iter().map(|&r| f64::from(r)));
    (difference / norm).sqrt()
}

#[track_caller]
fn assert_near(what: &str, out: &[f32], reference: &[f32], tolerance: f64) {
    let error = distance(out, reference);
    println!("{what}: off by {error:.1e}");
    assert!(error <= tolerance, "{what}: off by {error:.2e}, allowed {tolerance:.0e}");
}

struct Case {
    net: &'static str,
    seed: i32,
    size: usize,
    classes: usize,
    layer: &'static str,
}

const CASES: [Case; 3] = [
    Case { net: "small", seed: 1, size: 48, classes: 5, layer: "conv3" },
    Case { net: "prognet", seed: 2, size: 64, classes: 2, layer: "conv4" },
    Case { net: "resnet18", seed: 3, size: 64, classes: 5, layer: "layer3.1" },
];

impl Case {
    fn model(&self) -> Model {
        let gpu = Arc::new(Gpu::open(&GpuOptions::default()).unwrap());
        let &Self { net, seed, size, classes, .. } = self;
        let header = Header {
            format: FORMAT,
            net: NetConfig { net: net.into(), size, classes, dropout: 0.0, batch_norm: true, head: Head::Linear },
            labels: (0..classes).map(|c| c.to_string()).collect(),
            fit: "crop".into(),
            mean: [0.5; 3],
            std: [0.25; 3],
            crop: 1.0,
            step: 0,
            epoch: 0,
            training_counts: vec![1; classes],
            best: None,
            harmonise: None,
            loss_scale: None,
            fingerprint: String::new(),
        };
        let spec = forward(&header, 1, Taps::None).unwrap().tape.spec().clone();
        let store = ParameterStore::new(&gpu, &spec, false).unwrap();
        let [parameters, states] = stream::weights(seed, &spec);
        store.write(&gpu, Arena::Parameters, &parameters).unwrap();
        store.write(&gpu, Arena::State, &states).unwrap();
        Model { gpu, header, store, pool: BufferPool::default() }
    }

    fn picture(&self, n: usize) -> Vec<u8> {
        let (size, coarse) = (self.size, 7);
        let [squares, noise] = ["coarse", "fine"].map(|part| Stream::new(self.seed, part));
        let byte = |stream: &Stream, place: usize| ((stream.signed(place) + 1.0) * 128.0) as u32;
        let value = |y: usize, x: usize, c: usize| {
            let square = ((n * coarse + y * coarse / size) * coarse + x * coarse / size) * 3 + c;
            let pixel = ((n * size + y) * size + x) * 3 + c;
            ((3 * byte(&squares, square) + byte(&noise, pixel)) / 4) as u8
        };
        let places = (0..size * size * 3).map(|place| (place / 3 / size, place / 3 % size, place % 3));
        places.map(|(y, x, c)| value(y, x, c)).collect()
    }
}

/// As the library shows a map: the coldest pixel is 0, the hottest 1.
fn stretched(values: &[f32]) -> Vec<f32> {
    let low = values.iter().copied().fold(f32::INFINITY, f32::min);
    let high = values.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    values.iter().map(|v| (v - low) / (high - low)).collect()
}

/// Ours at the picture's size against the library's. Theirs is stretched, ours divided by its maximum before it is resized; where
/// the coldest cell is 0 and the hottest one's centre is a pixel, that is the same.
fn compare_resized(what: &str, heat: &HeatMap, size: u32, reference: &[f32], tolerance: f64) {
    let ours = heat.upsampled(size, size).unwrap();
    assert_near(what, &stretched(&ours), reference, tolerance);
}

fn compare(case: &Case, methods: &[Method]) {
    let model = case.model();
    let mut explainer = Explainer::with_methods(&model, methods, Some(case.layer)).unwrap();
    let cells = explainer.shape().h * explainer.shape().w;
    for picture in 0..2 {
        for class in 0..2 {
            for explanation in explainer.explain_each(&case.picture(picture), Some(class)).unwrap() {
                let Case { net, .. } = case;
                let (method, heat) = (explanation.method, &explanation.heat);
                let name = format!("{net}/{method}/{class}");
                let one = |name: &str| golden(&format!("{name}/map"))[picture * cells..][..cells].to_vec();
                let tolerance = if method == Method::ScoreCam { SCORES } else { TOLERANCE };
                let what = format!("{name} of picture {picture}");
                assert_near(&what, heat.values(), &one(&name), tolerance);
                if (picture, class) == (0, 1) {
                    compare_resized(
                        &format!("{what}, resized"),
                        heat,
                        case.size as u32,
                        &golden(&format!("{name}/scaled")),
                        tolerance,
                    );
                }
                let on_purpose = match method {
                    Method::GradCamPlusPlus => PLUS_PLUS_AS_IT_IS,
                    Method::ScoreCam => SCORE_CAM_AS_IT_IS,
                    _ => continue,
                };
                let as_it_is = format!("{net}/{method} as it is/{class}");
                let error = distance(&stretched(heat.values()), &stretched(&one(&as_it_is)));
                println!("{as_it_is}: off by {error:.1e}");
                assert!(error <= on_purpose, "{as_it_is} of picture {picture}: off by {error:.2e}");
            }
        }
    }
}

const OF_GRADIENTS: [Method; 4] = [Method::GradCam, Method::GradCamPlusPlus, Method::HiResCam, Method::LayerCam];

#[test]
fn small() {
    compare(&CASES[0], &[&OF_GRADIENTS[..], &[Method::ScoreCam]].concat());
}

#[test]
fn prognet_whose_one_logit_speaks_for_both_classes() {
    compare(&CASES[1], &[&OF_GRADIENTS[..], &[Method::ScoreCam]].concat());
}

#[test]
fn resnet18() {
    compare(&CASES[2], &OF_GRADIENTS);
}

#[test]
fn holes_are_filled_in_as_road_does() {
    let (height, width) = (23, 18);
    let picture = Stream::new(0, "hole");
    for name in ["scattered", "hole"] {
        let missing: Vec<bool> = golden(&format!("impute/{name}/missing")).iter().map(|&m| m > 0.5).collect();
        let pixel = |place: usize| [0, 1, 2].map(|c| picture.signed(place * 3 + c));
        let mut filled: Vec<f32> = (0..height * width).flat_map(|p| [&pixel(p)[..], &[7.0]].concat()).collect();
        faithfulness::impute(&mut filled, &missing, width, height);
        assert!(filled.iter().skip(3).step_by(4).all(|&v| v == 7.0), "the fourth channel is nobody's business");
        let rgb: Vec<f32> = filled.chunks(4).flat_map(|pixel| &pixel[..3]).copied().collect();
        let reference = golden(&format!("impute/{name}/filled"));
        let worst = rgb.iter().zip(&reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(worst < 1e-3, "{name}: off by {worst}");
    }
}
