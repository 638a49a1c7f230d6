//! Configuration, training loop, losses, optimizers, checkpoints.
//!
//! # The loop in ten lines
//!
//! ```text
//! while step < steps {
//!     trials    = task.sample_batch(step)                     host arrays, addressed by seed and step
//!     forward   = network.forward(inputs, noise of this step)
//!     loss      = loss(outputs, targets, mask) + penalties
//!     gradients = loss.backward()                             by parameter name
//!     gradients = clip(gradients)
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
mod choices;
mod config;
mod conformance;
#[cfg(test)]
mod constraints_test;
mod covariance;
#[cfg(test)]
mod dale_test;
mod diagnostic;
mod difference;
mod divergence;
mod document;
mod error;
mod evaluation;
mod export;
mod generator;
mod gradients;
mod import;
mod loss;
mod loss_config;
mod machine_history;
mod manifest;
mod objective;
mod observer;
mod optimizer;
mod optimizer_config;
mod overrides;
mod penalty;
mod ranking;
mod record;
mod resumed;
mod run;
mod run_log;
mod run_weights;
mod schedule;
mod schema;
mod suggestion;
mod tensorboard_log;
mod trainer;
mod trial_file;
mod trials_from_command;
mod trials_from_file;
mod update_rule;
mod vanishing_gradient;
mod weight_file;
mod white_noise;

pub use batch::{Batch, condition_numbers};
pub use checkpoint::{Checkpoint, CheckpointWriter, TensorSummary, checkpoint_step};
pub use choices::OutputName;
pub use config::{
    AdapterChoice, Backend, CheckpointConfig, DeviceConfig, DivergenceConfig, InputPath, Metric,
    OnError, RunConfig, StopConfig, TimeConfig, TrainConfig, VERSION, ValidateConfig,
};
pub use conformance::InputFile;
pub use diagnostic::{Code, ConfigErrors, Diagnostic, Label, Place, Source};
pub use difference::{CHANGEABLE_ON_RESUME, Difference, check_resume, differences};
pub use divergence::{Culprit, NotFinite, Rollback, Rollbacks};
pub use document::MAX_CONFIG_BYTES;
pub use error::TrainError;
pub use evaluation::{EvaluationTrials, evaluate, evaluation_trials};
pub use export::Export;
pub use gradients::{Clip, Gradients};
pub use import::{Imported, Origin as ImportOrigin, record_import};
pub use loss_config::{
    Loss, LossConfig, Normalisation, Omega, On, Pairing, PerMatrix, PopulationKl, RateSpread,
    RateTarget, Spread, StatePrediction,
};
pub use manifest::recorded_layout;
pub use objective::{LossInputs, Objective, Penalty};
pub use observer::{
    Best, Confusion, Counters, EvalReport, Observer, SavedState, Score, Snapshot, StepReport,
    Validation, Wait, Worst,
};
pub use optimizer::OptimizerState;
pub use optimizer_config::{
    AdaGrad, Adam, AdamW, Constant, Cosine, Exponential, Group, Groups, Optimizer, Plateau,
    RmsProp, Schedule, Sgd, StepSchedule, WeightAndBiasGroups, WeightGroups,
};
pub use overrides::{only_options_of, only_under};
pub use record::{
    Given, Reopened, RunRecord, check_files, check_inputs, initial_network, note_abrupt_end,
    objective, trained_sizes, trainer_at,
};
pub use resumed::{is_in_parts, left_open, recorded};
pub use run::{
    Bound, Document, GivenWeights, InitialWeights, KEYS_OF_DRAWN_WEIGHTS, Origin, Reading, Run,
    Stop, Training, Values,
};
pub use run_log::{RunLog, metrics_header, now};
pub use run_weights::RunWeights;
pub use schema::{Explanation, explain, keys, schema};
pub use suggestion::{tasks_like, word_like};
pub use tensorboard_log::TensorBoardLog;
pub use trainer::{Ending, LearningRule, Overflow, StopRequest, TrainSettings, Trainer};
pub use trials_from_command::{CommandConfig, TrialsFromCommand, as_typed};
pub use trials_from_file::{NpzConfig, TrialsFromFile, registry};
pub use weight_file::read_weights;
pub use white_noise::WhiteNoise;
