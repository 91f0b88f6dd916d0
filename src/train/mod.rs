//! Training: the configuration, the recorded step, the loop, and the run folder.

pub mod choice;
pub mod config;
pub mod folds;
pub mod kept;
pub mod log;
pub mod mixing;
pub mod needs;
pub mod pretrained;
pub mod resume;
pub mod run;
pub mod schedule;
pub mod search;
pub mod seeds;
pub mod several;
pub mod start;
pub mod step;
pub mod tensorboard;
pub mod trainer;
pub mod tuning;

pub use choice::Chosen;
pub use config::{Augmentation, ClassWeights, Config, Decay, Optimizer, Precision};
pub use log::{EpochReport, StepReport};
pub use needs::Needs;
pub use pretrained::Pretrained;
pub use schedule::{LearningRate, Schedule};
pub use start::{Event, Listener, Starter};
pub use trainer::{Observer, Outcome, Trainer};
pub use tuning::Tuning;
