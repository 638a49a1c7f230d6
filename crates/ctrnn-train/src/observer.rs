//! What a training run tells those who watch it: the loop itself neither prints nor writes.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use ctrnn_files::FileError;
use ctrnn_model::Weights;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::divergence::{Rollback, Rollbacks};
use crate::metric::Metric;

/// Watches a training run. Everything is optional; an error ends the run.
#[expect(unused_variables, reason = "provided methods do nothing")]
pub trait Observer {
    /// Every `train.log_every` steps, and after the last one.
    fn stepped(&mut self, report: &StepReport) -> Result<(), TrainError> {
        Ok(())
    }

    /// After each validation.
    fn evaluated(&mut self, report: &Validation) -> Result<(), TrainError> {
        Ok(())
    }

    /// Every `checkpoint.every_steps` steps, and at the end: everything that a run is.
    fn saved(&mut self, snapshot: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// The run went back to an earlier state, which `snapshot` holds: what was told of later steps no longer counts.
    fn rolled_back(&mut self, rollback: &Rollback, snapshot: &Snapshot) -> Result<(), TrainError> {
        Ok(())
    }

    /// An observer could not write, and training goes on all the same (`checkpoint.on_error = "retry"`).
    fn troubled(&mut self, error: &FileError) -> Result<(), TrainError> {
        Ok(())
    }
}

/// One training step.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StepReport {
    /// Updates done, this one included.
    pub step: u64,
    /// Steps that the run will do.
    pub of_steps: u64,
    /// Trials trained on since the run began.
    pub trials: u64,
    /// Seconds of training since the run began, over all its processes.
    pub wall_s: f64,
    /// The loss, before this step's update; penalties included.
    pub loss: f64,
    /// What it is the sum of, by name; empty where there is nothing but the loss itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f64>,
    /// Fraction of the batch's trials with the right choice; none has a right choice: absent.
    pub accuracy: Option<f64>,
    /// Global norm of the gradient, before clipping.
    pub grad_norm: f64,
    /// Learning rate.
    pub lr: f64,
}

/// A validation during training.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Validation {
    /// Updates done.
    pub step: u64,
    /// Trials trained on since the run began.
    pub trials: u64,
    /// Seconds of training since the run began.
    pub wall_s: f64,
    /// What was measured.
    pub report: EvalReport,
}

/// How a network does on a set of trials.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvalReport {
    /// Fraction of trials with the right choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// Mean time from the onset of the evidence to the decision, over the trials with a decision; absent but in the
    /// reaction-time version of a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction_ms: Option<f64>,
    /// The loss, penalties included.
    pub loss: f64,
    /// What it is the sum of, by name; empty where there is nothing but the loss itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub terms: BTreeMap<String, f64>,
    /// Number of trials.
    pub trials: usize,
    /// Which choices were made where another was right; absent if no trial has a right choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<Confusion>,
    /// For each condition and each of its values, the score on those trials.
    pub by: BTreeMap<String, BTreeMap<String, Score>>,
    /// The condition, all of its values together, with the least accuracy; absent if no trial has a right choice or there is
    /// but one condition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<Worst>,
}

/// The condition that a network does worst in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Worst {
    /// Its values by name.
    pub condition: BTreeMap<String, f64>,
    /// Fraction of its trials with the right choice, over those that have one.
    pub accuracy: f64,
    /// Number of its trials.
    pub trials: usize,
}

/// How often each choice was made where each was right. The choice is the largest output, or the sign of the only one, at the
/// last time step that counts, also for tasks with a rule of their own for what is right.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confusion {
    /// The names of the choices.
    pub choices: Vec<String>,
    /// Numbers of trials: a row for each right choice, a column for each choice made.
    pub counts: Vec<Vec<usize>>,
}

impl EvalReport {
    /// Returns the value of a metric; an accuracy is absent where no trial has a right choice.
    pub fn metric(&self, metric: Metric) -> Option<f64> {
        match metric {
            Metric::Loss => Some(self.loss),
            Metric::Accuracy => self.accuracy,
            Metric::MinAccuracy => self.min_accuracy(),
        }
    }

    /// The least accuracy over conditions; absent if no trial has a right choice.
    pub fn min_accuracy(&self) -> Option<f64> {
        let worst = self.worst.as_ref().map(|worst| worst.accuracy);
        worst.or(self.accuracy)
    }
}

/// How a network does on the trials of one condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Fraction of trials with the right choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// Number of trials.
    pub trials: usize,
    /// Mean reaction time, as in [`EvalReport`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reaction_ms: Option<f64>,
}

/// Everything that a run is at one step: what a checkpoint holds.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// Where the run stands.
    pub counters: Counters,
    /// The network.
    pub weights: Weights,
    /// The optimizer's state by name.
    pub optimizer: BTreeMap<String, TensorData>,
    /// Whether this is the best validated step so far.
    pub is_best: bool,
    /// The last good state, to which the run would go back, where it is another one.
    pub good: Option<SavedState>,
}

/// A state of a run on the host.
#[derive(Clone, Debug)]
pub struct SavedState {
    /// Where the run stood.
    pub counters: Counters,
    /// The network.
    pub weights: Weights,
    /// The optimizer's state by name.
    pub optimizer: BTreeMap<String, TensorData>,
}

/// Where a run stands. Random numbers have no state: the step is their address.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counters {
    /// Updates done.
    pub step: u64,
    /// Trials trained on.
    pub trials: u64,
    /// Seconds of training, over all processes.
    pub wall_s: f64,
    /// The best validation so far.
    pub best: Option<Best>,
    /// The metric that it is the best in; checkpoints of earlier versions do not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best_metric: Option<Metric>,
    /// The next best ones, as many as `checkpoint.keep_best` asks for; the better one first.
    #[serde(default)]
    pub runners_up: Vec<Best>,
    /// The metric of `train.stop` at the last validation.
    pub last_metric: Option<f64>,
    /// How long `train.stop` has waited for a better value.
    #[serde(default)]
    pub stop_wait: Wait,
    /// How long the plateau schedule has.
    #[serde(default)]
    pub plateau_wait: Wait,
    /// How often the plateau schedule has lowered the learning rate.
    #[serde(default)]
    pub plateaus: u32,
    /// Global gradient norm of the last step.
    pub grad_norm: Option<f64>,
    /// How often the run went back to an earlier state.
    #[serde(default)]
    pub rollbacks: Rollbacks,
}

/// Validations in a row without a better value of a metric.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The metric.
    pub metric: Option<Metric>,
    /// The best value so far.
    pub best: Option<f64>,
    /// Validations since.
    pub validations: u64,
}

impl Wait {
    /// Takes note of a validation; a value that is not finite is never better. Another metric begins anew.
    pub fn note(&mut self, metric: Metric, value: f64) {
        if self.metric != Some(metric) {
            *self = Self {
                metric: Some(metric),
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

/// The best validation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// Its step.
    pub step: u64,
    /// The value of `checkpoint.best`.
    pub value: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_with_a_better_value_only() {
        let mut wait = Wait::default();
        let mut note = |value| {
            wait.note(Metric::Loss, value);
            (wait.best, wait.validations)
        };
        assert_eq!(note(f64::NAN), (None, 1));
        assert_eq!(note(2.0), (Some(2.0), 0));
        assert_eq!(note(2.0), (Some(2.0), 1)); // a tie is no better
        assert_eq!(note(3.0), (Some(2.0), 2));
        assert_eq!(note(f64::NAN), (Some(2.0), 3));
        assert_eq!(note(1.0), (Some(1.0), 0));
        wait.note(Metric::Accuracy, 0.5);
        assert_eq!((wait.best, wait.validations), (Some(0.5), 0));
    }
}
