//! What a file does not say of itself: other programs' weights have no header of ours.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::compare::layer;
use super::timm::{self, Beside};
use super::{Checkpoint, FORMAT, Header};
use crate::data::Fit;
use crate::data::picture::fit::MAX_SIZE;
use crate::nets::forward::{self, MEAN, STD};
use crate::nets::{self, Head, NetConfig};
use crate::read::read_text;
use crate::{Error, Result};

/// What the user says of a weights file.
#[derive(Clone, Debug, Default)]
pub struct About<'a> {
    pub net: Option<&'a str>,
    /// Height and width of the network's input in pixels.
    pub size: Option<usize>,
    /// A text file of class names, one a line, in the order of the outputs.
    pub labels: Option<&'a Path>,
    /// How its pictures are made, where the file's own rule is not meant.
    pub pictures: Pictures,
}

/// How pictures are made for a network, as far as somebody says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Pictures {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f32; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<[f32; 3]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fit: Option<Fit>,
    /// The share of the resized picture's shorter side that the network sees.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub crop: Option<f32>,
}

impl Pictures {
    /// Whether nothing is said.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How the published weights of a network want their pictures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Preprocessing {
    pub mean: [f32; 3],
    pub std: [f32; 3],
    pub fit: Fit,
    /// As [`Header::crop`].
    pub crop: f32,
    /// Height and width of the input; `None` where there is no usual one.
    pub size: Option<usize>,
}

impl Preprocessing {
    /// torchvision's evaluation preset: the shorter side becomes 256 (342), of which the central 224 (299) are seen; mean and
    /// standard deviation are ImageNet's, or 0.5 for Inception. Our own networks have our own.
    pub fn of(net: &str) -> Self {
        let torchvision = nets::NETS.iter().any(|known| known.name == net && known.torchvision);
        let fit = Fit::Bilinear;
        let imagenet =
            Self { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], fit, crop: 224.0 / 256.0, size: Some(224) };
        match net {
            "inception_v3" => Self { mean: [0.5; 3], std: [0.5; 3], fit, crop: 299.0 / 342.0, size: Some(299) },
            _ if torchvision => imagenet,
            _ => Self { mean: MEAN, std: STD, fit: Fit::Crop, crop: 1.0, size: None },
        }
    }

    /// [`Self::of`] a file's network, or what timm says in the `config.json` that it keeps beside its weights.
    ///
    /// # Errors
    /// [`Error::Input`] if timm names a filter that is not known here, and `said` none.
    pub fn of_file(net: &str, file: &Path, said: Option<Fit>) -> Result<Self> {
        let usual = Self::of(net);
        let Some(cfg) = Beside::of(net, file).and_then(|beside| beside.pretrained_cfg) else { return Ok(usual) };
        let name = cfg.interpolation.as_deref().unwrap_or("bicubic");
        let fit = Fit::named(name).or(said).ok_or_else(|| {
            Error::input(format!(
                "{}: pictures are resized by {name:?}, which is not known here; add --fit bilinear, bicubic or lanczos",
                timm::beside(file).display()
            ))
        })?;
        let size = cfg.input_size.map(|[_, side, _]| side).or(usual.size);
        Ok(Self { mean: cfg.mean, std: cfg.std, fit, crop: cfg.crop_pct, size })
    }
}

/// [`Header::crop`] for a network that sees `size` pixels of pictures resized to `size / share`, rounded down as timm does.
fn crop_at(share: f32, size: usize) -> f32 {
    // A share that was made of two whole numbers gives them back.
    let side = (size as f32 / share + 1e-3).floor();
    size as f32 / side.max(size as f32)
}

impl Checkpoint {
    /// Gives a file that has none a header, and holds the header against what the user says of the file. Returns what the
    /// user should know.
    ///
    /// # Errors
    /// [`Error::Input`] if the file is of another network or class count, or too little is said of it.
    pub fn adopt(&mut self, about: &About) -> Result<Vec<String>> {
        let mut notes = vec![];
        if self.header.is_none() {
            let header = self.foreign_header(about, &mut notes)?;
            if let Some(fault) = header.fault() {
                return Err(Error::input(format!("checkpoint {}: {fault} (from config.json beside it)", self.source)));
            }
            self.header = Some(header);
        }
        let source = &self.source;
        let Some(header) = &mut self.header else { return Ok(notes) };
        if let Some(wanted) = about.net.filter(|wanted| *wanted != header.net.net) {
            let text = format!("--net {wanted}: checkpoint {source} is of another network, {}", header.net.net);
            return Err(Error::input(text));
        }
        if let Some(size) = about.size {
            if size > MAX_SIZE as usize {
                return Err(Error::input(format!("--size {size}: must be at most {MAX_SIZE}")));
            }
            header.net.size = size;
        }
        nets::find(&header.net)?;
        let Pictures { mean, std, fit, crop } = about.pictures;
        (header.mean, header.std) = (mean.unwrap_or(header.mean), std.unwrap_or(header.std));
        header.fit = fit.unwrap_or(header.fit);
        if let Some(crop) = crop {
            header.crop = crop_at(crop, header.net.size);
        }
        if let Some(file) = about.labels {
            header.labels = labels(file, header.net.classes, source)?;
        }
        Ok(notes)
    }

    fn foreign_header(&mut self, about: &About, notes: &mut Vec<String>) -> Result<Header> {
        let source = self.source.clone();
        // Who names a network knows better than what happens to lie beside the file.
        let beside = if about.net.is_none() { timm::net_beside(Path::new(&source))? } else { None };
        let Some(name) = about.net.or(beside.as_deref()) else {
            return Err(Error::input(format!(
                "checkpoint {source}: says nothing of its network and classes; add --net NAME (there are: {})",
                nets::names()
            )));
        };
        let preprocessing = Preprocessing::of_file(name, Path::new(&source), about.pictures.fit)?;
        let Some(size) = about.size.or(preprocessing.size) else {
            return Err(Error::input(format!(
                "checkpoint {source}: says nothing of its input size; add --size PIXELS"
            )));
        };
        // Of our own networks some come without. torchvision's always have it: what is missing will be listed.
        let own = preprocessing.size.is_none();
        let batch_norm = !own || self.tensors.keys().any(|name| name.ends_with(".running_mean"));
        let flatten = self.tensors.keys().any(|name| name.ends_with("head.fc1.weight"));
        let head = if flatten { Head::Flatten } else { Head::Linear };
        let mut net = NetConfig { net: name.into(), size, classes: 2, batch_norm, head, ..NetConfig::default() };
        self.unwrap(&forward::spec(&net, true)?);
        let spec = forward::spec(&net, false)?;
        let head = spec.parameters.last().map_or("", |(_, last)| layer(&last.name));
        let rows = self.tensors.get(&format!("{head}.weight")).and_then(|(shape, _)| shape.first().copied());
        net.classes = match rows {
            Some(2) => {
                self.fold(head);
                self.fold("AuxLogits.fc");
                notes.push(format!(
                    "{source}: {head} has a row for each of 2 classes; two classes make one logit here, so the difference of \
                     the rows is taken, which gives the same probabilities"
                ));
                2
            }
            Some(rows @ 3..) => rows,
            // A head that is missing will be listed with whatever else is.
            _ => 2,
        };
        let labels = match Beside::of(name, Path::new(&source)).and_then(|beside| beside.labels(net.classes)) {
            Some(labels) => labels,
            None => (0..net.classes).map(|class| class.to_string()).collect(),
        };
        Ok(Header {
            format: FORMAT,
            labels,
            fit: preprocessing.fit,
            harmonise: None,
            mean: preprocessing.mean,
            std: preprocessing.std,
            crop: crop_at(preprocessing.crop, size),
            step: 0,
            epoch: 0,
            // Not known. A score then takes the majority class from the covers that it scores.
            training_counts: vec![0; net.classes],
            best: None,
            averaged: 0,
            temperature: 1.0,
            loss_scale: None,
            fingerprint: String::new(),
            net,
        })
    }

    /// Turns a linear layer of two outputs into one of their difference: the sigmoid of it is their softmax.
    fn fold(&mut self, head: &str) {
        for part in ["weight", "bias"] {
            if let Some((shape, values)) = self.tensors.get_mut(&format!("{head}.{part}"))
                && shape.first() == Some(&2)
            {
                let (first, second) = values.split_at(values.len() / 2);
                *values = second.iter().zip(first).map(|(b, a)| b - a).collect();
                shape[0] = 1;
            }
        }
    }
}

/// Class names from a text file, one a line.
fn labels(file: &Path, classes: usize, source: &str) -> Result<Vec<String>> {
    let shown = file.display();
    let text = read_text(file).map_err(|e| Error::input(format!("--labels {shown}: cannot be read ({e})")))?;
    let labels: Vec<String> = text.trim_end().lines().map(|line| line.trim().to_owned()).collect();
    if labels.len() != classes {
        let lines = labels.len();
        return Err(Error::input(format!("--labels {shown}: {lines} lines, and {source} is for {classes} classes")));
    }
    let mut seen = std::collections::HashSet::new();
    if let Some(line) = labels.iter().position(|label| label.is_empty() || !seen.insert(label)) {
        let text = format!("--labels {shown}: line {} is empty or repeats a name; name each class once", line + 1);
        return Err(Error::input(text));
    }
    Ok(labels)
}
