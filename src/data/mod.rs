//! Covers on the CPU's side: cover files → `manifest.csv` → `images.pack` → batches. Each room knows those before it only.
//!
//! [`import()`] goes the whole way from what people have to a [`Dataset`], [`prepare()`] does it for a training run;
//! [`Epoch`] cuts it into batches.

pub mod import;
pub mod picture;
pub mod set;
pub mod source;

pub use import::intake::{Intake, prepare};
pub use import::prepare::{PrepareOptions, Prepared};
pub use import::untested::untested;
pub use import::{ImportOptions, Imported, import};
pub use picture::{BadPicture, Fit, Harmonise, Picture, Pipeline};
pub use set::batch::Epoch;
pub use set::dataset::Dataset;
pub use set::folds::Fold;
pub use set::manifest::{Cover, Manifest};
pub use set::pack::Pack;
pub use set::report::Skipped;
pub use set::split::{Split, SplitReport, parse_ratios};
pub use set::strings::Strings;
pub use source::listing::{About, Item, Listing};
pub use source::{Columns, Labelling, Multi, Place, Rename, Request, Source};
