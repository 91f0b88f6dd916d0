//! Reading weights of any program: safetensors and PyTorch's files, number formats, old names, and what must not be loaded.

use std::borrow::Cow;

use half::{bf16, f16};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::entry::Entry;
use super::{Header, KEY, Tensors, UNSEALED, formats, seal, torch};
use crate::{Error, Result};

/// What a file holds.
pub(super) struct Parsed {
    /// If this program wrote it.
    pub header: Option<Header>,
    /// Whether its seal is there and fits.
    pub sealed: bool,
    /// Under the names that torchvision uses now.
    pub tensors: Tensors,
    /// What the user should know of how they were found.
    pub notes: Vec<String>,
}

pub(super) fn parse(source: &str, bytes: &[u8]) -> Result<Parsed> {
    let bad = |text: &str| Error::input(format!("checkpoint {source}: {text}"));
    let damaged = |e: &dyn std::fmt::Display| match formats::another(bytes) {
        Some(advice) => bad(advice),
        None => bad(&format!("cut off or damaged ({e}); use another checkpoint of the run")),
    };
    if torch::is_torch(bytes) {
        let (entries, notes) = torch::entries(bytes).map_err(|e| bad(&e))?;
        return Ok(Parsed { header: None, sealed: false, tensors: numbered(source, entries)?, notes });
    }
    let file = SafeTensors::deserialize(bytes).map_err(|e| damaged(&e))?;
    let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|e| damaged(&e))?;
    let text = metadata.metadata().as_ref().and_then(|m| m.get(KEY));
    let header: Option<Header> = text.map(|json| serde_json::from_str(json)).transpose().map_err(|e| damaged(&e))?;
    let views: Vec<(&str, TensorView)> = file.iter().collect();
    let whole = text.and_then(|text| seal::is_whole(text, views.iter().map(|(name, view)| (*name, view))));
    let needs_seal = header.as_ref().is_some_and(|header| header.format > UNSEALED);
    if whole == Some(false) || (needs_seal && whole.is_none()) {
        return Err(damaged(&"it is not as it was written, its BLAKE3 differs"));
    }
    let entries = views.into_iter().map(|(name, view)| Entry {
        name: name.to_owned(),
        shape: view.shape().to_vec(),
        dtype: view.dtype(),
        data: Cow::Borrowed(view.data()),
    });
    let tensors = numbered(source, entries)?;
    Ok(Parsed { header, sealed: whole == Some(true), tensors, notes: vec![] })
}

/// The tensors as f32 under their present names.
fn numbered<'a>(source: &str, entries: impl IntoIterator<Item = Entry<'a>>) -> Result<Tensors> {
    let bad = |text: &str| Error::input(format!("checkpoint {source}: {text}"));
    let mut tensors = Tensors::new();
    for entry in entries {
        let Entry { name, shape, dtype, .. } = &entry;
        if let Some(refusal) = look_alike(name) {
            return Err(bad(&format!("{name}: {refusal}")));
        }
        // PyTorch counts batches in integers; nothing here needs the count.
        if name.ends_with("num_batches_tracked") {
            continue;
        }
        let Some(values) = numbers(&entry) else {
            return Err(bad(&format!("{name} is {dtype:?}; save it as F32")));
        };
        if values.iter().any(|v| !v.is_finite()) {
            return Err(bad(&format!("{name} has a number that is not finite; use another file")));
        }
        let name = modern(name);
        if tensors.insert(name.clone(), (shape.clone(), values)).is_some() {
            return Err(bad(&format!("has {name} twice, under its old name and the new one; remove one of them")));
        }
    }
    Ok(tensors)
}

/// Why a tensor of this name must not be loaded. Keras' ResNet-50 has the shapes of torchvision's and another function.
fn look_alike(name: &str) -> Option<&'static str> {
    // Whatever a wrapper puts before it.
    let parts: Vec<&str> = name.split('.').collect();
    if let [.., layer, _, conv, "bias"] = parts[..]
        && layer.starts_with("layer")
        && conv.starts_with("conv")
    {
        return Some(
            "a convolution's bias, which no ResNet of torchvision has: this is Keras' ResNet-50 (stride on the first 1x1), of the \
             same shapes but another function; take torchvision's or timm's weights",
        );
    }
    let keras = name.ends_with(":0")
        || name.contains("/kernel")
        || (name.contains("_block") && ["_conv", "_bn"].iter().any(|part| name.contains(part)));
    keras.then_some(
        "a name of Keras, whose networks compute something else under the same names (its ResNet-50 strides on the first 1x1); \
         take torchvision's or timm's weights",
    )
}

/// Numbers as f32, if they are floating-point numbers.
fn numbers(entry: &Entry) -> Option<Vec<f32>> {
    let data = &*entry.data;
    Some(match entry.dtype {
        Dtype::F32 => bytemuck::pod_collect_to_vec(data),
        Dtype::F16 => data.chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::BF16 => data.chunks_exact(2).map(|b| bf16::from_le_bytes([b[0], b[1]]).to_f32()).collect(),
        Dtype::F64 => bytemuck::pod_collect_to_vec::<u8, f64>(data).into_iter().map(|v| v as f32).collect(),
        _ => return None,
    })
}

/// DenseNet's old names `norm.1` and `conv.2` became `norm1` and `conv2`.
fn modern(name: &str) -> String {
    if !name.contains("denselayer") {
        return name.to_owned();
    }
    let parts = ["norm", "conv"].into_iter().flat_map(|part| [(part, 1), (part, 2)]);
    parts.fold(name.to_owned(), |name, (part, n)| name.replace(&format!(".{part}.{n}."), &format!(".{part}{n}.")))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn file(tensors: &[(&str, Dtype, &[u8])]) -> Vec<u8> {
        let views = tensors.iter().map(|(name, dtype, data)| {
            let bytes = if *dtype == Dtype::I64 || *dtype == Dtype::F64 {
                8
            } else if *dtype == Dtype::F32 {
                4
            } else {
                2
            };
            (*name, TensorView::new(*dtype, vec![data.len() / bytes], data).unwrap())
        });
        safetensors::serialize(views.collect::<Vec<_>>(), None::<HashMap<String, String>>).unwrap()
    }

    fn names(tensors: &[&str]) -> Vec<String> {
        let views: Vec<_> = tensors.iter().map(|name| (*name, Dtype::F32, &[0_u8; 4][..])).collect();
        parse("test", &file(&views)).unwrap().tensors.into_keys().collect()
    }

    fn refusal(bytes: &[u8]) -> String {
        let error = parse("test", bytes).err().unwrap();
        assert_eq!(error.exit_code(), 2);
        error.to_string()
    }

    #[test]
    fn old_names_of_densenet_become_new_ones() {
        let old = ["features.denseblock1.denselayer2.norm.1.weight", "features.denseblock1.denselayer2.conv.2.weight"];
        let new = ["features.denseblock1.denselayer2.conv2.weight", "features.denseblock1.denselayer2.norm1.weight"];
        assert_eq!(names(&old), new);
        // Only there: a transition's norm has no number, and a downsample's numbers are names.
        let others = ["features.transition1.norm.weight", "layer2.0.downsample.1.bias"];
        assert_eq!(names(&others), others);
        let twice = ["d.denselayer1.norm.1.bias", "d.denselayer1.norm1.bias"].map(|n| (n, Dtype::F32, &[0_u8; 4][..]));
        assert!(refusal(&file(&twice)).contains("twice"));
    }

    #[test]
    fn halves_and_doubles_become_singles() {
        let h = [f16::from_f32(1.5).to_le_bytes(), f16::from_f32(-65504.0).to_le_bytes()].concat();
        let b = bf16::from_f32(-0.15625).to_le_bytes();
        let (d, count) = (0.1_f64.to_le_bytes(), 7_i64.to_le_bytes());
        let bytes = file(&[
            ("a", Dtype::F16, &h),
            ("b", Dtype::BF16, &b),
            ("c", Dtype::F64, &d),
            ("bn1.num_batches_tracked", Dtype::I64, &count),
        ]);
        let read = parse("test", &bytes).unwrap();
        let values: Vec<&[f32]> = read.tensors.values().map(|(_, v)| v.as_slice()).collect();
        assert_eq!(values, [&[1.5, -65504.0][..], &[-0.15625], &[0.1]]);
        assert!(refusal(&file(&[("a", Dtype::I64, &count)])).contains("a is I64; save it as F32"));
        let nan = f32::NAN.to_le_bytes();
        assert!(refusal(&file(&[("a", Dtype::F32, &nan)])).contains("not finite"));
    }

    #[test]
    fn keras_look_alikes_are_refused() {
        for name in [
            "layer1.0.conv1.bias",
            "module.layer3.5.conv2.bias",
            "conv2_block1_1_conv.weight",
            "conv5_block3_out_bn",
            "conv1/kernel",
            "conv1_conv/kernel:0",
            "predictions/bias:0",
        ] {
            let said = refusal(&file(&[(name, Dtype::F32, &[0; 4])]));
            assert!(said.contains("Keras") && said.contains("torchvision") && said.contains(name), "{said}");
        }
        // Our own networks have convolutions with biases.
        assert_eq!(names(&["conv1.bias"]), ["conv1.bias"]);
    }
}
