//! Results as pages that can be sent to a friend: one file each, no network.

pub mod card;
pub mod chart;
mod classes;
pub mod compare;
mod curves;
pub mod gallery;
mod heat_maps;
mod markdown;
pub mod model_folder;
pub mod neighbours;
pub mod page;
pub mod run;
mod scores;
pub mod single;
pub mod words;

pub use run::Run;
