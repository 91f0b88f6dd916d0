//! A trained network at work: its answers, and how good they are.

pub mod evaluate;
pub mod features;
pub mod metrics;
pub mod model;
pub mod predictions;
pub mod similar;
pub mod stream;
mod temperature;

pub use features::Features;
pub use metrics::Metrics;
pub use model::{Model, probabilities};
pub use predictions::Predictions;
pub use temperature::temperature;
