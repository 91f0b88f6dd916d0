//! For a network that ends in global average pooling and one linear layer, Grad-CAM's weight of a channel is the linear layer's
//! weight over the number of cells, so Grad-CAM equals CAM (Selvaraju and others, 2017, section 3.1). Checked with untrained
//! weights, where nothing is zero by training.

use std::sync::Arc;

use gatefold::explain::Explainer;
use gatefold::explain::grad_cam::layers;
use gatefold::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold::nets::{Head, NetConfig};
use gatefold::params::ParameterStore;
use gatefold::plan::Plan;
use gatefold::tape::Arena;
use gatefold::train::model::{Model, Taps, forward};
use gatefold::weights::{FORMAT, Header};

const SIZE: usize = 48;

fn model(classes: usize) -> (Model, Vec<f32>) {
    let gpu = Arc::new(Gpu::open(&GpuOptions::default()).unwrap());
    let net =
        NetConfig { net: "small".into(), size: SIZE, classes, dropout: 0.0, batch_norm: true, head: Head::Linear };
    let header = Header {
        format: FORMAT,
        net,
        labels: (0..classes).map(|c| c.to_string()).collect(),
        fit: "crop".into(),
        mean: [0.5; 3],
        deviation: [0.25; 3],
        crop: 1.0,
        step: 0,
        epoch: 0,
        training_counts: vec![1; classes],
        best: None,
        fingerprint: String::new(),
    };
    let spec = forward(&header, 1, Taps::None).unwrap().tape.spec().clone();
    let store = ParameterStore::new(&gpu, &spec, false).unwrap();
    let (parameters, states) = spec.initial(3);
    store.write(&gpu, Arena::Parameters, &parameters).unwrap();
    store.write(&gpu, Arena::State, &states).unwrap();
    // The linear layer's weights in memory: channels x outputs.
    let (offset, fc) = spec.parameters.iter().find(|(_, p)| p.name == "fc.weight").unwrap();
    let weights = parameters[*offset..offset + fc.shape.len()].to_vec();
    (Model { gpu, header, store, pool: BufferPool::default() }, weights)
}

/// The last map of a picture, `h x w x c`.
fn activation(model: &Model, picture: &[u8], layer: &str) -> Vec<f32> {
    let mut recorded = forward(&model.header, 1, Taps::None).unwrap();
    let map = recorded.tape.named(layer).unwrap();
    recorded.tape.keep(map);
    let mut plan = Plan::new(&model.gpu, &recorded.tape, &model.store, &model.pool).unwrap();
    plan.write(recorded.pixels, picture).unwrap();
    plan.run().unwrap().get(map).unwrap()
}

#[test]
fn grad_cam_equals_cam_where_a_linear_layer_follows_the_mean() {
    for classes in [2, 5] {
        let (model, weights) = model(classes);
        let outputs = model.header.net.outputs();
        let picture: Vec<u8> = (0..SIZE * SIZE * 3).map(|i| (i * 7919 % 251) as u8).collect();
        let (layer, shape) = layers(&model).unwrap().pop().unwrap();
        let map = activation(&model, &picture, &layer);
        let cells = (shape.h * shape.w) as f64;
        let mut explainer = Explainer::new(&model, Some(&layer)).unwrap();
        for class in 0..classes {
            let weight = |channel: usize| {
                // One logit speaks for class 1, its negative for class 0.
                let (output, sign) = if outputs == 1 { (0, if class == 1 { 1.0 } else { -1.0 }) } else { (class, 1.0) };
                sign * f64::from(weights[channel * outputs + output])
            };
            let cam = |cell: &[f32]| {
                let sum: f64 = cell.iter().enumerate().map(|(k, &a)| weight(k) * f64::from(a)).sum();
                (sum / cells).max(0.0)
            };
            let expected: Vec<f64> = map.chunks(shape.c).map(cam).collect();
            let explanation = explainer.explain(&picture, Some(class)).unwrap();
            let largest = expected.iter().copied().fold(0.0, f64::max);
            for (got, expected) in explanation.heat.values().iter().zip(&expected) {
                assert!(
                    (f64::from(*got) - expected).abs() <= 1e-5 * largest.max(1e-6),
                    "class {class}: {got} {expected}"
                );
            }
        }
    }
}
