//! For a network that ends in global average pooling and one linear layer, Grad-CAM's weight of a channel is the linear layer's
//! weight over the number of cells, so Grad-CAM equals CAM (Selvaraju and others, 2017, section 3.1). Checked with untrained
//! weights, where nothing is zero by training.

use std::sync::Arc;

use gatefold::explain::{Explainer, layers};
use gatefold::nets::forward::Taps;
use gatefold::score::model::{Model, forward};
use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::params::{Arena, ParameterStore};
use gatefold_engine::plan::Plan;

use super::header;

/// A network with its first weights, and those of its linear layer in memory: channels x outputs.
fn model(net: &str, size: usize, classes: usize) -> (Model, Vec<f32>) {
    let gpu = Arc::new(Gpu::open(&GpuOptions::default()).unwrap());
    let header = header(net, size, classes);
    let spec = forward(&header, 1, Taps::None).unwrap().tape.spec().clone();
    let store = ParameterStore::new(&gpu, &spec, false).unwrap();
    let (parameters, states) = spec.initial(3);
    store.write(&gpu, Arena::Parameters, &parameters).unwrap();
    store.write(&gpu, Arena::State, &states).unwrap();
    let linear = |name: &str| ["fc.weight", "classifier.weight"].contains(&name);
    let (offset, linear) = spec.parameters.iter().find(|(_, p)| linear(&p.name)).unwrap();
    let weights = parameters[*offset..offset + linear.shape.len()].to_vec();
    (Model { gpu, header, store, pool: BufferPool::default() }, weights)
}

fn picture(size: usize) -> Vec<u8> {
    (0..size * size * 3).map(|i| (i * 7919 % 251) as u8).collect()
}

/// A layer's map of a picture, `h x w x c`, and the gradient of the first logit there.
fn map_and_gradient(model: &Model, picture: &[u8], layer: &str) -> [Vec<f32>; 2] {
    let mut recorded = forward(&model.header, 1, Taps::Layer(layer)).unwrap();
    let tape = &mut recorded.tape;
    let mut first = vec![0.0_f32; recorded.logits.shape.c];
    first[0] = 1.0;
    let seed = tape.constant(recorded.logits.shape, first.iter().map(|v| v.to_bits()).collect());
    tape.backward(&[(recorded.logits, seed)]).unwrap();
    let map = tape.named(layer).unwrap();
    let gradient = tape.grad(map).unwrap().unwrap();
    tape.keep(map);
    tape.keep(gradient);
    let mut plan = Plan::new(&model.gpu, tape, &model.store, &model.pool).unwrap();
    let mut bytes = picture.to_vec();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    plan.write(recorded.pixels, &bytes).unwrap();
    let results = plan.run().unwrap();
    [map, gradient].map(|tensor| results.get(tensor).unwrap())
}

fn assert_cam(net: &str, size: usize, classes: usize, default_layer: &str) {
    let (model, weights) = model(net, size, classes);
    let outputs = model.header.net.outputs();
    let picture = picture(size);
    let (layer, shape) = layers(&model.header).unwrap().pop().unwrap();
    assert_eq!(layer, default_layer, "{net}");
    let [map, _] = map_and_gradient(&model, &picture, &layer);
    let cells = (shape.h * shape.w) as f64;
    assert!(cells > 1.0, "{net}: one cell proves little");
    let mut explainer = Explainer::new(&model, None).unwrap();
    let mut evidence = 0.0_f64;
    for class in 0..classes {
        let weight = |channel: usize| {
            // One logit speaks for class 1, its negative for class 0.
            let (output, sign) = if outputs == 1 { (0, if class == 1 { 1.0 } else { -1.0 }) } else { (class, 1.0) };
            sign * f64::from(weights[channel * outputs + output])
        };
        // The sum of the map's channels by their weights, and how large its terms are.
        let cam = |cell: &[f32]| {
            let terms = cell.iter().enumerate().map(|(k, &a)| weight(k) * f64::from(a));
            let (sum, size) = terms.fold((0.0, 0.0), |(sum, size), term| (sum + term, size + term.abs()));
            ((sum / cells).max(0.0), size / cells)
        };
        let explanation = explainer.explain(&picture, Some(class)).unwrap();
        for (got, (expected, size)) in explanation.heat.values().iter().zip(map.chunks(shape.c).map(cam)) {
            let error = (f64::from(*got) - expected).abs();
            assert!(error <= 1e-6 * size, "{net}, class {class}: {got} {expected}");
            evidence = evidence.max(expected / size);
        }
    }
    assert!(evidence > 1e-3, "{net}: no class has evidence, so nothing was compared");
}

#[test]
fn grad_cam_equals_cam_where_a_linear_layer_follows_the_mean() {
    assert_cam("small", 48, 2, "conv4");
    assert_cam("small", 48, 5, "conv4");
}

#[test]
fn grad_cam_equals_cam_on_torchvisions_networks() {
    assert_cam("resnet18", 64, 5, "layer4.1");
    assert_cam("densenet121", 64, 2, "features");
    assert_cam("inception_v3", 107, 5, "Mixed_7c");
}

#[test]
fn the_map_of_a_dense_layer_is_its_part_of_the_blocks() {
    let (model, _) = model("densenet121", 32, 5);
    let picture = picture(32);
    let block = map_and_gradient(&model, &picture, "features.denseblock3");
    let channels =
        layers(&model.header).unwrap().into_iter().find(|(name, _)| name == "features.denseblock3").unwrap().1.c;
    // Nothing but the transition reads the last layer's maps.
    let layer = map_and_gradient(&model, &picture, "features.denseblock3.denselayer24");
    for (block, layer) in block.iter().zip(&layer) {
        let part: Vec<f32> = block.chunks(channels).flat_map(|cell| &cell[channels - 32..]).copied().collect();
        assert_eq!(&part, layer);
        assert!(part.iter().any(|&v| v != 0.0));
    }
}
