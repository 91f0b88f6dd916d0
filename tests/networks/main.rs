//! Whole networks and heat maps against PyTorch's, and the kernels that networks launch. The golden files are those of
//! `kernels-tests/golden/`, whose README.md says what is in them and how they were made.

use std::sync::{Arc, LazyLock};

use gatefold_engine::gpu::{Gpu, GpuOptions};

mod cam;
mod evidence;
mod linear;
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

fn gpu() -> Arc<Gpu> {
    static GPU: LazyLock<Arc<Gpu>> = LazyLock::new(|| {
        Arc::new(Gpu::open(&GpuOptions { adapter: None, checked: true }).expect("an adapter to test on"))
    });
    Arc::clone(&GPU)
}
