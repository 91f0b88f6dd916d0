//! How to use what lies beside the card, in lines that can be pasted.

use super::Card;
use crate::Result;
use crate::data::Fit;
use crate::data::picture::fit::centred;
use crate::weights::{onnx, timm};

impl Card<'_> {
    /// In each program that takes what is there.
    pub(super) fn usage(&self) -> Result<String> {
        let mut parts = vec!["## Use".to_owned()];
        if let Some((_, options)) = self.onnx {
            parts.push(self.in_onnxruntime(options));
        }
        if self.weights.is_some() {
            parts.push(if timm::has(&self.header.net)? { self.in_timm() } else { self.not_in_torch() });
            parts.push(self.in_gatefold());
        }
        Ok(parts.join("\n\n"))
    }

    fn in_onnxruntime(&self, options: onnx::Options) -> String {
        let head = "### onnxruntime\n\n```python\nimport json, numpy, onnxruntime";
        let session = "session = onnxruntime.InferenceSession(\"model.onnx\")";
        let tail = "print(json.load(open(\"config.json\"))[\"label_names\"][probabilities[0].argmax()])\n```";
        if options.preprocessing {
            return format!(
                "{head}\nfrom PIL import Image\n\n{session}\n\
                 pixels = numpy.asarray(Image.open(\"cover.jpg\").convert(\"RGB\"))[None]\n\
                 [probabilities] = session.run([\"probabilities\"], {{\"pixels\": pixels}})\n{tail}"
            );
        }
        let (side, size) = (self.header.picture_size(), self.header.net.size);
        let filter = match self.header.fit {
            Fit::Crop | Fit::Pad | Fit::Bicubic => "BICUBIC",
            Fit::Bilinear => "BILINEAR",
            Fit::Lanczos => "LANCZOS",
        };
        let make = if self.header.fit == Fit::Pad { "pad" } else { "fit" };
        let edge = centred(side as u32, size as u32) as usize;
        let cut = if side == size { String::new() } else { format!(".crop(({edge}, {edge}, {0}, {0}))", edge + size) };
        let [mean, std] = [self.header.mean, self.header.std].map(|numbers| numbers.map(|n| n.to_string()).join(", "));
        format!(
            "{head}\nfrom PIL import Image, ImageOps\n\n{session}\n\
             square = ImageOps.{make}(Image.open(\"cover.jpg\").convert(\"RGB\"), ({side}, {side}), Image.Resampling.{filter}){cut}\n\
             image = (numpy.asarray(square, numpy.float32) / 255 - numpy.float32([{mean}])) / numpy.float32([{std}])\n\
             [probabilities] = session.run([\"probabilities\"], {{\"image\": image.transpose(2, 0, 1)[None]}})\n{tail}"
        )
    }

    fn in_timm(&self) -> String {
        let net = &self.header.net;
        let cooled = |name: &str| match self.header.temperature {
            1.0 => name.to_owned(),
            temperature => format!("({name} / {temperature:.4})"),
        };
        let (logits, answer) = if net.outputs() == 1 {
            ("logit", format!("print({}.sigmoid())  # the probability of output 1", cooled("logit")))
        } else {
            ("logits", format!("print({}.softmax(1))", cooled("logits")))
        };
        let differs = if timm::squares(self.header.fit).2 {
            ""
        } else {
            "timm fills the missing sides with the mean, not with black, so its answers for pictures that are no squares differ a little. "
        };
        let harmonised = if self.header.harmonise.is_some() { "timm does not compress pictures first. " } else { "" };
        let more = if net.net == "inception_v3" { ", aux_logits=False, init_weights=False" } else { "" };
        format!(
            "### PyTorch, with timm\n\n```python\nimport timm\nfrom PIL import Image\n\n\
             model = timm.create_model(\"local-dir:.\", pretrained=True).eval()\n\
             transform = timm.data.create_transform(**timm.data.resolve_model_data_config(model))\n\
             {logits} = model(transform(Image.open(\"cover.jpg\").convert(\"RGB\"))[None])\n{answer}\n```\n\n\
             {differs}{harmonised}torchvision's `{}(num_classes={}{more})` takes `model.safetensors` with `load_state_dict(strict=True)`.",
            net.net,
            net.outputs()
        )
    }

    /// Our own networks, and heads of our own.
    fn not_in_torch(&self) -> String {
        let instead = if self.onnx.is_some() {
            "from Python the ONNX file above is the way to use it"
        } else {
            "`gatefold export --format onnx` writes what runs everywhere"
        };
        let text = format!(
            "Neither torchvision nor timm has this network, so there is no module for it: {instead}. The tensors are in PyTorch's layout:"
        );
        format!(
            "### PyTorch\n\n{text}\n\n```python\nfrom safetensors.torch import load_file\n\ntensors = load_file(\"model.safetensors\")\n```"
        )
    }

    fn in_gatefold(&self) -> String {
        "### Gatefold\n\n```sh\n\
         gatefold predict --weights model.safetensors cover.jpg\n\
         gatefold explain --weights model.safetensors cover.jpg --out heat-maps\n\
         gatefold eval --weights model.safetensors COVERS --split all\n```"
            .to_owned()
    }
}
