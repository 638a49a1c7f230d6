//! What can go wrong while a network trains.

use ctrnn_files::{ErrorKind, FileError};
use ctrnn_model::ModelError;
use ctrnn_tasks::{TaskError, TaskErrorKind};
use thiserror::Error;

use crate::divergence::NotFinite;
use crate::metric::{Bound, Metric};

/// Training, evaluation or loading a run failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The loss, a gradient or a weight stopped being a finite number, and going back was of no use.
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
    /// All steps are done and the required bound of `train.stop` is not met.
    #[error("{metric} is {found} after {step} steps, but train.stop requires {bound}")]
    TargetNotMet {
        /// The metric.
        metric: &'static str,
        /// Its last value.
        found: String,
        /// The bound.
        bound: Bound,
        /// Steps done.
        step: u64,
    },
    /// The mask of a whole batch, or of the validation trials, is zero: nothing counts.
    #[error("the mask of {0} sums to 0, so that no output counts in the loss")]
    EmptyMask(String),
    /// A metric that is looked at is never measured: no validation trial has a right answer.
    #[error("{} can never be measured: no validation trial of this task has a right answer; use val.loss", named(.0))]
    NoRightAnswers(Vec<(&'static str, Metric)>),
    /// A trial has a condition for which the network has no initial state.
    #[error(
        "a trial has the condition {condition}, for which the network has no initial state (model.initial_state = \"learned_per_condition\")"
    )]
    UnknownCondition {
        /// Its values.
        condition: String,
    },
    /// A state of an optimizer does not fit the network or the optimizer.
    #[error("the optimizer's state does not fit: {0}")]
    OptimizerState(String),
    /// A network could not be built or given its weights.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A task could not make its trials.
    #[error(transparent)]
    Task(#[from] TaskError),
}

/// Lists keys with the metrics that they name.
fn named(metrics: &[(&str, Metric)]) -> String {
    let named = metrics
        .iter()
        .map(|(key, metric)| format!("{key} = {:?}", metric.name()));
    named.collect::<Vec<_>>().join(" and ")
}

impl TrainError {
    /// The exit code of a command that ends with this error: 2 configuration, 3 training failed, 4 data, 5 input/output.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFinite(_) | Self::TargetNotMet { .. } => 3,
            Self::EmptyMask(_) | Self::OptimizerState(_) | Self::UnknownCondition { .. } => 4,
            Self::NoRightAnswers(_) => 2,
            Self::Model(
                ModelError::Config(_)
                | ModelError::ZeroSpectralRadius { .. }
                | ModelError::FixedSpectralRadius { .. }
                | ModelError::Unbalanced,
            ) => 2,
            Self::Model(_) => 4,
            Self::File(error) => match error.kind() {
                ErrorKind::Io => 5,
                ErrorKind::Data => 4,
            },
            Self::Task(error) => match error.kind {
                TaskErrorKind::Config => 2,
                TaskErrorKind::Data | TaskErrorKind::Program => 4,
                TaskErrorKind::Io => 5,
            },
        }
    }
}

impl From<NotFinite> for TrainError {
    fn from(found: NotFinite) -> Self {
        Self::NotFinite(Box::new(found))
    }
}
