//! Where in the picture the network looked.

pub mod colormap;
pub mod gallery;
pub mod grad_cam;
pub mod render;

pub use grad_cam::{Explainer, Explanation};
pub use render::HeatMap;
