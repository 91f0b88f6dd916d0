//! Whole networks and heat maps against PyTorch's, and the kernels that networks launch. The golden files are those of
//! `kernels-tests/golden/`, whose README.md says what is in them and how they were made.

use std::sync::{Arc, LazyLock};

use gatefold::nets::NetConfig;
use gatefold::weights::{FORMAT, Header};
use gatefold_engine::gpu::{Gpu, GpuOptions};

mod cam;
mod evidence;
mod linear;
mod onnx;
mod shaders;
mod stream;
mod torchvision;

/// A file of `kernels-tests/golden/`, as bytes.
macro_rules! golden {
    ($name:literal) => {
        include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/kernels-tests/golden/", $name))
    };
}
use golden;

/// The header of a network of so many classes, untrained.
fn header(net: &str, size: usize, classes: usize) -> Header {
    Header {
        format: FORMAT,
        net: NetConfig { net: net.into(), size, classes, ..NetConfig::default() },
        labels: (0..classes).map(|c| c.to_string()).collect(),
        fit: gatefold::data::Fit::Crop,
        harmonise: None,
        mean: [0.5; 3],
        std: [0.25; 3],
        crop: 1.0,
        step: 0,
        epoch: 0,
        training_counts: vec![1; classes],
        best: None,
        averaged: 0,
        temperature: 1.0,
        loss_scale: None,
        fingerprint: String::new(),
    }
}

fn gpu() -> Arc<Gpu> {
    static GPU: LazyLock<Arc<Gpu>> = LazyLock::new(|| {
        Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).expect("an adapter to test on"))
    });
    Arc::clone(&GPU)
}
