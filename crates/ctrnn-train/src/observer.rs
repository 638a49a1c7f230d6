//! Observers of a training run, and the reports that they receive: the loop itself neither prints nor writes.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use ctrnn_files::FileError;
use ctrnn_model::Weights;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::divergence::{Rollback, Rollbacks};
use crate::metric::{Measure, Metric};
use crate::monitors::Monitored;

/// Receives reports from a training run. Every method is optional; an error ends the run.
#[expect(unused_variables, reason = "provided methods do nothing")]
pub trait Observer {
    /// Receives a report every `train.log_every` steps, and after the last one.
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        Ok(())
    }

    /// Receives the result of each validation, once for each set of validation trials, the main one first.
    fn evaluated(&mut self, report: &Validation) -> Result<(), TrainError> {
        Ok(())
    }

    /// Receives the complete state of the run every `checkpoint.every_steps` steps, after a validation among the
    /// best, and at the end.
    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// Handles a rollback to an earlier state, which `snapshot` holds: earlier reports of later steps are void.
    fn rolled_back(&mut self, rollback: &Rollback, snapshot: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// Handles the failed write of an observer after which training continues (`checkpoint.on_error = "retry"`).
    fn troubled(&mut self, error: &FileError) -> Result<(), TrainError> {
        Ok(())
    }
}

/// Report of one training step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Number of updates done, including this one.
    pub step: u64,
    /// Number of updates at the last step of the run, or of the stage.
    pub of_steps: u64,
    /// Name of the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Number of trials trained on since the run began.
    pub trials: u64,
    /// Seconds of training since the run began, over all its processes.
    pub wall_s: f64,
    /// Loss before this step's update, including penalties.
    pub loss: f64,
    /// The terms of the loss, by name; empty if the loss is the only term.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f64>,
    /// Fraction of the batch's trials with the correct choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// True if the batch was run with noise.
    pub noise: bool,
    /// Global norm of the gradient, before clipping.
    pub grad_norm: f64,
    /// Learning rate of the update.
    pub lr: f64,
}

/// Report of a validation during training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Number of updates done.
    pub step: u64,
    /// Number of trials trained on since the run began.
    pub trials: u64,
    /// Seconds of training since the run began.
    pub wall_s: f64,
    /// Name of the stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<String>,
    /// Name of the set of validation trials; absent for the main one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// The measurements.
    pub report: EvalReport,
    /// Measurements of the monitors (`validate.monitors`), with the main set alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitored: Option<Monitored>,
}

/// Performance of a network on a set of trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Fraction of trials with the correct choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// Mean time from the onset of the evidence to the decision, over the trials with a decision; present only in the
    /// reaction-time version of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction_ms: Option<f64>,
    /// The loss, including penalties.
    pub loss: f64,
    /// The terms of the loss, by name; empty if the loss is the only term.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f64>,
    /// Number of trials.
    pub trials: usize,
    /// True if the network or its inputs had noise.
    #[serde(default)]
    pub noise: bool,
    /// Scores on the trials of each task of a mixture, by name; empty for any other task.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tasks: BTreeMap<String, Score>,
    /// Counts of choices made against correct choices; absent if no trial has a correct choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// Scores on the trials with each value of each condition.
    pub by: BTreeMap<String, BTreeMap<String, Score>>,
    /// Scores on the trials with each combination of the values of the requested conditions.
    #[serde(skip)]
    pub groups: Vec<GroupScore>,
    /// Number of values of those conditions that have more than 10,000 of them; these are not in `by`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub unscored: BTreeMap<String, usize>,
    /// The condition (a combination of all values) with the least accuracy; absent if no trial has a correct choice or
    /// there is only one condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Worst>,
}

/// The condition with the least accuracy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// The values of the condition, by name.
    pub condition: BTreeMap<String, f64>,
    /// Fraction of its trials with the correct choice, over those that have one.
    pub accuracy: f64,
    /// Number of trials with the condition.
    pub trials: usize,
}

/// Confusion matrix: how often each choice was made where each was correct. The choice is the largest output, or the sign
/// of the only one, at the last time step that counts, also for tasks with their own rule for the correct answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// The names of the choices.
    pub choices: Vec<String>,
    /// Numbers of trials: one row for each correct choice, one column for each choice made.
    pub counts: Vec<Vec<usize>>,
}

impl EvalReport {
    /// Returns the value of a measure; an accuracy is absent where no trial has a correct choice.
    pub fn measure(&self, measure: Measure) -> Option<f64> {
        match measure {
            Measure::Loss => Some(self.loss),
            Measure::Accuracy => self.accuracy,
            Measure::MinAccuracy => self.min_accuracy(),
            Measure::TaskAccuracy => {
                let accuracies: Vec<f64> = self.task_accuracies().collect();
                let n = accuracies.len();
                (n > 0).then(|| accuracies.iter().sum::<f64>() / n as f64)
            }
            Measure::MinTaskAccuracy => self.task_accuracies().reduce(f64::min),
        }
    }

    /// Returns the accuracies of those tasks of a mixture that have one.
    fn task_accuracies(&self) -> impl Iterator<Item = f64> {
        self.tasks.values().filter_map(|score| score.accuracy)
    }

    /// Returns the least accuracy over conditions; `None` if no trial has a correct choice.
    pub fn min_accuracy(&self) -> Option<f64> {
        let worst = self.worst.as_ref().map(|worst| worst.accuracy);
        worst.or(self.accuracy)
    }
}

/// Performance of a network on the trials of one condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Fraction of trials with the correct choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// Number of trials.
    pub trials: usize,
    /// Mean reaction time, as in [`EvalReport`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction_ms: Option<f64>,
}

/// Performance of a network on the trials with one combination of values of several conditions.
#[derive(Clone, Debug, PartialEq)]
pub struct GroupScore {
    /// The values, in the order in which the conditions were requested; NaN where a condition does not apply.
    pub condition: Vec<(String, f64)>,
    /// The score.
    pub score: Score,
    /// Number of trials with the correct choice.
    pub right: usize,
    /// Number of trials that have a correct choice.
    pub answered: usize,
}

/// Complete state of a run at one step: the content of a checkpoint.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Progress of the run.
    pub counters: Counters,
    /// The network, as weights by name.
    pub weights: Weights,
    /// State of the optimizer, as arrays by name.
    pub optimizer: BTreeMap<String, TensorData>,
    /// True if this step has the best validation so far.
    pub is_best: bool,
    /// The last good state, to which a rollback would return; absent if it is this one.
    pub good: Option<SavedState>,
    /// The weights of the last validation, from which the monitors measure the next drift; absent if they are these, or there
    /// are no monitors.
    pub validated: Option<Weights>,
}

/// A state of a run, in host memory.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// Progress of the run.
    pub counters: Counters,
    /// The network, as weights by name.
    pub weights: Weights,
    /// State of the optimizer, as arrays by name.
    pub optimizer: BTreeMap<String, TensorData>,
}

/// Progress of a run. Random number generators need no state here: their address is the step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Number of updates done.
    pub step: u64,
    /// Number of trials trained on.
    pub trials: u64,
    /// Seconds of training, summed over all processes.
    pub wall_s: f64,
    /// The best validation so far.
    pub best: Option<Best>,
    /// The metric by which `best` is ranked; absent in checkpoints of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_metric: Option<Metric>,
    /// The next best validations, best first, as many as `checkpoint.keep_best` asks for.
    #[serde(default)]
    pub runners_up: Vec<Best>,
    /// Value of the metric of `train.stop` after the last validation, averaged over `train.stop.over` validations; absent
    /// while there are fewer.
    pub last_metric: Option<f64>,
    /// The values that the next average for `train.stop` includes.
    #[serde(default)]
    pub stop_window: Window,
    /// Validations without improvement, counted for `train.stop`.
    #[serde(default)]
    pub stop_wait: Wait,
    /// Validations without improvement, counted for the plateau schedule.
    #[serde(default)]
    pub plateau_wait: Wait,
    /// Number of times the plateau schedule has lowered the learning rate.
    #[serde(default)]
    pub plateaus: u32,
    /// Global gradient norm at the last check.
    pub grad_norm: Option<f64>,
    /// Rollbacks of the run to an earlier state.
    #[serde(default)]
    pub rollbacks: Rollbacks,
    /// Progress through the stages of the training; absent without stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stage: Option<StageProgress>,
    /// Index of the stage in which `best` and `runners_up` were measured.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_stage: Option<usize>,
}

/// Progress through the stages of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StageProgress {
    /// Index of the present stage, counted from 0.
    pub index: usize,
    /// Number of updates before the stage.
    pub first_step: u64,
    /// True if the stage has ended and the next one begins.
    pub is_over: bool,
}

/// The last values of a validation metric, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// The metric.
    pub metric: Option<Metric>,
    /// The values.
    #[serde(with = "exact")]
    pub values: Vec<f64>,
}

impl Window {
    /// Adds a value and returns the mean of the last `over` ones; `None` while there are fewer. If the metric differs from
    /// the previous one, earlier values are dropped.
    pub fn mean(&mut self, metric: &Metric, value: f64, over: usize) -> Option<f64> {
        if self.metric.as_ref() != Some(metric) {
            *self = Self {
                metric: Some(metric.clone()),
                values: Vec::new(),
            };
        }
        self.values.push(value);
        let surplus = self.values.len().saturating_sub(over);
        self.values.drain(..surplus);
        (self.values.len() == over).then(|| self.values.iter().sum::<f64>() / over as f64)
    }
}

/// Numbers as text: a number of JSON may differ in its last bit after reading, and cannot be NaN.
mod exact {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(values: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(values.iter().map(f64::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<f64>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        let values = texts.iter().map(|text| text.parse());
        values.collect::<Result<_, _>>().map_err(D::Error::custom)
    }
}

/// Count of consecutive validations without improvement of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The metric.
    pub metric: Option<Metric>,
    /// The best value so far.
    pub best: Option<f64>,
    /// Number of validations since.
    pub validations: u64,
}

impl Wait {
    /// Records a validation. A value that is not finite is never an improvement. If the metric differs from the
    /// previous one, the count starts again.
    pub fn note(&mut self, metric: &Metric, value: f64) {
        if self.metric.as_ref() != Some(metric) {
            *self = Self {
                metric: Some(metric.clone()),
                ..Self::default()
            };
        }
        let is_better = self.best.is_none_or(|best| metric.is_better(value, best));
        if value.is_finite() && is_better {
            (self.best, self.validations) = (Some(value), 0);
        } else {
            self.validations += 1;
        }
    }
}

/// Best validation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// The step of the validation.
    pub step: u64,
    /// Value of the metric `checkpoint.best`.
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_holds_the_last_values_to_the_bit() {
        let mut window = Window::default();
        let mut mean = |value| window.mean(&Metric::LOSS, value, 3);
        assert_eq!(
            [mean(0.1), mean(0.7), mean(0.1)],
            [None, None, Some(0.9 / 3.0)]
        );
        assert_eq!(mean(1.0), Some((0.7 + 0.1 + 1.0) / 3.0));
        assert!(mean(f64::NAN).is_some_and(f64::is_nan));
        let text = toml::to_string(&window).unwrap();
        let mut read: Window = toml::from_str(&text).unwrap();
        assert_eq!(read.values[..2], [0.1, 1.0]);
        assert!(read.values[2].is_nan());
        assert_eq!(read.mean(&Metric::LOSS, 2.0, 1), Some(2.0)); // a smaller window on resume
        assert_eq!(read.mean(&Metric::ACCURACY, 0.5, 2), None);
    }

    #[test]
    fn waiting_ends_with_a_better_value_only() {
        let mut wait = Wait::default();
        let mut note = |value| {
            wait.note(&Metric::LOSS, value);
            (wait.best, wait.validations)
        };
        assert_eq!(note(f64::NAN), (None, 1));
        assert_eq!(note(2.0), (Some(2.0), 0));
        assert_eq!(note(2.0), (Some(2.0), 1)); // a tie is no better
        assert_eq!(note(3.0), (Some(2.0), 2));
        assert_eq!(note(f64::NAN), (Some(2.0), 3));
        assert_eq!(note(1.0), (Some(1.0), 0));
        wait.note(&Metric::ACCURACY, 0.5);
        assert_eq!((wait.best, wait.validations), (Some(0.5), 0));
    }
}
