//! Metrics of validation, and bounds on them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A number that validation measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "metric")]
pub enum Metric {
    /// Loss on the validation trials, penalties included; lower is better.
    #[serde(rename = "val.loss")]
    Loss,
    /// Fraction of validation trials with the right choice, over those that have one; higher is better.
    #[serde(rename = "val.accuracy")]
    Accuracy,
    /// The least accuracy over conditions, each over its trials that have a right choice; higher is better. It wants some trials
    /// of each condition: see validate.trials.
    #[serde(rename = "val.min_accuracy")]
    MinAccuracy,
}

impl Metric {
    /// The name used in configurations.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "val.loss",
            Self::Accuracy => "val.accuracy",
            Self::MinAccuracy => "val.min_accuracy",
        }
    }

    /// Tells whether it is measured only on trials that have a right answer.
    pub const fn needs_answers(self) -> bool {
        !matches!(self, Self::Loss)
    }

    /// Whether `new` is better than `old`: a lower loss, a higher accuracy. A tie is not.
    pub fn is_better(self, new: f64, old: f64) -> bool {
        match self {
            Self::Loss => new < old,
            Self::Accuracy | Self::MinAccuracy => new > old,
        }
    }
}

/// A bound of a metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The metric is this or more.
    AtLeast(f64),
    /// The metric is this or less.
    AtMost(f64),
}

impl Bound {
    /// Whether `value` has reached the bound; NaN never has.
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
