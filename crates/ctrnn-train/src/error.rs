//! Errors of training.

use ctrnn_files::{ErrorKind, FileError};
use ctrnn_model::ModelError;
use ctrnn_tasks::{TaskError, TaskErrorKind};
use thiserror::Error;

use crate::divergence::NotFinite;
use crate::metric::{Bound, Metric};

/// An error while a network is trained, evaluated or loaded.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A loss, gradient or weight that is not finite, when rollbacks are used up or cannot help.
    #[error(transparent)]
    NotFinite(Box<NotFinite>),
    /// A run that did all its steps without meeting the required bound of `train.stop`.
    #[error("{metric} is {found} at step {step}, but train.stop requires {bound}")]
    TargetNotMet {
        /// The metric of the bound, in words.
        metric: String,
        /// The last value of the metric, in words.
        found: String,
        /// The bound.
        bound: Bound,
        /// Number of steps done.
        step: u64,
    },
    /// A mask that is zero for a whole batch, or for all validation trials, so that the loss is undefined.
    #[error("the mask of {0} sums to 0, so no output counts in the loss")]
    EmptyMask(String),
    /// Keys whose metric can never be measured, because no validation trial has a correct answer.
    #[error("{} can never be measured: no validation trial of this task has a correct answer; use val.loss", named(.0))]
    NoRightAnswers(Vec<(&'static str, Metric)>),
    /// Keys whose metric is one of a validation set that does not exist.
    #[error("{} can never be measured: there is no such set of validation trials; use val.loss", named(.0))]
    NoSuchSet(Vec<(&'static str, Metric)>),
    /// Keys whose metric is one of the tasks of a mixture, while the task is not a mixture.
    #[error("{} can never be measured: this task is not a mixture of tasks; use val.accuracy", named(.0))]
    NoMixture(Vec<(&'static str, Metric)>),
    /// Keys whose metric is one of the tasks of a mixture, some of which have no validation trial.
    #[error("{} needs validation trials of every task, but there are none of {}", named(.metrics), .untested.join(", "))]
    UntestedTasks {
        /// The keys with their metrics.
        metrics: Vec<(&'static str, Metric)>,
        /// Tasks without a validation trial.
        untested: Vec<String>,
    },
    /// Terms that are not sums over the parts into which a batch is divided, or a network whose state at a cut does not determine its future.
    #[error(
        "a batch with {0} cannot be divided: train.truncate_steps and train.accumulate compute the gradient of its parts one by one"
    )]
    Indivisible(String),
    /// A trial with a condition for which the network has no initial state.
    #[error(
        "a trial has the condition {condition}, for which the network has no initial state (model.initial_state = \"learned_per_condition\")"
    )]
    UnknownCondition {
        /// The values of the condition.
        condition: String,
    },
    /// An optimizer state that does not fit the network or the optimizer.
    #[error("the optimizer's state does not fit: {0}")]
    OptimizerState(String),
    /// An error while a network is built or its weights are loaded.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An error while a file is read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An error while a task makes its trials.
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
    /// Returns the exit code of a command that ends with this error: 2 configuration, 3 training failed, 4 data, 5
    /// input/output.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotFinite(_) | Self::TargetNotMet { .. } => 3,
            Self::EmptyMask(_) | Self::OptimizerState(_) | Self::UnknownCondition { .. } => 4,
            Self::NoRightAnswers(_)
            | Self::NoSuchSet(_)
            | Self::NoMixture(_)
            | Self::UntestedTasks { .. }
            | Self::Indivisible(_) => 2,
            Self::Model(
                ModelError::Config(_)
                | ModelError::ZeroSpectralRadius { .. }
                | ModelError::FixedSpectralRadius { .. }
                | ModelError::Unbalanced
                | ModelError::Overlap { .. },
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
