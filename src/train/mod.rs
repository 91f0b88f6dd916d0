//! Training: the configuration, the recorded step, the loop, and the score.

pub mod config;
pub mod evaluate;
mod loss_scale;
pub mod metrics;
pub mod model;
pub mod needs;
pub mod pretrained;
pub mod run;
pub mod schedule;
pub mod step;
pub mod trainer;
pub mod tuning;

pub use config::{Augmentation, ClassWeights, Config, Precision};
pub use loss_scale::LossScale;
pub use metrics::Metrics;
pub use model::{Model, probabilities};
pub use needs::Needs;
pub use pretrained::Pretrained;
pub use schedule::{LearningRate, Schedule};
pub use trainer::{EpochReport, Observer, Outcome, StepReport, Trainer};
pub use tuning::Tuning;
