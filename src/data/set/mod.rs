//! A data set: its files, its sets, and batches of it.

pub mod batch;
pub mod dataset;
pub mod disjoint;
pub mod feed;
pub mod manifest;
pub mod names;
pub mod pack;
pub mod report;
pub mod split;
pub mod strings;
