//! The graph is computed here, naively in f64, and compared with what the engine answers.

use std::sync::Arc;

use gatefold_engine::gpu::{BufferPool, Gpu, GpuOptions};
use gatefold_engine::params::ParameterStore;
use gatefold_engine::plan::Plan;

use super::proto::{Constant, Model as Onnx, Node};
use super::*;
use crate::nets::forward::{self, Taps};
use crate::nets::{Head, NetConfig};
use crate::weights::{FORMAT, Tensors};

/// Shape and numbers.
type Array = (Vec<usize>, Vec<f64>);

fn attribute<'a>(node: &'a Node, name: &str) -> &'a [i64] {
    node.attribute.iter().find(|attribute| attribute.name == name).map_or(&[], |attribute| &attribute.ints)
}

fn number(constant: &Constant) -> Array {
    let shape: Vec<usize> = constant.dims.iter().map(|&extent| extent as usize).collect();
    let bytes = &constant.raw_data;
    let values: Vec<f64> = match constant.data_type {
        FLOAT => bytes.as_chunks().0.iter().map(|&bytes| f64::from(f32::from_le_bytes(bytes))).collect(),
        FLOAT16 => bytes.as_chunks().0.iter().map(|&bytes| half::f16::from_le_bytes(bytes).to_f64()).collect(),
        _ => bytes.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes) as f64).collect(),
    };
    assert_eq!(shape.iter().product::<usize>(), values.len());
    (shape, values)
}

/// Every output cell from the window of `x` that it sees; cells outside are `None`.
fn slide(node: &Node, x: &Array, channels: usize, cell: impl Fn(usize, usize, &[Option<usize>]) -> f64) -> Array {
    let [kernel, strides, pads] = ["kernel_shape", "strides", "pads"].map(|name| attribute(node, name));
    let [n, _, h, w] = x.0[..] else { panic!("{:?}", x.0) };
    let extent = |size: usize, axis: usize| {
        ((size as i64 + pads[axis] + pads[axis + 2] - kernel[axis]) / strides[axis] + 1) as usize
    };
    let (rows, columns) = (extent(h, 0), extent(w, 1));
    let mut out = vec![];
    for sample in 0..n {
        for channel in 0..channels {
            for (row, column) in (0..rows).flat_map(|row| (0..columns).map(move |column| (row, column))) {
                let at = |place: usize, offset: i64, axis: usize, size: usize| {
                    let at = place as i64 * strides[axis] + offset - pads[axis];
                    (0..size as i64).contains(&at).then_some(at as usize)
                };
                let seen: Vec<Option<usize>> = (0..kernel[0])
                    .flat_map(|dy| (0..kernel[1]).map(move |dx| (dy, dx)))
                    .map(|(dy, dx)| Some(at(row, dy, 0, h)? * w + at(column, dx, 1, w)?))
                    .collect();
                out.push(cell(sample, channel, &seen));
            }
        }
    }
    (vec![n, channels, rows, columns], out)
}

fn compute(node: &Node, inputs: &[&Array]) -> Array {
    let x = inputs[0];
    let each = |of: &dyn Fn(f64) -> f64| (x.0.clone(), x.1.iter().map(|&v| of(v)).collect::<Vec<f64>>());
    let plane: usize = x.0.iter().skip(2).product();
    let input_channels = x.0.get(1).copied().unwrap_or(1);
    match node.op_type.as_str() {
        "Identity" | "Cast" => x.clone(),
        "Relu" => each(&|v| v.max(0.0)),
        "Neg" => each(&|v| -v),
        "Sigmoid" => each(&|v| 1.0 / (1.0 + (-v).exp())),
        "Flatten" => (vec![x.0[0], x.1.len() / x.0[0]], x.1.clone()),
        "Add" => (x.0.clone(), x.1.iter().zip(&inputs[1].1).map(|(a, b)| a + b).collect()),
        "Conv" => {
            let (shape, weight) = inputs[1];
            let area = shape[2] * shape[3];
            slide(node, x, shape[0], |sample, channel, seen| {
                let bias = inputs.get(2).map_or(0.0, |bias| bias.1[channel]);
                let of = |c: usize| {
                    let (map, kernel) = ((sample * input_channels + c) * plane, (channel * shape[1] + c) * area);
                    let cells =
                        seen.iter().enumerate().filter_map(|(k, cell)| Some(weight[kernel + k] * x.1[map + (*cell)?]));
                    cells.sum::<f64>()
                };
                bias + (0..shape[1]).map(of).sum::<f64>()
            })
        }
        "MaxPool" | "AveragePool" => slide(node, x, input_channels, |sample, channel, seen| {
            let values = seen.iter().flatten().map(|cell| x.1[(sample * input_channels + channel) * plane + cell]);
            if node.op_type == "MaxPool" {
                values.fold(f64::MIN, f64::max)
            } else {
                values.sum::<f64>() / seen.len() as f64
            }
        }),
        "GlobalAveragePool" => {
            let means = x.1.chunks(plane).map(|map| map.iter().sum::<f64>() / plane as f64).collect();
            (vec![x.0[0], input_channels, 1, 1], means)
        }
        "BatchNormalization" => {
            let eps = node.attribute.iter().find_map(|attribute| attribute.f).unwrap();
            let value = |(place, &v): (usize, &f64)| {
                let c = place / plane % input_channels;
                let [weight, bias, mean, variance] = [1, 2, 3, 4].map(|input| inputs[input].1[c]);
                (v - mean) / (variance + f64::from(eps)).sqrt() * weight + bias
            };
            (x.0.clone(), x.1.iter().enumerate().map(value).collect())
        }
        "Gemm" => {
            let ([rows, width], (weight, bias)) = ([inputs[1].0[0], inputs[1].0[1]], (&inputs[1].1, &inputs[2].1));
            let row =
                |x: &[f64], r: usize| bias[r] + x.iter().zip(&weight[r * width..]).map(|(a, b)| a * b).sum::<f64>();
            let out = x.1.chunks(width).flat_map(|x| (0..rows).map(move |r| row(x, r))).collect();
            (vec![x.0[0], rows], out)
        }
        "Concat" => {
            let n = x.0[0];
            let part = |array: &Array, sample: usize| array.1.chunks(array.1.len() / n).nth(sample).unwrap().to_vec();
            let out = (0..n).flat_map(|sample| inputs.iter().flat_map(move |array| part(array, sample))).collect();
            let mut shape = x.0.clone();
            shape[1] = inputs.iter().map(|array| array.0[1]).sum();
            (shape, out)
        }
        "Softmax" => {
            let row = |row: &[f64]| {
                let most = row.iter().copied().fold(f64::MIN, f64::max);
                let sum: f64 = row.iter().map(|v| (v - most).exp()).sum();
                row.iter().map(|v| (v - most).exp() / sum).collect::<Vec<f64>>()
            };
            (x.0.clone(), x.1.chunks(x.0[1]).flat_map(row).collect())
        }
        "ReduceMax" => {
            let most = x.1.chunks(plane).map(|map| map.iter().copied().fold(f64::MIN, f64::max)).collect();
            (vec![x.0[0], x.0[1], 1, 1], most)
        }
        "Max" => each(&|v| v.max(inputs[1].1[0])),
        "Mul" => each(&|v| v * inputs[1].1[0]),
        "Div" => (x.0.clone(), x.1.iter().enumerate().map(|(place, v)| v / inputs[1].1[place / plane]).collect()),
        op => panic!("{op}"),
    }
}

/// All values of a graph that takes `image`.
fn run(model: &Onnx, image: Array) -> HashMap<String, Array> {
    let graph = model.graph.as_ref().unwrap();
    let mut values: HashMap<String, Array> = graph.initializer.iter().map(|c| (c.name.clone(), number(c))).collect();
    assert_eq!(values.len(), graph.initializer.len(), "two constants of one name");
    values.insert("image".to_owned(), image);
    for node in &graph.node {
        let inputs: Vec<&Array> = node.input.iter().map(|name| &values[name]).collect();
        let out = compute(node, &inputs);
        assert!(values.insert(node.output[0].clone(), out).is_none(), "{} is there twice", node.output[0]);
    }
    values
}

const TEMPERATURE: f64 = 1.25;

/// A file with a network's first weights, and running statistics that are not neutral.
fn drawn(net: &str, size: usize, classes: usize, head: Head) -> Checkpoint {
    let net = NetConfig { net: net.into(), size, classes, dropout: 0.2, head, ..NetConfig::default() };
    let spec = forward::spec(&net, false).unwrap();
    let (parameters, _) = spec.initial(7);
    let mut tensors = Tensors::new();
    for (offset, p) in &spec.parameters {
        let mut values = p.to_disk(&parameters[*offset..offset + p.shape.len()]);
        if p.name.ends_with("bias") {
            values.iter_mut().zip(0..).for_each(|(v, n)| *v += f32::from(n as u8 % 7) / 20.0);
        }
        tensors.insert(p.name.clone(), (p.disk_shape(), values));
    }
    for (_, s) in &spec.states {
        let spread =
            |n: usize| if s.name.ends_with("var") { 0.8 + (n % 5) as f32 / 10.0 } else { (n % 3) as f32 / 10.0 };
        tensors.insert(s.name.clone(), (vec![s.len], (0..s.len).map(spread).collect()));
    }
    let header = Header {
        format: FORMAT,
        labels: (0..classes).map(|class| format!("class {class}")).collect(),
        fit: Fit::Crop,
        harmonise: None,
        mean: [0.5, 0.4, 0.45],
        std: [0.25, 0.3, 0.2],
        crop: 1.0,
        step: 3,
        epoch: 1,
        training_counts: vec![1; classes],
        best: None,
        averaged: 0,
        temperature: TEMPERATURE,
        loss_scale: None,
        fingerprint: String::new(),
        net,
    };
    Checkpoint { header: Some(header), tensors, sealed: true, notes: vec![], source: "drawn".into() }
}

/// What the engine answers to one square of RGB bytes.
fn engines_logits(gpu: &Arc<Gpu>, file: &Checkpoint, pixels: &[u8]) -> Result<Vec<f32>> {
    let header = file.described()?;
    let recorded = forward::recorded(&header.net, header.net.size, (header.mean, header.std), 1, Taps::None)?;
    let store = ParameterStore::new(gpu, recorded.tape.spec(), false)?;
    file.apply(gpu, &store, false)?;
    let mut plan = Plan::new(gpu, &recorded.tape, &store, &BufferPool::default())?;
    // Pictures are packed into words.
    let mut bytes = pixels.to_vec();
    bytes.resize(pixels.len().next_multiple_of(4), 0);
    plan.write(recorded.pixels, &bytes)?;
    plan.run()?.get(recorded.logits)
}

fn largest_difference(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().map(|v| v.abs()).fold(1e-6, f64::max);
    a.iter().zip(b).map(|(a, b)| (a - b).abs() / scale).fold(0.0, f64::max)
}

#[test]
fn every_network_answers_as_the_engine_does() {
    let gpu = Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).unwrap());
    for (net, size, classes, head) in [
        ("prognet", 64, 3, Head::Linear),
        ("small", 32, 2, Head::Linear),
        ("resnet18", 32, 3, Head::Flatten),
        ("resnet50", 32, 2, Head::Linear),
        ("densenet121", 32, 3, Head::Linear),
        ("resnet18", 32, 3, Head::Layers(vec!["layer2.0".into(), "layer3.1".into()])),
        ("inception_v3", 75, 4, Head::Linear),
    ] {
        let file = drawn(net, size, classes, head.clone());
        let header = file.header.as_ref().unwrap();
        let pixels: Vec<u8> = (0..size * size * 3).map(|n| (n * 37 % 251) as u8).collect();
        let logits = engines_logits(&gpu, &file, &pixels).unwrap();
        let logits: Vec<f64> = logits.into_iter().map(f64::from).collect();
        let place = |c: usize| pixels.iter().skip(c).step_by(3);
        let value = |c: usize| {
            place(c).map(move |&v| (f64::from(v) / 255.0 - f64::from(header.mean[c])) / f64::from(header.std[c]))
        };
        let image = (vec![1, 3, size, size], (0..3).flat_map(value).collect::<Vec<f64>>());
        let cam = head == Head::Linear && net != "prognet";
        for (fold, half, tolerance) in [(false, false, 2e-5), (true, false, 2e-5), (true, true, 2e-2)] {
            let onnx = file.onnx(Options { fold, half, preprocessing: false, cam }).unwrap();
            let values = run(&onnx, image.clone());
            let off = largest_difference(&values["logits"].1, &logits);
            assert!(off < tolerance, "{net}, fold {fold}, half {half}: {off}");
            let probabilities = &values["probabilities"];
            assert_eq!(probabilities.0, [1, classes]);
            assert!((probabilities.1.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            let row: Vec<f32> = values["logits"].1.iter().map(|&v| v as f32).collect();
            let expected = crate::score::probabilities(&row, row.len(), TEMPERATURE);
            for (found, expected) in probabilities.1.iter().zip(expected) {
                assert!((found - f64::from(expected)).abs() < 1e-6, "{net}: {found} {expected}");
            }
            if cam {
                let (shape, heat) = &values["cam"];
                assert!(shape[1] == classes && heat.iter().all(|v| (0.0..=1.0).contains(v)), "{net}");
            }
            // A head's batch-norm stands behind no convolution.
            if fold && !net.starts_with("dense") && net != "prognet" && head.layers().is_empty() {
                let nodes = &onnx.graph.as_ref().unwrap().node;
                assert!(nodes.iter().all(|node| node.op_type != "BatchNormalization"), "{net}");
            }
        }
    }
}

#[test]
fn what_the_graph_cannot_do_is_refused() {
    let refusal = |file: &Checkpoint, options| file.onnx(options).unwrap_err().to_string();
    let said = refusal(&drawn("prognet", 64, 3, Head::Linear), Options { cam: true, ..Options::default() });
    assert!(said.contains("--with-cam: prognet's head") && said.contains("gatefold explain"), "{said}");
    let layers = drawn("resnet18", 32, 3, Head::Layers(vec!["layer3.1".into()]));
    assert!(refusal(&layers, Options { cam: true, ..Options::default() }).contains("--with-cam: resnet18's head"));
    let mut file = drawn("small", 32, 3, Head::Linear);
    let preprocessing = Options { preprocessing: true, ..Options::default() };
    file.header.as_mut().unwrap().fit = Fit::Lanczos;
    assert!(refusal(&file, preprocessing).contains("Lanczos"));
    file.header.as_mut().unwrap().harmonise = Some("96,60".parse().unwrap());
    assert!(refusal(&file, preprocessing).contains("compressed on their way"));
    file.tensors.remove("fc.bias");
    assert!(refusal(&file, Options::default()).contains("fc.bias is missing"));
}
