//! Validation metrics, and bounds on them.

use std::fmt;

use schemars::JsonSchema;

ctrnn_model::words! {
    /// A metric measured in validation.
    #[derive(JsonSchema)]
    #[schemars(title = "metric")]
    pub enum Metric {
        /// Loss on the validation trials, penalties included; lower is better.
        Loss = "val.loss",
        /// Fraction of validation trials with the right choice, over those that have one; higher is better.
        Accuracy = "val.accuracy",
        /// The least accuracy over conditions, each over its trials that have a right choice; higher is better.
        /// Needs several trials of each condition: see validate.trials.
        MinAccuracy = "val.min_accuracy",
        /// The mean over the tasks of a mixture of their accuracies, without tasks that have none; higher is better.
        TaskAccuracy = "val.task_accuracy",
        /// The least accuracy of a task of a mixture; higher is better.
        MinTaskAccuracy = "val.min_task_accuracy",
    }
}

impl Metric {
    /// Returns true if the metric is measured only on trials that have a right answer.
    pub const fn needs_answers(self) -> bool {
        !matches!(self, Self::Loss)
    }

    /// Returns true if the metric is measured only in a mixture of tasks.
    pub const fn needs_tasks(self) -> bool {
        matches!(self, Self::TaskAccuracy | Self::MinTaskAccuracy)
    }

    /// Returns true if `new` is better than `old`: a lower loss or a higher accuracy. A tie is not better.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Loss => new < old,
            Self::Accuracy | Self::MinAccuracy | Self::TaskAccuracy | Self::MinTaskAccuracy => {
                new > old
            }
        }
    }
}

/// A bound on a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// Lower bound: met if the metric is this or more.
    AtLeast(f64),
    /// Upper bound: met if the metric is this or less.
    AtMost(f64),
}

impl Bound {
    /// Returns true if `value` meets the bound; NaN never does.
    pub fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bound) => value >= bound,
            Self::AtMost(bound) => value <= bound,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(bound) => write!(f, "at least {bound}"),
            Self::AtMost(bound) => write!(f, "at most {bound}"),
        }
    }
}
