//! Settings of the training loop: the tables `[train]`, `[validate]` and `[checkpoint]`, as written and as resolved.
//!
//! The doc comment of a key is what `train-ctrnn config explain KEY` prints and what the schema holds.

use std::collections::BTreeMap;

use ctrnn_tasks::{Clock, ConditionOrder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::continual::config::Continual;
use crate::gradients::Clip;
use crate::interventions::{NoiseSchedule, PerturbationConfig, TrainedPerturbation};
use crate::metric::{Bound, Metric};
use crate::objective::{
    Objective,
    config::{Loss, LossConfig},
};
use crate::online::config::Rule;
use crate::optimizer::config::{Groups, Optimizer, Schedule};
use crate::teacher_forcing::TeacherForcing;

/// Default length of a time step, in ms.
pub const DEFAULT_DT_MS: f64 = 20.0;

/// Settings of a training run, besides its network and its task.
#[derive(Clone, Debug)]
pub struct TrainSettings {
    /// The seed of the run, from which trials, noise and validation trials are derived.
    pub seed: u64,
    /// The time grid.
    pub clock: Clock,
    /// `[train]`; its `loss` in resolved form is [`TrainSettings::objective`].
    pub train: TrainConfig,
    /// The loss and its penalties.
    pub objective: Objective,
    /// Perturbations of the trials of a batch, as read from [`TrainConfig::perturbation`].
    pub perturbations: Vec<TrainedPerturbation>,
    /// Settings of validation, `[validate]`.
    pub validate: ValidateConfig,
    /// Settings of checkpoints, `[checkpoint]`.
    pub checkpoint: CheckpointConfig,
    /// Interval, in steps, at which loss and gradient norm are read from the device and checked. Each read makes the
    /// host wait for the device, so 1 is free on a CPU and expensive on a GPU.
    pub check_every: u64,
    /// The stage to which these settings belong, in a training with stages.
    pub stage: Option<StageSettings>,
}

impl Default for TrainSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            clock: Clock::new(DEFAULT_DT_MS).expect("the default time step is positive"),
            train: TrainConfig::default(),
            objective: Loss::Mse.into(),
            perturbations: Vec::new(),
            validate: ValidateConfig::default(),
            checkpoint: CheckpointConfig::default(),
            check_every: 1,
            stage: None,
        }
    }
}

impl TrainSettings {
    /// Lists the metrics on which a run depends, each with the key that selects it.
    pub(crate) fn metrics(&self) -> impl Iterator<Item = (&'static str, &Metric)> {
        let best = ("checkpoint.best", &self.checkpoint.best);
        self.train.metrics().chain([best])
    }
}

/// Training of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// Number of gradient updates; 0 writes the initial network as a finished run.
    pub steps: u64,
    /// Trials per step.
    #[schemars(range(min = 1, max = 65536))]
    pub batch_size: usize,
    /// Clips the gradient: its norm over all parameters together is scaled down to this if it is larger. Absent: no
    /// clipping.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm: Option<f64>,
    /// Clips the gradient of each parameter: its norm is scaled down to this if it is larger. In place of
    /// `clip_grad_norm`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_norm_per_tensor: Option<f64>,
    /// Clips each entry of the gradient to this absolute value. In place of `clip_grad_norm`.
    #[schemars(extend("exclusiveMinimum" = 0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_grad_value: Option<f64>,
    /// Recomputes the states of a trial in the backward pass instead of keeping them (gradient checkpointing): for T
    /// time steps about 2 sqrt(T) states are kept, at the cost of one more forward sweep. For trials so long that their
    /// states do not fit into memory; not with penalties on rates, which need all states. The result is the same up to
    /// rounding.
    pub recompute: bool,
    /// Truncated backpropagation through time: gradients are carried back through windows of this many time steps, and memory no longer
    /// grows with the length of a trial. The state at which a window begins is that of the whole trial, held constant, and a step makes
    /// one update, with the sum of the gradients of all windows. With a window as long as the trial it is the full gradient. Not with
    /// penalties that are not sums over time, nor with delays. Absent: gradients are carried back to the beginning of the trial.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_steps: Option<usize>,
    /// Number of time steps after which the next window of `truncate_steps` begins; a divisor of it. The loss at each time step is then
    /// carried back through at least `truncate_steps - truncate_stride + 1` time steps, and each time step is run
    /// `truncate_steps / truncate_stride` times. Absent: `truncate_steps`, so that windows do not overlap.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub truncate_stride: Option<usize>,
    /// Number of batches whose gradients are added before an update (gradient accumulation): a step learns from `accumulate` times
    /// `batch_size` trials as from one batch of that size, to rounding, in the memory of one of `batch_size`. Not with penalties that are
    /// not sums over trials.
    #[schemars(range(min = 1, max = 65536))]
    #[serde(skip_serializing_if = "is_one")]
    pub accumulate: usize,
    /// Number of steps between reports of the loss, for which it is read from the device.
    #[schemars(range(min = 1))]
    pub log_every: u64,
    /// Frozen parameters, which are not trained: names as in weight files (`recurrent.bias`, `initial_state`), or the
    /// word before the dot for a whole group (`input`, `recurrent`, `output`); an area (`sensory`: weights and input weights
    /// onto its units, their biases, initial states and time constants); or a projection between areas (`sensory -> motor`,
    /// where `*` means all). They keep their initial values to the bit.
    pub freeze: Vec<String>,
    /// The learning rule, by `name`: what the weights follow.
    #[serde(skip_serializing_if = "Rule::is_gradient")]
    pub rule: Rule,
    /// The update rule, by `name`, with its learning rate `lr`.
    pub optimizer: Optimizer,
    /// The learning-rate schedule, by `name`.
    pub schedule: Schedule,
    /// Perturbations of the network in training: `[[train.perturbation]]` begins each. Not with `truncate_steps` and `loss.omega`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub perturbation: Vec<PerturbationConfig>,
    /// Dropout: probability of each unit to be left out of a step. No other unit and no output sees it in any trial of that step, and the
    /// weights from the others are multiplied by `1 / (1 - dropout)`. Validation and `eval` see all units. Not with `loss.omega`.
    #[schemars(range(min = 0), extend("exclusiveMaximum" = 1))]
    #[serde(skip_serializing_if = "is_zero")]
    pub dropout: f64,
    /// Course of the noise of `model.noise` in training: `{ from = 1, to = 0, steps = 1000 }` anneals it. It begins again in each stage,
    /// unless the stage carries the schedule. Validation and `eval` have the noise of `model.noise` itself. Absent: it stays as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise_schedule: Option<NoiseSchedule>,
    /// Teacher forcing of the recorded units of `loss.unit_rates`: `{ strength = 1, steps = 1000 }`. It begins again in each stage, unless
    /// the stage carries the schedule. Absent: the network runs freely.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub teacher_forcing: Option<TeacherForcing>,
    /// Parameters with a learning rate or a weight decay of their own, by their names in weight files:
    /// `groups = { recurrent.weight = { lr = 1e-4, weight_decay = 1e-3 }, initial_state = { lr = 0 } }`.
    #[serde(skip_serializing_if = "Groups::is_empty")]
    pub groups: Groups,
    /// The objective: a loss by `name`, and penalties.
    pub loss: LossConfig,
    /// Stops the training early, once a validation metric has reached its bound. Absent: all steps are done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop: Option<StopConfig>,
    /// Protection, in a training with stages, of what earlier stages have learned; by `name`.
    #[serde(skip_serializing_if = "Continual::is_none")]
    pub continual: Continual,
    /// Response to a loss, gradient or weight that is no longer a finite number.
    pub divergence: DivergenceConfig,
    /// Stages of training, in their order: `[[train.stage]]` begins each. A stage trains as a run of its own would, with the
    /// keys that it gives in place of those of the configuration, from the weights that the stage before it ended with.
    /// Absent: one training.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub stage: Vec<StageConfig>,
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
            truncate_steps: None,
            truncate_stride: None,
            accumulate: 1,
            log_every: 10,
            freeze: Vec::new(),
            rule: Rule::default(),
            optimizer: Optimizer::default(),
            schedule: Schedule::default(),
            perturbation: Vec::new(),
            dropout: 0.0,
            noise_schedule: None,
            teacher_forcing: None,
            groups: Groups::default(),
            loss: LossConfig::default(),
            stop: None,
            continual: Continual::default(),
            divergence: DivergenceConfig::default(),
            stage: Vec::new(),
        }
    }
}

impl TrainConfig {
    /// Lists the metrics on which the training depends, each with the key that selects it.
    pub fn metrics(&self) -> impl Iterator<Item = (&'static str, &Metric)> {
        let plateau = match &self.schedule {
            Schedule::Plateau(plateau) => Some(("train.schedule.metric", &plateau.metric)),
            _ => None,
        };
        let stop = self.stop.as_ref();
        let stop = stop.map(|stop| ("train.stop.metric", &stop.metric));
        stop.into_iter().chain(plateau)
    }

    /// Returns the number of trials from which a step learns.
    pub const fn trials_of_step(&self) -> usize {
        self.batch_size * self.accumulate
    }

    /// Returns the number of time steps that run together in a pass, of trials of `n_steps`.
    pub fn steps_together(&self, n_steps: usize) -> usize {
        self.truncate_steps
            .map_or(n_steps, |window| window.min(n_steps))
    }

    /// Returns the gradient clipping, if any.
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
    /// The validation metric, measured every `validate.every_steps`.
    pub metric: Metric,
    /// Number of validations over which the metric is averaged: the mean of the last `over` ones has to reach the bound
    /// or to improve, and nothing is compared before there are so many. 5 in Song et al. (2016).
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 1000))]
    pub over: usize,
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
    /// Fails the run (exit code 3) if it ends without having met its bound.
    #[serde(default)]
    pub required: bool,
}

/// Default of `carry` in a stage.
const CARRIED: [Carried; 1] = [Carried::Optimizer];

/// A stage of training: the keys in which it differs from the rest of the configuration, and its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Name of the stage in files and messages: letters, digits, `_` and `-`. Absent: its number, counted from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Largest number of steps of the stage. Absent: `train.steps`.
    #[schemars(range(min = 1))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
    /// Ends the stage before its last step, once a validation metric has reached its bound or has stopped improving:
    /// `until = { metric = "val.accuracy", at_least = 0.9, over = 5 }`. The keys are those of `train.stop`. Absent: `train.stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<StopConfig>,
    /// State that the stage takes over from the one before it, besides the weights: `optimizer`, `schedule`, both or none.
    /// Moments of the optimizer that are not taken over start at 0, and always do if `train.optimizer.name` changes. A
    /// schedule of the learning rate that is not taken over starts at its beginning.
    pub carry: Vec<Carried>,
    /// Keys of the task, as in `[task.NAME]`; each replaces its value. Another task replaces the whole task.
    #[schemars(schema_with = "any_table")]
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub task: toml::Table,
    /// Keys of `[train]`, except `steps`, `stop` and `stage`. A table with a `name` (an optimizer, a schedule, a loss) replaces
    /// the whole table; in any other, the keys that are given do.
    #[schemars(schema_with = "any_table")]
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub train: toml::Table,
    /// Keys of `[validate]`.
    #[schemars(schema_with = "any_table")]
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub validate: toml::Table,
    /// Keys of the noise, as `model.noise`. Any other key of the network is that of all stages.
    #[schemars(schema_with = "any_table")]
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub model: toml::Table,
}

/// Schema of a table whose keys are checked where they replace others.
fn any_table(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({ "type": "object" })
}

impl Default for StageConfig {
    fn default() -> Self {
        Self {
            name: None,
            steps: None,
            until: None,
            carry: CARRIED.to_vec(),
            task: toml::Table::new(),
            train: toml::Table::new(),
            validate: toml::Table::new(),
            model: toml::Table::new(),
        }
    }
}

ctrnn_model::words! {
    /// State that a stage takes over from the one before it.
    pub enum Carried: "state that a stage can carry" {
        /// The moments of the optimizer.
        Optimizer = "optimizer",
        /// The position in the schedule of the learning rate: steps are counted from the beginning of the run, and plateaus go on.
        Schedule = "schedule",
    }
}

/// Place of a stage in a training.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSettings {
    /// Index of the stage, counted from 0.
    pub index: usize,
    /// Number of stages.
    pub of: usize,
    /// Name of the stage.
    pub name: String,
    /// State taken over from the stage before it.
    pub carry: Vec<Carried>,
}

impl StageSettings {
    /// Returns true if no other stage follows.
    pub const fn is_last(&self) -> bool {
        self.index + 1 == self.of
    }
}

/// Response to a loss, gradient or weight that is no longer a finite number: the run goes back to its last good state,
/// the one after the last multiple of `checkpoint.every_steps`, and continues from there with a smaller learning rate.
/// The trials are the same ones again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DivergenceConfig {
    /// Maximal number of rollbacks before the run fails (exit code 3). 0: none; no good state is kept.
    pub max_rollbacks: u64,
    /// Factor on the learning rate at each rollback, for the rest of the run.
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

fn one() -> usize {
    1
}

const fn is_one(n: &usize) -> bool {
    *n == 1
}

fn is_zero(x: &f64) -> bool {
    *x == 0.0
}

/// Validation. Any other key is the name of a further set of validation trials, `[validate.NAME]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ValidateConfig {
    /// Number of steps between validations; there always is one at the last step. 0: only there.
    pub every_steps: u64,
    /// Number of validation trials; they are the same in every validation.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub trials: usize,
    /// The noise of the network and of its inputs (`model.noise`) in validation and in `eval`, as in Song et al. (2016) and Yang
    /// et al. (2019). Each validation trial has the same noise in every validation, from a stream that training does not
    /// use, so that two networks are compared on equal terms. Without noise in `model.noise` the key has no effect.
    pub noise: bool,
    /// Dealing of the trials of validation and of `eval` in a mixture of tasks: `tasks`, the same number for each task,
    /// and within a task for each of its conditions; `conditions`, the same number for each condition, so that a task with
    /// more conditions has more trials.
    pub balance: Dealing,
    /// Monitors of the network at each validation, on at most 32 trials of it: fractions of silent and of saturated units,
    /// participation ratio of the rates, spectral radius of the recurrent weights, drift of all weights and, where the loss has several
    /// terms, the norm of the gradient of each as columns of `metrics.csv`, mean and peak rate of each unit in `units.csv`, and histograms of weights and rates in TensorBoard.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub monitors: bool,
    /// Further sets of validation trials, by name. Each is measured at every validation, and `train.stop`, `checkpoint.best` and
    /// `until` of a stage can name its metrics: `val.easy.loss`, `val.easy.accuracy` for `[validate.easy]`.
    #[serde(flatten)]
    pub sets: BTreeMap<String, ValidationSetConfig>,
}

/// A named set of validation trials: the keys in which it differs from the main one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ValidationSetConfig {
    /// Number of trials of the set. Absent: `validate.trials`.
    #[schemars(range(min = 1, max = 1_000_000))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trials: Option<usize>,
    /// The noise of the network and of its inputs in the trials of the set. Absent: `validate.noise`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub noise: Option<bool>,
    /// Dealing of the trials of the set in a mixture of tasks. Absent: `validate.balance`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub balance: Option<Dealing>,
    /// Keys of the task, as in `[task.NAME]`; each replaces its value. Another task, with the same inputs and outputs, replaces
    /// the whole task.
    #[schemars(schema_with = "any_table")]
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub task: toml::Table,
}

impl ValidateConfig {
    /// Returns the settings of a named set, with the values of the main one where it has none of its own; `None` stands for the main
    /// one itself.
    pub fn of_set(&self, name: Option<&str>) -> Self {
        let Some(set) = name.and_then(|name| self.sets.get(name)) else {
            return self.clone();
        };
        Self {
            trials: set.trials.unwrap_or(self.trials),
            noise: set.noise.unwrap_or(self.noise),
            balance: set.balance.unwrap_or(self.balance),
            ..self.clone()
        }
    }
}

impl Default for ValidateConfig {
    fn default() -> Self {
        Self {
            every_steps: 100,
            trials: 512,
            noise: true,
            balance: Dealing::Tasks,
            monitors: false,
            sets: BTreeMap::new(),
        }
    }
}

ctrnn_model::words! {
    /// The way in which trials are dealt in a mixture of tasks.
    pub enum Dealing: "way to deal trials" {
        /// The same number of trials for each task.
        Tasks = "tasks",
        /// The same number of trials for each condition of any task.
        Conditions = "conditions",
    }
}

impl Dealing {
    /// Returns the order of the conditions in a batch.
    pub const fn order(self) -> ConditionOrder {
        match self {
            Self::Tasks => ConditionOrder::BalancedTasks,
            Self::Conditions => ConditionOrder::Balanced,
        }
    }
}

/// Checkpoints.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct CheckpointConfig {
    /// Number of steps between checkpoints; there always is one at the last step. 0: only there.
    pub every_steps: u64,
    /// Number of newest checkpoints to keep, in addition to the best ones.
    #[schemars(range(min = 1))]
    pub keep_last: usize,
    /// Number of best checkpoints to keep. One is saved at each validation that is among the best so far.
    #[schemars(range(min = 1))]
    pub keep_best: usize,
    /// The metric whose best checkpoints are kept: the lowest `val.loss`, or the highest of the accuracies. Ties go to
    /// the earlier step.
    pub best: Metric,
    /// Response to a checkpoint or a line of the log that cannot be written, as on a full disk. `stop`: the run ends
    /// (exit code 5). `retry`: training continues; the next checkpoint tries again, lines wait in memory, and only data
    /// that cannot be written at the end are an error.
    pub on_error: OnError,
}

/// Response to a failed write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(title = "way to handle errors")]
pub enum OnError {
    /// The run ends.
    #[default]
    Stop,
    /// Training continues, and later writes try again.
    Retry,
}

impl Default for CheckpointConfig {
    fn default() -> Self {
        Self {
            every_steps: 500,
            keep_last: 3,
            keep_best: 1,
            best: Metric::LOSS,
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

    /// Returns true if the metric has reached the bound.
    pub fn is_met(&self, metric: Option<f64>) -> bool {
        self.bound()
            .zip(metric)
            .is_some_and(|(bound, value)| bound.is_met(value))
    }
}
