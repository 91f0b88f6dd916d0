//! A data set: its files, its sets, and batches of it.

pub mod batch;
pub mod dataset;
pub mod disjoint;
pub mod feed;
pub mod folds;
pub mod hash;
pub mod manifest;
pub mod names;
pub(in crate::data) mod nobody;
pub mod pack;
pub mod report;
pub mod split;
pub mod strings;
pub mod ties;
