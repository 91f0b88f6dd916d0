//! Writing what PyTorch loads: `load_state_dict(strict=True)` wants every buffer that torchvision's modules have.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde::Serialize;

use super::{Checkpoint, is_optimisers};
use crate::shown::path_text;
use crate::{Error, Result};

/// What was written, as `export --json` prints it.
#[derive(Clone, Debug, Serialize)]
pub struct Exported {
    pub path: String,
    pub net: String,
    pub classes: usize,
    pub tensors: usize,
    /// Learned numbers, as PyTorch counts them.
    pub parameters: usize,
    pub bytes: usize,
}

impl Checkpoint {
    /// Writes the weights without the optimiser's state, with a `num_batches_tracked` for each batch-norm and our header.
    /// Importing the file and exporting it again gives the same bytes.
    pub fn export(&self, path: &Path) -> Result<Exported> {
        let fault = |e: &dyn std::fmt::Display| Error::run(format!("{}: cannot be written ({e})", path.display()));
        let Some(header) = &self.header else { return Err(fault(&"it has no header")) };
        let count = (header.step as i64).to_le_bytes();
        let (mut views, mut parameters) = (vec![], 0);
        for (name, (shape, values)) in self.tensors.iter().filter(|(name, _)| !is_optimisers(name)) {
            let view = TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values));
            views.push((name.clone(), view.map_err(|e| fault(&e))?));
            if let Some(norm) = name.strip_suffix("running_mean") {
                let view = TensorView::new(Dtype::I64, vec![], &count).map_err(|e| fault(&e))?;
                views.push((format!("{norm}num_batches_tracked"), view));
            } else if !name.ends_with(".running_var") {
                parameters += values.len();
            }
        }
        let tensors = views.len();
        let bytes = self.write_views(path, views)?;
        let (net, classes) = (header.net.net.clone(), header.net.classes);
        Ok(Exported { path: path_text(path), net, classes, tensors, parameters, bytes })
    }
}
