//! Covers on the CPU's side: cover files → `manifest.csv` → `images.pack` → batches.
//!
//! [`prepare()`] goes the whole way from a folder or a table to a [`Dataset`]; [`Epoch`] cuts it into batches.

pub mod batch;
pub mod dataset;
pub mod files;
mod jpeg;
pub mod manifest;
pub mod pack;
pub mod picture;
pub mod prepare;
pub mod sample;
pub mod source;
pub mod split;
mod table;

pub use batch::Epoch;
pub use dataset::Dataset;
pub use files::write_atomically;
pub use manifest::{Cover, Manifest, Split};
pub use pack::Pack;
pub use picture::{BadPicture, Fit, Picture};
pub use prepare::{PrepareOptions, Prepared, prepare};
pub use source::Skipped;
pub use split::{SplitReport, parse_ratios};
