//! Compiled kernels on disk, where the driver hands them out: the next start then compiles nothing.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::AdapterSummary;
use crate::file::replace;

/// `GATEFOLD_CACHE`, else the platform's folder for caches; `None` where there is neither.
pub fn cache_folder() -> Option<PathBuf> {
    match std::env::var_os("GATEFOLD_CACHE") {
        Some(folder) => Some(folder.into()),
        None => dirs::cache_dir().map(|folder| folder.join("gatefold")),
    }
}

impl AdapterSummary {
    /// Adapter, back end, driver and what is done without, in words: what compiled and measured things depend on.
    pub fn identity(&self) -> String {
        let without: String = self.without.iter().map(|switch| format!(", without {}", switch.name())).collect();
        let pretended = if self.pretended { ", as a GPU" } else { "" };
        format!("{}, {}, {}{without}{pretended}", self.name, self.backend, self.driver)
    }

    /// What tells this adapter's files in a cache folder from those of others.
    pub fn cache_key(&self) -> String {
        blake3::hash(self.identity().as_bytes()).to_hex()[..16].to_owned()
    }

    /// The name of a cache file that is this adapter's alone.
    pub fn cache_name(&self, what: &str, ending: &str) -> String {
        format!("{what}-{}.{ending}", self.cache_key())
    }
}

/// The driver's own cache of pipelines, and its file.
pub(super) struct Compiled {
    pub cache: wgpu::PipelineCache,
    file: PathBuf,
}

impl Compiled {
    /// Reads what is there; a file that is damaged or of another driver counts as none.
    pub fn open(device: &wgpu::Device, adapter: &AdapterSummary, folder: &Path) -> Option<Self> {
        if !device.features().contains(wgpu::Features::PIPELINE_CACHE) {
            return None;
        }
        let file = folder.join(adapter.cache_name("pipelines", "bin"));
        let bytes = fs::read(&file).unwrap_or_default();
        let data = bytes.split_at_checked(blake3::OUT_LEN).and_then(|(sum, data)| {
            let intact = blake3::hash(data).as_bytes().as_slice() == sum;
            intact.then_some(data)
        });
        let descriptor = wgpu::PipelineCacheDescriptor { label: Some("kernels"), data, fallback: true };
        let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
        // SAFETY: the data are what `get_data` gave for this adapter and driver (the file's name says so), and its hash tells that
        // they were not changed since. wgpu compares its own header too.
        let cache = unsafe { device.create_pipeline_cache(&descriptor) };
        // What this driver cannot do is done without.
        pollster::block_on(scope.pop()).is_none().then_some(Self { cache, file })
    }

    /// Writes what has been compiled.
    pub fn save(&self) -> io::Result<()> {
        let Some(data) = self.cache.get_data() else { return Ok(()) };
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)?;
        }
        replace(&self.file, &[blake3::hash(&data).as_bytes(), &data[..]].concat())
    }
}
