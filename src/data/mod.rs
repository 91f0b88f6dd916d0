//! Covers on the CPU's side: cover files → `manifest.csv` → `images.pack` → batches.
//!
//! [`import()`] goes the whole way from what people have to a [`Dataset`], [`prepare()`] does it for a training run;
//! [`Epoch`] cuts it into batches.

mod audio;
pub mod batch;
pub mod dataset;
pub mod decode;
pub mod disjoint;
pub mod duplicates;
pub mod feed;
mod genres;
pub mod harmonise;
pub mod import;
pub(crate) mod jpeg;
pub mod look;
pub mod manifest;
pub mod pack;
pub mod picture;
pub mod prepare;
mod preview;
pub mod report;
pub mod sample;
pub mod source;
pub mod space;
pub mod split;
mod stage;
pub mod texts;

pub use batch::Epoch;
pub use dataset::Dataset;
pub use harmonise::{Harmonise, Pipeline};
pub use import::{ImportOptions, Imported, import};
pub use manifest::{Cover, Manifest, Split};
pub use pack::Pack;
pub use picture::{BadPicture, Fit, Picture};
pub use prepare::{PrepareOptions, Prepared, prepare};
pub use source::{Columns, Place, Request, Skipped, Source};
pub use split::{SplitReport, parse_ratios};
pub use texts::Texts;
