//! Configuration, training loop, losses, optimizers, checkpoints.
//!
//! # The loop in ten lines
//!
//! ```text
//! while step < steps {
//!     trials    = task.sample_batch(step)                     host arrays, addressed by seed and step
//!     forward   = network.forward(inputs, noise of this step)
//!     loss      = loss(outputs, targets, mask)
//!     gradients = loss.backward()                             by parameter name
//!     gradients = clip(gradients, global norm)
//!     network   = optimizer.step(lr, network, gradients)      the next network, a value
//!     observers <- report; validation, checkpoint when due
//! }
//! ```
//!
//! The loop neither prints nor writes: an [`Observer`] does. A [`RunRecord`] is the folder that a run leaves behind.
//!
//! # One complete use
//!
//! ```
//! use burn::backend::{Autodiff, NdArray};
//! use ctrnn_model::{CtrnnConfig, CtrnnModule};
//! use ctrnn_tasks::GoNogo;
//! use ctrnn_train::{TrainSettings, Trainer};
//!
//! let task = GoNogo::default(); // 3 inputs, 2 outputs
//! let network = CtrnnModule::<Autodiff<NdArray>>::init(&CtrnnConfig::new(3, 32, 2), 1, &Default::default())?;
//! let mut settings = TrainSettings::default();
//! settings.train.steps = 20;
//! settings.validate.trials = 64;
//! let mut trainer = Trainer::new(network, &task, settings)?;
//! trainer.run(&mut [], &|| None)?;
//! assert_eq!(trainer.counters().step, 20);
//! # Ok::<(), ctrnn_train::TrainError>(())
//! ```

mod accuracy;
mod batch;
#[cfg(test)]
mod burn_test;
mod checkpoint;
mod config;
mod conformance;
mod diagnostic;
mod difference;
mod divergence;
mod document;
mod error;
mod evaluation;
mod gradients;
mod loss;
mod machine_history;
mod manifest;
mod observer;
mod optimizer;
mod overrides;
mod ranking;
mod record;
mod run;
mod run_log;
mod schedule;
mod schema;
mod suggestion;
mod trainer;
mod trials_from_file;
mod weight_file;

pub use batch::Batch;
pub use checkpoint::{Checkpoint, CheckpointWriter, find_checkpoint};
pub use config::{
    Adam, Backend, BiasConfig, CheckpointConfig, DeviceConfig, DivergenceConfig, InitConfig,
    InputPath, Loss, LossConfig, Metric, ModelConfig, NoiseConfig, OnError, Optimizer, RunConfig,
    Schedule, Sgd, StopConfig, TimeConfig, TrainConfig, VERSION, ValidateConfig,
};
pub use diagnostic::{Code, ConfigErrors, Diagnostic, Label, Place, Source};
pub use difference::{CHANGEABLE_ON_RESUME, Difference, check_resume, differences};
pub use divergence::{Culprit, NotFinite, Rollback, Rollbacks};
pub use error::TrainError;
pub use evaluation::{evaluate, evaluation_trials};
pub use gradients::Gradients;
pub use observer::{
    Best, Counters, EvalReport, Observer, SavedState, Score, Snapshot, StepReport, Validation,
};
pub use optimizer::OptimizerState;
pub use record::{
    Given, Reopened, RunRecord, check_inputs, initial_network, trained_network, trainer_at,
};
pub use run::{Bound, Origin, Run, Stop, Training};
pub use run_log::{METRICS_HEADER, RunLog};
pub use schema::{Explanation, explain, keys, schema};
pub use trainer::{Ending, LearningRule, StopRequest, TrainSettings, Trainer};
pub use trials_from_file::{NpzConfig, TrialsFromFile, registry};
pub use weight_file::read_weights;
