//! Validation metrics, and bounds on them.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

ctrnn_model::words! {
    /// A quantity measured on the trials of a validation set, by its name as a metric of the main set.
    #[derive(JsonSchema)]
    pub enum Measure {
        /// Loss on the validation trials, penalties included; lower is better.
        Loss = "val.loss",
        /// Fraction of validation trials with the correct choice, over those that have one; higher is better.
        Accuracy = "val.accuracy",
        /// The least accuracy over conditions, each over its trials that have a correct choice; higher is better.
        /// Needs several trials of each condition: see validate.trials.
        MinAccuracy = "val.min_accuracy",
        /// The mean over the tasks of a mixture of their accuracies, without tasks that have none; higher is better.
        TaskAccuracy = "val.task_accuracy",
        /// The least accuracy of a task of a mixture; higher is better.
        MinTaskAccuracy = "val.min_task_accuracy",
    }
}

/// Prefix of the names of all metrics.
const PREFIX: &str = "val.";

impl Measure {
    /// Returns true if the measure exists only on trials that have a correct answer.
    pub const fn needs_answers(self) -> bool {
        !matches!(self, Self::Loss)
    }

    /// Returns true if the measure exists only in a mixture of tasks.
    pub const fn needs_tasks(self) -> bool {
        matches!(self, Self::TaskAccuracy | Self::MinTaskAccuracy)
    }

    /// Returns the word after the name of the validation set: `loss`.
    fn word(self) -> &'static str {
        self.name().strip_prefix(PREFIX).unwrap_or_default()
    }
}

/// A measure on the trials of a validation set: `val.accuracy`, or `val.easy.accuracy` on those of `[validate.easy]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    /// Name of the validation set; `None` for the main one.
    pub set: Option<String>,
    /// The measure.
    pub measure: Measure,
}

impl Metric {
    /// Loss on the main validation set.
    pub const LOSS: Self = Self::of_main(Measure::Loss);
    /// Accuracy on the main validation set.
    pub const ACCURACY: Self = Self::of_main(Measure::Accuracy);

    /// Creates the metric of a measure on the main validation set.
    pub const fn of_main(measure: Measure) -> Self {
        Self { set: None, measure }
    }

    /// Returns the name in configurations.
    pub fn name(&self) -> String {
        let word = self.measure.word();
        match &self.set {
            None => self.measure.name().to_owned(),
            Some(set) => format!("{PREFIX}{set}.{word}"),
        }
    }

    /// Returns true if `new` is better than `old`: a lower loss or a higher accuracy. A tie is not better.
    pub fn is_better(&self, new: f64, old: f64) -> bool {
        if self.measure == Measure::Loss {
            new < old
        } else {
            new > old
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A text that does not name a metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAMetric(String);

impl fmt::Display for NotAMetric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words = Measure::ALL.map(Measure::name).join(", ");
        write!(
            f,
            "{:?} is not a metric; expected one of {words}, or such a measure on a set of validation trials: val.NAME.accuracy for [validate.NAME]",
            self.0
        )
    }
}

impl FromStr for Metric {
    type Err = NotAMetric;

    fn from_str(text: &str) -> Result<Self, NotAMetric> {
        let unknown = || NotAMetric(text.to_owned());
        let rest = text.strip_prefix(PREFIX).ok_or_else(unknown)?;
        let (set, word) = match rest.split_once('.') {
            Some((set, word)) => (Some(set.to_owned()), word),
            None => (None, rest),
        };
        let mut measures = Measure::ALL.into_iter();
        let measure = measures.find(|measure| measure.word() == word);
        let measure = measure.filter(|_| set.as_ref().is_none_or(|set| !set.is_empty()));
        Ok(Self {
            set,
            measure: measure.ok_or_else(unknown)?,
        })
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl JsonSchema for Metric {
    fn schema_name() -> Cow<'static, str> {
        "Metric".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let of_main = Measure::json_schema(generator);
        let words = Measure::ALL.map(Measure::word).join("|");
        let pattern = format!("^val\\.[^.]+\\.({words})$");
        let of_set = json_schema!({ "type": "string", "pattern": pattern });
        json_schema!({ "title": "metric", "anyOf": [of_main, of_set] })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_read_as_it_is_written() {
        let of = |set: Option<&str>, measure| Metric {
            set: set.map(str::to_owned),
            measure,
        };
        for (text, metric) in [
            ("val.loss", of(None, Measure::Loss)),
            ("val.min_task_accuracy", of(None, Measure::MinTaskAccuracy)),
            ("val.easy.loss", of(Some("easy"), Measure::Loss)),
            (
                "val.loss.min_accuracy",
                of(Some("loss"), Measure::MinAccuracy),
            ),
        ] {
            assert_eq!(text.parse(), Ok(metric.clone()));
            assert_eq!(metric.name(), text);
        }
        for text in [
            "loss",
            "val.los",
            "val.easy",
            "val..loss",
            "val.easy.",
            "val.",
        ] {
            assert_eq!(text.parse::<Metric>(), Err(NotAMetric(text.to_owned())));
        }
    }
}
