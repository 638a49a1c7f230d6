//! What a training run tells those who watch it: the loop itself neither prints nor writes.

use std::collections::BTreeMap;

use burn::tensor::TensorData;
use ctrnn_files::FileError;
use ctrnn_model::Weights;
use serde::{Deserialize, Serialize};

use crate::TrainError;
use crate::divergence::{Rollback, Rollbacks};

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
    /// The loss, before this step's update.
    pub loss: f64,
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
    /// The loss.
    pub loss: f64,
    /// Number of trials.
    pub trials: usize,
    /// For each condition and each of its values, the score on those trials.
    pub by: BTreeMap<String, BTreeMap<String, Score>>,
}

/// How a network does on the trials of one condition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Fraction of trials with the right choice, over those that have one; absent if none has.
    pub accuracy: Option<f64>,
    /// Number of trials.
    pub trials: usize,
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
    /// The next best ones, as many as `checkpoint.keep_best` asks for; the better one first.
    #[serde(default)]
    pub runners_up: Vec<Best>,
    /// The metric of `train.stop` at the last validation.
    pub last_metric: Option<f64>,
    /// Global gradient norm of the last step.
    pub grad_norm: Option<f64>,
    /// How often the run went back to an earlier state.
    #[serde(default)]
    pub rollbacks: Rollbacks,
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
