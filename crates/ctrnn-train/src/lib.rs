//! The training loop: losses, penalties, optimizers, evaluation.
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
//! The loop neither prints nor writes: an [`Observer`] does. Configuration files are read by `ctrnn-config`, run folders are made by
//! `ctrnn-runs`.
//!
//! # One complete use
//!
//! ```
//! use burn::backend::{Autodiff, NdArray};
//! use ctrnn_model::CtrnnConfig;
//! use ctrnn_tasks::GoNogo;
//! use ctrnn_train::{ForTask, TrainSettings, Trainer};
//!
//! let task = GoNogo::default();
//! let network = CtrnnConfig::for_task(&task, 32).init::<Autodiff<NdArray>>(1, &Default::default())?;
//! let mut settings = TrainSettings::default();
//! settings.train.steps = 20;
//! settings.validate.trials = 64;
//! let mut trainer = Trainer::new(network, &task, settings)?;
//! trainer.run()?;
//! assert_eq!(trainer.counters().step, 20);
//! # Ok::<(), ctrnn_train::TrainError>(())
//! ```

mod annealing;
mod batch;
#[cfg(test)]
mod burn_test;
mod condition_states;
mod continual;
mod divergence;
mod error;
mod evaluation;
mod for_task;
mod gradients;
mod interventions;
mod metric;
mod monitors;
mod named;
mod objective;
mod observer;
mod online;
mod optimizer;
pub mod perturbation;
mod ranking;
mod settings;
mod teacher_forcing;
mod trainer;

pub use batch::{Batch, Recordings};
pub use condition_states::{
    condition_numbers, conditions_of_states, first_nonfinite, first_untrained,
    with_states_of_conditions,
};
pub use continual::config::{Continual, Ewc, Projection, SynapticIntelligence, Unprotected};
pub use divergence::{Culprit, NotFinite, Rollback, Rollbacks};
pub use error::TrainError;
pub use evaluation::{
    Breakdown, EvaluationTrials, RunTrials, Tasks, ValidationSet, evaluate, evaluate_with,
    evaluation_noise, evaluation_trials, validation_noise,
};
pub use for_task::{ForTask, sizes_of};
pub use gradients::{Clip, Gradients};
pub use interventions::{NoiseSchedule, PerturbationConfig, TrainedPerturbation};
pub use metric::{Bound, Measure, Metric};
pub use monitors::{MONITORED_TRIALS, Monitored, NEAR_BOUND, SATURATED, SILENT};
pub use objective::config::{
    Loss, LossConfig, Normalisation, Omega, On, Pairing, PerMatrix, PopulationKl, PythonTerm,
    RangePenalty, RateSpread, RateTarget, Spread, StatePrediction,
};
pub use objective::unit_rates::{FittedRates, RateError, RateOutput, RecordedUnits, UnitRates};
pub use objective::{LossInputs, Objective, Part, Penalty};
pub use observer::{
    Best, Confusion, Counters, EvalReport, GroupScore, Observer, SavedState, Score, Snapshot,
    StageProgress, StepReport, Validation, Wait, Window, Worst,
};
pub use online::config::{Eprop, FeedbackSource, Force, FullForce, Gradient, Rflo, Rule};
pub use optimizer::OptimizerState;
pub use optimizer::config::*;
pub use settings::{
    Carried, CheckpointConfig, DEFAULT_DT_MS, Dealing, DivergenceConfig, OnError, StageConfig,
    StageSettings, StopConfig, TrainConfig, TrainSettings, ValidateConfig, ValidationSetConfig,
};
pub use teacher_forcing::TeacherForcing;
pub use trainer::{Ending, LastGoodState, Overflow, StopRequest, Trainer, check_metrics};
