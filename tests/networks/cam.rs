//! Heat maps against the library pytorch-grad-cam, on shared weights and pictures: `cam.safetensors`, made by `cam.py`.

use std::sync::{Arc, LazyLock};

use approx::assert_abs_diff_eq;
use gatefold::explain::{Explainer, HeatMap, Method, faithfulness};
use gatefold::nets::forward::Taps;
use gatefold::score::model::{Model, forward};
use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::params::{Arena, ParameterStore};
use kernels_tests::{RelativeNormEq, assert_relative_norm_eq, tolerance};
use safetensors::SafeTensors;

use super::stream::{self, Stream};
use super::{golden, header};

static GOLDEN: LazyLock<SafeTensors<'static>> =
    LazyLock::new(|| SafeTensors::deserialize(golden!("cam.safetensors")).unwrap());

fn values(name: &str) -> Vec<f32> {
    let view = GOLDEN.tensor(name).unwrap_or_else(|e| panic!("{name}: {e}"));
    view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

#[track_caller]
fn assert_near(what: &str, out: &[f32], reference: &[f32], max_relative: f64) {
    println!("{what}: off by {:.1e}", out.relative_norm(reference));
    assert_relative_norm_eq!(out[..], reference[..], max_relative = max_relative, "{what}");
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
        let header = header(net, size, classes);
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
                let one = |name: &str| values(&format!("{name}/map"))[picture * cells..][..cells].to_vec();
                let max = if method == Method::ScoreCam { tolerance::SCORE_CAM } else { tolerance::HEAT_MAP };
                let what = format!("{name} of picture {picture}");
                assert_near(&what, heat.values(), &one(&name), max);
                if (picture, class) == (0, 1) {
                    compare_resized(
                        &format!("{what}, resized"),
                        heat,
                        case.size as u32,
                        &values(&format!("{name}/scaled")),
                        max,
                    );
                }
                if [Method::GradCamPlusPlus, Method::ScoreCam].contains(&method) {
                    let as_it_is = format!("{net}/{method} as it is/{class}");
                    let (ours, theirs) = (stretched(heat.values()), stretched(&one(&as_it_is)));
                    assert_near(&as_it_is, &ours, &theirs, tolerance::ON_PURPOSE);
                }
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
        let missing: Vec<bool> = values(&format!("impute/{name}/missing")).iter().map(|&m| m > 0.5).collect();
        let pixel = |place: usize| [0, 1, 2].map(|c| picture.signed(place * 3 + c));
        let mut filled: Vec<f32> = (0..height * width).flat_map(|p| [&pixel(p)[..], &[7.0]].concat()).collect();
        faithfulness::impute(&mut filled, &missing, width, height);
        assert!(filled.iter().skip(3).step_by(4).all(|&v| v == 7.0), "the fourth channel is nobody's business");
        let rgb: Vec<f32> = filled.chunks(4).flat_map(|pixel| &pixel[..3]).copied().collect();
        let reference = values(&format!("impute/{name}/filled"));
        assert_abs_diff_eq!(rgb[..], reference[..], epsilon = tolerance::FILLED);
    }
}
