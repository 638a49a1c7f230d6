//! Settings of the training loop: the tables `[train]`, `[validate]` and `[checkpoint]`, as written and as meant.
//!
//! The doc comment of a key is what `train-ctrnn config explain KEY` prints and what the schema holds.

use ctrnn_tasks::Clock;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::gradients::Clip;
use crate::metric::{Bound, Metric};
use crate::objective::{
    Objective,
    config::{Loss, LossConfig},
};
use crate::optimizer::config::{Groups, Optimizer, Schedule};

/// Length of a time step in ms where none is given.
pub const DEFAULT_DT_MS: f64 = 20.0;

/// What a training run needs to know beside its network and its task.
#[derive(Clone, Debug)]
pub struct TrainSettings {
    /// The one seed: trials, noise and validation trials follow from it.
    pub seed: u64,
    /// The time grid.
    pub clock: Clock,
    /// `[train]`; [`TrainSettings::objective`] is what its `loss` means.
    pub train: TrainConfig,
    /// The loss and its penalties.
    pub objective: Objective,
    /// `[validate]`
    pub validate: ValidateConfig,
    /// `[checkpoint]`
    pub checkpoint: CheckpointConfig,
    /// Every how many steps loss and gradient norm are read from the device and checked. Reading makes the host wait,
    /// so 1 costs nothing on a CPU and much on a GPU.
    pub check_every: u64,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            clock: Clock::new(DEFAULT_DT_MS).expect("the default time step is positive"),
            train: TrainConfig::default(),
            objective: Loss::Mse.into(),
            validate: ValidateConfig::default(),
            checkpoint: CheckpointConfig::default(),
            check_every: 1,
        }
    }
}

impl TrainSettings {
    /// Lists the metrics that a run looks at, each with the key that names it.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (&'static str, Metric)> {
        let plateau = match &self.train.schedule {
            Schedule::Plateau(plateau) => Some(("train.schedule.metric", plateau.metric)),
            _ => None,
        };
        let stop = self
            .train
            .stop
            .as_ref()
            .map(|stop| ("train.stop.metric", stop.metric));
        let best = ("checkpoint.best", self.checkpoint.best);
        [stop, plateau, Some(best)].into_iter().flatten()
    }
}

/// How the network is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of gradient updates; 0 writes the initial network as a finished run.
    pub steps: u64,
    /// Trials per step.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Norm that the gradient over all parameters together is scaled down to where it is larger. Absent: no clipping.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// Norm that the gradient of each parameter alone is scaled down to where it is larger. In place of `clip_grad_norm`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm_per_tensor: Option<f64>,
    /// Modulus that each entry of the gradient is cut to where it is larger. In place of `clip_grad_norm`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_value: Option<f64>,
    /// Whether the way back computes the states of a trial again instead of keeping them: for T time steps it keeps those of
    /// about 2 sqrt(T), for one more forward sweep of time. For trials so long that their states do not fit into memory; not
    /// with penalties on rates, which need all of them. The result is the same to rounding.
    pub recompute: bool,
    /// Every how many steps the loss is read from the device and reported.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// What is not trained: names of parameters as in weight files (`recurrent.bias`, `initial_state`), or the word before
    /// the dot for a whole group (`input`, `recurrent`, `output`). It keeps its first value to the bit.
    pub freeze: Vec<String>,
    /// The update rule, by `name`, with its learning rate `lr`.
    pub optimizer: Optimizer,
    /// How the learning rate changes over the run, by `name`.
    pub schedule: Schedule,
    /// Parameters with a learning rate of their own, by their names in weight files:
    /// `groups = { recurrent.weight = { lr = 1e-4 }, initial_state = { lr = 0 } }`.
    #[serde(skip_serializing_if = "Groups::is_empty")]
    pub groups: Groups,
    /// What is minimised: a loss by `name`, and penalties.
    pub loss: LossConfig,
    /// Stops the training early, once a validation metric has reached its bound. Absent: all steps are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopConfig>,
    /// What is done when the loss, a gradient or a weight is no longer a finite number.
    pub divergence: DivergenceConfig,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            steps: 5000,
            batch_size: 64,
            clip_grad_norm: None,
            clip_grad_norm_per_tensor: None,
            clip_grad_value: None,
            recompute: false,
            log_every: 10,
            freeze: Vec::new(),
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            groups: Groups::default(),
            loss: LossConfig::default(),
            stop: None,
            divergence: DivergenceConfig::default(),
        }
    }
}

impl TrainConfig {
    /// Returns how the gradient is clipped, if it is.
    pub fn clip(&self) -> Option<Clip> {
        let global = self.clip_grad_norm.map(Clip::GlobalNorm);
        let by_tensor = self.clip_grad_norm_per_tensor.map(Clip::TensorNorm);
        global
            .or(by_tensor)
            .or(self.clip_grad_value.map(Clip::Value))
    }
}

/// Stops the training once `metric` is at least or at most a bound, or has stopped improving.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StopConfig {
    /// The validation metric that is looked at, every `validate.every_steps`.
    pub metric: Metric,
    /// Stop when the metric is this or more. Give this, `at_most`, or `patience` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// Stop when the metric is this or less. Give this, `at_least`, or `patience` alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Stop after this many validations in a row without a better value of the metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub patience: Option<u64>,
    /// Whether a run that ends without having met its bound has failed (exit code 3).
    #[serde(default)]
    pub required: bool,
}

/// What is done when the loss, a gradient or a weight is no longer a finite number: the run goes back to its last good
/// state, the one after the last multiple of `checkpoint.every_steps`, and trains on from there with a smaller learning
/// rate. The trials are the same ones again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DivergenceConfig {
    /// How often a run goes back before it has failed (exit code 3). 0: never; no good state is kept.
    pub max_rollbacks: u64,
    /// What the learning rate is multiplied with each time, for the rest of the run.
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub lr_factor: f64,
}

impl Default for DivergenceConfig {
    fn default() -> Self {
        Self {
            max_rollbacks: 3,
            lr_factor: 0.5,
        }
    }
}

/// Validation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidateConfig {
    /// Every how many steps the network is validated; it always is at the last one. 0: only there.
    pub every_steps: u64,
    /// Number of validation trials; the same ones every time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub trials: usize,
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self {
            every_steps: 100,
            trials: 512,
        }
    }
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Every how many steps everything is saved; it always is at the last one. 0: only there.
    pub every_steps: u64,
    /// How many of the newest checkpoints are kept; the best ones are kept besides.
    #[schemars(range(min = 1))]
    pub keep_last: usize,
    /// How many of the best checkpoints are kept. One is saved at each validation that is among the best so far.
    #[schemars(range(min = 1))]
    pub keep_best: usize,
    /// The metric whose best checkpoints are kept: the lowest `val.loss`, or the highest `val.accuracy` or
    /// `val.min_accuracy`. Ties go to the earlier step.
    pub best: Metric,
    /// What happens when a checkpoint or a line of the log cannot be written, as on a full disk. `stop`: the run ends
    /// (exit code 5). `retry`: it trains on; the next checkpoint tries again, lines wait in memory, and only what
    /// cannot be written at the end is an error.
    pub on_error: OnError,
}

/// What happens when something cannot be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "way to handle errors")]
pub enum OnError {
    /// The run ends.
    #[default]
    Stop,
    /// It trains on and tries again.
    Retry,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_steps: 500,
            keep_last: 3,
            keep_best: 1,
            best: Metric::Loss,
            on_error: OnError::Stop,
        }
    }
}

impl StopConfig {
    /// Returns the bound of the metric, if there is one.
    pub fn bound(&self) -> Option<Bound> {
        let at_least = self.at_least.map(Bound::AtLeast);
        at_least.or(self.at_most.map(Bound::AtMost))
    }

    /// Tells whether the metric has reached the bound.
    pub fn is_met(&self, metric: Option<f64>) -> bool {
        self.bound()
            .zip(metric)
            .is_some_and(|(bound, value)| bound.is_met(value))
    }
}
