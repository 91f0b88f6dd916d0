//! Training: the configuration, the recorded step, the loop, and the score.

pub mod config;
pub mod evaluate;
pub mod log;
mod loss_scale;
pub mod metrics;
pub mod model;
pub mod needs;
pub mod predictions;
pub mod pretrained;
pub mod run;
pub mod schedule;
pub mod seeds;
pub mod step;
pub mod tensorboard;
pub mod trainer;
pub mod tuning;

pub use config::{Augmentation, ClassWeights, Config, Precision};
pub use log::{EpochReport, StepReport};
pub use loss_scale::LossScale;
pub use metrics::Metrics;
pub use model::{Model, probabilities};
pub use needs::Needs;
pub use predictions::Predictions;
pub use pretrained::Pretrained;
pub use schedule::{LearningRate, Schedule};
pub use trainer::{Observer, Outcome, Trainer};
pub use tuning::Tuning;
