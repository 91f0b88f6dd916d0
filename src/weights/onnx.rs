//! A network as ONNX: for programs that know nothing of us. Opset 18, whose `Resize` is anti-aliased.
//!
//! | value | what |
//! |---|---|
//! | `image` in | `n x 3 x size x size`, RGB, normalised with the metadata's mean and std; or |
//! | `pixels` in | `n x height x width x 3`, RGB of 0 to 255 as u8: resize rule, crop and normalisation are in the graph |
//! | `logits` out | `n x classes`, or `n x 1` for two classes |
//! | `probabilities` out | `n x classes` |
//! | `cam` out | `n x classes x rows x columns`, 0 to 1: the heat map of each class |

mod pictures;
mod proto;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use crate::file::write_atomically;
use crate::shown::path_text;
use gatefold_engine::ops::window::Window;
use gatefold_engine::tensor::Tensor;
use prost::Message;
use serde::Serialize;

use super::{Checkpoint, Exported, Header};
use crate::data::Fit;
use crate::nets::forward;
use crate::nets::graph::Graph;
use crate::nets::layers::{Layer, Op};
use crate::{Error, Result};
use proto::{Entry, Extent, FLOAT, FLOAT16, Model, OperatorSet, Set, UINT8, Value};
use writer::Writer;

const OPSET: i64 = 18;
/// The version of the format that came with it, and that every reader of it knows.
const IR_VERSION: i64 = 8;

/// How a network is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Batch-norms after a convolution become a part of it.
    pub fold: bool,
    /// Weights and maps of 16 bits; what goes in and comes out stays as it is.
    pub half: bool,
    /// The graph takes pixels.
    pub preprocessing: bool,
    /// The graph gives heat maps too.
    pub cam: bool,
}

impl Checkpoint {
    /// Writes the network with its weights as ONNX.
    ///
    /// # Errors
    /// [`Error::Input`] if the weights do not fit their network, or an option does not fit it.
    pub fn export_onnx(&self, path: &Path, options: Options) -> Result<Exported> {
        let (header, model) = (self.described()?, self.onnx(options)?);
        let bytes = model.encode_to_vec();
        write_atomically(path, |file| file.write_all(&bytes))?;
        Ok(Exported {
            path: path_text(path),
            net: header.net.net.clone(),
            classes: header.net.classes,
            tensors: model.graph.map_or(0, |graph| graph.initializer.len()),
            parameters: forward::spec(&header.net, false)?.parameter_count(),
            bytes: bytes.len(),
        })
    }

    fn onnx(&self, options: Options) -> Result<Model> {
        let header = self.described()?;
        let graph = Graph::of(&header.net)?;
        let mut export = Export { file: self, graph: &graph, options, w: Writer::default(), values: HashMap::new() };
        export.pictures(header)?;
        export.w.half = options.half;
        export.layers()?;
        export.answers(header)?;
        let graph = proto::Graph { name: header.net.net.clone(), ..export.w.graph };
        Ok(Model {
            ir_version: IR_VERSION,
            producer_name: "gatefold".to_owned(),
            producer_version: env!("CARGO_PKG_VERSION").to_owned(),
            doc_string: format!("{} for {} classes of album covers", header.net.net, header.net.classes),
            graph: Some(graph),
            opset_import: vec![OperatorSet { domain: String::new(), version: OPSET }],
            metadata_props: metadata(header)?,
        })
    }
}

/// What a reader of the file should know, as JSON by key.
fn metadata(header: &Header) -> Result<Vec<Entry>> {
    fn entry(key: &str, value: &impl Serialize) -> Result<Entry> {
        Ok(Entry { key: key.to_owned(), value: serde_json::to_string(value).map_err(Error::run)? })
    }
    let trained = serde_json::json!({
        "epoch": header.epoch, "step": header.step, "best": header.best, "training_counts": header.training_counts,
        "fingerprint": header.fingerprint,
    });
    Ok(vec![
        entry("labels", &header.labels)?,
        entry("mean", &header.mean)?,
        entry("std", &header.std)?,
        entry("fit", &header.fit)?,
        entry("size", &header.net.size)?,
        entry("picture_size", &header.picture_size())?,
        entry("training", &trained)?,
    ])
}

struct Export<'a> {
    file: &'a Checkpoint,
    graph: &'a Graph,
    options: Options,
    w: Writer,
    /// Names of values that were written.
    values: HashMap<Tensor, String>,
}

fn open(name: &str) -> Extent {
    Extent::Named(name.to_owned())
}

fn fixed(extent: usize) -> Extent {
    Extent::Fixed(extent as i64)
}

impl<'a> Export<'a> {
    /// Shape and numbers of a tensor of the file.
    fn tensor(&self, name: &str) -> Result<&'a (Vec<usize>, Vec<f32>)> {
        let missing = || Error::input(format!("checkpoint {}: {name} is missing", self.file.source));
        self.file.tensors.get(name).ok_or_else(missing)
    }

    fn weights(&mut self, name: &str) -> Result<String> {
        let (shape, values) = self.tensor(name)?;
        Ok(self.w.weights(name, shape, values))
    }

    fn value(&self, of: Tensor) -> Result<String> {
        self.values.get(&of).cloned().ok_or_else(|| Error::run("a layer of a value that no layer gives"))
    }

    /// The input, up to what the first layer takes.
    fn pictures(&mut self, header: &Header) -> Result<()> {
        let size = header.net.size;
        let mut x = if self.options.preprocessing {
            let refuse = |why: &str| Err(Error::input(format!("--with-preprocessing: {why}; leave it out")));
            if header.harmonise.is_some() {
                return refuse("the run's pictures are compressed on their way, which ONNX cannot do");
            }
            if header.fit == Fit::Lanczos {
                return refuse("ONNX does not resize by Lanczos' rule");
            }
            let extents = [open("batch"), open("height"), open("width"), fixed(3)];
            let doc = "pictures of any size, RGB of 0 to 255";
            self.w.graph.input.push(Value::tensor("pixels", UINT8, &extents, doc));
            pictures::record(&mut self.w, header)
        } else {
            let extents = [open("batch"), fixed(3), fixed(size), fixed(size)];
            let doc = "squares, RGB of 0 to 1, less the mean, divided by std";
            self.w.graph.input.push(Value::tensor("image", FLOAT, &extents, doc));
            "image".to_owned()
        };
        if self.options.half {
            x = self.w.node("Cast", &[&x], &[("to", Set::Int(FLOAT16.into()))]);
        }
        self.values.insert(self.graph.pictures, x);
        Ok(())
    }

    fn layers(&mut self) -> Result<()> {
        let layers = &self.graph.layers;
        let mut uses: HashMap<Tensor, usize> = HashMap::new();
        layers.iter().flat_map(|layer| &layer.inputs).for_each(|input| *uses.entry(*input).or_default() += 1);
        let mut place = 0;
        while let Some(layer) = layers.get(place) {
            // A convolution whose only use is the batch-norm after it takes it in.
            if let (
                Op::Conv { name, bias, window },
                Some(Layer { op: Op::BatchNorm { name: norm, eps, relu }, inputs, output }),
            ) = (&layer.op, layers.get(place + 1))
                && self.options.fold
                && inputs[..] == [layer.output]
                && uses[&layer.output] == 1
            {
                let x = self.value(layer.inputs[0])?;
                let y = self.folded(&x, name, *bias, *window, norm, *eps)?;
                let y = if *relu { self.w.node("Relu", &[&y], &[]) } else { y };
                self.values.insert(*output, y);
                place += 2;
                continue;
            }
            let y = self.layer(layer)?;
            self.values.insert(layer.output, y);
            place += 1;
        }
        Ok(())
    }

    fn layer(&mut self, layer: &Layer) -> Result<String> {
        let inputs = layer.inputs.iter().map(|&input| self.value(input)).collect::<Result<Vec<_>>>()?;
        let names: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let x = names.first().copied().unwrap_or_default();
        Ok(match &layer.op {
            Op::Conv { name, bias, window } => {
                let weight = self.weights(&format!("{name}.weight"))?;
                let bias = bias.then(|| self.weights(&format!("{name}.bias"))).transpose()?;
                self.conv(x, &weight, bias.as_deref(), *window)
            }
            Op::BatchNorm { name, eps, relu } => self.batch_norm(x, name, *eps, *relu)?,
            Op::NormReluConv { norm, eps, conv } => {
                let y = self.batch_norm(x, norm, *eps, true)?;
                let weight = self.weights(&format!("{conv}.weight"))?;
                self.conv(&y, &weight, None, Window::square(1, 1, 0))
            }
            Op::Relu => self.w.node("Relu", &[x], &[]),
            Op::AddRelu => {
                let sum = self.w.node("Add", &names, &[]);
                self.w.node("Relu", &[&sum], &[])
            }
            Op::MaxPool(window) => self.sliding("MaxPool", &[x], *window, &[]),
            Op::AvgPool(window) => self.sliding("AveragePool", &[x], *window, &[("count_include_pad", Set::Int(1))]),
            Op::GlobalAvgPool => {
                let y = self.w.node("GlobalAveragePool", &[x], &[]);
                self.w.node("Flatten", &[&y], &[])
            }
            Op::Flatten => self.w.node("Flatten", &[x], &[]),
            Op::Dense { name } => {
                let (weight, bias) = (self.weights(&format!("{name}.weight"))?, self.weights(&format!("{name}.bias"))?);
                self.w.node("Gemm", &[x, &weight, &bias], &[("transB", Set::Int(1))])
            }
            Op::Concat if names.len() == 1 => x.to_owned(),
            Op::Concat => self.w.node("Concat", &names, &[("axis", Set::Int(1))]),
        })
    }

    fn conv(&mut self, x: &str, weight: &str, bias: Option<&str>, window: Window) -> String {
        let inputs: Vec<&str> = [x, weight].into_iter().chain(bias).collect();
        self.sliding("Conv", &inputs, window, &[])
    }

    /// A node that slides a window.
    fn sliding(&mut self, op: &str, inputs: &[&str], window: Window, more: &[(&str, Set)]) -> String {
        let [top, bottom, left, right] = window.padding;
        let pads = [top, left, bottom, right];
        let attributes = [
            ("kernel_shape", Set::Ints(&window.kernel)),
            ("strides", Set::Ints(&window.stride)),
            ("pads", Set::Ints(&pads)),
        ];
        self.w.node(op, inputs, &[&attributes[..], more].concat())
    }

    fn batch_norm(&mut self, x: &str, name: &str, eps: f32, relu: bool) -> Result<String> {
        let parts = ["weight", "bias", "running_mean", "running_var"];
        let parts = parts.map(|part| self.weights(&format!("{name}.{part}")));
        let [weight, bias, mean, variance] = parts;
        let (weight, bias, mean, variance) = (weight?, bias?, mean?, variance?);
        let y =
            self.w.node("BatchNormalization", &[x, &weight, &bias, &mean, &variance], &[("epsilon", Set::Float(eps))]);
        Ok(if relu { self.w.node("Relu", &[&y], &[]) } else { y })
    }

    /// A convolution that does its batch-norm's work: each output channel times `weight / sqrt(var + eps)`, and what is left as its bias.
    fn folded(&mut self, x: &str, conv: &str, bias: bool, window: Window, norm: &str, eps: f32) -> Result<String> {
        let part = |layer: &str, part: &str| self.tensor(&format!("{layer}.{part}"));
        let (shape, values) = part(conv, "weight")?;
        let (gamma, beta) = (&part(norm, "weight")?.1, &part(norm, "bias")?.1);
        let (mean, variance) = (&part(norm, "running_mean")?.1, &part(norm, "running_var")?.1);
        let own = if bias { Some(&part(conv, "bias")?.1) } else { None };
        let scale = |c: usize| f64::from(gamma[c]) / (f64::from(variance[c]) + f64::from(eps)).sqrt();
        let scale: Vec<f64> = (0..gamma.len()).map(scale).collect();
        let each = values.len() / scale.len().max(1);
        let scaled = |(place, &value): (usize, &f32)| (f64::from(value) * scale[place / each]) as f32;
        let values: Vec<f32> = values.iter().enumerate().map(scaled).collect();
        let shift = |c: usize| {
            let own = own.map_or(0.0, |own| f64::from(own[c]));
            (f64::from(beta[c]) + (own - f64::from(mean[c])) * scale[c]) as f32
        };
        let shift: Vec<f32> = (0..scale.len()).map(shift).collect();
        let weight = self.w.weights(&format!("{conv}.weight"), shape, &values);
        let bias = self.w.weights(&format!("{conv}.bias"), &[shift.len()], &shift);
        Ok(self.conv(x, &weight, Some(&bias), window))
    }

    /// Logits, probabilities, and heat maps if they are wanted.
    fn answers(&mut self, header: &Header) -> Result<()> {
        let outputs = header.net.outputs();
        let logits = self.value(self.graph.logits)?;
        let to_float = [("to", Set::Int(FLOAT.into()))];
        if self.options.half {
            self.w.named("Cast", &[&logits], &to_float, "logits");
        } else {
            self.w.named("Identity", &[&logits], &[], "logits");
        }
        let cooled = if header.temperature == 1.0 {
            "logits".to_owned()
        } else {
            let inverse = self.w.floats("one_over_temperature", &[], &[header.temperature.recip() as f32]);
            self.w.node("Mul", &["logits", &inverse], &[])
        };
        if outputs == 1 {
            // The logit is the second class's.
            let second = self.w.node("Sigmoid", &[&cooled], &[]);
            let minus = self.w.node("Neg", &[&cooled], &[]);
            let first = self.w.node("Sigmoid", &[&minus], &[]);
            self.w.named("Concat", &[&first, &second], &[("axis", Set::Int(1))], "probabilities");
        } else {
            self.w.named("Softmax", &[&cooled], &[("axis", Set::Int(1))], "probabilities");
        }
        let row = |extent: usize| [open("batch"), fixed(extent)];
        let outs = &mut self.w.graph.output;
        outs.push(Value::tensor("logits", FLOAT, &row(outputs), "before temperature, and softmax or sigmoid"));
        outs.push(Value::tensor("probabilities", FLOAT, &row(header.net.classes), "in the order of the labels"));
        if self.options.cam {
            self.cam(header)?;
        }
        Ok(())
    }

    /// Class activation maps (Zhou and others, 2016): the trunk's map weighted by the linear head, which is what Grad-CAM computes
    /// there; what speaks for the class, on a scale of 0 to its highest.
    fn cam(&mut self, header: &Header) -> Result<()> {
        let pooled = |layer: &&Layer| layer.op == Op::GlobalAvgPool && Some(layer.inputs[0]) == self.graph.map;
        let linear = self.graph.layers.iter().find(pooled).zip(self.graph.layers.last());
        let linear = linear.filter(|(pooling, dense)| dense.inputs[..] == [pooling.output]);
        let (Some((_, Layer { op: Op::Dense { name }, .. })), Some(map)) = (linear, self.graph.map) else {
            let net = &header.net.net;
            return Err(Error::input(format!(
                "--with-cam: {net}'s head is more than one linear layer on the means of its map, so its heat maps need gradients, which \
                 ONNX has not; leave it out, and use gatefold explain"
            )));
        };
        let (shape, rows) = self.tensor(&format!("{name}.weight"))?;
        // What speaks against the second class speaks for the first.
        let against = rows.iter().filter(|_| shape[0] == 1).map(|v| -v);
        let rows: Vec<f32> = against.chain(rows.iter().copied()).collect();
        let (classes, channels) = (header.net.classes, map.shape.c);
        let weight = self.w.weights("cam.weight", &[classes, channels, 1, 1], &rows);
        let value = self.value(map)?;
        let heat = self.conv(&value, &weight, None, Window::square(1, 1, 0));
        let heat =
            if self.options.half { self.w.node("Cast", &[&heat], &[("to", Set::Int(FLOAT.into()))]) } else { heat };
        let heat = self.w.node("Relu", &[&heat], &[]);
        let axes = self.w.ints(&[2, 3]);
        let most = self.w.node("ReduceMax", &[&heat, &axes], &[("keepdims", Set::Int(1))]);
        // Where nothing speaks for the class all is 0.
        let least = self.w.floats("least", &[], &[f32::MIN_POSITIVE]);
        let most = self.w.node("Max", &[&most, &least], &[]);
        self.w.named("Div", &[&heat, &most], &[], "cam");
        let extents = [open("batch"), fixed(classes), fixed(map.shape.h), fixed(map.shape.w)];
        self.w.graph.output.push(Value::tensor("cam", FLOAT, &extents, "what speaks for each class, and where"));
        Ok(())
    }
}
