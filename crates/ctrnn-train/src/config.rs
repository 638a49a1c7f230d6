//! The configuration as written: what a TOML file may hold, with its defaults.
//!
//! The doc comment of a field is what `train-ctrnn config explain KEY` prints and what the schema holds,
//! so that adding a key is adding a field. [`Run`](crate::Run) is the configuration as meant.

use std::collections::BTreeMap;
use std::fmt;

pub use ctrnn_model::InputPath;
use ctrnn_model::{CtrnnConfig, Integrator};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::loss_config::LossConfig;
use crate::optimizer_config::{Groups, Optimizer, Schedule};

/// The configuration of a run: one file, from which a run is reproduced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunConfig {
    /// Version of the configuration format. This build reads version 1.
    pub version: i64,
    /// The one seed of the run, 0 to 2^63 - 1. Every stream of random numbers (weights, trials, both noises,
    /// validation) is derived from it, so that the same seed gives the same run.
    #[schemars(range(max = 9_223_372_036_854_775_807_u64))]
    pub seed: u64,
    /// The time grid.
    pub time: TimeConfig,
    /// The task: one table named like it, for instance `[task.go_nogo]`. `train-ctrnn tasks list` shows all tasks,
    /// `train-ctrnn tasks describe NAME` the keys of one.
    #[schemars(with = "BTreeMap<String, serde_json::Value>")]
    pub task: BTreeMap<String, toml::Table>,
    /// The network: `v(t+1) = (1 - alpha) v(t) + alpha [W_rc r(t) + W_in u(t) + b + eps(t)]`, `r = f(v)`,
    /// `y = W_out [r + xi] + b_out`, with `alpha = dt_ms / tau_ms`.
    pub model: CtrnnConfig,
    /// How the network is trained.
    pub train: TrainConfig,
    /// Trials that the network is not trained on, drawn once from a stream of their own.
    pub validate: ValidateConfig,
    /// What is saved on the way.
    pub checkpoint: CheckpointConfig,
    /// What computes.
    pub device: DeviceConfig,
}

/// The one version of the format that this build reads.
pub const VERSION: i64 = 1;

impl Default for RunConfig {
    fn default() -> Self {
        Self {
            version: VERSION,
            seed: 0,
            time: TimeConfig::default(),
            task: BTreeMap::new(),
            model: CtrnnConfig::default(),
            train: TrainConfig::default(),
            validate: ValidateConfig::default(),
            checkpoint: CheckpointConfig::default(),
            device: DeviceConfig::default(),
        }
    }
}

/// The time grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TimeConfig {
    /// Length of a time step in ms, at most `model.tau_ms` under `integrator = "euler"`. Durations of the task are multiples
    /// of it. 20 ms with tau 100 ms is the choice of Song et al. (2016) and Yang et al. (2019).
    #[schemars(extend("exclusiveMinimum" = 0))]
    pub dt_ms: f64,
    /// How the state follows its drive over a step. `euler`: alpha = dt / tau, an error of first order in dt. `exponential`:
    /// 1 - exp(-dt / tau) stands for alpha, which is exact where the drive does not change within a step. A trained network
    /// runs with either: `eval RUN time.integrator=exponential time.dt_ms=5`.
    pub integrator: Integrator,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self {
            dt_ms: 20.0,
            integrator: Integrator::Euler,
        }
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

/// What computes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct DeviceConfig {
    /// `cpu`; `wgpu`, the best graphics adapter; `wgpu:` and an index or a part of a name, another; `cuda` or `cuda:` and an index.
    pub backend: Backend,
    /// Number of CPU threads; 0: `RAYON_NUM_THREADS`, else the CPUs that Slurm gives a task, else all cores, but one for the
    /// training of a small network. The results do not depend on it.
    #[schemars(range(max = 1024))]
    pub threads: usize,
}

/// What computes the tensors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Backend {
    /// The processor.
    #[default]
    Cpu,
    /// A graphics adapter.
    Wgpu(AdapterChoice),
    /// A CUDA device by its number.
    Cuda(usize),
}

/// Which graphics adapter is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AdapterChoice {
    /// The best one.
    Best,
    /// One by its place in the list of `info`.
    Index(usize),
    /// The first whose name contains this.
    Named(String),
}

impl AdapterChoice {
    /// An index, or a part of a name.
    pub fn of(word: &str) -> Self {
        match word.parse() {
            Ok(index) => Self::Index(index),
            Err(_) => Self::Named(word.to_owned()),
        }
    }
}

impl fmt::Display for AdapterChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Best => Ok(()),
            Self::Index(index) => write!(f, "{index}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Wgpu(AdapterChoice::Best) => f.write_str("wgpu"),
            Self::Wgpu(choice) => write!(f, "wgpu:{choice}"),
            Self::Cuda(0) => f.write_str("cuda"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
        }
    }
}

impl Serialize for Backend {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Backend {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = String::deserialize(deserializer)?;
        let unknown = || {
            D::Error::custom(format!(
                "{word:?} is not a backend: cpu, wgpu, wgpu:INDEX, wgpu:NAME, cuda or cuda:INDEX"
            ))
        };
        match word.split_once(':') {
            None if word == "cpu" => Ok(Self::Cpu),
            None if word == "wgpu" => Ok(Self::Wgpu(AdapterChoice::Best)),
            Some(("wgpu", choice)) if !choice.is_empty() => {
                Ok(Self::Wgpu(AdapterChoice::of(choice)))
            }
            None if word == "cuda" => Ok(Self::Cuda(0)),
            Some(("cuda", index)) => index.parse().map(Self::Cuda).map_err(|_| unknown()),
            _ => Err(unknown()),
        }
    }
}

impl JsonSchema for Backend {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Backend".into()
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "title": "backend", "enum": ["cpu", "wgpu", "cuda"] },
            { "type": "string", "pattern": "^wgpu:.+$" },
            { "type": "string", "pattern": "^cuda:.+$" },
        ] })
    }
}

/// Reads a table whose `name` says which keys the rest of it has: the name, or `default`, and the rest.
pub(crate) fn named<'de, D: Deserializer<'de>>(
    default: &str,
    deserializer: D,
) -> Result<(String, toml::Table), D::Error> {
    let mut table = toml::Table::deserialize(deserializer)?;
    match table.remove("name") {
        None => Ok((default.to_owned(), table)),
        Some(toml::Value::String(name)) => Ok((name, table)),
        Some(_) => Err(D::Error::custom("name must be a string")),
    }
}

pub(crate) fn read<T: DeserializeOwned, E: serde::de::Error>(table: toml::Table) -> Result<T, E> {
    table.try_into().map_err(E::custom)
}

/// Lets the first kind of a table with a `name` do without it.
pub(crate) fn first_name_is_default(schema: &mut Schema) {
    let first = schema.get_mut("oneOf").and_then(|kinds| kinds.get_mut(0));
    if let Some(required) = first
        .and_then(|kind| kind.get_mut("required"))
        .and_then(|r| r.as_array_mut())
    {
        required.retain(|key| key != "name");
    }
}
